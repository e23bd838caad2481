//! What a run tells its observer, and what the observer may answer.

use crate::Plan;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first event: what the run will do. Nothing is written yet; stopping here is a dry run.
    Planned(Plan),
    /// A checkpoint that cannot be used and is passed over.
    CheckpointSkipped {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// Steps done.
        step: u64,
        /// The checkpoint.
        path: PathBuf,
    },
    /// A step is done.
    Step(StepReport),
    /// The held-out loss was measured.
    HeldOut(HeldOutReport),
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// The checkpoint.
        path: PathBuf,
    },
}

/// One optimiser step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Number of the step, from 1.
    pub step: u64,
    /// Number of steps of the run.
    pub of: u64,
    /// Mean loss of the step in nats, before the update.
    pub loss_nats: f64,
    /// Targets in the step.
    pub learned_tokens: u64,
    /// Tokens in the step.
    pub tokens: u64,
    /// Sequences in the step.
    pub sequences: u64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens per second of this step, learned or not.
    pub tokens_per_second: f64,
    /// Expected seconds until the end, from the mean pace since the run was started or resumed.
    pub seconds_left: f64,
}

/// The held-out loss.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutReport {
    /// Steps done.
    pub step: u64,
    /// Mean loss over all held-out targets, in nats.
    pub loss_nats: f64,
    /// The loss of each task.
    pub tasks: BTreeMap<String, TaskLoss>,
}

/// The held-out loss of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskLoss {
    /// Mean loss over the task's targets, in nats.
    pub loss_nats: f64,
    /// Number of targets.
    pub learned_tokens: u64,
}

/// What the observer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Finish the step, write a checkpoint and return.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done.
    Finished {
        /// Number of steps.
        steps: u64,
    },
    /// The observer stopped it; the same call goes on from there.
    Stopped {
        /// Steps done.
        step: u64,
        /// Number of steps of the run.
        of: u64,
    },
}
