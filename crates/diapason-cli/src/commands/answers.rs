//! `diapason answers`: what can be measured of a file of answers, as `sample --prompts` writes it.

mod code;
mod levers;

pub(crate) use code::HELPER as SANDBOX_HELPER;

use super::Session;
use crate::args::AnswersVerb;
use anyhow::Context as _;
use diapason_eval::{Collector, results};
use diapason_flow::{Results, Streams};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Runs a verb of `answers`.
pub(crate) fn answers(session: &Session<'_>, verb: &AnswersVerb) -> anyhow::Result<()> {
    match verb {
        AnswersVerb::Code(args) => code::code(session, args),
        AnswersVerb::Language(args) => levers::languages(session, args),
        AnswersVerb::Length(args) => levers::lengths(session, args),
    }
}

/// The rows of a file of JSON lines.
fn read_rows<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let cannot = || format!("cannot read `{}`", path.display());
    let file = BufReader::new(File::open(path).with_context(cannot)?);
    let mut rows = Vec::new();
    for (index, line) in file.lines().enumerate() {
        let line = line.with_context(cannot)?;
        if line.trim().is_empty() {
            continue;
        }
        let place = || format!("`{}`, line {}", path.display(), index + 1);
        rows.push(serde_json::from_str(&line).with_context(place)?);
    }
    Ok(rows)
}

/// Prints figures with their intervals, a task after the other.
fn print(
    session: &Session<'_>,
    collector: Collector,
    (seed, as_json): (u64, bool),
) -> anyhow::Result<()> {
    let Results { mut figures, .. } = results(&collector.finish(), &Streams::new(seed));
    // Of one task, all tasks together are that task.
    let tasks = figures.keys().filter(|task| !task.ends_with("/*")).count();
    figures.retain(|task, _| tasks > 1 || !task.ends_with("/*"));
    if as_json {
        let all: BTreeMap<_, _> = [("results", json!(figures))].into();
        return Ok(session.console.data(&serde_json::to_string_pretty(&all)?)?);
    }
    for (task, metrics) in &figures {
        for (metric, found) in metrics {
            let [low, high] = found.ci95;
            session.console.data(&format!(
                "{task:<24} {metric:<28} {:>7.3} [{low:.3}, {high:.3}]  of {}",
                found.value, found.n
            ))?;
        }
    }
    Ok(())
}
