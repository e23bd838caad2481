//! Coverage: how many valid outputs many draws reach, and how that changes with temperature.

use super::{Evaluated, Subject, TaskResult, TaskSet};
use crate::settings::Evaluate;
use anyhow::bail;
use diapason_eval::{Collector, Judge, SampleGrid, SampleText, cover};
use diapason_flow::{Answer, Ask, Episode, Goal, Query, Request, Sample, Sampling, Streams};
use rand::Rng as _;
use serde_json::json;
use std::collections::BTreeMap;

/// Prompts of a task whose draws are kept to look at.
const SHOWN: usize = 1;

pub(super) fn evaluate(
    subject: &Subject,
    task: &TaskSet,
    settings: &Evaluate,
    streams: &Streams,
) -> anyhow::Result<Evaluated> {
    let mut collector = Collector::default();
    let mut result = TaskResult::default();
    let mut rows = Vec::new();
    for (place, temperature) in settings.temperatures.iter().enumerate() {
        let draws = draw(subject, task, settings, (place, *temperature), streams)?;
        for (episode, texts) in task.episodes.iter().zip(draws) {
            let judge = judge_of(task, episode)?;
            let outcome = cover(&judge, &texts);
            let at = f64::from(*temperature);
            collector.cover_at(&task.path, &episode.unit, at, &outcome)?;
            rows.extend(texts.iter().map(|text| {
                json!({"task": task.path, "unit": episode.unit, "temperature": temperature,
                       "text": text, "canonical": judge.canonical(text)})
            }));
            if *temperature == 1.0 {
                collector.cover(&task.path, &episode.unit, &outcome)?;
                if result.samples.len() < SHOWN {
                    result.samples.push(grid(subject, task, episode, &judge, &texts));
                }
            }
        }
    }
    result.measured = collector.finish();
    Ok((result, rows))
}

/// The draws of every episode at one temperature.
fn draw(
    subject: &Subject,
    task: &TaskSet,
    settings: &Evaluate,
    (place, temperature): (usize, f32),
    streams: &Streams,
) -> anyhow::Result<Vec<Vec<String>>> {
    let mut requests = Vec::with_capacity(task.episodes.len());
    for (index, episode) in task.episodes.iter().enumerate() {
        let prompt =
            subject.tokenizer.encode(&subject.tokenizer.template().render_prompt(episode))?;
        let sampling = Sampling {
            n: settings.draws,
            seed: streams.stream(&format!("draws {place}"), index as u64).next_u64(),
            temperature,
            max_tokens: (settings.max_tokens + subject.list_tokens())
                .min(subject.context.saturating_sub(prompt.len())),
            stop: subject.tokenizer.terminators(),
            ..Sampling::default()
        };
        requests.push(Request { prompt: prompt.ids().to_vec(), ask: Ask::Sample(sampling) });
    }
    let decode = |sample: &Sample| subject.answer(&sample.ids).trim().to_owned();
    subject
        .engine
        .ask(&requests)?
        .into_iter()
        .map(|answer| match answer {
            Answer::Sampled(samples) => Ok(samples.iter().map(decode).collect()),
            _ => bail!("the engine did not answer with draws"),
        })
        .collect()
}

fn judge_of(task: &TaskSet, episode: &Episode) -> anyhow::Result<Judge> {
    match &episode.query {
        Some(Query { goal: Goal::Valid(check), .. }) => Ok(Judge::new(check)?),
        _ => bail!("{}: an episode of a coverage task has no rule of validity", task.path),
    }
}

fn grid(
    subject: &Subject,
    task: &TaskSet,
    episode: &Episode,
    judge: &Judge,
    texts: &[String],
) -> SampleGrid {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut shown: Vec<SampleText> = counts
        .into_iter()
        .map(|(text, count)| SampleText {
            text: text.to_owned(),
            valid: judge.canonical(text).is_some(),
            count,
        })
        .collect();
    shown.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    SampleGrid {
        task: task.path.clone(),
        prompt: episode.description.clone().unwrap_or_default(),
        temperature: 1.0,
        models: BTreeMap::from([(subject.name.clone(), shown)]),
    }
}
