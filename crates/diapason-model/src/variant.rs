//! What a family computes besides plain Llama, each difference a value.
//!
//! The default is plain Llama. Every field is one optional step of the decoder; what a family may
//! combine stands in the [`FAMILIES`](crate::FAMILIES) table.

use serde::{Deserialize, Serialize};

/// The differences from plain Llama. Letters are those of [`Arch`](crate::Arch).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Biases on the q, k and v projections (Qwen2).
    pub qkv_bias: bool,
    /// RMSNorm of every query and key head before it is rotated (Qwen3, Gemma 3).
    pub head_norms: bool,
    /// Norms behind attention and behind the MLP too, before they join the residual stream
    /// (Gemma 3).
    pub branch_norms: bool,
    /// Added to the weights of all norms: 1 where checkpoints hold them around zero (Gemma 3).
    pub norm_offset: f32,
    /// Multiplies the embedding, not the output head that may be tied to it: √D in Gemma 3.
    pub embedding_scale: Option<f32>,
    /// The function of the gate in the MLP.
    pub activation: Activation,
    /// Attention scores are divided by the root of this; of E if none.
    pub query_scalar: Option<f32>,
    /// How the rotary embedding reaches beyond the context of pretraining.
    pub rope_scaling: RopeScaling,
    /// Layers that see the last tokens only.
    pub window: Option<Window>,
}

/// The function of the gate in a gated MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x · σ(x)`
    #[default]
    Silu,
    /// GELU in its tanh form, `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    GeluTanh,
}

/// A change of the frequencies of the rotary embedding. Layers with a rotary base of their own
/// ([`Window::rope_theta`]) are not scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    /// None.
    #[default]
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// What they are divided by.
        factor: f32,
    },
    /// Llama 3.1's: low frequencies divided by the factor, high ones kept, and a ramp between.
    Llama3 {
        /// What low frequencies are divided by.
        factor: f32,
        /// Waves longer than `original_context / low_frequency_factor` are low.
        low_frequency_factor: f32,
        /// Waves shorter than `original_context / high_frequency_factor` are high.
        high_frequency_factor: f32,
        /// Context of pretraining, in tokens.
        original_context: usize,
    },
}

/// Layers with sliding-window attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Tokens that a token sees, itself included.
    pub tokens: usize,
    /// Whether each layer looks through the window, `[L]`.
    pub layers: Vec<bool>,
    /// Rotary base of these layers where it is not that of the others (Gemma 3).
    pub rope_theta: Option<f32>,
}

impl Variant {
    /// Whether some values cannot be computed with; says which.
    pub(crate) fn problem(&self, layers: usize) -> Option<String> {
        let scales = [self.embedding_scale, self.query_scalar].into_iter().flatten();
        let window_theta = self.window.as_ref().and_then(|window| window.rope_theta);
        let mut positive = scales.chain(window_theta).chain(self.rope_scaling.numbers());
        if let Some(bad) = positive.find(|value| !(value.is_finite() && *value > 0.0)) {
            return Some(format!("a scale of its variant is {bad}, not a positive number"));
        }
        let window = self.window.as_ref()?;
        if window.tokens == 0 {
            return Some("a window of 0 tokens".to_owned());
        }
        let listed = window.layers.len();
        (listed != layers).then(|| format!("a window listed for {listed} of {layers} layers"))
    }
}

impl RopeScaling {
    /// The numbers that must be positive.
    fn numbers(&self) -> Vec<f32> {
        match *self {
            RopeScaling::None => Vec::new(),
            RopeScaling::Linear { factor } => vec![factor],
            RopeScaling::Llama3 {
                factor,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_context,
            } => vec![factor, low, high - low, original_context as f32],
        }
    }
}
