//! HF checkpoint folders in and out: `model.safetensors` (or shards with an index) and configs.
//!
//! Files are mapped, and every tensor is converted straight to its place in the flat buffer of
//! [`Layout`], so loading holds one copy of the weights and saving makes none.

use crate::config::is_multimodal;
use crate::{Arch, Layout, Model, ModelError, SpecialIds};
use diapason_flow::write_atomically;
use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";

impl Model {
    /// Loads a HF folder: `config.json` and `model.safetensors`, or its shards with their index.
    /// Weights may be f32, f16 or bf16; they become f32. Of a multimodal checkpoint, the text part
    /// is loaded.
    ///
    /// # Errors
    /// A missing, truncated or damaged file; a config that the decoder cannot compute; a tensor
    /// that is missing, unknown, or of another shape or type than the config says. Each names the
    /// file and the tensor.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let config = read_json(&path)?;
        let arch = Arch::from_config(&config, &path)?;
        let weights = read_weights(dir, &arch, &Layout::of(&arch), is_multimodal(&config))?;
        Model::new(arch, weights)
    }

    /// Writes `model.safetensors`, `config.json` and `generation_config.json` to a folder, each
    /// atomically, in f32. transformers, vLLM and llama.cpp load the result.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn save(&self, dir: &Path, ids: &SpecialIds) -> Result<(), ModelError> {
        let weights = dir.join(SINGLE);
        write_weights(&weights, &self.layout, &self.weights)?;
        write_json(&dir.join(CONFIG), &self.arch.to_config(ids))?;
        write_json(&dir.join(GENERATION), &ids.to_generation_config())
    }
}

impl SpecialIds {
    /// The special ids of a HF folder: `generation_config.json` where it has them, else
    /// `config.json`.
    ///
    /// # Errors
    /// A missing `config.json`, an unreadable file, or a value that is no id.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let mut ids = SpecialIds::from_config(&read_json(&path)?, &path)?;
        let path = dir.join(GENERATION);
        if path.exists() {
            let generation = SpecialIds::from_config(&read_json(&path)?, &path)?;
            ids.begin = generation.begin.or(ids.begin);
            ids.pad = generation.pad.or(ids.pad);
            if !generation.end.is_empty() {
                ids.end = generation.end;
            }
        }
        Ok(ids)
    }
}

/// Reads all weights into one buffer of the layout. Everything is checked before the buffer is
/// made, so that a config of absurd sizes costs no memory.
fn read_weights(
    dir: &Path,
    arch: &Arch,
    layout: &Layout,
    multimodal: bool,
) -> Result<Vec<f32>, ModelError> {
    let mut maps = Vec::new();
    for path in weight_files(dir)? {
        let map = map_file(&path)?;
        maps.push((path, map));
    }
    let mut found = tensors_of(&maps, multimodal)?;
    let mut plan = Vec::with_capacity(layout.tensors.len());
    for spec in &layout.tensors {
        let (path, view) = found.remove(&spec.name).ok_or_else(|| ModelError::TensorMissing {
            path: dir.to_owned(),
            tensor: spec.name.clone(),
        })?;
        check(path, &spec.name, &spec.shape, &view)?;
        plan.push((view, spec.range.clone()));
    }
    let tied_head = if arch.tied { found.remove("lm_head.weight") } else { None };
    // A table that old checkpoints carry along; it follows from `rope_theta`.
    found.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
    if let Some((tensor, (path, _))) = found.pop_first() {
        return Err(ModelError::TensorUnknown { path: path.to_owned(), tensor });
    }
    let mut weights = vec![0.0; layout.len];
    for (view, range) in plan {
        convert(&view, &mut weights[range]);
    }
    if let Some((path, view)) = tied_head {
        check_tied_head(path, &view, arch, &weights[layout.embed.clone()])?;
    }
    Ok(weights)
}

/// The name in our layout of a tensor of a multimodal file; `None` if it is no part of the text
/// decoder. That is held under `language_model.model.`, or under `model.language_model.` when
/// transformers 4.52 or later wrote it without its mapping.
fn name_in_text_part(name: String) -> Option<String> {
    const OTHER_PARTS: [&str; 4] = [
        "vision_tower.",
        "multi_modal_projector.",
        "model.vision_tower.",
        "model.multi_modal_projector.",
    ];
    if OTHER_PARTS.iter().any(|part| name.starts_with(part)) {
        return None;
    }
    for (theirs, ours) in [
        ("language_model.model.", "model."),
        ("model.language_model.", "model."),
        ("language_model.lm_head.", "lm_head."),
    ] {
        if let Some(rest) = name.strip_prefix(theirs) {
            return Some(format!("{ours}{rest}"));
        }
    }
    Some(name)
}

