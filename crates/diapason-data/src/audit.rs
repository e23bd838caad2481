//! Leakage: what training tasks share with the tasks that a model is measured on.
//!
//! ```text
//! test episodes ─protect→ Audit ←compare─ training episodes → which episodes overlap, and a table
//! ```
//!
//! Two kinds of overlap are found:
//!
//! * **texts**: an input or output of a training task that is an input or output of a test task
//!   after normalising (`exact`), or that shares most of its shingles with one (`near`). Texts of
//!   fewer than [`AuditSettings::shortest_characters`], such as labels, are no sign of leakage.
//! * **answers**: a list in training (a unit of outputs without inputs) whose members are the
//!   valid outputs of a coverage task.
//!
//! Near-duplicates are looked up by MinHash (Broder 1997) in bands and then verified by the exact
//! Jaccard similarity of their shingles, so nothing is reported that is not so, and a pair at 0.8
//! is missed with a probability of 0.0002. Only the test side is held in memory.

use diapason_flow::{Episode, Streams};
use rand::Rng;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Characters of one shingle of a normalised text: about two words of English.
const SHINGLE: usize = 9;
/// Bands of a signature. A pair becomes a candidate when all values of one band agree.
const BANDS: usize = 16;
/// Values of one band.
const ROWS: usize = 4;

/// What counts as an overlap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditSettings {
    /// Smallest Jaccard similarity of near-duplicates, in 0.5..=1; 1 leaves exact ones only.
    pub near: f64,
    /// Characters of the shortest text that is compared.
    pub shortest_characters: usize,
    /// A training list overlaps with a coverage task if this share of its members are valid
    /// outputs, or if it holds this share of them.
    pub answers: f64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        AuditSettings { near: 0.8, shortest_characters: 20, answers: 0.5 }
    }
}

/// How two tasks overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Likeness {
    /// The same text after normalising.
    Exact,
    /// Nearly the same text.
    Near,
    /// A training list of valid outputs.
    Answers,
}

/// One row of the table: what a training task shares with a test task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The training task.
    pub train: String,
    /// The test task.
    pub test: String,
    /// How.
    pub likeness: Likeness,
    /// Distinct texts of the test task, or valid outputs, that occur in training.
    pub texts: usize,
    /// Distinct texts, or valid outputs, that the test task has; `None` where they are unlimited.
    pub of: Option<usize>,
    /// Episodes of the training task that hold any of them.
    pub episodes: usize,
    /// The closest pair, or the first.
    pub example: Example,
}

/// A pair of texts that overlap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Unit of the training task.
    pub unit: String,
    /// Text of the training task.
    pub train: String,
    /// Text of the test task.
    pub test: String,
    /// Jaccard similarity of their shingles; 1 for exact ones.
    pub similarity: f64,
}

/// Says which valid output a text is, or that it is none.
pub type Canonical = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The valid outputs of a coverage task.
struct Answers {
    task: String,
    canonical: Canonical,
    size: Option<usize>,
}

/// A text of a test task.
struct Protected {
    task: usize,
    text: String,
    shingles: Vec<u64>,
}

/// What is found so far about a pair of tasks.
struct Found {
    texts: HashSet<String>,
    episodes: BTreeSet<usize>,
    example: Example,
}

/// The test side, and what training shares with it.
pub struct Audit {
    settings: AuditSettings,
    /// Multipliers and offsets of the hash functions.
    functions: Vec<(u32, u32)>,
    /// Test tasks with their number of distinct texts.
    tasks: Vec<(String, usize)>,
    texts: Vec<Protected>,
    /// Normalised text → its places in `texts`.
    exact: HashMap<String, Vec<u32>>,
    /// (band, hash of its values) → places in `texts`.
    bands: HashMap<(usize, u64), Vec<u32>>,
    answers: Vec<Answers>,
    found: BTreeMap<(String, String, Likeness), Found>,
}

impl Audit {
    /// An audit that protects nothing yet. The hash functions are the same in every run.
    pub fn new(settings: AuditSettings) -> Self {
        let mut stream = Streams::new(0).stream("minhash", 0);
        let functions = (0..BANDS * ROWS).map(|_| (stream.next_u32() | 1, stream.next_u32()));
        Audit {
            settings,
            functions: functions.collect(),
            tasks: Vec::new(),
            texts: Vec::new(),
            exact: HashMap::new(),
            bands: HashMap::new(),
            answers: Vec::new(),
            found: BTreeMap::new(),
        }
    }

