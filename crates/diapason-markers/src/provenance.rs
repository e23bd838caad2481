//! Markers from what a row already says: a column, or a constant for the whole file.
//!
//! ```toml
//! [task]
//! column = "category"
//! values = { open_qa = "QuestionAnswering", closed_qa = "QuestionAnswering" }
//! otherwise = "Unspecified"      # without it, any other value must be one of the taxonomy
//!
//! [source]
//! value = "Human"
//! ```

use crate::error::MarkerError;
use crate::taxonomy::Taxonomy;
use diapason_flow::{MarkerValue, Markers};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Rules that make markers of rows.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    rules: BTreeMap<String, Rule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    column: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    otherwise: Option<String>,
    value: Option<String>,
}

impl Provenance {
    /// Reads rules.
    ///
    /// # Errors
    /// What is no such file; markers and values that the taxonomy lacks; a rule with both a column
    /// and a constant, or neither.
    pub fn read(toml: &str, taxonomy: &Taxonomy) -> Result<Self, MarkerError> {
        let hint = "one section a marker, with `column` (and `values`, `otherwise`) or `value`";
        let wrong = |problem: String| MarkerError::Taxonomy { problem, hint };
        let rules: BTreeMap<String, Rule> =
            toml::from_str(toml).map_err(|problem| wrong(problem.to_string()))?;
        for (name, rule) in &rules {
            let marker = taxonomy.marker(name)?;
            if rule.column.is_some() == rule.value.is_some() {
                return Err(wrong(format!("`{name}` needs either a `column` or a `value`")));
            }
            for value in rule.values.values().chain(&rule.otherwise).chain(&rule.value) {
                marker.read(value)?;
            }
        }
        Ok(Provenance { rules })
    }

    /// The markers of a row. A column that is absent or null gives none; a list gives several.
    pub fn markers(&self, row: &Value) -> Markers {
        let mut markers = Markers::default();
        for (name, rule) in &self.rules {
            let found = match (&rule.value, &rule.column) {
                (Some(value), _) => vec![value.clone()],
                (None, Some(column)) => rule.of(row.get(column)),
                (None, None) => Vec::new(),
            };
            match found.as_slice() {
                [] => {}
                [one] => markers.set(name, one),
                _ => {
                    markers.0.insert(name.clone(), MarkerValue::Many(found));
                }
            }
        }
        markers
    }
}

impl Rule {
    fn of(&self, cell: Option<&Value>) -> Vec<String> {
        let cells = match cell {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(cells)) => cells.as_slice(),
            Some(cell) => std::slice::from_ref(cell),
        };
        let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        let mapped = |cell: &Value| {
            let text = text(cell);
            let value = self.values.get(&text).or(self.otherwise.as_ref());
            value.cloned().unwrap_or(text)
        };
        cells.iter().map(mapped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_and_constants_become_markers() {
        let taxonomy = Taxonomy::built_in();
        let rules = "[task]\ncolumn = \"category\"\nvalues = { qa = \"QuestionAnswering\" }\n\
                     otherwise = \"Unspecified\"\n[quality]\ncolumn = \"score\"\n\
                     [source]\nvalue = \"Human\"\n[format]\ncolumn = \"shapes\"";
        let provenance = Provenance::read(rules, &taxonomy).unwrap();
        let row = json!({"category": "qa", "score": 2.5, "shapes": ["JSON", "Markdown"]});
        let markers = serde_json::to_value(provenance.markers(&row)).unwrap();
        assert_eq!(
            markers,
            json!({"task": "QuestionAnswering", "quality": "2.5",
                                   "source": "Human", "format": ["JSON", "Markdown"]})
        );
        let other = provenance.markers(&json!({"category": "poems", "score": null}));
        assert_eq!(
            serde_json::to_value(other).unwrap(),
            json!({"task": "Unspecified", "source": "Human"})
        );
    }

    #[test]
    fn mistakes_are_named_before_any_row_is_read() {
        let taxonomy = Taxonomy::built_in();
        for (rules, words) in [
            ("[tsk]\nvalue = \"x\"", "did you mean `task`?"),
            ("[task]\nvalue = \"Reasonin\"", "did you mean `Reasoning`?"),
            ("[task]\notherwise = \"Rewrite\"", "either a `column` or a `value`"),
        ] {
            let error = Provenance::read(rules, &taxonomy).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
