//! Steerability: how well each draw of an episode is predicted from the draws before it.

use crate::{EvalError, Pair};
use diapason_flow::{Episode, TokenScore, Tokens};

/// Alternatives at most this likely are left out of calibration, and so is the true token: which
/// pairs count must not depend on which token came true.
const CALIBRATION_MIN_PROBABILITY: f32 = 0.01;

/// How a model predicted one turn.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TurnOutcome {
    /// Number of in-context examples before it; 0 is zero-shot.
    pub examples: usize,
    /// `-ln p` of its learned tokens, the terminator included.
    pub nats: f64,
    /// Whether each of its learned tokens was the likeliest (teacher forcing).
    pub right: bool,
    /// Whether its first learned token was the likeliest.
    pub first_right: bool,
    /// `-ln p` under the Bayes-optimal predictive, where it is known.
    pub optimal_nats: Option<f64>,
    /// Probabilities of the tokens the model held possible, and whether they came true.
    pub pairs: Vec<Pair>,
}

/// How a model predicted one episode.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SteerOutcome {
    /// The turns that bear loss, in order.
    pub turns: Vec<TurnOutcome>,
}

/// Reads the trace of an episode turn by turn. `trace[i]` scores token `i + 1` of `tokens`, which
/// ends at the end of a turn: a turn cut short would look too easy.
///
/// Turns without loss are left out. A pair is kept for the true token and for every alternative
/// in `top`, when its probability is above 0.01; `top` should hold all of those (at most 99).
///
/// # Errors
/// A trace of another sequence, without alternatives, or with infinite nats.
pub fn steer(
    episode: &Episode,
    tokens: &Tokens,
    trace: &[TokenScore],
) -> Result<SteerOutcome, EvalError> {
    let task = || episode.task.clone();
    let expected = tokens.len().saturating_sub(1);
    if trace.len() != expected {
        return Err(EvalError::TraceLength { task: task(), expected, found: trace.len() });
    }
    let mut turns: Vec<TurnOutcome> = Vec::new();
    for (score, index) in trace.iter().zip(1..) {
        let (expected, found) = (tokens.ids()[index], score.id);
        if expected != found {
            return Err(EvalError::TraceToken { task: task(), index, expected, found });
        }
        let (true, Some(turn)) = (tokens.learn()[index], tokens.turn()[index]) else {
            continue;
        };
        let likeliest =
            score.top.first().ok_or_else(|| EvalError::TraceTop { task: task(), index })?;
        if !score.logprob_nats.is_finite() {
            let value = f64::from(score.logprob_nats);
            return Err(EvalError::LogProbability { task: task(), index, value });
        }
        let right = likeliest.0 == score.id;
        if turns.last().is_none_or(|last| last.examples != turn as usize) {
            turns.push(TurnOutcome {
                examples: turn as usize,
                nats: 0.0,
                right: true,
                first_right: right,
                optimal_nats: episode.turns.get(turn as usize).and_then(|turn| turn.optimal_nats),
                pairs: Vec::new(),
            });
        }
        let Some(outcome) = turns.last_mut() else {
            continue;
        };
        outcome.nats -= f64::from(score.logprob_nats);
        outcome.right &= right;
        outcome.pairs.extend(pairs(score));
    }
    Ok(SteerOutcome { turns })
}

fn pairs(score: &TokenScore) -> impl Iterator<Item = Pair> + '_ {
    let alternatives = score.top.iter().filter(|(id, _)| *id != score.id);
    std::iter::once((score.logprob_nats, true))
        .chain(alternatives.map(|(_, logprob_nats)| (*logprob_nats, false)))
        .map(|(logprob_nats, right)| Pair { probability: logprob_nats.exp().min(1.0), right })
        .filter(|pair| pair.probability > CALIBRATION_MIN_PROBABILITY)
}

/// How far the prediction of the last turn moved when the examples before it were reordered:
/// absolute difference in nats. `None` unless both outcomes end with the same number of examples.
pub fn permutation_gap(one: &SteerOutcome, other: &SteerOutcome) -> Option<f64> {
    let (one, other) = (one.turns.last()?, other.turns.last()?);
    (one.examples == other.examples).then(|| (one.nats - other.nats).abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Turn;

    fn example() -> (Episode, Tokens, Vec<TokenScore>) {
        let mut episode = Episode::new("urn", "u");
        episode.turns = vec![Turn::default(), Turn { optimal_nats: Some(0.5), ..Turn::default() }];
        let mut tokens = Tokens::default();
        // begin, turn 0 without loss, then header, two learned tokens of turn 1.
        for (id, learn, turn) in [
            (0, false, None),
            (5, false, Some(0)),
            (9, false, Some(1)),
            (6, true, Some(1)),
            (2, true, Some(1)),
        ] {
            tokens.push(id, learn, turn);
        }
        let score = |id, probability: f32, top: &[(u32, f32)]| TokenScore {
            id,
            logprob_nats: probability.ln(),
            top: top.iter().map(|(id, p)| (*id, p.ln())).collect(),
        };
        let trace = vec![
            score(5, 0.1, &[(5, 0.1)]),
            score(9, 0.2, &[(9, 0.2)]),
            score(6, 0.25, &[(7, 0.5), (6, 0.25), (8, 0.009)]),
            score(2, 0.8, &[(2, 0.8), (3, 0.2)]),
        ];
        (episode, tokens, trace)
    }

    #[test]
    fn only_turns_with_loss_count_and_the_terminator_is_scored() {
        let (episode, tokens, trace) = example();
        let outcome = steer(&episode, &tokens, &trace).unwrap();
        let [turn] = outcome.turns.as_slice() else { panic!("one turn bears loss") };
        assert_eq!(turn.examples, 1);
        assert!((turn.nats + (0.25f64 * 0.8).ln()).abs() < 1e-6);
        assert!(!turn.right && !turn.first_right);
        assert_eq!(turn.optimal_nats, Some(0.5));
        let pairs: Vec<_> = turn.pairs.iter().map(|pair| (pair.probability, pair.right)).collect();
        let near = |p: f32, q: f32| (p - q).abs() < 1e-6;
        assert_eq!(pairs.len(), 4);
        assert!(near(pairs[0].0, 0.25) && pairs[0].1 && near(pairs[1].0, 0.5) && !pairs[1].1);
    }

    #[test]
    fn traces_that_do_not_fit_are_refused() {
        let (episode, tokens, mut trace) = example();
        let short = steer(&episode, &tokens, &trace[..2]);
        assert!(matches!(short, Err(EvalError::TraceLength { expected: 4, found: 2, .. })));
        trace[3].top.clear();
        let bare = steer(&episode, &tokens, &trace);
        assert!(matches!(bare, Err(EvalError::TraceTop { index: 4, .. })));
        trace[0].id = 6;
        let other = steer(&episode, &tokens, &trace);
        assert!(matches!(
            other,
            Err(EvalError::TraceToken { index: 1, expected: 5, found: 6, .. })
        ));
    }

    #[test]
    fn the_permutation_gap_compares_the_last_turns() {
        let (episode, tokens, mut trace) = example();
        let one = steer(&episode, &tokens, &trace).unwrap();
        trace[3].logprob_nats = 0.4f32.ln();
        let other = steer(&episode, &tokens, &trace).unwrap();
        let gap = permutation_gap(&one, &other).unwrap();
        assert!((gap - 2f64.ln()).abs() < 1e-6);
        assert_eq!(permutation_gap(&one, &SteerOutcome { turns: vec![] }), None);
    }
}
