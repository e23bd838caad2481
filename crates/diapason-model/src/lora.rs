//! Low-rank adapters (LoRA, arXiv 2106.09685): `y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ` around chosen linear maps.
//!
//! Legend: r rank, `A [r, in]`, `B [out, r]`, `s = alpha / r`, or `alpha / √r` (rsLoRA, arXiv
//! 2312.03732). An adapter is a flat buffer with its own list of tensors, as the weights of a model
//! are, so the optimiser and checkpoints treat both alike. Names are those of PEFT.

mod apply;
mod merge;
mod peft;

pub(crate) use apply::{Dropout, Entering, Lora, gate_columns, head_columns};

use crate::{Arch, Model, ModelError, Numbers, TensorSpec, WeightsMut, WeightsRef};
use diapason_flow::Streams;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// What an adapter is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraSettings {
    /// r, columns of A's transpose and of B.
    pub rank: usize,
    /// Scales what the adapter adds: by `alpha / rank`.
    pub alpha: f32,
    /// Scale by `alpha / √rank` instead.
    pub rslora: bool,
    /// Share of the input of A that is zero in a training step.
    pub dropout: f32,
    /// Modules by name: the end of a path such as `q_proj` or `layers.0.mlp.up_proj`, or a pattern
    /// over whole paths in which `*` stands for anything. `embed_tokens` and `lm_head` count too.
    pub targets: Vec<String>,
}

impl Default for LoraSettings {
    fn default() -> Self {
        let all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        LoraSettings {
            rank: 16,
            alpha: 32.0,
            rslora: false,
            dropout: 0.0,
            targets: all.map(str::to_owned).to_vec(),
        }
    }
}

impl LoraSettings {
    /// s, what the product of A and B is multiplied by.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}

/// A linear map of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    Embed,
    Layer(usize, Linear),
    Head,
}

/// A linear map of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Linear {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
}

/// A module that can be adapted.
struct Module {
    site: Site,
    /// Its path in HF's model, such as `model.layers.0.self_attn.q_proj`.
    path: String,
    /// Rows and columns of its weight.
    shape: (usize, usize),
}

/// Every linear map of a decoder.
fn modules(arch: &Arch) -> Vec<Module> {
    let (d, m) = (arch.width, arch.mlp_width);
    let (q, kv) = (arch.heads * arch.head_width, arch.kv_heads * arch.head_width);
    let linears = [
        (Linear::Q, "self_attn.q_proj", (q, d)),
        (Linear::K, "self_attn.k_proj", (kv, d)),
        (Linear::V, "self_attn.v_proj", (kv, d)),
        (Linear::O, "self_attn.o_proj", (d, q)),
        (Linear::Gate, "mlp.gate_proj", (m, d)),
        (Linear::Up, "mlp.up_proj", (m, d)),
        (Linear::Down, "mlp.down_proj", (d, m)),
    ];
    let table = (arch.vocabulary, d);
    let embed = Module { site: Site::Embed, path: "model.embed_tokens".to_owned(), shape: table };
    let layers = (0..arch.layers).flat_map(|layer| {
        linears.iter().map(move |(linear, name, shape)| Module {
            site: Site::Layer(layer, *linear),
            path: format!("model.layers.{layer}.{name}"),
            shape: *shape,
        })
    });
    let head = Module { site: Site::Head, path: "lm_head".to_owned(), shape: table };
    std::iter::once(embed).chain(layers).chain(std::iter::once(head)).collect()
}

/// Whether a module's path ends with a name, or fits a pattern with `*`.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return path == pattern || path.ends_with(&format!(".{pattern}"));
    };
    let Some(mut path) = path.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(place) = path.find(part) else { return false };
        path = &path[place + part.len()..];
    }
    path.ends_with(last)
}

/// A and B of one module, as ranges of the adapter's buffer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// `[r, in]`; of the embedding `[r, V]`.
    pub a: Range<usize>,
    /// `[out, r]`; of the embedding `[D, r]`.
    pub b: Range<usize>,
    /// Columns of A and rows of B.
    pub shape: (usize, usize),
}

/// A low-rank adapter of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// What it is like.
    pub settings: LoraSettings,
    /// Its tensors in the order of the buffer, under PEFT's names.
    pub tensors: Vec<TensorSpec>,
    /// All of A and B.
    pub weights: Vec<f32>,
    pairs: BTreeMap<Site, Pair>,
}

