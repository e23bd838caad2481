//! The ids of one piece by byte-pair encoding, as the model of the `tokenizers` crate merges it.
//!
//! Of all neighbouring pairs that merge, the one of the lowest rank does, the leftmost of equals,
//! until none is left. Pieces are short, so looking at all of them again costs less than a heap.

use crate::table::Mixer;
use serde_json::Value;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// What a byte-level model merges.
#[derive(Debug)]
pub(crate) struct Merges {
    /// The id of every byte by itself.
    bytes: Vec<u32>,
    /// Left and right id → rank, and the id that they become.
    pairs: HashMap<u64, Merge, BuildHasherDefault<Mixer>>,
    /// Whether a piece that is a token is that token, however it would merge.
    pub(crate) ignored_for_whole_pieces: bool,
}

#[derive(Clone, Copy, Debug)]
struct Merge {
    rank: u32,
    id: u32,
}

impl Merges {
    /// Reads the `model` entry of a `tokenizer.json`, in which `spelling` stands for the bytes;
    /// `None` if it is another kind of model, or merges in another way.
    pub(crate) fn of(model: &Value, spelling: &[char]) -> Option<Self> {
        let plain = ["continuing_subword_prefix", "end_of_word_suffix"]
            .iter()
            .all(|key| model[*key].as_str().is_none_or(str::is_empty));
        let drawn = model["dropout"].as_f64().is_some_and(|share| share > 0.0);
        if !plain || drawn || !model["type"].as_str().is_none_or(|kind| kind == "BPE") {
            return None;
        }
        let vocabulary = model["vocab"].as_object()?;
        let mut ids: HashMap<&str, u32, BuildHasherDefault<Mixer>> = HashMap::default();
        for (token, id) in vocabulary {
            ids.insert(token, u32::try_from(id.as_u64()?).ok()?);
        }
        let id = |token: &str| ids.get(token).copied();
        let bytes = spelling.iter().map(|byte| id(byte.encode_utf8(&mut [0; 4])));
        let bytes = bytes.collect::<Option<_>>()?;
        let mut pairs = HashMap::default();
        let mut joined = String::new();
        for (rank, merge) in (0..).zip(model["merges"].as_array()?) {
            let (left, right) = match merge {
                Value::String(pair) => pair.split_once(' ')?,
                pair => (pair[0].as_str()?, pair[1].as_str()?),
            };
            joined.clear();
            joined.extend([left, right]);
            // Of a pair that stands twice, the crate keeps the last.
            pairs.insert(key(id(left)?, id(right)?), Merge { rank, id: id(&joined)? });
        }
        let ignored_for_whole_pieces = model["ignore_merges"] == true;
        Some(Merges { bytes, pairs, ignored_for_whole_pieces })
    }

    /// Appends the ids of a piece.
    pub(crate) fn append(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let start = ids.len();
        ids.extend(piece.iter().map(|byte| self.bytes[usize::from(*byte)]));
        let mut merges: Vec<Option<Merge>> =
            ids[start..].windows(2).map(|pair| self.of_pair(pair[0], pair[1])).collect();
        while let Some((place, merge)) = lowest(&merges) {
            let at = start + place;
            ids[at] = merge.id;
            ids.remove(at + 1);
            merges.remove(place);
            if place > 0 {
                merges[place - 1] = self.of_pair(ids[at - 1], ids[at]);
            }
            if place < merges.len() {
                merges[place] = self.of_pair(ids[at], ids[at + 1]);
            }
        }
    }

    fn of_pair(&self, left: u32, right: u32) -> Option<Merge> {
        self.pairs.get(&key(left, right)).copied()
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// The leftmost of the merges of the lowest rank, with its place.
fn lowest(merges: &[Option<Merge>]) -> Option<(usize, Merge)> {
    let there = merges.iter().enumerate().filter_map(|(place, merge)| Some((place, (*merge)?)));
    there.min_by_key(|(_, merge)| merge.rank)
}
