//! The only door to other programs: runs code that a model wrote, without network, within limits.
//!
//! ```text
//! Job {files, commands, limits} → Sandbox::run → Outcome {end, step, stdout, stderr}
//! ```
//!
//! A job runs in namespaces of its own (users, mounts, processes, network, IPC), made without root.
//! It sees `/usr` and its like for reading, a folder `/work` in memory for writing, a few devices,
//! and nothing else: no home, no network, no other process. Its first process watches it and ends it
//! whole. Limits are those of the kernel for each process, and the watcher's for all together.
//!
//! The namespaces are entered by a process that is started for it, since only a process of one
//! thread can: the binary starts itself with the arguments given to [`Sandbox::open`] and calls
//! [`enter`]; that one starts itself once more and calls [`serve`]. Only Linux has all of this;
//! elsewhere, and where the system forbids it, a sandbox cannot be opened, and nothing is run.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod linux;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub use linux::{enter, serve};

/// Bytes of each stream of a program that are kept, from its end.
const KEPT_BYTES: u64 = 4096;

/// What may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds of each command.
    pub seconds: u64,
    /// Memory of all processes together, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Bytes of all files together.
    pub disk_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { seconds: 10, memory_bytes: 1 << 30, processes: 64, disk_bytes: 64 << 20 }
    }
}

/// What is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Name → content; names hold no `/`.
    pub files: BTreeMap<String, String>,
    /// Commands run one after the other in the folder of the files, while they succeed.
    pub commands: Vec<Vec<String>>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The last command that ran ended by itself with this code.
    Exited(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was stopped when its time was over.
    OutOfTime,
    /// It was stopped when its processes had taken all memory.
    OutOfMemory,
    /// There is no such program.
    NoProgram,
}

/// What a job left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Which command ended it, from 0.
    pub step: usize,
    /// The end of what the last command wrote.
    pub stdout: String,
    /// The end of what it complained.
    pub stderr: String,
}

impl Outcome {
    /// Whether every command succeeded.
    pub fn succeeded(&self) -> bool {
        self.end == End::Exited(0)
    }
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The system gives no sandbox.
    #[error(
        "there is no sandbox here: {problem}\n\nhint: code of models runs in namespaces without root; \
         this needs Linux with `user.max_user_namespaces` above 0, outside containers that forbid it"
    )]
    Unavailable {
        /// What was refused.
        problem: String,
    },
    /// The job cannot be meant.
    #[error("`{name}` is no name of a file")]
    Name {
        /// The name given.
        name: String,
    },
    /// The helper process could not be spoken to.
    #[error("the sandbox broke: {problem}")]
    Broken {
        /// What happened.
        problem: String,
    },
}

/// What goes to the process inside.
#[derive(Serialize, Deserialize)]
struct Order {
    job: Job,
    limits: Limits,
}

/// A sandbox that works here.
#[derive(Clone, Debug)]
pub struct Sandbox {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Sandbox {
    /// A sandbox whose helper is `program` with `arguments`, which must call [`enter`]. Tries it.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] where the system gives none.
    pub fn open(program: PathBuf, arguments: &[&str]) -> Result<Self, SandboxError> {
        let arguments = arguments.iter().map(OsString::from).collect();
        let sandbox = Sandbox { program, arguments };
        let job = Job { commands: vec![vec!["true".to_owned()]], ..Job::default() };
        let outcome = sandbox.run(&job, &Limits::default())?;
        if outcome.succeeded() {
            return Ok(sandbox);
        }
        Err(SandboxError::Unavailable { problem: format!("`true` fails in it: {:?}", outcome.end) })
    }

    /// Runs a job and waits for it. Each call has a sandbox of its own; calls may be made on many
    /// threads.
    ///
    /// # Errors
    /// If nothing could be run. What the job itself does wrong is an [`Outcome`].
    pub fn run(&self, job: &Job, limits: &Limits) -> Result<Outcome, SandboxError> {
        let odd = |name: &&String| name.is_empty() || name.contains('/') || name.starts_with('.');
        if let Some(name) = job.files.keys().find(odd) {
            return Err(SandboxError::Name { name: name.clone() });
        }
        let order = Order { job: job.clone(), limits: *limits };
        let broken =
            |problem: &dyn std::fmt::Display| SandboxError::Broken { problem: problem.to_string() };
        let mut helper = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| broken(&error))?;
        let order = serde_json::to_vec(&order).map_err(|error| broken(&error))?;
        // A helper that is refused its namespaces ends without reading: its words say why.
        let written = helper.stdin.take().map(|mut stdin| stdin.write_all(&order));
        let output = helper.wait_with_output().map_err(|error| broken(&error))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let problem = words.trim().trim_start_matches("error: ").to_owned();
            return Err(SandboxError::Unavailable { problem });
        }
        if let Some(Err(error)) = written {
            return Err(broken(&error));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| broken(&error))
    }
}
