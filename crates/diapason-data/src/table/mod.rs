//! Raw files as tables of one embedded SQLite database that lives as long as a build.
//!
//! | format | rows | cells |
//! |---|---|---|
//! | `csv`, `tsv` | records; the first names the columns unless `header = false` | text; NULL where empty |
//! | `json` | elements of a list, or members of an object (their key in the column `key`) | text, number, 0/1, NULL; lists and objects as JSON text |
//! | `jsonl` | one object a line | as `json` |
//! | `parquet` | rows | as `json` |
//! | `arrow` | rows of an IPC file (Feather) or stream | as `json` |
//! | `lines` | lines | one: `line` |
//! | `text` | files | one: `text` |
//! | `sav` | cases of an SPSS file, also `.zsav` | numbers and texts; NULL where the system has a missing value |
//! | `sav-labels` | values with a label | `variable`, `variable_label`, `code`, `label`, `missing` (0/1) |
//!
//! A JSON row that is no object becomes the column `value`. Every row also has `file` (path below
//! the source's folder, perhaps inside an archive) and `folder` (name of the folder it lies in),
//! unless the data has columns of that name. Columns that only some files have are NULL elsewhere.
//! Files that end in `.gz` or `.bz2` are decompressed; of a `.zip` its members are read, with a
//! password where the source gives one.

mod arrow;
mod csv;
mod glob;
mod input;
mod json;
pub(crate) mod parquet;
mod rows;
mod sav;
mod spec;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use glob::matches;
pub(crate) use rows::RawCell;
pub use spec::{Encoding, Format, Paths, TableSpec};

use crate::DataError;
use crate::error::nearest;
use rows::Origins;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, Statement};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The tables of one task.
pub(crate) struct Database {
    pub connection: Connection,
    loaded: Vec<Loaded>,
}

/// What is said about a table when its columns are not those that a task expects.
struct Loaded {
    name: String,
    first_file: PathBuf,
    columns: Vec<String>,
    origins: Origins,
}

impl Database {
    /// An empty database with our functions. It takes at most some three quarters of
    /// `memory_bytes`, and spills the rest to temporary files.
    pub(crate) fn open(
        streams: diapason_flow::Streams,
        memory_bytes: usize,
    ) -> Result<Self, DataError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open("")?;
            // A private file that nobody recovers needs no journal.
            connection.execute_batch(&format!(
                "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -{};",
                // Sorting takes as much memory again as this is allowed.
                memory_bytes / 1024 * 3 / 8
            ))?;
            // Else SQLite takes the quoted name of a column that is not there for a text.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
            crate::functions::register(&connection, streams)?;
            Ok(connection)
        };
        let connection = open().map_err(|source| sqlite("open", source))?;
        Ok(Database { connection, loaded: Vec::new() })
    }

    /// Reads all files of a table.
    pub(crate) fn load(
        &mut self,
        name: &str,
        spec: &TableSpec,
        folder: &Path,
    ) -> Result<(), DataError> {
        let transaction =
            self.connection.unchecked_transaction().map_err(|source| sqlite(name, source))?;
        let mut filler = Filler::new(&self.connection, name, spec)?;
        let files = spec.files(folder);
        for path in &files {
            input::each(spec, path, |path, bytes| filler.read(spec, folder, path, bytes))?;
        }
        let (columns, origins) = (filler.columns, filler.origins);
        transaction.commit().map_err(|source| sqlite(name, source))?;
        let first_file = files.into_iter().next().unwrap_or_default();
        self.loaded.push(Loaded { name: name.to_owned(), first_file, columns, origins });
        Ok(())
    }

    /// Which files the tables were read from; empty without tables.
    pub(crate) fn files_hint(&self) -> String {
        let files = self.loaded.iter().map(|table| format!("`{}`", table.first_file.display()));
        let files: Vec<String> = files.collect();
        if files.is_empty() { String::new() } else { format!("it reads {}", files.join(", ")) }
    }

    /// For the name of a column that no table has: the nearest that one has, else all there are.
    pub(crate) fn column_hint(&self, column: &str) -> String {
        let column = column.rsplit('.').next().unwrap_or(column);
        let known = |table: &Loaded| {
            let columns = table.columns.join("`, `");
            let path = table.first_file.display();
            format!("table `{}` (`{path}`, row 1) has `{columns}`", table.name)
        };
        // A table that has it as it is written is not the one that lacks it.
        let all = self.loaded.iter().flat_map(|table| table.columns.iter().map(String::as_str));
        let all = all.filter(|name| !name.eq_ignore_ascii_case(column));
        let near = nearest(column, all).map(|near| format!("did you mean `{near}`? "));
        let tables: Vec<String> = self.loaded.iter().map(known).collect();
        near.unwrap_or_default() + &tables.join("; ")
    }
}

