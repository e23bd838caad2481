//! Draws from one normal distribution, rounded to a fixed number of decimals.
//!
//! Everything is counted in units of the last decimal shown: the standard deviation spans 5 to
//! 1000 of them and the mean stays within 20 deviations of zero, so that no episode is constant
//! and no number has more than seven or eight characters. That departs from the reference suite,
//! whose scales over ten orders of magnitude left one episode in ten unreadable.

use super::instance::{Instance, Told};
use super::labels::fixed_point;
use super::parameters::Parameters;
use super::predictive::rounded_normal;
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// A normal distribution in units of the last decimal; an outcome is a number of units.
pub(super) struct Normal {
    told: Told,
    decimals: usize,
    mean_units: i64,
    deviation_units: i64,
}

impl Instance for Normal {
    const NAME: &'static str = "normal";
    const ABOUT: &'static str = "Normal draws with 0 to 4 decimals; deviation log-uniform over 5 \
        to 1000 units of the last decimal, mean uniform within 20 deviations of zero.";
    const OPTIMAL: &'static str = "Mean and deviation told: the mass of the rounding cell. \
        None otherwise: the priors are not conjugate.";
    type Outcome = i64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let decimals = stream.random_range(0..=4);
        let deviation = 5.0 * 200_f64.powf(stream.random::<f64>());
        let mean = deviation * (40.0 * stream.random::<f64>() - 20.0);
        let (mean_units, deviation_units) = (mean.round() as i64, deviation.round() as i64);
        Normal { told, decimals, mean_units, deviation_units }
    }

    fn wordings(&self) -> Vec<String> {
        let decimals = match self.decimals {
            0 => "no decimals".to_owned(),
            1 => "1 decimal".to_owned(),
            more => format!("{more} decimals"),
        };
        if self.told == Told::Family {
            return vec![
                format!("Draws from one normal distribution, with {decimals}."),
                format!(
                    "Numbers from a bell curve whose centre and width are not given ({decimals})."
                ),
                format!(
                    "Independent Gaussian measurements of the same thing, rounded to {decimals}."
                ),
            ];
        }
        let mean = fixed_point(self.mean_units, self.decimals);
        let deviation = fixed_point(self.deviation_units, self.decimals);
        vec![
            format!(
                "Draws from a normal distribution with mean {mean} and standard deviation {deviation}, with {decimals}."
            ),
            format!(
                "Gaussian noise of standard deviation {deviation} around {mean}, rounded to {decimals}."
            ),
            format!("x ~ Normal(mean = {mean}, sd = {deviation}), shown with {decimals}."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["Draw a number.", "Take another measurement.", "Give one sample."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> i64 {
        let standard: f64 = StandardNormal.sample(stream);
        (self.mean_units as f64 + self.deviation_units as f64 * standard).round() as i64
    }

    fn ln_predictive(&self, units: &i64) -> Option<f64> {
        (self.told == Told::Parameters)
            .then(|| rounded_normal(self.mean_units as f64, self.deviation_units as f64, *units))
    }

    fn observe(&mut self, _: &i64) {}

    fn text(&self, units: &i64) -> String {
        fixed_point(*units, self.decimals)
    }
}
