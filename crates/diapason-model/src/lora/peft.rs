//! Adapter folders as PEFT writes and reads them: `adapter_config.json` and
//! `adapter_model.safetensors`.

use super::{Adapter, LoraSettings, Module, modules};
use crate::checkpoint::{Precision, map_file, read_json, write_json, write_tensors};
use crate::{Arch, ModelError, TensorSpec};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Keys that change what an adapter computes, and the values with which they do not.
const PLAIN: [(&str, &[&str]); 9] = [
    ("peft_type", &["\"LORA\""]),
    ("bias", &["null", "\"none\""]),
    ("use_dora", &["null", "false"]),
    ("fan_in_fan_out", &["null", "false"]),
    ("rank_pattern", &["null", "{}"]),
    ("alpha_pattern", &["null", "{}"]),
    ("modules_to_save", &["null", "[]"]),
    ("layer_replication", &["null"]),
    ("lora_bias", &["null", "false"]),
];

impl Adapter {
    /// Writes an adapter folder that PEFT loads. `base` is what it calls the base model.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn save(&self, dir: &Path, base: &str) -> Result<(), ModelError> {
        let specs: Vec<(&TensorSpec, Precision)> =
            self.tensors.iter().map(|spec| (spec, Precision::F32)).collect();
        write_tensors(&dir.join(WEIGHTS), &specs, |tensor, part: Range<usize>, values| {
            let start = self.tensors[tensor].range.start;
            values.copy_from_slice(&self.weights[start + part.start..start + part.end]);
            Ok(())
        })?;
        write_json(&dir.join(CONFIG), &self.config(base))
    }

    fn config(&self, base: &str) -> Value {
        let LoraSettings { rank, alpha, rslora, dropout, targets } = &self.settings;
        // PEFT matches the end of a path, as we do, but knows no `*` in a list.
        let targets: Vec<String> = if targets.iter().any(|target| target.contains('*')) {
            let path = |spec: &TensorSpec| module_of(&spec.name).map(|(path, _)| path.to_owned());
            let mut paths: Vec<String> = self.tensors.iter().filter_map(path).collect();
            paths.dedup();
            paths
        } else {
            targets.clone()
        };
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "inference_mode": true,
            "r": rank,
            "lora_alpha": whole_or_real(*alpha),
            "lora_dropout": whole_or_real(*dropout),
            "use_rslora": rslora,
            "use_dora": false,
            "bias": "none",
            "fan_in_fan_out": false,
            "modules_to_save": null,
            "target_modules": targets,
        })
    }

    /// Loads an adapter folder of PEFT for a decoder of this shape. Weights may be f32, f16 or
    /// bf16.
    ///
    /// # Errors
    /// A missing or damaged file; a kind of adapter that is not this one; a tensor that is missing,
    /// unknown or of another shape.
    pub fn load(dir: &Path, arch: &Arch) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let settings = settings(&read_json(&path)?, &path)?;
        let path = dir.join(WEIGHTS);
        let map = map_file(&path)?;
        let damaged = |problem: String| ModelError::Damaged { path: path.clone(), problem };
        let file = SafeTensors::deserialize(&map).map_err(|error| damaged(error.to_string()))?;
        let mut found: BTreeMap<String, _> = file.tensors().into_iter().collect();
        let all = modules(arch);
        let named = |module: &&Module| {
            let inside =
                |name: &String| module_of(name).is_some_and(|(path, _)| path == module.path);
            found.keys().any(inside)
        };
        let chosen: Vec<&Module> = all.iter().filter(named).collect();
        let mut adapter = Adapter::zeroed(&chosen, settings);
        for spec in &adapter.tensors {
            let (path, tensor) = (path.clone(), spec.name.clone());
            let Some(view) = found.remove(&spec.name) else {
                return Err(ModelError::TensorMissing { path, tensor });
            };
            if view.shape() != spec.shape {
                let (expected, found) = (spec.shape.clone(), view.shape().to_vec());
                return Err(ModelError::TensorShape { path, tensor, expected, found });
            }
            let Some(precision) = Precision::of(view.dtype()) else {
                let found = format!("{:?}", view.dtype());
                return Err(ModelError::TensorDtype { path, tensor, found });
            };
            precision.read(view.data(), &mut adapter.weights[spec.range.clone()]);
        }
        // PEFT may save an adapted embedding whole as well; the base has it already.
        found.retain(|name, _| !name.ends_with(".base_layer.weight"));
        match found.pop_first() {
            Some((tensor, _)) => Err(ModelError::TensorUnknown { path, tensor }),
            None if adapter.tensors.is_empty() => Err(damaged("it adapts nothing".to_owned())),
            None => Ok(adapter),
        }
    }
}

/// The path of the module that a tensor of an adapter belongs to, and the rest of its name.
fn module_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("base_model.model.")?.split_once(".lora_")
}

/// A number as PEFT's users write it: `32`, not `32.0`.
fn whole_or_real(value: f32) -> Value {
    let whole = value as i64;
    if whole as f32 == value { json!(whole) } else { json!(f64::from(value)) }
}

fn settings(config: &Value, path: &Path) -> Result<LoraSettings, ModelError> {
    let refuse = |key: &str, supported: &str| ModelError::ConfigValue {
        path: path.to_owned(),
        key: key.to_owned(),
        found: config[key].to_string(),
        supported: supported.to_owned(),
    };
    for (key, plain) in PLAIN {
        if !plain.contains(&config[key].to_string().as_str()) {
            return Err(refuse(key, &plain.join(" or ")));
        }
    }
    let missing =
        |key: &str| ModelError::ConfigMissing { path: path.to_owned(), key: key.to_owned() };
    let rank = config.get("r").ok_or_else(|| missing("r"))?.as_u64();
    let rank = rank.filter(|rank| (1..=1 << 16).contains(rank));
    let alpha = config.get("lora_alpha").ok_or_else(|| missing("lora_alpha"))?.as_f64();
    let dropout = config["lora_dropout"].as_f64().unwrap_or(0.0) as f32;
    let targets = match &config["target_modules"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Ok(LoraSettings {
        rank: rank.ok_or_else(|| refuse("r", "a whole number in 1..=65536"))? as usize,
        alpha: alpha.ok_or_else(|| refuse("lora_alpha", "a number"))? as f32,
        rslora: config["use_rslora"].as_bool().unwrap_or(false),
        dropout,
        targets,
    })
}
