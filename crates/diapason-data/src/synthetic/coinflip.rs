//! Flips of one biased coin.

use super::instance::{Instance, Told};
use super::labels::{self, json_object, percentage, probability, to_thousandths};
use super::parameters::Parameters;
use diapason_flow::Stream;
use rand::RngExt;

/// A coin; outcome 0 or 1 is the index of the side shown.
pub(super) struct Coin {
    sides: [String; 2],
    /// How many pairs of sides there could be.
    pairs: usize,
    told: Told,
    /// Probability of side 0.
    first: f64,
    seen: [u64; 2],
}

impl Coin {
    fn thousandths(&self) -> [u64; 2] {
        let first = to_thousandths(self.first);
        [first, 1000 - first]
    }
}

impl Instance for Coin {
    const NAME: &'static str = "coinflip";
    const ABOUT: &'static str = "Flips of one coin, p ~ Uniform(0, 1), with one of many pairs of \
        labels; p in thousandths where it is told.";
    const OPTIMAL: &'static str = "Always: p itself where told, else Laplace's rule; without a \
        description the first draw also pays for the choice of the pair of labels.";
    const CAN_QUERY: bool = true;
    type Outcome = usize;

    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let (sides, pairs) = labels::pair(parameters, stream);
        let mut first = stream.random::<f64>();
        if told == Told::Parameters {
            first = to_thousandths(first) as f64 / 1000.0;
        }
        Coin { sides, pairs, told, first, seen: [0, 0] }
    }

    fn wordings(&self) -> Vec<String> {
        let [a, b] = &self.sides;
        if self.told == Told::Family {
            return vec![
                format!("Tosses of a coin that may be biased: {a} or {b}."),
                format!("A coin with an unknown bias lands on {a} or on {b}."),
                format!("Independent draws with a fixed bias from {a} and {b}."),
            ];
        }
        let [p, q] = self.thousandths();
        let (odds_a, odds_b) = (percentage(p), percentage(q));
        let (p, q) = (probability(p), probability(q));
        let table = json_object([(a.clone(), p.clone()), (b.clone(), q.clone())]);
        vec![
            format!("A coin that shows {a} with probability {p} and {b} otherwise."),
            format!("A loaded coin: {odds_a} {a}, {odds_b} {b}."),
            format!("Independent draws from the distribution {table}."),
            format!("Bernoulli trials with P({a}) = {p} and P({b}) = {q}."),
        ]
    }

    fn questions(&self) -> Vec<String> {
        // They do not name the sides: a reader without a description must not learn them here.
        ["Flip the coin.", "Which side comes up?", "Toss it once more."].map(str::to_owned).to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        usize::from(stream.random::<f64>() >= self.first)
    }

    fn ln_predictive(&self, side: &usize) -> Option<f64> {
        if self.told == Told::Parameters {
            return Some([self.first, 1.0 - self.first][*side].ln());
        }
        let flips = self.seen[0] + self.seen[1];
        let rule = (self.seen[*side] + 1) as f64 / (flips + 2) as f64;
        let unknown_pair = self.told == Told::Nothing && flips == 0;
        Some(rule.ln() - if unknown_pair { (self.pairs as f64).ln() } else { 0.0 })
    }

    fn observe(&mut self, side: &usize) {
        self.seen[*side] += 1;
    }

    fn text(&self, side: &usize) -> String {
        self.sides[*side].clone()
    }

    fn options(&self) -> Vec<usize> {
        vec![0, 1]
    }
}
