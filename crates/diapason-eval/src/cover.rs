//! Coverage of the valid outputs: what n draws reached, and what they say about the rest.
//!
//! `n` valid draws, `S` distinct canonical outputs among them, `f1` of them seen once and `f2`
//! twice.

use crate::Judge;
use std::collections::BTreeMap;

/// What n draws reached.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CoverOutcome {
    /// Number of draws, valid or not.
    pub draws: usize,
    /// Canonical form of each valid output → number of draws.
    pub outputs: BTreeMap<String, usize>,
    /// Number of distinct valid outputs there are, where it is finite and known.
    pub support: Option<u64>,
}

/// Judges n draws of one prompt.
pub fn cover<Text: AsRef<str>>(judge: &Judge, texts: &[Text]) -> CoverOutcome {
    let mut classes = judge.classes();
    let classes = texts.iter().map(|text| classes.class(text.as_ref()));
    CoverOutcome { support: judge.support(), ..CoverOutcome::of(classes) }
}

impl CoverOutcome {
    /// Draws that somebody else judged: the canonical form of each, `None` for one that is not
    /// valid. How many valid outputs there are is not known.
    pub fn of(classes: impl IntoIterator<Item = Option<String>>) -> Self {
        let mut outcome = CoverOutcome { draws: 0, outputs: BTreeMap::new(), support: None };
        for class in classes {
            outcome.draws += 1;
            if let Some(canonical) = class {
                *outcome.outputs.entry(canonical).or_insert(0) += 1;
            }
        }
        outcome
    }

    /// Number of valid draws.
    pub fn valid(&self) -> usize {
        self.outputs.values().sum()
    }

    /// Valid draws among all; `None` without draws.
    pub fn valid_share(&self) -> Option<f64> {
        ratio(self.valid(), self.draws)
    }

    /// Distinct outputs among the valid draws; 0 if none is valid, so that failing never looks
    /// diverse.
    pub fn unique_share(&self) -> f64 {
        ratio(self.outputs.len(), self.valid()).unwrap_or(0.0)
    }

    /// Number of distinct valid outputs S.
    pub fn distinct(&self) -> usize {
        self.outputs.len()
    }

    /// Good–Turing estimate `1 - f1/n` of the probability that the next valid draw is one
    /// already seen; 0 if none is valid.
    pub fn good_turing_coverage(&self) -> f64 {
        ratio(self.seen(1), self.valid()).map_or(0.0, |new| 1.0 - new)
    }

    /// Chao's lower bound on the number of outputs the model can reach, in its bias-corrected
    /// form `S + (n-1)/n · f1 (f1-1) / (2 (f2+1))` (Chao 1984, 2005).
    pub fn chao1(&self) -> f64 {
        let (once, twice) = (self.seen(1) as f64, self.seen(2) as f64);
        let draws = self.valid().max(1) as f64;
        let unseen = (draws - 1.0) / draws * once * (once - 1.0) / (2.0 * (twice + 1.0));
        self.distinct() as f64 + unseen.max(0.0)
    }

    /// Collision (Rényi-2) entropy `-ln Σ c(c-1) / n(n-1)` of the valid draws in nats: the share
    /// of pairs of draws that agree is an unbiased estimate of `Σ p²`. `None` where no two draws
    /// agree, for then the estimate is infinite.
    pub fn collision_entropy_nats(&self) -> Option<f64> {
        let pairs = |count: usize| count as f64 * (count as f64 - 1.0);
        let agreeing: f64 = self.outputs.values().map(|count| pairs(*count)).sum();
        // `max` turns the -0.0 of certain agreement into 0.
        (agreeing > 0.0).then(|| (-(agreeing / pairs(self.valid())).ln()).max(0.0))
    }

    /// Share of all valid outputs that was reached; `None` where their number is not known.
    pub fn support_share(&self) -> Option<f64> {
        ratio(self.distinct(), usize::try_from(self.support?).ok()?)
    }

    /// Number of outputs seen in exactly `times` draws.
    fn seen(&self, times: usize) -> usize {
        self.outputs.values().filter(|count| **count == times).count()
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::{Check, Streams};
    use rand::Rng;

    fn digits() -> Judge {
        Judge::new(&Check::Integer { min: 0, max: 9 }).unwrap()
    }

    #[test]
    fn counts_of_a_hand_made_sample() {
        let outcome = cover(&digits(), &["1", " 1", "2", "3", "3\n", "3", "x", "10"]);
        assert_eq!((outcome.draws, outcome.valid(), outcome.distinct()), (8, 6, 3));
        assert_eq!(outcome.valid_share(), Some(0.75));
        assert_eq!(outcome.unique_share(), 0.5);
        assert!((outcome.good_turing_coverage() - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(outcome.chao1(), 3.0, "one singleton says nothing of unseen outputs");
        assert!((outcome.collision_entropy_nats().unwrap() - (30f64 / 8.0).ln()).abs() < 1e-12);
        assert_eq!(outcome.support_share(), Some(0.3));
    }

    #[test]
    fn open_outputs_are_told_apart_by_their_words() {
        let judge = Judge::new(&Check::Open { similarity: 0.6 }).unwrap();
        let texts = ["A dog ran home.", "a dog ran home!", "The dog ran home", "A cat slept.", " "];
        let outcome = cover(&judge, &texts);
        assert_eq!((outcome.valid(), outcome.distinct(), outcome.support), (4, 2, None));
        assert_eq!(outcome.outputs["A dog ran home."], 3);
        let strict = Judge::new(&Check::Open { similarity: 1.0 }).unwrap();
        assert_eq!(cover(&strict, &texts).distinct(), 3);
    }

    #[test]
    fn nothing_valid_is_never_diverse() {
        let outcome = cover(&digits(), &["x", "y"]);
        assert_eq!(outcome.valid_share(), Some(0.0));
        assert_eq!(
            (outcome.unique_share(), outcome.chao1(), outcome.good_turing_coverage()),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(outcome.collision_entropy_nats(), None);
        assert_eq!(cover::<&str>(&digits(), &[]).valid_share(), None);
        let all_differ = cover(&digits(), &["1", "2", "3"]);
        assert_eq!(all_differ.collision_entropy_nats(), None);
        assert_eq!(all_differ.chao1(), 3.0 + 2.0 / 3.0 * 3.0);
        let always = cover(&digits(), &["1"; 5]);
        assert_eq!(always.collision_entropy_nats(), Some(0.0));
    }

    #[test]
    fn the_collision_estimate_is_unbiased_and_chao_bounds_the_support() {
        let mut stream = Streams::new(1).stream("draws", 0);
        let (mut agree, mut support) = (0.0, 0.0);
        for _ in 0..2000 {
            let texts: Vec<_> = (0..6).map(|_| (stream.next_u32() % 10).to_string()).collect();
            let outcome = cover(&digits(), &texts);
            agree += outcome.collision_entropy_nats().map_or(0.0, |nats| (-nats).exp()) / 2000.0;
            support += outcome.chao1() / 2000.0;
        }
        assert!((agree - 0.1).abs() < 0.005, "{agree}");
        assert!(support > 6.5 && support < 10.5, "{support}");
    }
}