/// Every tensor of the mapped files by its name in the model, with the file it is in.
fn tensors_of(
    maps: &[(PathBuf, Mmap)],
    multimodal: bool,
) -> Result<BTreeMap<String, (&Path, TensorView<'_>)>, ModelError> {
    let mut found = BTreeMap::new();
    for (path, map) in maps {
        let damaged = |problem| ModelError::Damaged { path: path.clone(), problem };
        let tensors = SafeTensors::deserialize(map).map_err(|error| damaged(error.to_string()))?;
        for (theirs, view) in tensors.tensors() {
            let problem = format!("`{theirs}` is there twice");
            let name = if multimodal { name_in_text_part(theirs) } else { Some(theirs) };
            let Some(name) = name else { continue };
            if found.insert(name, (path.as_path(), view)).is_some() {
                return Err(damaged(problem));
            }
        }
    }
    Ok(found)
}

/// Some tools write the output head although it is the embedding; it must then equal it.
fn check_tied_head(
    path: &Path,
    view: &TensorView<'_>,
    arch: &Arch,
    embed: &[f32],
) -> Result<(), ModelError> {
    check(path, "lm_head.weight", &[arch.vocabulary, arch.width], view)?;
    let mut head = vec![0.0; embed.len()];
    convert(view, &mut head);
    if head == embed {
        return Ok(());
    }
    let problem = "`tie_word_embeddings` is true, but `lm_head.weight` differs from \
                   `model.embed_tokens.weight`";
    Err(ModelError::Damaged { path: path.to_owned(), problem: problem.to_owned() })
}

/// The files that hold the weights: the single one, or the shards that the index names.
fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let (single, index) = (dir.join(SINGLE), dir.join(INDEX));
    if single.exists() {
        return Ok(vec![single]);
    }
    if !index.exists() {
        return Err(ModelError::NoWeights { path: dir.to_owned() });
    }
    let content = read_json(&index)?;
    let damaged =
        |problem: &str| ModelError::Damaged { path: index.clone(), problem: problem.to_owned() };
    let map = content.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| damaged("it has no object `weight_map`"))?;
    let mut files = BTreeSet::new();
    for file in map.values() {
        let name = file.as_str().ok_or_else(|| damaged("a value of `weight_map` is no text"))?;
        // An index comes from outside: it may name files of its own folder only.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(damaged(&format!("`{name}` is not a plain file name")));
        }
        files.insert(dir.join(name));
    }
    Ok(files.into_iter().collect())
}

fn map_file(path: &Path) -> Result<Mmap, ModelError> {
    let read = |source| ModelError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is only read, and dropped before the function that asked for it returns.
    // Another process could truncate the file meanwhile, which would end this one with SIGBUS;
    // our own writers rename whole files into place and never touch one that is there.
    unsafe { Mmap::map(&file) }.map_err(read)
}

fn check(
    path: &Path,
    name: &str,
    expected: &[usize],
    view: &TensorView<'_>,
) -> Result<(), ModelError> {
    let (path, tensor) = (path.to_owned(), name.to_owned());
    if view.shape() != expected {
        let (expected, found) = (expected.to_vec(), view.shape().to_vec());
        return Err(ModelError::TensorShape { path, tensor, expected, found });
    }
    match view.dtype() {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
        other => Err(ModelError::TensorDtype { path, tensor, found: format!("{other:?}") }),
    }
}

/// Converts a checked tensor to f32. Bytes need no alignment.
fn convert(view: &TensorView<'_>, target: &mut [f32]) {
    let bytes = view.data();
    match view.dtype() {
        Dtype::BF16 => {
            for (slot, pair) in target.iter_mut().zip(bytes.as_chunks().0) {
                *slot = f32::from_bits(u32::from(u16::from_le_bytes(*pair)) << 16);
            }
        }
        Dtype::F16 => {
            for (slot, pair) in target.iter_mut().zip(bytes.as_chunks().0) {
                *slot = half_to_f32(u16::from_le_bytes(*pair));
            }
        }
        _ => {
            for (slot, four) in target.iter_mut().zip(bytes.as_chunks().0) {
                *slot = f32::from_le_bytes(*four);
            }
        }
    }
}

/// IEEE 754 binary16 → binary32, exact for every value.
fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: fraction · 2^-24, which f32 holds exactly.
        0 => (fraction as f32 * 2.0_f32.powi(-24)).to_bits(),
        // Infinity and not-a-number.
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

fn write_weights(path: &Path, layout: &Layout, weights: &[f32]) -> Result<(), ModelError> {
    write_atomically(path, |out| {
        let header = header(layout)?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let mut bytes = Vec::with_capacity(1 << 18);
        for chunk in weights.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes)?;
        }
        Ok(())
    })
    .map_err(|source| ModelError::Io { action: "write", path: path.to_owned(), source })
}

/// The safetensors header: the tensors of the layout, whose order is the order of the data.
/// Padded with spaces so that the data begins at a multiple of 8 bytes.
fn header(layout: &Layout) -> io::Result<Vec<u8>> {
    let tensors = layout.tensors.iter().map(|spec| {
        let data_offsets = (spec.range.start * 4, spec.range.end * 4);
        let info = TensorInfo { dtype: Dtype::F32, shape: spec.shape.clone(), data_offsets };
        (spec.name.clone(), info)
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), tensors.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    let text = fs::read(path).map_err(|source| ModelError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|problem| ModelError::Damaged {
        path: path.to_owned(),
        problem: problem.to_string(),
    })
}

fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
    .map_err(|source| ModelError::Io { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
