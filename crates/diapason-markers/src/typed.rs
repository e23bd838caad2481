//! Markers with typed values: what [`Markers`] means under a [`Taxonomy`].

use crate::error::{MarkerError, nearest};
use crate::list::split_list;
use crate::taxonomy::{Kind, Marker, Taxonomy};
use diapason_flow::{MarkerValue, Markers};
use std::collections::BTreeMap;
use std::fmt;

/// One value of a marker.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a [`Kind::Real`] marker; finite.
    Real(f64),
    /// Of a [`Kind::Count`] marker.
    Count(u64),
    /// Of a [`Kind::Name`] marker, in the taxonomy's spelling.
    Name(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Real(real) => write!(formatter, "{real}"),
            Value::Count(count) => write!(formatter, "{count}"),
            Value::Name(name) => formatter.write_str(name),
        }
    }
}

/// Markers by name, each with one value or more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed(pub BTreeMap<String, Vec<Value>>);

impl Typed {
    /// As they travel and are printed.
    pub fn to_markers(&self) -> Markers {
        let value = |values: &Vec<Value>| match values.as_slice() {
            [one] => MarkerValue::One(one.to_string()),
            many => MarkerValue::Many(many.iter().map(Value::to_string).collect()),
        };
        Markers(self.0.iter().map(|(name, values)| (name.clone(), value(values))).collect())
    }
}

/// A completion taken apart: typed markers, what of the list could not be typed, and the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<'text> {
    /// What the taxonomy knows.
    pub markers: Typed,
    /// What it does not: unknown names and values, in the order of the names.
    pub problems: Vec<MarkerError>,
    /// What follows the list.
    pub text: &'text str,
    /// Whether the list ends.
    pub closed: bool,
}

impl Marker {
    /// Reads one printed value. Surrounding whitespace does not matter, the case of names does.
    ///
    /// # Errors
    /// [`MarkerError::UnknownValue`] or [`MarkerError::Number`].
    pub fn read(&self, text: &str) -> Result<Value, MarkerError> {
        let text = text.trim();
        let number = |expected| MarkerError::Number {
            marker: self.name.clone(),
            value: text.to_owned(),
            expected,
        };
        match self.kind {
            Kind::Name if self.values.iter().any(|known| known == text) => {
                Ok(Value::Name(text.to_owned()))
            }
            Kind::Name => Err(MarkerError::UnknownValue {
                marker: self.name.clone(),
                value: text.to_owned(),
                nearest: nearest(text, self.values.iter().map(String::as_str)),
            }),
            Kind::Count => {
                text.parse().map(Value::Count).map_err(|_| number("whole number from 0"))
            }
            Kind::Real => match text.parse::<f64>() {
                Ok(real) if real.is_finite() => Ok(Value::Real(real)),
                _ => Err(number("finite number")),
            },
        }
    }
}

impl Taxonomy {
    /// Gives markers their types.
    ///
    /// # Errors
    /// The first unknown name or value.
    pub fn read(&self, markers: &Markers) -> Result<Typed, MarkerError> {
        let (typed, problems) = self.read_known(markers);
        problems.into_iter().next().map_or(Ok(typed), Err)
    }

    /// Gives types to what the taxonomy knows and names the rest: a model may write anything.
    pub fn read_known(&self, markers: &Markers) -> (Typed, Vec<MarkerError>) {
        let mut typed = Typed::default();
        let mut problems = Vec::new();
        for (name, value) in markers.iter() {
            let marker = match self.marker(name) {
                Ok(marker) => marker,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            for text in value.values() {
                match marker.read(text) {
                    Ok(value) => typed.0.entry(name.to_owned()).or_default().push(value),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        (typed, problems)
    }

    /// Takes a leading list off a completion and gives its markers types. Total.
    pub fn parse<'text>(&self, completion: &'text str) -> Parsed<'text> {
        let split = split_list(completion);
        let (markers, problems) = self.read_known(&split.markers);
        Parsed { markers, problems, text: split.text, closed: split.closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print_list;
    use proptest::prelude::*;

    fn typed() -> impl Strategy<Value = Typed> {
        let taxonomy = Taxonomy::built_in();
        let marker = (0..taxonomy.markers().len(), any::<u64>(), -1e9..1e9f64);
        let pick = move |(index, count, real): (usize, u64, f64)| {
            let marker = &taxonomy.markers()[index];
            let value = match marker.kind {
                Kind::Real => Value::Real(real),
                Kind::Count => Value::Count(count),
                Kind::Name => {
                    Value::Name(marker.values[count as usize % marker.values.len()].clone())
                }
            };
            (marker.name.clone(), value)
        };
        proptest::collection::vec(marker, 0..12).prop_map(move |draws| {
            let mut typed = Typed::default();
            for (name, value) in draws.into_iter().map(&pick) {
                typed.0.entry(name).or_default().push(value);
            }
            typed
        })
    }

    proptest! {
        #[test]
        fn typed_markers_survive_print_and_parse(typed in typed(), text in ".{0,20}") {
            let list = print_list(&typed.to_markers());
            let whole = format!("{list}\n{text}");
            let taxonomy = Taxonomy::built_in();
            let parsed = taxonomy.parse(&whole);
            prop_assert_eq!(&parsed.markers, &typed);
            prop_assert!(parsed.closed && parsed.problems.is_empty());
            if !typed.0.is_empty() {
                prop_assert_eq!(parsed.text, text);
            }
        }
    }

    #[test]
    fn what_a_model_invents_is_named_and_the_rest_is_kept() {
        let taxonomy = Taxonomy::built_in();
        let text = "<MARKER_LIST> <lang> Frensh </lang> <length_tokens> -3 </length_tokens> \
                    <mood> glad </mood> <task> Rewrite </task> <quality> inf </quality> \
                    </MARKER_LIST>\nBonjour";
        let parsed = taxonomy.parse(text);
        assert_eq!(parsed.text, "Bonjour");
        assert_eq!(parsed.markers.to_markers().0.len(), 1);
        let problems: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4);
        assert!(problems[0].contains("did you mean `French`?"), "{problems:?}");
    }

    #[test]
    fn thousands_of_markers_and_nested_tags_are_read_in_reasonable_time() {
        let taxonomy = Taxonomy::built_in();
        let elements: Vec<String> =
            (0..5000).map(|index| format!("<length_tokens> {index} </length_tokens> ")).collect();
        let elements = elements.concat();
        let text = format!("<MARKER_LIST> {elements}</MARKER_LIST>\nx");
        assert_eq!(taxonomy.parse(&text).markers.0["length_tokens"].len(), 5000);
        let opened = format!("<MARKER_LIST> {}</MARKER_LIST>\nx", "<lang> ".repeat(5000));
        assert_eq!(taxonomy.parse(&opened).text, "x");
        let nested = "<MARKER_LIST> <lang> <MARKER_LIST> <lang> Greek </lang> </MARKER_LIST> \
                      </lang> </MARKER_LIST>";
        assert_eq!(taxonomy.parse(nested).markers.0["lang"], [Value::Name("Greek".into())]);
        assert_eq!(taxonomy.parse("<MARKER_LIST> <lang> Gr\u{0}eek </lang>").problems.len(), 1);
    }
}
