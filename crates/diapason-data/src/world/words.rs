//! Labels for processes: members of a kind, codes, and nonsense words.
//!
//! Codes and nonsense words split into a training half and a held-out half by a hash of the word
//! itself, so "this label never occurs in training" holds for every corpus and every task.

use super::kinds;
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

const ONSETS: [&str; 14] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 7] = ["b", "k", "l", "m", "n", "p", "r"];

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordPool {
    /// Members of one tuned kind, codes or nonsense words of the training half.
    Training,
    /// Nonsense words of the held-out half: no label occurs in any training text.
    HeldOut,
}

impl WordPool {
    /// `count` different labels of one style.
    pub fn labels(self, count: usize, stream: &mut Stream) -> Vec<String> {
        let style = match self {
            WordPool::HeldOut => 2,
            WordPool::Training => stream.random_range(0..3),
        };
        if style == 0 {
            let fitting: Vec<_> =
                kinds().iter().filter(|kind| kind.tuned && kind.members.len() >= count).collect();
            if let Some(kind) = fitting.choose(stream) {
                let mut members: Vec<_> = kind.members.clone();
                members.shuffle(stream);
                members.truncate(count);
                return members;
            }
        }
        let mut labels: Vec<String> = Vec::with_capacity(count);
        while labels.len() < count {
            let label = if style == 1 {
                let letter = char::from(b'A' + stream.random_range(0..26u8));
                format!("{letter}{}", stream.random_range(1..10))
            } else {
                nonce_word(self == WordPool::HeldOut, stream)
            };
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }
}

/// A pronounceable word of two syllables that means nothing, from the asked half.
pub fn nonce_word(held_out: bool, stream: &mut Stream) -> String {
    loop {
        let mut word = String::new();
        for _ in 0..2 {
            for part in [&ONSETS[..], &VOWELS[..], &CODAS[..]] {
                word.push_str(part.choose(stream).expect("the parts are not empty"));
            }
        }
        if is_held_out(&word) == held_out {
            return word;
        }
    }
}

/// Whether a nonsense word belongs to the held-out half: FNV-1a of its bytes, lowest bit.
pub(super) fn is_held_out(word: &str) -> bool {
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) & 1 == 1
}
