//! Ids of one text: by the `tokenizers` crate, or faster and the same.
//!
//! The crate finds added tokens, normalises, cuts by a regular expression and tokenises every
//! piece, with offsets all along. For byte-level BPE with one of the known patterns, pieces are
//! cut by hand ([`Splitter`]) and looked up by their bytes, or merged ([`Merges`]) if new. What is not known to come out the same goes the crate's own way as a whole: other
//! tokenizers, and texts in which an added token stands.

use crate::TextError;
use crate::merges::Merges;
use crate::pieces::stand_ins;
use crate::split::Splitter;
use crate::table::{LONGEST_BYTES, Mixer, PieceTable};
use serde_json::Value;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, PoisonError};
use tokenizers::Model;
use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Turns text into ids.
#[derive(Debug)]
pub(crate) struct Encoder {
    slow: tokenizers::Tokenizer,
    fast: Option<Fast>,
}

/// What the fast way knows of a tokenizer.
#[derive(Debug)]
struct Fast {
    splitter: Splitter,
    merges: Merges,
    normalizer: Normalizer,
    /// Added tokens that data can become.
    added: Vec<String>,
    /// The character that stands for each byte in the vocabulary.
    spelling: Vec<char>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Normalizer {
    None,
    /// The composed form of Unicode.
    Composed,
    /// A space before every text.
    Space,
}

/// What one thread keeps from text to text. No id depends on it.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) cache: Cache,
    pub(crate) memo: Memo,
    /// Ids of the text that is being encoded.
    pub(crate) ids: Vec<u32>,
}

/// Pieces that were met before, and room for the text in hand.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pieces: PieceTable,
    normalised: String,
    spelled: String,
}

impl Encoder {
    /// An encoder of what a `tokenizer.json` holds; special tokens are text to it.
    pub(crate) fn new(tokenizer: Value) -> Result<Self, serde_json::Error> {
        let fast = Fast::of(&tokenizer);
        let mut slow: tokenizers::Tokenizer = serde_json::from_value(tokenizer)?;
        slow.set_encode_special_tokens(true);
        Ok(Encoder { slow, fast })
    }

    /// The tokenizer of the crate, for its vocabulary.
    pub(crate) fn slow(&self) -> &tokenizers::Tokenizer {
        &self.slow
    }

    /// Whether texts need not be remembered as a whole.
    pub(crate) fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// Appends the ids of a text.
    pub(crate) fn append(
        &self,
        text: &str,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        let Cache { pieces, normalised, spelled } = cache;
        let fast = self.fast.as_ref();
        let Some((fast, text)) =
            fast.and_then(|fast| Some((fast, fast.normalise(text, normalised)?)))
        else {
            return self.append_slowly(text, ids);
        };
        let mut start = 0;
        while start < text.len() {
            let end = fast.splitter.end(text, start);
            if !pieces.append(text.as_bytes(), (start, end), ids) {
                let piece = &text.as_bytes()[start..end];
                let before = ids.len();
                self.append_piece(fast, piece, spelled, ids)?;
                pieces.insert(piece, &ids[before..]);
            }
            start = end;
        }
        Ok(())
    }

    /// Appends the ids of a piece that is new.
    fn append_piece(
        &self,
        fast: &Fast,
        piece: &[u8],
        spelled: &mut String,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        let model = self.slow.get_model();
        let long = piece.len() > LONGEST_BYTES;
        if long || fast.merges.ignored_for_whole_pieces {
            spelled.clear();
            spelled.extend(piece.iter().map(|byte| fast.spelling[usize::from(*byte)]));
        }
        if long {
            let tokens = model.tokenize(spelled).map_err(|problem| failed(spelled, &problem))?;
            ids.extend(tokens.into_iter().map(|token| token.id));
            return Ok(());
        }
        let whole = fast.merges.ignored_for_whole_pieces.then(|| model.token_to_id(spelled));
        match whole.flatten() {
            Some(id) => ids.push(id),
            None => fast.merges.append(piece, ids),
        }
        Ok(())
    }

