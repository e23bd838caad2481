//! Everything a run depends on besides the model and the data.

use crate::{Schedule, TrainError};
use diapason_flow::Fingerprint;
use diapason_model::{
    Activations, AdamWSettings, LoraSettings, MomentPrecision, ProductPrecision, WeightPrecision,
};

/// Over what the loss of a step is averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Averaging {
    /// Every learned token of the step counts the same (Spectrum Tuning, arXiv 2510.06084).
    #[default]
    Tokens,
    /// Every sequence of the step counts the same, whatever its number of learned tokens.
    Sequences,
}

/// Settings of a training run.
///
/// The defaults tune a pretrained model gently; a small model trained from scratch takes a
/// learning rate near 1e-3.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Seed of the order of the data.
    pub seed: u64,
    /// Passes over the data, at least 1; each has an order of its own.
    pub epochs: u32,
    /// Most optimiser steps, even in the middle of an epoch; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Token budget of one optimiser step. A step takes whole sequences while they fit, at least
    /// one.
    pub tokens_per_step: usize,
    /// Sequences of one optimiser step; where given, `tokens_per_step` has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequences_per_step: Option<usize>,
    /// Most tokens computed at once: bounds memory, changes nothing else but rounding.
    pub micro_batch_tokens: usize,
    /// Longest sequence in tokens; longer ones are cut at turn borders. The model's context
    /// bounds it too.
    pub max_sequence_tokens: usize,
    /// Over what the loss of a step is averaged.
    pub averaging: Averaging,
    /// Where the distribution of a sequence's last output is known: the share of its loss that all
    /// options bear, each weighted by its probability; the rest is borne by the one that was
    /// drawn. 1 is KL(target‖model) up to a constant, 0 learns from draws alone; absent, nothing
    /// but the turns of an episode is trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_targets: Option<f64>,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// How the learning rate falls after the warm-up.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises linearly to its peak.
    pub warmup_steps: u64,
    /// What remains of the peak learning rate at the end of the schedule, as a fraction of 1.
    pub final_fraction: f64,
    /// Decoupled weight decay of matrices, per unit of learning rate.
    pub weight_decay: f32,
    /// Decay of AdamW's first moment.
    pub beta1: f32,
    /// Decay of AdamW's second moment.
    pub beta2: f32,
    /// Added to the root of AdamW's second moment.
    pub epsilon: f32,
    /// Largest global norm of the gradient; larger ones are scaled down to it. 0: no clipping.
    pub clip_norm: f64,
    /// Tensors that stay as they are: every one whose name contains one of these, such as
    /// `embed_tokens` or `layers.0.`. AdamW turns even the faintest gradient into full steps, so
    /// a short run pushes down the rows of all tokens that its data lacks; frozen embeddings keep
    /// what pretraining taught about them. Weight decay does not reach frozen tensors either.
    pub freeze: Vec<String>,
    /// What the operands of matrix products are rounded to: `f32`, not at all, or `bf16`, with sums,
    /// weights, gradients and everything between products in f32. Twice as fast on processors
    /// with AVX-512 BF16, of the same results and a little slower on others.
    pub precision: ProductPrecision,
    /// What the weights of the model are held in: `f32`, or `bf16` in half the memory, to which
    /// weights in f32 are rounded before the first step. AdamW updates each in f32 and rounds it at
    /// random, so that it is right on average: rounded to the nearest, it would never change by
    /// less than half a step of bf16. The model is saved in what it is held in. With `lora` the
    /// base is held so; the adapter, and a model that it is folded into, are f32.
    pub weights: WeightPrecision,
    /// What becomes of activations until the backward pass: `kept`, or `recomputed`, which gives
    /// the same bits in a fifth more time and a fraction of the memory.
    pub activations: Activations,
    /// AdamW's state: `f32`, or `8-bit` in a quarter of the memory and with other rounding.
    pub moments: MomentPrecision,
    /// Most memory that the run may take; one that needs more is refused before it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// Trains a low-rank adapter instead of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSettings>,
    /// Steps between checkpoints; 0: only at the end and when stopped.
    pub checkpoint_every_steps: u64,
    /// Number of newest checkpoints that stay on disk, at least 1.
    pub keep_checkpoints: usize,
    /// Steps between measurements of the held-out loss; 0: only before the first step and after
    /// the last.
    pub held_out_every_steps: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        TrainSettings {
            seed: 0,
            epochs: 1,
            max_steps: None,
            tokens_per_step: 16_384,
            sequences_per_step: None,
            micro_batch_tokens: 4096,
            max_sequence_tokens: 2048,
            averaging: Averaging::Tokens,
            soft_targets: None,
            learning_rate: 1e-4,
            schedule: Schedule::Linear,
            warmup_steps: 50,
            final_fraction: 0.0,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            clip_norm: 1.0,
            freeze: Vec::new(),
            precision: ProductPrecision::F32,
            weights: WeightPrecision::F32,
            activations: Activations::Kept,
            moments: MomentPrecision::F32,
            max_memory_bytes: None,
            lora: None,
            checkpoint_every_steps: 500,
            keep_checkpoints: 2,
            held_out_every_steps: 100,
        }
    }
}

