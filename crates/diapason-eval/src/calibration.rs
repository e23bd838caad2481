//! Calibration: do tokens of probability p come true p of the time?
//!
//! The pooled pairs are sorted by probability and cut into ten bins of equal mass; pairs of equal
//! probability stay together, so each pair lies in exactly one bin whatever the order of the
//! input. The error is the mean over bins, weighted by the number of pairs, of
//! `|mean probability - share that came true|`.

use crate::{Tally, Units};
use std::collections::BTreeMap;

/// Number of bins.
const BINS: usize = 10;

/// A probability a model gave, and whether the event happened.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pair {
    /// The model's probability, 0 to 1.
    pub probability: f32,
    /// Whether it came true.
    pub right: bool,
}

impl Pair {
    fn excess(self) -> f64 {
        f64::from(self.probability) - f64::from(u8::from(self.right))
    }
}

/// Expected calibration error of pooled pairs, 0 to 1; `None` without pairs.
pub fn expected_calibration_error(pairs: &[Pair]) -> Option<f64> {
    let units = BTreeMap::from([(String::new(), pairs.to_vec())]);
    let tally = *tallies(&units).get("")?;
    tally.mean()
}

/// The error as a ratio of sums over units, so that it is resampled like any other metric.
///
/// With the bins fixed, the error is `Σ_b |Σ_u d_ub| / Σ_u n_u`, where `d_ub` is the excess
/// probability of unit u in bin b. With the sign of each bin's sum fixed as well it is
/// `Σ_u (Σ_b ±d_ub) / Σ_u n_u`: exact on all units, linear in them, and free of the upward bias
/// that absolute values of resampled noise would have.
pub(crate) fn tallies(pairs: &BTreeMap<String, Vec<Pair>>) -> Units {
    let upper = upper_edges(pairs.values().flatten().map(|pair| pair.probability).collect());
    let bin = |pair: &Pair| upper.partition_point(|edge| *edge < pair.probability);
    let mut excess = vec![0.0; upper.len() + 1];
    for pair in pairs.values().flatten() {
        excess[bin(pair)] += pair.excess();
    }
    pairs
        .iter()
        .filter(|(_, pairs)| !pairs.is_empty())
        .map(|(unit, pairs)| {
            let sum = pairs.iter().map(|pair| pair.excess() * excess[bin(pair)].signum()).sum();
            (unit.clone(), Tally { sum, count: pairs.len() as f64 })
        })
        .collect()
}

/// Largest probability of every bin but the last. A run of equal probabilities belongs to the bin
/// in which its middle rank falls.
fn upper_edges(mut probabilities: Vec<f32>) -> Vec<f32> {
    probabilities.sort_by(f32::total_cmp);
    let total = probabilities.len();
    let mut edges: Vec<(usize, f32)> = Vec::new();
    let mut start = 0;
    for run in probabilities.chunk_by(|a, b| a == b) {
        let bin = (2 * start + run.len()) * BINS / (2 * total);
        match edges.last_mut() {
            Some(last) if last.0 == bin => last.1 = run[0],
            _ => edges.push((bin, run[0])),
        }
        start += run.len();
    }
    edges.pop();
    edges.into_iter().map(|(_, edge)| edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Streams;
    use rand::Rng;

    fn pair(probability: f32, right: bool) -> Pair {
        Pair { probability, right }
    }

    #[test]
    fn one_probability_is_one_bin_whatever_the_order() {
        let mut pairs: Vec<_> = (0..10).map(|index| pair(0.3, index < 7)).collect();
        let error = expected_calibration_error(&pairs).unwrap();
        assert!((error - 0.4).abs() < 1e-7, "{error}");
        pairs.reverse();
        assert_eq!(expected_calibration_error(&pairs), Some(error));
        assert_eq!(expected_calibration_error(&[]), None);
    }

    #[test]
    fn distinct_probabilities_agree_with_bins_cut_by_rank() {
        let mut stream = Streams::new(3).stream("pairs", 0);
        let mut uniform = || stream.next_u32() as f32 / u32::MAX as f32;
        let mut pairs: Vec<_> = (0..1000).map(|_| pair(uniform(), uniform() < 0.4)).collect();
        let fast = expected_calibration_error(&pairs).unwrap();
        pairs.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        let slow: f64 = pairs
            .chunks(100)
            .map(|bin| bin.iter().map(|pair| pair.excess()).sum::<f64>().abs() / 1000.0)
            .sum();
        assert!((fast - slow).abs() < 1e-9, "{fast} {slow}");
    }

    #[test]
    fn a_calibrated_forecaster_has_a_small_error_and_units_sum_to_the_whole() {
        let mut stream = Streams::new(5).stream("pairs", 0);
        let mut uniform = || stream.next_u32() as f32 / u32::MAX as f32;
        let mut units: BTreeMap<String, Vec<Pair>> = BTreeMap::new();
        for index in 0..40_000 {
            let probability = uniform();
            let right = uniform() < probability;
            units.entry(format!("{}", index % 7)).or_default().push(pair(probability, right));
        }
        let all: Vec<_> = units.values().flatten().copied().collect();
        let error = expected_calibration_error(&all).unwrap();
        assert!(error < 0.01, "{error}");
        let tallies = tallies(&units);
        let sum: f64 = tallies.values().map(|tally| tally.sum).sum();
        assert!((sum / 40_000.0 - error).abs() < 1e-9);
    }
}
