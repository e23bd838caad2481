//! AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only; its state in f32, or in
//! a byte a moment.

use crate::kernels::{
    AdamWBuffers, AdamWConstants, BLOCK, BLOCK_BYTES, Number, adamw_update, adamw_update_bytes,
    mix, square_sum,
};
use crate::weights::of_either;
use crate::{Device, Learning, TensorSpec, WeightsMut};

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

/// How the moments are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum MomentPrecision {
    /// 8 bytes a weight.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// About 2 bytes a weight: a byte a moment, with a scale for every 256, rounded at random so
    /// that it is right on average.
    #[serde(rename = "8-bit")]
    Bytes,
}

/// Both moments of every weight.
#[derive(Clone, Debug, PartialEq)]
pub enum Moments {
    /// First and second, each in the layout of the weights.
    F32([Vec<f32>; 2]),
    /// Blocks of 256 weights, tensor after tensor: the last block of each may be in part unused.
    Bytes(Vec<[u8; BLOCK_BYTES]>),
}

impl Moments {
    /// Moments of 0. Their memory is taken only where something learns.
    pub fn new(precision: MomentPrecision, tensors: &[TensorSpec]) -> Self {
        match precision {
            MomentPrecision::F32 => {
                let len = tensors.last().map_or(0, |tensor| tensor.range.end);
                Moments::F32([vec![0.0; len], vec![0.0; len]])
            }
            MomentPrecision::Bytes => {
                let blocks = tensors.iter().map(|tensor| tensor.range.len().div_ceil(BLOCK));
                Moments::Bytes(vec![[0; BLOCK_BYTES]; blocks.sum()])
            }
        }
    }

    /// Bytes that the moments of a tensor of `len` weights take.
    pub fn bytes(precision: MomentPrecision, len: usize) -> usize {
        match precision {
            MomentPrecision::F32 => 8 * len,
            MomentPrecision::Bytes => BLOCK_BYTES * len.div_ceil(BLOCK),
        }
    }
}

/// The optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Constants.
    pub settings: AdamWSettings,
    /// Moments.
    pub moments: Moments,
    /// Steps done.
    pub step: u64,
    /// What learns; the rest of the weights and of the moments is neither read nor written.
    pub learning: Learning,
    /// Seed of the random rounding of weights that are held in bf16, and of nothing else.
    pub seed: u64,
}

impl AdamW {
    /// A fresh state for the weights of these tensors.
    pub fn new(
        settings: AdamWSettings,
        tensors: &[TensorSpec],
        precision: MomentPrecision,
    ) -> Self {
        let moments = Moments::new(precision, tensors);
        AdamW { settings, moments, step: 0, learning: Learning::all(), seed: 0 }
    }

    /// One update with bias correction. Gradients are multiplied by `gradient_scale` on the way
    /// (clipping). Weights in bf16 are updated in f32 and rounded at random, right on average, by
    /// bits that depend on the seed, the step and their place.
    ///
    /// # Panics
    /// If the buffers or the tensors differ in length.
    pub fn step<'a>(
        &mut self,
        device: &Device,
        tensors: &[TensorSpec],
        weights: impl Into<WeightsMut<'a>>,
        gradients: &[f32],
        learning_rate: f32,
        gradient_scale: f32,
    ) {
        let rates = (learning_rate, gradient_scale);
        of_either!(weights.into(), |weights| {
            self.update(device, tensors, weights, gradients, rates);
        });
    }

    fn update<T: Number>(
        &mut self,
        device: &Device,
        tensors: &[TensorSpec],
        weights: &mut [T],
        gradients: &[f32],
        (learning_rate, gradient_scale): (f32, f32),
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
            // The step is spread over all bits first: seeds and steps are small numbers.
            draw: mix(mix(self.step) ^ self.seed),
        };
        let kept = 1.0 - learning_rate * weight_decay;
        let learning = &self.learning;
        let keep = |tensor: &TensorSpec| if tensor.decays() { kept } else { 1.0 };
        match &mut self.moments {
            Moments::F32([first, second]) => {
                let buffers = AdamWBuffers { weights, gradients, first, second };
                adamw_update(device, buffers, constants, |at| {
                    let tensor = &tensors[tensors.partition_point(|tensor| tensor.range.end <= at)];
                    let (end, learns) = learning.stretch(at);
                    (tensor.range.end.min(end), learns.then_some(keep(tensor)))
                });
            }
            Moments::Bytes(blocks) => {
                let mut rest = &mut blocks[..];
                for tensor in tensors {
                    let count = tensor.range.len().div_ceil(BLOCK);
                    let (blocks, later) = std::mem::take(&mut rest).split_at_mut(count);
                    rest = later;
                    if learning.any(&tensor.range) {
                        let range = tensor.range.clone();
                        let both = (&mut weights[range.clone()], &gradients[range.clone()]);
                        let constants = AdamWConstants { keep: keep(tensor), ..constants };
                        let place = (self.step, range.start);
                        adamw_update_bytes(device, both, blocks, constants, place);
                    }
                }
            }
        }
    }
}

