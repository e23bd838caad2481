//! Plain-text documents about the small world: facts, lists, bags of balls, short tales.
//!
//! They give a base model what a tiny pretraining corpus can: which words belong together, how
//! counts relate to "most" and "few", and that a name once met is likely to come back.

use super::{Kind, WordPool, kinds, with_article};
use crate::synthetic::COLOURS;
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, Exp1};

const BAGS: [&str; 5] = ["bag", "box", "jar", "bowl", "urn"];

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
        0..5 => facts,
        5..7 => listing,
        7..11 => bags,
        11 => manual,
        _ => tally,
    };
    writer(kind, lines, stream).join(" ")
}

/// Statements that something is of a kind, in any of the kind's names.
fn facts(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    const MANNERS: [&str; 8] =
        ["", "", "", "", ", in full", ", in English", ", in one word", ", not abbreviated"];
    let named = kind.named();
    (0..2 * lines)
        .map(|_| {
            let member = &kind.members[named.sample(stream)];
            let name = match stream.random_range(0..=kind.also.len()) {
                0 => &kind.one,
                other => &kind.also[other - 1],
            };
            let (a_name, manner) = (with_article(name), pick(&MANNERS, stream));
            match stream.random_range(0..7) {
                0 => format!("{member} is {a_name}."),
                1 => format!("Name {a_name}{manner}: {member}."),
                2 => format!("One of the {}{manner}: {member}.", kind.many),
                3 => format!("Any of the {}{manner}: {member}.", kind.many),
                4 => format!("The name of one {name}{manner}: {member}."),
                5 => format!("One {name}{manner}: {member}."),
                _ => format!("{}{manner}: {member}.", capitalised(&a_name)),
            }
        })
        .collect()
}

fn listing(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let members = members_named(kind, lines * 3, stream);
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

/// `count` different members or all, as they come to mind: each time one of the rest by its
/// familiarity. Waiting times with these rates come in such an order.
fn members_named<'kind>(kind: &'kind Kind, count: usize, stream: &mut Stream) -> Vec<&'kind str> {
    let mut waits: Vec<(f64, &str)> = kind
        .familiarity()
        .zip(&kind.members)
        .map(|(rate, member)| (Distribution::<f64>::sample(&Exp1, stream) / rate, &**member))
        .collect();
    waits.sort_by(|a, b| a.0.total_cmp(&b.0));
    waits.into_iter().take(count).map(|(_, member)| member).collect()
}

fn bags(_: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let mut colors = COLOURS;
    colors.shuffle(stream);
    let counts: Vec<(usize, &str)> = colors[..stream.random_range(2..=5)]
        .iter()
        .map(|color| (stream.random_range(1..=10), *color))
        .collect();
    let law = WeightedIndex::new(counts.iter().map(|(count, _)| *count)).expect("no bag is empty");
    let balls: Vec<String> = counts.iter().map(|(count, color)| balls_of(*count, color)).collect();
    let (last, first) = balls.split_last().expect("there are two colors or more");
    let bag = pick(&BAGS, stream);
    let holds = format!("There is a {bag} with {} and {last}.", first.join(", "));
    let taken = (0..2 * lines).map(|_| format!("A ball: {}.", counts[law.sample(stream)].1));
    [holds].into_iter().chain(taken).collect()
}

fn balls_of(count: usize, color: &str) -> String {
    format!("{count} {color} {}", if count == 1 { "ball" } else { "balls" })
}

pub(crate) fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Prose about chance, in the words that people use for it.
fn manual(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let many = &kind.many;
    (0..lines)
        .map(|_| {
            let number = stream.random_range(1..100);
            let color = pick(&COLOURS, stream);
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

/// A few people whose names come back unevenly, as in counts of votes and lists of winners, or a
/// few members of a kind; often after a sentence that says which they are.
fn tally(kind: &Kind, lines: usize, stream: &mut Stream) -> Vec<String> {
    let count = stream.random_range(2..=4);
    let labels = match stream.random_range(0..8) {
        0 => members_named(kind, count, stream).into_iter().map(str::to_owned).collect(),
        _ => WordPool::Training.labels(count, stream),
    };
    let shares: Vec<f64> = labels.iter().map(|_| Exp1.sample(stream)).collect();
    let law = WeightedIndex::new(&shares).expect("exponential draws are positive weights");
    let drawn: Vec<&str> =
        (0..lines * stream.random_range(1..=3)).map(|_| &*labels[law.sample(stream)]).collect();
    let (before, after) =
        [("One: ", ". "), ("Next: ", ". "), ("It was ", ". "), ("", ", "), ("", "\n\n")]
            [stream.random_range(0..5)];
    let mut written = Vec::new();
    if stream.random_bool(0.8) {
        let (last, first) = labels.split_last().expect("there are two labels or more");
        let openings = ["Votes for", "A wheel with", "Draws from", "There are", "Some of"];
        written.push(format!("{} {} and {last}.", pick(&openings, stream), first.join(", ")));
    }
    let drawn: Vec<String> = drawn.iter().map(|label| format!("{before}{label}")).collect();
    written.push(drawn.join(after));
    written
}

fn pick<'items, T: AsRef<str>>(items: &'items [T], stream: &mut Stream) -> &'items str {
    items.choose(stream).expect("the lists of the world are not empty").as_ref()
}
