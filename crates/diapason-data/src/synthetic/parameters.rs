//! What a task file can say about how a process is shown.

use crate::world::WordPool;
use diapason_flow::Stream;
use rand_distr::{Distribution, Geometric, Poisson};

/// How the episodes of a synthetic task are shown. All keys are optional in a task file.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Number of turns; absent: the process's own law.
    pub turns: Option<Turns>,
    /// Share of episodes with a description.
    pub described: f64,
    /// Share of the descriptions that reveal the parameters of the instance.
    pub revealed: f64,
    /// Number of the description wording, modulo how many there are; absent: drawn.
    pub wording: Option<usize>,
    /// Share of episodes in which an input asks for each draw. Processes whose draws depend on
    /// an input always have one.
    pub asked: f64,
    /// Whether the episode ends in a query for the distribution of the next draw.
    pub query: bool,
    /// Pools of labels in place of the built-in ones, for the processes that draw labels. No label
    /// stands in two pools.
    pub labels: Vec<Vec<String>>,
    /// Labels from the small world in place of `labels`, and the pool of `members`.
    pub words: Option<WordPool>,
    /// Most labels of an instance; absent: the process's own law.
    pub most_labels: Option<usize>,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            turns: None,
            described: 0.6,
            revealed: 0.5,
            wording: None,
            asked: 0.0,
            query: false,
            labels: Vec::new(),
            words: None,
            most_labels: None,
        }
    }
}

impl Parameters {
    /// What is wrong with the parameters, if anything.
    pub fn problem(&self) -> Option<String> {
        let shares =
            [("described", self.described), ("revealed", self.revealed), ("asked", self.asked)];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Some(format!("`{name}` is {share}, not a share in 0..=1"));
            }
        }
        if let Some(Turns::GeometricPoisson(mean)) = self.turns
            && !(2..=1_000_000).contains(&mean)
        {
            return Some(format!("`turns` has mean {mean}, not one in 2..=1000000"));
        }
        if self.turns == Some(Turns::Fixed(0)) && !self.query {
            return Some("`turns` is 0 and there is no `query`: nothing is shown".to_owned());
        }
        let mut all: Vec<&String> = self.labels.iter().flatten().collect();
        all.sort_unstable();
        if let Some([label, _]) = all.array_windows().find(|[label, next]| label == next) {
            return Some(format!("the label `{label}` is listed twice in `labels`"));
        }
        let small = self.labels.iter().find(|pool| pool.len() < 2);
        if let Some(pool) = small {
            return Some(format!("the label pool {pool:?} needs at least two labels"));
        }
        if let Some(most) = self.most_labels
            && !(2..=24).contains(&most)
        {
            return Some(format!("`most_labels` is {most}, not one of 2..=24"));
        }
        if all.iter().any(|label| label.is_empty()) {
            return Some("a label in `labels` is empty".to_owned());
        }
        None
    }
}

/// How many turns an episode has, written as in a task's `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turns {
    /// Always as many.
    Fixed(usize),
    /// A geometric plus a Poisson draw with this mean, at least 2: short episodes stay common and long
    /// ones possible.
    GeometricPoisson(usize),
}

/// The most turns that an episode of a synthetic process has.
const MOST_TURNS: u64 = 5000;

impl Turns {
    /// Draws a number of turns.
    pub(super) fn draw(self, stream: &mut Stream) -> usize {
        match self {
            Turns::Fixed(turns) => turns,
            Turns::GeometricPoisson(mean) => {
                geometric_plus_poisson(mean as f64, stream).min(MOST_TURNS) as usize
            }
        }
    }
}

/// A draw from the geometric law on 1, 2, .. plus a Poisson draw, each with mean `mean / 2`;
/// `mean` is at least 2.
pub(crate) fn geometric_plus_poisson(mean: f64, stream: &mut Stream) -> u64 {
    let half = (mean / 2.0).max(1.0);
    let failures = Geometric::new(1.0 / half).expect("1/half is in (0, 1]").sample(stream);
    let arrivals: f64 = Poisson::new(half).expect("half is at least 1").sample(stream);
    1 + failures + arrivals as u64
}
