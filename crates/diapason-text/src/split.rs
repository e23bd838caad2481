//! Cutting text into the pieces that a byte-level BPE tokenises one by one, without a regular
//! expression engine.
//!
//! Four patterns cover the vocabularies in use. Each is written out below as it stands in a
//! `tokenizer.json`; the tests compare the cuts with those of the expression itself.

use regex_syntax::hir::{Class, HirKind};
use serde_json::Value;

/// What Llama 3, dolma and their like cut by; Qwen's differs in cutting every digit by itself.
pub(crate) const THREE_DIGITS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(crate) const ONE_DIGIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What GPT-2 and its like cut by: the expression that `ByteLevel` brings itself.
pub(crate) const GPT_2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// What the tokenizers of our own models cut by. Combining marks belong to the letters they
/// modify.
pub(crate) const OWN: &str = r" ?[\p{L}\p{M}]+| ?\p{N}|\n| ?[^\s\p{L}\p{M}\p{N}]|[\s\S]";

/// A set of kinds of characters, one bit each; a character is of one kind.
type Kinds = u8;
const LETTER: Kinds = 1;
const MARK: Kinds = 2;
const NUMBER: Kinds = 4;
const SPACE: Kinds = 8;
/// Everything else, what is not assigned included.
const SIGN: Kinds = 16;

/// Which expression the cuts are those of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// [`THREE_DIGITS`] or [`ONE_DIGIT`].
    Digits(usize),
    Gpt2,
    Own,
}

/// Finds the ends of pieces.
#[derive(Debug)]
pub(crate) struct Splitter {
    pattern: Pattern,
    /// The kind of every character.
    kinds: Box<[Kinds]>,
}

impl Splitter {
    /// Reads the `pre_tokenizer` entry of a `tokenizer.json`; `None` if it cuts in another way.
    pub(crate) fn of(pre_tokenizer: &Value) -> Option<Self> {
        let plain = |step: &Value| step["type"] == "ByteLevel" && step["add_prefix_space"] == false;
        if plain(pre_tokenizer) && pre_tokenizer["use_regex"] != false {
            return Self::new(GPT_2);
        }
        let [split, bytes] = pre_tokenizer["pretokenizers"].as_array()?.as_slice() else {
            return None;
        };
        // Every pattern matches every text throughout, so taking away what does not match, as
        // some say it, is the same.
        let how = (split["behavior"].as_str()?, split["invert"].as_bool()?);
        let whole = matches!(how, ("Isolated", false) | ("Removed", true));
        let known =
            split["type"] == "Split" && whole && plain(bytes) && bytes["use_regex"] == false;
        Self::new(split["pattern"]["Regex"].as_str().filter(|_| known)?)
    }

    fn new(expression: &str) -> Option<Self> {
        let pattern = match expression {
            THREE_DIGITS => Pattern::Digits(3),
            ONE_DIGIT => Pattern::Digits(1),
            GPT_2 => Pattern::Gpt2,
            OWN => Pattern::Own,
            _ => return None,
        };
        let mut kinds = vec![SIGN; char::MAX as usize + 1].into_boxed_slice();
        for (class, kind) in
            [(r"\p{L}", LETTER), (r"\p{M}", MARK), (r"\p{N}", NUMBER), (r"\s", SPACE)]
        {
            // The tables of the engine that would run the expression.
            let HirKind::Class(Class::Unicode(class)) =
                regex_syntax::parse(class).ok()?.into_kind()
            else {
                return None;
            };
            for range in class.ranges() {
                kinds[range.start() as usize..=range.end() as usize].fill(kind);
            }
        }
        Some(Splitter { pattern, kinds })
    }

    /// The end of the piece that begins at `start`, which is before the end of the text.
    pub(crate) fn end(&self, text: &str, start: usize) -> usize {
        match self.pattern {
            Pattern::Digits(digits) => self.end_with_digits(text, start, digits),
            Pattern::Gpt2 => self.end_gpt2(text, start),
            Pattern::Own => self.end_own(text, start),
        }
    }