impl TrainSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with the first key that cannot be used.
    pub fn validate(&self) -> Result<(), TrainError> {
        let refuse = |key, value: String, problem: &str| {
            Err(TrainError::Setting { key, value, problem: problem.to_owned() })
        };
        let counts = [
            ("epochs", Some(u64::from(self.epochs))),
            ("max_steps", self.max_steps),
            ("tokens_per_step", Some(self.tokens_per_step as u64)),
            ("sequences_per_step", self.sequences_per_step.map(|count| count as u64)),
            ("keep_checkpoints", Some(self.keep_checkpoints as u64)),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
            return refuse(key, "0".to_owned(), "it must be at least 1");
        }
        if self.max_sequence_tokens < 2 {
            let problem = "a sequence needs two tokens to learn one";
            return refuse("max_sequence_tokens", self.max_sequence_tokens.to_string(), problem);
        }
        if self.micro_batch_tokens < self.max_sequence_tokens {
            let longest = self.max_sequence_tokens;
            let problem = format!("a sequence may have max_sequence_tokens = {longest} tokens");
            return refuse("micro_batch_tokens", self.micro_batch_tokens.to_string(), &problem);
        }
        let reals = [
            ("learning_rate", self.learning_rate, f64::MIN_POSITIVE..f64::INFINITY, "positive"),
            (
                "soft_targets",
                self.soft_targets.unwrap_or(0.0),
                0.0..1.0 + f64::EPSILON,
                "between 0 and 1",
            ),
            ("final_fraction", self.final_fraction, 0.0..1.0 + f64::EPSILON, "between 0 and 1"),
            ("weight_decay", self.weight_decay.into(), 0.0..f64::INFINITY, "at least 0"),
            ("beta1", self.beta1.into(), 0.0..1.0, "at least 0 and below 1"),
            ("beta2", self.beta2.into(), 0.0..1.0, "at least 0 and below 1"),
            ("epsilon", self.epsilon.into(), f64::MIN_POSITIVE..f64::INFINITY, "positive"),
            ("clip_norm", self.clip_norm, 0.0..f64::INFINITY, "at least 0"),
        ];
        match reals.into_iter().find(|(_, value, range, _)| !range.contains(value)) {
            Some((key, value, _, what)) => {
                refuse(key, value.to_string(), &format!("it must be {what} and finite"))
            }
            None => Ok(()),
        }
    }

    /// The constants of the optimiser.
    pub(crate) fn adamw(&self) -> AdamWSettings {
        AdamWSettings {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning rate of a step, counted from 1, of `total` steps.
    pub(crate) fn learning_rate_at(&self, step: u64, total: u64) -> f64 {
        let factor = self.schedule.factor(step, total, self.warmup_steps, self.final_fraction);
        self.learning_rate * factor
    }

    /// Hash of the settings that the weights depend on: how often a run is saved and measured, and
    /// what it keeps in memory, may change when it resumes.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let defaults = TrainSettings::default();
        let relevant = TrainSettings {
            checkpoint_every_steps: defaults.checkpoint_every_steps,
            keep_checkpoints: defaults.keep_checkpoints,
            held_out_every_steps: defaults.held_out_every_steps,
            activations: defaults.activations,
            max_memory_bytes: defaults.max_memory_bytes,
            ..self.clone()
        };
        Fingerprint::of(format!("{relevant:?}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: &TrainSettings) -> String {
        match settings.validate() {
            Err(TrainError::Setting { key, .. }) => key.to_owned(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_valid_and_survive_serialisation() {
        let settings = TrainSettings::default();
        settings.validate().unwrap();
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<TrainSettings>(&json).unwrap(), settings);
        assert_eq!(serde_json::from_str::<TrainSettings>("{}").unwrap(), settings);
        assert!(serde_json::from_str::<TrainSettings>(r#"{"learning_rat": 1}"#).is_err());
    }

    #[test]
    fn each_impossible_value_is_refused_by_name() {
        let base = TrainSettings::default();
        for (key, settings) in [
            ("epochs", TrainSettings { epochs: 0, ..base.clone() }),
            ("max_steps", TrainSettings { max_steps: Some(0), ..base.clone() }),
            ("sequences_per_step", TrainSettings { sequences_per_step: Some(0), ..base.clone() }),
            ("max_sequence_tokens", TrainSettings { max_sequence_tokens: 1, ..base.clone() }),
            ("micro_batch_tokens", TrainSettings { micro_batch_tokens: 2047, ..base.clone() }),
            ("learning_rate", TrainSettings { learning_rate: f64::NAN, ..base.clone() }),
            ("learning_rate", TrainSettings { learning_rate: -1.0, ..base.clone() }),
            ("final_fraction", TrainSettings { final_fraction: 1.5, ..base.clone() }),
            ("soft_targets", TrainSettings { soft_targets: Some(1.5), ..base.clone() }),
            ("beta2", TrainSettings { beta2: 1.0, ..base.clone() }),
            ("clip_norm", TrainSettings { clip_norm: f64::INFINITY, ..base.clone() }),
        ] {
            assert_eq!(refused(&settings), key);
        }
    }

    #[test]
    fn the_fingerprint_ignores_how_often_a_run_is_saved() {
        let base = TrainSettings::default();
        let saved_more = TrainSettings {
            checkpoint_every_steps: 7,
            activations: Activations::Recomputed,
            max_memory_bytes: Some(1 << 30),
            ..base.clone()
        };
        assert_eq!(saved_more.fingerprint(), base.fingerprint());
        let other = TrainSettings { learning_rate: 2e-4, ..base.clone() };
        assert_ne!(other.fingerprint(), base.fingerprint());
    }
}
