//! What can go wrong between a file and an episode: one message a mistake, saying where it is.

use std::path::PathBuf;

/// An error of this crate. Line and row numbers start at 1.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The system could not read or write a file.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A mistake in a file of the suite.
    #[error("{file}:{line}: {problem}{}", hinted(hint))]
    Suite {
        /// Task or source file.
        file: String,
        /// Line of the mistake.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do, or nothing.
        hint: String,
    },
    /// A raw file that is not what its table says.
    #[error("`{}`, row {row}{}: {problem}{}", path.display(), of_column(column), hinted(hint))]
    Row {
        /// The raw file.
        path: PathBuf,
        /// Row or line number; the header of a CSV is row 1.
        row: u64,
        /// Name of the column, or nothing where the whole row is wrong.
        column: String,
        /// What is wrong.
        problem: String,
        /// What to do, or nothing.
        hint: String,
    },
    /// A raw file that cannot be read as its format at all.
    #[error("`{}` is not {format}: {problem}{}", path.display(), hinted(hint))]
    Format {
        /// The raw file.
        path: PathBuf,
        /// The expected format.
        format: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do, or nothing.
        hint: String,
    },
    /// SQLite itself failed while a table was filled.
    #[error("table `{table}`: {source}")]
    Sqlite {
        /// The table.
        table: String,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// Files of a task that are not in the data folder.
    #[error("task `{task}` lacks {}\n\nhint: {}", files(missing), places(missing))]
    Missing {
        /// The task.
        task: String,
        /// What is missing and where it officially lives.
        missing: Vec<crate::MissingFile>,
    },
    /// A task that gives nothing.
    #[error(
        "task `{task}` yields no episodes\n\nhint: run its SQL on the files by hand; a filter or a join drops every row"
    )]
    NoEpisodes {
        /// The task.
        task: String,
    },
    /// A name that the suite does not have.
    #[error("no task matches `{pattern}`{}", hinted(hint))]
    UnknownTask {
        /// What was asked for.
        pattern: String,
        /// The nearest name.
        hint: String,
    },
    /// A row of an episode file.
    #[error("`{}`, line {line}: {source}", path.display())]
    Episode {
        /// The episode file.
        path: PathBuf,
        /// Line (JSONL) or row (Parquet).
        line: usize,
        /// What is wrong with it.
        source: diapason_flow::InterchangeError,
    },
    /// Settings that make no sense.
    #[error("{0}")]
    Settings(String),
}

fn hinted(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("\n\nhint: {hint}") }
}

fn of_column(column: &str) -> String {
    if column.is_empty() { String::new() } else { format!(", column `{column}`") }
}

fn files(missing: &[crate::MissingFile]) -> String {
    missing.iter().map(|file| format!("`{}`", file.file)).collect::<Vec<_>>().join(", ")
}

fn places(missing: &[crate::MissingFile]) -> String {
    let mut places: Vec<&str> = missing.iter().map(|file| file.place.as_str()).collect();
    places.dedup();
    format!("put the files into the data folder; they live at: {}", places.join("; "))
}

/// `, did you mean ...?` material: the candidate nearest to a misspelt name.
pub(crate) fn nearest<'name>(
    name: &str,
    candidates: impl IntoIterator<Item = &'name str>,
) -> Option<&'name str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 3)
        .map(|(_, candidate)| candidate)
}
