//! HF `config.json` ↔ [`Arch`]: which families the one decoder knows, and what it refuses.
//!
//! Reading takes the transformers 4 form (`rope_theta`, `rope_scaling`, `sliding_window_pattern`)
//! and the 5 form (`rope_parameters`, `layer_types`). A key that would change what the decoder computes is either understood or
//! refused by name; keys that cannot (dropout, cache flags) are passed over.

mod families;
mod keys;
mod positions;

pub use families::{FAMILIES, Family};
pub(crate) use keys::is_multimodal;

use crate::{Arch, ModelError, Variant};
use families::Style;
use keys::Keys;
use positions::Rotary;
use serde_json::{Value, json};
use std::path::Path;

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
        // A multimodal config may leave them to its text part.
        let text = keys.object("text_config")?;
        let ids = |key: &str| match &text {
            Some(text) if keys.get(key).is_none() => text.ids(key),
            _ => keys.ids(key),
        };
        Ok(SpecialIds {
            begin: ids("bos_token_id")?.first().copied(),
            end: ids("eos_token_id")?,
            pad: ids("pad_token_id")?.first().copied(),
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
        let (keys, family) = Keys::of_decoder(config, path)?;
        let (width, heads) = (keys.count("hidden_size")?, keys.count("num_attention_heads")?);
        let layers = keys.count("num_hidden_layers")?;
        if layers > MOST_LAYERS {
            return Err(keys.damaged(format!("{layers} layers")));
        }
        let rotary = Rotary::read(&keys, family.style)?;
        let gemma = family.style == Style::Gemma;
        let arch = Arch {
            family: family.name.to_owned(),
            width,
            layers,
            heads,
            kv_heads: keys.count_or_none("num_key_value_heads")?.unwrap_or(heads),
            head_width: keys.count_or_none("head_dim")?.unwrap_or(width / heads),
            mlp_width: keys.count("intermediate_size")?,
            vocabulary: keys.count("vocab_size")?,
            context: keys.count("max_position_embeddings")?,
            norm_epsilon: keys.positive_or("rms_norm_eps", 1e-6)?,
            rope_theta: rotary.theta,
            tied: keys.flag_or("tie_word_embeddings", false)?,
            variant: Variant {
                query_scalar: gemma.then(|| keys.positive("query_pre_attn_scalar")).transpose()?,
                rope_scaling: rotary.scaling,
                window: positions::window(&keys, family.style, layers, rotary.window_theta)?,
                ..family.variant(width)
            },
        };
        if heads % arch.kv_heads != 0 {
            let supported = format!("a divisor of num_attention_heads ({heads})");
            return Err(keys.refused("num_key_value_heads", &json!(arch.kv_heads), supported));
        }
        if arch.head_width == 0 || !arch.head_width.is_multiple_of(2) {
            return Err(keys.refused("head_dim", &json!(arch.head_width), "an even number"));
        }
        let parameters = parameters(&arch);
        if parameters > MOST_PARAMETERS {
            return Err(keys.damaged(format!("{parameters:.1e} parameters in all")));
        }
        Ok(arch)
    }

    /// The content of `config.json`, in the transformers 4 form, which version 5, vLLM and
    /// llama.cpp read as well. Weights are announced as f32.
    ///
    /// # Panics
    /// If the family is not in [`FAMILIES`], which [`Arch::check`] refuses.
    pub fn to_config(&self, ids: &SpecialIds) -> Value {
        let family = FAMILIES.iter().find(|family| family.name == self.family);
        let family = family.expect("a shape has a family of the table: `Arch::check` sees to it");
        let mut config = json!({
            "architectures": [family.architecture],
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
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
        });
        let activation: &[_] = match family.style {
            Style::Llama => &[("hidden_act", "silu".into()), ("mlp_bias", false.into())],
            Style::Qwen => &[("hidden_act", "silu".into())],
            Style::Gemma => &[("hidden_activation", "gelu_pytorch_tanh".into())],
        };
        let bias = (!self.variant.qkv_bias).then(|| ("attention_bias", Value::Bool(false)));
        // transformers wants a whole number where it is one.
        let scalar = |value: f32| match value as u64 {
            whole if whole as f32 == value => json!(whole),
            _ => json!(shortest(value)),
        };
        let scalar =
            self.variant.query_scalar.map(|value| ("query_pre_attn_scalar", scalar(value)));
        let positions = positions::entries(self, family.style);
        let optional = bias.into_iter().chain(scalar).chain(positions).chain(ids.entries());
        for (key, value) in activation.iter().cloned().chain(optional) {
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

#[cfg(test)]
mod tests;
