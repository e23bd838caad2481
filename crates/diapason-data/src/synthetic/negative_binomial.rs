//! Failures before a fixed number of successes.
//!
//! The reference suite draws the number of successes below one, which makes two draws of three
//! zero; here it is a whole number from 1 to 12.

use super::instance::{Instance, Told};
use super::labels::{probability, to_thousandths};
use super::parameters::Parameters;
use super::predictive::{Mixture, beta_negative_binomial, negative_binomial};
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::{Distribution, Gamma, Poisson};

/// The largest number of successes.
const MOST_SUCCESSES: u64 = 12;

/// A negative binomial distribution on 0, 1, ..
pub(super) struct NegativeBinomial {
    told: Told,
    successes: u64,
    success: f64,
    draws: u64,
    failures: u64,
    /// Beliefs over 1 to 12 successes, for a reader who is told nothing.
    sizes: Mixture,
}

impl NegativeBinomial {
    /// `ln p(failures)` after what was seen, if `successes` were waited for.
    fn under(&self, successes: u64, failures: u64) -> f64 {
        let (a, b) = (1 + successes * self.draws, 1 + self.failures);
        beta_negative_binomial(successes, a as f64, b as f64, failures)
    }
}

impl Instance for NegativeBinomial {
    const NAME: &'static str = "negative_binomial";
    const ABOUT: &'static str = "Failures before success number r, r uniform on 1..=12, \
        p ~ Uniform(0, 1); p in thousandths where it is told.";
    const OPTIMAL: &'static str = "Always: p itself where told, beta-negative-binomial where only \
        r is, else the mixture over the twelve values of r.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let successes = stream.random_range(1..=MOST_SUCCESSES);
        let mut success = 1.0 - stream.random::<f64>();
        if told == Told::Parameters {
            success = to_thousandths(success) as f64 / 1000.0;
        }
        let sizes = Mixture::uniform(MOST_SUCCESSES as usize);
        NegativeBinomial { told, successes, success, draws: 0, failures: 0, sizes }
    }

    fn wordings(&self) -> Vec<String> {
        let r = match self.successes {
            1 => "1 success".to_owned(),
            more => format!("{more} successes"),
        };
        if self.told == Told::Family {
            return vec![
                format!(
                    "How many attempts failed before {r}, again and again; the chance of a success stays the same but is not given."
                ),
                format!("Draws from one negative binomial distribution: failures before {r}."),
                format!("Misses until a player of unknown skill has {r}."),
            ];
        }
        let p = probability(to_thousandths(self.success));
        vec![
            format!(
                "How many attempts failed before {r}, when each succeeds with probability {p}."
            ),
            format!(
                "Draws from a negative binomial distribution: failures before {r} with p = {p}."
            ),
            format!("Misses until a player who hits with probability {p} has {r}."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["How many failures this time?", "Draw a number of failures.", "Count the misses."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        if self.success >= 1.0 {
            return 0;
        }
        let odds = (1.0 - self.success) / self.success;
        let rates =
            Gamma::new(self.successes as f64, odds).expect("successes and odds are positive");
        let rate = rates.sample(stream).max(f64::MIN_POSITIVE);
        let failures: f64 = Poisson::new(rate).expect("the rate is positive").sample(stream);
        failures as u64
    }

    fn ln_predictive(&self, failures: &u64) -> Option<f64> {
        Some(match self.told {
            Told::Parameters => negative_binomial(self.successes, self.success, *failures),
            Told::Family => self.under(self.successes, *failures),
            Told::Nothing => {
                self.sizes.ln_predictive(|size| self.under(size as u64 + 1, *failures).exp())
            }
        })
    }

    fn observe(&mut self, failures: &u64) {
        self.sizes = self.sizes.after(|size| self.under(size as u64 + 1, *failures).exp());
        self.draws += 1;
        self.failures += failures;
    }

    fn text(&self, failures: &u64) -> String {
        failures.to_string()
    }
}
