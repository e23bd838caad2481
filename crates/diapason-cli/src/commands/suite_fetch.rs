//! `diapason suite fetch`: raw files from where they officially live, and only those asked for.

mod by_hand;
mod plan;

use super::Session;
use super::network::{client, key, variable, watch};
use super::suite::suite_of;
use crate::args::FetchArgs;
use anyhow::{Context as _, bail};
use diapason_data::{Origin, Source, Suite};
use diapason_net::{Client, Download, GitHub, Hub};
use plan::{Item, Plan, State, plan};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The servers that stand behind sources.
struct Servers {
    client: Client,
    hub: Hub,
    github: GitHub,
}

/// Fetches sources, or lists them if none is named.
pub(crate) fn fetch(session: &Session<'_>, args: &FetchArgs) -> anyhow::Result<()> {
    let suite = suite_of(args.source.suite.as_deref())?;
    if args.sources.is_empty() {
        return list(session, &suite, args.json);
    }
    let sources = matching(&suite, &args.sources)?;
    let Some(data) = &args.source.data else {
        bail!("nowhere to put the files\n\nhint: `--data DIR` names the folder of raw files");
    };
    if let Some(from) = &args.from {
        let [source] = sources.as_slice() else {
            bail!("`--from` brings the files of one source\n\nhint: name one");
        };
        return by_hand::take(session, &suite, source, data, from);
    }
    let servers = servers(args)?;
    let mut plans = Vec::new();
    let mut failures = Vec::new();
    for source in &sources {
        match plan(session, &servers, source, data, args.revision.as_deref()) {
            Ok(plan) => plans.push(plan),
            Err(error) => failures.push((source.name.as_str(), error)),
        }
        if session.stopped() {
            bail!("stopped; the same command resumes");
        }
    }
    session.console.clear();
    if args.json {
        let rows: Vec<Value> = plans.iter().map(Plan::json).collect();
        session.console.data(&serde_json::to_string_pretty(&rows)?)?;
    } else {
        for plan in &plans {
            plan.lines().iter().try_for_each(|line| session.console.data(line))?;
        }
    }
    if !args.dry_run {
        for plan in &plans {
            if let Err(error) = carry_out(session, &servers, plan) {
                failures.push((plan.source.name.as_str(), error));
            }
            if session.stopped() {
                bail!("stopped; the same command resumes");
            }
        }
    }
    report(session, failures, sources.len())
}

/// One failure is the error itself; of several, all are said.
fn report(
    session: &Session<'_>,
    mut failures: Vec<(&str, anyhow::Error)>,
    sources: usize,
) -> anyhow::Result<()> {
    if sources == 1
        && let Some((name, error)) = failures.pop()
    {
        return Err(error.context(format!("`{name}` was not fetched")));
    }
    for (name, error) in &failures {
        session.console.error(&anyhow::anyhow!("`{name}` was not fetched: {error:#}"));
    }
    match failures.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {sources} sources were not fetched"),
    }
}

fn servers(args: &FetchArgs) -> anyhow::Result<Servers> {
    let hub = args.hub.clone().or_else(|| variable("HF_ENDPOINT"));
    let hub = hub.unwrap_or_else(|| "https://huggingface.co".to_owned());
    let without_slash = |url: &str| url.trim_end_matches('/').to_owned();
    Ok(Servers {
        client: client()?,
        hub: Hub { endpoint: without_slash(&hub), token: key("HF_TOKEN") },
        github: GitHub {
            api: without_slash(&args.github_api),
            raw: without_slash(&args.github_raw),
            token: key("GITHUB_TOKEN"),
        },
    })
}

/// The sources that match any of some patterns.
fn matching<'suite>(
    suite: &'suite Suite,
    patterns: &[String],
) -> anyhow::Result<Vec<&'suite Source>> {
    let mut found: Vec<&Source> = Vec::new();
    for pattern in patterns {
        let hits: Vec<&Source> =
            suite.sources().iter().filter(|source| source.is_called(pattern)).collect();
        if hits.is_empty() {
            let score = |name: &str| strsim::jaro_winkler(pattern, name);
            let names = suite.sources().iter().map(|source| source.name.as_str());
            let near = names.max_by(|one, other| score(one).total_cmp(&score(other)));
            let near = near.filter(|name| score(name) >= 0.7);
            let hint = near.map_or_else(
                || "`diapason suite fetch` lists all sources".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            bail!("there is no source `{pattern}`\n\nhint: {hint}");
        }
        found.extend(hits);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.dedup_by(|one, other| one.name == other.name);
    Ok(found)
}

/// Every source and how it is had; asks nobody.
fn list(session: &Session<'_>, suite: &Suite, as_json: bool) -> anyhow::Result<()> {
    let had = |source: &Source| match &source.origin {
        Origin::None => "made here",
        Origin::ByHand { .. } => "by hand",
        Origin::Files(_) => "files",
        Origin::Hub(repository) if repository.gated => "hub, conditions to accept",
        Origin::Hub(_) => "hub",
        Origin::GitHub(_) => "GitHub",
    };
    if as_json {
        let row = |source: &Source| {
            json!({"source": source.name, "how": had(source), "licence": source.licence,
                   "locator": source.locator})
        };
        let rows: Vec<Value> = suite.sources().iter().map(row).collect();
        return Ok(session.console.data(&serde_json::to_string_pretty(&rows)?)?);
    }
    for source in suite.sources() {
        session.console.data(&format!(
            "{:<26} {:<26} {}",
            source.name,
            had(source),
            source.title
        ))?;
    }
    session.console.say("hint: name sources to fetch them; `--dry-run` says what and how much");
    Ok(())
}

/// Does what a plan says.
fn carry_out(session: &Session<'_>, servers: &Servers, plan: &Plan<'_>) -> anyhow::Result<()> {
    let missing: Vec<&Item> =
        plan.items.iter().filter(|item| item.state == State::Missing).collect();
    for (index, item) in missing.iter().enumerate() {
        let what = format!("{}, file {} of {}", plan.source.name, index + 1, missing.len());
        let download = Download {
            url: item.url.clone(),
            token: plan.token.clone(),
            known: item.known.clone(),
            target: item.target.clone(),
        };
        servers
            .client
            .download(&download, &mut watch(session, &what))
            .map_err(|error| plan.explained(error))
            .with_context(|| format!("cannot fetch `{}`", item.path))?;
    }
    session.console.clear();
    let different = plan.items.iter().filter(|item| item.state == State::Different).count();
    if different > 0 {
        session.console.say(&format!(
            "note: {different} files of `{}` are not those published now, and were kept\n\n\
             hint: remove them to fetch them again",
            plan.source.name
        ));
    }
    if !missing.is_empty() {
        session.console.say(&format!("{} files of `{}` fetched", missing.len(), plan.source.name));
    }
    Ok(())
}

/// The folder of a source in a data folder.
fn folder_of(source: &Source, data: &Path) -> PathBuf {
    source.place(Some(data)).unwrap_or_else(|| data.to_owned())
}
