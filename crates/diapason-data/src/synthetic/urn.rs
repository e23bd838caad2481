//! Balls drawn from an urn and put back.

use super::instance::{Instance, Told};
use super::labels::{draw_index, listed};
use super::parameters::{Parameters, Turns};
use super::predictive::Mixture;
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::SliceRandom;

/// What tells kinds of balls apart.
pub(crate) const COLOURS: [&str; 9] =
    ["red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white"];
/// The most kinds of balls, and the most balls of a kind.
const MOST_KINDS: usize = 5;
const MOST_BALLS: usize = 10;

/// An urn; an outcome is the index of a kind of ball.
pub(super) struct Urn {
    told: Told,
    /// What tells the kinds apart: colours, or the labels of the task.
    kinds: Vec<String>,
    balls: Vec<usize>,
    /// Where only the kinds are told: all ways to fill the urn, and beliefs over them.
    fillings: Vec<Filling>,
    beliefs: Mixture,
}

/// One way to fill an urn.
#[derive(Clone, Copy)]
struct Filling {
    balls: [u8; MOST_KINDS],
    total: u8,
}

impl Filling {
    /// The `10^kinds` fillings with 1 to 10 balls of each kind.
    fn all(kinds: usize) -> Vec<Filling> {
        let mut fillings = vec![Filling { balls: [0; MOST_KINDS], total: 0 }];
        for kind in 0..kinds {
            let with = |filling: &Filling, count: u8| {
                let mut filling = *filling;
                filling.balls[kind] = count;
                filling.total += count;
                filling
            };
            fillings = fillings
                .iter()
                .flat_map(|filling| (1..=MOST_BALLS).map(|count| with(filling, count as u8)))
                .collect();
        }
        fillings
    }

    fn share(self, kind: usize) -> f64 {
        f64::from(self.balls[kind]) / f64::from(self.total)
    }

    /// Each count is uniform on `1..=b`, where b is uniform on `1..=10`.
    fn prior(self) -> f64 {
        let counts = self.balls.iter().filter(|count| **count > 0);
        counts
            .map(|count| {
                (*count as usize..=MOST_BALLS)
                    .map(|bound| 1.0 / (MOST_BALLS * bound) as f64)
                    .sum::<f64>()
            })
            .product()
    }
}

impl Urn {
    fn contents(&self) -> String {
        let counted: Vec<String> = self
            .kinds
            .iter()
            .zip(&self.balls)
            .map(|(kind, balls)| {
                format!("{balls} {kind} {}", if *balls == 1 { "ball" } else { "balls" })
            })
            .collect();
        listed(&counted)
    }
}

impl Instance for Urn {
    const NAME: &'static str = "urn";
    const ABOUT: &'static str = "Draws with replacement from 2 to 5 kinds of balls (colours, or the \
        task's labels), each 1..=b strong with b uniform on 1..=10.";
    const OPTIMAL: &'static str = "With a description: the contents where told, else the exact sum \
        over all ways to fill the urn with the kinds listed. None without one.";
    const CAN_QUERY: bool = true;
    const TURNS: Turns = Turns::GeometricPoisson(32);
    type Outcome = usize;

    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let pool = match parameters.labels.len() {
            0 => COLOURS.map(str::to_owned).to_vec(),
            pools => parameters.labels[stream.random_range(0..pools)].clone(),
        };
        let mut kinds = pool;
        kinds.shuffle(stream);
        kinds.truncate(stream.random_range(2..=MOST_KINDS));
        let balls: Vec<usize> = kinds
            .iter()
            .map(|_| {
                let bound = stream.random_range(1..=MOST_BALLS);
                stream.random_range(1..=bound)
            })
            .collect();
        let known_kinds = if told == Told::Family { kinds.len() } else { 0 };
        let fillings = Filling::all(known_kinds);
        let beliefs = Mixture::new(fillings.iter().map(|filling| filling.prior()).collect());
        Urn { told, kinds, balls, fillings, beliefs }
    }

    fn wordings(&self) -> Vec<String> {
        let kinds = listed(&self.kinds);
        if self.told == Told::Family {
            return vec![
                format!("An urn with some {kinds} balls. Each ball drawn is put back."),
                format!("A bag holds unknown numbers of {kinds} balls."),
                format!("Draws with replacement from a box of {kinds} balls."),
            ];
        }
        let contents = self.contents();
        vec![
            format!("An urn with {contents}."),
            format!("A bag holds {contents}. Each ball drawn is put back."),
            format!("Draws with replacement from a box of {contents}."),
        ]
    }

    fn identity(&self) -> Option<String> {
        let mut contents: Vec<(&String, &usize)> = self.kinds.iter().zip(&self.balls).collect();
        contents.sort_unstable();
        let contents: Vec<String> =
            contents.iter().map(|(kind, balls)| format!("{balls} {kind}")).collect();
        Some(contents.join(", "))
    }

    fn questions(&self) -> Vec<String> {
        ["Draw one ball.", "Which ball comes out?", "Take a ball and name it."]
            .map(str::to_owned)
            .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let total: usize = self.balls.iter().sum();
        let shares: Vec<f64> =
            self.balls.iter().map(|balls| *balls as f64 / total as f64).collect();
        draw_index(&shares, stream)
    }

    fn ln_predictive(&self, kind: &usize) -> Option<f64> {
        match self.told {
            Told::Parameters => {
                let total: usize = self.balls.iter().sum();
                Some((self.balls[*kind] as f64 / total as f64).ln())
            }
            Told::Family => {
                Some(self.beliefs.ln_predictive(|index| self.fillings[index].share(*kind)))
            }
            Told::Nothing => None,
        }
    }

    fn observe(&mut self, kind: &usize) {
        if self.told == Told::Family {
            self.beliefs = self.beliefs.after(|index| self.fillings[index].share(*kind));
        }
    }

    fn text(&self, kind: &usize) -> String {
        self.kinds[*kind].clone()
    }

    fn options(&self) -> Vec<usize> {
        (0..self.kinds.len()).collect()
    }
}