    fn end_with_digits(&self, text: &str, start: usize, digits: usize) -> usize {
        let bytes = text.as_bytes();
        let (kind, second) = self.at(text, start);
        match kind {
            LETTER => return self.run(text, second, LETTER),
            NUMBER => {
                let mut end = second;
                for _ in 1..digits {
                    let (kind, next) = self.at(text, end);
                    if kind != NUMBER {
                        break;
                    }
                    end = next;
                }
                return end;
            }
            _ => {}
        }
        if bytes[start] == b'\''
            && let Some(length) = contraction(&text[second..], true)
        {
            return second + length;
        }
        let (after, third) = self.at(text, second);
        if after == LETTER && !is_line_end(bytes[start]) {
            return self.run(text, third, LETTER);
        }
        if kind != SPACE || (bytes[start] == b' ' && after & (SIGN | MARK) != 0) {
            let end = self.run(text, second, SIGN | MARK);
            return end + bytes[end..].iter().take_while(|byte| is_line_end(**byte)).count();
        }
        let end = self.run(text, second, SPACE);
        match bytes[start..end].iter().rposition(|byte| is_line_end(*byte)) {
            Some(last) => start + last + 1,
            None => before_last(text, start, end),
        }
    }

    fn end_gpt2(&self, text: &str, start: usize) -> usize {
        let (kind, second) = self.at(text, start);
        let first = text.as_bytes()[start];
        if first == b'\''
            && let Some(length) = contraction(&text[second..], false)
        {
            return second + length;
        }
        let (head, from) = if first == b' ' { self.at(text, second) } else { (kind, second) };
        match head {
            LETTER | NUMBER => self.run(text, from, head),
            SIGN | MARK => self.run(text, from, SIGN | MARK),
            _ => before_last(text, start, self.run(text, second, SPACE)),
        }
    }

    fn end_own(&self, text: &str, start: usize) -> usize {
        let (kind, second) = self.at(text, start);
        let space = text.as_bytes()[start] == b' ';
        let (head, from) = if space { self.at(text, second) } else { (kind, second) };
        match head {
            LETTER | MARK => self.run(text, from, LETTER | MARK),
            NUMBER | SIGN => from,
            _ => second,
        }
    }

    /// Kind and end of the character at a place; no kind at the end of the text.
    fn at(&self, text: &str, place: usize) -> (Kinds, usize) {
        match text.as_bytes().get(place) {
            None => (0, place),
            Some(byte) if byte.is_ascii() => (self.kinds[usize::from(*byte)], place + 1),
            Some(_) => text[place..].chars().next().map_or((0, place), |character| {
                (self.kinds[character as usize], place + character.len_utf8())
            }),
        }
    }

    /// Where a run of characters of these kinds ends.
    fn run(&self, text: &str, mut place: usize, of: Kinds) -> usize {
        loop {
            let (kind, next) = self.at(text, place);
            if kind & of == 0 {
                return place;
            }
            place = next;
        }
    }
}

/// The end of a run of white space without line ends: what follows keeps the last character,
/// unless nothing does or it would be all.
fn before_last(text: &str, start: usize, end: usize) -> usize {
    let last = text[start..end].char_indices().next_back().map_or(0, |(place, _)| place);
    if end == text.len() || last == 0 { end } else { start + last }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Length of `s`, `t`, `re`, `ve`, `m`, `ll` or `d` at the beginning of a text.
fn contraction(rest: &str, ignore_case: bool) -> Option<usize> {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
    match *rest.as_bytes() {
        [first, ..] if matches!(fold(first), b's' | b't' | b'm' | b'd') => Some(1),
        [first, second, ..] if matches!(&[fold(first), fold(second)], b"re" | b"ve" | b"ll") => {
            Some(2)
        }
        // The long s is an s to expressions that ignore case.
        _ if ignore_case && rest.starts_with('ſ') => Some('ſ'.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
