//! Arguments of `answers`.

use super::LeverArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `answers`.
#[derive(Debug, Subcommand)]
pub(crate) enum AnswersVerb {
    /// Answer every prompt of a file with a model, with levers where it knows markers
    #[command(
        after_help = "Example:\n  diapason answers draw prompts.jsonl --model DIR --marker domain=Code -n 5 --out answers.jsonl"
    )]
    Draw(DrawArgs),
    /// Run answers to HumanEval or HumanEvalPack in a sandbox: pass@k
    #[command(
        after_help = "Example:\n  diapason answers code answers.jsonl --problems humanevalpack.jsonl --k 1,5"
    )]
    Code(CodeArgs),
    /// Whether every line is in the language asked for (Language Confusion Benchmark)
    #[command(after_help = "Example:\n  diapason answers language answers.jsonl")]
    Language(MeasureArgs),
    /// Whether answers keep the length asked for, in words
    #[command(after_help = "Example:\n  diapason answers length answers.jsonl")]
    Length(MeasureArgs),
}

/// Arguments of `answers draw`.
#[derive(Debug, Args)]
pub(crate) struct DrawArgs {
    /// JSON lines with a prompt each; `markers` of a row are levers of its answers
    pub prompts: PathBuf,
    /// The model's folder
    #[arg(long)]
    pub model: PathBuf,
    /// The file of JSON lines to write: the rows, each with a `completion`
    #[arg(long)]
    pub out: PathBuf,
    /// The column that holds the prompt, such as `instruction`
    #[arg(long, default_value = "prompt")]
    pub column: String,
    /// Template of the prompt; default: what the model was tuned with
    #[arg(long)]
    pub template: Option<String>,
    /// Levers of all answers.
    #[command(flatten)]
    pub levers: LeverArgs,
    /// Answers to each prompt
    #[arg(short, default_value_t = 1)]
    pub n: usize,
    /// 1 draws from the model's own distribution, 0 is greedy
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f32,
    /// Longest answer in tokens
    #[arg(long, default_value_t = 512)]
    pub max_tokens: usize,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
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
    /// JSON lines with `completion` and `markers`: what was asked for
    pub answers: PathBuf,
    /// Seed of the intervals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// JSON
    #[arg(long)]
    pub json: bool,
}
