//! A small world whose texts carry markers: five languages, seven domains of which three are rare,
//! one to six sentences, four grades of quality.
//!
//! Every text is made from its markers, so these are known, not measured. A request names the
//! domain or leaves it open, may ask for another language than its own, and may set a limit in
//! words; what is left open is drawn with long-tailed shares. Three domains have less than 5 %.

mod words;

pub use words::{Domain, Language, WORDS, domains, languages};

use diapason_flow::{Episode, Markers, Stream, Streams, Turn};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedIndex;

/// Shares of texts with one to six sentences.
const SENTENCES: [f64; 6] = [0.25, 0.25, 0.18, 0.14, 0.10, 0.08];
/// Shares of the quality buckets 1 to 4.
const QUALITY: [f64; 4] = [0.4, 0.3, 0.2, 0.1];
/// Chance that a sentence of bucket 2 is scrambled; bucket 3 twice, bucket 4 three times that.
const SCRAMBLED: f64 = 0.3;
/// Chance that a request names its domain.
const NAMED: f64 = 0.7;
/// Chance that a request asks for another language than its own.
const ACROSS: f64 = 0.06;
/// Chance that a request sets a limit.
const LIMITED: f64 = 0.12;
/// Draws of a sequence.
const DRAWS: usize = 4;

/// How many examples are made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarkedSettings {
    /// Requests with an answer.
    pub requests: usize,
    /// Sequences of draws from one described process.
    pub sequences: usize,
}

impl Default for MarkedSettings {
    fn default() -> Self {
        MarkedSettings { requests: 4000, sequences: 200 }
    }
}

/// What a text is to be.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// Its language.
    pub language: &'static Language,
    /// Its domain.
    pub domain: &'static Domain,
    /// Number of sentences, each a line of [`WORDS`] words.
    pub sentences: usize,
    /// Quality bucket, 1 (best) to 4.
    pub quality: usize,
}

impl Passage {
    /// A passage with the shares of the tuning data.
    pub fn draw(stream: &mut Stream) -> Self {
        Passage {
            language: &languages()[place(languages().iter().map(|l| l.share), stream)],
            domain: &domains()[place(domains().iter().map(|d| d.share), stream)],
            sentences: 1 + place(SENTENCES, stream),
            quality: 1 + place(QUALITY, stream),
        }
    }

    /// A text of this kind.
    pub fn text(&self, stream: &mut Stream) -> String {
        let scrambled = SCRAMBLED * (self.quality - 1) as f64;
        let sentence = |_| self.language.sentence(self.domain, scrambled, stream);
        (0..self.sentences).map(sentence).collect::<Vec<_>>().join("\n")
    }

    /// What is known of it.
    pub fn markers(&self) -> Markers {
        let mut markers = Markers::default();
        markers.set("domain", &self.domain.name);
        markers.set("lang", &self.language.name);
        markers.set("length_tokens", (WORDS * self.sentences).to_string());
        markers.set("quality_bucket", self.quality.to_string());
        markers
    }
}

/// A request with its answer, and the same request without what a lever can say instead.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The episode: one turn, marked.
    pub episode: Episode,
    /// The request without its limit.
    pub unlimited: String,
    /// What is asked of the answer.
    pub passage: Passage,
    /// Most words the answer may have.
    pub limit: Option<usize>,
    /// Whether the request says the domain.
    pub named: bool,
}

impl Probe {
    /// How good an answer is, 0 to 1: the share of its lines that are sentences of the language that
    /// is asked for, about the domain, with their words in order. This is what `quality_bucket`
    /// grades, so it stands where a corpus of others has its reward model.
    ///
    /// With `any_domain`, a request that names none is content with any, the same in all lines.
    pub fn score(&self, answer: &str, any_domain: bool) -> f64 {
        let lines: Vec<&str> = answer.lines().filter(|line| !line.trim().is_empty()).collect();
        let Passage { language, domain, .. } = self.passage;
        let right =
            |domain: &Domain| lines.iter().filter(|line| language.says(domain, line)).count();
        let right = if any_domain && !self.named {
            domains().iter().map(right).max().unwrap_or(0)
        } else {
            right(domain)
        };
        right as f64 / lines.len().max(1) as f64
    }
}

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What tuning examples ask for, in their shares.
    Usual,
    /// Another language than the request's own.
    AnotherLanguage,
    /// A limit in words.
    Limit,
    /// A domain that is named or not as in tuning; every domain equally often.
    EveryDomain,
}

