//! `diapason suite audit`: what training tasks share with test tasks.

use super::{Session, suite_of, unless_missing};
use crate::args::SuiteSource;
use crate::leakage::protect;
use diapason_data::audit::{Audit, AuditSettings, Overlap};
use diapason_data::{BuildSettings, Kind, Split, Task};
use diapason_flow::Streams;
use serde_json::json;

/// Compares every training task that has data with every test task that has. Processes make their
/// rows up and are left out.
pub(super) fn audit(
    session: &Session<'_>,
    source: &SuiteSource,
    settings: &AuditSettings,
    as_json: bool,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        (0.5..=1.0).contains(&settings.near),
        "--near is {}, not in 0.5..=1\n\nhint: 0.8 is usual; 1 finds exact texts only",
        settings.near
    );
    let suite = suite_of(source.suite.as_deref())?;
    let streams = Streams::new(0);
    let build = BuildSettings::default();
    let mut audit = Audit::new(settings.clone());
    let tables = |split: Split| {
        let wanted = move |task: &&Task| task.split == split && task.kind != Kind::Process;
        suite.tasks().iter().filter(wanted)
    };
    let all = tables(Split::Test).count() + tables(Split::Train).count();
    let mut compared = (0, 0);
    for (done, task) in tables(Split::Test).chain(tables(Split::Train)).enumerate() {
        session.console.progress(done as u64, all as u64, &task.name);
        let built = suite.build(task, source.data.as_deref(), &build, &streams);
        let Some(episodes) = unless_missing(session, task, built)? else { continue };
        if task.split == Split::Test {
            protect(&mut audit, task, &episodes)?;
            compared.1 += 1;
        } else {
            audit.compare(&task.path(), &episodes);
            compared.0 += 1;
        }
    }
    session.console.clear();
    let overlaps = audit.overlaps();
    if as_json {
        let value = json!({"settings": settings, "train_tasks": compared.0,
                           "test_tasks": compared.1, "overlaps": overlaps});
        return Ok(session.console.data(&serde_json::to_string_pretty(&value)?)?);
    }
    for overlap in &overlaps {
        session.console.data(&row(overlap))?;
    }
    session.console.say(&format!(
        "{} overlaps between {} training and {} test tasks",
        overlaps.len(),
        compared.0,
        compared.1
    ));
    Ok(())
}

fn row(overlap: &Overlap) -> String {
    let likeness = format!("{:?}", overlap.likeness).to_lowercase();
    let of = overlap.of.map(|of| format!(" of {of}")).unwrap_or_default();
    let short = |text: &str| text.chars().take(90).collect::<String>().replace('\n', " ");
    let example = &overlap.example;
    format!(
        "{likeness:<8} {} → {}: {}{of} texts, {} training episodes\n           {} | {}\n           {}",
        overlap.train,
        overlap.test,
        overlap.texts,
        overlap.episodes,
        example.unit,
        short(&example.train),
        short(&example.test)
    )
}
