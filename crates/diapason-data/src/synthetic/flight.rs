//! One traveller's choices among three flights.
//!
//! After the flight task of "Bayesian Teaching Enables Probabilistic Reasoning in Large Language
//! Models". The traveller weighs four features, each scaled to 0..1, with a weight from
//! {-1, -1/2, 0, 1/2, 1}, not all zero, and takes the flight with the largest weighted sum; equal
//! sums are settled by chance. Sums are compared as integers, so that ties are exact.

use super::instance::{Instance, Told};
use super::labels::fixed_point;
use super::parameters::{Parameters, Turns};
use super::predictive::Mixture;
use diapason_flow::Stream;
use rand::RngExt;

/// The last point of the grid on which departure, duration and price lie.
const LAST: i64 = 99;

/// Twice the weights of departure, duration, price and stops.
type Weights = [i64; 4];

/// A flight as grid points: departure, duration and price in 0..=99, stops in 0..=2.
#[derive(Clone, Copy, Debug)]
struct Flight([i64; 4]);

/// A traveller; an outcome is the number of the chosen flight, 0 to 2.
pub(super) struct Traveller {
    told: Told,
    weights: Weights,
    /// All weights there can be.
    candidates: Vec<Weights>,
    beliefs: Mixture,
    offer: [Flight; 3],
}

fn all_weights() -> Vec<Weights> {
    let digits = |number: i64| [number / 125, number / 25 % 5, number / 5 % 5, number % 5];
    (0..625)
        .map(|number| digits(number).map(|digit| digit - 2))
        .filter(|weights| *weights != [0; 4])
        .collect()
}

impl Flight {
    fn draw(stream: &mut Stream) -> Self {
        let mut point = || stream.random_range(0..=LAST);
        let [departure, duration, price] = [point(), point(), point()];
        Flight([departure, duration, price, stream.random_range(0..=2)])
    }

    /// The weighted sum of the features, times 4 * 99 to be whole.
    fn score(self, weights: Weights) -> i64 {
        let Flight([departure, duration, price, stops]) = self;
        let features = [2 * departure, 2 * duration, 2 * price, LAST * stops];
        features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
    }

    fn text(self) -> String {
        let Flight([departure, duration, price, stops]) = self;
        let scaled =
            |point: i64, low: i64, high: i64| low + (2 * point * (high - low) + LAST) / (2 * LAST);
        let clock = scaled(departure, 5 * 60, 24 * 60) % (24 * 60);
        let (hour, half) = (clock / 60, if clock < 12 * 60 { "AM" } else { "PM" });
        let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
        let length = scaled(duration, 45, 16 * 60);
        let price = fixed_point(scaled(price, 5_000, 150_000), 2);
        let stops = match stops {
            0 => "nonstop".to_owned(),
            1 => "1 stop".to_owned(),
            more => format!("{more} stops"),
        };
        let (hours, minutes) = (length / 60, length % 60);
        format!(
            "departs {hour}:{:02} {half}, takes {hours} hr {minutes} min, {stops}, ${price}",
            clock % 60
        )
    }
}

/// Probability that these weights choose flight `choice`: one share of the best score.
fn chooses(weights: Weights, offer: [Flight; 3], choice: usize) -> f64 {
    let scores = offer.map(|flight| flight.score(weights));
    let best = scores.iter().max();
    if best == Some(&scores[choice]) {
        1.0 / scores.iter().filter(|score| Some(*score) == best).count() as f64
    } else {
        0.0
    }
}

impl Instance for Traveller {
    const NAME: &'static str = "flight";
    const ABOUT: &'static str = "Which of three flights one traveller takes; four weights uniform \
        on {-1, -1/2, 0, 1/2, 1}, not all zero; features uniform on their grids.";
    const OPTIMAL: &'static str =
        "Always: the weights where told, else the exact sum over all 624 weights.";
    const CAN_QUERY: bool = true;
    const TURNS: Turns = Turns::Fixed(20);
    type Outcome = usize;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let candidates = all_weights();
        let weights = candidates[stream.random_range(0..candidates.len())];
        let candidates = if told == Told::Parameters { vec![weights] } else { candidates };
        let beliefs = Mixture::uniform(candidates.len());
        let offer = [Flight([0; 4]); 3];
        Traveller { told, weights, candidates, beliefs, offer }
    }

    fn wordings(&self) -> Vec<String> {
        let family = [
            "One traveller chooses among three flights again and again, always by the same taste. \
             Each output is the number of the flight taken: 1, 2 or 3.",
            "Bookings of a single person. Predict which of the three flights on offer (1, 2 or 3) \
             this person prefers.",
            "Which of three flights somebody takes, as a number from 1 to 3. All choices are the \
             same person's.",
        ];
        if self.told == Told::Family {
            return family.map(str::to_owned).to_vec();
        }
        let [departure, duration, price, stops] =
            self.weights.map(|twice| fixed_point(twice * 5, 1));
        let rule = format!(
            "Scale each feature to 0..1 (departure 5:00 AM to midnight, duration 45 min to 16 hr, \
             price $50 to $1500, stops 0 to 2). The flight with the largest sum of {departure} x \
             departure, {duration} x duration, {price} x price and {stops} x stops is taken."
        );
        family.map(|wording| format!("{wording} {rule}")).to_vec()
    }

    fn questions(&self) -> Vec<String> {
        // Never asked: the offer is the input.
        vec!["Which flight?".to_owned()]
    }

    fn scene(&mut self, stream: &mut Stream) -> Option<String> {
        self.offer = [(); 3].map(|()| Flight::draw(stream));
        let lines: Vec<String> = self
            .offer
            .iter()
            .enumerate()
            .map(|(index, flight)| format!("Flight {}: {}", index + 1, flight.text()))
            .collect();
        Some(lines.join("\n"))
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let scores = self.offer.map(|flight| flight.score(self.weights));
        let best: Vec<usize> =
            (0..3).filter(|index| Some(&scores[*index]) == scores.iter().max()).collect();
        best[stream.random_range(0..best.len())]
    }

    fn ln_predictive(&self, choice: &usize) -> Option<f64> {
        let likelihood = |index: usize| chooses(self.candidates[index], self.offer, *choice);
        Some(self.beliefs.ln_predictive(likelihood))
    }

    fn observe(&mut self, choice: &usize) {
        let likelihood = |index: usize| chooses(self.candidates[index], self.offer, *choice);
        self.beliefs = self.beliefs.after(likelihood);
    }

    fn text(&self, choice: &usize) -> String {
        (choice + 1).to_string()
    }

    fn options(&self) -> Vec<usize> {
        vec![0, 1, 2]
    }
}
