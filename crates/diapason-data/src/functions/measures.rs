//! The measured annotators of `diapason mark` as functions of SQL.

use super::on_text;
use diapason_markers::{Annotator, Counter, Lengths, Taxonomy, formats};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Result};
use std::sync::{Arc, OnceLock};

/// The annotators, made when the first function is called: most tasks measure nothing.
#[derive(Clone, Default)]
struct Measures(Arc<OnceLock<(Counter, Annotator)>>);

impl Measures {
    fn get(&self) -> &(Counter, Annotator) {
        self.0.get_or_init(|| (Counter::new(), Annotator::new(Taxonomy::built_in())))
    }
}

/// Adds the functions to a connection.
pub(super) fn register(connection: &Connection, pure: FunctionFlags) -> Result<()> {
    type Length = (&'static str, fn(&Lengths) -> usize);
    let measures = Measures::default();
    let lengths: [Length; 3] = [
        ("word_count", |lengths| lengths.words),
        ("sentence_count", |lengths| lengths.sentences),
        ("paragraph_count", |lengths| lengths.paragraphs),
    ];
    for (name, length) in lengths {
        let measures = measures.clone();
        connection.create_scalar_function(name, 1, pure, move |context| {
            let count = |text: &str| length(&measures.get().0.lengths(text)) as i64;
            on_text(context, 0, |text| Ok(Value::from(count(text))))
        })?;
    }
    let languages = measures.clone();
    connection.create_scalar_function("language", 1, pure, move |context| {
        on_text(context, 0, |text| {
            let language = languages.get().1.language(text);
            Ok(language.map_or(Value::Null, |language| Value::from(language.to_owned())))
        })
    })?;
    connection.create_scalar_function("code_types", 1, pure, move |context| {
        on_text(context, 0, |text| Ok(list(&measures.get().1.code_types(text))))
    })?;
    connection.create_scalar_function("formats", 1, pure, |context| {
        on_text(context, 0, |text| Ok(list(&formats(text))))
    })
}

fn list(names: &[&'static str]) -> Value {
    Value::from(serde_json::json!(names).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_measured_as_mark_measures_them() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection, FunctionFlags::SQLITE_UTF8).unwrap();
        let text = "Le bac part quand la mer est haute. Ne soyez pas en retard !\n\n```rust\nfn main() {}\n```";
        let ask = |call: &str| -> Value {
            connection.query_row(&format!("select {call}"), [text], |row| row.get(0)).unwrap()
        };
        assert_eq!(ask("language(?1)"), Value::from("French".to_owned()));
        assert_eq!(ask("code_types(?1)"), Value::from("[\"rust\"]".to_owned()));
        assert_eq!(ask("formats(?1)"), Value::from("[\"Markdown\"]".to_owned()));
        assert_eq!(ask("paragraph_count(?1)"), Value::from(2i64));
        let counted = Counter::new().lengths(text);
        assert_eq!(ask("word_count(?1)"), Value::from(counted.words as i64));
        assert_eq!(ask("sentence_count(?1)"), Value::from(counted.sentences as i64));
        assert_eq!(ask("language(substr(?1, 1, 0))"), Value::Null);
        assert_eq!(ask("language(nullif(?1, ?1))"), Value::Null);
    }
}
