//! Markers at inference: fixed by the user, inferred by the model, or sampled from training
//! (arXiv 2506.14702; sampling: arXiv 2605.09995).

use crate::error::MarkerError;
use crate::list::print_list;
use crate::taxonomy::{Kind, Taxonomy};
use diapason_flow::{Markers, Stream};
use rand::RngExt;
use std::collections::BTreeMap;

/// Who sets the markers that the user leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filling {
    /// The model: it writes its own list before it answers.
    #[default]
    Inferred,
    /// A draw from the training examples that agree with the fixed markers.
    Sampled,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levers {
    /// Markers with the values that the answer must have.
    pub fixed: Markers,
    /// Who sets the others.
    pub filling: Filling,
}

/// How often each combination of markers stood in training.
///
/// Numbers are left out: hardly two examples share them, and `length_bucket` and `quality_bucket`
/// say what they say. Hence a lever on a number narrows nothing but through its bucket.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Frequencies {
    rows: Vec<(Markers, u64)>,
}

impl Levers {
    /// Checks the fixed markers and completes what one says of another: `length_tokens` sets
    /// `length_bucket` where a model was trained with it.
    ///
    /// # Errors
    /// A marker or value that the taxonomy lacks.
    pub fn checked(mut self, taxonomy: &Taxonomy) -> Result<Self, MarkerError> {
        self.fixed = taxonomy.read(&self.fixed)?.to_markers();
        let words = self.fixed.0.get("length_tokens").and_then(|value| value.values().first());
        if let Some(words) = words.and_then(|words| words.parse().ok())
            && taxonomy.marker("length_bucket").is_ok()
            && !self.fixed.0.contains_key("length_bucket")
        {
            self.fixed.set("length_bucket", crate::count::length_bucket(words));
        }
        Ok(self)
    }

    /// What a request shows on its prompt side and its answer's list must hold; empty where the
    /// model is to infer everything. `frequencies` and `stream` matter to [`Filling::Sampled`] only.
    pub fn pull(&self, frequencies: &Frequencies, stream: &mut Stream) -> Markers {
        match self.filling {
            Filling::Inferred => self.fixed.clone(),
            Filling::Sampled => frequencies.sample(&self.fixed, stream),
        }
    }
}

