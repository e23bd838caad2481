//! What a task file can say about how a process is shown.

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
    /// Pools of labels in place of the built-in ones, for the processes that draw labels.
    pub labels: Vec<Vec<String>>,
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
        if let Some(Turns::Mean { mean, .. }) = self.turns
            && !(2.0..=1e6).contains(&mean)
        {
            return Some(format!("`turns` has mean {mean}, not one in 2..=1000000"));
        }
        for pool in &self.labels {
            let distinct: std::collections::BTreeSet<_> = pool.iter().collect();
            if pool.len() < 2 || distinct.len() < pool.len() || pool.iter().any(String::is_empty) {
                return Some(format!(
                    "the label pool {pool:?} needs at least two labels, all different"
                ));
            }
        }
        None
    }
}

/// How many turns an episode has.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Turns {
    /// Always as many.
    Fixed(usize),
    /// `Geometric + Poisson`, each with half the mean: short episodes stay common and long ones
    /// possible. At least one turn.
    Mean {
        /// Expected number of turns, at least 2.
        mean: f64,
        /// Longest episode.
        #[serde(default = "unlimited")]
        max: usize,
    },
}

/// The longest episode that any process makes, unless a task says otherwise.
fn unlimited() -> usize {
    5000
}

impl Turns {
    /// The law with this mean.
    pub const fn mean(mean: f64) -> Self {
        Turns::Mean { mean, max: 5000 }
    }

    /// Draws a number of turns.
    pub fn draw(self, stream: &mut Stream) -> usize {
        match self {
            Turns::Fixed(turns) => turns,
            Turns::Mean { mean, max } => (geometric_plus_poisson(mean, stream) as usize).min(max),
        }
    }
}

/// A draw from `1 + Geometric + Poisson` with mean `mean >= 2`, both parts with half the mean.
pub(super) fn geometric_plus_poisson(mean: f64, stream: &mut Stream) -> u64 {
    let half = (mean / 2.0).max(1.0);
    let failures = Geometric::new(1.0 / half).expect("1/half is in (0, 1]").sample(stream);
    let arrivals: f64 = Poisson::new(half).expect("half is at least 1").sample(stream);
    1 + failures + arrivals as u64
}
