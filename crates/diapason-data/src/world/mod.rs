//! The small world that `diapason quickstart` lives in: kinds of things with their members, a
//! corpus of plain text about them for a base model, and words that exist nowhere else.
//!
//! Nothing is downloaded, so the base model must learn from us what a fruit or a US state is. The
//! corpus states facts and lists them; it never shows the format of an episode. Kinds with
//! `tuned = false` are known from the corpus only: what tuning does to them is a held-out result.

mod corpus;
mod words;

pub use corpus::{CorpusSettings, document};
pub use words::{WordPool, nonce_word};

use serde::Deserialize;
use std::sync::OnceLock;

/// One kind of thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name in the singular: `fruit`.
    pub one: String,
    /// Its name in the plural: `fruits`.
    pub many: String,
    /// Whether tuning draws from it.
    pub tuned: bool,
    /// Whether other processes use its members too: numbers count balls, colors are drawn.
    #[serde(default)]
    pub elsewhere: bool,
    /// What belongs to it.
    pub members: Vec<String>,
}

impl Kind {
    /// The singular with its article: `a fruit`, `an animal`.
    pub fn with_article(&self) -> String {
        let vowel = self.one.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
        format!("{} {}", if vowel { "an" } else { "a" }, self.one)
    }

    /// Whether it has this member.
    pub fn holds(&self, member: &str) -> bool {
        self.members.iter().any(|known| known == member)
    }
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
