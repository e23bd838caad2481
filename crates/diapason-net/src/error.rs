//! What can go wrong on the way to another machine.

use std::path::PathBuf;
use std::time::Duration;

/// An error of this crate. Addresses are shown without their query, which may hold a signature.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address that cannot be used.
    #[error("`{url}` {problem}\n\nhint: {hint}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What helps.
        hint: &'static str,
    },
    /// No answer, or half of one.
    #[error("{url}: {problem}")]
    Transport {
        /// Where to.
        url: String,
        /// What happened.
        problem: String,
        /// Whether asking again can help.
        transient: bool,
    },
    /// The server is too busy, or broken for now.
    #[error("{url} answers {status}{}", after(*wait))]
    Busy {
        /// Where to.
        url: String,
        /// Its status.
        status: u16,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// Neither file nor answer without permission.
    #[error("{url} answers {status}: {message}\n\nhint: {hint}")]
    Denied {
        /// Where to.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What the server says.
        message: String,
        /// What helps.
        hint: &'static str,
    },
    /// Any other answer that is not the thing asked for.
    #[error("{url} answers {status}: {message}")]
    Status {
        /// Where to.
        url: String,
        /// Its status.
        status: u16,
        /// The beginning of what it says.
        message: String,
    },
    /// An answer that is not in the form agreed on.
    #[error("{url}: {problem}")]
    Answer {
        /// Where to.
        url: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A file that is not the one expected.
    #[error("{url}: {found}, expected {expected}\n\nhint: {hint}")]
    Mismatch {
        /// Where from.
        url: String,
        /// What came.
        found: String,
        /// What was to come.
        expected: String,
        /// What helps.
        hint: &'static str,
    },
    /// Another process fetches the same file.
    #[error("`{}` is being fetched by another process", path.display())]
    Locked {
        /// The unfinished file.
        path: PathBuf,
    },
    /// A file of ours failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The observer asked to stop.
    #[error("stopped; the same command resumes")]
    Stopped,
}

impl NetError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, NetError::Busy { .. } | NetError::Transport { transient: true, .. })
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| NetError::Io { action, path, source }
    }
}

fn after(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!(" and asks to wait {} s\n\nhint: run the same command later", wait.as_secs())
    })
}
