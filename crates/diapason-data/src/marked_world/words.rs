//! The words of the marked world, and sentences made of them.

use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Words of every sentence.
pub const WORDS: usize = 5;

/// What the file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    #[serde(rename = "domain")]
    pub(super) domains: Vec<Domain>,
    #[serde(rename = "language")]
    pub(super) languages: Vec<Language>,
}

/// A field of knowledge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its name, as the marker has it.
    pub name: String,
    /// Its share of the tuning examples.
    pub share: f64,
}

/// A language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Its name, as the marker has it.
    pub name: String,
    /// Its share of the tuning examples.
    pub share: f64,
    #[serde(default)]
    verb_last: bool,
    anything: Vec<String>,
    about: String,
    limit: String,
    into: BTreeMap<String, String>,
    topics: BTreeMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    /// What it is called in a request.
    #[serde(rename = "topic")]
    called: String,
    nouns: Vec<String>,
    verbs: Vec<String>,
}

pub(super) fn words() -> &'static Words {
    static WORDS: OnceLock<Words> = OnceLock::new();
    WORDS.get_or_init(|| {
        toml::from_str(include_str!("words.toml")).expect("a test reads the embedded words")
    })
}

/// All domains, the most frequent first.
pub fn domains() -> &'static [Domain] {
    &words().domains
}

/// All languages, the most frequent first.
pub fn languages() -> &'static [Language] {
    &words().languages
}

impl Language {
    fn topic(&self, domain: &Domain) -> &Topic {
        self.topics.get(&domain.name).expect("a test looks for every domain in every language")
    }

    /// A sentence of five words about a domain, without its full stop.
    fn clause(&self, domain: &Domain, stream: &mut Stream) -> String {
        let topic = self.topic(domain);
        let mut noun = || topic.nouns.choose(stream).expect("a topic has nouns").as_str();
        let (subject, object) = (noun(), noun());
        let (subject, object) = (forms(subject).0, forms(object).1);
        let verb = topic.verbs.choose(stream).expect("a topic has verbs");
        self.ordered(subject, verb, object)
    }

    fn ordered(&self, subject: &str, verb: &str, object: &str) -> String {
        if self.verb_last {
            format!("{subject} {object} {verb}")
        } else {
            format!("{subject} {verb} {object}")
        }
    }

    /// Whether a line is a sentence about a domain with its words in order.
    pub(super) fn says(&self, domain: &Domain, line: &str) -> bool {
        let topic = self.topic(domain);
        let nouns: Vec<(&str, &str)> = topic.nouns.iter().map(|noun| forms(noun)).collect();
        nouns.iter().any(|(subject, _)| {
            nouns.iter().any(|(_, object)| {
                let written =
                    |verb: &String| capitalised(&self.ordered(subject, verb, object)) + ".";
                topic.verbs.iter().any(|verb| written(verb) == line)
            })
        })
    }

    /// A sentence; `scrambled` is the chance that its words are out of order.
    pub(super) fn sentence(&self, domain: &Domain, scrambled: f64, stream: &mut Stream) -> String {
        let clause = self.clause(domain, stream);
        let mut parts: Vec<&str> = clause.split(' ').collect();
        if stream.random_bool(scrambled) {
            parts.shuffle(stream);
        }
        capitalised(&parts.join(" ")) + "."
    }

    /// Asks for something in this language: about `domain` if it is named, in another language, and
    /// within a number of words.
    pub(super) fn ask(
        &self,
        domain: Option<&Domain>,
        into: Option<&Language>,
        limit: Option<usize>,
        stream: &mut Stream,
    ) -> String {
        let mut parts = vec![match domain {
            Some(domain) => self.about.replace("{topic}", &self.topic(domain).called),
            None => self.anything.choose(stream).expect("there is a vague request").clone(),
        }];
        parts.extend(into.map(|language| self.into[&language.name].clone()));
        parts.extend(limit.map(|words| self.limit.replace("{n}", &words.to_string())));
        parts.join(" ")
    }
}

/// A noun phrase as a subject and as an object.
fn forms(noun: &str) -> (&str, &str) {
    noun.split_once('|').unwrap_or((noun, noun))
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
