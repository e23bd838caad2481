//! Texts that tokenizers have been seen to trip over, for property tests.

use proptest::prelude::*;

/// What the patterns of pre-tokenizers name or nearly name, and strings of special tokens.
const NAMED: &[&str] = &[
    "'s", "'S", "'ſ", "'re", "'RE", "'lL", "'ve", "'m", "'d", "'t", "’s", "''s", "'", "ſ",
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\r", "\u{85}", "\u{a0}", "\u{2028}",
    "\u{3000}", "\u{200b}", "\u{feff}", "\0", "\u{1}", "\u{7f}", "\u{378}", "\u{e000}",
    "\u{10ffff}", "\u{fffd}", "a", "B", "the", " the", "naïve", "e\u{301}", "e\u{302}\u{323}",
    "\u{1ec7}", "\u{301}", "\u{345}", "\u{212b}", "\u{37e}", "\u{212a}", "が", "か\u{3099}",
    "\u{1100}\u{1161}\u{11a8}", "각", "각\u{11a8}", "中文", "ไทย", "हिन्दी", "עִבְרִית", "عَرَبِيّ", "Ελληνικά",
    "русский", "ǆ", "ʰ", "İ", "ß", "0", "12", "1234", "٣", "Ⅷ", "½", "²", "१२३", "🧮", "👨‍👩‍👧", "🇩🇪",
    "👍🏽", "\u{20e3}", "!", "!!", "...", "—", "_", "<", "<|", "|>", "<think>", "</think>",
    "<tool_call>", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|end|>",
    "<|begin_of_text|>", "<|extra_id_0|>", "<s>", "\u{1fef}",
];

/// Texts of all of these, of words, and of any characters.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => proptest::sample::select(NAMED).prop_map(str::to_owned),
        2 => "[a-zA-Z]{1,9}",
        1 => " [a-z]{1,12}[,.;]?",
        1 => "[0-9]{1,7}",
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,4}",
        1 => "\\p{M}{1,3}",
    ];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}
