//! A byte-level vocabulary for our own small models, learned from their texts.
//!
//! Texts are cut into pieces that merges never cross: a run of letters, a digit or a sign, each with
//! the space before it; a line end. Every text that is encoded on its own gets a space before it,
//! which decoding takes away, so a word in the middle of a description is the same token as the
//! word alone in an output.

use crate::TextError;
use crate::template::TemplateKind;
use crate::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::Prepend;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// What our own models are scaffolded with: ids 0 to 4 of a trained vocabulary, in this order.
pub(crate) const ROLE_TOKENS: [&str; 5] =
    ["<|begin|>", "<|end|>", "<|description|>", "<|input|>", "<|output|>"];

/// Id 5 of a trained vocabulary, for tools that pad; diapason never does.
const PAD: &str = "<|pad|>";

/// Number of bytes, each a token of its own, so that any text has ids.
const BYTES: usize = 256;

/// The pieces that no merge crosses. Combining marks belong to the letters they modify.
const PIECES: &str = r" ?[\p{L}\p{M}]+| ?\p{N}|\n| ?[^\s\p{L}\p{M}\p{N}]|(?s:.)";

/// Learns a tokenizer of at most `vocabulary_size` tokens: the special tokens, the 256 bytes, then
/// the most frequent pieces and parts of pieces. The same texts give the same bytes.
///
/// Fewer tokens result when the texts have fewer parts that occur twice.
///
/// # Errors
/// [`TextError::Train`] if the size does not hold the special tokens and the bytes.
pub fn train_tokenizer<I, S>(texts: I, vocabulary_size: usize) -> Result<Tokenizer, TextError>
where
    I: Iterator<Item = S> + Send,
    S: AsRef<str> + Send,
{
    let failed = |problem: String| TextError::Train { vocabulary_size, problem };
    let least = ROLE_TOKENS.len() + 1 + BYTES;
    if vocabulary_size < least {
        return Err(failed(format!("the special tokens and the bytes alone are {least}")));
    }
    let byte_level = ByteLevel::new(false, false, false);
    let pattern = SplitPattern::Regex(PIECES.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
        .map_err(|problem| failed(problem.to_string()))?;
    let mut learner = tokenizers::Tokenizer::new(BPE::default());
    learner
        .with_normalizer(Some(Prepend::new(" ".to_owned())))
        .map_err(|problem| failed(problem.to_string()))?;
    learner
        .with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(byte_level),
        ])))
        .with_decoder(Some(Decoders::new(vec![
            DecoderWrapper::ByteLevel(byte_level),
            DecoderWrapper::Strip(Strip::new(' ', 1, 0)),
        ])));
    let specials = ROLE_TOKENS.into_iter().chain([PAD]);
    let trainer = BpeTrainer::builder()
        .vocab_size(vocabulary_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(specials.map(|name| AddedToken::from(name, true)).collect())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    learner
        .train(&mut TrainerWrapper::from(trainer), texts)
        .map_err(|problem| failed(problem.to_string()))?;
    let json = learner.to_string(true).map_err(|problem| failed(problem.to_string()))?;
    let name = PathBuf::from("tokenizer.json");
    Tokenizer::from_json(name, json, own_config(PAD), TemplateKind::Spectrum)
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
