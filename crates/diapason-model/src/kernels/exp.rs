//! The exponential as plain arithmetic that vectorises, and softmax over it.

use super::reduce::{map, map_sum, max};
use super::vectorised;

/// e^x with a relative error below 2e-7 for -87 ≤ x ≤ 88; outside, the value at the nearer end.
/// NaN gives NaN.
///
/// x = n·ln 2 + r, |r| ≤ ln 2 / 2; e^r is a polynomial (Cephes), 2^n is put together from bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// 1.5 · 2^23: adding it rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let e = p * (r * r) + r + 1.0;
    // The constant's own bits leave by the shift; what stays is n + 127 as an exponent.
    e * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

vectorised! {
    /// Softmax of `scale · row` in place; returns the logarithm of the sum of exponentials.
    pub(crate) fn softmax_row(row: &mut [f32], scale: f32) -> f32 {
        let top = max(row) * scale;
        let sum = map_sum(row, |x| exp(x * scale - top));
        let inverse = 1.0 / sum;
        map(row, |x| x * inverse);
        top + sum.ln()
    }
}

vectorised! {
    /// `row = exp(scale · row - log_sum)`: softmax again, from its saved normaliser.
    pub(crate) fn softmax_again(row: &mut [f32], scale: f32, log_sum: f32) -> () {
        map(row, |x| exp(x * scale - log_sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;

    #[test]
    fn exp_is_close_to_the_true_one_everywhere() {
        let mut worst = 0.0_f64;
        for step in -870_000..880_000 {
            let x = step as f32 * 1e-4;
            let truth = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / truth - 1.0).abs());
        }
        assert!(worst < 2e-7, "relative error {worst:e}");
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(1e9).is_finite());
    }

    #[test]
    fn softmax_sums_to_one_and_comes_again_from_its_normaliser() {
        let scores: Vec<f32> = (0..77).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
        for level in [Level::Baseline, Level::detect()] {
            let mut once = scores.clone();
            let log_sum = softmax_row(level, &mut once, 0.7);
            let mut again = scores.clone();
            softmax_again(level, &mut again, 0.7, log_sum);
            let truth: f64 = scores.iter().map(|x| (f64::from(*x) * 0.7).exp()).sum();
            for ((x, once), again) in scores.iter().zip(&once).zip(&again) {
                let p = (f64::from(*x) * 0.7).exp() / truth;
                assert!((f64::from(*once) - p).abs() < 1e-6 && (once - again).abs() < 1e-6);
            }
        }
    }
}
