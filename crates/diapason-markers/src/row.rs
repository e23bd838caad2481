//! Markers of whole rows in any interchange shape; rows keep their columns and their order.

use crate::annotate::Annotator;
use crate::error::MarkerError;
use crate::provenance::Provenance;
use crate::tagger::Example;
use diapason_flow::Markers;
use serde_json::{Map, Value, json};

/// Why a row cannot be annotated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RowError {
    /// A marker or value outside the taxonomy.
    #[error("{place}: {source}")]
    Marker {
        /// Where in the row.
        place: String,
        /// What is wrong.
        source: MarkerError,
    },
    /// No known shape, or markers that are none.
    #[error(
        "{problem}\n\nhint: a row has `messages`, `prompt` + `completion`, or `text`; markers are an object of texts or lists of texts"
    )]
    Shape {
        /// What is wrong.
        problem: String,
    },
}

/// An output of a row, before it is annotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it answers.
    pub input: Option<String>,
    /// Its text.
    pub text: String,
    /// What the data says of it: its own markers, then those of the rules.
    pub given: Markers,
}

/// [`annotate_row_with`] no tags.
///
/// # Errors
/// The first thing wrong with the row, which is then changed in part.
pub fn annotate_row(
    row: &mut Value,
    annotator: &Annotator,
    provenance: &Provenance,
) -> Result<(), RowError> {
    annotate_row_with(row, annotator, provenance, &[])
}

/// Writes `markers` on each output message, or on the row where it has no messages.
///
/// What a message already says of a marker comes first, then what the rules make of the row's
/// columns, then the tags, which are told one output after the other, then what can be measured.
///
/// # Errors
/// The first thing wrong with the row, which is then changed in part.
pub fn annotate_row_with(
    row: &mut Value,
    annotator: &Annotator,
    provenance: &Provenance,
    tags: &[Markers],
) -> Result<(), RowError> {
    let mut tags = tags.iter();
    each_output(row, provenance, &mut |place, output, name| {
        let mut given = output.given;
        for (marker, value) in tags.next().into_iter().flat_map(|told| &told.0) {
            given.0.entry(marker.clone()).or_insert_with(|| value.clone());
        }
        let markers = annotator
            .annotate(output.input.as_deref(), &output.text, &given)
            .map_err(|source| RowError::Marker { place: name.to_owned(), source })?;
        place.insert("markers".to_owned(), json!(markers));
        Ok(())
    })
}

/// The outputs of a row, in order.
///
/// # Errors
/// The first thing wrong with the row.
pub fn outputs_of_row(row: &Value, provenance: &Provenance) -> Result<Vec<Output>, RowError> {
    let mut outputs = Vec::new();
    each_output(&mut row.clone(), provenance, &mut |_, output, _| {
        outputs.push(output);
        Ok(())
    })?;
    Ok(outputs)
}

/// The outputs of a row that have one value of a marker, as examples of it.
///
/// # Errors
/// The first thing wrong with the row.
pub fn examples_of_row(row: &Value, marker: &str) -> Result<Vec<Example>, RowError> {
    let example = |output: Output| match output.given.0.get(marker)?.values() {
        [label] => Some(Example {
            input: output.input.unwrap_or_default(),
            output: output.text,
            label: label.clone(),
        }),
        _ => None,
    };
    Ok(outputs_of_row(row, &Provenance::default())?.into_iter().filter_map(example).collect())
}

/// Takes an output with the object it stands in and what that is called.
type Take<'a> = dyn FnMut(&mut Map<String, Value>, Output, &str) -> Result<(), RowError> + 'a;

