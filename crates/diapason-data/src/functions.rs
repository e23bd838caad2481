//! What a task's SQL can call beside SQLite's own functions.
//!
//! | function | gives |
//! |---|---|
//! | `regexp(pattern, text)`, `text regexp pattern` | 1 if the pattern is found, else 0 |
//! | `regexp_replace(text, pattern, replacement)` | the text with every match replaced (`$1` is a group) |
//! | `regexp_all(pattern, text)` | all matches as a JSON list |
//! | `python_literal(text)` | the `repr` of Python data as JSON ([`crate::functions::python`]) |
//! | `number(text)` | an integer or a real; NULL for blanks and for what is no finite number |
//! | `clean(text)` | the text without whitespace around it, lines ended by `\n` alone; NULL if nothing is left |
//! | `json_text(name, value, ...)` | one JSON object in this order, as Python prints it but not ASCII-escaped; NULL and NaN are `null` |
//! | `json_spaced(json)` | the same JSON, also nested, printed as `json_text` prints it |
//! | `html_text(text)` | HTML as plain text: tags gone, entities decoded ([`crate::functions::html`]) |
//! | `word_count(text)`, `sentence_count(text)`, `paragraph_count(text)` | lengths as `diapason mark` measures them ([`diapason_markers::Lengths`]) |
//! | `language(text)` | the natural language, such as `French`; NULL where it is not sure |
//! | `code_types(text)`, `formats(text)` | programming languages and output formats as a JSON list |
//! | `draw(key, n)` | an integer in `0..n`, the same for the same seed, task and key |
//! | `wait(key, rate)` | an exponential waiting time; the rows that wait least are a draw without replacement by weight |
//!
//! Every function but `json_text` gives NULL for NULL. `random()` and `randomblob()` fail: they
//! have no seed.

pub mod html;
pub mod python;

mod measures;

use diapason_flow::Streams;
use rand::RngExt;
use regex::Regex;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};
use serde_json::ser::Formatter;
use std::io;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Adds our functions to a connection. `streams` feeds `draw`.
pub(crate) fn register(connection: &Connection, streams: Streams) -> Result<()> {
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("regexp", 2, pure, |context| {
        on_text(context, 1, |text| Ok(Value::from(pattern(context, 0)?.is_match(text))))
    })?;
    connection.create_scalar_function("regexp_replace", 3, pure, |context| {
        on_text(context, 0, |text| {
            let replacement: String = context.get(2)?;
            let replaced = pattern(context, 1)?.replace_all(text, replacement);
            Ok(Value::from(replaced.into_owned()))
        })
    })?;
    connection.create_scalar_function("regexp_all", 2, pure, |context| {
        on_text(context, 1, |text| {
            let pattern = pattern(context, 0)?;
            let found: Vec<&str> = pattern.find_iter(text).map(|found| found.as_str()).collect();
            Ok(Value::from(serde_json::json!(found).to_string()))
        })
    })?;
    register_values(connection, pure)?;
    measures::register(connection, pure)?;
    register_draws(connection, pure, streams)
}

/// Functions that read or print values.
fn register_values(connection: &Connection, pure: FunctionFlags) -> Result<()> {
    connection.create_scalar_function("python_literal", 1, pure, |context| {
        on_text(context, 0, |text| {
            let value = python::parse(text)
                .map_err(|problem| failure(format!("python_literal: {problem}")))?;
            Ok(Value::from(value.to_string()))
        })
    })?;
    connection.create_scalar_function("number", 1, pure, |context| {
        on_text(context, 0, |text| Ok(number(text)))
    })?;
    connection.create_scalar_function("clean", 1, pure, |context| {
        on_text(context, 0, |text| {
            let text = text.trim().replace("\r\n", "\n");
            Ok(if text.is_empty() { Value::Null } else { Value::from(text) })
        })
    })?;
    connection.create_scalar_function("html_text", 1, pure, |context| {
        on_text(context, 0, |text| Ok(Value::from(html::plain(text))))
    })?;
    connection.create_scalar_function("json_spaced", 1, pure, |context| {
        on_text(context, 0, |text| {
            let value: serde_json::Value = serde_json::from_str(text)
                .map_err(|problem| failure(format!("json_spaced: {problem}")))?;
            Ok(Value::from(spaced_json(&value)))
        })
    })?;
    connection.create_scalar_function("json_text", -1, pure, json_text)
}

/// Seeded draws, and failures where SQLite has unseeded ones.
fn register_draws(connection: &Connection, pure: FunctionFlags, streams: Streams) -> Result<()> {
    let waits = streams.clone();
    connection.create_scalar_function("wait", 2, pure, move |context| {
        on_text(context, 0, |key| {
            let rate: f64 = context.get(1)?;
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(failure(format!("wait: no time passes at the rate {rate}")));
            }
            // One minus a number below one: its logarithm is finite.
            let uniform: f64 = waits.stream(key, 0).random();
            Ok(Value::from(-(1.0 - uniform).ln() / rate))
        })
    })?;
    connection.create_scalar_function("draw", 2, pure, move |context| {
        on_text(context, 0, |key| {
            let below: i64 = context.get(1)?;
            if below < 1 {
                return Err(failure(format!("draw: nothing to draw from 0..{below}")));
            }
            Ok(Value::from(streams.stream(key, 0).random_range(0..below)))
        })
    })?;
    for (name, arguments) in [("random", 0), ("randomblob", 1)] {
        connection.create_scalar_function(name, arguments, pure, |_| -> Result<Value> {
            Err(failure("random() has no seed; use draw(key, n)".to_owned()))
        })?;
    }
    Ok(())
}

fn failure(problem: String) -> Error {
    Error::UserFunctionError(problem.into())
}

