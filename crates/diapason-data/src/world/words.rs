//! Words for labels and tales: members of kinds, and words that mean nothing.

use super::{Kind, kinds};
use diapason_flow::Stream;
use rand::seq::{IndexedRandom, SliceRandom};

const ONSETS: [&str; 14] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 7] = ["b", "k", "l", "m", "n", "p", "r"];

/// Which kinds labels come from. No word is in both pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordPool {
    /// Kinds that tuning draws from.
    Training,
    /// Kinds that no tuning data draws from or names.
    HeldOut,
}

impl WordPool {
    /// The kinds of the pool.
    pub fn kinds(self) -> impl Iterator<Item = &'static Kind> {
        kinds().iter().filter(move |kind| kind.tuned == (self == WordPool::Training))
    }

    /// `count` different single words, as a rule of different kinds.
    ///
    /// Numbers and colors are no labels: other processes of the tuning data use them.
    pub fn labels(self, count: usize, stream: &mut Stream) -> Vec<String> {
        let words: Vec<&Vec<String>> =
            self.kinds().filter(|kind| !kind.elsewhere).map(|kind| &kind.members).collect();
        let mut labels: Vec<String> = Vec::with_capacity(count);
        while labels.len() < count {
            let members = words.choose(stream).expect("both pools hold kinds of words");
            let word = members.choose(stream).expect("a kind has members");
            if !word.contains(' ') && !labels.contains(word) {
                labels.push(word.clone());
            }
        }
        labels.shuffle(stream);
        labels
    }
}

/// A pronounceable word of two syllables that means nothing.
pub fn nonce_word(stream: &mut Stream) -> String {
    let mut word = String::new();
    for _ in 0..2 {
        for part in [&ONSETS[..], &VOWELS[..], &CODAS[..]] {
            word.push_str(part.choose(stream).expect("the parts are not empty"));
        }
    }
    word
}
