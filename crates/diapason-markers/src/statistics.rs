//! How often markers and their values stand in a corpus: head, tail, and two markers together.

mod html;

use crate::taxonomy::{Kind, Taxonomy};
use diapason_flow::Markers;
use serde::Serialize;
use std::collections::BTreeMap;

pub use html::page;

/// A value below this share of the examples that have the marker belongs to the tail (the paper's
/// limit).
pub const TAIL_SHARE: f64 = 0.05;

/// Joint tables are kept of markers with at most this many values.
const JOINT_VALUES: usize = 40;

/// Counts over a corpus. Adding in any order gives the same counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    examples: u64,
    /// Named markers: name → value → examples with it.
    named: BTreeMap<String, BTreeMap<String, u64>>,
    /// Markers with numbers: name → number → examples. Bits of the number keep its order.
    numbers: BTreeMap<String, BTreeMap<OrderedNumber, u64>>,
    /// (name, name) → (value, value) → examples.
    joint: BTreeMap<(String, String), BTreeMap<(String, String), u64>>,
    /// Examples that have the marker.
    present: BTreeMap<String, u64>,
}

/// A finite number that can be a key.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OrderedNumber(f64);

impl Eq for OrderedNumber {}

impl PartialOrd for OrderedNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What the counts say, ready to be printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Outputs counted.
    pub examples: u64,
    /// Every marker of the taxonomy that stands anywhere, in its order.
    pub markers: Vec<MarkerSummary>,
    /// Every pair of named markers that stand together.
    pub joint: Vec<Joint>,
}

/// One marker of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarkerSummary {
    /// Name.
    pub name: String,
    /// What it says.
    pub meaning: String,
    /// Examples that have it.
    pub present: u64,
    /// Values, the most frequent first; empty for numbers.
    pub values: Vec<ValueShare>,
    /// Numbers at the quantiles 0, 0.25, 0.5, 0.75 and 1; absent for named values.
    pub quantiles: Option<[f64; 5]>,
    /// Mean of the numbers; absent for named values.
    pub mean: Option<f64>,
}

/// One value of a [`MarkerSummary`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueShare {
    /// The value.
    pub value: String,
    /// Examples with it.
    pub count: u64,
    /// Of the examples that have the marker.
    pub share: f64,
    /// Whether the share is below [`TAIL_SHARE`].
    pub tail: bool,
}

/// Two markers together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Joint {
    /// Marker of the rows.
    pub rows: String,
    /// Marker of the columns.
    pub columns: String,
    /// (value of the row, value of the column, examples), in the order of the values.
    pub cells: Vec<(String, String, u64)>,
}

impl Statistics {
    /// Counts one output. What the taxonomy does not know is not counted.
    pub fn add(&mut self, taxonomy: &Taxonomy, markers: &Markers) {
        self.examples += 1;
        let mut together: Vec<(&str, &[String])> = Vec::new();
        for (name, value) in markers.iter() {
            let Ok(marker) = taxonomy.marker(name) else { continue };
            *self.present.entry(name.to_owned()).or_default() += 1;
            if marker.kind == Kind::Name {
                let counts = self.named.entry(name.to_owned()).or_default();
                for value in value.values() {
                    *counts.entry(value.clone()).or_default() += 1;
                }
                if marker.values.len() <= JOINT_VALUES {
                    together.push((name, value.values()));
                }
                continue;
            }
            let counts = self.numbers.entry(name.to_owned()).or_default();
            for number in value.values().iter().filter_map(|value| value.parse().ok()) {
                *counts.entry(OrderedNumber(number)).or_default() += 1;
            }
        }
        for (index, (row, row_values)) in together.iter().enumerate() {
            for (column, column_values) in &together[index + 1..] {
                let pair = ((*row).to_owned(), (*column).to_owned());
                let cells = self.joint.entry(pair).or_default();
                for row_value in *row_values {
                    for column_value in *column_values {
                        let cell = (row_value.clone(), column_value.clone());
                        *cells.entry(cell).or_default() += 1;
                    }
                }
            }
        }
    }

