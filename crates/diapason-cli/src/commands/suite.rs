//! `diapason suite ls | show | check | build`.

use super::Session;
use super::suite_page::page;
use crate::args::{SuiteSource, SuiteVerb};
use anyhow::bail;
use diapason_data::{BuildSettings, Family, Split, Status, Suite, Task, write_episodes};
use diapason_flow::{Artifact, Episode, Goal, LossPolicy, Query, Stamp, Streams};
use diapason_text::{Template, TemplateKind, family, paint};
use serde_json::{Value, json};
use std::path::Path;

/// Runs a verb of `suite`.
pub(crate) fn suite(session: &Session<'_>, verb: SuiteVerb) -> anyhow::Result<()> {
    match verb {
        SuiteVerb::Ls { source, markdown: true, .. } => {
            let suite = suite_of(source.suite.as_deref())?;
            Ok(session.console.data(&page(&suite, source.data.as_deref())?)?)
        }
        SuiteVerb::Ls { source, json, .. } => ls(session, &source, json),
        SuiteVerb::Show { task, source, seed } => show(session, &source, &task, seed),
        SuiteVerb::Check { source, json } => check(session, &source, json),
        SuiteVerb::Build { source, out, tasks, split, seed, format, limit } => {
            let wanted = Wanted { tasks, split, seed, format, limit };
            build(session, &source, &wanted, &out)
        }
    }
}

/// The suite of a folder, or the embedded one.
pub(crate) fn suite_of(folder: Option<&Path>) -> anyhow::Result<Suite> {
    Ok(match folder {
        Some(folder) => Suite::load(folder)?,
        None => Suite::embedded()?,
    })
}

fn ls(session: &Session<'_>, source: &SuiteSource, as_json: bool) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
    if as_json {
        let rows: Vec<Value> = suite
            .tasks()
            .iter()
            .map(|task| {
                json!({"name": task.name, "family": task.family, "kind": task.kind,
                       "split": task.split, "source": task.source, "licence": task.licence,
                       "access": task.access})
            })
            .collect();
        return Ok(session.console.data(&serde_json::to_string_pretty(&rows)?)?);
    }
    for task in suite.tasks() {
        let split = if task.split == Split::Train { "train" } else { "test" };
        session.console.data(&format!("{:<52} {split:<6} {}", task.path(), task.title))?;
    }
    Ok(())
}

fn show(session: &Session<'_>, source: &SuiteSource, name: &str, seed: u64) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
    let tasks = suite.matching(name)?;
    let [task] = tasks.as_slice() else {
        bail!("`{name}` matches {} tasks\n\nhint: name one", tasks.len());
    };
    let streams = Streams::new(seed);
    let episodes =
        suite.build(task, source.data.as_deref(), &BuildSettings::default(), &streams)?;
    let console = session.console;
    console.data(&format!("{}: {}", task.path(), task.title))?;
    console.data(&format!("source {} ({})", task.source, task.licence))?;
    for line in &task.differs {
        console.data(&format!("differs from the reference: {line}"))?;
    }
    console.data(&format!("{} episodes; the first:\n", episodes.len()))?;
    let Some(episode) = episodes.first() else { return Ok(()) };
    let Some(family) = family("diapason") else { bail!("the template family is missing") };
    let template = Template::new(TemplateKind::Spectrum, family);
    let marked = match &episode.query {
        None => template.render(episode, LossPolicy::EveryOutput),
        Some(_) => template.render_prompt(episode),
    };
    console.data(&paint(&marked, console.colour()))?;
    match &episode.query {
        Some(query) => console.data(&goal(query))?,
        None => console.data("\nlearned spans are marked")?,
    }
    Ok(())
}

fn goal(query: &Query) -> String {
    match &query.goal {
        Goal::Text(text) => format!("\nanswer: {text}"),
        Goal::Choices { options, probs } => {
            let rows = options.iter().zip(probs).map(|(option, p)| format!("  {p:.4}  {option}"));
            format!("\ntarget:\n{}", rows.collect::<Vec<_>>().join("\n"))
        }
        Goal::Valid(check) => {
            let rule = serde_json::to_string(check).unwrap_or_default();
            let short: String = rule.chars().take(400).collect();
            format!("\nvalid: {short}")
        }
    }
}