impl Adapter {
    /// A fresh adapter that changes nothing: A uniform on `±1/√in` as in PEFT, B zero; of an
    /// embedding A zero and B normal.
    ///
    /// # Errors
    /// [`ModelError::Adapter`] for settings that make no adapter, such as a target that fits no
    /// module.
    pub fn new(
        arch: &Arch,
        settings: &LoraSettings,
        streams: &Streams,
    ) -> Result<Self, ModelError> {
        let problem = |problem: String| Err(ModelError::Adapter { problem });
        if settings.rank == 0 {
            return problem("its rank is 0".to_owned());
        }
        if !settings.alpha.is_finite() || !(0.0..1.0).contains(&settings.dropout) {
            let LoraSettings { alpha, dropout, .. } = settings;
            return problem(format!("alpha is {alpha} and dropout {dropout}"));
        }
        let modules = modules(arch);
        let idle = |target: &&String| !modules.iter().any(|module| fits(target, &module.path));
        if let Some(target) = settings.targets.iter().find(idle) {
            return problem(format!("`{target}` fits no module of the model"));
        }
        let chosen = |module: &&Module| settings.targets.iter().any(|t| fits(t, &module.path));
        let chosen: Vec<&Module> = modules.iter().filter(chosen).collect();
        if chosen.is_empty() {
            return problem("it has no targets".to_owned());
        }
        let mut adapter = Self::zeroed(&chosen, settings.clone());
        for (site, pair) in &adapter.pairs {
            let embed = *site == Site::Embed;
            let range = if embed { pair.b.clone() } else { pair.a.clone() };
            let name = adapter.tensors.iter().find(|spec| spec.range == range);
            let name = name.map_or("", |spec| &spec.name);
            let mut stream = streams.within("lora").stream(name, 0);
            let bound = 1.0 / (pair.shape.0 as f32).sqrt();
            for weight in &mut adapter.weights[range] {
                *weight = if embed {
                    StandardNormal.sample(&mut stream)
                } else {
                    stream.random_range(-bound..bound)
                };
            }
        }
        Ok(adapter)
    }

    /// An adapter of these modules with zeros in its buffer.
    fn zeroed(modules: &[&Module], settings: LoraSettings) -> Self {
        let (mut tensors, mut pairs, mut len) = (Vec::new(), BTreeMap::new(), 0);
        for Module { site, path, shape: (rows, columns) } in modules {
            // PEFT looks an embedding up in A, so A has a column for every token.
            let embed = *site == Site::Embed;
            let (out, input) = if embed { (*columns, *rows) } else { (*rows, *columns) };
            let names = if embed {
                ["lora_embedding_A", "lora_embedding_B"]
            } else {
                ["lora_A.weight", "lora_B.weight"]
            };
            let mut tensor = |name: &str, shape: [usize; 2]| {
                let range = len..len + shape[0] * shape[1];
                len = range.end;
                let name = format!("base_model.model.{path}.{name}");
                tensors.push(TensorSpec { name, shape: shape.to_vec(), range: range.clone() });
                range
            };
            let a = tensor(names[0], [settings.rank, input]);
            let b = tensor(names[1], [out, settings.rank]);
            pairs.insert(*site, Pair { a, b, shape: (input, out) });
        }
        Adapter { settings, tensors, weights: vec![0.0; len], pairs }
    }

    /// Every module that is adapted, with its A and B.
    pub(crate) fn sites(&self) -> impl Iterator<Item = (Site, &Pair)> {
        self.pairs.iter().map(|(site, pair)| (*site, pair))
    }

    /// A and B of a module, if it is adapted.
    pub(crate) fn pair(&self, site: Site) -> Option<&Pair> {
        self.pairs.get(&site)
    }
}

impl Model {
    /// Adds an adapter that stays in memory beside the base. Packs use the first one; a feed names
    /// the one it uses. Returns its number.
    ///
    /// # Errors
    /// [`ModelError::Adapter`] if it was made for another shape.
    pub fn attach(&mut self, adapter: Adapter) -> Result<usize, ModelError> {
        let modules = modules(&self.arch);
        for (site, pair) in &adapter.pairs {
            let module = modules.iter().find(|module| module.site == *site);
            let (rows, columns) = module.map_or((0, 0), |module| module.shape);
            let shape = if *site == Site::Embed { (rows, columns) } else { (columns, rows) };
            if pair.shape != shape {
                let path = module.map_or_else(|| format!("{site:?}"), |module| module.path.clone());
                let (input, out) = pair.shape;
                let problem = format!("its `{path}` maps {input} values to {out}");
                return Err(ModelError::Adapter { problem });
            }
        }
        self.adapters.push(adapter);
        Ok(self.adapters.len() - 1)
    }

    /// What training changes: the first adapter where there is one, else all weights.
    pub fn trained(&self) -> (&[TensorSpec], WeightsRef<'_>) {
        match self.adapters.first() {
            Some(adapter) => (&adapter.tensors, Numbers::F32(&adapter.weights)),
            None => (&self.layout.tensors, self.weights.all()),
        }
    }

    /// [`Model::trained`], to be changed.
    pub fn trained_mut(&mut self) -> (&[TensorSpec], WeightsMut<'_>) {
        match self.adapters.first_mut() {
            Some(adapter) => (&adapter.tensors, Numbers::F32(&mut adapter.weights)),
            None => (&self.layout.tensors, self.weights.all_mut()),
        }
    }
}

#[cfg(test)]
mod tests;
