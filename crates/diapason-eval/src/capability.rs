//! Capability kept: does the model still pick the right answer among choices?

use crate::{EvalError, align};
use diapason_flow::{Episode, OptionScore};

/// How a model answered one multiple-choice question.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CapabilityOutcome {
    /// Chance of picking a right option when picking among the likeliest: 0 or 1 without ties.
    pub accuracy: f64,
    /// `-Σ P ln Q` in nats over the options, Q normalised over them; `-ln Q(right)` where one
    /// option is right.
    pub loss_nats: f64,
}

/// Scores a question whose target puts its mass on the right option or options.
///
/// # Errors
/// Those of [`align`](crate::align), and a right option of probability zero.
pub fn capability(
    episode: &Episode,
    scores: &[OptionScore],
) -> Result<CapabilityOutcome, EvalError> {
    let target = align::target(episode, scores)?;
    let (model, _) = align::normalised(scores);
    let mut loss_nats = 0.0;
    for (index, (p, q)) in target.iter().zip(&model).enumerate().filter(|(_, (p, _))| **p > 0.0) {
        if *q == 0.0 {
            let (task, value) = (episode.task.clone(), scores[index].logprob_nats);
            return Err(EvalError::LogProbability { task, index, value });
        }
        loss_nats -= p * q.ln();
    }
    Ok(CapabilityOutcome { accuracy: align::mode_match(target, &model), loss_nats })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::tests::{choices, scores};

    #[test]
    fn the_likeliest_option_is_the_answer_and_ties_share() {
        let question = choices(&[0.0, 1.0, 0.0]);
        let right = capability(&question, &scores(&[0.1, 0.2, 0.1])).unwrap();
        assert_eq!(right.accuracy, 1.0);
        assert!((right.loss_nats - 2f64.ln()).abs() < 1e-12);
        let tied = capability(&question, &scores(&[0.1, 0.1, 0.1])).unwrap();
        assert!((tied.accuracy - 1.0 / 3.0).abs() < 1e-12);
        assert!(capability(&question, &scores(&[0.1, 0.0, 0.1])).is_err());
    }
}
