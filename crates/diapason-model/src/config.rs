//! HF `config.json` ↔ [`Arch`]: which families the one decoder knows, and what it refuses.
//!
//! Reading takes the transformers 4 form (`rope_theta`, `rope_scaling`) and the 5 form
//! (`rope_parameters`). A key that would change what the decoder computes is either understood or
//! refused by name; keys that cannot (dropout, cache flags) are passed over.

use crate::{Arch, ModelError};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A family of decoders as HF names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// HF's `model_type`.
    pub name: &'static str,
    /// The class that transformers builds, for `architectures`.
    pub architecture: &'static str,
}

/// Every family that [`Arch::from_config`] reads and [`Arch::to_config`] writes.
///
/// `llama` is any Llama-shaped decoder: Llama 2, TinyLlama, SmolLM, SmolLM2.
pub const FAMILIES: &[Family] = &[Family { name: "llama", architecture: "LlamaForCausalLM" }];

/// Keys that must be absent, null or one of the listed JSON texts.
const FIXED: &[(&str, &[&str])] = &[
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("attention_bias", &["false"]),
    ("mlp_bias", &["false"]),
    ("rope_interleaved", &["false"]),
    ("partial_rotary_factor", &["1.0", "1"]),
    ("use_sliding_window", &["false"]),
    ("sliding_window", &["null"]),
    ("quantization_config", &["null"]),
];

/// Larger sizes are a damaged file, not a model.
const LARGEST_COUNT: u64 = 1 << 24;
const MOST_LAYERS: usize = 1 << 12;
const MOST_PARAMETERS: f64 = 1e13;

/// Ids that a tokenizer gives a meaning to, as `config.json` and `generation_config.json` hold
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SpecialIds {
    /// Put before every text; `None` if the family has no such token.
    pub begin: Option<u32>,
    /// Tokens that end a generation.
    pub end: Vec<u32>,
    /// Fills batches in other tools; never seen by this decoder.
    pub pad: Option<u32>,
}

impl SpecialIds {
    /// Reads `bos_token_id`, `eos_token_id` and `pad_token_id` of a parsed `config.json` or
    /// `generation_config.json`. Absent keys are empty.
    ///
    /// # Errors
    /// A value that is no id, with `path` for the message.
    pub fn from_config(config: &Value, path: &Path) -> Result<Self, ModelError> {
        let keys = Keys::of(config, path)?;
        Ok(SpecialIds {
            begin: keys.ids("bos_token_id")?.first().copied(),
            end: keys.ids("eos_token_id")?,
            pad: keys.ids("pad_token_id")?.first().copied(),
        })
    }

