//! Keeping what is measured on out of what is trained on.

use crate::settings::TaskShare;
use anyhow::Context as _;
use diapason_data::audit::{Audit, AuditSettings, Overlap};
use diapason_data::{BuildSettings, DataError, Family, Kind, Suite, Task};
use diapason_eval::Judge;
use diapason_flow::{Check, Episode, Goal, Streams};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Leaves out of training what overlaps with the tasks that are measured on.
pub(crate) struct Guard {
    audit: Audit,
    /// Training task → episodes left out of it.
    left_out: BTreeMap<String, usize>,
}

impl Guard {
    /// Guards the tasks that match `measured` and not `trained`, as far as their files are there.
    /// Processes make their rows up and need no guard.
    pub(crate) fn new(
        suite: &Suite,
        data: Option<&Path>,
        measured: &[String],
        trained: &[TaskShare],
        near: f64,
    ) -> anyhow::Result<Self> {
        let mut audit = Audit::new(AuditSettings { near, ..AuditSettings::default() });
        let trained = trained.iter().map(|share| suite.matching(&share.task));
        let trained: Vec<Vec<&Task>> = trained.collect::<Result<_, _>>()?;
        let is_trained =
            |task: &Task| trained.iter().flatten().any(|other| other.name == task.name);
        let mut tasks: BTreeMap<&str, &Task> = BTreeMap::new();
        for pattern in measured {
            tasks.extend(suite.matching(pattern)?.into_iter().map(|task| (&*task.name, task)));
        }
        for task in tasks.into_values() {
            if task.kind == Kind::Process || is_trained(task) {
                continue;
            }
            match suite.build(task, data, &BuildSettings::default(), &Streams::new(0)) {
                Ok(episodes) => protect(&mut audit, task, &episodes)?,
                // What cannot be built is not measured either.
                Err(DataError::Missing { .. } | DataError::NoEpisodes { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Guard { audit, left_out: BTreeMap::new() })
    }

    /// The episodes of a training task that share nothing with what is guarded.
    pub(crate) fn keep(&mut self, task: &str, mut episodes: Vec<Episode>) -> Vec<Episode> {
        let mut overlapping = self.audit.compare(task, &episodes).into_iter();
        let before = episodes.len();
        episodes.retain(|_| !overlapping.next().unwrap_or(false));
        if episodes.len() < before {
            *self.left_out.entry(task.to_owned()).or_default() += before - episodes.len();
        }
        episodes
    }

    /// What was found.
    pub(crate) fn overlaps(&self) -> Vec<Overlap> {
        self.audit.overlaps()
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out.is_empty() {
            return formatter.write_str("nothing overlaps with what is measured");
        }
        let parts = self.left_out.iter().map(|(task, count)| format!("{count} of {task}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        write!(formatter, "left out, as they overlap with what is measured: {parts}")
    }
}

/// Protects what a test task is measured on: its texts, or the valid outputs of a coverage task.
pub(crate) fn protect(audit: &mut Audit, task: &Task, episodes: &[Episode]) -> anyhow::Result<()> {
    if task.family != Family::Cover {
        audit.protect(&task.path(), episodes);
        return Ok(());
    }
    let goal = episodes.iter().find_map(|episode| Some(&episode.query.as_ref()?.goal));
    let Some(Goal::Valid(check)) = goal else { return Ok(()) };
    if let Check::Open { .. } | Check::Judged { .. } = check {
        // No list says what is valid there: what leaks is the prompt.
        let mut prompts = episodes.to_vec();
        for prompt in &mut prompts {
            let text = prompt.description.clone();
            prompt.query.iter_mut().for_each(|query| query.input.clone_from(&text));
        }
        audit.protect(&task.path(), &prompts);
        return Ok(());
    }
    let judge = Judge::new(check).with_context(|| format!("no rule of {}", task.path()))?;
    let size = judge.support().and_then(|size| usize::try_from(size).ok());
    audit.protect_answers(&task.path(), Box::new(move |text: &str| judge.canonical(text)), size);
    Ok(())
}
