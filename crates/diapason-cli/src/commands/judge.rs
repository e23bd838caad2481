//! `diapason judge pairs`, `scores`, `classes`: answers judged by language models, reward models,
//! or what the rows say themselves.
//!
//! A verb writes a folder: `results.json` with the figures, a file of JSON lines with every ruling
//! and its reason, and `answers.jsonl`, the ledger of what was paid for. It resumes.

mod answers;
mod by;
mod classes;
mod pairs;
mod scores;

use super::Session;
use crate::args::{JudgeOutArgs, JudgeVerb};
use anyhow::Context as _;
use diapason_eval::{Asked, JudgeQuestion};
use diapason_flow::{Artifact, Estimate, Stamp};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file of figures.
const RESULTS: &str = "results.json";

/// Runs a verb of `judge`.
pub(crate) fn judge(session: &Session<'_>, verb: &JudgeVerb) -> anyhow::Result<()> {
    match verb {
        JudgeVerb::Pairs(args) => pairs::pairs(session, args),
        JudgeVerb::Scores(args) => scores::scores(session, args),
        JudgeVerb::Classes(args) => classes::classes(session, args),
    }
}

/// The question, in the user's words where there are any.
fn question(asked: Asked, out: &JudgeOutArgs) -> anyhow::Result<JudgeQuestion> {
    let Some(path) = &out.instructions else { return Ok(JudgeQuestion::new(asked)) };
    let words = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(JudgeQuestion::worded(asked, &words))
}

/// Where answers are kept by default.
fn kept_answers(out: &JudgeOutArgs) -> PathBuf {
    out.out.join("answers.jsonl")
}

/// What was found, ready to be written and printed.
struct Found {
    /// Name of the file of rulings.
    file: &'static str,
    rulings: Vec<Value>,
    results: Value,
    /// The figures in words.
    lines: Vec<String>,
}

/// Opens the folder of a verb. What was finished before is printed, and nobody is asked again.
fn open(
    session: &Session<'_>,
    out: &JudgeOutArgs,
    verb: &str,
    settings: Value,
) -> anyhow::Result<Option<Artifact>> {
    let stamp = Stamp::new(verb, Vec::new(), settings, out.seed);
    let (artifact, complete) = Artifact::open(&out.out, stamp)?;
    if !complete {
        return Ok(Some(artifact));
    }
    let path = artifact.path().join(RESULTS);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let results =
        serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
    print(session, out, &results)?;
    Ok(None)
}

/// Writes the folder and prints the figures.
fn finish(
    session: &Session<'_>,
    out: &JudgeOutArgs,
    artifact: Artifact,
    Found { file, rulings, results, lines }: Found,
) -> anyhow::Result<()> {
    artifact.write(file, |file| rulings.iter().try_for_each(|row| writeln!(file, "{row}")))?;
    let stamp = artifact.stamp();
    let mut all = json!({"diapason": {"version": stamp.version}, "settings": stamp.settings,
                         "seed": stamp.seed});
    for (name, value) in results.as_object().into_iter().flatten() {
        all[name.as_str()] = value.clone();
    }
    all["summary"] = json!(lines);
    artifact.write_json(RESULTS, &all)?;
    artifact.finish()?;
    print(session, out, &all)
}

fn print(session: &Session<'_>, out: &JudgeOutArgs, results: &Value) -> anyhow::Result<()> {
    if out.json {
        return Ok(session.console.data(&serde_json::to_string_pretty(results)?)?);
    }
    for line in results["summary"].as_array().into_iter().flatten() {
        session.console.data(line.as_str().unwrap_or_default())?;
    }
    session.console.say(&format!("all of it in {}", out.out.display()));
    Ok(())
}

/// A file as the stamp tells it from others.
fn told(answers: &answers::Answers) -> Value {
    let name = answers.path.file_name().map_or(answers.path.as_path(), Path::new);
    json!({"file": name, "fingerprint": answers.fingerprint})
}

/// A share with its interval in words.
fn percent(estimate: &Estimate) -> String {
    let [low, high] = estimate.ci95.map(|share| 100.0 * share);
    format!("{:.1} % [{low:.1}, {high:.1}]", 100.0 * estimate.value)
}

/// A mean with its interval in words.
fn mean(estimate: &Estimate) -> String {
    format!("{:.2} [{:.2}, {:.2}]", estimate.value, estimate.ci95[0], estimate.ci95[1])
}
