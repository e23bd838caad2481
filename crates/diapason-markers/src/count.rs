//! Lengths of a text: words, sentences, paragraphs, in any script.
//!
//! Words and sentences follow Unicode Annex 29 with the dictionaries of ICU for Chinese, Japanese,
//! Thai, Lao, Khmer and Burmese, which write no spaces. Punctuation is no word.

use icu_segmenter::options::{SentenceBreakInvariantOptions, WordBreakInvariantOptions};
use icu_segmenter::{
    SentenceSegmenter, SentenceSegmenterBorrowed, WordSegmenter, WordSegmenterBorrowed,
};

/// Lengths of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Words.
    pub words: usize,
    /// Stretches between sentence breaks that hold a letter or digit; a line end breaks too.
    /// Thai and its like end no sentence with a mark, so there a line counts as one.
    pub sentences: usize,
    /// Stretches between blank lines that hold anything.
    pub paragraphs: usize,
}

/// Measures lengths; made once, shared by all threads.
#[derive(Debug)]
pub struct Counter {
    words: WordSegmenterBorrowed<'static>,
    sentences: SentenceSegmenterBorrowed<'static>,
}

impl Default for Counter {
    fn default() -> Self {
        Counter::new()
    }
}

impl Counter {
    /// A counter with the dictionaries that are compiled in.
    pub fn new() -> Self {
        Counter {
            // Dictionaries read Thai seventy times as fast as the networks of `new_auto`.
            words: WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()),
            sentences: SentenceSegmenter::new(SentenceBreakInvariantOptions::default()),
        }
    }

    /// The lengths of a text.
    pub fn lengths(&self, text: &str) -> Lengths {
        let mut sentences = 0;
        let mut start = 0;
        for end in self.sentences.segment_str(text) {
            let worded = text[start..end].chars().any(char::is_alphanumeric);
            sentences += usize::from(worded);
            start = end;
        }
        Lengths { words: self.words(text), sentences, paragraphs: paragraphs(text) }
    }

    /// Number of words.
    pub fn words(&self, text: &str) -> usize {
        let breaks = self.words.segment_str(text).iter_with_word_type();
        breaks.filter(|(_, kind)| kind.is_word_like()).count()
    }
}

fn paragraphs(text: &str) -> usize {
    let mut count = 0;
    let mut blank = true;
    for line in text.lines() {
        let empty = line.trim().is_empty();
        count += usize::from(blank && !empty);
        blank = empty;
    }
    count
}

/// The length bucket of a number of words.
pub fn length_bucket(words: usize) -> &'static str {
    match words {
        0..300 => "concise",
        300..=1000 => "medium",
        _ => "long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_in_every_script() {
        let counter = Counter::new();
        for (text, words, sentences) in [
            ("It isn't 3.5 km far. Is it? No!", 8, 3),
            ("今天天气很好。我们去公园吧！", 7, 2),
            ("私は学生です。元気ですか？", 7, 2),
            ("ฉันรักภาษาไทย", 4, 1),
            ("오늘은 날씨가 좋다.", 3, 1),
            ("Привет, мир! Как дела?", 4, 2),
            ("… — !!", 0, 0),
            ("", 0, 0),
        ] {
            let lengths = counter.lengths(text);
            assert_eq!((lengths.words, lengths.sentences), (words, sentences), "{text}");
        }
    }

    #[test]
    fn paragraphs_stand_between_blank_lines() {
        for (text, count) in [("", 0), ("a", 1), ("a\nb", 1), ("\n\na\n \t\n\nb\n", 2)] {
            assert_eq!(paragraphs(text), count, "{text:?}");
        }
    }

    #[test]
    fn buckets_meet_at_the_limits_of_the_paper() {
        assert_eq!(
            [299, 300, 1000, 1001].map(length_bucket),
            ["concise", "medium", "medium", "long"]
        );
    }

    /// Spaced scripts need no dictionary: a slow count from the definition agrees.
    #[test]
    fn spaced_words_agree_with_a_plain_count() {
        let counter = Counter::new();
        let text = "Der Hund lief, und die Katze schlief; dann kam 1 Vogel vorbei.";
        let plain = text.split(|letter: char| !letter.is_alphanumeric());
        assert_eq!(counter.words(text), plain.filter(|word| !word.is_empty()).count());
    }
}
