//! HF checkpoint folders in and out: `model.safetensors` (or shards with an index) and configs.
//!
//! Files are mapped, and every tensor is converted straight to its place in the flat buffer of
//! [`Layout`], so loading holds one copy of the weights and saving makes none. What needs no whole
//! model at once reads it from a [`Shelf`], part by part.

mod numbers;
mod stream;

pub use numbers::Precision;
pub(crate) use stream::{Shelf, write_tensors};

use crate::config::is_multimodal;
use crate::{Arch, Layout, Model, ModelError, SpecialIds, WeightPrecision, Weights};
use diapason_flow::write_atomically;
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const CONFIG: &str = "config.json";
const HEAD: &str = "lm_head.weight";
const GENERATION: &str = "generation_config.json";

impl Model {
    /// Loads a HF folder: `config.json` and `model.safetensors`, or its shards with their index.
    /// Weights may be f32, f16 or bf16; they become f32. Of a multimodal checkpoint, the text part
    /// is loaded.
    ///
    /// # Errors
    /// See [`Model::load_held`].
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        Self::load_held(dir, Some(WeightPrecision::F32))
    }

    /// The same with weights that are held in a given precision, rounded to the nearest where it is
    /// less than the file's; or in bf16 where the whole file is, which loses nothing, and else in
    /// f32.
    ///
    /// # Errors
    /// A missing, truncated or damaged file; a config that the decoder cannot compute; a tensor
    /// that is missing, unknown, or of another shape or type than the config says. Each names the
    /// file and the tensor.
    pub fn load_held(dir: &Path, precision: Option<WeightPrecision>) -> Result<Self, ModelError> {
        let mapped = Mapped::open(dir)?;
        // Everything is checked before the buffer is made, so that a config of absurd sizes costs
        // no memory.
        let tensors = mapped.tensors()?;
        let halves = tensors.iter().all(|tensor| tensor.precision == Precision::Bf16);
        let stored = if halves { WeightPrecision::Bf16 } else { WeightPrecision::F32 };
        let mut weights = match precision.unwrap_or(stored) {
            WeightPrecision::F32 => Weights::F32(vec![0.0; mapped.layout.len]),
            WeightPrecision::Bf16 => Weights::Bf16(vec![0; mapped.layout.len]),
        };
        for (tensor, spec) in tensors.iter().zip(&mapped.layout.tensors) {
            let Found { precision, bytes, .. } = tensor;
            match &mut weights {
                Weights::F32(values) => precision.read(bytes, &mut values[spec.range.clone()]),
                Weights::Bf16(halves) => {
                    precision.read_halves(bytes, &mut halves[spec.range.clone()]);
                }
            }
        }
        Model::new(mapped.arch, weights)
    }

    /// Writes `model.safetensors`, `config.json` and `generation_config.json` to a folder, each
    /// atomically, in the precision in which the weights are held. transformers, vLLM and llama.cpp
    /// load the result.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn save(&self, dir: &Path, ids: &SpecialIds) -> Result<(), ModelError> {
        let precision = match self.weights.precision() {
            WeightPrecision::F32 => Precision::F32,
            WeightPrecision::Bf16 => Precision::Bf16,
        };
        let precisions = vec![precision; self.layout.tensors.len()];
        let copy = |tensor: usize, part: Range<usize>, values: &mut [f32]| {
            let start = self.layout.tensors[tensor].range.start;
            self.weights.part(start + part.start..start + part.end).copy_to(values);
            Ok(())
        };
        write_model(dir, (&self.arch, ids), &self.layout, &precisions, copy)
    }
}

/// Writes a folder of weights that come a part at a time, see [`write_tensors`].
pub(crate) fn write_model(
    dir: &Path,
    (arch, ids): (&Arch, &SpecialIds),
    layout: &Layout,
    precisions: &[Precision],
    part: impl FnMut(usize, Range<usize>, &mut [f32]) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let specs: Vec<_> = layout.tensors.iter().zip(precisions.iter().copied()).collect();
    write_tensors(&dir.join(SINGLE), &specs, part)?;
    let mut config = arch.to_config(ids);
    if let Some(first) = precisions.first() {
        config["torch_dtype"] = first.config_name().into();
    }
    write_json(&dir.join(CONFIG), &config)?;
    write_json(&dir.join(GENERATION), &ids.to_generation_config())
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

/// The mapped weight files of a folder, and what its config says of them. Of a map, only what is
/// looked at comes into memory.
struct Mapped {
    dir: PathBuf,
    arch: Arch,
    layout: Layout,
    multimodal: bool,
    maps: Vec<(PathBuf, Mmap)>,
}

/// A checked tensor of a mapped file.
struct Found<'a> {
    /// Which of the files.
    file: usize,
    precision: Precision,
    bytes: &'a [u8],
}

