//! Arguments of `mark`.

use super::PromptArgs;
use super::levers::marker;
use super::tagger::{EndpointArgs, TaggerPlace};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `mark` and its verbs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct MarkArgs {
    /// Annotate a corpus.
    #[command(flatten)]
    pub annotate: AnnotateArgs,
    /// What else can be done with markers.
    #[command(subcommand)]
    pub verb: Option<MarkVerb>,
}

/// Which markers there are.
#[derive(Clone, Debug, Args)]
pub(crate) struct TaxonomyArgs {
    /// A TOML file with markers and values of your own
    #[arg(long, value_name = "FILE")]
    pub taxonomy: Option<PathBuf>,
}

/// Arguments of annotation.
#[derive(Debug, Args)]
pub(crate) struct AnnotateArgs {
    /// The corpus: JSON lines, or Parquet by its extension
    #[arg(required = true)]
    pub input: Option<PathBuf>,
    /// The file to write: JSON lines, or Parquet by its extension
    #[arg(long, required = true)]
    pub out: Option<PathBuf>,
    /// Which markers there are.
    #[command(flatten)]
    pub taxonomy: TaxonomyArgs,
    /// A TOML file that makes markers of columns and constants
    #[arg(long, value_name = "FILE")]
    pub provenance: Option<PathBuf>,
    /// `default` for the built-in taggers of domain and task, a tagger that `mark fit-tagger` wrote,
    /// or the address of a language model that speaks `/v1/chat/completions`; repeatable
    #[arg(long = "tagger", value_name = "default|FILE|URL")]
    pub taggers: Vec<TaggerPlace>,
    /// How the language model is asked.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// Rows of a part; an interrupted run resumes behind its last whole part
    #[arg(long, default_value_t = 2000, hide = true)]
    pub part_rows: usize,
}

/// Verbs of `mark`.
#[derive(Debug, Subcommand)]
pub(crate) enum MarkVerb {
    /// Frequencies of markers: head, tail, and two markers together
    #[command(after_help = "Example:\n  diapason mark stats marked.jsonl --html markers.html")]
    Stats {
        /// An annotated corpus
        input: PathBuf,
        /// Which markers there are.
        #[command(flatten)]
        taxonomy: TaxonomyArgs,
        /// A page to write
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// Fit a fast tagger to rows that have a marker
    #[command(
        after_help = "Example:\n  diapason mark fit-tagger marked.jsonl --marker task --out task.tagger"
    )]
    FitTagger(FitTaggerArgs),
    /// How often a tagger is right, class by class
    #[command(
        after_help = "Example:\n  diapason mark measure-tagger default other.jsonl --marker domain"
    )]
    MeasureTagger {
        /// `default`, or a tagger that `mark fit-tagger` wrote
        tagger: TaggerPlace,
        /// An annotated corpus of other sources than the tagger was fitted to
        input: PathBuf,
        /// The marker, where several taggers are meant
        #[arg(long)]
        marker: Option<String>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// Probability of each marker value given a prompt
    #[command(
        after_help = "Example:\n  diapason mark predict --model DIR --input 'Write a poem.' --marker lang=French"
    )]
    Predict(PredictArgs),
}

/// Arguments of `mark fit-tagger`.
#[derive(Debug, Args)]
pub(crate) struct FitTaggerArgs {
    /// An annotated corpus
    pub input: PathBuf,
    /// The marker to predict
    #[arg(long)]
    pub marker: String,
    /// Which markers there are.
    #[command(flatten)]
    pub taxonomy: TaxonomyArgs,
    /// The file to write
    #[arg(long)]
    pub out: PathBuf,
    /// Two to this power features; the file has as many bytes for every class
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=24))]
    pub bits: u32,
    /// 0 counts examples alike, 1 classes
    #[arg(long, default_value_t = 0.0)]
    pub balance: f32,
    /// An annotated corpus of other sources, to be silent where answers there would be wrong
    #[arg(long, value_name = "FILE")]
    pub others: Option<PathBuf>,
    /// Share of the answers on `--others` that must be right, every class of them weighing the same
    #[arg(long, default_value_t = 0.8, requires = "others")]
    pub precision: f64,
    /// Seed of the order and of the held-out examples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `mark predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The prompt.
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// Set a marker of the answer, repeatable: `lang=French`
    #[arg(long = "marker", value_name = "NAME=VALUE", value_parser = marker)]
    pub markers: Vec<(String, String)>,
    /// Lists to average over: a marker depends on those written before it
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub draws: u32,
    /// Likeliest values to print of each marker
    #[arg(long, default_value_t = 8)]
    pub top: usize,
    /// Seed of the lists
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// JSON, with every value
    #[arg(long)]
    pub json: bool,
}
