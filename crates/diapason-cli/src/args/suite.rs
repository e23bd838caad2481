//! Arguments of `suite`.

use super::FetchArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where tasks come from.
#[derive(Debug, Args)]
pub(crate) struct SuiteSource {
    /// A folder of your own tasks and sources instead of the built-in suite
    #[arg(long, value_name = "DIR")]
    pub suite: Option<PathBuf>,
    /// The folder of raw data files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Verbs of `suite`.
#[derive(Debug, Subcommand)]
pub(crate) enum SuiteVerb {
    /// List the tasks
    #[command(after_help = "Example:\n  diapason suite ls --json")]
    Ls {
        /// Where tasks come from.
        #[command(flatten)]
        source: SuiteSource,
        /// A JSON list
        #[arg(long)]
        json: bool,
        /// A page in Markdown with an example of every task, from the files in `--data`
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Print one task with its first episode rendered, learned spans marked
    #[command(after_help = "Example:\n  diapason suite show coinflip")]
    Show {
        /// Name of the task
        task: String,
        /// Where tasks come from.
        #[command(flatten)]
        source: SuiteSource,
        /// Seed of the episode
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Say for every task whether it can be built, and if not which file is missing
    #[command(after_help = "Example:\n  diapason suite check --data ../shared/data")]
    Check {
        /// Where tasks come from.
        #[command(flatten)]
        source: SuiteSource,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
    /// Fetch raw files from where they officially live, only of the sources named
    #[command(
        after_help = "Example:\n  diapason suite fetch polis gsm8k --data data --dry-run\n\nKeys are read from HF_TOKEN and GITHUB_TOKEN."
    )]
    Fetch(FetchArgs),
    /// Find texts and lists that training tasks share with test tasks
    #[command(after_help = "Example:\n  diapason suite audit --data ../shared/data --json")]
    Audit {
        /// Where tasks come from.
        #[command(flatten)]
        source: SuiteSource,
        /// Jaccard similarity from which texts are near-duplicates; 1 finds exact ones only
        #[arg(long, default_value_t = 0.8)]
        near: f64,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what the tasks do otherwise than the reference suite
    #[command(after_help = "Example:\n  diapason suite diff-reference --json")]
    DiffReference {
        /// A folder of your own tasks and sources instead of the built-in suite
        #[arg(long, value_name = "DIR")]
        suite: Option<PathBuf>,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
    /// Write episodes
    #[command(
        after_help = "Example:\n  diapason suite build --data ../shared/data --tasks 'polis_*' --out /tmp/episodes"
    )]
    Build {
        /// Where tasks come from.
        #[command(flatten)]
        source: SuiteSource,
        /// The folder to write
        #[arg(long)]
        out: PathBuf,
        /// Which tasks, as a glob over names
        #[arg(long, default_value = "*")]
        tasks: String,
        /// Only one split
        #[arg(long, value_parser = ["train", "test"])]
        split: Option<String>,
        /// Seed of all draws
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// File format
        #[arg(long, value_parser = ["jsonl", "parquet"], default_value = "jsonl")]
        format: String,
        /// At most this many episodes a task
        #[arg(long)]
        limit: Option<usize>,
        /// Memory for tables in MiB; what is more spills to temporary files
        #[arg(long = "memory", value_name = "MIB", default_value_t = 1024)]
        memory_mib: usize,
    },
}
