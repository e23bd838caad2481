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
    /// Whether weight decay applies: matrices yes, norm weights and biases no.
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
    /// `[(H + 2K)·E]`: q, k, v.
    pub qkv_bias: Option<Range<usize>>,
    /// `[E]` each: queries, keys.
    pub head_norms: Option<[Range<usize>; 2]>,
    /// `[D, H·E]`
    pub o: Range<usize>,
    /// `[D]`, of what attention adds.
    pub attention_norm: Option<Range<usize>>,
    /// `[D]`, before the MLP.
    pub middle_norm: Range<usize>,
    /// `[2M, D]`: gate, up.
    pub gate_up: Range<usize>,
    /// `[D, M]`
    pub down: Range<usize>,
    /// `[D]`, of what the MLP adds.
    pub mlp_norm: Option<Range<usize>>,
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
        let embed = build.tensor("model.embed_tokens.weight", &[arch.vocabulary, arch.width]);
        let layers = (0..arch.layers).map(|index| build.layer(arch, index)).collect();
        let final_norm = build.tensor("model.norm.weight", &[arch.width]);
        let head = if arch.tied {
            embed.clone()
        } else {
            build.tensor("lm_head.weight", &[arch.vocabulary, arch.width])
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
    fn layer(&mut self, arch: &Arch, index: usize) -> LayerLayout {
        let (d, m, variant) = (arch.width, arch.mlp_width, &arch.variant);
        let (q, kv) = (arch.heads * arch.head_width, arch.kv_heads * arch.head_width);
        let mut part = |name: &str, shape: &[usize]| {
            self.tensor(&format!("model.layers.{index}.{name}"), shape)
        };
        let input_norm = part("input_layernorm.weight", &[d]);
        let q_proj = part("self_attn.q_proj.weight", &[q, d]);
        part("self_attn.k_proj.weight", &[kv, d]);
        let v_proj = part("self_attn.v_proj.weight", &[kv, d]);
        let qkv_bias = variant.qkv_bias.then(|| {
            let q_bias = part("self_attn.q_proj.bias", &[q]);
            part("self_attn.k_proj.bias", &[kv]);
            q_bias.start..part("self_attn.v_proj.bias", &[kv]).end
        });
        let head_norms = variant.head_norms.then(|| {
            ["q_norm", "k_norm"]
                .map(|name| part(&format!("self_attn.{name}.weight"), &[arch.head_width]))
        });
        let o = part("self_attn.o_proj.weight", &[d, q]);
        // With four norms a layer, HF's `post_attention_layernorm` is really behind attention;
        // with two, it stands before the MLP.
        let after_attention = part("post_attention_layernorm.weight", &[d]);
        let (attention_norm, middle_norm) = if variant.branch_norms {
            (Some(after_attention), part("pre_feedforward_layernorm.weight", &[d]))
        } else {
            (None, after_attention)
        };
        let gate = part("mlp.gate_proj.weight", &[m, d]);
        let up = part("mlp.up_proj.weight", &[m, d]);
        let down = part("mlp.down_proj.weight", &[d, m]);
        let mlp_norm =
            variant.branch_norms.then(|| part("post_feedforward_layernorm.weight", &[d]));
        LayerLayout {
            input_norm,
            qkv: q_proj.start..v_proj.end,
            qkv_bias,
            head_norms,
            o,
            attention_norm,
            middle_norm,
            gate_up: gate.start..up.end,
            down,
            mlp_norm,
        }
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let (name, shape) = (name.to_owned(), shape.to_vec());
        self.tensors.push(TensorSpec { name, shape, range: range.clone() });
        range
    }
}
