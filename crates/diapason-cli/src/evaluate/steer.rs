//! Steerability: every turn of an episode as a prediction from the turns before it.

use super::{Evaluated, Subject, TaskResult, TaskSet};
use diapason_eval::{Collector, SteerOutcome, steer};
use diapason_flow::{Answer, Ask, Episode, LossPolicy, Request, Streams, Tokens};
use rand::seq::SliceRandom;
use serde_json::json;

/// Alternatives asked for at every token: all that can matter for calibration but the very rare.
const TOP: usize = 20;

/// Episodes whose prediction is compared with that from another order of the same examples.
const REORDERED: usize = 50;

pub(super) fn evaluate(
    subject: &Subject,
    task: &TaskSet,
    streams: &Streams,
) -> anyhow::Result<Evaluated> {
    let mut collector = Collector::default();
    let mut rows = Vec::new();
    let outcomes = outcomes(subject, &task.episodes)?;
    let mut skipped = 0;
    for (episode, outcome) in task.episodes.iter().zip(&outcomes) {
        let Some(outcome) = outcome else {
            skipped += 1;
            continue;
        };
        collector.steer(&task.path, &episode.unit, outcome)?;
        let turns: Vec<_> = outcome
            .turns
            .iter()
            .map(|turn| {
                json!({"examples": turn.examples, "nats": turn.nats, "right": turn.right,
                       "optimal_nats": turn.optimal_nats})
            })
            .collect();
        rows.push(json!({"task": task.path, "unit": episode.unit, "turns": turns}));
    }
    let (originals, reordered): (Vec<_>, Vec<_>) = task
        .episodes
        .iter()
        .zip(&outcomes)
        .enumerate()
        .filter(|(_, (episode, outcome))| {
            let whole = |outcome: &SteerOutcome| {
                outcome.turns.last().map(|turn| turn.examples + 1) == Some(episode.turns.len())
            };
            episode.exchangeable && episode.turns.len() > 2 && outcome.as_ref().is_some_and(whole)
        })
        .take(REORDERED)
        .map(|(index, (episode, outcome))| {
            ((episode, outcome), reorder(episode, streams, index as u64))
        })
        .unzip();
    let others = self::outcomes(subject, &reordered)?;
    for ((episode, original), other) in originals.into_iter().zip(&others) {
        if let (Some(original), Some(other)) = (original, other) {
            collector.permutation(&task.path, &episode.unit, (original, other))?;
        }
    }
    let measured = collector.finish();
    Ok((TaskResult { measured, skipped, ..TaskResult::default() }, rows))
}

/// The outcome of each episode; `None` where not even one turn fits the context.
fn outcomes(subject: &Subject, episodes: &[Episode]) -> anyhow::Result<Vec<Option<SteerOutcome>>> {
    let mut sequences = Vec::with_capacity(episodes.len());
    let mut requests = Vec::new();
    for episode in episodes {
        let marked = subject.tokenizer.template().render(episode, LossPolicy::EveryOutput);
        let tokens = whole_turns(&subject.tokenizer.encode(&marked)?, subject.context);
        if tokens.learned() > 0 {
            let prompt = tokens.ids().to_vec();
            requests.push(Request { prompt, ask: Ask::Trace { from: 1, top: TOP } });
        }
        sequences.push(tokens);
    }
    let mut answers = subject.engine.ask(&requests)?.into_iter();
    episodes
        .iter()
        .zip(&sequences)
        .map(|(episode, tokens)| {
            if tokens.learned() == 0 {
                return Ok(None);
            }
            match answers.next() {
                Some(Answer::Traced(trace)) => Ok(Some(steer(episode, tokens, &trace)?)),
                other => anyhow::bail!("the engine answered a trace with {other:?}"),
            }
        })
        .collect()
}

/// As many whole turns as fit into `limit` tokens; nothing if not one does.
fn whole_turns(tokens: &Tokens, limit: usize) -> Tokens {
    if tokens.len() <= limit {
        return tokens.clone();
    }
    let turn = tokens.turn();
    let end = (1..=limit).rev().find(|end| turn[end - 1].is_some() && turn[*end] != turn[end - 1]);
    tokens.truncated(end.unwrap_or(0))
}

/// The same examples before the same last turn, in another order.
fn reorder(episode: &Episode, streams: &Streams, index: u64) -> Episode {
    let mut other = episode.clone();
    if let Some((_, examples)) = other.turns.split_last_mut() {
        examples.shuffle(&mut streams.stream("reorder", index));
    }
    // The optimal predictive of a turn belongs to its place.
    other.turns.iter_mut().for_each(|turn| turn.optimal_nats = None);
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sequence_ends_with_a_whole_turn() {
        let mut tokens = Tokens::default();
        for (id, turn) in [(0, None), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, Some(1))] {
            tokens.push(id, turn.is_some(), turn);
        }
        assert_eq!(whole_turns(&tokens, 5).len(), 5);
        assert_eq!(whole_turns(&tokens, 4).len(), 3);
        assert_eq!(whole_turns(&tokens, 3).len(), 3);
        assert_eq!(whole_turns(&tokens, 2).len(), 0);
    }
}
