//! A byte-level vocabulary for our own small models, learned from their texts.
//!
//! Texts are cut into pieces: a run of letters, a digit or a sign, each with
//! the space before it; a line end. Every text that is encoded on its own gets a space before it,
//! which decoding takes away, so a word in the middle of a description is the same token as the
//! word alone in an output.

use crate::TextError;
use crate::split::OWN;
use crate::template::TemplateKind;
use crate::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::Prepend;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// What our own models are scaffolded with: ids 0 to 4 of a trained vocabulary, in this order.
pub(crate) const ROLE_TOKENS: [&str; 5] =
    ["<|begin|>", "<|end|>", "<|description|>", "<|input|>", "<|output|>"];

/// Id 5 of a trained vocabulary, for tools that pad; diapason never does.
const PAD: &str = "<|pad|>";

/// Number of bytes, each a token of its own, so that any text has ids.
const BYTES: usize = 256;

/// Learns a tokenizer of at most `vocabulary_size` tokens: the special tokens, the 256 bytes, then
/// the most frequent pieces that occur at least twice, each whole; other text is spelled in bytes.
/// The same texts give the same bytes.
///
/// Small worlds have few words. A merge table would spend most of a small vocabulary on parts of
/// words; whole words make sequences as short as they can be, and a label one token.
///
/// # Errors
/// [`TextError::Train`] if the size does not hold the special tokens and the bytes.
pub fn train_tokenizer<I, S>(texts: I, vocabulary_size: usize) -> Result<Tokenizer, TextError>
where
    I: Iterator<Item = S>,
    S: AsRef<str>,
{
    let failed = |problem: String| TextError::Train { vocabulary_size, problem };
    let own = |problem: tokenizers::Error| failed(problem.to_string());
    let least = ROLE_TOKENS.len() + 1 + BYTES;
    if vocabulary_size < least {
        return Err(failed(format!("the special tokens and the bytes alone are {least}")));
    }
    let byte_level = ByteLevel::new(false, false, false);
    let pattern = SplitPattern::Regex(OWN.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(own)?;
    let pieces = Sequence::new(vec![
        PreTokenizerWrapper::Split(split),
        PreTokenizerWrapper::ByteLevel(byte_level),
    ]);
    let mut alphabet: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    alphabet.sort_unstable();
    let frequent = frequent_pieces(texts, &pieces).map_err(own)?;
    let frequent = frequent.into_iter().filter(|piece| !alphabet.contains(piece));
    let specials = ROLE_TOKENS.into_iter().chain([PAD]);
    let vocabulary: Vocab = specials
        .clone()
        .map(str::to_owned)
        .chain(alphabet.iter().cloned())
        .chain(frequent)
        .take(vocabulary_size)
        .zip(0..)
        .collect();
    let whole = BPE::builder().vocab_and_merges(vocabulary, Vec::new());
    let model = whole.ignore_merges(true).build().map_err(own)?;
    let mut learner = tokenizers::Tokenizer::new(model);
    learner.with_normalizer(Some(Prepend::new(" ".to_owned()))).map_err(own)?;
    learner.with_pre_tokenizer(Some(pieces)).with_decoder(Some(Decoders::new(vec![
        DecoderWrapper::ByteLevel(byte_level),
        DecoderWrapper::Strip(Strip::new(' ', 1, 0)),
    ])));
    learner.add_special_tokens(specials.map(|name| AddedToken::from(name, true))).map_err(own)?;
    let json = learner.to_string(true).map_err(own)?;
    let name = PathBuf::from("tokenizer.json");
    Tokenizer::from_json(name, json, own_config(PAD), TemplateKind::Spectrum)
}

/// Pieces that occur at least twice, the most frequent first; ties in the order of their letters.
fn frequent_pieces<S: AsRef<str>>(
    texts: impl Iterator<Item = S>,
    pieces: &Sequence,
) -> Result<Vec<String>, tokenizers::Error> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let mut cut = PreTokenizedString::from(format!(" {}", text.as_ref()));
        pieces.pre_tokenize(&mut cut)?;
        for (piece, _, _) in cut.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match counts.get_mut(piece) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(piece.to_owned(), 1);
                }
            }
        }
    }
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().filter(|(_, count)| *count > 1).collect();
    counts.sort_unstable_by(|(a, often), (b, other)| other.cmp(often).then_with(|| a.cmp(b)));
    Ok(counts.into_iter().map(|(piece, _)| piece).collect())
}

/// The `tokenizer_config.json` of our own models.
pub(crate) fn own_config(pad: &str) -> Map<String, Value> {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": true,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 1_000_000,
        "pad_token": pad,
    });
    config.as_object().cloned().unwrap_or_default()
}
