//! Successes in a fixed number of trials.

use super::instance::{Instance, Told};
use super::labels::{probability, to_thousandths};
use super::parameters::{Parameters, geometric_plus_poisson};
use super::predictive::{beta_binomial, binomial};
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::Distribution;

/// A binomial distribution.
pub(super) struct Binomial {
    told: Told,
    trials: u64,
    success: f64,
    draws: u64,
    sum: u64,
}

impl Instance for Binomial {
    const NAME: &'static str = "binomial";
    const ABOUT: &'static str = "Successes in n trials, n ~ Geometric + Poisson (mean 1024), \
        p ~ Uniform(0, 1); p in thousandths where it is told.";
    const OPTIMAL: &'static str = "With a description, which always tells n: p itself where told, \
        else beta-binomial. None without one.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let trials = geometric_plus_poisson(1024.0, stream);
        let mut success = stream.random::<f64>();
        if told == Told::Parameters {
            success = to_thousandths(success) as f64 / 1000.0;
        }
        Binomial { told, trials, success, draws: 0, sum: 0 }
    }

    fn wordings(&self) -> Vec<String> {
        let n = self.trials;
        if self.told == Told::Family {
            return vec![
                format!("Draws from one binomial distribution with n = {n}."),
                format!(
                    "How many of {n} attempts succeeded, again and again; the chance of a success stays the same but is not given."
                ),
                format!("Number of heads in {n} tosses of the same bent coin."),
            ];
        }
        let p = probability(to_thousandths(self.success));
        vec![
            format!("Draws from a binomial distribution with n = {n} and p = {p}."),
            format!("How many of {n} attempts succeeded, when each succeeds with probability {p}."),
            format!(
                "Number of heads in {n} tosses of a bent coin that shows heads with probability {p}."
            ),
        ]
    }

    fn questions(&self) -> Vec<String> {
        vec![
            format!("How many of {} succeeded?", self.trials),
            "Draw a number of successes.".to_owned(),
            "Run all trials again and count.".to_owned(),
        ]
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        let law = rand_distr::Binomial::new(self.trials, self.success);
        law.expect("success is a probability").sample(stream)
    }

    fn ln_predictive(&self, successes: &u64) -> Option<f64> {
        let failures = self.draws * self.trials - self.sum;
        let (a, b) = (1.0 + self.sum as f64, 1.0 + failures as f64);
        match self.told {
            Told::Parameters => Some(binomial(self.trials, self.success, *successes)),
            Told::Family => Some(beta_binomial(self.trials, a, b, *successes)),
            Told::Nothing => None,
        }
    }

    fn observe(&mut self, successes: &u64) {
        self.draws += 1;
        self.sum += successes;
    }

    fn text(&self, successes: &u64) -> String {
        successes.to_string()
    }
}