/// The Euclidean norm, in a fixed order of summation.
pub fn global_norm(device: &Device, values: &[f32]) -> f64 {
    square_sum(device, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rounded_plainly;
    use crate::{Arch, Layout, WeightPrecision, Weights};

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
        let mut optimiser = AdamW::new(settings, &layout.tensors, MomentPrecision::F32);
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

    /// One step of the moments and the weight they move, in f64.
    fn twin(settings: AdamWSettings, step: i32, g: f64, [m, v]: &mut [f64; 2]) -> f64 {
        let (beta1, beta2) = (f64::from(settings.beta1), f64::from(settings.beta2));
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let (m, v) = (*m / (1.0 - beta1.powi(step)), *v / (1.0 - beta2.powi(step)));
        m / (v.sqrt() + f64::from(settings.epsilon))
    }

    /// Weights whose gradients differ by three decades, of which some fall silent: over many steps,
    /// byte moments move each as far as exact ones do.
    #[test]
    fn moments_in_bytes_move_weights_as_exact_ones_do() {
        let len = 700;
        let tensors = [TensorSpec { name: "norm".to_owned(), shape: vec![len], range: 0..len }];
        let settings = AdamWSettings { beta2: 0.98, ..AdamWSettings::default() };
        let mut optimiser = AdamW::new(settings, &tensors, MomentPrecision::Bytes);
        let (mut weights, mut exact) = (vec![0.0_f32; len], vec![0.0_f64; len]);
        let mut moments = vec![[0.0_f64; 2]; len];
        for step in 1..=200 {
            let gradient = |index: usize| {
                let silent = index.is_multiple_of(7) && step > 100;
                let wave = ((index + 1) as f32 * 0.3 + step as f32 * 0.9).sin() + 0.5;
                if silent { 0.0 } else { wave * 10.0_f32.powi(-(index as i32 % 4)) }
            };
            let gradients: Vec<f32> = (0..len).map(gradient).collect();
            optimiser.step(&Device::cpu(2), &tensors, &mut weights, &gradients, 1e-3, 1.0);
            for ((exact, moments), g) in exact.iter_mut().zip(&mut moments).zip(&gradients) {
                *exact -= 1e-3 * twin(settings, step, f64::from(*g), moments);
            }
        }
        let pairs = || weights.iter().zip(&exact).map(|(w, exact)| (f64::from(*w), exact));
        let size: f64 = exact.iter().map(|exact| exact.powi(2)).sum();
        let error = pairs().map(|(w, exact)| (w - exact).powi(2)).sum::<f64>() / size;
        let slope = pairs().map(|(w, exact)| w * exact).sum::<f64>() / size;
        assert!(error.sqrt() < 0.16 && (slope - 1.0).abs() < 0.05, "{} {slope}", error.sqrt());
        let Moments::Bytes(blocks) = &optimiser.moments else { panic!("they are bytes") };
        assert_eq!(blocks.len(), 3);
    }

    /// Each step from the halves that are there, in f32 by the way above, then rounded value by value.
    #[test]
    fn weights_in_bf16_are_those_of_the_twin_at_any_number_of_threads() {
        let layout = Layout::of(&crate::fixtures::arch(true));
        let start: Vec<f32> = (0..layout.len).map(|i| (i as f32 * 0.7).sin()).collect();
        let frozen = |tensor: &TensorSpec| tensor.name.contains("layers.0.mlp");
        for precision in [MomentPrecision::F32, MomentPrecision::Bytes] {
            let mut optimiser = AdamW::new(AdamWSettings::default(), &layout.tensors, precision);
            optimiser.learning = Learning::without(&layout.tensors, frozen);
            optimiser.seed = 77;
            let mut weights = Weights::from(start.clone()).held_in(WeightPrecision::Bf16);
            let (first, mut twin) = (weights.clone(), optimiser.clone());
            for step in 1..=4 {
                let gradients: Vec<f32> =
                    (0..layout.len).map(|i| ((i * step) as f32 * 0.3).cos()).collect();
                let mut exact = weights.all().wide().to_vec();
                twin.step(&Device::cpu(1), &layout.tensors, &mut exact, &gradients, 1e-3, 0.5);
                let draw = mix(mix(step as u64) ^ optimiser.seed);
                let rounded = exact.iter().enumerate();
                let rounded = rounded.map(|(at, value)| rounded_plainly(*value, draw, at));
                let expected = Weights::Bf16(rounded.collect());
                let mut others = (weights.clone(), optimiser.clone());
                let device = Device::cpu(3);
                optimiser.step(&device, &layout.tensors, &mut weights, &gradients, 1e-3, 0.5);
                assert_eq!(weights, expected, "step {step}");
                let (again, same) = &mut others;
                same.step(&Device::cpu(1), &layout.tensors, &mut *again, &gradients, 1e-3, 0.5);
                assert_eq!((&*again, &*same), (&weights, &optimiser));
                assert_eq!(optimiser.moments, twin.moments);
            }
            for tensor in &layout.tensors {
                let range = tensor.range.clone();
                let moved = first.part(range.clone()) != weights.part(range);
                assert_ne!(moved, frozen(tensor), "{}", tensor.name);
            }
        }
    }

    #[test]
    fn moments_in_bytes_are_the_same_at_any_number_of_threads() {
        let layout = Layout::of(&crate::fixtures::arch(false));
        let run = |threads: usize| {
            let precision = MomentPrecision::Bytes;
            let mut optimiser = AdamW::new(AdamWSettings::default(), &layout.tensors, precision);
            optimiser.learning =
                Learning::without(&layout.tensors, |tensor| tensor.name.contains("embed"));
            let mut weights: Vec<f32> = (0..layout.len).map(|i| (i as f32 * 0.7).sin()).collect();
            for step in 0..5 {
                let gradients: Vec<f32> =
                    (0..layout.len).map(|i| ((i * step) as f32 * 0.3).cos()).collect();
                let device = Device::cpu(threads);
                optimiser.step(&device, &layout.tensors, &mut weights, &gradients, 0.01, 1.0);
            }
            (weights, optimiser)
        };
        let (weights, optimiser) = run(1);
        assert_eq!(run(3), (weights.clone(), optimiser));
        let frozen = layout.embed.clone();
        assert!(frozen.clone().all(|i| weights[i] == (i as f32 * 0.7).sin()));
        assert!((frozen.end..layout.len).any(|i| weights[i] != (i as f32 * 0.7).sin()));
    }
}
