//! Quality buckets: quartiles of the score within each language.

use std::collections::BTreeMap;

/// Scores of a corpus by language, sorted.
#[derive(Clone, Debug, Default)]
pub struct Quartiles {
    /// Ascending.
    scores: BTreeMap<String, Vec<f64>>,
}

impl Quartiles {
    /// The quartiles of pairs of language and score; an empty name stands for "unknown language",
    /// which is a group of its own.
    pub fn of(scores: impl IntoIterator<Item = (String, f64)>) -> Self {
        let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (language, score) in scores {
            groups.entry(language).or_default().push(score);
        }
        for group in groups.values_mut() {
            group.sort_by(f64::total_cmp);
        }
        Quartiles { scores: groups }
    }

    /// Whether there is no score at all.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The bucket of a score, 1 the best: which quarter of its language it is in by the share of
    /// scores above it, so that equal scores share a bucket. `None` in a language without scores.
    pub fn bucket(&self, language: &str, score: f64) -> Option<&'static str> {
        let group = self.scores.get(language)?;
        let above = group.len() - group.partition_point(|other| *other <= score);
        Some(["1", "2", "3", "4"][(4 * above / group.len()).min(3)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_quarters_by_the_plain_definition(scores in proptest::collection::vec(0..40i32, 1..60)) {
            let pairs = scores.iter().map(|score| ("Greek".to_owned(), f64::from(*score)));
            let quartiles = Quartiles::of(pairs);
            for score in &scores {
                let above = scores.iter().filter(|other| *other > score).count() as f64;
                let expected = 1 + (4.0 * above / scores.len() as f64).floor() as usize;
                let bucket = quartiles.bucket("Greek", f64::from(*score)).unwrap();
                prop_assert_eq!(bucket, expected.to_string());
            }
        }
    }

    #[test]
    fn languages_do_not_compete() {
        let score = |language: &str, score| (language.to_owned(), score);
        let quartiles = Quartiles::of([
            score("Czech", 1.0),
            score("Czech", 2.0),
            score("Czech", 3.0),
            score("Czech", 4.0),
            score("Hindi", 0.1),
            score("Hindi", 0.2),
            score("Hindi", 0.3),
            score("Hindi", 0.4),
        ]);
        assert_eq!(quartiles.bucket("Hindi", 0.4), Some("1"));
        assert_eq!(quartiles.bucket("Czech", 1.0), Some("4"));
        assert_eq!(quartiles.bucket("Dutch", 1.0), None);
    }
}
