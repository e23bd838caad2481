//! Arguments of `judge`.

use super::tagger::SpendingArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `judge`.
#[derive(Debug, Subcommand)]
pub(crate) enum JudgeVerb {
    /// Which of two answers to the same prompt is better, each pair asked in both orders
    #[command(
        after_help = "Example:\n  diapason judge pairs fixed.jsonl inferred.jsonl --out duel \\\n    --judge https://api.example.org --judge-model NAME --price 0.15,0.60 --budget 5"
    )]
    Pairs(PairsArgs),
    /// How good each answer is: by a judge, a reward model, or scores that the rows have
    #[command(
        after_help = "Examples:\n  diapason judge scores fixed.jsonl inferred.jsonl --out scored --judge http://localhost:8000 --judge-model NAME\n  diapason judge scores fixed.jsonl inferred.jsonl --out scored"
    )]
    Scores(ScoresArgs),
    /// How many different answers there are among the draws of each prompt
    #[command(
        after_help = "Example:\n  diapason judge classes draws.jsonl --out classes --draws 10 --judge URL --judge-model NAME"
    )]
    Classes(ClassesArgs),
}

/// Who judges, and how they are asked.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// Address of a language model that judges and speaks `/v1/chat/completions`; repeatable: of
    /// two judges the agreement is told
    #[arg(long = "judge", value_name = "URL")]
    pub judges: Vec<String>,
    /// Its name there; one for each address, or several of one address
    #[arg(long = "judge-model", value_name = "NAME", requires = "judges")]
    pub models: Vec<String>,
    /// Environment variable that holds its key; one for all, or one for each
    #[arg(long = "judge-key", value_name = "VARIABLE", default_value = "DIAPASON_JUDGE_KEY")]
    pub keys: Vec<String>,
    /// Questions asked at once
    #[arg(long = "judge-at-once", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_once: u16,
    /// Seconds until an answer is given up and asked for again
    #[arg(long = "judge-seconds", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// File that keeps every answer, to be used again; default: OUT/answers.jsonl
    #[arg(long = "judge-answers", value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// What asking may cost.
    #[command(flatten)]
    pub spending: SpendingArgs,
}

/// What every verb of `judge` writes.
#[derive(Debug, Args)]
pub(crate) struct JudgeOutArgs {
    /// The folder to write
    #[arg(long)]
    pub out: PathBuf,
    /// A text file with instructions to the judge in place of ours
    #[arg(long, value_name = "FILE")]
    pub instructions: Option<PathBuf>,
    /// Seed of the resamples behind intervals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// By what prompts are told apart.
#[derive(Debug, Args)]
pub(crate) struct ByArgs {
    /// Win rates also by this marker of the rows, such as `domain`: a column of that name, or what
    /// stands under `asked` or `markers`
    #[arg(long, value_name = "MARKER")]
    pub by: Option<String>,
    /// Win rates also of the values that were rare in training (under 5 %) beside the others: the
    /// folder of a model trained with markers, or what `mark stats --json` printed
    #[arg(long, value_name = "MODEL|STATS", requires = "by")]
    pub trained: Option<PathBuf>,
}

/// Arguments of `judge pairs`.
#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    /// Answers of the model: JSON lines with `messages`, `prompt` + `completion`, or `instruction`
    /// + `output`
    pub model: PathBuf,
    /// Answers of its opponent to the same prompts
    pub opponent: PathBuf,
    /// By what prompts are told apart.
    #[command(flatten)]
    pub by: ByArgs,
    /// Who judges.
    #[command(flatten)]
    pub judges: JudgeArgs,
    /// What is written.
    #[command(flatten)]
    pub out: JudgeOutArgs,
}

/// Arguments of `judge scores`.
#[derive(Debug, Args)]
pub(crate) struct ScoresArgs {
    /// Answers of a model
    pub model: PathBuf,
    /// Answers of its opponent to the same prompts: the higher score wins
    pub opponent: Option<PathBuf>,
    /// By what prompts are told apart; matters to two files.
    #[command(flatten)]
    pub by: ByArgs,
    /// Who judges; without a judge every row has a score.
    #[command(flatten)]
    pub judges: JudgeArgs,
    /// The judge is a reward model behind `/pooling`
    #[arg(long, requires = "judges", conflicts_with = "instructions")]
    pub reward: bool,
    /// Column of scores that the rows have
    #[arg(long, value_name = "COLUMN", default_value = "score", conflicts_with = "judges")]
    pub score_column: String,
    /// What is written.
    #[command(flatten)]
    pub out: JudgeOutArgs,
}

/// Arguments of `judge classes`.
#[derive(Debug, Args)]
pub(crate) struct ClassesArgs {
    /// Answers, several to each prompt: as for `pairs`, or `prompt` + `generations`
    pub input: PathBuf,
    /// The first answers to each prompt that count; prompts with fewer are an error
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub draws: u16,
    /// Without a judge: texts whose sets of words are at least so alike (Jaccard) count as one
    #[arg(long, default_value_t = 0.6, conflicts_with = "judges")]
    pub similarity: f64,
    /// Who judges.
    #[command(flatten)]
    pub judges: JudgeArgs,
    /// What is written.
    #[command(flatten)]
    pub out: JudgeOutArgs,
}
