//! Running a task's SQL: its columns, its rows, its mistakes.

use crate::DataError;
use crate::functions::real_text;
use crate::table::{Database, RawCell};
use crate::task::Sql;
use crate::wording::Wording;
use diapason_flow::{Goal, Query, Turn};
use rusqlite::Statement;
use rusqlite::types::ValueRef;
use std::borrow::Cow;
use std::collections::HashMap;

/// The questions of one SQL.
pub(super) struct Rows {
    /// Names of the columns that descriptions use.
    pub variables: Vec<String>,
    /// In the order of the SQL.
    pub units: Vec<Unit>,
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
pub(super) struct Columns {
    pub unit: Option<usize>,
    pub input: Option<usize>,
    pub output: Option<usize>,
    options: Option<usize>,
    probs: Option<usize>,
    weights: Option<usize>,
    variables: Vec<(String, usize)>,
}

impl Rows {
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
        let mut rows = Rows { variables: columns.names(), units: Vec::new() };
        each(&mut statement, sql, |number, row| {
            let text = |column: usize| -> Result<Cow<'_, str>, DataError> {
                Ok(Columns::text(row, Some(column), sql)?.unwrap_or_default())
            };
            let goal = distribution(&text(options)?, &text(shares)?, columns.probs.is_none())
                .map_err(|(column, problem)| {
                    row_problem(database, sql, number, column, &problem)
                })?;
            let input = Columns::text(row, columns.input, sql)?.map(Cow::into_owned);
            let values = columns.values(row, sql)?.into_iter();
            rows.units.push(Unit {
                name: Columns::text(row, columns.unit, sql)?.unwrap_or_default().into_owned(),
                values: values.map(|value| value.map(Cow::into_owned)).collect(),
                turns: Vec::new(),
                query: Some(Query { input, goal }),
            });
            Ok(())
        })?;
        Ok(rows)
    }
}

/// The first column of every row.
pub(super) fn one_column(database: &Database, sql: &Sql) -> Result<Vec<String>, DataError> {
    let mut statement = prepare(database, sql)?;
    let mut items = Vec::new();
    each(&mut statement, sql, |_, row| {
        items.extend(cell_text(row, 0, sql)?.map(Cow::into_owned));
        Ok(())
    })?;
    Ok(items)
}

/// Columns `unit` and `description` of every row.
pub(super) fn prompts(database: &Database, sql: &Sql) -> Result<Vec<(String, String)>, DataError> {
    let mut statement = prepare(database, sql)?;
    let find = |name: &str| statement.column_names().position(|column| column == name);
    let unit = required(find("unit"), "unit", &statement, sql)?;
    let description = required(find("description"), "description", &statement, sql)?;
    let mut prompts = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    each(&mut statement, sql, |number, row| {
        let text = |column: usize, name: &str| {
            let empty = || row_problem(database, sql, number, name, "there is no value");
            let text = cell_text(row, column, sql)?.filter(|text| !text.is_empty());
            text.map(Cow::into_owned).ok_or_else(empty)
        };
        let (unit, description) = (text(unit, "unit")?, text(description, "description")?);
        if let Some(first) = seen.insert(unit.clone(), number) {
            let problem =
                format!("`{unit}` stands here a second time; first in row {first} of the SQL");
            return Err(row_problem(database, sql, number, "unit", &problem));
        }
        prompts.push((unit, description));
        Ok(())
    })?;
    Ok(prompts)
}

impl Columns {
    /// Finds the known columns, and those that descriptions name.
    pub(super) fn of(
        statement: &Statement<'_>,
        descriptions: &[Wording],
    ) -> Result<Columns, DataError> {
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

    /// Names of the columns that descriptions use.
    pub(super) fn names(&self) -> Vec<String> {
        self.variables.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn text<'row>(
        row: &'row rusqlite::Row<'_>,
        column: Option<usize>,
        sql: &Sql,
    ) -> Result<Option<Cow<'row, str>>, DataError> {
        column.map_or(Ok(None), |column| cell_text(row, column, sql))
    }

    pub(super) fn values<'row>(
        &self,
        row: &'row rusqlite::Row<'_>,
        sql: &Sql,
    ) -> Result<Vec<Option<Cow<'row, str>>>, DataError> {
        self.variables.iter().map(|(_, column)| cell_text(row, *column, sql)).collect()
    }
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

pub(super) fn prepare<'database>(
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

pub(super) fn each(
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

fn cell_text<'row>(
    row: &'row rusqlite::Row<'_>,
    column: usize,
    sql: &Sql,
) -> Result<Option<Cow<'row, str>>, DataError> {
    let cell = row.get_ref(column).map_err(|problem| sql_problem(sql, &problem, String::new()))?;
    Ok(match cell {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(integer) => Some(integer.to_string().into()),
        ValueRef::Real(real) => Some(real_text(real).into()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text)),
    })
}

pub(super) fn required(
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

/// What is wrong with a row that the SQL gives: the cell of the raw file if it shows one, else
/// which files it read.
pub(super) fn row_problem(
    database: &Database,
    sql: &Sql,
    number: usize,
    column: &str,
    problem: &str,
) -> DataError {
    let row = format!("row {number} of the SQL, column `{column}`");
    if let Some(RawCell { path, row: raw, column }) = database.raw_cell(&sql.text, number, column) {
        let (problem, place) = (problem.to_owned(), &sql.place);
        let hint = format!(
            "mend it there, or leave it out in {}:{}, where it is {row}",
            place.file, place.line
        );
        return DataError::Row { path, row: raw, column, problem, hint };
    }
    sql.place.wrong(format!("{row}: {problem}"), database.files_hint())
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
