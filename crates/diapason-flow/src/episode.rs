//! An episode: draws from one data-generating process, before any rendering.

use crate::Markers;

/// Draws from one data-generating process: an optional description and a list of turns.
///
/// An ordinary chat example is an episode too (system → description, user → input,
/// assistant → output) with `exchangeable = false`.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Name of the task that made it, such as `polis_vote` or `align/urn`.
    pub task: String,
    /// The unit that intervals resample: a person, a table, a prompt. Rows of one unit are
    /// dependent; units are independent.
    pub unit: String,
    /// What the process is, in words.
    pub description: Option<String>,
    /// The draws, in the order in which they are shown.
    pub turns: Vec<Turn>,
    /// What is asked after the turns; `None` when the turns themselves are the point.
    pub query: Option<Query>,
    /// Whether the order of the turns carries no information.
    pub exchangeable: bool,
}

/// One (input, output) pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// What the draw is conditioned on, if anything.
    pub input: Option<String>,
    /// The draw.
    pub output: String,
    /// Markers of the output (Treasure Hunt, arXiv 2506.14702).
    pub markers: Markers,
    /// `-ln p(output | description, earlier turns)` in nats under the Bayes-optimal predictive,
    /// where the process is known. Valid only for the order in which the turns stand.
    pub optimal_nats: Option<f64>,
}

/// A question about the process that waits for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The input of the next draw, if any.
    pub input: Option<String>,
    /// What a good answer is.
    pub goal: Goal,
}

/// What a good answer to a [`Query`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// One reference text.
    Text(String),
    /// A distribution over options: `probs[i]` is the target probability of `options[i]`.
    Choices {
        /// The outputs that are scored.
        options: Vec<String>,
        /// Same length as `options`, non-negative, sums to one.
        probs: Vec<f64>,
    },
    /// Any output that passes the check.
    Valid(Check),
}

/// An exact rule that says whether a text is a valid output.
///
/// A valid text has a *canonical form*; two outputs count as one when their canonical forms are
/// equal. Surrounding whitespace never matters.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// Member of a list. The canonical form is the list's own spelling.
    List {
        /// The valid outputs.
        items: Vec<String>,
        /// Compare without regard to case.
        #[serde(default)]
        ignore_case: bool,
    },
    /// A regular expression that must match the whole text. The canonical form is the text.
    Pattern {
        /// Syntax of the `regex` crate, anchored at both ends by the judge.
        pattern: String,
    },
    /// A decimal integer without sign or leading zeros in `min..=max`.
    Integer {
        /// Smallest valid value.
        min: u64,
        /// Largest valid value.
        max: u64,
    },
    /// A prime written in decimal without leading zeros, at most `max`.
    Prime {
        /// Largest valid value.
        max: u64,
    },
    /// Any text that is not empty, for prompts whose valid outputs nobody can list. Texts whose
    /// sets of words have a Jaccard similarity of at least `similarity` count as one: the first of
    /// them that was drawn.
    Open {
        /// In 0..=1; 1 tells apart all texts of different words.
        similarity: f64,
    },
    /// What a judge, a language model or a person, accepts by a criterion in words. No rule
    /// decides it; the judge also says which texts count as one.
    Judged {
        /// What a valid output is, in words.
        criterion: String,
    },
}

impl Check {
    /// Whether a judge is needed to say what is valid.
    pub fn needs_judge(&self) -> bool {
        matches!(self, Check::Judged { .. })
    }
}

/// Which tokens of an episode bear loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossPolicy {
    /// Every output and its terminator; without a description not the first one, which nothing
    /// predicts (Spectrum Tuning, arXiv 2510.06084).
    #[default]
    EveryOutput,
    /// Only the last output: ordinary instruction tuning on the same data.
    LastOutput,
    /// Only the first output that could bear loss.
    FirstOutput,
    /// Every token but the first: language modelling on the rendered text.
    AllTokens,
    /// One output a sequence, replaced by the process's modal answer: the "single right answer"
    /// baseline. See [`Episode::modal`].
    ModalAnswer,
}

impl Episode {
    /// An empty exchangeable episode of a task.
    pub fn new(task: impl Into<String>, unit: impl Into<String>) -> Self {
        Episode {
            task: task.into(),
            unit: unit.into(),
            description: None,
            turns: Vec::new(),
            query: None,
            exchangeable: true,
        }
    }

    /// The most frequent output; ties go to the one that appears first. `None` without turns.
    pub fn modal_output(&self) -> Option<&str> {
        let mut best: Option<(&str, usize)> = None;
        for turn in &self.turns {
            let count = self.turns.iter().filter(|other| other.output == turn.output).count();
            if best.is_none_or(|(_, most)| count > most) {
                best = Some((&turn.output, count));
            }
        }
        best.map(|(output, _)| output)
    }

    /// The same process as one question with one right answer.
    ///
    /// With a description: a single turn, the first input answered by the modal answer. Without
    /// one: all turns, the last output replaced by the modal answer. The modal answer is the mode
    /// of the goal where it is [`Goal::Choices`], of the outputs otherwise. Where inputs differ
    /// between turns there is no mode over them, and the turn keeps its own output.
    pub fn modal(&self) -> Episode {
        let mut modal = self.clone();
        if self.description.is_some() {
            modal.turns.truncate(1);
        }
        let same_input = self.turns.windows(2).all(|pair| pair[0].input == pair[1].input);
        let answer = match &self.query {
            Some(Query { goal: Goal::Choices { options, probs }, .. }) => {
                mode(probs).map(|index| options[index].as_str())
            }
            _ if same_input => self.modal_output(),
            _ => None,
        };
        if let (Some(answer), Some(turn)) = (answer, modal.turns.last_mut()) {
            answer.clone_into(&mut turn.output);
            turn.optimal_nats = None;
        }
        modal
    }
}

/// Index of the first largest value.
fn mode(probs: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, probability) in probs.iter().enumerate() {
        if best.is_none_or(|most| *probability > probs[most]) {
            best = Some(index);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(outputs: &[&str]) -> Episode {
        let mut episode = Episode::new("t", "u");
        episode.turns = outputs
            .iter()
            .map(|output| Turn { output: (*output).into(), ..Turn::default() })
            .collect();
        episode
    }

    #[test]
    fn the_modal_answer_stands_alone_after_a_description() {
        let mut episode = draws(&["red", "blue", "blue"]);
        episode.description = Some("an urn".into());
        let modal = episode.modal();
        assert_eq!(modal.turns.len(), 1);
        assert_eq!(modal.turns[0].output, "blue");
    }

    #[test]
    fn without_a_description_the_draws_stay_and_the_last_becomes_modal() {
        let modal = draws(&["a", "a", "b"]).modal();
        let outputs: Vec<_> = modal.turns.iter().map(|turn| turn.output.as_str()).collect();
        assert_eq!(outputs, ["a", "a", "a"]);
    }

    #[test]
    fn differing_inputs_have_no_mode() {
        let mut episode = draws(&["a", "a", "b"]);
        for (index, turn) in episode.turns.iter_mut().enumerate() {
            turn.input = Some(index.to_string());
        }
        assert_eq!(episode.modal(), episode);
    }
}