    /// The three keys; a single end token is a number, several are a list, as HF writes them.
    fn entries(&self) -> [(&'static str, Value); 3] {
        let end = match self.end.as_slice() {
            [] => Value::Null,
            [only] => json!(only),
            several => json!(several),
        };
        [
            ("bos_token_id", json!(self.begin)),
            ("eos_token_id", end),
            ("pad_token_id", json!(self.pad)),
        ]
    }

    /// The content of `generation_config.json`.
    pub fn to_generation_config(&self) -> Value {
        let present = self.entries().into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(present.map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl Arch {
    /// Reads a parsed `config.json`; `path` is for messages only.
    ///
    /// # Errors
    /// An unknown `model_type`, a missing or ill-typed key, or a value that the decoder cannot
    /// compute, each with the key, the value and what is supported.
    pub fn from_config(config: &Value, path: &Path) -> Result<Self, ModelError> {
        let keys = Keys::of(config, path)?;
        let family = keys.family()?;
        for (key, supported) in FIXED {
            keys.fixed(key, supported)?;
        }
        keys.full_attention()?;
        let (width, heads) = (keys.count("hidden_size")?, keys.count("num_attention_heads")?);
        let arch = Arch {
            family: family.name.to_owned(),
            width,
            layers: keys.count("num_hidden_layers")?,
            heads,
            kv_heads: keys.count_or("num_key_value_heads", heads)?,
            head_width: keys.count_or("head_dim", width / heads)?,
            mlp_width: keys.count("intermediate_size")?,
            vocabulary: keys.count("vocab_size")?,
            context: keys.count("max_position_embeddings")?,
            // Defaults of transformers' LlamaConfig.
            norm_epsilon: keys.positive_or("rms_norm_eps", 1e-6)?,
            rope_theta: keys.rope_theta()?,
            tied: keys.flag_or("tie_word_embeddings", false)?,
        };
        if heads % arch.kv_heads != 0 {
            let supported = format!("a divisor of num_attention_heads ({heads})");
            return Err(keys.refused("num_key_value_heads", &json!(arch.kv_heads), supported));
        }
        if arch.head_width == 0 || !arch.head_width.is_multiple_of(2) {
            return Err(keys.refused("head_dim", &json!(arch.head_width), "an even number"));
        }
        let parameters = parameters(&arch);
        if arch.layers > MOST_LAYERS || parameters > MOST_PARAMETERS {
            let problem = format!("{} layers, {parameters:.1e} parameters in all", arch.layers);
            return Err(ModelError::Damaged { path: path.to_owned(), problem });
        }
        Ok(arch)
    }

    /// The content of `config.json`, in the transformers 4 form, which version 5, vLLM and
    /// llama.cpp read as well. Weights are announced as f32.
    pub fn to_config(&self, ids: &SpecialIds) -> Value {
        let architecture = FAMILIES
            .iter()
            .find(|family| family.name == self.family)
            .map_or("LlamaForCausalLM", |family| family.architecture);
        let mut config = json!({
            "architectures": [architecture],
            "model_type": self.family,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "intermediate_size": self.mlp_width,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rms_norm_eps": shortest(self.norm_epsilon),
            "rope_theta": shortest(self.rope_theta),
            "rope_scaling": null,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "torch_dtype": "float32",
        });
        for (key, value) in ids.entries() {
            config[key] = value;
        }
        config
    }
}

/// Elements of all matrices, in f64 because absurd sizes overflow integers.
fn parameters(arch: &Arch) -> f64 {
    let [width, layers, mlp, vocabulary] =
        [arch.width, arch.layers, arch.mlp_width, arch.vocabulary].map(|size| size as f64);
    let heads = (arch.heads + arch.kv_heads) as f64 * arch.head_width as f64;
    width * (layers * (2.0 * heads + 3.0 * mlp) + 2.0 * vocabulary)
}

/// The f64 that prints as the f32 does: `1e-5`, not `9.999999747378752e-6`.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The keys of one config file, with its path for messages.
struct Keys<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    fn of(config: &'a Value, path: &'a Path) -> Result<Self, ModelError> {
        match config.as_object() {
            Some(map) => Ok(Keys { path, map }),
            None => Err(ModelError::Damaged {
                path: path.to_owned(),
                problem: "expected a JSON object".to_owned(),
            }),
        }
    }

    fn refused(&self, key: &str, found: &Value, supported: impl Into<String>) -> ModelError {
        ModelError::ConfigValue {
            path: self.path.to_owned(),
            key: key.to_owned(),
            found: found.to_string(),
            supported: supported.into(),
        }
    }

    /// The value of a key; null counts as absent, as in HF.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn missing(&self, key: &str) -> ModelError {
        ModelError::ConfigMissing { path: self.path.to_owned(), key: key.to_owned() }
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

    fn fixed(&self, key: &str, supported: &[&str]) -> Result<(), ModelError> {
        match self.get(key) {
            Some(value) if !supported.contains(&value.to_string().as_str()) => {
                Err(self.refused(key, value, supported.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// transformers 5 lists the kind of attention of every layer.
    fn full_attention(&self) -> Result<(), ModelError> {
        let Some(kinds) = self.get("layer_types") else {
            return Ok(());
        };
        let other = match kinds.as_array() {
            Some(listed) => listed.iter().find(|kind| **kind != "full_attention"),
            None => Some(kinds),
        };
        match other {
            Some(other) => Err(self.refused("layer_types", other, "\"full_attention\"")),
            None => Ok(()),
        }
    }

    /// A number of things, at least one.
    fn count(&self, key: &str) -> Result<usize, ModelError> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        match value.as_u64() {
            Some(count @ 1..=LARGEST_COUNT) => Ok(count as usize),
            _ => Err(self.refused(key, value, format!("a whole number in 1..={LARGEST_COUNT}"))),
        }
    }

    fn count_or(&self, key: &str, default: usize) -> Result<usize, ModelError> {
        if self.get(key).is_some() { self.count(key) } else { Ok(default) }
    }

    fn positive_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        match value.as_f64().map(|number| number as f32) {
            Some(number) if number.is_finite() && number > 0.0 => Ok(number),
            _ => Err(self.refused(key, value, "a positive number")),
        }
    }

    fn flag_or(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.refused(key, other, "true or false")),
        }
    }

    /// One id, a list of ids, or nothing.
    fn ids(&self, key: &str) -> Result<Vec<u32>, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |one: &Value| one.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = listed.iter().map(id).collect();
        ids.ok_or_else(|| self.refused(key, value, "a token id or a list of token ids"))
    }

    /// The rotary base, from `rope_parameters` (transformers 5) or `rope_theta` (4); every kind of
    /// scaling is refused.
    fn rope_theta(&self) -> Result<f32, ModelError> {
        let mut theta = self.positive_or("rope_theta", 10_000.0)?;
        for key in ["rope_scaling", "rope_parameters"] {
            let Some(value) = self.get(key) else { continue };
            let Some(map) = value.as_object() else {
                return Err(self.refused(key, value, "an object"));
            };
            let inner = Keys { path: self.path, map };
            for kind in ["rope_type", "type"] {
                if let Some(found) = inner.get(kind).filter(|found| *found != "default") {
                    return Err(self.refused(&format!("{key}.{kind}"), found, "\"default\""));
                }
            }
            inner.fixed("partial_rotary_factor", &["1.0", "1"])?;
            // An object a kind of layer holds no base of its own at this level.
            if let Some((name, nested)) = map.iter().find(|(_, value)| value.is_object()) {
                return Err(self.refused(&format!("{key}.{name}"), nested, "one base for all"));
            }
            theta = inner.positive_or("rope_theta", theta)?;
        }
        Ok(theta)
    }
}

#[cfg(test)]
mod tests;
