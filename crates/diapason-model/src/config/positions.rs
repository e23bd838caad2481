//! How a config says what layers see, and how positions rotate: both forms in, one out.

use super::families::Style;
use super::keys::Keys;
use super::shortest;
use crate::{Arch, ModelError, RopeScaling, Window};
use serde_json::{Value, json};

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// Everything that an object of rotary parameters may hold.
const ROPE_KEYS: [&str; 8] = [
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "partial_rotary_factor",
];

/// Rotary bases and scaling.
pub(super) struct Rotary {
    pub theta: f32,
    pub scaling: RopeScaling,
    /// Base of windowed layers, where it is their own.
    pub window_theta: Option<f32>,
}

impl Rotary {
    /// From `rope_theta`, `rope_local_base_freq` and `rope_scaling` (transformers 4), or from
    /// `rope_parameters` (5), which gives each kind of layer its own where they differ.
    pub(super) fn read(keys: &Keys<'_>, style: Style) -> Result<Self, ModelError> {
        let mut rotary = Rotary {
            theta: keys.positive("rope_theta")?,
            scaling: RopeScaling::None,
            window_theta: None,
        };
        if let Some(inner) = keys.object("rope_scaling")? {
            (rotary.theta, rotary.scaling) = parameters(&inner, rotary.theta)?;
        }
        let new = keys.object("rope_parameters")?;
        if style != Style::Gemma {
            if let Some(inner) = &new {
                rotary.take(keys, parameters(inner, rotary.theta)?)?;
            }
            return Ok(rotary);
        }
        let mut local = keys.positive("rope_local_base_freq")?;
        if let Some(inner) = &new {
            if let Some((key, value)) =
                inner.entries().find(|(key, _)| *key != FULL && *key != SLIDING)
            {
                return Err(inner.refused(key, value, format!("only `{FULL}` and `{SLIDING}`")));
            }
            if let Some(full) = inner.object(FULL)? {
                rotary.take(keys, parameters(&full, rotary.theta)?)?;
            }
            if let Some(sliding) = inner.object(SLIDING)? {
                let (theta, scaling) = parameters(&sliding, local)?;
                if scaling != RopeScaling::None {
                    let kind = sliding.get("rope_type").or(sliding.get("type"));
                    let kind = kind.unwrap_or(&Value::Null);
                    return Err(sliding.refused("rope_type", kind, "\"default\""));
                }
                local = theta;
            }
        }
        rotary.window_theta = Some(local);
        Ok(rotary)
    }

    /// Takes what `rope_parameters` says, which may not contradict `rope_scaling`.
    fn take(&mut self, keys: &Keys<'_>, new: (f32, RopeScaling)) -> Result<(), ModelError> {
        if let Some(old) = keys.get("rope_scaling").filter(|_| (self.theta, self.scaling) != new) {
            return Err(keys.refused("rope_scaling", old, "what `rope_parameters` says"));
        }
        (self.theta, self.scaling) = new;
        Ok(())
    }
}

/// Base and scaling of one object of rotary parameters.
fn parameters(keys: &Keys<'_>, theta: f32) -> Result<(f32, RopeScaling), ModelError> {
    if let Some((key, value)) = keys.entries().find(|(key, _)| !ROPE_KEYS.contains(&key.as_str())) {
        return Err(keys.refused(key, value, "one base for all, and no other key"));
    }
    keys.fixed("partial_rotary_factor", &["1.0", "1"])?;
    let theta = keys.positive_or("rope_theta", theta)?;
    let key = if keys.get("rope_type").is_some() { "rope_type" } else { "type" };
    let scaling = match keys.get(key).map(Value::as_str) {
        None | Some(Some("default")) => RopeScaling::None,
        Some(Some("linear")) => RopeScaling::Linear { factor: keys.positive("factor")? },
        Some(Some("llama3")) => {
            let low = keys.positive("low_freq_factor")?;
            let high = keys.positive("high_freq_factor")?;
            if high <= low {
                let supported = format!("more than low_freq_factor ({low})");
                return Err(keys.refused("high_freq_factor", &json!(high), supported));
            }
            RopeScaling::Llama3 {
                factor: keys.positive("factor")?,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_context: keys.count("original_max_position_embeddings")?,
            }
        }
        Some(_) => {
            let found = keys.get(key).unwrap_or(&Value::Null);
            return Err(keys.refused(key, found, "\"default\", \"linear\" or \"llama3\""));
        }
    };
    Ok((theta, scaling))
}

