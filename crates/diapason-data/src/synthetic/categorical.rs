//! Independent draws from one categorical distribution over named outcomes.

use super::instance::{Instance, Told};
use super::labels::{
    draw_index, flat_dirichlet, json_object, listed, percentage, probability, several,
    shares_in_thousandths,
};
use super::parameters::{Parameters, geometric_plus_poisson};
use diapason_flow::Stream;

/// The most categories an instance has.
pub(super) const MOST_CATEGORIES: u64 = 24;

/// A distribution over labels; an outcome is the index of a label.
pub(super) struct Categorical {
    labels: Vec<String>,
    told: Told,
    probabilities: Vec<f64>,
    /// The probabilities as they are told.
    thousandths: Vec<u64>,
    seen: Vec<u64>,
}

/// Labels and a flat Dirichlet draw over them, exact in thousandths where it is told.
pub(super) fn labelled_distribution(
    parameters: &Parameters,
    told: Told,
    stream: &mut Stream,
) -> (Vec<String>, Vec<f64>, Vec<u64>) {
    let wanted = geometric_plus_poisson(12.0, stream).clamp(2, MOST_CATEGORIES);
    let wanted = parameters.most_labels.map_or(wanted, |most| 2 + wanted % (most as u64 - 1));
    let labels = several(parameters, wanted as usize, stream);
    let mut probabilities = flat_dirichlet(labels.len(), stream);
    let thousandths = shares_in_thousandths(&probabilities);
    if told == Told::Parameters {
        probabilities = thousandths.iter().map(|share| *share as f64 / 1000.0).collect();
    }
    (labels, probabilities, thousandths)
}

impl Instance for Categorical {
    const NAME: &'static str = "categorical";
    const ABOUT: &'static str = "Draws from p ~ Dirichlet(1, .., 1) over 2 to 24 labels of one \
        pool; p in thousandths where it is told.";
    const OPTIMAL: &'static str = "With a description: p itself where told, else \
        (count + 1) / (draws + categories). None without one: the labels are then unknown.";
    const CAN_QUERY: bool = true;
    type Outcome = usize;

    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let (labels, probabilities, thousandths) = labelled_distribution(parameters, told, stream);
        let seen = vec![0; labels.len()];
        Categorical { labels, told, probabilities, thousandths, seen }
    }

    fn wordings(&self) -> Vec<String> {
        let list = listed(&self.labels);
        if self.told == Told::Family {
            return vec![
                format!("Independent draws from {list}."),
                format!("A wheel with the fields {list}, whose sizes are not known."),
                format!("A categorical distribution over {list}."),
            ];
        }
        let told = || self.labels.iter().zip(&self.thousandths);
        let percent: Vec<String> =
            told().map(|(label, share)| format!("{label} {}", percentage(*share))).collect();
        let json = json_object(told().map(|(label, share)| (label.clone(), probability(*share))));
        vec![
            format!("Independent draws with the probabilities {json}."),
            format!("A wheel. Chance of each field: {}.", percent.join(", ")),
            format!("A categorical distribution: {json}."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        vec![
            "Draw one outcome.".to_owned(),
            "Spin the wheel.".to_owned(),
            format!("Which of these comes next: {}?", listed(&self.labels)),
        ]
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        draw_index(&self.probabilities, stream)
    }

    fn ln_predictive(&self, label: &usize) -> Option<f64> {
        let draws: u64 = self.seen.iter().sum();
        let rule = (self.seen[*label] + 1) as f64 / (draws + self.labels.len() as u64) as f64;
        match self.told {
            Told::Parameters => Some(self.probabilities[*label].ln()),
            Told::Family => Some(rule.ln()),
            Told::Nothing => None,
        }
    }

    fn observe(&mut self, label: &usize) {
        self.seen[*label] += 1;
    }

    fn text(&self, label: &usize) -> String {
        self.labels[*label].clone()
    }

    fn options(&self) -> Vec<usize> {
        (0..self.labels.len()).collect()
    }
}
