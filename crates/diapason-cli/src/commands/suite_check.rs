//! `diapason suite check`: what can be built here, what is missing, what is broken.

use super::Session;
use crate::args::SuiteSource;
use anyhow::ensure;
use diapason_data::{MissingFile, Status, Suite};
use serde_json::{Value, json};

/// Tries every task, goes on past broken ones, and fails in the end if there was any.
pub(super) fn check(
    session: &Session<'_>,
    source: &SuiteSource,
    as_json: bool,
) -> anyhow::Result<()> {
    let (suite, mistakes) = match &source.suite {
        Some(folder) => Suite::survey(folder)?,
        None => (Suite::embedded()?, Vec::new()),
    };
    let mut rows: Vec<(String, String, Status)> = mistakes
        .into_iter()
        .map(|(name, mistake)| (name.clone(), name, Status::Broken { error: mistake.to_string() }))
        .collect();
    for (index, task) in suite.tasks().iter().enumerate() {
        session.console.progress(index as u64, suite.tasks().len() as u64, &task.name);
        let status = suite.check(task, source.data.as_deref());
        rows.push((task.name.clone(), task.path(), status));
    }
    session.console.clear();
    if as_json {
        let rows: Vec<Value> = rows.iter().map(|(name, _, status)| row(name, status)).collect();
        session.console.data(&serde_json::to_string_pretty(&rows)?)?;
    } else {
        for (_, path, status) in &rows {
            session.console.data(&line(path, status))?;
        }
    }
    let count = |wanted: fn(&Status) -> bool| rows.iter().filter(|row| wanted(&row.2)).count();
    let ready = count(|status| matches!(status, Status::Ready { .. }));
    let broken = count(|status| matches!(status, Status::Broken { .. }));
    let few = count(|status| matches!(status, Status::Ready { episodes: 0, .. }));
    let few = match few {
        0 => String::new(),
        few => format!("; the files of {few} hold too few rows for an episode"),
    };
    session.console.say(&format!("{ready} of {} tasks can be built{few}", rows.len()));
    if source.data.is_none() && !as_json {
        session.console.say("hint: `--data DIR` names the folder of raw files");
    }
    ensure!(broken == 0, "{broken} of {} are broken, see above", rows.len());
    Ok(())
}

fn row(name: &str, status: &Status) -> Value {
    match status {
        Status::Ready { episodes, missing } => {
            json!({"name": name, "status": "ready", "missing": missing, "episodes": episodes})
        }
        Status::Missing { missing } => {
            json!({"name": name, "status": "missing", "missing": missing, "episodes": 0})
        }
        Status::Broken { error } => json!(
            {"name": name, "status": "broken", "missing": [], "episodes": 0, "error": error}),
    }
}

fn line(path: &str, status: &Status) -> String {
    match status {
        Status::Ready { episodes, missing } if missing.is_empty() => {
            format!("ready    {path:<52} {episodes} episodes")
        }
        Status::Ready { episodes, missing } => {
            format!("ready    {path:<52} {episodes} episodes, without{}", files(missing))
        }
        Status::Broken { error } => {
            format!("broken   {path}\n           {}", error.replace('\n', "\n           "))
        }
        Status::Missing { missing } => format!("missing  {path}{}", files(missing)),
    }
}

fn files(missing: &[MissingFile]) -> String {
    let file = |file: &MissingFile| {
        format!("\n           {}\n             from {}", file.file, file.place)
    };
    missing.iter().map(file).collect()
}
