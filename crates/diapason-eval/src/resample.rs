//! Resampling whole units: sums over bootstrap resamples and sign flips, quantiles, levels.
//!
//! U units, K columns, R resamples. One pass over a `[U, K]` matrix serves all metrics of a task,
//! so the resamples are shared by its metrics, and by all models measured on the same units.

use diapason_flow::Stream;
use rand::Rng;

/// Number of bootstrap resamples, and of sign flips counting the identity.
pub(crate) const RESAMPLES: usize = 2000;

/// Values of U units in K columns, row by row.
pub(crate) struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    pub(crate) fn zeros(units: usize, columns: usize) -> Self {
        Matrix { columns, values: vec![0.0; units * columns] }
    }

    pub(crate) fn set(&mut self, unit: usize, column: usize, value: f64) {
        self.values[unit * self.columns + column] = value;
    }

    fn units(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    fn row(&self, unit: usize) -> &[f64] {
        &self.values[unit * self.columns..(unit + 1) * self.columns]
    }

    /// Adds `weight · row` of every unit.
    fn weighted_sum(&self, weights: impl Iterator<Item = f64>, sums: &mut [f64]) {
        for (unit, weight) in weights.enumerate().filter(|(_, weight)| *weight != 0.0) {
            for (sum, value) in sums.iter_mut().zip(self.row(unit)) {
                *sum += weight * value;
            }
        }
    }

    /// Column sums of R resamples of U units with replacement, `[R, K]`.
    pub(crate) fn bootstrap(&self, stream: &mut Stream) -> Vec<f64> {
        let units = self.units();
        let mut sums = vec![0.0; RESAMPLES * self.columns];
        let mut times = vec![0u32; units];
        for sums in sums.chunks_mut(self.columns.max(1)) {
            times.fill(0);
            for _ in 0..units {
                // A multiplication maps 32 random bits to 0..U with a bias below U / 2^32.
                times[((u64::from(stream.next_u32()) * units as u64) >> 32) as usize] += 1;
            }
            self.weighted_sum(times.iter().map(|times| f64::from(*times)), sums);
        }
        sums
    }

    /// Column sums under sign flips of whole units, `[flips, K]`; the first is the identity.
    /// All of them where there are no more than R, else R - 1 random ones beside the identity.
    pub(crate) fn sign_flips(&self, stream: &mut Stream) -> Vec<f64> {
        let units = self.units();
        let exact = units < RESAMPLES.ilog2() as usize + 1;
        let flips = if exact { 1 << units } else { RESAMPLES };
        let mut sums = vec![0.0; flips * self.columns];
        for (flip, sums) in sums.chunks_mut(self.columns.max(1)).enumerate() {
            let mut bits = flip as u64;
            let signs = (0..units).map(|unit| {
                if !exact && flip > 0 && unit % 64 == 0 {
                    bits = stream.next_u64();
                }
                let sign = if bits & 1 == 1 { -1.0 } else { 1.0 };
                bits >>= 1;
                sign
            });
            self.weighted_sum(signs, sums);
        }
        sums
    }
}

/// Fewer units than this have a Student interval: the resamples of so few are confined to their
/// range, which misses the truth too often (6 % of the time for 5 normal units at best).
const FEW_UNITS: usize = 12;

/// A 95 % interval of `value`, a mean of n units, from its bootstrap distribution. `None` for
/// fewer than two units.
///
/// Few units: `value ± t_{n-1} · √(n/(n-1)) · deviation of the resamples`. Otherwise percentiles,
/// at levels widened for the same two reasons, `Φ(∓ √(n/(n-1)) t_{n-1})`: a plain percentile
/// interval uses the normal quantile and the variance with divisor n, and so is too short
/// (Hesterberg 2015, "expanded percentile interval").
pub(crate) fn interval(mut resampled: Vec<f64>, value: f64, n: usize) -> Option<[f64; 2]> {
    resampled.retain(|value| value.is_finite());
    if resampled.is_empty() || n < 2 {
        return None;
    }
    let freedom = n as f64 - 1.0;
    let widened = (n as f64 / freedom).sqrt() * student_quantile(freedom);
    if n < FEW_UNITS {
        let count = resampled.len() as f64;
        let mean = resampled.iter().sum::<f64>() / count;
        let variance = resampled.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let half = widened * variance.sqrt();
        return Some([value - half, value + half]);
    }
    resampled.sort_by(f64::total_cmp);
    let tail = normal_tail(widened);
    Some([quantile(&resampled, tail), quantile(&resampled, 1.0 - tail)])
}

/// Linear interpolation between order statistics of sorted values.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The 0.975 quantile of Student's t: exact for 1 and 2 degrees of freedom, Cornish–Fisher beyond
/// (Abramowitz & Stegun 26.7.5; within 1 % at 3, closer after).
fn student_quantile(freedom: f64) -> f64 {
    const Z: f64 = 1.959963984540054;
    if freedom <= 1.0 {
        return 12.706204736;
    }
    if freedom <= 2.0 {
        return 4.30265273;
    }
    let (z3, z5, z7) = (Z.powi(3), Z.powi(5), Z.powi(7));
    Z + (z3 + Z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / (384.0 * freedom.powi(3))
}

/// `1 - Φ(z)` for z ≥ 0 (Abramowitz & Stegun 26.2.17, absolute error below 1e-7).
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.2316419 * z);
    let polynomial = t
        * (0.319381530
            + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Streams;

    #[test]
    fn levels_agree_with_tables() {
        for (freedom, quantile) in [(1.0, 12.706), (2.0, 4.303), (5.0, 2.571), (30.0, 2.042)] {
            assert!((student_quantile(freedom) - quantile).abs() < 0.004, "{freedom}");
        }
        assert!((student_quantile(3.0) / 3.182 - 1.0).abs() < 0.01);
        for (z, tail) in [(0.0, 0.5), (1.0, 0.158655), (1.959964, 0.025), (3.0, 0.00134990)] {
            assert!((normal_tail(z) - tail).abs() < 1e-6, "{z}");
        }
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
    }

    #[test]
    fn few_units_are_flipped_in_every_way() {
        let mut matrix = Matrix::zeros(3, 1);
        for (unit, value) in [1.0, 2.0, 4.0].into_iter().enumerate() {
            matrix.set(unit, 0, value);
        }
        let mut sums = matrix.sign_flips(&mut Streams::new(0).stream("flips", 0));
        assert_eq!(sums[0], 7.0, "the identity comes first");
        sums.sort_by(f64::total_cmp);
        assert_eq!(sums, [-7.0, -5.0, -3.0, -1.0, 1.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn resamples_keep_the_number_of_units_and_the_mean() {
        let mut matrix = Matrix::zeros(50, 2);
        for unit in 0..50 {
            matrix.set(unit, 0, unit as f64);
            matrix.set(unit, 1, 1.0);
        }
        let sums = matrix.bootstrap(&mut Streams::new(0).stream("b", 0));
        assert!(sums.chunks(2).all(|sums| sums[1] == 50.0));
        let mean = sums.chunks(2).map(|sums| sums[0] / 50.0).sum::<f64>() / RESAMPLES as f64;
        // The mean of 2000 resample means has a standard error of 0.046.
        assert!((mean - 24.5).abs() < 0.2, "{mean}");
    }
}
