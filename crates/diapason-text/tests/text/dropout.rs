//! Dropout of markers as it arrives in rendered data: chat examples and sequences of draws alike.

use diapason_flow::{Episode, LossPolicy, Marked, Markers, Role, Streams, Turn};
use diapason_markers::{Dropout, Order, split_list};
use diapason_text::{MarkerSides, Template, TemplateKind, family};

const EXAMPLES: u64 = 1500;
const NAMES: [&str; 4] = ["domain", "lang", "length_bucket", "task"];

fn markers() -> Markers {
    let mut markers = Markers::default();
    for name in NAMES {
        markers.set(name, "x</MARKER_LIST>");
    }
    markers
}

/// A chat example of one answer, or a sequence of three draws without inputs.
fn example(chat: bool) -> Episode {
    let mut episode = Episode::new("t", "u");
    episode.description = Some("d".into());
    let turn = |input: Option<&str>| Turn {
        input: input.map(str::to_owned),
        output: "o <MARKER_LIST> nothing".into(),
        markers: markers(),
        optimal_nats: None,
    };
    episode.turns = if chat { vec![turn(Some("q"))] } else { vec![turn(None); 3] };
    episode.exchangeable = !chat;
    episode
}

/// Markers shown before the outputs, and lists that outputs begin with, one a turn.
fn sides(marked: &Marked) -> (Vec<usize>, Vec<Markers>) {
    let mut prompt = Vec::new();
    let mut answer: Vec<(Option<u32>, String)> = Vec::new();
    for span in marked.spans.iter().filter(|span| !span.template) {
        if span.role != Some(Role::Output) {
            if let Some(at) = span.text.find("<MARKER_LIST>") {
                prompt.push(split_list(&span.text[at..]).markers.0.len());
            }
            continue;
        }
        match answer.last_mut() {
            Some((turn, text)) if *turn == span.turn => text.push_str(&span.text),
            _ => answer.push((span.turn, span.text.clone())),
        }
    }
    let lists = answer.iter().map(|(_, text)| split_list(text).markers).collect();
    (prompt, lists)
}

#[test]
fn shares_in_rendered_data_are_those_of_the_settings_and_no_answer_loses_a_marker() {
    for chat in [true, false] {
        let kind = if chat { TemplateKind::Chat } else { TemplateKind::Spectrum };
        let template = Template::new(kind, family("diapason").unwrap());
        let episode = example(chat);
        for (dataset, sample) in [(0.0, 0.5), (0.5, 0.5), (0.7, 0.5), (0.0, 0.0), (1.0, 0.5)] {
            let dropout = Dropout { dataset, sample, order: Order::Shuffled };
            let streams = Streams::new(9).within("dropout");
            let (mut kept, mut examples) = (0usize, 0usize);
            for index in 0..EXAMPLES {
                let turns = episode.turns.iter().map(|turn| &turn.markers);
                let lists = dropout.lists(turns, &mut streams.stream("example", index));
                let marked = template.render_with_lists(&episode, LossPolicy::EveryOutput, &lists);
                let (prompt, answer) = sides(&marked);
                assert_eq!(answer, vec![markers(); episode.turns.len()]);
                kept += prompt.iter().sum::<usize>();
                examples += usize::from(!prompt.is_empty());
            }
            let markers = EXAMPLES as f64 * (episode.turns.len() * NAMES.len()) as f64;
            let hidden = f64::powi(sample, (episode.turns.len() * NAMES.len()) as i32);
            for (measured, expected) in [
                (kept as f64 / markers, (1.0 - dataset) * (1.0 - sample)),
                (examples as f64 / EXAMPLES as f64, (1.0 - dataset) * (1.0 - hidden)),
            ] {
                let error = (expected * (1.0 - expected) / EXAMPLES as f64).sqrt();
                assert!(
                    (measured - expected).abs() <= 5.0 * error,
                    "chat {chat}, {dataset} {sample}: {measured} for {expected}"
                );
            }
        }
    }
}

#[test]
fn the_answers_list_bears_loss_or_not_and_the_prompts_never_does() {
    for chat in [true, false] {
        let kind = if chat { TemplateKind::Chat } else { TemplateKind::Spectrum };
        let episode = example(chat);
        for learn in [true, false] {
            let template = Template::new(kind, family("qwen3").unwrap())
                .with_markers(MarkerSides { prompt: false, learn });
            let turns = episode.turns.iter().map(|turn| &turn.markers);
            let lists = Dropout::NONE.lists(turns, &mut Streams::new(0).stream("example", 0));
            let marked = template.render_with_lists(&episode, LossPolicy::EveryOutput, &lists);
            for span in &marked.spans {
                let list = !span.template && span.text.starts_with("<MARKER_LIST>");
                if span.role != Some(Role::Output) {
                    assert!(!span.learn, "{span:?}");
                } else if list {
                    assert_eq!(span.learn, learn, "{span:?}");
                } else if span.text.starts_with("o ") {
                    assert!(span.learn, "{span:?}");
                }
            }
        }
    }
}

#[test]
fn without_dropout_the_rendering_is_the_ordinary_one() {
    for chat in [true, false] {
        for policy in [LossPolicy::EveryOutput, LossPolicy::LastOutput, LossPolicy::ModalAnswer] {
            let episode = example(chat);
            let template = Template::new(TemplateKind::Colon, family("chatml").unwrap())
                .with_markers(MarkerSides { prompt: true, learn: true });
            let turns = episode.turns.iter().map(|turn| &turn.markers);
            let lists = Dropout::NONE.lists(turns, &mut Streams::new(0).stream("example", 0));
            let given = template.render_with_lists(&episode, policy, &lists);
            assert_eq!(given, template.render(&episode, policy));
        }
    }
}
