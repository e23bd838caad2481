//! Counts of several categories in a fixed number of trials, as JSON.

use super::categorical::labelled_distribution;
use super::instance::{Instance, Told};
use super::labels::{draw_index, json_object, listed, probability};
use super::parameters::{Parameters, Turns, geometric_plus_poisson};
use super::predictive::{dirichlet_multinomial, multinomial};
use diapason_flow::Stream;
use rand::RngExt;

/// A multinomial; an outcome has one count a category.
pub(super) struct Multinomial {
    labels: Vec<String>,
    trials: u64,
    /// Whether outputs are objects `{label: count}` rather than lists of counts.
    as_object: bool,
    told: Told,
    probabilities: Vec<f64>,
    thousandths: Vec<u64>,
    seen: Vec<u64>,
}

impl Instance for Multinomial {
    const NAME: &'static str = "multinomial";
    const ABOUT: &'static str = "Counts of trials ~ Geometric + Poisson (mean 32) over 2 to 24 \
        categories, p ~ Dirichlet(1, .., 1), as a JSON object or list; p in thousandths where told.";
    const OPTIMAL: &'static str = "With a description: the multinomial where p is told, else \
        Dirichlet-multinomial. Without one: None for the first draw, which shows categories, \
        trials and format; Dirichlet-multinomial from then on.";
    const TURNS: Turns = Turns::GeometricPoisson(32);
    type Outcome = Vec<u64>;

    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let (labels, probabilities, thousandths) = labelled_distribution(parameters, told, stream);
        let trials = geometric_plus_poisson(32.0, stream);
        let seen = vec![0; labels.len()];
        let as_object = stream.random::<bool>();
        Multinomial { labels, trials, as_object, told, probabilities, thousandths, seen }
    }

    fn wordings(&self) -> Vec<String> {
        let (trials, count) = (self.trials, self.labels.len());
        let list = listed(&self.labels);
        let format = if self.as_object {
            "a JSON object with the count of every category"
        } else {
            "a JSON list of the counts, in the order given"
        };
        if self.told == Told::Family {
            return vec![
                format!("Multinomial counts of {trials} trials over {list}, as {format}."),
                format!(
                    "Each draw shares out {trials} items among {count} categories ({list}) with fixed, unknown probabilities. Outputs are {format}."
                ),
                format!(
                    "How often each of {list} comes up in {trials} independent trials: {format}."
                ),
            ];
        }
        let numbers = self.thousandths.iter().map(|share| probability(*share));
        let table = json_object(self.labels.iter().cloned().zip(numbers));
        vec![
            format!(
                "Multinomial counts of {trials} trials with probabilities {table}, as {format}."
            ),
            format!(
                "Each draw shares out {trials} items among {count} categories with probabilities {table}. Outputs are {format}."
            ),
            format!(
                "How often each outcome of {table} comes up in {trials} independent trials: {format}."
            ),
        ]
    }

    fn questions(&self) -> Vec<String> {
        vec![
            "Draw the counts once.".to_owned(),
            format!("Run {} trials and count.", self.trials),
            "Give another vector of counts.".to_owned(),
        ]
    }

    fn draw(&self, stream: &mut Stream) -> Vec<u64> {
        let mut counts = vec![0; self.labels.len()];
        for _ in 0..self.trials {
            counts[draw_index(&self.probabilities, stream)] += 1;
        }
        counts
    }

    fn ln_predictive(&self, counts: &Vec<u64>) -> Option<f64> {
        if self.told == Told::Parameters {
            return Some(multinomial(&self.probabilities, counts));
        }
        let nothing_seen = self.seen.iter().all(|count| *count == 0);
        if self.told == Told::Nothing && nothing_seen {
            return None;
        }
        let alphas: Vec<f64> = self.seen.iter().map(|count| (*count + 1) as f64).collect();
        Some(dirichlet_multinomial(&alphas, counts))
    }

    fn observe(&mut self, counts: &Vec<u64>) {
        self.seen.iter_mut().zip(counts).for_each(|(seen, count)| *seen += count);
    }

    fn text(&self, counts: &Vec<u64>) -> String {
        let numbers = counts.iter().map(u64::to_string);
        if self.as_object {
            json_object(self.labels.iter().cloned().zip(numbers))
        } else {
            format!("[{}]", numbers.collect::<Vec<_>>().join(", "))
        }
    }
}
