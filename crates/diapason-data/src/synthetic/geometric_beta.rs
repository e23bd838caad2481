//! Trials up to the first success, where the chance of success has a Beta prior that is told.
//!
//! The reference suite has the plain geometric process twice; here the second one tells the
//! prior, so that a description helps without revealing the instance.

use super::geometric::draw_trials;
use super::instance::{Instance, Told};
use super::labels::{probability, to_thousandths};
use super::parameters::Parameters;
use super::predictive::{Mixture, beta_geometric, geometric};
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::{Beta, Distribution};

/// The values that both hyperparameters take.
const SHAPES: [u64; 3] = [1, 2, 5];

/// A geometric distribution on 1, 2, .. with its prior.
pub(super) struct GeometricBeta {
    told: Told,
    prior: [u64; 2],
    success: f64,
    draws: u64,
    failures: u64,
    /// Beliefs over the nine priors, for a reader who is told nothing.
    priors: Mixture,
}

impl GeometricBeta {
    /// `ln p(trials)` after what was seen, under a prior.
    fn under(&self, prior: [u64; 2], trials: u64) -> f64 {
        let (a, b) = (prior[0] + self.draws, prior[1] + self.failures);
        beta_geometric(a as f64, b as f64, trials)
    }
}

fn numbered_prior(number: usize) -> [u64; 2] {
    [SHAPES[number / SHAPES.len()], SHAPES[number % SHAPES.len()]]
}

impl Instance for GeometricBeta {
    const NAME: &'static str = "geometric_beta";
    const ABOUT: &'static str = "Trials up to the first success, p ~ Beta(a, b) with a, b uniform \
        on {1, 2, 5}; p in thousandths where it is told.";
    const OPTIMAL: &'static str = "Always: p itself where told, beta-geometric where a and b are, \
        else the mixture over the nine priors.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let hypotheses = SHAPES.len() * SHAPES.len();
        let prior = numbered_prior(stream.random_range(0..hypotheses));
        let law = Beta::new(prior[0] as f64, prior[1] as f64).expect("both shapes are positive");
        let mut success = law.sample(stream).max(f64::EPSILON);
        if told == Told::Parameters {
            success = to_thousandths(success) as f64 / 1000.0;
        }
        let priors = Mixture::uniform(hypotheses);
        GeometricBeta { told, prior, success, draws: 0, failures: 0, priors }
    }

    fn wordings(&self) -> Vec<String> {
        let [a, b] = self.prior;
        if self.told == Told::Family {
            return vec![
                format!(
                    "A chance of success was drawn once from Beta({a}, {b}). Each output is a number of trials up to the first success."
                ),
                format!(
                    "Geometric draws on 1, 2, 3 and so on, all with the same p, which came from a Beta({a}, {b}) prior."
                ),
                format!(
                    "Beta-geometric process with a = {a} and b = {b}: attempts until one works."
                ),
            ];
        }
        let p = probability(to_thousandths(self.success));
        vec![
            format!(
                "Each output is a number of trials up to the first success; each trial succeeds with probability {p}, a draw from Beta({a}, {b})."
            ),
            format!("Geometric draws on 1, 2, 3 and so on with p = {p} (prior: Beta({a}, {b}))."),
            format!("Attempts until one works, when {p} is the chance that an attempt works."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["How many attempts this time?", "Draw a number of trials.", "Try again until it works."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        draw_trials(self.success, stream)
    }

    fn ln_predictive(&self, trials: &u64) -> Option<f64> {
        Some(match self.told {
            Told::Parameters => geometric(self.success, *trials),
            Told::Family => self.under(self.prior, *trials),
            Told::Nothing => self
                .priors
                .ln_predictive(|number| self.under(numbered_prior(number), *trials).exp()),
        })
    }

    fn observe(&mut self, trials: &u64) {
        self.priors = self.priors.after(|number| self.under(numbered_prior(number), *trials).exp());
        self.draws += 1;
        self.failures += trials - 1;
    }

    fn text(&self, trials: &u64) -> String {
        trials.to_string()
    }
}
