//! Shapes of models to measure on, with random weights, and the arithmetic that they need.

use anyhow::Context as _;
use diapason_flow::Streams;
use diapason_model::{Arch, Model, WeightPrecision};
use rand::RngExt as _;
use std::path::Path;

/// A shape to measure on: the model, the most tokens of a step, and the length of a sequence.
pub(super) struct Shape {
    pub(super) arch: Arch,
    pub(super) step_tokens: usize,
    pub(super) sequence_tokens: usize,
}

/// A named shape, or that of a `config.json`.
pub(super) fn shape(name: &str) -> anyhow::Result<Shape> {
    let llama = |width, layers, heads, kv_heads, mlp_width, vocabulary| Arch {
        family: "llama".to_owned(),
        width,
        layers,
        heads,
        kv_heads,
        head_width: width / heads,
        mlp_width,
        vocabulary,
        context: 2048,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tied: true,
        variant: diapason_model::Variant::default(),
    };
    let (arch, step_tokens) = match name {
        "quickstart" => (llama(128, 2, 4, 4, 384, 1400), 768),
        "135m" => (llama(576, 30, 9, 3, 1536, 49_152), 2048),
        file => {
            let path = Path::new(file);
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("`{file}` is neither `quickstart` nor `135m` nor a file that can be read")
            })?;
            let config = serde_json::from_str(&text).with_context(|| format!("`{file}`"))?;
            (Arch::from_config(&config, path)?, 1024)
        }
    };
    Ok(Shape { arch, step_tokens, sequence_tokens: 512 })
}

impl Shape {
    /// Random weights, held in a precision.
    pub(super) fn model(&self, weights: WeightPrecision) -> anyhow::Result<Model> {
        let mut model = Model::random(self.arch.clone(), &Streams::new(0))?;
        model.weights = model.weights.held_in(weights);
        Ok(model)
    }

    pub(super) fn ids(&self, index: u64) -> Vec<u32> {
        let mut stream = Streams::new(0).stream("bench", index);
        (0..self.sequence_tokens)
            .map(|_| stream.random_range(0..self.arch.vocabulary as u32))
            .collect()
    }
}

/// Multiplications and additions that a forward pass needs over some tokens, of which some have
/// logits, and which see each other in some pairs. Of the others the last layer needs keys and values
/// alone.
pub(super) fn forward_flops(arch: &Arch, [tokens, logits, pairs]: [usize; 3]) -> f64 {
    let [queries, keys] = [arch.heads, arch.kv_heads].map(|heads| heads * arch.head_width);
    let [seen, read] = [2 * keys, 2 * queries + 3 * arch.mlp_width].map(|rows| arch.width * rows);
    let layers = (arch.layers - 1) * (seen + read) * tokens + seen * tokens + read * logits;
    let attention = arch.layers * 2 * queries * pairs;
    let head = arch.width * arch.vocabulary * logits;
    2.0 * (layers + head + attention) as f64
}