fn check(session: &Session<'_>, source: &SuiteSource, as_json: bool) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
    let mut rows = Vec::new();
    let mut ready = 0;
    for (index, task) in suite.tasks().iter().enumerate() {
        session.console.progress(index as u64, suite.tasks().len() as u64, &task.name);
        let status = suite.check(task, source.data.as_deref())?;
        ready += usize::from(matches!(status, Status::Ready { .. }));
        rows.push((task, status));
    }
    session.console.clear();
    if as_json {
        let rows: Vec<Value> = rows.iter().map(|(task, status)| status_row(task, status)).collect();
        return Ok(session.console.data(&serde_json::to_string_pretty(&rows)?)?);
    }
    for (task, status) in &rows {
        match status {
            Status::Ready { episodes } => {
                session
                    .console
                    .data(&format!("ready    {:<52} {episodes} episodes", task.path()))?;
            }
            Status::Missing { missing } => {
                session.console.data(&format!("missing  {}", task.path()))?;
                for file in missing {
                    session.console.data(&format!(
                        "           {}\n             from {}",
                        file.file, file.place
                    ))?;
                }
            }
        }
    }
    session.console.say(&format!("{ready} of {} tasks can be built", rows.len()));
    if source.data.is_none() {
        session.console.say("hint: `--data DIR` names the folder of raw files");
    }
    Ok(())
}

fn status_row(task: &Task, status: &Status) -> Value {
    match status {
        Status::Ready { episodes } => {
            json!({"name": task.name, "status": "ready", "missing": [], "episodes": episodes})
        }
        Status::Missing { missing } => {
            json!({"name": task.name, "status": "missing", "missing": missing, "episodes": 0})
        }
    }
}

struct Wanted {
    tasks: String,
    split: Option<String>,
    seed: u64,
    format: String,
    limit: Option<usize>,
}

fn build(
    session: &Session<'_>,
    source: &SuiteSource,
    wanted: &Wanted,
    out: &Path,
) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
    let split = match wanted.split.as_deref() {
        Some("train") => Some(Split::Train),
        Some(_) => Some(Split::Test),
        None => None,
    };
    let settings = BuildSettings { max_episodes: wanted.limit, ..BuildSettings::default() };
    let saved = json!({
        "tasks": wanted.tasks, "split": wanted.split, "format": wanted.format, "build": settings,
        "data": source.data, "suite": source.suite,
    });
    let (artifact, complete) =
        Artifact::open(out, Stamp::new("episodes", Vec::new(), saved, wanted.seed))?;
    if complete {
        session.console.say(&format!("{} was finished before", out.display()));
        return Ok(());
    }
    let streams = Streams::new(wanted.seed);
    let mut total = 0;
    for task in suite.matching(&wanted.tasks)? {
        if split.is_some_and(|split| split != task.split) {
            continue;
        }
        if let Status::Missing { missing } = suite.check(task, source.data.as_deref())? {
            let file = missing.first().map_or("", |missing| missing.file.as_str());
            session.console.say(&format!("note: `{}` is left out, {file} is missing", task.name));
            continue;
        }
        let episodes = suite.build(task, source.data.as_deref(), &settings, &streams)?;
        let path = artifact.path().join(format!("{}.{}", task.name, wanted.format));
        write_episodes(&path, &episodes)?;
        total += episodes.len();
        session.console.say(&row(task, &episodes));
    }
    artifact.finish()?;
    session.console.say(&format!("{total} episodes in {}", out.display()));
    Ok(())
}

fn row(task: &Task, episodes: &[Episode]) -> String {
    let turns: usize = episodes.iter().map(|episode| episode.turns.len()).sum();
    let kind = match task.family {
        Family::Steer => "outputs",
        Family::Align | Family::Cover => "examples",
    };
    format!("{:<52} {:>7} episodes {turns:>9} {kind}", task.path(), episodes.len())
}
