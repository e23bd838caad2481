//! Vocabularies of llama2.c (`tok512.bin`) as a tokenizer of ours.
//!
//! The file is a SentencePiece vocabulary: `int32` longest token, then for each id a `float32`
//! score, an `int32` length and the bytes, little endian. SentencePiece joins the neighbouring pair
//! whose joined piece scores highest; here every way to split a piece in two becomes a merge, and
//! merges are ranked by that score.
//!
//! SentencePiece puts a space before a text, so that a word has one id at the start and in the
//! middle. Every text that is encoded on its own, such as an output, gets that space here too, and
//! decoding takes it away after every special token.

use crate::TextError;
use crate::template::TemplateKind;
use crate::tokenizer::Tokenizer;
use crate::train::{ROLE_TOKENS, own_config};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Ids below are `<unk>`, begin, end and the 256 bytes; merges build those above.
const FIRST_MERGED: usize = 259;

/// Reads a vocabulary of llama2.c and adds `<|begin|>`, `<|end|>`, `<|description|>`, `<|input|>` and
/// `<|output|>` after its last id: 512 to 516 for `tok512.bin`.
///
/// `<s>` and `</s>` keep their ids 1 and 2, and only the new tokens are rendered.
///
/// # Errors
/// An unreadable file, or one that does not follow the layout.
pub fn import_llama2c(path: &Path) -> Result<Tokenizer, TextError> {
    let read = |source| TextError::Io { action: "read", path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(read)?;
    let entries = read_entries(&bytes)
        .map_err(|problem| TextError::Malformed { path: path.to_owned(), problem })?;
    let json = tokenizer_json(&entries).to_string();
    Tokenizer::from_json(path.to_owned(), json, own_config("<|end|>"), TemplateKind::Spectrum)
}

/// A piece and its score.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    piece: String,
    score: f32,
}

fn read_entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut rest = bytes.get(4..).ok_or("shorter than its header of 4 bytes")?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let id = entries.len();
        let short = || format!("ends inside token {id}");
        let (score, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(i32::from_le_bytes(*length))
            .map_err(|_| format!("token {id} has a negative length"))?;
        let (piece, after) = after.split_at_checked(length).ok_or_else(short)?;
        let piece =
            String::from_utf8(piece.to_vec()).map_err(|_| format!("token {id} is not UTF-8"))?;
        let piece = match id {
            0 => "<unk>".to_owned(),
            1 => "<s>".to_owned(),
            2 => "</s>".to_owned(),
            _ => piece.replace(' ', "▁"),
        };
        entries.push(Entry { piece, score: f32::from_le_bytes(*score) });
        rest = after;
    }
    if entries.len() < FIRST_MERGED {
        return Err(format!("{} tokens, fewer than the 256 bytes", entries.len()));
    }
    Ok(entries)
}

/// Every split of every merged piece into two pieces, best score first.
fn merges(entries: &[Entry]) -> Vec<[&str; 2]> {
    let merged = &entries[FIRST_MERGED..];
    let known: HashSet<&str> = merged.iter().map(|entry| entry.piece.as_str()).collect();
    let mut ranked: Vec<&Entry> = merged.iter().collect();
    // Stable: pieces of equal score keep the order of their ids.
    ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
    let mut merges = Vec::new();
    for entry in ranked {
        for (start, _) in entry.piece.char_indices().skip(1) {
            let (left, right) = entry.piece.split_at(start);
            if known.contains(left) && known.contains(right) {
                merges.push([left, right]);
            }
        }
    }
    merges
}

fn tokenizer_json(entries: &[Entry]) -> Value {
    let mut vocabulary = Map::new();
    for (id, entry) in entries.iter().enumerate() {
        vocabulary.insert(entry.piece.clone(), json!(id));
    }
    let own = ROLE_TOKENS.iter().zip(entries.len()..).map(|(name, id)| (*name, id));
    let inherited = entries[..3].iter().map(|entry| entry.piece.as_str()).zip(0..);
    let added: Vec<Value> = inherited
        .chain(own)
        .map(|(content, id)| {
            json!({
                "id": id, "content": content, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges(entries),
        },
    })
}

#[cfg(test)]
#[path = "llama2c_tests.rs"]
mod tests;