    /// Protects every text of a test task.
    pub fn protect(&mut self, task: &str, episodes: &[Episode]) {
        let number = self.tasks.len();
        let mut distinct = HashSet::new();
        for text in episodes.iter().flat_map(texts) {
            let normalised = normalise(text);
            if !self.long_enough(&normalised) || !distinct.insert(normalised.clone()) {
                continue;
            }
            let place = self.texts.len() as u32;
            let shingles = shingles(&normalised);
            if self.settings.near < 1.0 {
                for key in self.band_keys(&shingles) {
                    self.bands.entry(key).or_default().push(place);
                }
            }
            self.exact.entry(normalised).or_default().push(place);
            self.texts.push(Protected { task: number, text: text.to_owned(), shingles });
        }
        self.tasks.push((task.to_owned(), distinct.len()));
    }

    /// Protects the valid outputs of a coverage task, `size` of them if they are limited.
    pub fn protect_answers(&mut self, task: &str, canonical: Canonical, size: Option<usize>) {
        self.answers.push(Answers { task: task.to_owned(), canonical, size });
    }

    /// Compares a training task; says of every episode whether it overlaps with a test task.
    pub fn compare(&mut self, task: &str, episodes: &[Episode]) -> Vec<bool> {
        let mut overlapping = vec![false; episodes.len()];
        let mut places: HashMap<String, Vec<(usize, &str)>> = HashMap::new();
        for (index, episode) in episodes.iter().enumerate() {
            for text in texts(episode) {
                let normalised = normalise(text);
                if self.long_enough(&normalised) {
                    places.entry(normalised).or_default().push((index, text));
                }
            }
        }
        let mut places: Vec<_> = places.into_iter().collect();
        // The map has no order of its own.
        places.sort_unstable_by_key(|(_, at)| at[0]);
        for (normalised, at) in places {
            for (protected, similarity) in self.alike(&normalised) {
                let protected = &self.texts[protected as usize];
                let test = self.tasks[protected.task].0.clone();
                let likeness = if similarity < 1.0 { Likeness::Near } else { Likeness::Exact };
                let (first, text) = at[0];
                let example = Example {
                    unit: episodes[first].unit.clone(),
                    train: text.to_owned(),
                    test: protected.text.clone(),
                    similarity,
                };
                let text = protected.text.clone();
                let found = note(&mut self.found, (task.to_owned(), test, likeness), example);
                found.texts.insert(text);
                for (index, _) in &at {
                    found.episodes.insert(*index);
                    overlapping[*index] = true;
                }
            }
        }
        self.compare_lists(task, episodes, &mut overlapping);
        overlapping
    }

