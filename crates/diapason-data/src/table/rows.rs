//! From a row that a task's SQL gives back to the row of the raw file, for messages.

use super::{Database, quoted};
use rusqlite::types::Value;
use rusqlite::{Statement, params_from_iter};
use std::path::{Path, PathBuf};

/// Where the rows of a table come from: runs of rows that follow each other in one file.
#[derive(Default)]
pub(super) struct Origins {
    runs: Vec<Run>,
    rows: i64,
}

struct Run {
    path: PathBuf,
    /// Number of its first row in the table, from 1.
    first: i64,
    /// Number of that row in its file; none before there is one.
    number: Option<u64>,
}

impl Run {
    /// Number in the file of a row of the table.
    fn number_of(&self, row: i64) -> Option<u64> {
        Some(self.number? + row.abs_diff(self.first))
    }
}

impl Origins {
    /// The next rows are those of a file.
    pub(super) fn enter(&mut self, path: &Path) {
        self.runs.push(Run { path: path.to_owned(), first: self.rows + 1, number: None });
    }

    /// Notes the number of the next row in the file.
    pub(super) fn note(&mut self, number: u64) {
        self.rows += 1;
        let Some(run) = self.runs.last_mut() else { return };
        match run.number_of(self.rows) {
            None => run.number = Some(number),
            Some(next) if next == number => {}
            Some(_) => {
                let path = run.path.clone();
                self.runs.push(Run { path, first: self.rows, number: Some(number) });
            }
        }
    }

    fn of(&self, row: i64) -> Option<(PathBuf, u64)> {
        let run = self.runs.iter().rev().find(|run| run.first <= row)?;
        Some((run.path.clone(), run.number_of(row)?))
    }
}

/// A cell of a raw file.
pub(crate) struct RawCell {
    pub path: PathBuf,
    pub row: u64,
    pub column: String,
}

/// Table and column that a column of some SQL shows as they are.
type Shown = Option<(String, String)>;

impl Database {
    /// The cell that a column of the row `number` of some SQL, from 1, shows; `None` where the SQL
    /// computes it from others and no single row has the cells beside it.
    pub(crate) fn raw_cell(&self, sql: &str, number: usize, column: &str) -> Option<RawCell> {
        let mut statement = self.connection.prepare(sql).ok()?;
        let shown: Vec<Shown> = statement
            .columns_with_metadata()
            .map(|from| Some((from.table_name()?.to_owned(), from.origin_name()?.to_owned())))
            .collect();
        let place = statement.column_index(column).ok()?;
        let (table, _) = shown[place].as_ref().or(shown.iter().flatten().next())?;
        let loaded = self.loaded.iter().find(|loaded| loaded.name == *table)?;
        let cells = row_of(&mut statement, number)?;
        let mut wanted = Vec::new();
        let mut conditions = Vec::new();
        for (shown, cell) in shown.iter().zip(cells) {
            if let Some((of, origin)) = shown
                && of == table
            {
                conditions.push(format!("{} is ?", quoted(origin)));
                wanted.push(cell);
            }
        }
        let find = format!(
            "select rowid from {} where {} order by rowid limit 2",
            quoted(table),
            conditions.join(" and ")
        );
        let mut find = self.connection.prepare(&find).ok()?;
        let rows = find.query_map(params_from_iter(wanted), |row| row.get(0)).ok()?;
        let rows: Vec<i64> = rows.collect::<Result<_, _>>().ok()?;
        let row = match (rows.as_slice(), &shown[place]) {
            // Of rows that are alike in the cell itself the first is as wrong as the others.
            ([row], _) | ([row, _], Some(_)) => *row,
            _ => return None,
        };
        let (path, row) = loaded.origins.of(row)?;
        let column = shown[place].as_ref().map_or(column, |(_, origin)| origin).to_owned();
        Some(RawCell { path, row, column })
    }
}

/// The cells of a row of some SQL.
fn row_of(statement: &mut Statement<'_>, number: usize) -> Option<Vec<Value>> {
    let width = statement.column_count();
    let mut rows = statement.query([]).ok()?;
    for _ in 1..number {
        rows.next().ok()??;
    }
    let row = rows.next().ok()??;
    (0..width).map(|column| row.get(column).ok()).collect()
}