impl Frequencies {
    /// Counts the markers of training examples.
    pub fn of<'a>(taxonomy: &Taxonomy, examples: impl IntoIterator<Item = &'a Markers>) -> Self {
        let named = |name: &str| taxonomy.marker(name).is_ok_and(|m| m.kind == Kind::Name);
        // Printed lists as keys: equal markers print equally.
        let mut counts: BTreeMap<String, (Markers, u64)> = BTreeMap::new();
        for markers in examples {
            let mut kept = markers.clone();
            kept.0.retain(|name, _| named(name));
            let entry = counts.entry(print_list(&kept)).or_insert((kept, 0));
            entry.1 += 1;
        }
        Frequencies { rows: counts.into_values().collect() }
    }

    /// The combinations with their counts, in a fixed order.
    pub fn rows(&self) -> &[(Markers, u64)] {
        &self.rows
    }

    /// The fixed markers, completed by one training example that agrees with them, drawn by
    /// frequency.
    ///
    /// An example agrees on a marker if it has all the fixed values. Where none agrees on all
    /// markers, those that agree on the most are drawn from; a fixed marker always keeps its value.
    pub fn sample(&self, fixed: &Markers, stream: &mut Stream) -> Markers {
        let agreement = |row: &Markers| {
            let agrees = |(name, value): (&str, &diapason_flow::MarkerValue)| {
                let has = row.0.get(name).map_or(&[][..], |value| value.values());
                value.values().iter().all(|value| has.contains(value))
            };
            fixed.iter().filter(|marker| agrees(*marker)).count()
        };
        let most = self.rows.iter().map(|(row, _)| agreement(row)).max().unwrap_or(0);
        let candidates = || self.rows.iter().filter(|(row, _)| agreement(row) == most);
        let total: u64 = candidates().map(|(_, count)| count).sum();
        let mut drawn = fixed.clone();
        if total == 0 {
            return drawn;
        }
        let mut ticket = stream.random_range(0..total);
        for (row, count) in candidates() {
            if ticket < *count {
                for (name, value) in &row.0 {
                    drawn.0.entry(name.clone()).or_insert_with(|| value.clone());
                }
                break;
            }
            ticket -= count;
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Streams;

    fn example(pairs: &[(&str, &str)]) -> Markers {
        let mut markers = Markers::default();
        for (name, value) in pairs {
            markers.set(*name, *value);
        }
        markers
    }

    /// 60 French and 40 Greek examples; tasks differ between them, lengths are all different.
    fn corpus() -> Vec<Markers> {
        (0..100)
            .map(|index| {
                let language = if index < 60 { "French" } else { "Greek" };
                let task = match index {
                    45..60 => "Reasoning",
                    0..70 => "Rewrite",
                    _ => "Translation",
                };
                let words = index.to_string();
                example(&[("lang", language), ("task", task), ("length_tokens", &words)])
            })
            .collect()
    }

    /// Chi-square statistic of drawn tasks against expected shares.
    fn chi_square(fixed: &Markers, shares: &[(&str, f64)]) -> f64 {
        const DRAWS: usize = 5000;
        let frequencies = Frequencies::of(&Taxonomy::built_in(), &corpus());
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        let streams = Streams::new(11);
        for index in 0..DRAWS {
            let drawn = frequencies.sample(fixed, &mut streams.stream("levers", index as u64));
            for (name, value) in fixed.iter() {
                assert_eq!(drawn.0[name], *value);
            }
            let task = drawn.0["task"].values()[0].clone();
            *counts.entry(task).or_default() += 1.0;
        }
        assert_eq!(counts.len(), shares.len(), "{counts:?}");
        let term = |(task, share): &(&str, f64)| {
            let expected = share * DRAWS as f64;
            (counts[*task] - expected).powi(2) / expected
        };
        shares.iter().map(term).sum()
    }

    #[test]
    fn sampled_levers_have_the_frequencies_of_training_given_the_fixed_ones() {
        // The 99.9 % points of chi-square with 2 and 1 degrees of freedom.
        let all = [("Rewrite", 0.55), ("Reasoning", 0.15), ("Translation", 0.30)];
        assert!(chi_square(&Markers::default(), &all) < 13.82);
        let greek = [("Rewrite", 0.25), ("Translation", 0.75)];
        assert!(chi_square(&example(&[("lang", "Greek")]), &greek) < 10.83);
        // No example is Polish: the lever holds all the same, the rest comes from all.
        assert!(chi_square(&example(&[("lang", "Polish")]), &all) < 13.82);
    }

    #[test]
    fn levers_are_pulled_as_they_are_set() {
        let taxonomy = Taxonomy::built_in();
        let frequencies = Frequencies::of(&taxonomy, &corpus());
        let mut stream = Streams::new(0).stream("levers", 0);
        assert!(Levers::default().pull(&frequencies, &mut stream).is_empty());
        let fixed = example(&[("length_tokens", "40")]);
        let levers = Levers { fixed, filling: Filling::Inferred }.checked(&taxonomy).unwrap();
        assert_eq!(levers.fixed.0["length_bucket"].values(), ["concise"]);
        assert_eq!(levers.pull(&frequencies, &mut stream), levers.fixed);
        let sampled = Levers { filling: Filling::Sampled, ..levers.clone() };
        let pulled = sampled.pull(&frequencies, &mut stream);
        let names: Vec<&str> = pulled.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["lang", "length_bucket", "length_tokens", "task"]);
        assert_eq!(pulled.0["length_tokens"], levers.fixed.0["length_tokens"]);
        let wrong = Levers { fixed: example(&[("lang", "Klingon")]), filling: Filling::Inferred };
        assert!(wrong.checked(&taxonomy).is_err());
    }

    #[test]
    fn without_examples_only_the_fixed_markers_are_drawn() {
        let fixed = example(&[("lang", "Czech")]);
        let mut stream = Streams::new(0).stream("levers", 0);
        assert_eq!(Frequencies::default().sample(&fixed, &mut stream), fixed);
    }
}
