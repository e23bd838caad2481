//! Markers as they travel: names with values. Their meaning lives in `diapason-markers`.

use std::collections::BTreeMap;

/// The value of a marker: one text or several.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum MarkerValue {
    /// A single value, printed as it stands.
    One(String),
    /// Several values of one marker (the paper allows one; its authors name that a limitation).
    Many(Vec<String>),
}

impl MarkerValue {
    /// All values in order.
    pub fn values(&self) -> &[String] {
        match self {
            MarkerValue::One(value) => std::slice::from_ref(value),
            MarkerValue::Many(values) => values,
        }
    }
}

/// Markers of one output, by name. Ordered by name so that equal markers print equally.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Markers(pub BTreeMap<String, MarkerValue>);

impl Markers {
    /// Whether there is no marker.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one marker to one value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), MarkerValue::One(value.into()));
    }

    /// Adds one value to those that a marker has.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        use std::collections::btree_map::Entry;
        match self.0.entry(name.into()) {
            Entry::Vacant(entry) => {
                entry.insert(MarkerValue::One(value.into()));
            }
            Entry::Occupied(entry) => match entry.into_mut() {
                MarkerValue::Many(values) => values.push(value.into()),
                one @ MarkerValue::One(_) => {
                    let first = one.values().to_vec();
                    *one = MarkerValue::Many(first.into_iter().chain([value.into()]).collect());
                }
            },
        }
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MarkerValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}
