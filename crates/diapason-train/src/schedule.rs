//! The learning rate over a run.

/// How the learning rate falls from its peak after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays at the peak; the final fraction has no effect.
    Constant,
    /// In a straight line.
    #[default]
    Linear,
    /// Along half a cosine (SGDR, arXiv 1608.03983, without restarts).
    Cosine,
}

impl Schedule {
    /// The fraction of the peak at `step`, counted from 1, of `total` steps.
    ///
    /// The warm-up reaches the peak at its last step, and the fall would reach `final_fraction`
    /// one step after the last, so no step is wasted on a learning rate of 0.
    pub(crate) fn factor(self, step: u64, total: u64, warmup: u64, final_fraction: f64) -> f64 {
        if step <= warmup {
            return step as f64 / warmup as f64;
        }
        let done = (step - warmup - 1) as f64;
        let progress = (done / total.saturating_sub(warmup).max(1) as f64).min(1.0);
        let remaining = match self {
            Schedule::Constant => return 1.0,
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        final_fraction + (1.0 - final_fraction) * remaining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule) -> Vec<f64> {
        (1..=6).map(|step| schedule.factor(step, 6, 2, 0.2)).collect()
    }

    #[test]
    fn the_rate_rises_to_the_peak_and_falls_towards_the_final_fraction() {
        let close = |found: Vec<f64>, expected: [f64; 6]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
            }
        };
        close(factors(Schedule::Constant), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        close(factors(Schedule::Linear), [0.5, 1.0, 1.0, 0.8, 0.6, 0.4]);
        let eighth = 0.6 + 0.4 * std::f64::consts::FRAC_1_SQRT_2;
        close(factors(Schedule::Cosine), [0.5, 1.0, 1.0, eighth, 0.6, 1.2 - eighth]);
    }

    #[test]
    fn no_step_has_a_rate_of_zero_even_when_the_warm_up_is_longer_than_the_run() {
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            for warmup in [0, 1, 5, 9] {
                for step in 1..=5 {
                    assert!(schedule.factor(step, 5, warmup, 0.0) > 0.0);
                }
            }
        }
    }
}
