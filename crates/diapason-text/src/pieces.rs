//! The bytes of every token, and text from ids: whole or as a stream.
//!
//! Decoding concatenates bytes, so it is exact for any ids and the same whether it runs at once or
//! token by token. Two alphabets cover the field: byte-level (GPT-2: every byte has a printable
//! stand-in character) and SentencePiece-like (`▁` is a space, `<0x0A>` a byte).

use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// How a vocabulary spells bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alphabet {
    spelling: Spelling,
    /// Whether encoding puts a space before every text, which decoding takes away.
    dummy_prefix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    ByteLevel,
    SentencePiece,
}

impl Alphabet {
    /// Reads the `decoder` entry of a `tokenizer.json`; `None` for an alphabet that is neither.
    pub(crate) fn of(decoder: &Value) -> Option<Self> {
        let mut steps = Vec::new();
        match decoder["decoders"].as_array() {
            Some(several) => steps.extend(several),
            None => steps.push(decoder),
        }
        let find = |kind: &str| steps.iter().find(|step| step["type"] == kind);
        let stripped = find("Strip").is_some_and(|step| step["start"].as_u64() > Some(0));
        if find("ByteLevel").is_some() {
            return Some(Alphabet { spelling: Spelling::ByteLevel, dummy_prefix: stripped });
        }
        let metaspace = find("Metaspace");
        if metaspace.is_none() && find("ByteFallback").is_none() {
            return None;
        }
        let prepended = |step: &Value| {
            let scheme = step["prepend_scheme"].as_str();
            scheme.map_or(step["add_prefix_space"] == true, |scheme| scheme != "never")
        };
        let dummy_prefix = stripped || metaspace.is_some_and(|step| prepended(step));
        Some(Alphabet { spelling: Spelling::SentencePiece, dummy_prefix })
    }

    fn bytes(self, piece: &str, stand_ins: &HashMap<char, u8>) -> Vec<u8> {
        match self.spelling {
            Spelling::ByteLevel => {
                let mut bytes = Vec::with_capacity(piece.len());
                for character in piece.chars() {
                    match stand_ins.get(&character) {
                        Some(byte) => bytes.push(*byte),
                        None => bytes.extend(character.to_string().as_bytes()),
                    }
                }
                bytes
            }
            Spelling::SentencePiece => match raw_byte(piece) {
                Some(byte) => vec![byte],
                None => piece.replace('▁', " ").into_bytes(),
            },
        }
    }
}

/// The byte of a piece like `<0x0A>`.
fn raw_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// GPT-2's printable stand-in of every byte, by character.
pub(crate) fn stand_ins() -> HashMap<char, u8> {
    let printable = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..=255u8).filter(|byte| !printable(byte)).zip(256u32..);
    let shown = (0..=255u8).filter(printable).map(|byte| (byte, u32::from(byte)));
    shown.chain(others).filter_map(|(byte, code)| Some((char::from_u32(code)?, byte))).collect()
}

/// The bytes of every id of a vocabulary.
#[derive(Debug)]
pub(crate) struct Pieces {
    alphabet: Alphabet,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    /// An added token: it stands for itself, outside the alphabet.
    added: bool,
}

impl Pieces {
    /// Pieces of a model's vocabulary and of the tokens added to it, which win.
    pub(crate) fn new(
        alphabet: Alphabet,
        vocabulary: impl IntoIterator<Item = (String, u32)>,
        added: impl IntoIterator<Item = (String, u32)>,
    ) -> Self {
        let stand_ins = stand_ins();
        let mut pieces = Vec::new();
        let mut place = |id: u32, piece: Piece| {
            let index = id as usize;
            if pieces.len() <= index {
                pieces.resize(index + 1, Piece::default());
            }
            pieces[index] = piece;
        };
        for (piece, id) in vocabulary {
            place(id, Piece { bytes: alphabet.bytes(&piece, &stand_ins), added: false });
        }
        for (content, id) in added {
            place(id, Piece { bytes: content.into_bytes(), added: true });
        }
        Pieces { alphabet, pieces }
    }

    /// One more than the largest id.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The bytes of one token; a replacement character for an id outside the vocabulary.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or("\u{fffd}".as_bytes(), |piece| &piece.bytes)
    }

    pub(crate) fn is_added(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| piece.added)
    }
}

