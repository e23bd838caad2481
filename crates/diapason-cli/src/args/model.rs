//! Arguments of `model`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `model`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelVerb {
    /// Print the shape, tensors and size of a checkpoint
    #[command(after_help = "Example:\n  diapason model inspect DIR")]
    Inspect {
        /// The model's folder
        model: PathBuf,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a model with random weights of a given `config.json`
    #[command(after_help = "Example:\n  diapason model init config.json --out DIR --seed 1")]
    Init {
        /// A Hugging Face `config.json`
        config: PathBuf,
        /// The folder to write
        #[arg(long)]
        out: PathBuf,
        /// Seed of the weights
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Convert a llama2.c checkpoint and tokenizer to the Hugging Face layout
    #[command(
        after_help = "Example:\n  diapason model import-llama2c stories260K.bin tok512.bin --out DIR"
    )]
    ImportLlama2c {
        /// The weights, `version 0`
        weights: PathBuf,
        /// The tokenizer, such as `tok512.bin`
        tokenizer: PathBuf,
        /// The folder to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Copy the rows of named tokens from a sibling: input embedding and output head
    #[command(
        after_help = "Example:\n  diapason model transplant BASE --from INSTRUCT --token '<|im_start|>' --token '<|im_end|>' --out DIR"
    )]
    Transplant {
        /// The model that gets the rows
        model: PathBuf,
        /// The model that gives them, of the same shape and vocabulary
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// A token by its name, repeatable
        #[arg(long = "token", value_name = "NAME", required = true)]
        tokens: Vec<String>,
        /// Where and how it is written.
        #[command(flatten)]
        written: BlendArgs,
    },
    /// Fold a low-rank adapter in PEFT's layout into a model
    #[command(after_help = "Example:\n  diapason model merge-lora BASE --adapter DIR --out DIR")]
    MergeLora {
        /// The base model
        model: PathBuf,
        /// The adapter's folder: `adapter_config.json` and `adapter_model.safetensors`
        #[arg(long, value_name = "DIR")]
        adapter: PathBuf,
        /// The folder to write, in f32
        #[arg(long)]
        out: PathBuf,
    },
    /// Average models that were tuned from one base
    #[command(
        after_help = "Example:\n  diapason model soup A B --weight 0.7 --weight 0.3 --out DIR"
    )]
    Soup {
        /// The models' folders
        #[arg(required = true)]
        models: Vec<PathBuf>,
        /// Weight of each model, in their order; divided by their sum. Default: equal weights
        #[arg(long = "weight", value_name = "NUMBER")]
        weights: Vec<f64>,
        /// Where and how it is written.
        #[command(flatten)]
        written: BlendArgs,
    },
}

/// Where and how a new checkpoint is written.
#[derive(Debug, Args)]
pub(crate) struct BlendArgs {
    /// The folder to write
    #[arg(long)]
    pub out: PathBuf,
    /// Element type of the weights; default: that of the first model
    #[arg(long, value_parser = ["f32", "f16", "bf16"])]
    pub dtype: Option<String>,
}
