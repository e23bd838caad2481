//! The table of families: what each computes besides plain Llama, and what it cannot.

use crate::{Activation, Variant};

/// A family of decoders as HF names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// HF's `model_type`.
    pub name: &'static str,
    /// The class that transformers builds, for `architectures`.
    pub architecture: &'static str,
    /// Biases on q, k and v.
    pub(crate) qkv_bias: bool,
    /// Norms on query and key heads.
    pub(crate) head_norms: bool,
    pub(crate) style: Style,
    /// What transformers takes for keys that a config leaves out: a JSON object.
    pub(super) defaults: &'static str,
    /// Keys that must be absent, null or one of the listed JSON texts.
    pub(super) fixed: &'static [Fixed],
}

/// A key, and the values that it may have.
pub(super) type Fixed = (&'static str, &'static [&'static str]);

/// What families have in common in their configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Every layer sees everything.
    Llama,
    /// Later layers may look through a window.
    Qwen,
    /// Layers alternate, and so do their rotary bases; norms around zero, four a layer; GELU; a
    /// scaled embedding.
    Gemma,
}

/// Every family that [`Arch::from_config`](crate::Arch::from_config) reads and
/// [`Arch::to_config`](crate::Arch::to_config) writes.
///
/// `llama` is any Llama-shaped decoder: Llama 2 and 3, TinyLlama, SmolLM, SmolLM2. The text part of
/// a multimodal `gemma3` becomes a `gemma3_text`.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "llama",
        architecture: "LlamaForCausalLM",
        qkv_bias: false,
        head_norms: false,
        style: Style::Llama,
        defaults: r#"{"rope_theta": 1e4, "tie_word_embeddings": false}"#,
        fixed: &[SILU, NO_BIAS, ("use_sliding_window", &["false"]), ("sliding_window", &["null"])],
    },
    Family {
        name: "qwen2",
        architecture: "Qwen2ForCausalLM",
        qkv_bias: true,
        head_norms: false,
        style: Style::Qwen,
        defaults: QWEN_DEFAULTS,
        fixed: &[SILU],
    },
    Family {
        name: "qwen3",
        architecture: "Qwen3ForCausalLM",
        qkv_bias: false,
        head_norms: true,
        style: Style::Qwen,
        defaults: QWEN3_DEFAULTS,
        fixed: &[SILU, NO_BIAS],
    },
    Family {
        name: "gemma3_text",
        architecture: "Gemma3ForCausalLM",
        qkv_bias: false,
        head_norms: true,
        style: Style::Gemma,
        defaults: GEMMA_DEFAULTS,
        fixed: &[
            ("hidden_activation", &["\"gelu_pytorch_tanh\""]),
            NO_BIAS,
            ("attn_logit_softcapping", &["null"]),
            ("final_logit_softcapping", &["null"]),
            ("use_bidirectional_attention", &["false"]),
        ],
    },
];

/// Multimodal families, and the family of their `text_config`.
pub(super) const MULTIMODAL: &[(&str, &str)] = &[("gemma3", "gemma3_text")];

/// [`Family::fixed`] of all families.
pub(super) const FIXED: &[Fixed] = &[
    ("mlp_bias", &["false"]),
    ("rope_interleaved", &["false"]),
    ("partial_rotary_factor", &["1.0", "1"]),
    ("quantization_config", &["null"]),
];

const SILU: Fixed = ("hidden_act", &["\"silu\"", "\"swish\""]);
const NO_BIAS: Fixed = ("attention_bias", &["false"]);

const QWEN_DEFAULTS: &str = r#"{
    "rope_theta": 1e4, "tie_word_embeddings": false, "num_key_value_heads": 32,
    "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28
}"#;

const QWEN3_DEFAULTS: &str = r#"{
    "rope_theta": 1e4, "tie_word_embeddings": false, "num_key_value_heads": 32, "head_dim": 128,
    "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28
}"#;

const GEMMA_DEFAULTS: &str = r#"{
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216,
    "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
    "head_dim": 256, "max_position_embeddings": 131072, "rope_theta": 1e6,
    "rope_local_base_freq": 1e4, "query_pre_attn_scalar": 256, "sliding_window": 4096,
    "sliding_window_pattern": 6, "tie_word_embeddings": true
}"#;

impl Family {
    /// What the family computes at a width, before what a config may choose: scaling of the rotary
    /// embedding, windows, and the query scalar.
    pub fn variant(&self, width: usize) -> Variant {
        let gemma = self.style == Style::Gemma;
        Variant {
            qkv_bias: self.qkv_bias,
            head_norms: self.head_norms,
            branch_norms: gemma,
            norm_offset: if gemma { 1.0 } else { 0.0 },
            embedding_scale: gemma.then(|| (width as f32).sqrt()),
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            ..Variant::default()
        }
    }

    /// What of a variant no config of this family can say; `None` if it can say all of it.
    pub(crate) fn lacks(&self, variant: &Variant, width: usize) -> Option<&'static str> {
        let Variant { query_scalar, rope_scaling, ref window, .. } = *variant;
        let chosen =
            Variant { query_scalar, rope_scaling, window: window.clone(), ..self.variant(width) };
        let own_theta = window.as_ref().map(|window| window.rope_theta.is_some());
        if chosen != *variant {
            return Some("with these biases, norms, activation and scale of embeddings");
        }
        match (self.style, own_theta) {
            (Style::Llama, Some(_)) => Some("with windows"),
            (Style::Qwen, Some(true)) => Some("with windows of their own rope_theta"),
            (Style::Gemma, Some(false)) => Some("with windows that share the rope_theta"),
            (Style::Gemma, _) => query_scalar.is_none().then_some("without a query scalar"),
            _ => query_scalar.is_some().then_some("with a query scalar"),
        }
    }
}