/// One request with its answer, named by its number.
pub fn probe(ask: Ask, index: u64, streams: &Streams) -> Probe {
    let stream = &mut streams.stream("request", index);
    let mut passage = Passage::draw(stream);
    if ask == Ask::EveryDomain {
        passage.domain = &domains()[index as usize % domains().len()];
    }
    let named = stream.random_bool(NAMED).then_some(passage.domain);
    let across = ask == Ask::AnotherLanguage || stream.random_bool(ACROSS);
    let asked_in = if across { other(passage.language, stream) } else { passage.language };
    let into = across.then_some(passage.language);
    let limited = stream.random_bool(LIMITED);
    let limit = match ask {
        Ask::Limit => {
            passage.sentences = 1 + index as usize % 5;
            Some(WORDS * passage.sentences)
        }
        // Answers stay under most limits.
        _ => limited.then(|| WORDS * (passage.sentences + place([0.5, 0.3, 0.2], stream))),
    };
    let unlimited = asked_in.ask(named, into, None, &mut stream.clone());
    let input = asked_in.ask(named, into, limit, stream);
    let mut episode = Episode::new("marked/requests", format!("request {index}"));
    episode.exchangeable = false;
    let (output, markers) = (passage.text(stream), passage.markers());
    episode.turns.push(Turn { input: Some(input), output, markers, optimal_nats: None });
    Probe { episode, unlimited, passage, limit, named: named.is_some() }
}

/// Sentences of one language and domain, drawn again and again.
fn sequence(index: u64, streams: &Streams) -> Episode {
    let stream = &mut streams.stream("sequence", index);
    let kind = Passage { sentences: 1, ..Passage::draw(stream) };
    let mut episode = Episode::new("marked/sequences", format!("sequence {index}"));
    episode.description = Some(kind.language.ask(Some(kind.domain), None, Some(WORDS), stream));
    let draw = |_| {
        let drawn = Passage { quality: 1 + place(QUALITY, stream), ..kind };
        Turn { output: drawn.text(stream), markers: drawn.markers(), ..Turn::default() }
    };
    episode.turns = (0..DRAWS).map(draw).collect();
    episode
}

/// Tuning examples: requests and sequences, mixed.
pub fn episodes(settings: &MarkedSettings, streams: &Streams) -> Vec<Episode> {
    let requests =
        (0..settings.requests as u64).map(|index| probe(Ask::Usual, index, streams).episode);
    let sequences = (0..settings.sequences as u64).map(|index| sequence(index, streams));
    let mut episodes: Vec<Episode> = requests.chain(sequences).collect();
    episodes.shuffle(&mut streams.stream("order", 0));
    episodes
}

/// A document of plain text for a base model: lines about one domain in one language, all domains
/// and languages equally often, or a glossary that says which words are of which kind.
pub fn document(lines: usize, stream: &mut Stream) -> String {
    let language = languages().choose(stream).expect("there are languages");
    let domain = domains().choose(stream).expect("there are domains");
    if stream.random_bool(0.1) {
        return glossary(lines, stream);
    }
    let mut written: Vec<String> =
        (0..lines).map(|_| language.sentence(domain, 0.0, stream)).collect();
    if stream.random_bool(0.3) {
        let named = stream.random_bool(0.5).then_some(domain);
        let across = stream.random_bool(0.2).then_some(language);
        let limit = stream.random_bool(0.3).then(|| WORDS * stream.random_range(1..=7));
        written.insert(0, language.ask(named, across, limit, stream));
    }
    written.join("\n")
}

/// Names and values as reference works write them, so that their words are known, as they are to a
/// large model. No list as tuning writes it is among them.
fn glossary(lines: usize, stream: &mut Stream) -> String {
    let entry = |_| {
        let markers = Passage::draw(stream).markers();
        let entries: Vec<(&str, String)> =
            markers.iter().map(|(name, value)| (name, value.values().concat())).collect();
        let (name, value) = entries.choose(stream).expect("a passage has markers");
        format!("<{name}> {value} </{name}>")
    };
    format!("MARKER_LIST {}", (0..lines).map(entry).collect::<Vec<_>>().join(" "))
}

fn other(language: &Language, stream: &mut Stream) -> &'static Language {
    let others: Vec<&Language> = languages().iter().filter(|l| l.name != language.name).collect();
    others.choose(stream).expect("there are several languages")
}

/// An index drawn with these shares.
fn place(shares: impl IntoIterator<Item = f64>, stream: &mut Stream) -> usize {
    WeightedIndex::new(shares).expect("shares are positive").sample(stream)
}

#[cfg(test)]
mod tests;
