//! The slow twin of every pattern is its regular expression, run by the `tokenizers` crate.

use super::{GPT_2, ONE_DIGIT, OWN, Splitter, THREE_DIGITS};
use crate::hostile;
use proptest::prelude::*;
use std::sync::LazyLock;
use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

static PATTERNS: LazyLock<Vec<(Splitter, Split)>> = LazyLock::new(|| {
    let both = |expression: &str| {
        let pattern = SplitPattern::Regex(expression.to_owned());
        let slow = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
        (Splitter::new(expression).unwrap(), slow)
    };
    [THREE_DIGITS, ONE_DIGIT, GPT_2, OWN].map(both).into()
});

fn fast(splitter: &Splitter, text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = splitter.end(text, start);
        pieces.push(text[start..end].to_owned());
        start = end;
    }
    pieces
}

fn slow(split: &Split, text: &str) -> Vec<String> {
    let mut cut = PreTokenizedString::from(text);
    split.pre_tokenize(&mut cut).unwrap();
    let pieces = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
    pieces
        .into_iter()
        .map(|(piece, _, _)| piece.to_owned())
        .filter(|piece| !piece.is_empty())
        .collect()
}

fn check(text: &str) {
    for (splitter, split) in PATTERNS.iter() {
        assert_eq!(fast(splitter, text), slow(split, text), "{:?} {text:?}", splitter.pattern);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_text_is_cut_as_by_the_expression(text in hostile::texts()) {
        check(&text);
    }
}

#[test]
fn every_character_is_of_its_kind() {
    // A letter, a digit, a sign and a space around each: whatever kind it has shows in the cuts.
    // Beyond the planes that hold letters there are marks, and what will never be assigned.
    let letters = '\0'..='\u{1ffff}';
    let all: Vec<char> =
        letters.chain('\u{2f800}'..='\u{2fa1f}').chain('\u{e0000}'..='\u{e01ff}').collect();
    for some in all.chunks(4096) {
        let text: String =
            some.iter().flat_map(|one| ['a', *one, '1', *one, '!', *one, ' ']).collect();
        check(&text);
    }
}

#[test]
fn every_short_text_of_what_the_patterns_name_is_cut_alike() {
    const NAMED: [&str; 12] = ["'", "s", "L", "ſ", "e", " ", "\n", "\r", "\t", "7", "!", "\u{301}"];
    let mut texts = vec![String::new()];
    for _ in 0..4 {
        let longer = texts.iter().flat_map(|text| NAMED.map(|next| format!("{text}{next}")));
        texts = longer.collect();
        for text in &texts {
            check(text);
        }
    }
}

#[test]
fn a_hundred_thousand_of_one_character_are_cut_alike() {
    // At some million the crate's engine gives up and leaves the rest of the text whole.
    for unit in [" ", "\n", "a", "!", "'"] {
        check(&format!("x{}y", unit.repeat(100_000)));
    }
}
