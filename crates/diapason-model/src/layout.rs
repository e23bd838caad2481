//! Where each tensor lives in the one flat buffer of a model's weights.
//!
//! Weights, gradients and optimiser moments are buffers of the same length and layout, so that
//! clipping, AdamW and checkpoints are loops over plain slices. Matrices are row-major
//! `[out, in]` as in HF. `q`, `k`, `v` are neighbours, and so are `gate` and `up`: each group is
//! one fused matrix of `(H + 2K)·E` and `2M` rows.

use crate::Arch;
use std::ops::Range;

/// One named tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the checkpoint, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// `[out, in]` or `[D]`.
    pub shape: Vec<usize>,
    /// Elements of the flat buffer.
    pub range: Range<usize>,
}

impl TensorSpec {
    /// Whether weight decay applies: matrices yes, norm weights no.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// Ranges of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerLayout {
    /// `[D]`
    pub input_norm: Range<usize>,
    /// `[(H + 2K)·E, D]`: q, k, v.
    pub qkv: Range<usize>,
    /// `[D, H·E]`
    pub o: Range<usize>,
    /// `[D]`
    pub post_norm: Range<usize>,
    /// `[2M, D]`: gate, up.
    pub gate_up: Range<usize>,
    /// `[D, M]`
    pub down: Range<usize>,
}

/// Ranges of all tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `[V, D]`
    pub embed: Range<usize>,
    /// One entry a layer.
    pub layers: Vec<LayerLayout>,
    /// `[D]`
    pub final_norm: Range<usize>,
    /// `[V, D]`; equals `embed` if tied.
    pub head: Range<usize>,
    /// Every tensor of the checkpoint in the order of the buffer.
    pub tensors: Vec<TensorSpec>,
    /// Number of elements of the buffer.
    pub len: usize,
}

impl Layout {
    /// The layout of a shape.
    pub fn of(arch: &Arch) -> Self {
        let mut build = Builder::default();
        let (d, m) = (arch.width, arch.mlp_width);
        let (q, kv) = (arch.heads * arch.head_width, arch.kv_heads * arch.head_width);
        let embed = build.tensor("model.embed_tokens.weight", &[arch.vocabulary, d]);
        let layers = (0..arch.layers)
            .map(|index| {
                let mut part = |name: &str, shape: &[usize]| {
                    build.tensor(&format!("model.layers.{index}.{name}.weight"), shape)
                };
                let input_norm = part("input_layernorm", &[d]);
                let q_proj = part("self_attn.q_proj", &[q, d]);
                part("self_attn.k_proj", &[kv, d]);
                let v_proj = part("self_attn.v_proj", &[kv, d]);
                let o = part("self_attn.o_proj", &[d, q]);
                let post_norm = part("post_attention_layernorm", &[d]);
                let gate = part("mlp.gate_proj", &[m, d]);
                let up = part("mlp.up_proj", &[m, d]);
                let down = part("mlp.down_proj", &[d, m]);
                LayerLayout {
                    input_norm,
                    qkv: q_proj.start..v_proj.end,
                    o,
                    post_norm,
                    gate_up: gate.start..up.end,
                    down,
                }
            })
            .collect();
        let final_norm = build.tensor("model.norm.weight", &[d]);
        let head = if arch.tied {
            embed.clone()
        } else {
            build.tensor("lm_head.weight", &[arch.vocabulary, d])
        };
        Layout { embed, layers, final_norm, head, tensors: build.tensors, len: build.len }
    }
}

#[derive(Default)]
struct Builder {
    tensors: Vec<TensorSpec>,
    len: usize,
}

impl Builder {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let (name, shape) = (name.to_owned(), shape.to_vec());
        self.tensors.push(TensorSpec { name, shape, range: range.clone() });
        range
    }
}
