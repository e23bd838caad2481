//! The small world that `diapason quickstart` lives in: kinds of things with their members and
//! a corpus of plain text about them for a base model.
//!
//! Nothing is downloaded, so the base model must learn from us what a fruit or a US state is. The
//! corpus states facts and lists them; it never shows the format of an episode. As in texts that
//! people write, the members of a kind are not named equally often: apples more often than quinces.
//! Some kinds are known from the corpus only: what tuning does to them is a held-out result.

mod corpus;
mod words;

pub(crate) use corpus::capitalised;
pub use corpus::{CorpusSettings, document};
pub use words::WordPool;

use rand_distr::weighted::WeightedIndex;
use serde::Deserialize;
use std::sync::OnceLock;

/// What tuning does with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tuning draws its members.
    Drawn,
    /// Known from the corpus alone.
    Known,
}

/// One kind of thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name in the singular: `fruit`.
    pub one: String,
    /// Its name in the plural: `fruits`.
    pub many: String,
    /// Other names of a member's kind in the singular: `edible fruit`.
    pub also: Vec<String>,
    /// What tuning does with it.
    pub role: Role,
    /// What belongs to it, the most familiar first.
    pub members: Vec<String>,
}

impl Kind {
    /// The singular with its article: `a fruit`, `an animal`.
    pub fn with_article(&self) -> String {
        with_article(&self.one)
    }

    /// Its other names, each with its article.
    pub fn also_with_articles(&self) -> impl Iterator<Item = String> {
        self.also.iter().map(|name| with_article(name))
    }

    /// How often the corpus names each member beside the first: by Zipf's law, the n-th of the list
    /// 1/n times as often.
    fn familiarity(&self) -> impl Iterator<Item = f64> {
        (1..=self.members.len()).map(|place| 1.0 / place as f64)
    }

    /// The law by which the corpus names a member.
    fn named(&self) -> WeightedIndex<f64> {
        WeightedIndex::new(self.familiarity()).expect("a kind has members, each of some weight")
    }

    /// Whether it has this member.
    pub fn holds(&self, member: &str) -> bool {
        self.members.iter().any(|known| known == member)
    }
}

/// `a` or `an` before a name.
fn with_article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// All kinds, in the order of the list file.
pub fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        #[derive(Deserialize)]
        struct Lists {
            kind: Vec<Kind>,
        }
        let lists: Lists =
            toml::from_str(include_str!("lists.toml")).expect("a test reads the embedded list");
        lists.kind
    })
}

#[cfg(test)]
mod tests;
