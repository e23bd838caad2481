//! Trials up to and including the first success.

use super::instance::{Instance, Told};
use super::labels::{probability, to_thousandths};
use super::parameters::Parameters;
use super::predictive::{beta_geometric, geometric};
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::Distribution;

/// A geometric distribution on 1, 2, ..
pub(super) struct Geometric {
    told: Told,
    success: f64,
    draws: u64,
    failures: u64,
}

/// A draw of the number of trials up to and including the first success.
pub(super) fn draw_trials(success: f64, stream: &mut Stream) -> u64 {
    let law = rand_distr::Geometric::new(success).expect("success is a probability above zero");
    law.sample(stream).saturating_add(1)
}

impl Instance for Geometric {
    const NAME: &'static str = "geometric";
    const ABOUT: &'static str =
        "Trials up to the first success, p ~ Uniform(0, 1); p in thousandths where it is told.";
    const OPTIMAL: &'static str = "Always: p itself where told, else beta-geometric.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        // `1 - u` is never zero, which no number of trials would end.
        let mut success = 1.0 - stream.random::<f64>();
        if told == Told::Parameters {
            success = to_thousandths(success) as f64 / 1000.0;
        }
        Geometric { told, success, draws: 0, failures: 0 }
    }

    fn wordings(&self) -> Vec<String> {
        if self.told == Told::Family {
            return [
                "Draws from one geometric distribution on 1, 2, 3 and so on.",
                "How many attempts it took until the first success; the chance of a success is \
                 always the same but not given.",
                "Waiting times, in trials, for the first success of a repeated experiment.",
            ]
            .map(str::to_owned)
            .to_vec();
        }
        let p = probability(to_thousandths(self.success));
        vec![
            format!(
                "Draws from a geometric distribution with success probability {p}, counted from 1."
            ),
            format!(
                "How many attempts it took until the first success, when each succeeds with probability {p}."
            ),
            format!(
                "Trials up to and including the first success: Geometric(p = {p}) on 1, 2, 3 and so on."
            ),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["How many trials until the first success?", "Draw a number.", "Run the experiment again."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        draw_trials(self.success, stream)
    }

    fn ln_predictive(&self, trials: &u64) -> Option<f64> {
        Some(match self.told {
            Told::Parameters => geometric(self.success, *trials),
            _ => beta_geometric(1.0 + self.draws as f64, 1.0 + self.failures as f64, *trials),
        })
    }

    fn observe(&mut self, trials: &u64) {
        self.draws += 1;
        self.failures += trials - 1;
    }

    fn text(&self, trials: &u64) -> String {
        trials.to_string()
    }
}