fn sqlite(table: &str, source: rusqlite::Error) -> DataError {
    DataError::Sqlite { table: table.to_owned(), source }
}

/// Fills one table, growing columns as rows bring them.
struct Filler<'connection> {
    connection: &'connection Connection,
    table: String,
    /// Names of the columns of the table.
    columns: Vec<String>,
    /// Column names in lower case, as SQLite compares them → position.
    positions: HashMap<String, usize>,
    /// Inserts a row of the columns that there are; none while there are new ones.
    insert: Option<Statement<'connection>>,
    /// Names of the cells that come next, where a row becomes one object.
    object: Option<Vec<String>>,
    /// Columns that together name a row, and the rows that have been: name → file and row.
    unique: Vec<String>,
    seen: HashMap<String, (String, u64)>,
    /// Which rows of which files the rows are.
    origins: Origins,
    /// File that is being read, as errors name it.
    path: PathBuf,
    file: String,
    folder: String,
}

impl<'connection> Filler<'connection> {
    fn new(
        connection: &'connection Connection,
        name: &str,
        spec: &TableSpec,
    ) -> Result<Self, DataError> {
        let table = quoted(name);
        connection
            .execute_batch(&format!("create table {table} (\"file\", \"folder\")"))
            .map_err(|source| sqlite(name, source))?;
        let positions = HashMap::from([("file".to_owned(), 0), ("folder".to_owned(), 1)]);
        Ok(Filler {
            connection,
            insert: None,
            table,
            columns: vec!["file".to_owned(), "folder".to_owned()],
            positions,
            object: spec.as_object.then(Vec::new),
            unique: spec.unique.clone(),
            seen: HashMap::new(),
            origins: Origins::default(),
            path: PathBuf::new(),
            file: String::new(),
            folder: String::new(),
        })
    }

    /// Reads one file or member of an archive.
    fn read(
        &mut self,
        spec: &TableSpec,
        root: &Path,
        path: &Path,
        bytes: &mut dyn BufRead,
    ) -> Result<(), DataError> {
        path.clone_into(&mut self.path);
        self.origins.enter(path);
        self.file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        self.folder = folder.to_string_lossy().into_owned();
        match spec.format_of(path)? {
            format @ (Format::Csv | Format::Tsv) => {
                csv::read(self, spec, bytes, format == Format::Tsv)
            }
            Format::Json => json::read(self, spec, bytes),
            Format::Jsonl => json::read_lines(self, spec, bytes),
            Format::Lines => text::read_lines(self, spec, bytes),
            Format::Text => text::read_whole(self, spec, bytes),
            // Parquet is read from its end, so only from a file of its own.
            Format::Parquet if path.is_file() => parquet::read(self),
            Format::Parquet => Err(self.format("a file of its own", String::new(), "unpack it")),
            Format::Arrow => arrow::read(self, bytes),
            Format::Sav => sav::read(self, bytes),
            Format::SavLabels => sav::read_labels(self, bytes),
        }
    }

