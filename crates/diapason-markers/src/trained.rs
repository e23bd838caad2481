//! What a model learned of markers: kept beside it, so that levers mean what training meant.

use crate::dropout::{Dropout, Order};
use crate::levers::Frequencies;
use crate::taxonomy::{Kind, Marker, Measure, Taxonomy};
use diapason_flow::{MarkerValue, Markers};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of a marker that are kept: those at as many even quantiles.
const NUMBERS: usize = 64;

/// The markers of a model's training examples, as `markers.json` holds them.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// What the prompt side did not show.
    pub dropout: Dropout,
    /// Whether the lists of answers bore loss: a model that never learned to write them is given
    /// whole ones.
    pub learn: bool,
    /// Values that stood in lists, by marker: names in the order of the letters, numbers rising.
    pub values: BTreeMap<String, Vec<String>>,
    /// Combinations of named markers with their counts.
    pub frequencies: Frequencies,
}

impl Trained {
    /// Of the examples of a training run. Markers that the built-in taxonomy lacks are taken as
    /// named ones, or as numbers if every value is one.
    pub fn of<'a>(
        dropout: Dropout,
        learn: bool,
        examples: impl IntoIterator<Item = &'a Markers> + Clone,
    ) -> Self {
        let mut seen: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (name, value) in examples.clone().into_iter().flat_map(Markers::iter) {
            let counts = seen.entry(name.to_owned()).or_default();
            for value in value.values() {
                *counts.entry(value.clone()).or_default() += 1;
            }
        }
        let values = seen.into_iter().map(|(name, counts)| {
            let number = kind(&name, counts.keys()) != Kind::Name;
            let values = if number { quantiles(&counts) } else { counts.into_keys().collect() };
            (name, values)
        });
        let mut trained = Trained {
            dropout,
            learn,
            values: values.collect(),
            frequencies: Frequencies::default(),
        };
        trained.frequencies = Frequencies::of(&trained.taxonomy(), examples);
        trained
    }

    /// The markers that stood in training, with the values that the built-in taxonomy knows
    /// besides those that were seen.
    pub fn taxonomy(&self) -> Taxonomy {
        let built_in = Taxonomy::built_in();
        let marker = |(name, seen): (&String, &Vec<String>)| {
            let mut marker = built_in.marker(name).cloned().unwrap_or_else(|_| Marker {
                name: name.clone(),
                meaning: "from the training data".to_owned(),
                kind: kind(name, seen.iter()),
                values: Vec::new(),
                measure: Measure::Provenance,
            });
            if marker.kind == Kind::Name {
                let more = seen.iter().filter(|value| !marker.values.contains(value));
                let more: Vec<String> = more.cloned().collect();
                marker.values.extend(more);
            }
            marker
        };
        Taxonomy::of(self.values.iter().map(marker).collect())
    }

    /// Whether lists keep the order of the names.
    pub(crate) fn ordered(&self) -> bool {
        self.dropout.order == Order::Fixed
    }

    /// Markers of which an example had several values.
    pub(crate) fn several(&self) -> BTreeSet<&str> {
        let rows = self.frequencies.rows().iter();
        let several = |value: &MarkerValue| value.values().len() > 1;
        rows.flat_map(|(row, _)| row.iter().filter(|(_, value)| several(value)))
            .map(|(name, _)| name)
            .collect()
    }
}

fn kind<'a>(name: &str, mut values: impl Iterator<Item = &'a String>) -> Kind {
    match Taxonomy::built_in().marker(name) {
        Ok(marker) => marker.kind,
        Err(_) if values.all(|value| value.parse::<f64>().is_ok_and(f64::is_finite)) => Kind::Real,
        Err(_) => Kind::Name,
    }
}

/// At most [`NUMBERS`] of some counted numbers, rising: those at even quantiles.
fn quantiles(counts: &BTreeMap<String, u64>) -> Vec<String> {
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let mut numbers: Vec<(&String, u64)> = counts.iter().map(|(text, n)| (text, *n)).collect();
    numbers.sort_by(|a, b| number(a.0).total_cmp(&number(b.0)));
    if numbers.len() <= NUMBERS {
        return numbers.into_iter().map(|(text, _)| text.clone()).collect();
    }
    let total: u64 = counts.values().sum();
    let at = |rank: u64| {
        let mut before = 0;
        numbers.iter().position(|(_, count)| {
            before += count;
            before > rank
        })
    };
    let steps = NUMBERS as u64 - 1;
    let places: BTreeSet<usize> =
        (0..=steps).filter_map(|step| at((total - 1) * step / steps)).collect();
    places.into_iter().map(|place| numbers[place].0.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(index: u32) -> Markers {
        let mut markers = Markers::default();
        markers.set("length_tokens", index.to_string());
        markers.set("lang", if index.is_multiple_of(3) { "Thai" } else { "French" });
        markers.set("year", (1900 + index % 50).to_string());
        markers.set("audience", "child");
        markers
    }

    #[test]
    fn values_are_those_seen_and_numbers_thin_out_evenly() {
        let examples: Vec<Markers> = (0..1000).map(example).collect();
        let trained = Trained::of(Dropout::default(), true, &examples);
        assert_eq!(trained.values["lang"], ["French", "Thai"]);
        assert_eq!(trained.values["year"].len(), 50);
        let lengths = &trained.values["length_tokens"];
        assert_eq!((lengths.len(), &*lengths[0], &*lengths[63]), (64, "0", "999"));
        let steps = lengths
            .windows(2)
            .map(|pair| pair[1].parse::<u32>().unwrap() - pair[0].parse::<u32>().unwrap());
        assert!(steps.clone().all(|step| (15..=16).contains(&step)));
        // Numbers are no part of the combinations.
        assert_eq!(trained.frequencies.rows().len(), 2);
        let taxonomy = trained.taxonomy();
        assert!(taxonomy.allows("lang", "Thai") && taxonomy.allows("lang", "Greek"));
        assert!(taxonomy.allows("year", "2001") && !taxonomy.allows("audience", "expert"));
        assert!(taxonomy.marker("task").is_err(), "a lever that no example had");
    }

    #[test]
    fn it_is_kept_as_json() {
        let examples: Vec<Markers> = (0..10).map(example).collect();
        let trained = Trained::of(Dropout::default(), false, &examples);
        let text = serde_json::to_string(&trained).unwrap();
        assert_eq!(serde_json::from_str::<Trained>(&text).unwrap(), trained);
    }
}
