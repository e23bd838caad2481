//! Draws within constraints: exact frequencies, and what is refused.

use crate::common::*;
use crate::sampling::assert_frequencies;
use diapason_engine::Engine;
use diapason_flow::{Constraint, Lm, Sampling, Stop};
use std::collections::BTreeMap;

/// The stop token of these tests.
pub(crate) const END: u32 = 28;

/// Tokens that are letters, digits and signs of JSON, one of two letters, and the end.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = b"abcdefghijklmnop0123{}\":,".iter().map(|c| vec![*c]).collect();
    tokens.push(b"ab".to_vec());
    tokens.push(b"[".to_vec());
    tokens.push(b"]".to_vec());
    tokens.push(b"\xFF<|end|>".to_vec());
    assert_eq!(tokens.len(), VOCABULARY as usize);
    tokens
}

pub(crate) fn ids(text: &str) -> Vec<u32> {
    let tokens = tokens();
    let id = |c: u8| tokens.iter().position(|token| *token == [c]).expect("a known sign") as u32;
    text.bytes().map(id).collect()
}

pub(crate) fn texted() -> Engine {
    engine(256, 2048, 2).with_tokens(tokens())
}

fn sampling(temperature: f32, only: Option<Constraint>) -> Sampling {
    Sampling {
        n: 4000,
        seed: 5,
        temperature,
        max_tokens: 12,
        stop: vec![END],
        only,
        ..Sampling::default()
    }
}

/// How often each continuation was drawn.
fn counts(engine: &Engine, prompt: &[u32], sampling: Sampling) -> BTreeMap<Vec<u32>, usize> {
    let mut counts = BTreeMap::new();
    for draw in samples(ask_one(engine, sample(prompt.to_vec(), sampling))) {
        assert_eq!(draw.stop, Stop::Terminator);
        *counts.entry(draw.ids).or_insert(0) += 1;
    }
    counts
}

/// Probabilities of choices when every token is drawn among those that lead to a choice: a walk
/// through their tree, from the definition.
fn exact(prompt: &[u32], choices: &[Vec<u32>], temperature: f32, bias: &[(u32, f32)]) -> Vec<f64> {
    let model = model();
    let mut probabilities = vec![1.0; choices.len()];
    for (choice, probability) in choices.iter().zip(&mut probabilities) {
        for place in 0..choice.len() {
            let text = [prompt, &choice[..place]].concat();
            let row = plain_logprobs(&model, &text).pop().expect("a prompt has tokens");
            let weight = |id: u32| {
                let bias: f32 = bias.iter().filter(|(named, _)| *named == id).map(|b| b.1).sum();
                ((row[id as usize] + f64::from(bias)) / f64::from(temperature)).exp()
            };
            let mut next: Vec<u32> = choices
                .iter()
                .filter(|other| other.len() > place && other[..place] == choice[..place])
                .map(|other| other[place])
                .collect();
            next.sort_unstable();
            next.dedup();
            let total: f64 = next.iter().map(|id| weight(*id)).sum();
            *probability *= weight(choice[place]) / total;
        }
    }
    probabilities
}

#[test]
fn frequencies_within_choices_are_the_exact_probabilities_at_any_temperature() {
    let engine = texted();
    let prompt = text(3, 6);
    let texts = ["abc", "abd", "a", "dog", "dig", "p"];
    let choices: Vec<Vec<u32>> =
        texts.iter().map(|text| [&ids(text)[..], &[END]].concat()).collect();
    for temperature in [0.6, 1.0, 1.8] {
        for bias in [vec![], vec![(ids("d")[0], 1.5), (END, -0.5)]] {
            let only = Some(Constraint::Choices(choices.clone()));
            let asked = Sampling { bias: bias.clone(), ..sampling(temperature, only) };
            let found = counts(&engine, &prompt, asked);
            let found: Vec<usize> = choices
                .iter()
                .map(|choice| found.get(&choice[..choice.len() - 1]).copied().unwrap_or(0))
                .collect();
            assert_eq!(found.iter().sum::<usize>(), 4000, "nothing else is drawn");
            let expected = exact(&prompt, &choices, temperature, &bias);
            assert_frequencies(&found, &expected, &format!("at {temperature} with {bias:?}"));
        }
    }
}

#[test]
fn a_pattern_draws_what_the_choices_it_stands_for_draw() {
    let engine = texted();
    let prompt = text(5, 4);
    // `ab` is also one token, which the pattern allows and the choices list.
    let two: u32 = 25;
    let mut choices: Vec<Vec<u32>> =
        ["ab0", "ab1", "c0", "c1"].iter().map(|text| [&ids(text)[..], &[END]].concat()).collect();
    choices.extend(ids("01").iter().map(|digit| vec![two, *digit, END]));
    for temperature in [0.7, 1.0, 1.5] {
        let by_choices = counts(
            &engine,
            &prompt,
            sampling(temperature, Some(Constraint::Choices(choices.clone()))),
        );
        let pattern = Some(Constraint::Pattern("(ab|c)[01]".to_owned()));
        let by_pattern = counts(&engine, &prompt, sampling(temperature, pattern));
        assert_eq!(by_pattern, by_choices, "the same seed draws the same");
        assert!(by_pattern.len() > 3, "{by_pattern:?}");
    }
}

