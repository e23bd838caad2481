//! Marked items in a sample without replacement from a small population.

use super::instance::{Instance, Told};
use super::parameters::{Parameters, geometric_plus_poisson};
use super::predictive::{Mixture, hypergeometric};
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::Distribution;

/// A hypergeometric distribution.
pub(super) struct Hypergeometric {
    told: Told,
    population: u64,
    marked: u64,
    drawn: u64,
    /// Beliefs over 1 to `population` marked items.
    beliefs: Mixture,
}

impl Hypergeometric {
    fn likelihood(&self, marked: u64, value: u64) -> f64 {
        hypergeometric(self.population, marked, self.drawn, value).exp()
    }
}

impl Instance for Hypergeometric {
    const NAME: &'static str = "hypergeometric";
    const ABOUT: &'static str = "Marked items among n drawn from N without replacement, \
        N ~ Geometric + Poisson (mean 128), marked and n uniform on 1..=N; every draw starts anew.";
    const OPTIMAL: &'static str = "With a description, which always tells N and n: the number \
        marked where told, else the exact sum over 1..=N marked. None without one.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let population = geometric_plus_poisson(128.0, stream);
        let marked = stream.random_range(1..=population);
        let drawn = stream.random_range(1..=population);
        let beliefs = Mixture::uniform(population as usize);
        Hypergeometric { told, population, marked, drawn, beliefs }
    }

    fn wordings(&self) -> Vec<String> {
        let (population, marked, drawn) = (self.population, self.marked, self.drawn);
        if self.told == Told::Family {
            return vec![
                format!(
                    "A lot has {population} parts, some of them faulty. Each time, {drawn} are taken out at random, the faulty ones counted, and all put back."
                ),
                format!(
                    "Draws from one hypergeometric distribution: population {population}, sample {drawn}, number of marked items unknown."
                ),
                format!(
                    "How many tagged fish are in a catch of {drawn} from a pond of {population}, some of which are tagged; the catch is released each time."
                ),
            ];
        }
        vec![
            format!(
                "A lot has {population} parts, {marked} of them faulty. Each time, {drawn} are taken out at random, the faulty ones counted, and all put back."
            ),
            format!(
                "Draws from a hypergeometric distribution: population {population}, marked {marked}, sample {drawn}."
            ),
            format!(
                "How many tagged fish are in a catch of {drawn} from a pond of {population}, of which {marked} are tagged; the catch is released each time."
            ),
        ]
    }

    fn questions(&self) -> Vec<String> {
        vec![
            format!("How many marked ones among {}?", self.drawn),
            "Take another sample and count.".to_owned(),
            "Draw a count.".to_owned(),
        ]
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        let law = rand_distr::Hypergeometric::new(self.population, self.marked, self.drawn);
        law.expect("marked and drawn are at most the population").sample(stream)
    }

    fn ln_predictive(&self, value: &u64) -> Option<f64> {
        match self.told {
            Told::Parameters => Some(self.likelihood(self.marked, *value).ln()),
            Told::Family => {
                let likelihood = |index: usize| self.likelihood(index as u64 + 1, *value);
                Some(self.beliefs.ln_predictive(likelihood))
            }
            Told::Nothing => None,
        }
    }

    fn observe(&mut self, value: &u64) {
        if self.told == Told::Family {
            self.beliefs = self.beliefs.after(|index| self.likelihood(index as u64 + 1, *value));
        }
    }

    fn text(&self, value: &u64) -> String {
        value.to_string()
    }
}
