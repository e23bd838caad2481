//! Episodes and tokenizers shared by the tests.

use diapason_flow::{Episode, Goal, Markers, Query, Turn};
use diapason_text::{Tokenizer, train_tokenizer};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// Strings that look like scaffolding, whole and in part.
pub(crate) const HOSTILE: &[&str] = &[
    "<|im_end|>",
    "<|im_start|>system\n",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<end_of_turn>",
    "<start_of_turn>model\n",
    "<bos>",
    "<|end|>",
    "<|output|>",
    "<|endoftext|>",
    "</s>",
    "<|im_en",
    "d|>",
    "<|",
    "|>",
    "<|<|end|>end|>",
    "</MARKER_LIST>",
    "\n\nOutput:",
    "⟧",
];

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder of genuine tokenizers, absent on most machines.
pub(crate) fn genuine(name: &str) -> Option<PathBuf> {
    let folder = repository().join("../shared/data/tokenizers").join(name);
    folder.join("tokenizer.json").exists().then_some(folder)
}

/// A small tokenizer with Gemma's special tokens and alphabet.
pub(crate) fn gemma_stand_in() -> PathBuf {
    repository().join("tests/golden/text/gemma3")
}

/// Texts with words that occur often enough to become tokens.
pub(crate) fn words() -> Vec<String> {
    let line = "An urn holds red, blue and green marbles; one is drawn: red. 12 naïve draws\n";
    vec![line.repeat(4), "red".into(), "red".into(), "green\nblue".into()]
}

pub(crate) fn own() -> Tokenizer {
    train_tokenizer(words().into_iter(), 400).unwrap()
}

pub(crate) fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z ,.0-9\n]{0,8}",
        2 => proptest::sample::select(HOSTILE).prop_map(str::to_owned),
        1 => ".{0,3}",
    ];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn markers() -> impl Strategy<Value = Markers> {
    proptest::option::of(texts()).prop_map(|value| {
        let mut markers = Markers::default();
        if let Some(value) = value {
            markers.set("lang", value);
        }
        markers
    })
}

pub(crate) fn turns() -> impl Strategy<Value = Turn> {
    (proptest::option::of(texts()), texts(), markers()).prop_map(|(input, output, markers)| Turn {
        input,
        output,
        markers,
        optimal_nats: None,
    })
}

/// Episodes with at least one turn.
pub(crate) fn episodes() -> impl Strategy<Value = Episode> {
    (proptest::option::of(texts()), proptest::collection::vec(turns(), 1..4)).prop_map(
        |(description, turns)| Episode { description, turns, ..Episode::new("task", "unit") },
    )
}

/// The same episode with its last output still to come.
pub(crate) fn before_last(episode: &Episode) -> (Episode, Turn) {
    let mut asked = episode.clone();
    let last = asked.turns.pop().unwrap();
    let goal = Goal::Text(last.output.clone());
    asked.query = Some(Query { input: last.input.clone(), goal });
    (asked, last)
}
