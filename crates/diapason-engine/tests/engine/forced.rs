//! Draws that must begin with given tokens: the twin is a prompt which ends with them.

use crate::common::*;
use crate::constraints::{END, ids, texted};
use diapason_flow::{Answer, Constraint, Lm, Sample, Sampling};
use std::collections::BTreeSet;

/// Draws of a prompt that ends with the beginning, with it and its traced log-probabilities in front.
fn twin(prompt: &[u32], begin: &[u32], sampling: &Sampling) -> Vec<Sample> {
    let engine = engine(64, 512, 1);
    let whole = [prompt, begin].concat();
    let Answer::Traced(traced) = ask_one(&engine, trace(whole.clone(), prompt.len(), 0)) else {
        panic!("not a trace");
    };
    let forced: Vec<f32> = traced.iter().map(|score| score.logprob_nats).collect();
    let max_tokens = sampling.max_tokens - begin.len();
    let sampling = Sampling { max_tokens, begin: Vec::new(), ..sampling.clone() };
    let mut draws = samples(ask_one(&engine, sample(whole, sampling)));
    for draw in &mut draws {
        draw.ids.splice(0..0, begin.iter().copied());
        draw.logprobs.splice(0..0, forced.iter().copied());
    }
    draws
}

#[test]
fn a_forced_beginning_is_the_end_of_a_longer_prompt_to_the_last_bit() {
    for (begin, max_tokens) in [(1, 2), (1, 9), (4, 5), (6, 20), (6, 1000)] {
        let begin = text(7, begin);
        let asked =
            Sampling { n: 6, seed: 3, max_tokens, begin: begin.clone(), ..Sampling::default() };
        let narrow = Sampling { temperature: 0.6, top_k: 7, stop: vec![4], ..asked.clone() };
        for prompt in [1, 2, 15] {
            let prompt = text(2, prompt);
            for asked in [&asked, &narrow] {
                let asked = Sampling {
                    begin: begin.iter().copied().filter(|id| !asked.stop.contains(id)).collect(),
                    ..asked.clone()
                };
                let expected = twin(&prompt, &asked.begin, &asked);
                for (batch, cache) in [(64, 512), (1, 512), (3, 60)] {
                    let request = sample(prompt.clone(), asked.clone());
                    let found = samples(ask_one(&engine(batch, cache, 2), request));
                    assert_eq!(found, expected, "{begin:?} {max_tokens} {batch}");
                }
            }
        }
    }
}

#[test]
fn the_log_probabilities_of_a_beginning_are_those_of_a_full_forward_pass() {
    let (model, engine) = (model(), engine(64, 512, 2));
    let (prompt, begin) = (text(3, 5), text(9, 4));
    let asked = Sampling { n: 3, max_tokens: 9, begin: begin.clone(), ..Sampling::default() };
    for draw in samples(ask_one(&engine, sample(prompt.clone(), asked))) {
        assert_eq!((draw.ids.len(), draw.logprobs.len()), (9, 9));
        assert_eq!(draw.ids[..4], begin);
        let found: f64 = draw.logprobs[..4].iter().map(|nats| f64::from(*nats)).sum();
        let expected = plain_score(&model, &prompt, &begin);
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn a_constraint_goes_on_after_the_beginning() {
    let engine = texted();
    let choices: Vec<Vec<u32>> =
        ["abc", "abd", "dog", "dig"].iter().map(|text| [&ids(text)[..], &[END]].concat()).collect();
    let base = Sampling { n: 200, max_tokens: 9, stop: vec![END], ..Sampling::default() };
    let drawn = |begin: &str, only: Constraint| {
        let asked = Sampling { begin: ids(begin), only: Some(only), ..base.clone() };
        engine.ask(&[sample(text(3, 6), asked)]).map(|mut answers| {
            let draws = samples(answers.remove(0));
            draws.into_iter().map(|draw| draw.ids).collect::<BTreeSet<Vec<u32>>>()
        })
    };
    let expected = BTreeSet::from(["abc", "abd"].map(ids));
    let found = drawn("ab", Constraint::Choices(choices.clone())).expect("two choices begin so");
    assert_eq!(found, expected);
    let pattern = Constraint::Pattern("(ab|do)[cd]".to_owned());
    assert_eq!(drawn("ab", pattern.clone()).expect("the pattern begins so"), expected);
    for only in [Constraint::Choices(choices), pattern] {
        let said = drawn("ac", only).expect_err("nothing begins so").to_string();
        assert!(said.contains("token 1 of `begin` leads out of the constraint"), "{said}");
    }
}

#[test]
fn a_beginning_that_leaves_nothing_to_draw_is_refused() {
    let engine = texted();
    let refused = |asked: Sampling| {
        engine.ask(&[sample(text(1, 3), asked)]).expect_err("it is refused").to_string()
    };
    let base = Sampling { begin: ids("cab"), ..Sampling::default() };
    let said = refused(Sampling { max_tokens: 3, ..base.clone() });
    assert!(said.contains("`max_tokens` is 3, expected more than the 3 of `begin`"), "{said}");
    let said = refused(Sampling { stop: ids("a"), ..base.clone() });
    assert!(said.contains("token 1 of `begin` is a stop token"), "{said}");
    let said = refused(Sampling { stop_texts: vec!["ab".to_owned()], ..base.clone() });
    assert!(said.contains("a stop text is complete at token 2 of `begin`"), "{said}");
    let said = refused(Sampling { begin: vec![2, 29], ..base.clone() });
    assert!(said.contains("token 1 of the beginning has id 29"), "{said}");
    let said = refused(Sampling { begin: text(1, 46), max_tokens: 60, ..base });
    assert!(said.contains("50 tokens do not fit the context of 48"), "{said}");
}
