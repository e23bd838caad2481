//! Training: tokenised sequences in, a trained model and its log out.
//!
//! ```text
//! Sequence ─cut at turns→ piece ─shuffle→ step ─split→ micro-batch (Pack) ─→ gradients ─→ AdamW
//! ```
//!
//! * [`TrainSettings`]: everything a run depends on besides model and data.
//! * [`Plan`]: what a run will do, known before its first step.
//! * [`train`]: the run. It reports [`Event`]s to an observer, which may stop it; it writes
//!   `metrics.jsonl`, `tensorboard/` and `checkpoints/step-…/` under its folder and resumes from
//!   the newest checkpoint, bit for bit as if it had never stopped.
//!
//! The order of the data, the bounds of the steps and the weights depend on the settings, the
//! sequences and the model alone: not on threads, nor on the number of interruptions.

mod checkpoint;
mod crc;
mod error;
mod event;
mod held_out;
mod log;
mod memory;
mod pack;
mod plan;
mod run;
mod schedule;
mod settings;
mod soft;
mod step;
mod tensorboard;

pub use error::{Quantity, TrainError};
pub use event::{Control, Event, HeldOutReport, Outcome, StepReport, TaskLoss};
pub use memory::MemoryPlan;
pub use pack::{pack_in_order, pieces};
pub use plan::{Plan, TaskPlan};
pub use run::train;
pub use schedule::Schedule;
pub use settings::{Averaging, TrainSettings};
pub use soft::SoftTarget;

use diapason_flow::Tokens;

/// One tokenised sequence and the task it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Name of the task, for the plan, the held-out losses and error messages.
    pub task: String,
    /// Its tokens.
    pub tokens: Tokens,
    /// Where its end is a draw from a known distribution, that distribution. Used as
    /// [`TrainSettings::soft_targets`] says; a sequence that must be cut learns the draw.
    pub soft: Option<SoftTarget>,
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
