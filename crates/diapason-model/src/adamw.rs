//! AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only.

use crate::kernels::{AdamWBuffers, AdamWConstants, adamw_update, square_sum};
use crate::{Device, Learning, TensorSpec};

/// Constants of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decay of matrices, times the learning rate, per step.
    pub weight_decay: f32,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        AdamWSettings { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimiser's state; buffers have the layout of the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Constants.
    pub settings: AdamWSettings,
    /// First moment.
    pub first: Vec<f32>,
    /// Second moment.
    pub second: Vec<f32>,
    /// Steps done.
    pub step: u64,
    /// What learns; the rest of the weights and of the moments is neither read nor written.
    pub learning: Learning,
}

impl AdamW {
    /// A fresh state for `len` weights.
    pub fn new(settings: AdamWSettings, len: usize) -> Self {
        AdamW {
            settings,
            first: vec![0.0; len],
            second: vec![0.0; len],
            step: 0,
            learning: Learning::all(),
        }
    }

    /// One update with bias correction. Gradients are multiplied by `gradient_scale` on the way
    /// (clipping).
    ///
    /// # Panics
    /// If the buffers or the tensors differ in length.
    pub fn step(
        &mut self,
        device: &Device,
        tensors: &[TensorSpec],
        weights: &mut [f32],
        gradients: &[f32],
        learning_rate: f32,
        gradient_scale: f32,
    ) {
        let len = tensors.last().map_or(0, |tensor| tensor.range.end);
        assert_eq!(weights.len(), len, "the weights are those of the tensors");
        self.step += 1;
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        let bias = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        let constants = AdamWConstants {
            beta1,
            beta2,
            epsilon,
            rate: (f64::from(learning_rate) / bias(beta1)) as f32,
            root_bias: bias(beta2).sqrt() as f32,
            keep: 1.0,
            scale: gradient_scale,
        };
        let kept = 1.0 - learning_rate * weight_decay;
        let learning = &self.learning;
        let buffers =
            AdamWBuffers { weights, gradients, first: &mut self.first, second: &mut self.second };
        adamw_update(device, buffers, constants, |at| {
            let tensor = &tensors[tensors.partition_point(|tensor| tensor.range.end <= at)];
            let (end, learns) = learning.stretch(at);
            let keep = if tensor.decays() { kept } else { 1.0 };
            (tensor.range.end.min(end), learns.then_some(keep))
        });
    }
}

/// The Euclidean norm, in a fixed order of summation.
pub fn global_norm(device: &Device, values: &[f32]) -> f64 {
    square_sum(device, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arch, Layout};

    #[test]
    fn three_steps_are_those_of_the_scalar_twin() {
        let arch = Arch {
            family: "llama".to_owned(),
            width: 4,
            layers: 1,
            heads: 1,
            kv_heads: 1,
            head_width: 4,
            mlp_width: 3,
            vocabulary: 5,
            context: 8,
            norm_epsilon: 1e-5,
            rope_theta: 100.0,
            tied: false,
            variant: crate::Variant::default(),
        };
        let layout = Layout::of(&arch);
        let settings = AdamWSettings { weight_decay: 0.1, ..AdamWSettings::default() };
        let (rate, scale) = (0.02_f32, 0.5_f32);
        let mut weights: Vec<f32> = (0..layout.len).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut twin: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        let mut moments = vec![[0.0_f64; 2]; layout.len];
        let mut optimiser = AdamW::new(settings, layout.len);
        for step in 1..=3 {
            let gradients: Vec<f32> =
                (0..layout.len).map(|i| ((i * step) as f32 * 0.3).cos()).collect();
            optimiser.step(&Device::cpu(2), &layout.tensors, &mut weights, &gradients, rate, scale);
            for spec in &layout.tensors {
                for i in spec.range.clone() {
                    let g = f64::from(gradients[i]) * f64::from(scale);
                    let [m, v] = &mut moments[i];
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.95 * *v + 0.05 * g * g;
                    let m = *m / (1.0 - 0.9_f64.powi(step as i32));
                    let v = *v / (1.0 - 0.95_f64.powi(step as i32));
                    let decay = if spec.shape.len() > 1 { 0.1 } else { 0.0 };
                    twin[i] -= f64::from(rate) * decay * twin[i];
                    twin[i] -= f64::from(rate) * m / (v.sqrt() + 1e-8);
                }
            }
        }
        for (index, (found, expected)) in weights.iter().zip(&twin).enumerate() {
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{index}: {found} {expected}");
        }
        assert_eq!(optimiser.step, 3);
    }
}
