//! Plain-text documents about the small world: facts, lists, bags of balls, short tales.
//!
//! They give a base model what a tiny pretraining corpus can: which words belong together, how
//! counts relate to "most" and "few", and that a name once met is likely to come back.

use super::{Kind, kinds, nonce_word};
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

const COLORS: [&str; 9] = [
    "red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white",
];
const BAGS: [&str; 5] = ["bag", "box", "jar", "bowl", "urn"];
const NAMES: [&str; 8] = ["Ann", "Ben", "Eva", "Jon", "Liv", "Max", "Ida", "Tom"];

/// How the corpus of a base model is made.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusSettings {
    /// Number of documents.
    pub documents: usize,
    /// Sentences or lines a document.
    pub lines: usize,
}

impl Default for CorpusSettings {
    fn default() -> Self {
        CorpusSettings {
            documents: 16_000,
            lines: 6,
        }
    }
}

/// One document of `lines` lines.
pub fn document(lines: usize, stream: &mut Stream) -> String {
    let kind = kinds().choose(stream).expect("there are kinds");
    let writer: fn(&Kind, usize, &mut Stream) -> Vec<String> = match stream.random_range(0..10) {
        0..2 => facts,
        2..5 => listing,
        5..7 => bags,
        7..9 => tale,
        _ => chant,
    };
    writer(kind, lines, stream).join("\n")
}

fn facts(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let a_kind = kind.with_article();
    (0..lines)
        .map(|_| {
            let member = pick(&kind.members, stream);
            match stream.random_range(0..4) {
                0 => format!("{member} is {a_kind}."),
                1 => format!("Name {a_kind}: {member}."),
                2 => format!("One of the {} is {member}.", kind.many),
                _ => format!("{a_kind}: {member}"),
            }
        })
        .collect()
}

fn listing(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let mut members: Vec<&str> = kind.members.iter().map(String::as_str).collect();
    members.shuffle(stream);
    members.truncate(lines * 3);
    match stream.random_range(0..3) {
        0 => vec![format!("Some {}: {}.", kind.many, members.join(", "))],
        1 => std::iter::once(format!("{}:", kind.many))
            .chain(members.into_iter().map(str::to_owned))
            .collect(),
        _ => vec![format!("The {} are {}.", kind.many, members.join(", "))],
    }
}

fn bags(_: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let mut written = Vec::new();
    while written.len() < lines {
        let mut colors = COLORS;
        colors.shuffle(stream);
        let counts: Vec<(usize, &str)> = colors[..stream.random_range(1..=4)]
            .iter()
            .map(|color| (stream.random_range(1..=9), *color))
            .collect();
        let total: usize = counts.iter().map(|(count, _)| count).sum();
        let balls: Vec<String> = counts
            .iter()
            .map(|(count, color)| format!("{count} {color}"))
            .collect();
        let bag = pick(&BAGS, stream);
        let name = pick(&NAMES, stream);
        written.push(format!(
            "{name} has a {bag} with {} balls. It holds {total}.",
            balls.join(", ")
        ));
        let mut ball = stream.random_range(0..total);
        let drawn = counts.iter().find(|(count, _)| {
            let inside = ball < *count;
            ball = ball.wrapping_sub(*count);
            inside
        });
        if let Some((_, color)) = drawn {
            written.push(format!(
                "{name} takes a ball from the {bag}. It is {color}."
            ));
        }
    }
    written
}

fn tale(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let hero = nonce_word(false, stream);
    let place = nonce_word(false, stream);
    let friend = pick(&NAMES, stream);
    let a_kind = kind.with_article();
    (0..lines)
        .map(|_| {
            let member = pick(&kind.members, stream);
            match stream.random_range(0..5) {
                0 => format!("{hero} lives in {place}."),
                1 => format!("{friend} met {hero} in {place}."),
                2 => format!("{hero} thinks of {a_kind}: {member}."),
                3 => format!("In {place} they call {friend} {hero}."),
                _ => format!("{friend} said: {hero}, {hero}, {place}."),
            }
        })
        .collect()
}

/// A few words that come back unevenly, as in songs and lists of results.
fn chant(_: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let words: Vec<String> = (0..stream.random_range(2..=4))
        .map(|_| nonce_word(false, stream))
        .collect();
    (0..lines)
        .map(|_| {
            let sung: Vec<&str> = (0..stream.random_range(3..8))
                .map(|_| {
                    let last = stream.random_range(1..=words.len());
                    words[stream.random_range(0..last)].as_str()
                })
                .collect();
            sung.join(", ")
        })
        .collect()
}

fn pick<'items, T: AsRef<str>>(items: &'items [T], stream: &mut Stream) -> &'items str {
    items
        .choose(stream)
        .expect("the lists of the world are not empty")
        .as_ref()
}
