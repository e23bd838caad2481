//! The keys of a config file, with what is wrong about one said by file, key and value.

use super::families::{FAMILIES, FIXED, Family, MULTIMODAL};
use crate::ModelError;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::Path;

/// Larger sizes are a damaged file, not a model.
const LARGEST_COUNT: u64 = 1 << 24;

/// Whether a config is that of a model with more parts than the text decoder.
pub(crate) fn is_multimodal(config: &Value) -> bool {
    text_family(config.get("model_type")).is_some()
}

/// The family of the text part of a multimodal `model_type`.
fn text_family(model_type: Option<&Value>) -> Option<&'static str> {
    let row = MULTIMODAL.iter().find(|(name, _)| model_type.is_some_and(|found| found == name));
    row.map(|(_, text)| *text)
}

/// An object of a config file, with the file's path for messages.
pub(super) struct Keys<'a> {
    path: &'a Path,
    /// Where the object is inside the file, such as `rope_scaling.`.
    place: String,
    map: Cow<'a, Map<String, Value>>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(config: &'a Value, path: &'a Path) -> Result<Self, ModelError> {
        match config.as_object() {
            Some(map) => Ok(Keys { path, place: String::new(), map: Cow::Borrowed(map) }),
            None => Err(ModelError::Damaged {
                path: path.to_owned(),
                problem: "expected a JSON object".to_owned(),
            }),
        }
    }

    /// The keys of the text decoder with its family's defaults, and the family. Keys that the
    /// decoder cannot follow are refused.
    pub(super) fn of_decoder(
        config: &'a Value,
        path: &'a Path,
    ) -> Result<(Self, &'static Family), ModelError> {
        let whole = Keys::of(config, path)?;
        let mut keys = match text_family(whole.get("model_type")) {
            Some(text) => whole.text_part(text)?,
            None => whole,
        };
        let family = keys.family()?;
        let defaults: Map<String, Value> = serde_json::from_str(family.defaults)
            .expect("the defaults of a family are a JSON object: a test reads them all");
        for (key, value) in defaults {
            keys.map.to_mut().entry(key).or_insert(value);
        }
        for (key, supported) in FIXED.iter().chain(family.fixed) {
            keys.fixed(key, supported)?;
        }
        Ok((keys, family))
    }

    /// The `text_config` of a multimodal model, with what its parent says about both.
    fn text_part(&self, family: &str) -> Result<Self, ModelError> {
        let place = "text_config".to_owned();
        let text = self.get(&place).ok_or_else(|| self.missing(&place))?;
        let Some(map) = text.as_object() else {
            return Err(self.refused(&place, text, "an object"));
        };
        let mut map = map.clone();
        map.entry("model_type").or_insert(json!(family));
        for key in ["tie_word_embeddings", "quantization_config"] {
            if let Some(value) = self.get(key) {
                map.entry(key).or_insert(value.clone());
            }
        }
        Ok(Keys { path: self.path, place: place + ".", map: Cow::Owned(map) })
    }

    fn family(&self) -> Result<&'static Family, ModelError> {
        let found = self.get("model_type").ok_or_else(|| self.missing("model_type"))?;
        let name = found.as_str().unwrap_or_default();
        if let Some(family) = FAMILIES.iter().find(|family| family.name == name) {
            return Ok(family);
        }
        let likeness = |family: &&Family| strsim::jaro_winkler(family.name, name);
        let nearest = FAMILIES.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        Err(ModelError::ConfigFamily {
            path: self.path.to_owned(),
            found: found.to_string(),
            nearest: nearest.map_or("", |family| family.name),
        })
    }

    pub(super) fn refused(
        &self,
        key: &str,
        found: &Value,
        supported: impl Into<String>,
    ) -> ModelError {
        ModelError::ConfigValue {
            path: self.path.to_owned(),
            key: format!("{}{key}", self.place),
            found: found.to_string(),
            supported: supported.into(),
        }
    }

    pub(super) fn missing(&self, key: &str) -> ModelError {
        let key = format!("{}{key}", self.place);
        ModelError::ConfigMissing { path: self.path.to_owned(), key }
    }

    pub(super) fn damaged(&self, problem: String) -> ModelError {
        ModelError::Damaged { path: self.path.to_owned(), problem }
    }

    /// The value of a key; null counts as absent, as in HF.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// All keys and values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.map.iter()
    }

    /// An object inside this one.
    pub(super) fn object(&self, key: &str) -> Result<Option<Keys<'_>>, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let map = value.as_object().ok_or_else(|| self.refused(key, value, "an object"))?;
        let place = format!("{}{key}.", self.place);
        Ok(Some(Keys { path: self.path, place, map: Cow::Borrowed(map) }))
    }

    pub(super) fn fixed(&self, key: &str, supported: &[&str]) -> Result<(), ModelError> {
        match self.get(key) {
            Some(value) if !supported.contains(&value.to_string().as_str()) => {
                Err(self.refused(key, value, supported.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// A number of things, at least `least`.
    fn whole(&self, key: &str, least: u64) -> Result<usize, ModelError> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        match value.as_u64() {
            Some(count) if (least..=LARGEST_COUNT).contains(&count) => Ok(count as usize),
            _ => {
                let supported = format!("a whole number in {least}..={LARGEST_COUNT}");
                Err(self.refused(key, value, supported))
            }
        }
    }

    /// A number of things, at least one.
    pub(super) fn count(&self, key: &str) -> Result<usize, ModelError> {
        self.whole(key, 1)
    }

    pub(super) fn count_or_none(&self, key: &str) -> Result<Option<usize>, ModelError> {
        self.get(key).map(|_| self.count(key)).transpose()
    }

    /// A number of things, perhaps none.
    pub(super) fn index(&self, key: &str) -> Result<usize, ModelError> {
        self.whole(key, 0)
    }

    pub(super) fn positive(&self, key: &str) -> Result<f32, ModelError> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        match value.as_f64().map(|number| number as f32) {
            Some(number) if number.is_finite() && number > 0.0 => Ok(number),
            _ => Err(self.refused(key, value, "a positive number")),
        }
    }

    pub(super) fn positive_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        if self.get(key).is_some() { self.positive(key) } else { Ok(default) }
    }

    pub(super) fn flag_or(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.refused(key, other, "true or false")),
        }
    }

    /// One id, a list of ids, or nothing.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |one: &Value| one.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = listed.iter().map(id).collect();
        ids.ok_or_else(|| self.refused(key, value, "a token id or a list of token ids"))
    }
}
