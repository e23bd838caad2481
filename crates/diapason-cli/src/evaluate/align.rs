//! Distributional alignment: the model's distribution over known options.

use super::{Evaluated, Subject, TaskResult, TaskSet};
use anyhow::bail;
use diapason_eval::{Collector, Distribution, align};
use diapason_flow::{Answer, Ask, Goal, Query, Request};
use serde_json::json;
use std::collections::BTreeMap;

/// Questions whose distributions are kept to look at.
const SHOWN: usize = 6;

pub(super) fn evaluate(subject: &Subject, task: &TaskSet) -> anyhow::Result<Evaluated> {
    let mut requests = Vec::new();
    let mut asked = Vec::new();
    let mut skipped = 0;
    for (episode, prompt) in task.episodes.iter().zip(subject.prompts(&task.episodes)?) {
        let Some(Query { goal: Goal::Choices { options, .. }, .. }) = &episode.query else {
            bail!("{}: an episode of an alignment task has no options", task.path);
        };
        let options = options
            .iter()
            .map(|option| subject.tokenizer.encode_output(option))
            .collect::<Result<Vec<_>, _>>()?;
        let longest = options.iter().map(Vec::len).max().unwrap_or(0);
        if prompt.len() + longest > subject.context {
            skipped += 1;
            continue;
        }
        requests.push(Request { prompt, ask: Ask::Score { options } });
        asked.push(episode);
    }
    let answers = subject.engine.ask(&requests)?;
    let mut collector = Collector::default();
    let mut result = TaskResult { skipped, ..TaskResult::default() };
    let mut rows = Vec::new();
    for (episode, answer) in asked.into_iter().zip(answers) {
        let Answer::Scored(scores) = answer else { bail!("the engine did not answer with scores") };
        let outcome = align(episode, &scores)?;
        collector.align(&task.path, &episode.unit, &outcome)?;
        let Some(Query { goal: Goal::Choices { options, .. }, input }) = &episode.query else {
            continue;
        };
        rows.push(json!({
            "task": task.path, "unit": episode.unit, "options": options,
            "target": outcome.target, "model": outcome.model, "mass": outcome.mass,
            "js_nats": outcome.js_nats,
        }));
        if result.distributions.len() < SHOWN {
            let parts = [episode.description.as_deref(), input.as_deref()];
            result.distributions.push(Distribution {
                task: task.path.clone(),
                prompt: parts.into_iter().flatten().collect::<Vec<_>>().join(" — "),
                options: options.clone(),
                target: outcome.target,
                models: BTreeMap::from([(subject.name.clone(), outcome.model)]),
            });
        }
    }
    result.measured = collector.finish();
    Ok((result, rows))
}
