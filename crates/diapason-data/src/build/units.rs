//! The rows of a steer task's SQL by unit, kept in the database: memory holds the page cache and
//! the units that are being made into episodes, however many rows there are.

use super::rows::{Columns, Unit, each, prepare, required, row_problem};
use crate::DataError;
use crate::table::Database;
use crate::task::Sql;
use crate::wording::Wording;
use diapason_flow::Turn;
use rusqlite::{Connection, Row};

/// Rows of a unit up to which it is held in memory as a whole.
const WHOLE_UNIT_ROWS: usize = 100_000;

/// Names that no table of a source has.
const TABLE: &str = "\"rows by unit\"";
const INDEX: &str = "\"units of rows\"";

/// The rows of one SQL, numbered from 1 in its order.
pub(super) struct Units<'database> {
    connection: &'database Connection,
    sql: &'database Sql,
    /// Names of the columns that descriptions use.
    pub variables: Vec<String>,
    /// Whether the SQL has no `unit` column.
    pub one_table: bool,
}

/// A unit before its rows are read.
#[derive(Clone)]
pub(super) struct Head {
    pub name: String,
    /// Number of its rows.
    pub count: usize,
}

impl<'database> Units<'database> {
    /// Runs the SQL: columns `output`, perhaps `unit` and `input`, and variables.
    pub(super) fn of(
        database: &'database Database,
        sql: &'database Sql,
        descriptions: &[Wording],
    ) -> Result<Self, DataError> {
        let mut statement = prepare(database, sql)?;
        let columns = Columns::of(&statement, descriptions)?;
        let output = required(columns.output, "output", &statement, sql)?;
        let connection = &database.connection;
        let variables = columns.names();
        let units = Units { connection, sql, variables, one_table: columns.unit.is_none() };
        let marks = vec!["?"; 3 + units.variables.len()].join(", ");
        let own = (0..units.variables.len()).map(|index| format!(", v{index}"));
        units.run(&format!(
            "drop table if exists {TABLE}; \
             create table {TABLE} (unit text, input text, output text{})",
            own.collect::<String>()
        ))?;
        let mut insert = units.ask(&format!("insert into {TABLE} values ({marks})"))?;
        units.run("begin")?;
        each(&mut statement, sql, |number, row| {
            let unit = Columns::text(row, columns.unit, sql)?.unwrap_or_default();
            if unit.is_empty() && columns.unit.is_some() {
                return Err(row_problem(database, sql, number, "unit", "there is no value"));
            }
            let Some(output) = Columns::text(row, Some(output), sql)? else {
                return Err(row_problem(database, sql, number, "output", "there is no value"));
            };
            if matches!(&*output, "NaN" | "nan") {
                let problem = format!("`{output}` is a missing value, not a text");
                return Err(row_problem(database, sql, number, "output", &problem));
            }
            let mut cells = vec![Some(unit), Columns::text(row, columns.input, sql)?, Some(output)];
            cells.extend(columns.values(row, sql)?);
            let mut fill = || -> rusqlite::Result<usize> {
                for (place, cell) in (1..).zip(&cells) {
                    insert.raw_bind_parameter(place, cell.as_deref())?;
                }
                insert.raw_execute()
            };
            fill().map(|_| ()).map_err(|source| units.broken(source))
        })?;
        units.run("commit")?;
        if !units.one_table {
            units.run(&format!("create index {INDEX} on {TABLE} (unit)"))?;
        }
        Ok(units)
    }

    /// Calls back with every unit, in the order in which the SQL first gives them.
    pub(super) fn each(
        &self,
        most: Option<usize>,
        mut take: impl FnMut(Head) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let most = most.map_or(-1, |most| most as i64);
        let by_unit = "group by unit order by min(rowid) limit ?1";
        let mut statement = self.ask(&format!("select unit, count(*) from {TABLE} {by_unit}"))?;
        let mut rows = statement.query([most]).map_err(|source| self.broken(source))?;
        while let Some(row) = rows.next().map_err(|source| self.broken(source))? {
            let name = row.get(0).map_err(|source| self.broken(source))?;
            let count: i64 = row.get(1).map_err(|source| self.broken(source))?;
            take(Head { name, count: count as usize })?;
        }
        Ok(())
    }

    /// Whether a unit is small enough to be read as a whole.
    pub(super) fn is_whole(&self, head: &Head) -> bool {
        !self.one_table || head.count <= WHOLE_UNIT_ROWS
    }

    /// All rows of a unit.
    pub(super) fn read(&self, database: &Database, head: &Head) -> Result<Unit, DataError> {
        let mut unit = Unit { name: head.name.clone(), ..Unit::default() };
        self.rows("unit = ?1 order by rowid", [&head.name], |number, values, turn| {
            self.add(database, &mut unit, number, values, turn)
        })?;
        Ok(unit)
    }

    /// Some rows of a table that is one unit, by their places in it.
    pub(super) fn pick(
        &self,
        database: &Database,
        head: &Head,
        places: &[usize],
    ) -> Result<Unit, DataError> {
        let mut unit = Unit { name: head.name.clone(), ..Unit::default() };
        for place in places {
            self.rows("rowid = ?1", [*place as i64 + 1], |number, values, turn| {
                self.add(database, &mut unit, number, values, turn)
            })?;
        }
        Ok(unit)
    }

    /// Adds a row to its unit, in which a description's variable has one value.
    fn add(
        &self,
        database: &Database,
        unit: &mut Unit,
        number: usize,
        values: Vec<Option<String>>,
        turn: Turn,
    ) -> Result<(), DataError> {
        if unit.turns.is_empty() {
            unit.values = values;
        } else if let Some(index) =
            unit.values.iter().zip(&values).position(|(one, other)| one != other)
        {
            let problem =
                format!("a description uses it, and unit `{}` has another value before", unit.name);
            let variable = &self.variables[index];
            return Err(row_problem(database, self.sql, number, variable, &problem));
        }
        unit.turns.push(turn);
        Ok(())
    }

    fn rows(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
        mut take: impl FnMut(usize, Vec<Option<String>>, Turn) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut statement = self.ask(&format!("select rowid, * from {TABLE} where {condition}"))?;
        let mut rows = statement.query(parameters).map_err(|source| self.broken(source))?;
        while let Some(row) = rows.next().map_err(|source| self.broken(source))? {
            let (number, values, turn) = self.cells(row).map_err(|source| self.broken(source))?;
            take(number, values, turn)?;
        }
        Ok(())
    }

    fn cells(&self, row: &Row<'_>) -> rusqlite::Result<(usize, Vec<Option<String>>, Turn)> {
        let values = (0..self.variables.len()).map(|index| row.get(4 + index));
        let turn = Turn { input: row.get(2)?, output: row.get(3)?, ..Turn::default() };
        Ok((row.get::<_, i64>(0)? as usize, values.collect::<Result<_, _>>()?, turn))
    }

    fn ask(&self, sql: &str) -> Result<rusqlite::CachedStatement<'database>, DataError> {
        self.connection.prepare_cached(sql).map_err(|source| self.broken(source))
    }

    fn run(&self, sql: &str) -> Result<(), DataError> {
        self.connection.execute_batch(sql).map_err(|source| self.broken(source))
    }

    fn broken(&self, source: rusqlite::Error) -> DataError {
        DataError::Sqlite { table: format!("rows of {}", self.sql.place.file), source }
    }
}
