//! `diapason suite ls | show | diff-reference`, and the way to its other verbs.

use super::Session;
use super::suite_audit::audit;
use super::suite_build::{Wanted, build};
use super::suite_check::check;
use super::suite_fetch::fetch;
use super::suite_page::page;
use crate::args::{SuiteSource, SuiteVerb};
use crate::evaluate::TaskSet;
use anyhow::bail;
use diapason_data::audit::AuditSettings;
use diapason_data::{BuildSettings, DIFFERS_EVERYWHERE, DataError, Split, Suite, Task};
use diapason_flow::{Goal, LossPolicy, Markers, Query, Streams};
use diapason_markers::print_list;
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
        SuiteVerb::Fetch(args) => fetch(session, &args),
        SuiteVerb::Audit { source, near, json } => {
            audit(session, &source, &AuditSettings { near, ..AuditSettings::default() }, json)
        }
        SuiteVerb::DiffReference { suite, json } => diff_reference(session, suite.as_deref(), json),
        SuiteVerb::Build { source, out, tasks, split, seed, format, limit, memory_mib } => {
            let wanted = Wanted { tasks, split, seed, format, limit, memory_mib };
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

/// What was built of a task, or a note that its files are missing or hold too little.
pub(crate) fn unless_missing<T>(
    session: &Session<'_>,
    task: &Task,
    built: Result<T, DataError>,
) -> anyhow::Result<Option<T>> {
    let reason = match built {
        Ok(built) => return Ok(Some(built)),
        Err(DataError::Missing { missing, .. }) => {
            let files: Vec<&str> = missing.iter().map(|missing| missing.file.as_str()).collect();
            format!("{} is missing", files.join(", "))
        }
        Err(DataError::NoEpisodes { .. }) => "its files give no episode".to_owned(),
        Err(other) => return Err(other.into()),
    };
    session.console.say(&format!("note: `{}` is left out, {reason}", task.name));
    Ok(None)
}

/// Notes that a task cannot be judged here, if it needs a judge.
pub(crate) fn lacks_judge(session: &Session<'_>, task: &TaskSet) -> bool {
    let Some(criterion) = task.criterion() else { return false };
    session.console.say(&format!(
        "note: `{}` is left out, only a judge can say what is valid by \"{criterion}\"\n\n\
         hint: `diapason eval … --judge URL --judge-model NAME` asks a language model",
        task.path
    ));
    true
}

fn ls(session: &Session<'_>, source: &SuiteSource, as_json: bool) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
    if as_json {
        let rows: Vec<Value> = suite
            .tasks()
            .iter()
            .map(|task| {
                json!({"name": task.name, "family": task.family, "kind": task.kind,
                       "split": task.split, "output_type": task.output_type,
                       "source": task.source, "licence": task.licence, "access": task.access})
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
    let mut episodes =
        suite.build(task, source.data.as_deref(), &BuildSettings::default(), &streams)?;
    let console = session.console;
    console.data(&format!("{}: {}", task.path(), task.title))?;
    let origin = suite.source(task);
    console.data(&format!("source {} ({}); {}", task.source, task.licence, origin.citation))?;
    console.data(&format!("lives at {}", origin.locator))?;
    console.data(&task_facts(task))?;
    if !task.markers.is_empty() {
        console.data(&format!("markers {}", print_list(&task.markers)))?;
    }
    for line in &task.differs {
        console.data(&format!("differs from the reference: {line}"))?;
    }
    console.data(&format!("{} episodes; the first:\n", episodes.len()))?;
    let Some(episode) = episodes.first_mut() else { return Ok(()) };
    // They are printed above, once for all outputs.
    episode.turns.iter_mut().for_each(|turn| turn.markers = Markers::default());
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

/// What a task says of itself in one word each.
fn task_facts(task: &Task) -> String {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let facts = [
        ("kind", word(&json!(task.kind))),
        ("split", word(&json!(task.split))),
        ("outputs", word(&json!(task.output_type))),
    ];
    let said = facts.into_iter().filter_map(|(name, fact)| Some(format!("{name} {}", fact?)));
    said.collect::<Vec<_>>().join(", ")
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

/// What the tasks do otherwise than the reference suite, a row a difference.
fn diff_reference(
    session: &Session<'_>,
    folder: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<()> {
    let suite = suite_of(folder)?;
    let differing = suite.tasks().iter().filter(|task| !task.differs.is_empty());
    if as_json {
        let everywhere = json!({"name": "*", "family": null, "differs": DIFFERS_EVERYWHERE});
        let rows: Vec<Value> = std::iter::once(everywhere)
            .chain(differing.map(
                |task| json!({"name": task.name, "family": task.family, "differs": task.differs}),
            ))
            .collect();
        return Ok(session.console.data(&serde_json::to_string_pretty(&rows)?)?);
    }
    let say = |path: &str, lines: &[&str]| -> anyhow::Result<()> {
        for (place, line) in lines.iter().enumerate() {
            let name = if place == 0 { path } else { "" };
            session.console.data(&format!("{name:<52} {line}"))?;
        }
        Ok(())
    };
    say("every task", DIFFERS_EVERYWHERE)?;
    let (mut tasks, mut lines) = (0, 0);
    for task in differing {
        tasks += 1;
        lines += task.differs.len();
        say(&task.path(), &task.differs.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let all = suite.tasks().len();
    let shared = DIFFERS_EVERYWHERE.len();
    session.console.say(&format!(
        "{lines} differences in {tasks} of {all} tasks, and {shared} in all of them"
    ));
    Ok(())
}
