//! What can stop a run.

use crate::MemoryPlan;
use crate::memory::mebibytes;
use diapason_model::ModelError;
use std::io;
use std::path::PathBuf;

/// What was not a finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The loss of a micro-batch.
    Loss,
    /// The norm of the gradient.
    GradientNorm,
    /// A weight after an update.
    Weights,
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Quantity::Loss => "the loss",
            Quantity::GradientNorm => "the gradient norm",
            Quantity::Weights => "a weight",
        })
    }
}

/// An error of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting that cannot be used.
    #[error("`{key}` cannot be {value}: {problem}")]
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A run that needs more memory than it may take.
    #[error(
        "the run needs {} of memory (weights {}, gradients {}, moments {}, workspace {}) and may \
         take {}\n\nhint: one after the other, these lower it to\n{}",
        mebibytes(plan.total_bytes()),
        mebibytes(plan.weights_bytes),
        mebibytes(plan.gradients_bytes),
        mebibytes(plan.moments_bytes),
        mebibytes(plan.workspace_bytes),
        mebibytes(*bound_bytes),
        advice.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    )]
    Memory {
        /// What it needs.
        plan: MemoryPlan,
        /// What it may take.
        bound_bytes: u64,
        /// Changes of settings and what remains after each.
        advice: Vec<String>,
    },
    /// There is nothing to train on.
    #[error("there are no sequences to train on")]
    NoSequences,
    /// A sequence without a single target: training on it would report a loss of nothing.
    #[error(
        "sequence {index} (task `{task}`, {tokens} tokens) has nothing to learn: no token after \
         the first bears loss\n\nhint: check the loss policy and the template of the task"
    )]
    NothingToLearn {
        /// Its place in the input, from 0.
        index: usize,
        /// Its task.
        task: String,
        /// Its number of tokens.
        tokens: usize,
    },
    /// A token that the model does not know.
    #[error(
        "sequence {index} (task `{task}`) holds token {id}, but the model's vocabulary has \
         {vocabulary} tokens\n\nhint: tokenise with the model's own tokenizer"
    )]
    Vocabulary {
        /// Its place in the input, from 0.
        index: usize,
        /// Its task.
        task: String,
        /// The token.
        id: u32,
        /// V.
        vocabulary: usize,
    },
    /// A distribution that does not fit its sequence.
    #[error("the soft target of sequence {index} (task `{task}`) cannot be used: {problem}")]
    SoftTarget {
        /// Its place in the input, from 0.
        index: usize,
        /// Its task.
        task: String,
        /// What is wrong.
        problem: String,
    },
    /// No sequence has a turn that fits.
    #[error(
        "none of the {sequences} sequences has a turn to learn that fits {max_sequence_tokens} \
         tokens\n\nhint: raise max_sequence_tokens (the model's context bounds it too)"
    )]
    NothingFits {
        /// Number of sequences.
        sequences: usize,
        /// The limit in force.
        max_sequence_tokens: usize,
    },
    /// The numbers broke down. The weights on disk are those of the last good checkpoint.
    #[error(
        "{quantity} is {value} at step {step}; tasks in the micro-batch: {}\n\n\
         hint: lower learning_rate, lower clip_norm or lengthen warmup_steps; the last checkpoint \
         is untouched",
        tasks.join(", ")
    )]
    NonFinite {
        /// The step, from 1.
        step: u64,
        /// What was not finite.
        quantity: Quantity,
        /// Its value.
        value: f64,
        /// Tasks of the sequences in the first micro-batch that was not finite, sorted.
        tasks: Vec<String>,
    },
    /// The folder belongs to another run.
    #[error(
        "`{}` was written with other {differs}\n\n\
         hint: give another folder, or remove this one to train again",
        path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// `settings`, `data` or `initial weights`.
        differs: &'static str,
    },
    /// Reading or writing failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `write`, `read`, `create`, `rename`, `remove`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl TrainError {
    /// Turns a system error into [`TrainError::Io`]: `.map_err(TrainError::io("write", &path))`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { action, path, source }
    }
}
