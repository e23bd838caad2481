//! Raw files as tables of one embedded SQLite database that lives as long as a build.
//!
//! | format | rows | cells |
//! |---|---|---|
//! | `csv`, `tsv` | records; the first names the columns unless `header = false` | text; NULL where empty |
//! | `json` | elements of a list, or members of an object (their key in the column `key`) | text, number, 0/1, NULL; lists and objects as JSON text |
//! | `jsonl` | one object a line | as `json` |
//! | `parquet` | rows | as `json` |
//!
//! A JSON row that is no object becomes the column `value`. Every row also has `file` (path below
//! the source's folder) and `folder` (name of the folder it lies in), unless the data has columns
//! of that name. Columns that only some files have are NULL elsewhere.

mod csv;
mod glob;
mod json;
pub(crate) mod parquet;
#[cfg(test)]
mod tests;

pub(crate) use glob::matches;

use crate::DataError;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One table of a source file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// Patterns below the source's folder; the first that matches any file counts.
    pub path: Paths,
    /// What the files are; by default what their extension says.
    pub format: Option<Format>,
    /// CSV: whether the first record names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// CSV without header: the names of the columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// CSV: what separates cells; by default a comma, in TSV a tab.
    pub delimiter: Option<char>,
    /// Text encoding; a byte-order mark is dropped.
    #[serde(default)]
    pub encoding: Encoding,
    /// JSON: whether commas before a closing brace are forgiven.
    #[serde(default)]
    pub trailing_commas: bool,
    /// Where these files officially live, if not at the source's locator.
    pub locator: Option<String>,
}

/// One pattern or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// The only pattern.
    One(String),
    /// Patterns in order of preference.
    Several(Vec<String>),
}

impl Paths {
    /// The patterns in order.
    pub fn patterns(&self) -> &[String] {
        match self {
            Paths::One(pattern) => std::slice::from_ref(pattern),
            Paths::Several(patterns) => patterns,
        }
    }
}

/// Format of a raw file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated records with quotes (RFC 4180).
    Csv,
    /// The same with tabs.
    Tsv,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// Encoding of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1: every byte is the code point of the same number.
    #[serde(rename = "latin-1")]
    Latin1,
}

fn yes() -> bool {
    true
}

impl TableSpec {
    /// The files of the table below a folder, in the order of their names.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        self.path
            .patterns()
            .iter()
            .map(|pattern| glob::expand(folder, pattern))
            .find(|files| !files.is_empty())
            .unwrap_or_default()
    }

    fn format_of(&self, path: &Path) -> Result<Format, DataError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Ok(Format::Csv),
            "tsv" => Ok(Format::Tsv),
            "json" => Ok(Format::Json),
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            "parquet" => Ok(Format::Parquet),
            _ => Err(DataError::Format {
                path: path.to_owned(),
                format: "a known format",
                problem: format!("the extension {extension:?} says nothing"),
                hint: "set format = \"csv\", \"tsv\", \"json\", \"jsonl\" or \"parquet\"".into(),
            }),
        }
    }

    /// The text of a file in its encoding.
    fn text(&self, path: &Path) -> Result<String, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        if self.encoding == Encoding::Latin1 {
            return Ok(bytes.iter().map(|byte| char::from(*byte)).collect());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(problem) => {
                let before = String::from_utf8_lossy(&bytes[..problem.valid_up_to()]);
                let line = 1 + before.matches('\n').count();
                Err(DataError::Row {
                    path: path.to_owned(),
                    row: line as u64,
                    problem: format!("byte {} is not UTF-8", problem.valid_up_to()),
                    hint: "set encoding = \"latin-1\" if the file is".into(),
                })
            }
        }
    }
}

/// The tables of one task.
pub(crate) struct Database {
    pub connection: Connection,
}

impl Database {
    /// An empty database with our functions. It spills to a temporary file when it grows.
    pub(crate) fn open(streams: diapason_flow::Streams) -> Result<Self, DataError> {
        let connection = Connection::open("").map_err(|source| sqlite("open", source))?;
        // A private file that nobody recovers: no journal, and in memory up to 256 MiB.
        let pragmas = "pragma journal_mode = off; pragma synchronous = off;
            pragma cache_size = -262144; pragma temp_store = memory;";
        connection.execute_batch(pragmas).map_err(|source| sqlite("open", source))?;
        crate::functions::register(&connection, streams)
            .map_err(|source| sqlite("prepare", source))?;
        Ok(Database { connection })
    }