/// Gives each output of a row to `take`.
fn each_output(
    row: &mut Value,
    provenance: &Provenance,
    take: &mut Take<'_>,
) -> Result<(), RowError> {
    let known = provenance.markers(row);
    let Some(object) = row.as_object_mut() else {
        return Err(shape(&format!("expected an object, found {}", short(row))));
    };
    let Some(messages) = object.get_mut("messages") else {
        let (input, text) = plain_texts(object)?;
        let given = given(object, known)?;
        return take(object, Output { input, text, given }, "row");
    };
    let Some(messages) = messages.as_array_mut() else {
        return Err(shape("`messages` is no list"));
    };
    let mut input: Option<String> = None;
    for (index, message) in messages.iter_mut().enumerate() {
        let Some(message) = message.as_object_mut() else {
            return Err(shape(&format!("messages[{index}] is no object")));
        };
        let content = message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
        match message.get("role").and_then(Value::as_str) {
            Some("input" | "user") => input = Some(content),
            Some("output" | "assistant") => {
                let given = given(message, known.clone())?;
                let output = Output { input: input.take(), text: content, given };
                take(message, output, &format!("messages[{index}]"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every set of markers of an annotated row, in order.
///
/// # Errors
/// Markers that are none.
pub fn markers_of_row(row: &Value) -> Result<Vec<Markers>, RowError> {
    let messages = row.get("messages").and_then(Value::as_array);
    let places: Vec<&Value> = messages.map_or_else(|| vec![row], |list| list.iter().collect());
    let found = places.into_iter().filter_map(|place| place.get("markers"));
    found.filter(|markers| !markers.is_null()).map(read).collect()
}

fn plain_texts(row: &Map<String, Value>) -> Result<(Option<String>, String), RowError> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("prompt"), text("completion"), text("text")) {
        (input, Some(output), _) => Ok((input, output)),
        (_, None, Some(output)) => Ok((None, output)),
        _ => {
            Err(shape(&format!("no output among the columns {:?}", row.keys().collect::<Vec<_>>())))
        }
    }
}

/// What the data says: the markers of a place, then those of the rules.
fn given(place: &Map<String, Value>, known: Markers) -> Result<Markers, RowError> {
    let mut given = match place.get("markers") {
        None | Some(Value::Null) => Markers::default(),
        Some(markers) => read(markers)?,
    };
    for (name, value) in known.0 {
        given.0.entry(name).or_insert(value);
    }
    Ok(given)
}

/// Reads markers; a number stands for its text, as rows of others often have them.
fn read(markers: &Value) -> Result<Markers, RowError> {
    let mut markers = markers.clone();
    if let Some(object) = markers.as_object_mut() {
        for value in object.values_mut().filter(|value| value.is_number()) {
            *value = Value::String(value.to_string());
        }
    }
    let found = short(&markers);
    serde_json::from_value(markers).map_err(|_| shape(&format!("`markers` is {found}")))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

fn shape(problem: &str) -> RowError {
    RowError::Shape { problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Taxonomy;

    fn annotated(mut row: Value) -> Result<Value, RowError> {
        let annotator = Annotator::new(Taxonomy::built_in());
        annotate_row(&mut row, &annotator, &Provenance::default())?;
        Ok(row)
    }

    #[test]
    fn every_output_message_gets_its_own_markers_and_all_else_stays() {
        let row = json!({"id": 7, "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "The ship is late.", "markers": {"quality": 0.5}},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "1. a\n2. b\n3. c"},
        ]});
        let out = annotated(row).unwrap();
        assert_eq!(out["messages"][2]["markers"]["quality"], "0.5");
        assert_eq!(out["messages"][2]["markers"]["lang"], "English");
        assert_eq!(out["messages"][4]["markers"]["format"], "Enumeration");
        assert!(out["messages"][3].get("markers").is_none());
        assert_eq!(out["id"], 7);
        assert_eq!(markers_of_row(&out).unwrap().len(), 2);
        let keys: Vec<&String> = out.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "messages"]);
    }

    #[test]
    fn tags_stand_between_what_is_given_and_what_is_measured() {
        let annotator = Annotator::new(Taxonomy::built_in());
        let rules = Provenance::read("[task]\nvalue = \"Rewrite\"", annotator.taxonomy()).unwrap();
        let mut row = json!({"messages": [
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "1. a\n2. b\n3. c", "markers": {"style": "Formal"}},
        ]});
        let outputs = outputs_of_row(&row, &rules).unwrap();
        assert_eq!(outputs.len(), 1);
        assert_eq!(json!(outputs[0].given), json!({"style": "Formal", "task": "Rewrite"}));
        assert_eq!(outputs[0].input.as_deref(), Some("u"));
        let mut told = Markers::default();
        for (name, value) in [
            ("style", "Informal"),
            ("task", "Translation"),
            ("domain", "Math"),
            ("format", "Tabular"),
        ] {
            told.set(name, value);
        }
        annotate_row_with(&mut row, &annotator, &rules, &[told]).unwrap();
        let markers = &row["messages"][1]["markers"];
        for (name, value) in
            [("style", "Formal"), ("task", "Rewrite"), ("domain", "Math"), ("format", "Tabular")]
        {
            assert_eq!(markers[name], value);
        }
    }

    #[test]
    fn pairs_and_texts_have_markers_on_the_row() {
        for row in [json!({"prompt": "p", "completion": "c d"}), json!({"text": "c d"})] {
            let out = annotated(row).unwrap();
            assert_eq!(out["markers"]["length_tokens"], "2");
            assert_eq!(annotated(out.clone()).unwrap(), out, "annotating twice changes nothing");
        }
    }

    #[test]
    fn mistakes_name_the_place() {
        for (row, words) in [
            (json!([1]), "expected an object, found [1]"),
            (json!({"body": "x"}), "columns [\"body\"]"),
            (
                json!({"text": "x", "markers": {"lang": "Grek"}}),
                "row: marker `lang` has no value `Grek`",
            ),
            (json!({"text": "x", "markers": 3}), "`markers` is 3"),
        ] {
            let error = annotated(row).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
