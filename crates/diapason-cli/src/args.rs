//! The command line. Each verb's `--help` ends with an example.

mod answers;
mod bench;
mod drawing;
mod fetch;
mod judge;
mod levers;
mod mark;
mod model;
mod suite;
mod tagger;

pub(crate) use answers::{AnswersVerb, CodeArgs, MeasureArgs};
pub(crate) use bench::{BenchSampleArgs, BenchScoreArgs, BenchTrainArgs, BenchVerb, PackArgs};
pub(crate) use drawing::DrawingArgs;
pub(crate) use fetch::FetchArgs;
pub(crate) use judge::{
    ByArgs, ClassesArgs, JudgeArgs, JudgeOutArgs, JudgeVerb, PairsArgs, ScoresArgs,
};
pub(crate) use levers::LeverArgs;
pub(crate) use mark::{AnnotateArgs, FitTaggerArgs, MarkArgs, MarkVerb, PredictArgs, TaxonomyArgs};
pub(crate) use model::{BlendArgs, ModelVerb};
pub(crate) use suite::{SuiteSource, SuiteVerb};
pub(crate) use tagger::{EndpointArgs, SpendingArgs, TaggerPlace};

use clap::{Args, Parser, Subcommand, ValueEnum};
use diapason_model::ProductPrecision;
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use std::path::PathBuf;

/// Post-training that makes language models cover and match whole distributions, and the
/// measurement to prove it.
#[derive(Debug, Parser)]
#[command(name = "diapason", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Print errors only.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress is written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Threads of the pool; 0 takes every core. Results do not depend on it.
    #[arg(long, global = true, default_value_t = 0)]
    pub threads: usize,
    /// Precision of matrix products when a model is asked or timed: f32, or bf16 with sums in f32. A
    /// recipe has `train.precision` and `evaluate.precision` instead.
    #[arg(long, global = true, value_name = "f32|bf16", value_parser = precision::<ProductPrecision>)]
    pub product_precision: Option<ProductPrecision>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// A precision of products or of weights by the name that a recipe gives it.
fn precision<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    T::deserialize(name.into_deserializer())
        .map_err(|_: serde::de::value::Error| "it is `f32` or `bf16`".to_owned())
}

/// How progress is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Plain lines, or a progress line on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Train a small model from nothing, tune it four ways, evaluate and compare: the main job
    #[command(after_help = "Example:\n  diapason quickstart --out /tmp/quickstart")]
    Quickstart(QuickstartArgs),
    /// Run a recipe: every stage is a folder, finished stages are reused
    #[command(
        after_help = "Example:\n  diapason run recipes/stories260k.toml --set seed=3 --dry-run"
    )]
    Run(RunArgs),
    /// The tasks: list, show, check, build
    #[command(subcommand)]
    Suite(SuiteVerb),
    /// Annotate a corpus with markers, count them, fit taggers
    #[command(after_help = "Example:\n  diapason mark corpus.jsonl --out marked.jsonl")]
    Mark(Box<MarkArgs>),
    /// Measure a file of answers: programs run in a sandbox, languages, lengths
    #[command(subcommand)]
    Answers(AnswersVerb),
    /// Train one model of a recipe
    #[command(
        after_help = "Example:\n  diapason train recipes/quickstart.toml --model spectrum --out /tmp/run"
    )]
    Train(TrainArgs),
    /// Draw outputs from a model
    #[command(
        after_help = "Example:\n  diapason sample --model DIR --description 'a fruit' --output plum -n 5 --seed 1"
    )]
    Sample(SampleArgs),
    /// Probabilities of options, or of every token of a text
    #[command(
        after_help = "Example:\n  diapason score --model DIR --description 'a coin' --option heads --option tails --json"
    )]
    Score(ScoreArgs),
    /// Evaluate a model on tasks
    #[command(
        after_help = "Example:\n  diapason eval --model DIR --tasks 'align/*' --out /tmp/eval --limit 200"
    )]
    Eval(EvalArgs),
    /// Have answers judged: which is better, how good, how different
    #[command(subcommand)]
    Judge(Box<JudgeVerb>),
    /// Compare evaluated models in one HTML page
    #[command(after_help = "Example:\n  diapason report /tmp/a /tmp/b --out report.html")]
    Report(ReportArgs),
    /// Look at, make and convert models
    #[command(subcommand)]
    Model(ModelVerb),
    /// Measure speed and memory
    #[command(subcommand)]
    Bench(BenchVerb),
    /// What this machine offers
    #[command(after_help = "Example:\n  diapason doctor")]
    Doctor(DoctorArgs),
    /// What this binary starts itself with to run code of models away from everything
    #[command(hide = true)]
    Sandboxed(SandboxedArgs),
}