    /// Positions of some columns, which are added where they are new.
    fn columns<'name>(
        &mut self,
        names: impl IntoIterator<Item = &'name str>,
        row: u64,
    ) -> Result<Vec<usize>, DataError> {
        if let Some(object) = &mut self.object {
            *object = names.into_iter().map(str::to_owned).collect();
            return self.positions(["cells"], row);
        }
        self.positions(names, row)
    }

    fn positions<'name>(
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
                let problem = "a second column has this name".to_owned();
                let hint = "SQL does not tell upper from lower case; name them with columns = [..]";
                return Err(self.cell(row, name.to_owned(), problem, hint));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    fn add(&mut self, name: &str) -> Result<(), DataError> {
        let add = format!("alter table {} add column {}", self.table, quoted(name));
        self.connection.execute_batch(&add).map_err(|source| sqlite(&self.table, source))?;
        self.columns.push(name.to_owned());
        self.insert = None;
        Ok(())
    }

    /// Inserts a row, whose number in its file is only for errors.
    fn insert(
        &mut self,
        number: u64,
        positions: &[usize],
        mut cells: Vec<Value>,
    ) -> Result<(), DataError> {
        if let Some(names) = &self.object {
            cells = vec![object(names, cells)];
        }
        self.check_unique(number, positions, &cells)?;
        let mut insert = match self.insert.take() {
            Some(insert) => insert,
            None => self.prepare().map_err(|source| sqlite(&self.table, source))?,
        };
        self.fill(&mut insert, positions, cells).map_err(|source| sqlite(&self.table, source))?;
        self.insert = Some(insert);
        self.origins.note(number);
        Ok(())
    }

    fn prepare(&self) -> rusqlite::Result<Statement<'connection>> {
        let marks = vec!["?"; self.positions.len()].join(", ");
        self.connection.prepare(&format!("insert into {} values ({marks})", self.table))
    }

    fn fill(
        &self,
        insert: &mut Statement<'_>,
        positions: &[usize],
        cells: Vec<Value>,
    ) -> rusqlite::Result<usize> {
        insert.clear_bindings();
        insert.raw_bind_parameter(1, self.file.as_str())?;
        insert.raw_bind_parameter(2, self.folder.as_str())?;
        for (position, cell) in positions.iter().zip(cells) {
            insert.raw_bind_parameter(position + 1, cell)?;
        }
        insert.raw_execute()
    }

    fn check_unique(
        &mut self,
        number: u64,
        positions: &[usize],
        cells: &[Value],
    ) -> Result<(), DataError> {
        if self.unique.is_empty() {
            return Ok(());
        }
        let mut row = vec![Value::Null; self.positions.len()];
        row[0] = Value::Text(self.file.clone());
        row[1] = Value::Text(self.folder.clone());
        for (position, cell) in positions.iter().zip(cells) {
            row[*position] = cell.clone();
        }
        let mut name = Vec::new();
        for column in &self.unique {
            let Some(position) = self.positions.get(&column.to_lowercase()) else {
                let problem = "there is no such column".to_owned();
                let hint = format!("there are `{}`", self.columns[2..].join("`, `"));
                return Err(self.cell(number, column.clone(), problem, &hint));
            };
            name.push(match &row[*position] {
                Value::Text(text) => text.clone(),
                other => format!("{other:?}"),
            });
        }
        let name = name.join(", ");
        let here = (self.file.clone(), number);
        if let Some((file, first)) = self.seen.insert(name.clone(), here) {
            let problem =
                format!("`{name}` stands here a second time; first in {file}, row {first}");
            let hint = "each may stand once; take one of the two rows out";
            return Err(self.cell(number, self.unique.join(", "), problem, hint));
        }
        Ok(())
    }

    fn row(&self, row: u64, problem: String, hint: &str) -> DataError {
        self.cell(row, String::new(), problem, hint)
    }

    fn cell(&self, row: u64, column: String, problem: String, hint: &str) -> DataError {
        DataError::Row { path: self.path.clone(), row, column, problem, hint: hint.to_owned() }
    }

    fn not_utf8(&self, row: u64, byte: usize) -> DataError {
        let problem = format!("byte {byte} of the line is not UTF-8");
        self.row(row, problem, "set encoding = \"latin-1\" if the file is")
    }

    fn format(&self, format: &'static str, problem: String, hint: &str) -> DataError {
        DataError::Format { path: self.path.clone(), format, problem, hint: hint.to_owned() }
    }
}

/// A row as one JSON object without its blank cells.
fn object(names: &[String], cells: Vec<Value>) -> Value {
    let json = |cell: Value| match cell {
        Value::Null | Value::Blob(_) => None,
        Value::Integer(integer) => Some(integer.into()),
        Value::Real(real) => Some(real.into()),
        Value::Text(text) => Some(serde_json::Value::String(text)),
    };
    let fields =
        names.iter().zip(cells).filter_map(|(name, cell)| Some((name.clone(), json(cell)?)));
    Value::Text(serde_json::Value::Object(fields.collect()).to_string())
}

/// An SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