#[test]
fn draws_within_a_schema_are_json_that_it_accepts() {
    let engine = texted();
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "a": { "enum": [0, 12, 3] }, "b": { "enum": ["cd", "dog"] } },
        "required": ["a", "b"],
        "additionalProperties": false,
        "x-guidance": { "whitespace_flexible": false },
    });
    let only = Some(Constraint::Schema(schema));
    let asked = Sampling { n: 60, max_tokens: 30, ..sampling(1.2, only) };
    let mut seen = std::collections::BTreeSet::new();
    for draw in samples(ask_one(&engine, sample(text(2, 5), asked))) {
        assert_eq!(draw.stop, Stop::Terminator);
        let bytes: Vec<u8> =
            draw.ids.iter().flat_map(|id| tokens()[*id as usize].clone()).collect();
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        assert!([0, 12, 3].iter().any(|number| value["a"] == *number), "{value}");
        assert!(value["b"] == "cd" || value["b"] == "dog", "{value}");
        seen.insert(value.to_string());
    }
    assert!(seen.len() > 2, "{seen:?}");
}

#[test]
fn a_bias_shifts_and_forbids() {
    let engine = texted();
    let prompt = text(1, 4);
    let asked =
        |bias: Vec<(u32, f32)>| Sampling { bias, max_tokens: 1, n: 400, ..Sampling::default() };
    let forbidden = counts_of_first(&engine, &prompt, asked(vec![(3, f32::NEG_INFINITY)]));
    assert!(!forbidden.contains_key(&3));
    let favoured = counts_of_first(&engine, &prompt, asked(vec![(3, 60.0)]));
    assert_eq!(favoured, BTreeMap::from([(3, 400)]));
}

fn counts_of_first(engine: &Engine, prompt: &[u32], sampling: Sampling) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for draw in samples(ask_one(engine, sample(prompt.to_vec(), sampling))) {
        *counts.entry(draw.ids[0]).or_insert(0) += 1;
    }
    counts
}

#[test]
fn constraints_that_cannot_be_met_are_refused_or_are_the_error_of_their_request() {
    let engine = texted();
    let refused = |asked: Sampling| {
        let requests = [sample(text(1, 3), Sampling::default()), sample(text(1, 3), asked)];
        engine.ask(&requests).expect_err("it is refused").to_string()
    };
    let only = |only: Constraint| sampling(1.0, Some(only));
    let said = refused(only(Constraint::Choices(vec![ids("ab")])));
    assert!(said.contains("request 1") && said.contains("choice 0 has no stop token"), "{said}");
    assert!(refused(only(Constraint::Choices(Vec::new()))).contains("no choice"));
    assert!(refused(only(Constraint::Choices(vec![vec![99, END]]))).contains("id 99"));
    assert!(refused(only(Constraint::Pattern("(".to_owned()))).contains("constraint"));
    let endless = Sampling { stop: Vec::new(), ..only(Constraint::Pattern("a".to_owned())) };
    assert!(refused(endless).contains("needs a stop token"));
    let biased = Sampling { bias: vec![(29, 1.0)], ..Sampling::default() };
    assert!(refused(biased).contains("id 29"));
    let biased = Sampling { bias: vec![(2, f32::NAN)], ..Sampling::default() };
    assert!(refused(biased).contains("bias of token 2 is NaN"));
    // `A` is no token: after `a` nothing can follow.
    let stuck = refused(only(Constraint::Pattern("aA".to_owned())));
    assert!(stuck.contains("request 1"), "{stuck}");
    let said = crate::common::engine(64, 512, 1)
        .ask(&[sample(text(1, 3), only(Constraint::Pattern("a".to_owned())))])
        .expect_err("no texts of tokens");
    assert!(said.to_string().contains("without the texts of its tokens"), "{said}");
    // After all this the engine answers others as before.
    assert_eq!(engine.ask(&[sample(text(1, 3), Sampling::default())]).expect("it runs").len(), 1);
}

#[test]
fn a_stop_text_ends_a_draw_at_the_token_that_completes_it() {
    let engine = texted();
    // `ab` is one token or two; `1a` runs over a border of tokens.
    let stop_texts = vec!["b".to_owned(), "1a".to_owned()];
    let asked = Sampling {
        n: 600,
        seed: 9,
        temperature: 1.5,
        max_tokens: 30,
        stop_texts,
        ..Sampling::default()
    };
    let free = Sampling { stop_texts: Vec::new(), ..asked.clone() };
    let prompt = text(6, 5);
    let read = |ids: &[u32]| -> String {
        let bytes = ids.iter().flat_map(|id| tokens()[*id as usize].clone()).collect::<Vec<u8>>();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let stopped = samples(ask_one(&engine, sample(prompt.clone(), asked)));
    let whole = samples(ask_one(&engine, sample(prompt, free)));
    let mut ended = [0; 2];
    for (stopped, whole) in stopped.iter().zip(&whole) {
        assert_eq!(stopped.ids, whole.ids[..stopped.ids.len()], "the same draws, cut");
        let (text, before) =
            (read(&stopped.ids), read(&stopped.ids[..stopped.ids.len().saturating_sub(1)]));
        assert!(!before.contains('b') && !before.contains("1a"), "{before}");
        let found = text.contains('b') || text.contains("1a");
        assert_eq!(stopped.stop == Stop::Terminator, found, "{text}");
        ended[0] += usize::from(text.contains('b'));
        ended[1] += usize::from(text.contains("1a"));
    }
    assert!(ended[0] > 20 && ended[1] > 2, "both texts occur: {ended:?}");
    let empty = Sampling { stop_texts: vec![String::new()], ..Sampling::default() };
    assert!(engine.ask(&[sample(text(1, 3), empty)]).is_err());
}