/// Arguments of `sandboxed`.
#[derive(Debug, Args)]
pub(crate) struct SandboxedArgs {
    /// Inside already
    #[arg(long)]
    pub inside: bool,
}

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Folder of everything that is made
    #[arg(long, default_value = "quickstart-out")]
    pub out: PathBuf,
    /// Change a setting of the embedded recipe: `--set seed=3`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The recipe file
    pub recipe: PathBuf,
    /// Folder of everything that is made; default: `runs/<name of the recipe>`
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Change a setting: `--set train.learning_rate=1e-4`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print the resolved settings and the stages, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The recipe file
    pub recipe: PathBuf,
    /// Which of its models; default: the only one
    #[arg(long)]
    pub model: Option<String>,
    /// Folder of everything that is made; default: `runs/<name of the recipe>`
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Change a setting: `--set train.learning_rate=1e-4`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Continue an interrupted run (also the default; without one it is an error to have none)
    #[arg(long)]
    pub resume: bool,
}

/// A prompt in the roles of an episode.
#[derive(Clone, Debug, Args)]
pub(crate) struct PromptArgs {
    /// The model's folder
    #[arg(long)]
    pub model: PathBuf,
    /// A low-rank adapter over it, as `train.lora` and PEFT write them
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Template of the prompt; default: what the model was tuned with, else `spectrum`
    #[arg(long)]
    pub template: Option<String>,
    /// What the process is, in words
    #[arg(long)]
    pub description: Option<String>,
    /// An input; the k-th input belongs to the k-th output, one more is the question
    #[arg(long = "input")]
    pub inputs: Vec<String>,
    /// An in-context example
    #[arg(long = "output")]
    pub outputs: Vec<String>,
}

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// The prompt.
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// JSON lines with `prompt` or `instruction`: each is the input of a prompt, `markers` of a row
    /// are levers of its draws, and every draw is written as a row with `prompt` and `completion`
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    pub prompts: Option<PathBuf>,
    /// Levers.
    #[command(flatten)]
    pub levers: LeverArgs,
    /// Number of draws
    #[arg(short, default_value_t = 1)]
    pub n: usize,
    /// 1 draws from the model's own distribution, 0 is greedy
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f32,
    /// Keep the likeliest tokens up to this mass
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f32,
    /// Keep this many likeliest tokens; 0 keeps all
    #[arg(long, default_value_t = 0)]
    pub top_k: usize,
    /// Keep tokens at least this many times as likely as the likeliest
    #[arg(long, default_value_t = 0.0)]
    pub min_p: f32,
    /// What outputs may be.
    #[command(flatten)]
    pub drawing: DrawingArgs,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Longest output in tokens
    #[arg(long, default_value_t = 128)]
    pub max_tokens: usize,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// The prompt.
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// An option to score as a whole output, terminator included
    #[arg(long = "option", conflicts_with_all = ["text", "text_file"])]
    pub options: Vec<String>,
    /// A plain text to score token by token
    #[arg(long, conflicts_with = "text_file")]
    pub text: Option<String>,
    /// A file with a plain text to score token by token
    #[arg(long)]
    pub text_file: Option<PathBuf>,
    /// Likeliest alternatives to print at every token of a text
    #[arg(long, default_value_t = 0)]
    pub top: usize,
    /// JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The model's folder
    #[arg(long)]
    pub model: PathBuf,
    /// Template of the prompts; default: what the model was tuned with, else `colon`
    #[arg(long)]
    pub template: Option<String>,
    /// Which tasks, as a glob over `family/name`, repeatable
    #[arg(long = "tasks", default_value = "*")]
    pub tasks: Vec<String>,
    /// Where tasks come from.
    #[command(flatten)]
    pub source: SuiteSource,
    /// The folder to write
    #[arg(long)]
    pub out: PathBuf,
    /// At most this many episodes a task
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
    /// Draws of a coverage prompt; default: 100, or 10 where a judge looks at them
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub draws: Option<u16>,
    /// Seed of episodes and draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Who judges coverage tasks that no rule decides, and which open answers are the same.
    #[command(flatten)]
    pub judges: JudgeArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of evaluated models
    #[arg(required = true)]
    pub evaluations: Vec<PathBuf>,
    /// The HTML file; the figures go beside it as JSON
    #[arg(long, default_value = "report.html")]
    pub out: PathBuf,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The folder of raw data files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// JSON
    #[arg(long)]
    pub json: bool,
}