    /// Reads all files of a table.
    pub(crate) fn load(
        &self,
        name: &str,
        spec: &TableSpec,
        folder: &Path,
    ) -> Result<(), DataError> {
        let transaction =
            self.connection.unchecked_transaction().map_err(|source| sqlite(name, source))?;
        let mut filler = Filler::new(&self.connection, name)?;
        for path in spec.files(folder) {
            filler.enter(folder, &path);
            match spec.format_of(&path)? {
                format @ (Format::Csv | Format::Tsv) => {
                    csv::read(&mut filler, spec, format == Format::Tsv)?;
                }
                Format::Json => json::read(&mut filler, spec)?,
                Format::Jsonl => json::read_lines(&mut filler, spec)?,
                Format::Parquet => parquet::read(&mut filler)?,
            }
        }
        transaction.commit().map_err(|source| sqlite(name, source))
    }
}

fn sqlite(table: &str, source: rusqlite::Error) -> DataError {
    DataError::Sqlite { table: table.to_owned(), source }
}

/// Fills one table, growing columns as rows bring them.
struct Filler<'connection> {
    connection: &'connection Connection,
    table: String,
    /// Column names in lower case, as SQLite compares them → position.
    positions: HashMap<String, usize>,
    insert: String,
    /// File that is being read.
    path: PathBuf,
    file: String,
    folder: String,
}

impl<'connection> Filler<'connection> {
    fn new(connection: &'connection Connection, name: &str) -> Result<Self, DataError> {
        let table = quoted(name);
        connection
            .execute_batch(&format!("create table {table} (\"file\", \"folder\")"))
            .map_err(|source| sqlite(name, source))?;
        let positions = HashMap::from([("file".to_owned(), 0), ("folder".to_owned(), 1)]);
        let insert = format!("insert into {table} values (?, ?)");
        let empty = String::new;
        let path = PathBuf::new();
        Ok(Filler { connection, table, positions, insert, path, file: empty(), folder: empty() })
    }

    fn enter(&mut self, root: &Path, path: &Path) {
        path.clone_into(&mut self.path);
        self.file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        self.folder = folder.to_string_lossy().into_owned();
    }

    /// Positions of some columns, which are added where they are new.
    fn columns<'name>(
        &mut self,
        names: impl IntoIterator<Item = &'name str>,
        row: u64,
    ) -> Result<Vec<usize>, DataError> {
        let mut positions = Vec::new();
        for name in names {
            let next = self.positions.len();
            let position = *self.positions.entry(name.to_lowercase()).or_insert(next);
            if position == next {
                self.add(name)?;
            }
            if positions.contains(&position) {
                let problem = format!("two columns are called `{name}`");
                return Err(self.row(row, problem, "SQL does not tell upper from lower case"));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    fn add(&mut self, name: &str) -> Result<(), DataError> {
        let add = format!("alter table {} add column {}", self.table, quoted(name));
        self.connection.execute_batch(&add).map_err(|source| sqlite(&self.table, source))?;
        let marks = vec!["?"; self.positions.len()].join(", ");
        self.insert = format!("insert into {} values ({marks})", self.table);
        Ok(())
    }

    fn insert(&self, positions: &[usize], cells: Vec<Value>) -> Result<(), DataError> {
        let mut row = vec![Value::Null; self.positions.len()];
        row[0] = Value::Text(self.file.clone());
        row[1] = Value::Text(self.folder.clone());
        for (position, cell) in positions.iter().zip(cells) {
            row[*position] = cell;
        }
        let fill = || -> rusqlite::Result<usize> {
            self.connection.prepare_cached(&self.insert)?.execute(rusqlite::params_from_iter(row))
        };
        fill().map(|_| ()).map_err(|source| sqlite(&self.table, source))
    }

    fn row(&self, row: u64, problem: String, hint: &str) -> DataError {
        DataError::Row { path: self.path.clone(), row, problem, hint: hint.to_owned() }
    }

    fn format(&self, format: &'static str, problem: String, hint: &str) -> DataError {
        DataError::Format { path: self.path.clone(), format, problem, hint: hint.to_owned() }
    }
}

/// An SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
