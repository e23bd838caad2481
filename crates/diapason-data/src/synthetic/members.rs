//! Draws of members of a kind of the small world: `Name a fruit.` → plum, fig, plum, …

use super::instance::{Instance, Told};
use super::parameters::{Parameters, Turns};
use crate::world::{Kind, WordPool, capitalised};
use diapason_flow::Stream;
use rand::seq::IndexedRandom;

/// A kind, and the kinds it could still be; an outcome is a member.
pub(super) struct Members {
    kind: &'static Kind,
    /// Kinds that hold every draw so far; only the true one where it is told.
    candidates: Vec<&'static Kind>,
    draws: i32,
}

impl Members {
    /// `p(draws so far | kind)`, for a kind that holds all of them.
    fn likelihood(&self, kind: &Kind) -> f64 {
        (kind.members.len() as f64).powi(-self.draws)
    }
}

impl Instance for Members {
    const NAME: &'static str = "members";
    const ABOUT: &'static str = "Draws with replacement from the members of a kind of the small \
        world, each as likely as any other; the kind is one of the pool's, each as likely.";
    const OPTIMAL: &'static str = "Always: uniform over the kind where it is told, else the exact \
        sum over the kinds of the pool.";
    const TURNS: Turns = Turns::GeometricPoisson(12);
    const CAN_QUERY: bool = true;
    type Outcome = &'static str;

    fn new(parameters: &Parameters, told: Told, stream: &mut Stream) -> Self {
        let pool: Vec<&Kind> = parameters.words.unwrap_or(WordPool::Training).kinds().collect();
        let kind = *pool.choose(stream).expect("both pools hold kinds");
        let candidates = if told == Told::Nothing { pool } else { vec![kind] };
        Members { kind, candidates, draws: 0 }
    }

    fn wordings(&self) -> Vec<String> {
        let (a_kind, many) = (self.kind.with_article(), &self.kind.many);
        let mut wordings = vec![
            format!("Name {a_kind}."),
            format!("{}.", capitalised(&a_kind)),
            format!("One of the {many}, picked at random."),
            format!("Some {many}, each as likely as any other."),
            format!("Draws from a list of {many}."),
        ];
        wordings
            .extend(self.kind.also_with_articles().map(|name| format!("{}.", capitalised(&name))));
        wordings
    }

    fn questions(&self) -> Vec<String> {
        let a_kind = self.kind.with_article();
        vec![
            format!("Name {a_kind}."),
            "Name one.".to_owned(),
            format!("Which of the {}?", self.kind.many),
        ]
    }

    fn draw(&self, stream: &mut Stream) -> &'static str {
        self.kind.members.choose(stream).expect("a kind has members")
    }

    fn ln_predictive(&self, member: &&'static str) -> Option<f64> {
        let total: f64 = self.candidates.iter().map(|kind| self.likelihood(kind)).sum();
        let holding = self.candidates.iter().filter(|kind| kind.holds(member));
        let weight = |kind: &&Kind| self.likelihood(kind) / kind.members.len() as f64;
        Some((holding.map(weight).sum::<f64>() / total).ln())
    }

    fn observe(&mut self, member: &&'static str) {
        self.candidates.retain(|kind| kind.holds(member));
        self.draws += 1;
    }

    fn text(&self, member: &&'static str) -> String {
        (*member).to_owned()
    }

    fn options(&self) -> Vec<&'static str> {
        let mut options: Vec<&str> = self
            .candidates
            .iter()
            .flat_map(|kind| kind.members.iter().map(String::as_str))
            .collect();
        options.sort_unstable();
        options.dedup();
        options
    }
}

#[cfg(test)]
mod tests {
    use super::super::Process;
    use super::*;
    use crate::world::{Role, kinds};
    use diapason_flow::Streams;

    #[test]
    fn a_told_kind_is_uniform_and_an_untold_one_becomes_so() {
        let process = Process::named("members").unwrap();
        for described in [0.0, 1.0] {
            let parameters =
                Parameters { described, turns: Some(Turns::Fixed(20)), ..Parameters::default() };
            for index in 0..50 {
                let episode = process.episode("members", &parameters, &Streams::new(3), index);
                let last = episode.turns.last().unwrap();
                let optimal = last.optimal_nats.unwrap();
                let kind = WordPool::Training
                    .kinds()
                    .find(|kind| episode.turns.iter().all(|turn| kind.holds(&turn.output)))
                    .unwrap();
                let uniform = (kind.members.len() as f64).ln();
                assert!((optimal - uniform).abs() < 1e-6, "{}", kind.one);
            }
        }
    }

    #[test]
    fn held_out_kinds_are_other_kinds() {
        let process = Process::named("members").unwrap();
        let words = Some(WordPool::HeldOut);
        let parameters = Parameters { described: 1.0, words, ..Parameters::default() };
        for index in 0..50 {
            let episode = process.episode("members", &parameters, &Streams::new(3), index);
            let holds = |kind: &Kind| episode.turns.iter().all(|turn| kind.holds(&turn.output));
            assert!(kinds().iter().any(|kind| kind.role == Role::Known && holds(kind)));
        }
    }
}
