//! AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only.

use crate::{Device, Layout};

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
}

impl AdamW {
    /// A fresh state for `len` weights.
    pub fn new(settings: AdamWSettings, len: usize) -> Self {
        AdamW { settings, first: vec![0.0; len], second: vec![0.0; len], step: 0 }
    }

    /// One update. Gradients are multiplied by `gradient_scale` on the way (clipping).
    ///
    /// # Panics
    /// If the buffers differ in length.
    pub fn step(
        &mut self,
        _device: &Device,
        _layout: &Layout,
        _weights: &mut [f32],
        _gradients: &[f32],
        _learning_rate: f32,
        _gradient_scale: f32,
    ) {
        unimplemented!("first commit: signatures only")
    }
}

/// The Euclidean norm, in a fixed order of summation.
pub fn global_norm(_device: &Device, _values: &[f32]) -> f64 {
    unimplemented!("first commit: signatures only")
}
