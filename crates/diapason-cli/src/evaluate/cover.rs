//! Coverage: how many valid outputs many draws reach, and how that changes with temperature.

use super::{Evaluated, Subject, TaskResult, TaskSet};
use crate::judging::{Draws, Panel};
use crate::settings::Evaluate;
use anyhow::bail;
use diapason_eval::{Collector, CoverOutcome, Judge, SampleGrid, SampleText, cover};
use diapason_flow::{Answer, Ask, Check, Episode, Goal, Query, Request, Sample, Sampling, Streams};
use rand::Rng as _;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

/// Prompts of a task whose draws are kept to look at.
const SHOWN: usize = 1;

pub(super) fn evaluate(
    subject: &Subject,
    task: &TaskSet,
    settings: &Evaluate,
    streams: &Streams,
    panel: Option<&Panel<'_>>,
) -> anyhow::Result<Evaluated> {
    if let (Some(panel), Some(check)) = (panel, for_a_judge(task)) {
        return judged(subject, task, settings, streams, (panel, check));
    }
    let mut collector = Collector::default();
    let mut result = TaskResult::default();
    let mut rows = Vec::new();
    for (place, temperature) in settings.temperatures.iter().enumerate() {
        let draws = draw(subject, task, settings, (place, *temperature), streams)?;
        for (episode, Draws { texts, .. }) in task.episodes.iter().zip(draws) {
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
                    let valid = |text: &str| judge.canonical(text).is_some();
                    result.samples.push(grid(subject, task, episode, &texts, valid));
                }
            }
        }
    }
    result.measured = collector.finish();
    Ok((result, rows))
}

/// The rule of a task that a judge can say more of than we can: what is valid, or what is the same.
fn for_a_judge(task: &TaskSet) -> Option<&Check> {
    let check = task.episodes.iter().find_map(check_of)?;
    matches!(check, Check::Open { .. } | Check::Judged { .. }).then_some(check)
}

/// Draws at temperature 1 that a judge puts into classes.
fn judged(
    subject: &Subject,
    task: &TaskSet,
    settings: &Evaluate,
    streams: &Streams,
    (panel, check): (&Panel<'_>, &Check),
) -> anyhow::Result<Evaluated> {
    let settings = Evaluate { draws: panel.draws, ..settings.clone() };
    let place = settings.temperatures.iter().position(|temperature| *temperature == 1.0);
    let draws = draw(subject, task, &settings, (place.unwrap_or(0), 1.0), streams)?;
    let classes = panel.classes(check, &draws)?;
    let mut collector = Collector::default();
    let mut result = TaskResult::default();
    let mut rows = Vec::new();
    for ((episode, draws), classes) in task.episodes.iter().zip(&draws).zip(&classes) {
        let outcome = CoverOutcome::of(classes.iter().cloned());
        collector.cover(&task.path, &episode.unit, &outcome)?;
        rows.extend(draws.texts.iter().zip(classes).map(|(text, class)| {
            json!({"task": task.path, "unit": episode.unit, "temperature": 1.0,
                   "text": text, "canonical": class})
        }));
        if result.samples.len() < SHOWN {
            let judged = draws.texts.iter().zip(classes);
            let valid: HashSet<&str> = judged
                .filter(|(_, class)| class.is_some())
                .map(|(text, _)| text.as_str())
                .collect();
            let valid = |text: &str| valid.contains(text);
            result.samples.push(grid(subject, task, episode, &draws.texts, valid));
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
) -> anyhow::Result<Vec<Draws>> {
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
        .zip(&task.episodes)
        .map(|(answer, episode)| match answer {
            Answer::Sampled(samples) => {
                let texts = samples.iter().map(decode).collect();
                Ok(Draws { prompt: in_words(episode), texts })
            }
            _ => bail!("the engine did not answer with draws"),
        })
        .collect()
}

/// What an episode asks for, to a judge who sees no template.
fn in_words(episode: &Episode) -> String {
    let shown: Vec<&str> = episode.turns.iter().map(|turn| turn.output.as_str()).collect();
    let more = format!("Give another one like these: {}", json!(shown));
    match &episode.description {
        Some(words) if shown.is_empty() => words.clone(),
        Some(words) => format!("{words}\n{more}"),
        None => more,
    }
}

fn check_of(episode: &Episode) -> Option<&Check> {
    match &episode.query {
        Some(Query { goal: Goal::Valid(check), .. }) => Some(check),
        _ => None,
    }
}

fn judge_of(task: &TaskSet, episode: &Episode) -> anyhow::Result<Judge> {
    match check_of(episode) {
        Some(check) => Ok(Judge::new(check)?),
        None => bail!("{}: an episode of a coverage task has no rule of validity", task.path),
    }
}

fn grid(
    subject: &Subject,
    task: &TaskSet,
    episode: &Episode,
    texts: &[String],
    valid: impl Fn(&str) -> bool,
) -> SampleGrid {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut shown: Vec<SampleText> = counts
        .into_iter()
        .map(|(text, count)| SampleText { text: text.to_owned(), valid: valid(text), count })
        .collect();
    shown.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    SampleGrid {
        task: task.path.clone(),
        prompt: episode.description.clone().unwrap_or_default(),
        temperature: 1.0,
        models: BTreeMap::from([(subject.name.clone(), shown)]),
    }
}
