//! What is asked of a row of logits `[V]` before a token is scored or drawn, in an order of additions
//! that never changes.
//!
//! The exponential is more exact than that of attention, and 0 where nothing is left: in a softmax
//! over a vocabulary many small terms add up.

use super::reduce::max;
use super::{Level, vectorised};

/// Independent sums, so that the loop has no chain of dependent additions.
const LANES: usize = 16;
/// Values whose sum is kept in f32.
const BLOCK: usize = 1024;
/// Below this the exponential counts as 0; f32 holds nothing smaller without losing precision.
const LOWEST: f32 = -87.0;

/// The normaliser of one row of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogSoftmax {
    max: f32,
    /// `ln Σ exp(logit - max)`
    log_sum: f64,
}

impl LogSoftmax {
    /// Of a row; `None` if some logit is not a number, or infinite.
    pub fn of(logits: &[f32]) -> Option<Self> {
        Self::at(Level::detect(), logits)
    }

    fn at(level: Level, logits: &[f32]) -> Option<Self> {
        let max = largest(level, logits);
        let log_sum = sum_of_exp(level, logits, max).ln();
        log_sum.is_finite().then_some(LogSoftmax { max, log_sum })
    }

    /// `ln p` of a token with this logit, at most 0.
    pub fn logprob(&self, logit: f32) -> f32 {
        ((f64::from(logit - self.max) - self.log_sum) as f32).min(0.0)
    }
}

/// The largest of some logits, minus infinity without any. What is not a number is passed over.
pub fn largest_logit(logits: &[f32]) -> f32 {
    largest(Level::detect(), logits)
}

/// `weights = exp((logit - largest) / temperature)`, so that the largest is 1. Both have one length.
pub fn weigh_logits(logits: &[f32], temperature: f32, weights: &mut [f32]) {
    weigh(Level::detect(), logits, temperature, weights);
}

/// The sum of the weights of a draw, added as the terms of a normaliser are.
pub fn sum_weights(weights: &[f32]) -> f64 {
    sum_plainly(Level::detect(), weights)
}

vectorised! {
    fn largest(values: &[f32]) -> f32 {
        max(values)
    }
}

vectorised! {
    fn sum_of_exp(values: &[f32], max: f32) -> f64 {
        sum(values, |value| exp(value - max))
    }
}

vectorised! {
    fn sum_plainly(values: &[f32]) -> f64 {
        sum(values, |value| value)
    }
}

vectorised! {
    fn weigh(logits: &[f32], temperature: f32, weights: &mut [f32]) -> () {
        let max = max(logits);
        for (weight, logit) in weights.iter_mut().zip(logits) {
            *weight = exp((logit - max) / temperature);
        }
    }
}

/// `Σ term(value)`: within a block in f32, value `i` in lane `i mod 16`; lanes and blocks in f64. Short
/// f32 sums keep the loop in vectors and the error near that of a single term.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let (chunks, rest) = block.as_chunks::<LANES>();
        let mut lanes = [0.0_f32; LANES];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += term(*value);
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += term(*value);
        }
        total += lanes.iter().copied().map(f64::from).sum::<f64>();
    }
    total
}

/// `e^x` for x ≤ 0, within 2 units in the last place; not-a-number stays what it is.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 · 2^23: adding it rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let inside = if x < LOWEST { LOWEST } else { x };
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = inside - whole * LN2_HIGH - whole * LN2_LOW;
    // Taylor's series on |rest| ≤ ln 2 / 2, where the first term left out is below 6e-9.
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * rest + coefficient;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let power = f32::from_bits(exponent << 23);
    if x < LOWEST { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_exact_to_two_units_in_the_last_place() {
        for step in 0..=870_000 {
            let x = -(step as f32) * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(error < 2.4e-7, "{x}: {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn log_probabilities_match_the_definition() {
        for width in [1, 5, 16, 333, 5000] {
            let logits: Vec<f32> = (0..width).map(|i| ((i * 7919 % 101) as f32) * 0.21).collect();
            let max = logits.iter().copied().fold(f64::MIN, |a, b| a.max(f64::from(b)));
            let exact: f64 = logits.iter().map(|logit| (f64::from(*logit) - max).exp()).sum();
            let softmax = LogSoftmax::of(&logits).unwrap();
            for level in [Level::Baseline, Level::detect()] {
                assert_eq!(LogSoftmax::at(level, &logits), Some(softmax));
            }
            for logit in &logits {
                let expected = f64::from(*logit) - max - exact.ln();
                assert!((f64::from(softmax.logprob(*logit)) - expected).abs() < 2e-6);
            }
        }
    }

    #[test]
    fn rows_that_are_not_numbers_have_no_softmax() {
        for bad in [f32::NAN, f32::INFINITY] {
            for place in [0, 7, 20] {
                let mut logits = vec![0.5; 21];
                logits[place] = bad;
                assert!(LogSoftmax::of(&logits).is_none());
            }
        }
        assert!(LogSoftmax::of(&[f32::NEG_INFINITY; 3]).is_none());
        assert!(LogSoftmax::of(&[f32::NEG_INFINITY, 1.0]).is_some());
    }

    #[test]
    fn weights_have_the_same_bits_at_every_level() {
        let logits: Vec<f32> = (0..333).map(|i| ((i * 7919 % 101) as f32) * 0.9).collect();
        let [mut plain, mut fast] = [[0.0_f32; 333]; 2];
        weigh(Level::Baseline, &logits, 0.7, &mut plain);
        weigh_logits(&logits, 0.7, &mut fast);
        assert_eq!(plain, fast);
        let (max, exact) = (90.0, |logit: f32| (f64::from(logit - 90.0) / 0.7).exp());
        assert_eq!(largest_logit(&logits), max);
        for (weight, logit) in plain.iter().zip(&logits) {
            assert!((f64::from(*weight) - exact(*logit)).abs() < 1e-6);
        }
    }
}
