//! Random weights for training from scratch.

use crate::{Arch, LayerLayout, Layout, Model, ModelError};
use diapason_flow::Streams;
use rand_distr::{Distribution, StandardNormal};

/// Standard deviation of a fresh matrix: `√(2 / 5D)` (Nguyen & Salazar 2019, "small init"), which
/// is GPT-2's 0.02 at D = 1000 and keeps narrow models from starting with attention switched off.
fn deviation(width: usize) -> f32 {
    (2.0 / (5.0 * width as f32)).sqrt()
}

/// Standard deviation of fresh embeddings: rows of norm 2, so that a hidden state that points at a
/// token can make it likely at once. At norm 0.6, which `√(2 / 5D)` gives, a short run spends most
/// of its steps on making the rows longer.
fn embedding_deviation(width: usize) -> f32 {
    2.0 / (width as f32).sqrt()
}

impl Model {
    /// A model with fresh weights, for runs of minutes: matrices normal with variance `2 / 5D`,
    /// embeddings with variance `4 / D`, `down_proj` scaled by `1/√(2L)` so that the residual
    /// stream does not grow with depth (GPT-2, section 2.3), norms one, biases zero; and `o_proj` the transpose
    /// of `v_proj`, head by head, so that every head starts as a copier of what it attends to.
    /// Trained networks tend to that form anyway (Trockman & Kolter 2023, "Mimetic
    /// initialization"), and copying from the context is what in-context steering needs first.
    ///
    /// Every tensor draws from a stream of its own name, so neither the layout nor the presence of
    /// another tensor shifts its draws.
    ///
    /// # Errors
    /// [`ModelError::Arch`] if the shape is impossible.
    pub fn random(arch: Arch, streams: &Streams) -> Result<Self, ModelError> {
        let layout = Layout::of(&arch);
        let usual = deviation(arch.width);
        let mut weights = vec![1.0 - arch.variant.norm_offset; layout.len];
        for bias in layout.layers.iter().filter_map(|layer| layer.qkv_bias.clone()) {
            weights[bias].fill(0.0);
        }
        for spec in layout.tensors.iter().filter(|spec| spec.decays()) {
            let deviation = match spec.name.as_str() {
                "model.embed_tokens.weight" | "lm_head.weight" => embedding_deviation(arch.width),
                name if name.ends_with("down_proj.weight") => {
                    usual / ((2 * arch.layers) as f32).sqrt()
                }
                _ => usual,
            };
            let mut stream = streams.within("init").stream(&spec.name, 0);
            for weight in &mut weights[spec.range.clone()] {
                let normal: f32 = StandardNormal.sample(&mut stream);
                *weight = normal * deviation;
            }
        }
        for layer in &layout.layers {
            copy_values_out(&arch, layer, &mut weights);
        }
        Model::new(arch, weights)
    }
}

/// Makes `o [D, H·E]` the transpose of `v [K·E, D]`; query heads that share a value head share it.
fn copy_values_out(arch: &Arch, layer: &LayerLayout, weights: &mut [f32]) {
    let (width, head_width) = (arch.width, arch.head_width);
    let (queries, keys) = (arch.heads * head_width, arch.kv_heads * head_width);
    let values = layer.qkv.start + (queries + keys) * width;
    for column in 0..queries {
        let (head, lane) = (column / head_width, column % head_width);
        let value = head * arch.kv_heads / arch.heads * head_width + lane;
        for row in 0..width {
            weights[layer.o.start + row * queries + column] = weights[values + value * width + row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn arch() -> Arch {
        Arch {
            family: "llama".to_owned(),
            width: 64,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_width: 16,
            mlp_width: 96,
            vocabulary: 300,
            context: 32,
            norm_epsilon: 1e-5,
            rope_theta: 1e4,
            tied: true,
            variant: crate::Variant::default(),
        }
    }

    fn tensor<'a>(model: &'a Model, name: &str) -> Cow<'a, [f32]> {
        let spec = model.layout.tensors.iter().find(|spec| spec.name == name).unwrap();
        model.weights.part(spec.range.clone()).wide()
    }

    fn deviation(values: &[f32]) -> f64 {
        let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        (squares / values.len() as f64).sqrt()
    }

    #[test]
    fn every_kind_of_tensor_has_its_deviation() {
        let model = Model::random(arch(), &Streams::new(3)).unwrap();
        let near = |name: &str, expected: f64| {
            let found = deviation(&tensor(&model, name));
            assert!((found / expected - 1.0).abs() < 0.05, "{name}: {found} against {expected}");
        };
        near("model.embed_tokens.weight", (4.0_f64 / 64.0).sqrt());
        near("model.layers.0.self_attn.q_proj.weight", (0.4_f64 / 64.0).sqrt());
        near("model.layers.1.mlp.gate_proj.weight", (0.4_f64 / 64.0).sqrt());
        near("model.layers.1.self_attn.o_proj.weight", (0.4_f64 / 64.0).sqrt());
        near("model.layers.0.mlp.down_proj.weight", (0.1_f64 / 64.0).sqrt());
        assert!(tensor(&model, "model.norm.weight").iter().all(|weight| *weight == 1.0));
    }

    #[test]
    fn a_head_writes_out_what_it_reads() {
        let model = Model::random(arch(), &Streams::new(3)).unwrap();
        let value = tensor(&model, "model.layers.1.self_attn.v_proj.weight");
        let out = tensor(&model, "model.layers.1.self_attn.o_proj.weight");
        // Query head 3 shares value head 1; lane 5 of it.
        for row in 0..64 {
            assert_eq!(out[row * 64 + 3 * 16 + 5], value[(16 + 5) * 64 + row]);
        }
    }

    #[test]
    fn a_tensor_depends_on_the_seed_and_its_name_only() {
        let name = "model.layers.0.self_attn.k_proj.weight";
        let one = Model::random(arch(), &Streams::new(3)).unwrap();
        let untied =
            Model::random(Arch { tied: false, layers: 1, ..arch() }, &Streams::new(3)).unwrap();
        assert_eq!(tensor(&one, name), tensor(&untied, name));
        let other = Model::random(arch(), &Streams::new(4)).unwrap();
        assert_ne!(tensor(&one, name), tensor(&other, name));
        assert_ne!(tensor(&one, name), tensor(&one, "model.layers.0.self_attn.v_proj.weight"));
    }
}