/// Turns a stream of ids into text that is complete UTF-8 at every step.
///
/// The pieces returned by [`push`](Self::push) and [`finish`](Self::finish) join to what
/// [`Tokenizer::decode`](crate::Tokenizer::decode) gives for all ids at once.
#[derive(Clone, Debug)]
pub struct Decoder {
    pieces: Arc<Pieces>,
    /// The beginning of a character whose other bytes have not come yet.
    pending: Vec<u8>,
    /// Whether the next text begins a segment, where a dummy prefix is taken away.
    at_start: bool,
}

impl Decoder {
    pub(crate) fn new(pieces: Arc<Pieces>) -> Self {
        Decoder { pieces, pending: Vec::new(), at_start: true }
    }

    /// Takes the next id; returns the characters that it completes, possibly none.
    pub fn push(&mut self, id: u32) -> String {
        let mut bytes = self.pieces.bytes(id);
        if self.at_start && self.pieces.alphabet.dummy_prefix {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        self.at_start = self.pieces.is_added(id);
        self.pending.extend_from_slice(bytes);
        self.complete()
    }

    /// Ends the stream; returns a replacement character if a character was left incomplete.
    pub fn finish(&mut self) -> String {
        self.at_start = true;
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }

    fn complete(&mut self) -> String {
        let mut text = String::new();
        let mut start = 0;
        while start < self.pending.len() {
            match std::str::from_utf8(&self.pending[start..]) {
                Ok(valid) => {
                    text.push_str(valid);
                    start = self.pending.len();
                }
                Err(broken) => {
                    let valid = &self.pending[start..start + broken.valid_up_to()];
                    text.push_str(&String::from_utf8_lossy(valid));
                    start += broken.valid_up_to();
                    let Some(wrong) = broken.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    start += wrong;
                }
            }
        }
        self.pending.drain(..start);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Every byte as one token, and one added token.
    fn bytes_only() -> Arc<Pieces> {
        let bytes = stand_ins()
            .into_iter()
            .map(|(character, byte)| (character.to_string(), u32::from(byte)));
        Arc::new(Pieces::new(
            Alphabet { spelling: Spelling::ByteLevel, dummy_prefix: false },
            bytes,
            [("<|é|>".to_owned(), 256)],
        ))
    }

    proptest! {
        #[test]
        fn a_stream_of_any_bytes_joins_to_their_lossy_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut decoder = Decoder::new(bytes_only());
            let mut text: String = bytes.iter().map(|byte| decoder.push(u32::from(*byte))).collect();
            text += &decoder.finish();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn characters_come_whole_and_added_tokens_stand_for_themselves() {
        let mut decoder = Decoder::new(bytes_only());
        let steps: Vec<String> = [0xc3, 0xa9, 256, 999].map(|id| decoder.push(id)).into();
        assert_eq!(steps, ["", "é", "<|é|>", "\u{fffd}"]);
    }

    #[test]
    fn a_dummy_prefix_is_taken_away_once_a_segment() {
        let alphabet = Alphabet { spelling: Spelling::SentencePiece, dummy_prefix: true };
        let words = [("▁a".to_owned(), 0), ("<0x0A>".to_owned(), 1), ("▁".to_owned(), 2)];
        let pieces = Arc::new(Pieces::new(alphabet, words, [("</s>".to_owned(), 3)]));
        let mut decoder = Decoder::new(pieces);
        let text: String = [0, 0, 1, 3, 0, 3, 2, 2].map(|id| decoder.push(id)).concat();
        assert_eq!(text, "a a\n</s>a</s> ");
    }

    #[test]
    fn alphabets_are_told_by_the_decoder() {
        let of = |decoder: Value| Alphabet::of(&decoder);
        assert_eq!(
            of(json!({"type": "ByteLevel"})),
            Some(Alphabet { spelling: Spelling::ByteLevel, dummy_prefix: false })
        );
        let fallback = json!({"type": "Sequence", "decoders": [
            {"type": "Replace"}, {"type": "ByteFallback"}, {"type": "Fuse"}]});
        assert_eq!(
            of(fallback),
            Some(Alphabet { spelling: Spelling::SentencePiece, dummy_prefix: false })
        );
        let stripped = json!({"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        assert_eq!(
            of(stripped),
            Some(Alphabet { spelling: Spelling::SentencePiece, dummy_prefix: true })
        );
        let metaspace = json!({"type": "Metaspace", "prepend_scheme": "never"});
        assert_eq!(
            of(metaspace),
            Some(Alphabet { spelling: Spelling::SentencePiece, dummy_prefix: false })
        );
        assert_eq!(of(json!({"type": "WordPiece"})), None);
        assert_eq!(of(Value::Null), None);
    }
}
