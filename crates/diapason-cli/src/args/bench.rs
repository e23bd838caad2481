//! Arguments of `bench`.

use super::{SuiteSource, precision};
use clap::{Args, Subcommand};
use diapason_model::WeightPrecision;
use std::path::PathBuf;

/// Shape that a benchmark runs on.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// `quickstart`, `135m`, or a Hugging Face `config.json`
    #[arg(long, default_value = "quickstart")]
    pub shape: String,
    /// Timed repetitions; the median is printed
    #[arg(long, default_value_t = 5)]
    pub repetitions: usize,
    /// What the weights are held in: f32, or bf16 in half the memory
    #[arg(
        long,
        value_name = "f32|bf16",
        default_value = "f32",
        value_parser = precision::<WeightPrecision>
    )]
    pub weights: WeightPrecision,
    /// JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench train`.
#[derive(Debug, Args)]
pub(crate) struct BenchTrainArgs {
    /// What every measurement takes.
    #[command(flatten)]
    pub bench: BenchArgs,
    /// Tensors that stay as they are: every one whose name contains this. May be given again
    #[arg(long, value_name = "NAME")]
    pub freeze: Vec<String>,
    /// Compute activations again instead of keeping them
    #[arg(long)]
    pub recompute: bool,
    /// Keep the optimiser's state in bytes
    #[arg(long = "8-bit")]
    pub bytes: bool,
    /// Tasks whose episodes make the step, mixed. May be given again
    #[arg(long = "task", value_name = "TASK", default_values = ["world_urn", "world_labels", "world_members"])]
    pub tasks: Vec<String>,
    /// The folder of raw data files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write the sequences of the step, so that another program can be timed on the same
    #[arg(long, value_name = "FILE")]
    pub write_sequences: Option<PathBuf>,
}

/// Arguments of `bench score`.
#[derive(Debug, Args)]
pub(crate) struct BenchScoreArgs {
    /// What every measurement takes.
    #[command(flatten)]
    pub bench: BenchArgs,
    /// An alignment task
    #[arg(long, default_value = "align/urn")]
    pub task: String,
    /// Prompts to score
    #[arg(long, default_value_t = 100)]
    pub prompts: usize,
    /// The folder of raw data files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write weights, requests and answers, so that another program can be timed on the same
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

/// Arguments of `bench sample`.
#[derive(Debug, Args)]
pub(crate) struct BenchSampleArgs {
    /// What every measurement takes.
    #[command(flatten)]
    pub bench: BenchArgs,
    /// Tokens of the prompt
    #[arg(long, default_value_t = 300)]
    pub prompt_tokens: usize,
    /// Draws from it
    #[arg(long, default_value_t = 100)]
    pub draws: usize,
    /// New tokens of each draw
    #[arg(long, default_value_t = 50)]
    pub new_tokens: usize,
    /// Write weights and the request, so that another program can be timed on the same
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

/// Verbs of `bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchVerb {
    /// Training steps on real episodes
    #[command(after_help = "Example:\n  diapason bench train --shape 135m --json")]
    Train(BenchTrainArgs),
    /// Scoring of choice sets
    #[command(after_help = "Example:\n  diapason bench score")]
    Score(BenchScoreArgs),
    /// Draws of one prompt
    #[command(after_help = "Example:\n  diapason bench sample")]
    Sample(BenchSampleArgs),
    /// From the raw files of a task to packed sequences
    #[command(
        after_help = "Example:\n  diapason bench pack --task polis_vote --data ../shared/data --tokenizer DIR"
    )]
    Pack(PackArgs),
}

/// Arguments of `bench pack`.
#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// Where tasks come from.
    #[command(flatten)]
    pub source: SuiteSource,
    /// Name of the task
    #[arg(long)]
    pub task: String,
    /// Folder of a tokenizer
    #[arg(long)]
    pub tokenizer: PathBuf,
    /// Template of the rendering
    #[arg(long, default_value = "chat")]
    pub template: String,
    /// Longest sequence in tokens, and tokens of a pack
    #[arg(long, default_value_t = 1024)]
    pub max_sequence_tokens: usize,
    /// JSON
    #[arg(long)]
    pub json: bool,
}