/// The window, and the layers that look through it: `layer_types`, else by the family's rule.
pub(super) fn window(
    keys: &Keys<'_>,
    style: Style,
    layers: usize,
    rope_theta: Option<f32>,
) -> Result<Option<Window>, ModelError> {
    let tokens = match style {
        Style::Llama => None,
        Style::Qwen if !keys.flag_or("use_sliding_window", false)? => None,
        Style::Qwen | Style::Gemma => keys.count_or_none("sliding_window")?,
    };
    let layers = match layer_types(keys, layers)? {
        Some(listed) => listed,
        None if tokens.is_none() && style != Style::Gemma => Vec::new(),
        None if style == Style::Qwen => {
            let first = keys.index("max_window_layers")?;
            (0..layers).map(|layer| layer >= first).collect()
        }
        None => {
            let pattern = keys.count("sliding_window_pattern")?;
            (1..=layers).map(|number| number % pattern != 0).collect()
        }
    };
    match tokens {
        _ if !layers.contains(&true) => Ok(None),
        Some(tokens) => Ok(Some(Window { tokens, layers, rope_theta })),
        None if keys.get("layer_types").is_none() => {
            Err(keys.refused("sliding_window", &Value::Null, "a number of tokens"))
        }
        None => Err(keys.refused("layer_types", &json!(SLIDING), format!("\"{FULL}\""))),
    }
}

/// Whether each layer is listed as windowed.
fn layer_types(keys: &Keys<'_>, layers: usize) -> Result<Option<Vec<bool>>, ModelError> {
    let Some(kinds) = keys.get("layer_types") else {
        return Ok(None);
    };
    let supported = || format!("\"{FULL}\" or \"{SLIDING}\" for each of {layers} layers");
    let listed = kinds.as_array().filter(|listed| listed.len() == layers);
    let listed = listed.ok_or_else(|| keys.refused("layer_types", kinds, supported()))?;
    let windowed = |kind: &Value| match kind.as_str() {
        Some(FULL) => Ok(false),
        Some(SLIDING) => Ok(true),
        _ => Err(keys.refused("layer_types", kind, supported())),
    };
    listed.iter().map(windowed).collect::<Result<_, _>>().map(Some)
}

/// The keys of a shape, in the form of transformers 4, which 5 reads.
pub(super) fn entries(arch: &Arch, style: Style) -> Vec<(&'static str, Value)> {
    let mut entries = vec![
        ("rope_theta", json!(shortest(arch.rope_theta))),
        ("rope_scaling", rope_scaling(arch.variant.rope_scaling)),
    ];
    let window = arch.variant.window.as_ref();
    let windowed = |layer: usize| window.is_some_and(|window| window.layers[layer]);
    if style == Style::Llama {
        return entries;
    }
    let kinds: Vec<_> =
        (0..arch.layers).map(|at| if windowed(at) { SLIDING } else { FULL }).collect();
    entries.push(("layer_types", json!(kinds)));
    entries.push(("sliding_window", json!(window.map(|window| window.tokens))));
    if style == Style::Qwen {
        let first = (0..arch.layers).find(|layer| windowed(*layer)).unwrap_or(arch.layers);
        entries.push(("use_sliding_window", json!(window.is_some())));
        entries.push(("max_window_layers", json!(first)));
        return entries;
    }
    let theta = window.and_then(|window| window.rope_theta).unwrap_or(10_000.0);
    entries.push(("rope_local_base_freq", json!(shortest(theta))));
    // Tools that do not know `layer_types` read the pattern, where there is one.
    let follows =
        |pattern: &usize| (0..arch.layers).all(|at| windowed(at) == ((at + 1) % pattern != 0));
    if let Some(pattern) = (1..=arch.layers + 1).find(follows) {
        entries.push(("sliding_window_pattern", json!(pattern)));
    }
    entries
}

fn rope_scaling(scaling: RopeScaling) -> Value {
    match scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => {
            json!({"rope_type": "linear", "factor": shortest(factor)})
        }
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_context,
        } => json!({
            "rope_type": "llama3",
            "factor": shortest(factor),
            "low_freq_factor": shortest(low_frequency_factor),
            "high_freq_factor": shortest(high_frequency_factor),
            "original_max_position_embeddings": original_context,
        }),
    }
}
