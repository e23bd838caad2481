//! Running a task's SQL: rows grouped by unit.

use crate::DataError;
use crate::functions::real_text;
use crate::table::Database;
use crate::task::Sql;
use crate::wording::Wording;
use diapason_flow::{Goal, Query, Turn};
use rusqlite::Statement;
use rusqlite::types::ValueRef;
use std::collections::HashMap;

/// The rows of one SQL.
pub(super) struct Rows {
    /// Names of the columns that descriptions use.
    pub variables: Vec<String>,
    /// In the order in which the SQL first gives them.
    pub units: Vec<Unit>,
    /// Whether the SQL has no `unit` column.
    pub one_table: bool,
}

/// The rows of one unit; for an align task one question, of which a unit may have several.
#[derive(Default)]
pub(super) struct Unit {
    pub name: String,
    /// One value a variable.
    pub values: Vec<Option<String>>,
    pub turns: Vec<Turn>,
    pub query: Option<Query>,
}

/// Where the columns that we know stand.
struct Columns {
    unit: Option<usize>,
    input: Option<usize>,
    output: Option<usize>,
    options: Option<usize>,
    probs: Option<usize>,
    weights: Option<usize>,
    variables: Vec<(String, usize)>,
}

impl Rows {
    /// Turns by unit: columns `output`, perhaps `unit` and `input`, and variables.
    pub(super) fn read(
        database: &Database,
        sql: &Sql,
        descriptions: &[Wording],
    ) -> Result<Rows, DataError> {
        let mut statement = prepare(database, sql)?;
        let columns = Columns::of(&statement, descriptions)?;
        let output = required(columns.output, "output", &statement, sql)?;
        let mut rows = Rows::new(&columns);
        let mut positions: HashMap<String, usize> = HashMap::new();
        each(&mut statement, sql, |number, row| {
            let name = Columns::text(row, columns.unit, sql)?.unwrap_or_default();
            if name.is_empty() && columns.unit.is_some() {
                return Err(row_problem(sql, number, "unit", "there is no value"));
            }
            let Some(output) = Columns::text(row, Some(output), sql)? else {
                return Err(row_problem(sql, number, "output", "there is no value"));
            };
            if matches!(output.as_str(), "NaN" | "nan") {
                let problem =
                    format!("`{output}` is a missing value, not a text; leave such rows out");
                return Err(row_problem(sql, number, "output", &problem));
            }
            let input = Columns::text(row, columns.input, sql)?;
            let values = columns.values(row, sql)?;
            let position = *positions.entry(name.clone()).or_insert(rows.units.len());
            if position == rows.units.len() {
                rows.units.push(Unit { name, values, ..Unit::default() });
            } else if let Some(index) = differing(&rows.units[position].values, &values) {
                let unit = &rows.units[position].name;
                let problem =
                    format!("a description uses it, and unit `{unit}` has another value before");
                return Err(row_problem(sql, number, &rows.variables[index], &problem));
            }
            let turn = Turn { input, output, ..Turn::default() };
            rows.units[position].turns.push(turn);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Questions with a distribution: columns `options`, `probs` or `weights`, perhaps `unit` and
    /// `input`, and variables.
    pub(super) fn read_questions(
        database: &Database,
        sql: &Sql,
        descriptions: &[Wording],
    ) -> Result<Rows, DataError> {
        let mut statement = prepare(database, sql)?;
        let columns = Columns::of(&statement, descriptions)?;
        let options = required(columns.options, "options", &statement, sql)?;
        let shares = required(columns.probs.or(columns.weights), "probs", &statement, sql)?;
        let mut rows = Rows::new(&columns);
        each(&mut statement, sql, |number, row| {
            let text = |column: usize| -> Result<String, DataError> {
                Ok(Columns::text(row, Some(column), sql)?.unwrap_or_default())
            };
            let goal = distribution(&text(options)?, &text(shares)?, columns.probs.is_none())
                .map_err(|(column, problem)| row_problem(sql, number, column, &problem))?;
            let input = Columns::text(row, columns.input, sql)?;
            rows.units.push(Unit {
                name: Columns::text(row, columns.unit, sql)?.unwrap_or_default(),
                values: columns.values(row, sql)?,
                turns: Vec::new(),
                query: Some(Query { input, goal }),
            });
            Ok(())
        })?;
        Ok(rows)
    }

    fn new(columns: &Columns) -> Rows {
        let variables = columns.variables.iter().map(|(name, _)| name.clone()).collect();
        Rows { variables, units: Vec::new(), one_table: columns.unit.is_none() }
    }
}

/// The first column of every row.
pub(super) fn one_column(database: &Database, sql: &Sql) -> Result<Vec<String>, DataError> {
    let mut statement = prepare(database, sql)?;
    let mut items = Vec::new();
    each(&mut statement, sql, |_, row| {
        items.extend(cell_text(row, 0, sql)?);
        Ok(())
    })?;
    Ok(items)
}

impl Columns {
    /// Finds the known columns, and those that descriptions name.
    fn of(statement: &Statement<'_>, descriptions: &[Wording]) -> Result<Columns, DataError> {
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        for wording in descriptions {
            wording.check(names.iter().map(String::as_str))?;
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let used = |name: &str| {
            descriptions.iter().any(|wording| wording.variables().any(|variable| variable == name))
        };
        let variables = names
            .iter()
            .enumerate()
            .filter(|(_, name)| used(name))
            .map(|(index, name)| (name.clone(), index))
            .collect();
        Ok(Columns {
            unit: find("unit"),
            input: find("input"),
            output: find("output"),
            options: find("options"),
            probs: find("probs"),
            weights: find("weights"),
            variables,
        })
    }

    fn text(
        row: &rusqlite::Row<'_>,
        column: Option<usize>,
        sql: &Sql,
    ) -> Result<Option<String>, DataError> {
        column.map_or(Ok(None), |column| cell_text(row, column, sql))
    }

    fn values(&self, row: &rusqlite::Row<'_>, sql: &Sql) -> Result<Vec<Option<String>>, DataError> {
        self.variables.iter().map(|(_, column)| cell_text(row, *column, sql)).collect()
    }
}

fn differing(one: &[Option<String>], other: &[Option<String>]) -> Option<usize> {
    one.iter().zip(other).position(|(one, other)| one != other)
}

/// Options with probabilities; `weigh`: the numbers are divided by their sum. The error is the
/// column and what is wrong with it.
fn distribution(options: &str, shares: &str, weigh: bool) -> Result<Goal, (&'static str, String)> {
    let column = if weigh { "weights" } else { "probs" };
    let options: Vec<String> = serde_json::from_str(options)
        .map_err(|_| ("options", format!("no JSON list of texts: {options}")))?;
    let mut probs: Vec<f64> = serde_json::from_str(shares)
        .map_err(|_| (column, format!("no JSON list of numbers: {shares}")))?;
    if options.is_empty() || options.len() != probs.len() {
        let problem = format!("{} probabilities for {} options", probs.len(), options.len());
        return Err((column, problem));
    }
    if let Some(bad) = probs.iter().find(|share| !share.is_finite() || **share < 0.0) {
        return Err((column, format!("the negative probability {bad}")));
    }
    let sum: f64 = probs.iter().sum();
    // Published shares that already sum to one stay as they are printed.
    if weigh && sum > 0.0 && (sum - 1.0).abs() > 1e-9 {
        for share in &mut probs {
            *share /= sum;
        }
    } else if (sum - 1.0).abs() > 1e-6 {
        return Err((column, format!("probabilities that sum to {sum}, not 1")));
    }
    Ok(Goal::Choices { options, probs })
}

fn prepare<'database>(
    database: &'database Database,
    sql: &Sql,
) -> Result<Statement<'database>, DataError> {
    let statement = database.connection.prepare(&sql.text).map_err(|problem| {
        let message = problem.to_string();
        let hint = message.split_once("no such column: ").map(|(_, rest)| {
            let (end, rest) = rest.strip_prefix('"').map_or((' ', rest), |rest| ('"', rest));
            database.column_hint(rest.split([end, '\n']).next().unwrap_or(rest))
        });
        sql_problem(sql, &problem, hint.unwrap_or_default())
    })?;
    if !statement.readonly() || statement.column_count() == 0 {
        let hint = "write one select, perhaps after with";
        return Err(sql.place.wrong("the SQL gives no rows".to_owned(), hint));
    }
    Ok(statement)
}

fn each(
    statement: &mut Statement<'_>,
    sql: &Sql,
    mut take: impl FnMut(usize, &rusqlite::Row<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut rows =
        statement.query([]).map_err(|problem| sql_problem(sql, &problem, String::new()))?;
    let mut number = 0;
    while let Some(row) =
        rows.next().map_err(|problem| sql_problem(sql, &problem, String::new()))?
    {
        number += 1;
        take(number, row)?;
    }
    Ok(())
}

fn cell_text(
    row: &rusqlite::Row<'_>,
    column: usize,
    sql: &Sql,
) -> Result<Option<String>, DataError> {
    let cell = row.get_ref(column).map_err(|problem| sql_problem(sql, &problem, String::new()))?;
    Ok(match cell {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(integer) => Some(integer.to_string()),
        ValueRef::Real(real) => Some(real_text(real)),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
    })
}

fn required(
    column: Option<usize>,
    name: &str,
    statement: &Statement<'_>,
    sql: &Sql,
) -> Result<usize, DataError> {
    column.ok_or_else(|| {
        let given: Vec<&str> = statement.column_names().collect();
        let hint = format!("its columns are {}; name one with `as {name}`", given.join(", "));
        sql.place.wrong(format!("the SQL gives no column `{name}`"), hint)
    })
}

fn row_problem(sql: &Sql, number: usize, column: &str, problem: &str) -> DataError {
    sql.place.wrong(format!("row {number} of the SQL, column `{column}`: {problem}"), "")
}

/// An SQL error with the line where SQLite sees it.
fn sql_problem(sql: &Sql, problem: &rusqlite::Error, hint: String) -> DataError {
    let mut place = sql.place.clone();
    let message = match problem {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let offset = usize::try_from(*offset).unwrap_or(0);
            let before = &sql.text[..sql.text.floor_char_boundary(offset)];
            place.line += before.matches('\n').count();
            msg.clone()
        }
        other => other.to_string(),
    };
    place.wrong(format!("SQL: {message}"), hint)
}
