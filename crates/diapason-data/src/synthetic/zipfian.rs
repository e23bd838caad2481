//! Ranks from a Zipf law over finitely many ranks.
//!
//! The reference suite has no last rank, and so numbers of up to 19 digits.

use super::instance::{Instance, Told};
use super::labels::trimmed;
use super::parameters::Parameters;
use super::predictive::Mixture;
use diapason_flow::Stream;
use rand::RngExt;
use rand_distr::{Distribution, Zipf};

/// The numbers of ranks there can be.
const RANKS: [u64; 3] = [10, 100, 1000];
/// The exponents there can be, in hundredths.
const EXPONENTS: std::ops::RangeInclusive<u64> = 101..=250;

/// A Zipf law; an outcome is a rank from 1.
pub(super) struct Zipfian {
    told: Told,
    ranks: u64,
    /// The exponent in hundredths.
    exponent: u64,
    /// What the observer still thinks possible, each with its normaliser.
    laws: Vec<Law>,
    beliefs: Mixture,
}

/// `p(rank) = rank^-exponent / normaliser` for ranks up to `ranks`.
#[derive(Clone, Copy)]
struct Law {
    ranks: u64,
    exponent: f64,
    normaliser: f64,
}

impl Law {
    fn new(ranks: u64, hundredths: u64) -> Self {
        let exponent = hundredths as f64 / 100.0;
        let normaliser = (1..=ranks).rev().map(|rank| (rank as f64).powf(-exponent)).sum();
        Law { ranks, exponent, normaliser }
    }

    fn probability(self, rank: u64) -> f64 {
        if (1..=self.ranks).contains(&rank) {
            (rank as f64).powf(-self.exponent) / self.normaliser
        } else {
            0.0
        }
    }
}

impl Instance for Zipfian {
    const NAME: &'static str = "zipfian";
    const ABOUT: &'static str = "Ranks 1 to N with probability proportional to rank^-s, N one of \
        10, 100, 1000, s uniform on 1.01, 1.02, .., 2.50.";
    const OPTIMAL: &'static str = "Always: s itself where told, else the exact sum over its 150 \
        values, and over the three values of N without a description.";
    type Outcome = u64;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let ranks = RANKS[stream.random_range(0..RANKS.len())];
        let exponent = stream.random_range(EXPONENTS);
        let laws: Vec<Law> = match told {
            Told::Parameters => vec![Law::new(ranks, exponent)],
            Told::Family => EXPONENTS.map(|exponent| Law::new(ranks, exponent)).collect(),
            Told::Nothing => RANKS
                .iter()
                .flat_map(|ranks| EXPONENTS.map(|exponent| Law::new(*ranks, exponent)))
                .collect(),
        };
        let beliefs = Mixture::uniform(laws.len());
        Zipfian { told, ranks, exponent, laws, beliefs }
    }

    fn wordings(&self) -> Vec<String> {
        let ranks = self.ranks;
        if self.told == Told::Family {
            return vec![
                format!("Draws from one Zipf distribution over the ranks 1 to {ranks}."),
                format!(
                    "Ranks of words in a text with a vocabulary of {ranks}: the first are far more common than the rest."
                ),
                format!("A power law over 1 to {ranks} whose exponent is not given."),
            ];
        }
        let s = trimmed(self.exponent as i64, 2);
        vec![
            format!(
                "Draws from a Zipf distribution over the ranks 1 to {ranks} with exponent {s}."
            ),
            format!(
                "Ranks of words in a text with a vocabulary of {ranks}; the word of rank k has probability proportional to k^-{s}."
            ),
            format!("A power law over 1 to {ranks}: p(k) is proportional to 1/k^{s}."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["Draw a rank.", "Which rank comes next?", "Give one sample."].map(str::to_owned).to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        let law = Zipf::new(self.ranks as f64, self.exponent as f64 / 100.0);
        let rank: f64 = law.expect("ranks and exponent are positive").sample(stream);
        rank as u64
    }

    fn ln_predictive(&self, rank: &u64) -> Option<f64> {
        Some(self.beliefs.ln_predictive(|index| self.laws[index].probability(*rank)))
    }

    fn observe(&mut self, rank: &u64) {
        self.beliefs = self.beliefs.after(|index| self.laws[index].probability(*rank));
    }

    fn text(&self, rank: &u64) -> String {
        rank.to_string()
    }
}
