//! What all processes share: the trait of an instance, and how an instance becomes an episode.

use super::parameters::{Parameters, Turns};
use diapason_flow::{Episode, Goal, Query, Stream, Turn};
use rand::RngExt;

/// What the description of an episode tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// There is no description.
    Nothing,
    /// The kind of process and its fixed sizes, not its parameters.
    Family,
    /// Everything but the draws.
    Parameters,
}

/// One instance of a process: its secrets, and what the ideal observer has seen of it.
pub(super) trait Instance: Sized {
    /// See [`super::Process::name`].
    const NAME: &'static str;
    /// See [`super::Process::about`].
    const ABOUT: &'static str;
    /// See [`super::Process::optimal`].
    const OPTIMAL: &'static str;
    /// Whether [`Instance::options`] lists anything.
    const CAN_QUERY: bool = false;
    /// How many turns an episode has unless the task says otherwise.
    const TURNS: Turns = Turns::GeometricPoisson(128);

    /// One draw.
    type Outcome;

    /// Draws the secrets of an instance. Where they are told, they are exactly what the
    /// description can say in its few digits.
    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self;

    /// Ways to say what is told of the instance, at least three; not called when nothing is.
    fn wordings(&self) -> Vec<String>;

    /// Ways to ask for a draw, at least three.
    fn questions(&self) -> Vec<String>;

    /// Sets the scene of the next draw and returns its input, for draws that depend on one.
    fn scene(&mut self, _stream: &mut Stream) -> Option<String> {
        None
    }

    /// What makes two instances the same one, where instances are few enough to meet again: the
    /// unit of their episodes, so that an evaluation can leave out what was trained on.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Whether nothing is left to draw.
    fn exhausted(&self) -> bool {
        false
    }

    /// The next draw.
    fn draw(&self, stream: &mut Stream) -> Self::Outcome;

    /// `ln p(outcome)` of the next draw for the ideal observer, where it is known.
    fn ln_predictive(&self, outcome: &Self::Outcome) -> Option<f64>;

    /// Takes note of a draw.
    fn observe(&mut self, outcome: &Self::Outcome);

    /// The draw as an output.
    fn text(&self, outcome: &Self::Outcome) -> String;

    /// All outcomes of the next draw, where a query can list them.
    fn options(&self) -> Vec<Self::Outcome> {
        Vec::new()
    }
}

/// Builds an episode of a process.
pub(super) fn build<I: Instance>(
    parameters: &Parameters,
    stream: &mut Stream,
    index: u64,
) -> Episode {
    let described = stream.random::<f64>() < parameters.described;
    let revealed = stream.random::<f64>() < parameters.revealed;
    let told = match (described, revealed) {
        (false, _) => Told::Nothing,
        (true, false) => Told::Family,
        (true, true) => Told::Parameters,
    };
    let asked = stream.random::<f64>() < parameters.asked;
    let turns = parameters.turns.unwrap_or(I::TURNS).draw(stream);
    let mut instance = I::new(parameters, told, stream);

    let unit = instance.identity().unwrap_or_else(|| index.to_string());
    let mut episode = Episode::new(I::NAME, format!("{} {unit}", I::NAME));
    if described {
        let mut wordings = instance.wordings();
        let chosen = match parameters.wording {
            Some(number) => number % wordings.len(),
            None => stream.random_range(0..wordings.len()),
        };
        episode.description = Some(wordings.swap_remove(chosen));
    }
    let mut questions = instance.questions();
    let question = questions.swap_remove(stream.random_range(0..questions.len()));
    let question = asked.then_some(question);
    for _ in 0..turns {
        if instance.exhausted() {
            break;
        }
        let input = instance.scene(stream).or_else(|| question.clone());
        let outcome = instance.draw(stream);
        let optimal_nats = instance.ln_predictive(&outcome).map(nats);
        let output = instance.text(&outcome);
        episode.turns.push(Turn { input, output, optimal_nats, ..Turn::default() });
        instance.observe(&outcome);
    }
    if parameters.query {
        episode.query = query(&mut instance, question, stream);
    }
    episode
}

/// Asks for the observer's predictive of the next draw; `None` where it is not known.
fn query<I: Instance>(
    instance: &mut I,
    question: Option<String>,
    stream: &mut Stream,
) -> Option<Query> {
    let input = instance.scene(stream).or(question);
    let outcomes = instance.options();
    let probs: Option<Vec<f64>> =
        outcomes.iter().map(|outcome| instance.ln_predictive(outcome).map(f64::exp)).collect();
    let mut probs = probs.filter(|probs| !probs.is_empty())?;
    // Which labels exist may be open (an undescribed coin): the options listed settle it.
    let total: f64 = probs.iter().sum();
    for probability in &mut probs {
        *probability /= total;
    }
    let options = outcomes.iter().map(|outcome| instance.text(outcome)).collect();
    Some(Query { input, goal: Goal::Choices { options, probs } })
}

/// `-ln p`, never below zero: rounding may put the logarithm of a certainty just above it.
fn nats(ln_probability: f64) -> f64 {
    (-ln_probability).max(0.0)
}

#[cfg(test)]
mod tests;
