//! What every template renders, and what of it bears loss.

use crate::common::{before_last, episodes};
use diapason_flow::{Episode, LossPolicy, Marked, Markers, Role, Turn};
use diapason_markers::print_list;
use diapason_text::{FAMILIES, MarkerSides, Template, TemplateKind, family, paint};
use proptest::prelude::*;
use std::fmt::Write;

const KINDS: [TemplateKind; 4] =
    [TemplateKind::Spectrum, TemplateKind::Chat, TemplateKind::Colon, TemplateKind::Plain];

const POLICIES: [LossPolicy; 5] = [
    LossPolicy::EveryOutput,
    LossPolicy::LastOutput,
    LossPolicy::FirstOutput,
    LossPolicy::AllTokens,
    LossPolicy::ModalAnswer,
];

fn urn() -> Episode {
    let turn = |input: Option<&str>, output: &str| Turn {
        input: input.map(str::to_owned),
        output: output.to_owned(),
        ..Turn::default()
    };
    let mut episode = Episode::new("align/urn", "urn 1");
    episode.description = Some("Draws from an urn.\nThe colour is the output.".to_owned());
    episode.turns = vec![turn(None, "red"), turn(Some("a blind draw"), "blue <|end|>")];
    episode.turns.push(turn(None, "red"));
    episode.turns[1].markers.set("lang", "English");
    episode
}

#[test]
fn every_family_in_every_kind() {
    let sides = MarkerSides { prompt: true, learn: true };
    for family in FAMILIES {
        let mut page = String::new();
        for kind in KINDS {
            let template = Template::new(kind, family).with_markers(sides);
            let mut bare = urn();
            bare.description = None;
            bare.turns.truncate(2);
            for (title, episode) in [("described", urn()), ("bare", bare)] {
                let marked = template.render(&episode, LossPolicy::EveryOutput);
                writeln!(page, "=== {kind}, {title}\n{}", paint(&marked, false)).unwrap();
            }
        }
        insta::assert_snapshot!(family.name, page);
    }
}

#[test]
fn every_loss_policy() {
    let mut bare = urn();
    bare.description = None;
    let template = Template::new(TemplateKind::Spectrum, family("diapason").unwrap());
    let mut page = String::new();
    for policy in POLICIES {
        for episode in [&urn(), &bare] {
            let marked = template.render(episode, policy);
            writeln!(page, "=== {policy:?}\n{}", paint(&marked, false)).unwrap();
        }
    }
    insta::assert_snapshot!("policies", page);
}

#[test]
fn marker_lists_stand_where_the_settings_say() {
    let mut episode = urn();
    episode.turns.truncate(1);
    episode.turns[0].markers.set("length_bucket", "concise");
    let mut page = String::new();
    for (prompt, learn) in [(false, true), (true, true), (true, false)] {
        for input in [None, Some("draw".to_owned())] {
            for kind in [TemplateKind::Spectrum, TemplateKind::Chat] {
                episode.turns[0].input.clone_from(&input);
                let template = Template::new(kind, family("gemma3").unwrap())
                    .with_markers(MarkerSides { prompt, learn });
                let marked = template.render(&episode, LossPolicy::EveryOutput);
                writeln!(page, "=== {kind}, prompt {prompt}, learn {learn}").unwrap();
                writeln!(page, "{}", paint(&marked, false)).unwrap();
            }
        }
    }
    insta::assert_snapshot!("markers", page);
}

#[test]
fn without_a_description_the_first_output_bears_no_loss_in_any_kind_that_shows_one() {
    let mut bare = urn();
    bare.description = None;
    for family in FAMILIES {
        for kind in [TemplateKind::Spectrum, TemplateKind::Chat, TemplateKind::Colon] {
            let marked = Template::new(kind, family).render(&bare, LossPolicy::EveryOutput);
            let learned =
                |turn: u32| marked.spans.iter().any(|span| span.turn == Some(turn) && span.learn);
            assert_eq!([0, 1, 2].map(learned), [false, true, true], "{kind} {}", family.name);
        }
    }
}

#[test]
fn a_document_is_learned_from_its_beginning() {
    let mut document = Episode::new("text", "1");
    document.turns = vec![Turn { output: "Once upon".into(), ..Turn::default() }];
    let template = Template::new(TemplateKind::Plain, family("diapason").unwrap());
    let marked = template.render(&document, LossPolicy::EveryOutput);
    assert_eq!(paint(&marked, false), "<|begin|>⟦Once upon<|end|>⟧");
}

fn text(marked: &Marked) -> String {
    marked.text()
}

proptest! {
    #[test]
    fn a_prompt_is_a_prefix_of_the_training_rendering_and_an_option_follows_it(
        episode in episodes(),
        prompt_side in any::<bool>(),
    ) {
        for family in FAMILIES {
            for kind in KINDS {
                let sides = MarkerSides { prompt: prompt_side, learn: true };
                let template = Template::new(kind, family).with_markers(sides);
                let whole = text(&template.render(&episode, LossPolicy::EveryOutput));
                let (asked, last) = before_last(&episode);
                let markers = if prompt_side { last.markers.clone() } else { Markers::default() };
                let prompt = template.render_prompt_with(&asked, &markers);
                prop_assert!(!prompt.learns());
                let rest = whole.strip_prefix(&text(&prompt));
                prop_assert!(rest.is_some(), "{kind} {}: {whole:?} {:?}", family.name, text(&prompt));
                if last.markers.is_empty() || kind == TemplateKind::Plain {
                    let option = text(&template.render_output(&last.output));
                    prop_assert!(rest.unwrap().starts_with(&option));
                } else if kind != TemplateKind::Colon {
                    prop_assert!(rest.unwrap().starts_with(&print_list(&last.markers)));
                }
            }
        }
    }

    #[test]
    fn outputs_stand_whole_in_learned_spans_and_nothing_else_does(episode in episodes()) {
        for family in FAMILIES {
            let template = Template::new(TemplateKind::Spectrum, family);
            let marked = template.render(&episode, LossPolicy::EveryOutput);
            for (index, turn) in episode.turns.iter().enumerate() {
                let learned: String = marked
                    .spans
                    .iter()
                    .filter(|span| span.learn && span.turn == Some(index as u32))
                    .inspect(|span| assert_eq!(span.role, Some(Role::Output)))
                    .map(|span| span.text.as_str())
                    .collect();
                let list = print_list(&turn.markers);
                let list = if list.is_empty() { list } else { list + "\n" };
                let expected = format!("{list}{}{}", turn.output, family.close);
                let first = index == 0 && episode.description.is_none();
                prop_assert_eq!(learned, if first { String::new() } else { expected });
            }
        }
    }

    #[test]
    fn every_policy_but_the_modal_one_shows_the_same_text(episode in episodes()) {
        for kind in KINDS {
            let template = Template::new(kind, family("llama3").unwrap());
            let reference = text(&template.render(&episode, LossPolicy::EveryOutput));
            for policy in &POLICIES[..4] {
                prop_assert_eq!(&text(&template.render(&episode, *policy)), &reference);
            }
        }
    }
}
