//! Words for labels, and what tuning shows of them.

use super::{Kind, Role, kinds};
use diapason_flow::Stream;
use rand::seq::SliceRandom;

/// Which words a process uses. Labels of the two pools have no word in common, nor have members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordPool {
    /// Words that tuning shows.
    Training,
    /// Words that occur in no tuning data.
    HeldOut,
}

impl WordPool {
    /// The kinds that `members` draws from.
    pub fn kinds(self) -> impl Iterator<Item = &'static Kind> {
        let role = if self == WordPool::Training { Role::Drawn } else { Role::Known };
        kinds().iter().filter(move |kind| kind.role == role)
    }

    /// All words that can be labels.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        kinds().iter().filter(|kind| kind.role == Role::Label).flat_map(move |kind| {
            let (training, new) = kind.members.split_at(kind.members.len() * 3 / 4);
            let words = if self == WordPool::Training { training } else { new };
            words.iter().map(String::as_str)
        })
    }

    /// `count` different labels in random order, at most as many as there are.
    pub fn labels(self, count: usize, stream: &mut Stream) -> Vec<String> {
        let mut words: Vec<&str> = self.words().collect();
        let (chosen, _) = words.partial_shuffle(stream, count);
        chosen.iter().map(|word| (*word).to_owned()).collect()
    }
}
