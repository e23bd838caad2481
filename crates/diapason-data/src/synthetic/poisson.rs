//! Counts of events at one rate.

use super::instance::{Instance, Told};
use super::labels::trimmed;
use super::parameters::Parameters;
use super::predictive::{gamma_poisson, poisson};
use diapason_flow::Stream;
use rand_distr::{Distribution, Gamma};

/// The prior of the rate: Gamma with this shape and scale, mean 1000.
const SHAPE: f64 = 0.5;
const SCALE: f64 = 2000.0;

/// A Poisson distribution.
pub(super) struct Poisson {
    told: Told,
    rate: f64,
    draws: u64,
    sum: u64,
}

impl Poisson {
    /// The rate as it is told: hundredths, at least one.
    fn hundredths(&self) -> i64 {
        ((self.rate * 100.0).round() as i64).max(1)
    }
}

impl Instance for Poisson {
    const NAME: &'static str = "poisson";
    const ABOUT: &'static str =
        "Poisson counts, rate ~ Gamma(shape 1/2, scale 2000); in hundredths where it is told.";
    const OPTIMAL: &'static str = "Always: the rate itself where told, else gamma-Poisson.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let prior = Gamma::new(SHAPE, SCALE).expect("shape and scale are positive");
        let rate = prior.sample(stream).max(f64::MIN_POSITIVE);
        let mut instance = Poisson { told, rate, draws: 0, sum: 0 };
        if told == Told::Parameters {
            instance.rate = instance.hundredths() as f64 / 100.0;
        }
        instance
    }

    fn wordings(&self) -> Vec<String> {
        if self.told == Told::Family {
            return [
                "Draws from one Poisson distribution.",
                "How many events happened in each of several equally long periods; the rate is \
                 steady but not given.",
                "Counts of rare, independent events, always at the same unknown rate.",
            ]
            .map(str::to_owned)
            .to_vec();
        }
        let rate = trimmed(self.hundredths(), 2);
        vec![
            format!("Draws from a Poisson distribution with rate {rate}."),
            format!("How many events happened in each period, when {rate} are expected."),
            format!("Counts of independent events: Poisson(lambda = {rate})."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["How many events this time?", "Draw a count.", "Count the next period."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        let law = rand_distr::Poisson::new(self.rate).expect("the rate is positive and moderate");
        let count: f64 = law.sample(stream);
        count as u64
    }

    fn ln_predictive(&self, count: &u64) -> Option<f64> {
        Some(match self.told {
            Told::Parameters => poisson(self.rate, *count),
            _ => gamma_poisson(SHAPE + self.sum as f64, 1.0 / SCALE + self.draws as f64, *count),
        })
    }

    fn observe(&mut self, count: &u64) {
        self.draws += 1;
        self.sum += count;
    }

    fn text(&self, count: &u64) -> String {
        count.to_string()
    }
}
