//! `diapason suite build`: episodes of many tasks as files.

use super::{Session, suite_of, unless_missing};
use crate::args::SuiteSource;
use anyhow::bail;
use diapason_data::{BuildSettings, DataError, Family, Limits, Split, Suite, Task, Written};
use diapason_flow::{Artifact, Stamp, Streams};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Which episodes, and how they are written.
pub(super) struct Wanted {
    pub(super) tasks: String,
    pub(super) split: Option<String>,
    pub(super) seed: u64,
    pub(super) format: String,
    pub(super) limit: Option<usize>,
    pub(super) memory_mib: usize,
}

/// Builds every wanted task whose files are there. Tasks are built side by side, each into a file
/// of its own that appears when it is whole; files that are there already are kept.
pub(super) fn build(
    session: &Session<'_>,
    source: &SuiteSource,
    wanted: &Wanted,
    out: &Path,
) -> anyhow::Result<()> {
    let suite = suite_of(source.suite.as_deref())?;
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
    let split = match wanted.split.as_deref() {
        Some("train") => Some(Split::Train),
        Some(_) => Some(Split::Test),
        None => None,
    };
    let mut tasks = suite.matching(&wanted.tasks)?;
    tasks.retain(|task| split.is_none_or(|split| split == task.split));
    let threads = session.device.threads();
    let workers = threads.clamp(1, tasks.len().max(1));
    let limits =
        Limits { threads: threads / workers, memory_bytes: (wanted.memory_mib << 20) / workers };
    let work = Work {
        suite: &suite,
        data: source.data.as_deref(),
        settings: BuildSettings { limits, ..settings },
        streams: Streams::new(wanted.seed),
        file: &|task| artifact.path().join(format!("{}.{}", task.name, wanted.format)),
        tasks,
    };
    let total = work.run(session, workers)?;
    artifact.finish()?;
    session.console.say(&format!("{total} episodes in {}", out.display()));
    Ok(())
}

/// Tasks to build, with what they are built from.
struct Work<'a> {
    suite: &'a Suite,
    data: Option<&'a Path>,
    settings: BuildSettings,
    streams: Streams,
    file: &'a (dyn Fn(&Task) -> PathBuf + Sync),
    tasks: Vec<&'a Task>,
}

/// A task that was taken care of: `None` if an earlier run had built it.
type Built = Result<Option<Written>, DataError>;

impl Work<'_> {
    /// Builds all tasks on some threads; says what each gave and returns the number of episodes.
    fn run(&self, session: &Session<'_>, workers: usize) -> anyhow::Result<usize> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (send, built) = mpsc::channel::<(&Task, Built)>();
        std::thread::scope(|scope| {
            let (next, stop) = (&next, &stop);
            for _ in 0..workers {
                let send = send.clone();
                scope.spawn(move || self.work(next, stop, &send));
            }
            drop(send);
            let mut total = 0;
            let mut failure = None;
            for (task, built) in built {
                self.left_out(session, task, &built);
                match said(session, task, built) {
                    Ok(episodes) => total += episodes,
                    Err(error) => failure = failure.or(Some(error)),
                }
                if session.stopped() || failure.is_some() {
                    stop.store(true, Ordering::SeqCst);
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            if session.stopped() {
                bail!("stopped; the same command goes on from there");
            }
            Ok(total)
        })
    }

    /// Notes which files a task was built without.
    fn left_out(&self, session: &Session<'_>, task: &Task, built: &Built) {
        let lacking = self.suite.left_out(task, self.data);
        if built.is_ok() && !lacking.is_empty() {
            let files: Vec<&str> = lacking.iter().map(|missing| missing.file.as_str()).collect();
            let files = files.join(", ");
            session.console.say(&format!("note: `{}` is built without {files}", task.name));
        }
    }

    /// Takes the next task as long as there is one.
    fn work<'s>(
        &'s self,
        next: &AtomicUsize,
        stop: &AtomicBool,
        send: &mpsc::Sender<(&'s Task, Built)>,
    ) {
        while !stop.load(Ordering::SeqCst) {
            let Some(task) = self.tasks.get(next.fetch_add(1, Ordering::SeqCst)) else { return };
            let path = (self.file)(task);
            let settings = (&self.settings, &self.streams);
            let built = if path.exists() {
                Ok(None)
            } else {
                self.suite.build_file(task, self.data, settings, &path).map(Some)
            };
            // Nobody listens any more when another task has failed.
            let _ = send.send((task, built));
        }
    }
}

/// Says what a task gave: its number of episodes.
fn said(session: &Session<'_>, task: &Task, built: Built) -> anyhow::Result<usize> {
    let Some(built) = unless_missing(session, task, built)? else { return Ok(0) };
    let path = task.path();
    let Some(Written { episodes, turns }) = built else {
        session.console.say(&format!("{path:<52} was built before, kept"));
        return Ok(0);
    };
    let kind = match task.family {
        Family::Steer => "outputs",
        Family::Align | Family::Cover => "examples",
    };
    session.console.say(&format!("{path:<52} {episodes:>7} episodes {turns:>9} {kind}"));
    Ok(episodes)
}
