//! `diapason answers code`: programs run in a sandbox, and pass@k by language.

use super::{Session, print, read_rows};
use crate::args::CodeArgs;
use anyhow::{Context as _, bail, ensure};
use diapason_eval::{Collector, Problem, Program, pass_at_k};
use diapason_flow::write_atomically;
use diapason_sandbox::{Job, Limits, Outcome, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The hidden verb by which the binary starts itself for the sandbox.
pub(crate) const HELPER: &str = "sandboxed";

/// One answer to a problem.
#[derive(Deserialize)]
struct Answer {
    task_id: String,
    completion: String,
}

/// How a program ended.
struct Run {
    outcome: Outcome,
    passed: bool,
}

/// Runs every answer and prints pass@k.
pub(super) fn code(session: &Session<'_>, args: &CodeArgs) -> anyhow::Result<()> {
    let problems: Vec<Problem> = read_rows(&args.problems)?;
    let problems: BTreeMap<&str, &Problem> =
        problems.iter().map(|problem| (problem.task_id.as_str(), problem)).collect();
    let answers = match &args.answers {
        Some(path) => read_rows(path)?,
        None => problems.values().map(|problem| canonical(problem)).collect(),
    };
    ensure!(!answers.is_empty(), "there are no answers");
    let mut programs = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let Some(problem) = problems.get(answer.task_id.as_str()) else {
            bail!(
                "answer {} is to `{}`, which `{}` has not",
                index + 1,
                answer.task_id,
                args.problems.display()
            );
        };
        programs.push(problem.program(&answer.completion)?);
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let sandbox = Sandbox::open(program, &[HELPER])?;
    let runs = run_all(session, &sandbox, &programs, &limits(args))?;
    let refused = runs.iter().filter(|run| run.outcome.end == diapason_sandbox::End::NoProgram);
    let refused = refused.count();
    ensure!(
        refused < runs.len(),
        "the sandbox has no program to run these with\n\nhint: install it below /usr or /opt: {}",
        programs[0].commands[0][0]
    );
    if let Some(path) = &args.rows {
        let rows = answers.iter().zip(&runs).map(|(answer, run)| row(answer, run));
        let rows: String = rows.map(|row| row.to_string() + "\n").collect();
        write_atomically(path, |file| file.write_all(rows.as_bytes()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    print(session, measured(&problems, (&answers, &runs), &args.attempts)?, (args.seed, args.json))
}

fn canonical(problem: &Problem) -> Answer {
    let task_id = problem.task_id.clone();
    Answer { task_id, completion: problem.canonical_solution.clone() }
}

fn limits(args: &CodeArgs) -> Limits {
    Limits { seconds: args.seconds, memory_bytes: args.memory << 20, ..Limits::default() }
}

fn row(answer: &Answer, run: &Run) -> Value {
    json!({"task_id": answer.task_id, "passed": run.passed, "end": run.outcome.end,
           "step": run.outcome.step, "stderr": run.outcome.stderr})
}

/// Runs programs on all threads; the order stays.
fn run_all(
    session: &Session<'_>,
    sandbox: &Sandbox,
    programs: &[Program],
    limits: &Limits,
) -> anyhow::Result<Vec<Run>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let (stop, threads) = (session.stop(), session.device.threads().clamp(1, programs.len()));
    let work = || -> anyhow::Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(program) = programs.get(index) else { return Ok(()) };
            ensure!(!stop.load(Ordering::SeqCst), "stopped");
            let job = Job { files: program.files.clone(), commands: program.commands.clone() };
            let outcome = sandbox.run(&job, limits)?;
            let passed = outcome.succeeded() && program.passed(&outcome.stdout, &outcome.stderr);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(index, Run { outcome, passed });
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !handles.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let count = done.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
            session.console.progress(count, programs.len() as u64, "programs run");
            std::thread::sleep(Duration::from_millis(20));
        }
        let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().map(join).collect::<anyhow::Result<Vec<()>>>()
    })?;
    session.console.clear();
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// pass@k of every problem, tasks by language.
fn measured(
    problems: &BTreeMap<&str, &Problem>,
    (answers, runs): (&[Answer], &[Run]),
    attempts: &[u64],
) -> anyhow::Result<Collector> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (answer, run) in answers.iter().zip(runs) {
        let (drawn, passed) = counts.entry(&answer.task_id).or_default();
        *drawn += 1;
        *passed += u64::from(run.passed);
    }
    let mut collector = Collector::default();
    for (task_id, (drawn, passed)) in counts {
        let task = format!("levers/code_{}", problems[task_id].language()?);
        for k in attempts {
            let Some(share) = pass_at_k(drawn, passed, *k) else {
                bail!("`{task_id}` has {drawn} answers, too few for pass@{k}");
            };
            let metric = if *k == 1 { "pass_at_1".to_owned() } else { format!("pass_at_k/{k}") };
            collector.add(&task, task_id, &metric, share)?;
        }
    }
    Ok(collector)
}