    /// What [`append`](Self::append) does, in the crate's own way.
    fn append_slowly(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TextError> {
        let encoding =
            self.slow.encode_fast(text, false).map_err(|problem| failed(text, &problem))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }
}

fn failed(text: &str, problem: &tokenizers::Error) -> TextError {
    TextError::Encode { text: text.chars().take(60).collect(), problem: problem.to_string() }
}

impl Fast {
    /// `None` if anything about the tokenizer is not known to be done alike here.
    fn of(tokenizer: &Value) -> Option<Self> {
        let normalizer = &tokenizer["normalizer"];
        let normalizer = match normalizer["type"].as_str() {
            None if normalizer.is_null() => Normalizer::None,
            Some("NFC") => Normalizer::Composed,
            Some("Prepend") if normalizer["prepend"] == " " => Normalizer::Space,
            _ => return None,
        };
        let added = tokenizer["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let added: Vec<String> = added
            .iter()
            .filter(|token| token["special"] != true)
            .map(|token| Some(token["content"].as_str()?.to_owned()))
            .collect::<Option<_>>()?;
        // What is ASCII is the same before and after normalisation.
        if !added.iter().all(|token| token.is_ascii()) {
            return None;
        }
        let mut spelling = vec!['\0'; 256];
        for (character, byte) in stand_ins() {
            spelling[usize::from(byte)] = character;
        }
        let splitter = Splitter::of(&tokenizer["pre_tokenizer"])?;
        let merges = Merges::of(&tokenizer["model"], &spelling)?;
        Some(Fast { splitter, merges, normalizer, added, spelling })
    }

    /// The text as its pieces are cut from it; `None` if an added token may stand in it.
    fn normalise<'a>(&self, text: &'a str, room: &'a mut String) -> Option<&'a str> {
        let text = match self.normalizer {
            Normalizer::Composed if !text.is_ascii() && !is_composed(text) => {
                // The other form must hold none either, as such tokens are looked for twice.
                if self.may_hold_added(text) {
                    return None;
                }
                room.clear();
                room.extend(text.nfc().map(|(character, _)| character));
                room
            }
            Normalizer::Space if !text.is_empty() => {
                room.clear();
                room.push(' ');
                room.push_str(text);
                room
            }
            _ => text,
        };
        (!self.may_hold_added(text)).then_some(text)
    }

    fn may_hold_added(&self, text: &str) -> bool {
        let begins = |token: &String| token.as_bytes().first().is_some_and(|byte| *byte == b'<');
        if self.added.iter().all(begins) && !text.contains('<') {
            return false;
        }
        self.added.iter().any(|token| text.contains(token.as_str()))
    }
}

/// Whether a text is in composed form, by the tables of the crate that composes.
fn is_composed(text: &str) -> bool {
    matches!(is_nfc_quick(text.chars()), IsNormalized::Yes)
}

/// Bytes of texts that a [`Memo`] remembers at most.
const MEMO_BYTES: usize = 16 << 20;

/// Ids of whole texts that were met before: of scaffolding, which is little and comes again and
/// again, and of data where there is no fast way.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Data, then scaffolding: the same text has other ids there.
    ids: [HashMap<String, Vec<u32>, BuildHasherDefault<Mixer>>; 2],
    bytes: usize,
}

impl Memo {
    pub(crate) fn ids(
        &mut self,
        template: bool,
        text: &str,
        encode: impl FnOnce() -> Result<Vec<u32>, TextError>,
    ) -> Result<&[u32], TextError> {
        if self.bytes > MEMO_BYTES {
            self.ids.iter_mut().for_each(HashMap::clear);
            self.bytes = 0;
        }
        let known = &mut self.ids[usize::from(template)];
        if !known.contains_key(text) {
            self.bytes += text.len();
            known.insert(text.to_owned(), encode()?);
        }
        Ok(&known[text])
    }
}

/// Workspaces that no thread uses just now: what one call has met serves the next.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Workspace>>);

impl Pool {
    /// Does some work with a workspace.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = idle().pop().unwrap_or_default();
        let result = work(&mut workspace);
        idle().push(workspace);
        result
    }
}

#[cfg(test)]
mod tests;