    /// The table of what was found, by training task and test task.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let row = |((train, test, likeness), found): (&(String, String, Likeness), &Found)| {
            let of = match likeness {
                Likeness::Answers => {
                    self.answers.iter().find(|answers| answers.task == *test)?.size
                }
                _ => Some(self.tasks.iter().find(|(task, _)| task == test)?.1),
            };
            Some(Overlap {
                train: train.clone(),
                test: test.clone(),
                likeness: *likeness,
                texts: found.texts.len(),
                of,
                episodes: found.episodes.len(),
                example: found.example.clone(),
            })
        };
        self.found.iter().filter_map(row).collect()
    }

    fn long_enough(&self, normalised: &str) -> bool {
        normalised.chars().count() >= self.settings.shortest_characters.max(SHINGLE)
    }

    /// Protected texts that a normalised text equals or nearly equals.
    fn alike(&self, normalised: &str) -> Vec<(u32, f64)> {
        let mut alike: Vec<(u32, f64)> = Vec::new();
        if let Some(places) = self.exact.get(normalised) {
            alike.extend(places.iter().map(|place| (*place, 1.0)));
        }
        if self.settings.near >= 1.0 {
            return alike;
        }
        let shingles = shingles(normalised);
        let mut candidates: Vec<u32> = self
            .band_keys(&shingles)
            .filter_map(|key| self.bands.get(&key))
            .flatten()
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|place| alike.iter().all(|(exact, _)| exact != place));
        for place in candidates {
            let similarity = jaccard(&shingles, &self.texts[place as usize].shingles);
            if similarity >= self.settings.near {
                // Other texts with the same shingles are near, however near.
                alike.push((place, similarity.min(1.0 - f64::EPSILON)));
            }
        }
        alike
    }

    /// The bands of a text's MinHash signature.
    fn band_keys(&self, shingles: &[u64]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mut signature = [u32::MAX; BANDS * ROWS];
        for shingle in shingles {
            let hash = (shingle >> 32) as u32;
            for (least, (multiplier, offset)) in signature.iter_mut().zip(&self.functions) {
                *least = (*least).min(hash.wrapping_mul(*multiplier).wrapping_add(*offset));
            }
        }
        (0..BANDS).map(move |band| {
            let values = &signature[band * ROWS..(band + 1) * ROWS];
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (band, bytes.fold(FNV_START, fnv))
        })
    }

    /// Training lists against the valid outputs of coverage tasks.
    fn compare_lists(&mut self, task: &str, episodes: &[Episode], overlapping: &mut [bool]) {
        let mut lists: BTreeMap<&str, (Vec<usize>, BTreeSet<&str>)> = BTreeMap::new();
        for (index, episode) in episodes.iter().enumerate() {
            if episode.turns.is_empty() || episode.turns.iter().any(|turn| turn.input.is_some()) {
                continue;
            }
            let (places, outputs) = lists.entry(&episode.unit).or_default();
            places.push(index);
            outputs.extend(episode.turns.iter().map(|turn| turn.output.as_str()));
        }
        for answers in &self.answers {
            for (unit, (places, outputs)) in &lists {
                let valid: Vec<(&str, String)> = outputs
                    .iter()
                    .filter_map(|output| Some((*output, (answers.canonical)(output)?)))
                    .collect();
                let distinct: BTreeSet<&String> = valid.iter().map(|(_, form)| form).collect();
                let of_list = valid.len() as f64 / outputs.len() as f64;
                let of_answers =
                    answers.size.map_or(0.0, |size| distinct.len() as f64 / size.max(1) as f64);
                // One valid word among a person's words is no list.
                if distinct.len() < 2 || of_list.max(of_answers) < self.settings.answers {
                    continue;
                }
                let example = Example {
                    unit: (*unit).to_owned(),
                    train: valid[0].0.to_owned(),
                    test: valid[0].1.clone(),
                    similarity: 1.0,
                };
                let pair = (task.to_owned(), answers.task.clone(), Likeness::Answers);
                let found = note(&mut self.found, pair, example);
                found.texts.extend(valid.iter().map(|(_, form)| form.clone()));
                found.episodes.extend(places);
                for place in places {
                    overlapping[*place] = true;
                }
            }
        }
    }
}

/// The entry of a pair of tasks, with the closest example so far.
fn note(
    found: &mut BTreeMap<(String, String, Likeness), Found>,
    pair: (String, String, Likeness),
    example: Example,
) -> &mut Found {
    let entry = found.entry(pair).or_insert_with(|| Found {
        texts: HashSet::new(),
        episodes: BTreeSet::new(),
        example: example.clone(),
    });
    if example.similarity > entry.example.similarity {
        entry.example = example;
    }
    entry
}

/// Every text of an episode that is data of its task.
fn texts(episode: &Episode) -> impl Iterator<Item = &str> {
    let turns = episode.turns.iter().flat_map(|turn| turn.input.iter().chain([&turn.output]));
    let asked = episode.query.iter().filter_map(|query| query.input.as_ref());
    turns.chain(asked).map(String::as_str)
}

/// Letters and digits in lower case, with one space between words.
fn normalise(text: &str) -> String {
    let mut normalised = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            normalised.extend(letter.to_lowercase());
        } else if !normalised.is_empty() && !normalised.ends_with(' ') {
            normalised.push(' ');
        }
    }
    normalised.truncate(normalised.trim_end().len());
    normalised
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// One step of FNV-1a.
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Hashes of all runs of [`SHINGLE`] characters, sorted, each once. A shorter text is one shingle.
fn shingles(normalised: &str) -> Vec<u64> {
    let starts: Vec<usize> = normalised.char_indices().map(|(start, _)| start).collect();
    let ends = starts.iter().skip(SHINGLE).copied().chain([normalised.len()]);
    let mut hashes: Vec<u64> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let hash = normalised.as_bytes()[*start..end].iter().copied().fold(FNV_START, fnv);
            // The high bits of FNV hardly know the last bytes.
            (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// |A ∩ B| / |A ∪ B| of two sorted sets.
fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let (mut left, mut right, mut shared) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(left), other.get(right)) {
        shared += usize::from(a == b);
        left += usize::from(a <= b);
        right += usize::from(b <= a);
    }
    shared as f64 / (one.len() + other.len() - shared).max(1) as f64
}

#[cfg(test)]
mod tests;