/// Applies a function to an argument as text; NULL stays NULL.
fn on_text(
    context: &Context<'_>,
    argument: usize,
    apply: impl FnOnce(&str) -> Result<Value>,
) -> Result<Value> {
    match context.get_raw(argument) {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(integer) => apply(&integer.to_string()),
        ValueRef::Real(real) => apply(&real_text(real)),
        ValueRef::Text(_) => apply(context.get_raw(argument).as_str()?),
        ValueRef::Blob(_) => Err(failure("a blob is no text".to_owned())),
    }
}

/// A compiled pattern, kept between rows when it is constant.
fn pattern(context: &Context<'_>, argument: i32) -> Result<Arc<Regex>> {
    context.get_or_create_aux(argument, |value| -> std::result::Result<Regex, Failure> {
        Ok(Regex::new(value.as_str()?)?)
    })
}

/// A real as text: shortest digits that read back as the same number.
pub(crate) fn real_text(real: f64) -> String {
    serde_json::Number::from_f64(real).map_or_else(|| "null".to_owned(), |real| real.to_string())
}

fn number(text: &str) -> Value {
    let text = text.trim();
    if let Ok(integer) = text.parse::<i64>() {
        return Value::Integer(integer);
    }
    // Rust also reads `inf`, `nan` and the like, which are no numbers here.
    match text.parse::<f64>() {
        Ok(real) if real.is_finite() => Value::Real(real),
        _ => Value::Null,
    }
}

fn json_text(context: &Context<'_>) -> Result<String> {
    if context.len() % 2 == 1 {
        return Err(failure("json_text: names and values come in pairs".to_owned()));
    }
    let mut object = serde_json::Map::new();
    for argument in (0..context.len()).step_by(2) {
        let name: String = context.get(argument)?;
        let value = match context.get_raw(argument + 1) {
            ValueRef::Null | ValueRef::Blob(_) => serde_json::Value::Null,
            ValueRef::Integer(integer) => integer.into(),
            ValueRef::Real(real) => real.into(),
            ValueRef::Text(_) => context.get_raw(argument + 1).as_str()?.into(),
        };
        object.insert(name, value);
    }
    Ok(spaced_json(&serde_json::Value::Object(object)))
}

/// JSON with a blank after commas and colons, the way models have mostly read it.
pub(crate) fn spaced_json(value: &serde_json::Value) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Spaced);
    serde::Serialize::serialize(value, &mut serializer)
        .expect("writing a JSON value to memory cannot fail");
    String::from_utf8(text).expect("JSON is UTF-8")
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(sql: &str) -> Result<Value> {
        let connection = Connection::open_in_memory()?;
        register(&connection, Streams::new(3))?;
        connection.query_row(&format!("select {sql}"), [], |row| row.get(0))
    }

    fn text(sql: &str) -> String {
        match ask(sql).unwrap() {
            Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn regular_expressions_search_replace_and_list() {
        assert_eq!(ask(r"'abc' regexp '^a.c$'").unwrap(), Value::Integer(1));
        assert_eq!(ask("regexp('x', null)").unwrap(), Value::Null);
        assert_eq!(text(r"regexp_replace('a1b22', '(\d+)', '<$1>')"), "a<1>b<22>");
        assert_eq!(text(r"regexp_all('\w+', 'old pond, é')"), r#"["old","pond","é"]"#);
        assert!(ask("regexp('(', 'a')").is_err());
    }

    #[test]
    fn several_variables_print_as_one_object_in_their_order() {
        let sql = "json_text('b', 'é\"', 'a', 1, 'c', 7.25, 'd', null, 'e', number('NaN'))";
        assert_eq!(text(sql), r#"{"b": "é\"", "a": 1, "c": 7.25, "d": null, "e": null}"#);
        assert!(ask("json_text('a')").is_err());
    }

    #[test]
    fn nested_json_is_printed_in_the_same_way() {
        let sql = "json_spaced(json_object('b', json_array(1, 'é'), 'a', null))";
        assert_eq!(text(sql), r#"{"b": [1, "é"], "a": null}"#);
        assert!(ask("json_spaced('[1')").is_err());
    }

    #[test]
    fn numbers_are_numbers_or_null() {
        assert_eq!(ask("number(' 22 ')").unwrap(), Value::Integer(22));
        assert_eq!(ask("number('7.250')").unwrap(), Value::Real(7.25));
        for nothing in ["''", "'inf'", "'NaN'", "'None'", "'1,5'"] {
            assert_eq!(ask(&format!("number({nothing})")).unwrap(), Value::Null, "{nothing}");
        }
    }

    #[test]
    fn clean_texts_have_no_blanks_around_them_and_one_kind_of_line_end() {
        assert_eq!(text("clean(char(13, 10) || ' a ' || char(13, 10) || 'b' || char(9))"), "a \nb");
        assert_eq!(ask("clean(' ' || char(10))").unwrap(), Value::Null);
    }

    #[test]
    fn draws_depend_on_the_key_and_unseeded_draws_fail() {
        let draws: std::collections::HashSet<String> =
            (0..20).map(|key| text(&format!("'n' || draw('{key}', 1000)"))).collect();
        assert!(draws.len() > 15, "{draws:?}");
        assert_eq!(ask("draw('k', 5)").unwrap(), ask("draw('k', 5)").unwrap());
        assert!(ask("draw('k', 0)").is_err());
        assert!(ask("wait('k', 2) * 2 = wait('k', 1)").unwrap() == Value::Integer(1));
        assert!(ask("wait('k', 0)").is_err());
        assert!(ask("random()").unwrap_err().to_string().contains("no seed"));
    }
}