    /// What the counts say.
    pub fn summary(&self, taxonomy: &Taxonomy) -> Summary {
        let known = taxonomy.markers().iter();
        let markers = known.filter_map(|marker| {
            let present = *self.present.get(&marker.name)?;
            let numbers = self.numbers.get(&marker.name);
            Some(MarkerSummary {
                name: marker.name.clone(),
                meaning: marker.meaning.clone(),
                present,
                values: self
                    .named
                    .get(&marker.name)
                    .map_or_else(Vec::new, |counts| shares(counts, present)),
                quantiles: numbers.and_then(quantiles),
                mean: numbers.and_then(mean),
            })
        });
        let joint = self.joint.iter().map(|((rows, columns), cells)| Joint {
            rows: rows.clone(),
            columns: columns.clone(),
            cells: cells.iter().map(|((a, b), count)| (a.clone(), b.clone(), *count)).collect(),
        });
        Summary { examples: self.examples, markers: markers.collect(), joint: joint.collect() }
    }
}

fn shares(counts: &BTreeMap<String, u64>, present: u64) -> Vec<ValueShare> {
    let share = |(value, count): (&String, &u64)| {
        let share = *count as f64 / present.max(1) as f64;
        ValueShare { value: value.clone(), count: *count, share, tail: share < TAIL_SHARE }
    };
    let mut values: Vec<ValueShare> = counts.iter().map(share).collect();
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values
}

fn quantiles(numbers: &BTreeMap<OrderedNumber, u64>) -> Option<[f64; 5]> {
    let total: u64 = numbers.values().sum();
    let last = total.checked_sub(1)?;
    let at = |quarter: u64| {
        let rank = last * quarter / 4;
        let mut before = 0;
        let found = numbers.iter().find(|(_, count)| {
            before += **count;
            before > rank
        });
        found.map_or(0.0, |(number, _)| number.0)
    };
    Some([0, 1, 2, 3, 4].map(at))
}

fn mean(numbers: &BTreeMap<OrderedNumber, u64>) -> Option<f64> {
    let total: u64 = numbers.values().sum();
    let sum: f64 = numbers.iter().map(|(number, count)| number.0 * *count as f64).sum();
    (total > 0).then(|| sum / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::MarkerValue;

    fn corpus() -> Statistics {
        let taxonomy = Taxonomy::built_in();
        let mut statistics = Statistics::default();
        for index in 0..100 {
            let mut markers = Markers::default();
            markers.set("lang", if index < 97 { "French" } else { "Greek" });
            markers.set("length_tokens", index.to_string());
            let formats = ["JSON".to_owned(), "Markdown".to_owned()];
            if index < 10 {
                markers.0.insert("format".into(), MarkerValue::Many(formats.into()));
            }
            markers.set("mood", "glad");
            statistics.add(&taxonomy, &markers);
        }
        statistics
    }

    #[test]
    fn head_tail_quantiles_and_pairs_are_counted() {
        let summary = corpus().summary(&Taxonomy::built_in());
        assert_eq!(summary.examples, 100);
        let names: Vec<&str> = summary.markers.iter().map(|marker| marker.name.as_str()).collect();
        assert_eq!(names, ["length_tokens", "format", "lang"]);
        let [length, format, lang] = summary.markers.as_slice() else { panic!() };
        assert_eq!(length.quantiles, Some([0.0, 24.0, 49.0, 74.0, 99.0]));
        assert_eq!(length.mean, Some(49.5));
        assert_eq!((format.present, format.values[0].share), (10, 1.0));
        let tail: Vec<(&str, bool)> =
            lang.values.iter().map(|value| (value.value.as_str(), value.tail)).collect();
        assert_eq!(tail, [("French", false), ("Greek", true)]);
        let [joint] = summary.joint.as_slice() else { panic!("{:?}", summary.joint) };
        assert_eq!((joint.rows.as_str(), joint.columns.as_str()), ("format", "lang"));
        assert_eq!(joint.cells[0], ("JSON".into(), "French".into(), 10));
    }

    #[test]
    fn the_page_is_self_contained_and_escapes_what_it_shows() {
        let taxonomy = Taxonomy::built_in().extended("[lang]\nadd = [\"<script>\"]").unwrap();
        let mut statistics = corpus();
        let mut markers = Markers::default();
        markers.set("lang", "<script>");
        statistics.add(&taxonomy, &markers);
        let html = page("rows & <b>", &statistics.summary(&taxonomy));
        assert!(html.contains("rows &amp; &lt;b&gt;") && html.contains("&lt;script&gt;"));
        assert!(!html.contains("<script") && !html.contains("http"));
        assert!(html.contains("prefers-color-scheme: dark"));
    }
}
