//! One optimiser step: gradients over micro-batches, clipping, AdamW.

use crate::memory::learning;
use crate::plan::Corpus;
use crate::soft::Piece;
use crate::{Averaging, Quantity, TrainError, TrainSettings};
use diapason_flow::{Pack, Streams};
use diapason_model::{AdamW, Device, Model, ModelError, Workspace, global_norm};
use rand::Rng as _;

/// The state that steps change, beside the model.
pub(crate) struct Stepper<'a> {
    pub(crate) device: &'a Device,
    pub(crate) corpus: &'a Corpus<'a>,
    pub(crate) settings: &'a TrainSettings,
    pub(crate) optimiser: AdamW,
    pub(crate) workspace: Workspace,
    /// Gradients of the step, in the layout of what trains; 0 where nothing learns.
    gradients: Vec<f32>,
}

/// What a step found out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Done {
    /// Mean loss in nats before the update.
    pub(crate) loss_nats: f64,
    /// Norm of the gradient before clipping.
    pub(crate) gradient_norm: f64,
}

impl<'a> Stepper<'a> {
    /// A fresh state for packs of at most `max_tokens` tokens.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if `freeze` names no tensor.
    pub(crate) fn new(
        model: &Model,
        device: &'a Device,
        corpus: &'a Corpus<'a>,
        settings: &'a TrainSettings,
        max_tokens: usize,
    ) -> Result<Self, TrainError> {
        let (tensors, trained) = model.trained();
        let len = trained.len();
        let mut optimiser = AdamW::new(settings.adamw(), tensors, settings.moments);
        let learning = learning(tensors, &settings.freeze)?;
        optimiser.learning = learning.clone();
        optimiser.seed = Streams::new(settings.seed).stream("rounding", 0).next_u64();
        Ok(Stepper {
            device,
            corpus,
            settings,
            optimiser,
            workspace: Workspace::learning(model, learning, max_tokens, settings.activations),
            gradients: vec![0.0; len],
        })
    }

    /// One update of the model from the pieces of a step, given as micro-batches.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] before anything is changed.
    pub(crate) fn step(
        &mut self,
        model: &mut Model,
        batches: &[&[u32]],
        learning_rate: f64,
    ) -> Result<Done, TrainError> {
        let Done { loss_nats, gradient_norm } = self.gradients(model, batches)?;
        let clip = self.settings.clip_norm;
        let clipped = clip > 0.0 && gradient_norm > clip;
        let scale = if clipped { clip / gradient_norm } else { 1.0 };
        let (tensors, weights) = model.trained_mut();
        self.optimiser.step(
            self.device,
            tensors,
            weights,
            &self.gradients,
            learning_rate as f32,
            scale as f32,
        );
        Ok(Done { loss_nats, gradient_norm })
    }

    /// Fills the gradients of the mean loss of the step.
    ///
    /// The norm is taken after every micro-batch, which costs a pass over the gradients, so that
    /// the one that broke it is known.
    fn gradients(&mut self, model: &Model, batches: &[&[u32]]) -> Result<Done, TrainError> {
        let scale = 1.0 / self.total_weight(batches);
        for part in self.optimiser.learning.parts(0..self.gradients.len()) {
            self.gradients[part].fill(0.0);
        }
        let (mut nats, mut gradient_norm) = (0.0, 0.0);
        for (number, batch) in batches.iter().enumerate() {
            self.drop_out(model, number);
            nats += self.accumulate(model, batch, scale)?;
            gradient_norm = global_norm(self.device, &self.gradients);
            if !gradient_norm.is_finite() {
                return Err(self.non_finite(Quantity::GradientNorm, gradient_norm, batch));
            }
        }
        Ok(Done { loss_nats: nats * scale, gradient_norm })
    }

    /// Draws the masks of the next micro-batch, by its number and the step's alone.
    fn drop_out(&mut self, model: &Model, number: usize) {
        if let Some(adapter) = model.adapters.first() {
            let streams = Streams::new(self.settings.seed).within("dropout");
            let step = self.optimiser.step.to_string();
            let seed = streams.stream(&step, number as u64).next_u64();
            self.workspace.drop_out(seed, adapter.settings.dropout);
        }
    }

    /// Adds the gradients of one micro-batch; returns its weighted nats.
    fn accumulate(&mut self, model: &Model, batch: &[u32], scale: f64) -> Result<f64, TrainError> {
        let averaging = self.settings.averaging;
        let mut pack = Pack::new();
        for piece in batch.iter().map(|&index| self.corpus.piece(index)) {
            piece.lay(&mut pack, unit(averaging, piece));
        }
        let (workspace, gradients) = (&mut self.workspace, &mut self.gradients);
        let loss = model.loss_and_gradients(self.device, &pack, scale as f32, workspace, gradients);
        let nats = match loss {
            Err(ModelError::NonFinite { value }) => value,
            loss => loss?.nats,
        };
        if nats.is_finite() {
            return Ok(nats);
        }
        Err(self.non_finite(Quantity::Loss, nats, batch))
    }

    /// Σ of the loss weights of a step, over which its loss is averaged.
    fn total_weight(&self, batches: &[&[u32]]) -> f64 {
        let pieces = batches.iter().copied().flatten();
        match self.settings.averaging {
            Averaging::Tokens => pieces.map(|&index| self.corpus.piece(index).learned()).sum(),
            Averaging::Sequences => pieces.count() as f64,
        }
    }

    /// The error of the step in progress: the optimiser counts those that are done.
    fn non_finite(&self, quantity: Quantity, value: f64, pieces: &[u32]) -> TrainError {
        let tasks = self.corpus.tasks_of(pieces);
        TrainError::NonFinite { step: self.optimiser.step + 1, quantity, value, tasks }
    }
}

/// What the loss weights of a piece are multiplied by.
fn unit(averaging: Averaging, piece: &Piece<'_>) -> f32 {
    match averaging {
        Averaging::Tokens => 1.0,
        Averaging::Sequences => 1.0 / piece.learned() as f32,
    }
}
