//! The memory of a run, known before it starts, and what would lower it.

use crate::{TrainError, TrainSettings};
use diapason_model::{
    Activations, Adapter, Arch, Layout, Learning, MomentPrecision, Moments, TensorSpec,
    TrainingRoom, WeightPrecision,
};

/// Memory of a run in bytes: every buffer that is written to. The sequences themselves and the
/// program come on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryPlan {
    /// Weights, with those of an adapter.
    pub weights_bytes: u64,
    /// Gradients of what learns.
    pub gradients_bytes: u64,
    /// Both moments of AdamW, of what learns.
    pub moments_bytes: u64,
    /// Activations of the largest micro-batch, logits, and what products need.
    pub workspace_bytes: u64,
}

impl MemoryPlan {
    /// The sum.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes + self.gradients_bytes + self.moments_bytes + self.workspace_bytes
    }

    /// The memory of micro-batches of `batch_tokens` tokens on some threads.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if `freeze` names no tensor.
    pub(crate) fn of(
        arch: &Arch,
        adapter: Option<&Adapter>,
        settings: &TrainSettings,
        (batch, threads): (Batch, usize),
    ) -> Result<Self, TrainError> {
        let layout = Layout::of(arch);
        let tensors = adapter.map_or(&layout.tensors, |adapter| &adapter.tensors);
        let learning = learning(tensors, &settings.freeze)?;
        let len = tensors.last().map_or(0, |tensor| tensor.range.end);
        let learned = learning.parts(0..len).map(|part| part.len()).sum::<usize>();
        let learns = |tensor: &&TensorSpec| learning.parts(tensor.range.clone()).next().is_some();
        let moments = tensors.iter().filter(learns);
        let moments = moments.map(|tensor| Moments::bytes(settings.moments, tensor.range.len()));
        let room = TrainingRoom {
            max_tokens: batch.tokens,
            max_targets: batch.targets,
            adapter,
            learning: &learning,
            activations: settings.activations,
        };
        Ok(MemoryPlan {
            weights_bytes: (settings.weights.bytes() * layout.len + adapter.map_or(0, |_| 4 * len))
                as u64,
            gradients_bytes: 4 * learned as u64,
            moments_bytes: moments.sum::<usize>() as u64,
            workspace_bytes: room.bytes(arch, threads) as u64,
        })
    }
}

/// The largest micro-batch of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) tokens: usize,
    /// Tokens that bear loss, of whichever micro-batch has most.
    pub(crate) targets: usize,
}

impl Batch {
    /// Large enough for both.
    pub(crate) fn or(self, other: Self) -> Self {
        let Batch { tokens, targets } = self;
        Batch { tokens: tokens.max(other.tokens), targets: targets.max(other.targets) }
    }

    fn within(self, tokens: usize) -> Self {
        Batch { tokens: self.tokens.min(tokens), targets: self.targets.min(tokens) }
    }
}

/// What learns: all tensors but those that fit a pattern.
///
/// # Errors
/// [`TrainError::Setting`] if a pattern fits no tensor.
pub(crate) fn learning(
    tensors: &[TensorSpec],
    patterns: &[String],
) -> Result<Learning, TrainError> {
    let fits = |tensor: &TensorSpec, pattern: &String| tensor.name.contains(pattern.as_str());
    let idle = patterns.iter().find(|pattern| !tensors.iter().any(|tensor| fits(tensor, pattern)));
    if let Some(pattern) = idle {
        return Err(TrainError::Setting {
            key: "freeze",
            value: format!("{pattern:?}"),
            problem: "no tensor of the model has a name like it".to_owned(),
        });
    }
    let stays = |tensor: &TensorSpec| patterns.iter().any(|pattern| fits(tensor, pattern));
    Ok(Learning::without(tensors, stays))
}

/// Refuses a run that needs more than the settings allow, with what would lower it: each change is
/// made after those before it, until the run fits.
pub(crate) fn check(
    arch: &Arch,
    adapter: Option<&Adapter>,
    settings: &TrainSettings,
    (batch, threads): (Batch, usize),
) -> Result<MemoryPlan, TrainError> {
    let plan =
        |settings: &TrainSettings, batch| MemoryPlan::of(arch, adapter, settings, (batch, threads));
    let found = plan(settings, batch)?;
    let Some(bound) = settings.max_memory_bytes.filter(|bound| found.total_bytes() > *bound) else {
        return Ok(found);
    };
    let (mut lower, mut tokens, mut needed) = (settings.clone(), batch.tokens, found.total_bytes());
    let mut advice = Vec::new();
    let mut try_out = |change: String, settings: &TrainSettings, tokens| {
        let total = plan(settings, batch.within(tokens))?.total_bytes();
        if needed > bound && total < needed {
            advice.push(format!("{change}: {}", mebibytes(total)));
            needed = total;
        }
        Ok::<bool, TrainError>(needed > bound)
    };
    lower.activations = Activations::Recomputed;
    let mut more = try_out("activations = \"recomputed\"".to_owned(), &lower, tokens)?;
    lower.moments = MomentPrecision::Bytes;
    more = more && try_out("moments = \"8-bit\"".to_owned(), &lower, tokens)?;
    lower.weights = WeightPrecision::Bf16;
    more = more && try_out("weights = \"bf16\"".to_owned(), &lower, tokens)?;
    while more && tokens > 256 {
        tokens /= 2;
        let change = format!("micro_batch_tokens and max_sequence_tokens = {tokens}");
        more = try_out(change, &lower, tokens)?;
    }
    if more {
        let change = if settings.lora.is_some() { "a smaller base" } else { "a `lora` table" };
        advice.push(format!("still too much: {change}"));
    }
    Err(TrainError::Memory { plan: found, bound_bytes: bound, advice })
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests;
