//! Arguments of `answers`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `answers`.
#[derive(Debug, Subcommand)]
pub(crate) enum AnswersVerb {
    /// Run answers to HumanEval or HumanEvalPack in a sandbox: pass@k
    #[command(
        after_help = "Example:\n  diapason answers code answers.jsonl --problems humanevalpack.jsonl --k 1,5"
    )]
    Code(CodeArgs),
    /// Whether every line is in the language asked for (Language Confusion Benchmark)
    #[command(after_help = "Example:\n  diapason answers language answers.jsonl")]
    Language(MeasureArgs),
    /// Whether answers keep the length asked for, in words, sentences or paragraphs
    #[command(after_help = "Example:\n  diapason answers length answers.jsonl")]
    Length(MeasureArgs),
}

/// Arguments of `answers code`.
#[derive(Debug, Args)]
pub(crate) struct CodeArgs {
    /// JSON lines with `task_id` and `completion`
    #[arg(required_unless_present = "canonical")]
    pub answers: Option<PathBuf>,
    /// The problems: JSON lines, as HumanEval and HumanEvalPack publish them
    #[arg(long)]
    pub problems: PathBuf,
    /// Run the problems' own solutions, to see what this machine can test
    #[arg(long, conflicts_with = "answers")]
    pub canonical: bool,
    /// Numbers of attempts
    #[arg(long = "k", value_delimiter = ',', default_value = "1")]
    pub attempts: Vec<u64>,
    /// Seconds of each program
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// MiB of memory of all processes of a program
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    pub memory: u64,
    /// Where to write how each program ended, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub rows: Option<PathBuf>,
    /// Seed of the intervals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of measures of a file of answers.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// JSON lines with `completion` and what was asked for: `asked` or `markers`
    pub answers: PathBuf,
    /// Seed of the intervals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// JSON
    #[arg(long)]
    pub json: bool,
}