impl Mapped {
    fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let config = read_json(&path)?;
        let arch = Arch::from_config(&config, &path)?;
        let layout = Layout::of(&arch);
        let mut maps = Vec::new();
        for path in weight_files(dir)? {
            let map = map_file(&path)?;
            maps.push((path, map));
        }
        let multimodal = is_multimodal(&config);
        Ok(Mapped { dir: dir.to_owned(), arch, layout, multimodal, maps })
    }

    /// Every tensor of the layout, in its order; nothing is missing and nothing left over.
    fn tensors(&self) -> Result<Vec<Found<'_>>, ModelError> {
        let mut found = tensors_of(&self.maps, self.multimodal)?;
        let mut tensors = Vec::with_capacity(self.layout.tensors.len());
        for spec in &self.layout.tensors {
            let tensor = found.remove(&spec.name).ok_or_else(|| ModelError::TensorMissing {
                path: self.dir.clone(),
                tensor: spec.name.clone(),
            })?;
            tensors.push(self.check(tensor, &spec.name, &spec.shape)?);
        }
        if self.arch.tied
            && let Some(head) = found.remove(HEAD)
        {
            let head = self.check(head, HEAD, &[self.arch.vocabulary, self.arch.width])?;
            self.check_tied_head(&head, &tensors[0])?;
        }
        // A table that old checkpoints carry along; it follows from `rope_theta`.
        found.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
        match found.pop_first() {
            Some((tensor, (file, _))) => {
                Err(ModelError::TensorUnknown { path: self.maps[file].0.clone(), tensor })
            }
            None => Ok(tensors),
        }
    }

    fn check<'a>(
        &self,
        (file, view): (usize, TensorView<'a>),
        name: &str,
        expected: &[usize],
    ) -> Result<Found<'a>, ModelError> {
        let (path, tensor) = (self.maps[file].0.clone(), name.to_owned());
        if view.shape() != expected {
            let (expected, found) = (expected.to_vec(), view.shape().to_vec());
            return Err(ModelError::TensorShape { path, tensor, expected, found });
        }
        let Some(precision) = Precision::of(view.dtype()) else {
            let found = format!("{:?}", view.dtype());
            return Err(ModelError::TensorDtype { path, tensor, found });
        };
        Ok(Found { file, precision, bytes: view.data() })
    }

    /// Some tools write the output head although it is the embedding; it must then equal it.
    fn check_tied_head(&self, head: &Found<'_>, embed: &Found<'_>) -> Result<(), ModelError> {
        let row = |tensor: &Found<'_>, index: usize| {
            let mut values = vec![0.0; self.arch.width];
            let size = tensor.precision.bytes() * values.len();
            tensor.precision.read(&tensor.bytes[index * size..], &mut values);
            values
        };
        if (0..self.arch.vocabulary).all(|index| row(head, index) == row(embed, index)) {
            return Ok(());
        }
        let problem = "`tie_word_embeddings` is true, but `lm_head.weight` differs from \
                       `model.embed_tokens.weight`";
        let path = self.maps[head.file].0.clone();
        Err(ModelError::Damaged { path, problem: problem.to_owned() })
    }
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
) -> Result<BTreeMap<String, (usize, TensorView<'_>)>, ModelError> {
    let mut found = BTreeMap::new();
    for (file, (path, map)) in maps.iter().enumerate() {
        let damaged = |problem| ModelError::Damaged { path: path.clone(), problem };
        let tensors = SafeTensors::deserialize(map).map_err(|error| damaged(error.to_string()))?;
        for (theirs, view) in tensors.tensors() {
            let problem = format!("`{theirs}` is there twice");
            let name = if multimodal { name_in_text_part(theirs) } else { Some(theirs) };
            let Some(name) = name else { continue };
            if found.insert(name, (file, view)).is_some() {
                return Err(damaged(problem));
            }
        }
    }
    Ok(found)
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

pub(crate) fn map_file(path: &Path) -> Result<Mmap, ModelError> {
    let read = |source| ModelError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is only read, and dropped before the function that asked for it returns.
    // Another process could truncate the file meanwhile, which would end this one with SIGBUS;
    // our own writers rename whole files into place and never touch one that is there.
    unsafe { Mmap::map(&file) }.map_err(read)
}

pub(crate) fn read_json(path: &Path) -> Result<Value, ModelError> {
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

pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
    .map_err(|source| ModelError::Io { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
