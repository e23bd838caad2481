//! Plain-text documents about the small world: facts, lists, bags of balls, short tales.
//!
//! They give a base model what a tiny pretraining corpus can: which words belong together, how
//! counts relate to "most" and "few", and that a name once met is likely to come back.

use super::{Kind, WordPool, kinds, nonce_word};
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

const COLORS: [&str; 9] =
    ["red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white"];
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
        CorpusSettings { documents: 16_000, lines: 6 }
    }
}

/// One document of `lines` lines.
pub fn document(lines: usize, stream: &mut Stream) -> String {
    let kind = kinds().choose(stream).expect("there are kinds");
    let writer: fn(&Kind, usize, &mut Stream) -> Vec<String> = match stream.random_range(0..20) {
        0..3 => facts,
        3..6 => listing,
        6..11 => bags,
        11..12 => tale,
        12..13 => manual,
        _ => chant,
    };
    writer(kind, lines, stream).join(" ")
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
                _ => format!("{}: {member}.", capitalised(&a_kind)),
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
        // A glossary: fields and blank lines, as reference works have them.
        1 => {
            let name = capitalised(&kind.one);
            let fields: Vec<String> =
                members.iter().map(|member| format!("{name}: {member}\n\n")).collect();
            vec![fields.concat()]
        }
        _ => vec![format!("The {} are {}.", kind.many, members.join(", "))],
    }
}

fn bags(_: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let mut written = Vec::new();
    while written.len() < lines {
        let mut colors = COLORS;
        colors.shuffle(stream);
        let counts: Vec<(usize, &str)> = colors[..stream.random_range(2..=5)]
            .iter()
            .map(|color| (stream.random_range(1..=9), *color))
            .collect();
        let balls: Vec<String> =
            counts.iter().map(|(count, color)| balls_of(*count, color)).collect();
        let bag = pick(&BAGS, stream);
        let name = pick(&NAMES, stream);
        written.push(format!("{name} has a {bag} with {}.", balls.join(", ")));
        for (count, color) in &counts[..2] {
            written.push(format!("Of {color} balls there are {count}."));
        }
        let total: usize = counts.iter().map(|(count, _)| count).sum();
        for _ in 0..2 {
            let mut ball = stream.random_range(0..total);
            let drawn = counts.iter().find(|(count, _)| {
                let inside = ball < *count;
                ball = ball.wrapping_sub(*count);
                inside
            });
            if let Some((_, color)) = drawn {
                written.push(format!("A ball is taken: {color}."));
            }
        }
    }
    written
}

fn balls_of(count: usize, color: &str) -> String {
    format!("{count} {color} {}", if count == 1 { "ball" } else { "balls" })
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn tale(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let hero = nonce_word(stream);
    let place = nonce_word(stream);
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

/// Prose about chance, in the words that people use for it.
fn manual(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let many = &kind.many;
    (0..lines)
        .map(|_| {
            let number = stream.random_range(1..100);
            let color = pick(&COLORS, stream);
            match stream.random_range(0..14) {
                0 => format!("A fair coin shows heads or tails; each side comes up with probability 0.{number:02}."),
                1 => "A loaded coin is tossed again and again, and it lands on one side more often.".to_owned(),
                2 => format!("A wheel with {number} fields is spun; their sizes are fixed but not known."),
                3 => "Independent draws do not depend on each other, and all outcomes stay possible.".to_owned(),
                4 => format!("In random draws with replacement a {color} ball is noted and put back into the urn."),
                5 => format!("The urn holds {number} balls, well mixed. One ball is drawn at random and returned."),
                6 => format!("A bag contains balls of several kinds, in numbers that are not given; {number} are {color}."),
                7 => format!("A categorical distribution over some {many} has probabilities that sum to 1."),
                8 => format!("Each output is one of the {many}, drawn with equal chance."),
                9 => "Bernoulli trials have two outcomes and a fixed bias. Nobody knows how fair a coin is.".to_owned(),
                10 => format!("Chance of each field: {number}%. Which of these comes next?"),
                11 => format!("Answer with that one word in lower case: {color}. Draw one and say which kind it is."),
                12 => format!("Some {many} were picked uniformly at random, one at a time, by their full names."),
                _ => "Take a ball out of the box, name it, and toss the coin or spin the wheel once more.".to_owned(),
            }
        })
        .collect()
}

/// A few words that come back unevenly, as in songs, tallies and lists of results.
fn chant(_: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let pool = if stream.random_bool(0.6) { WordPool::Training } else { WordPool::HeldOut };
    let words = pool.labels(stream.random_range(2..=5), stream);
    let sung: Vec<&str> = (0..lines * stream.random_range(2..=4))
        .map(|_| {
            let last = stream.random_range(1..=words.len());
            words[stream.random_range(0..last)].as_str()
        })
        .collect();
    let glue = [", ", " and ", ". ", "\n\n"][stream.random_range(0..4)];
    vec![sung.join(glue)]
}

fn pick<'items, T: AsRef<str>>(items: &'items [T], stream: &mut Stream) -> &'items str {
    items.choose(stream).expect("the lists of the world are not empty").as_ref()
}
