//! JSON documents and JSON lines.

use super::{Filler, TableSpec, text};
use crate::DataError;
use rusqlite::types::Value as Cell;
use serde_json::{Map, Value};
use std::io::BufRead;

/// Reads one document: a list of rows, or an object of rows by `key`.
pub(super) fn read(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
) -> Result<(), DataError> {
    let mut text = text::whole(filler, spec, bytes)?;
    if spec.trailing_commas {
        text = without_trailing_commas(&text);
    }
    let document: Value = serde_json::from_str(&text).map_err(|problem| {
        let hint = "set format = \"jsonl\" for one document a line, trailing_commas = true for commas before a closing brace";
        filler.format("JSON", problem.to_string(), hint)
    })?;
    match document {
        Value::Array(rows) => {
            for (index, row) in rows.into_iter().enumerate() {
                insert(filler, None, row, index as u64 + 1)?;
            }
        }
        Value::Object(rows) => {
            for (index, (key, row)) in rows.into_iter().enumerate() {
                insert(filler, Some(key), row, index as u64 + 1)?;
            }
        }
        other => {
            let problem = format!("the document is {other}, neither a list nor an object");
            return Err(filler.format("a table in JSON", problem, ""));
        }
    }
    Ok(())
}

/// Reads one document a line; empty lines are skipped.
pub(super) fn read_lines(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
) -> Result<(), DataError> {
    text::each_line(filler, spec, bytes, |filler, row, line| {
        if line.trim().is_empty() {
            return Ok(());
        }
        let value = serde_json::from_str(&line).map_err(|problem| {
            filler.row(row, problem.to_string(), "every line must be a JSON document of its own")
        })?;
        insert(filler, None, value, row)
    })
}

/// Inserts one row.
pub(super) fn insert(
    filler: &mut Filler<'_>,
    key: Option<String>,
    value: Value,
    row: u64,
) -> Result<(), DataError> {
    let mut object = Map::new();
    if let Some(key) = key {
        object.insert("key".into(), Value::String(key));
    }
    match value {
        Value::Object(fields) => object.extend(fields),
        other => {
            object.insert("value".into(), other);
        }
    }
    let positions = filler.columns(object.keys().map(String::as_str), row)?;
    filler.insert(row, &positions, object.into_iter().map(|(_, value)| cell(value)).collect())
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(truth) => Cell::Integer(i64::from(truth)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Cell::Integer(integer),
            (None, Some(real)) if number.is_f64() => Cell::Real(real),
            _ => Cell::Text(number.to_string()),
        },
        Value::String(text) => Cell::Text(text),
        nested @ (Value::Array(_) | Value::Object(_)) => Cell::Text(nested.to_string()),
    }
}

/// The text without commas whose next character is a closing bracket. Strings stay as they are.
pub(super) fn without_trailing_commas(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    // Where a comma stands that nothing but blanks has followed so far.
    let mut pending: Option<usize> = None;
    let mut in_string = false;
    let mut escaped = false;
    for letter in text.chars() {
        if in_string {
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
        } else if letter == ',' {
            pending = Some(clean.len());
        } else if !letter.is_whitespace() {
            if let (']' | '}', Some(comma)) = (letter, pending) {
                clean.remove(comma);
            }
            pending = None;
            in_string = letter == '"';
        }
        clean.push(letter);
    }
    clean
}
