//! A recipe file and `--set` overrides become one total [`Settings`], once.
//!
//! Nothing downstream reads a flag, the environment or an absent value. The resolved settings are
//! printed by `run --dry-run` and saved in every artifact.

mod markers;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use markers::MarkerSettings;
pub(crate) use resolve::{resolve, resolve_file};

use diapason_data::MixSettings;
use diapason_data::marked_world::MarkedSettings;
use diapason_data::world::CorpusSettings;
use diapason_flow::LossPolicy;
use diapason_model::ProductPrecision;
use diapason_train::TrainSettings;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything a run depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Name of the recipe.
    pub name: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// The model that everything starts from.
    pub base: Base,
    /// What models are tuned on.
    pub data: Data,
    /// How models are tuned; `[models.train]` changes single values for one model.
    pub train: TrainSettings,
    /// The models to make from the base.
    pub models: Vec<Tuned>,
    /// What is measured.
    pub evaluate: Evaluate,
    /// Sentences to put to the test.
    pub claims: Vec<ClaimSettings>,
}

/// Where the base model comes from: exactly one of `path`, `llama2c` and `new`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Base {
    /// A checkpoint in Hugging Face layout.
    pub path: Option<PathBuf>,
    /// A llama2.c checkpoint, converted first.
    pub llama2c: Option<Llama2c>,
    /// A new small model, trained on the plain text of the small world.
    pub new: Option<NewBase>,
}

/// Files of a llama2.c model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Llama2c {
    /// The weights, `version 0`.
    pub weights: PathBuf,
    /// The tokenizer.
    pub tokenizer: PathBuf,
}

/// A model made from nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewBase {
    /// Family of decoders, as HF names it.
    pub family: String,
    /// How many tokens a token sees in the first layer, itself included; absent: all before it. Only
    /// some families have such windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key/value heads.
    pub kv_heads: usize,
    /// Width of the gated MLP.
    pub mlp_width: usize,
    /// Longest context in tokens.
    pub context: usize,
    /// Size of the tokenizer that is trained on the corpus.
    pub vocabulary: usize,
    /// The world that the corpus is about.
    pub world: World,
    /// The corpus.
    pub corpus: CorpusSettings,
    /// How the base is trained on it.
    pub train: TrainSettings,
}

/// A small world that a new base model reads of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum World {
    /// Kinds of things, bags of balls, counts: that of `quickstart`.
    #[default]
    Things,
    /// Texts in five languages about seven domains.
    Marked,
}

impl Default for NewBase {
    fn default() -> Self {
        NewBase {
            family: "llama".to_owned(),
            window: None,
            width: 128,
            layers: 4,
            heads: 4,
            kv_heads: 4,
            mlp_width: 352,
            context: 512,
            vocabulary: 1024,
            world: World::default(),
            corpus: CorpusSettings::default(),
            train: TrainSettings::default(),
        }
    }
}

/// What models are tuned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    /// A file of episodes (JSONL or Parquet) instead of tasks.
    pub episodes: Option<PathBuf>,
    /// Examples of the marked world, beside those of the tasks.
    pub marked: Option<MarkedSettings>,
    /// Whether episodes are shuffled; `false` keeps the order of the file for exact comparisons.
    pub shuffle: bool,
    /// Tasks and how many episodes of each.
    pub tasks: Vec<TaskShare>,
    /// Probability that an episode shows its description.
    pub description_probability: f64,
    /// Measured markers to put on outputs that do not say them, such as `lang` and `length_tokens`:
    /// what `diapason mark` measures without a tagger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotate: Vec<String>,
    /// The folder of raw data files.
    pub dir: Option<PathBuf>,
    /// A folder of your own tasks instead of the built-in suite.
    pub suite: Option<PathBuf>,
    /// Share of each task's units that is never trained on.
    pub held_out_share: f64,
    /// How much of each task is in the mixture.
    pub mix: MixSettings,
    /// Token budget of one epoch: the first sequences of the mixture that fit into it, at least
    /// one. The mixture is shuffled, so tasks keep their shares.
    pub token_budget: Option<u64>,
    /// Which episodes are left out because they share texts, or lists of answers, with the tasks
    /// of `evaluate.tasks` that are not trained on.
    pub exclude_overlaps: Overlaps,
}

/// What counts as shared between training and evaluation; `diapason suite audit` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Overlaps {
    /// Nothing is looked for.
    #[default]
    None,
    /// The same text but for case, punctuation and blanks.
    Exact,
    /// Also texts of a Jaccard similarity of at least 0.8.
    Near,
}

impl Overlaps {
    /// The similarity from which texts overlap, if any do.
    pub(crate) fn near(self) -> Option<f64> {
        match self {
            Overlaps::None => None,
            Overlaps::Exact => Some(1.0),
            Overlaps::Near => Some(0.8),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Data {
            episodes: None,
            marked: None,
            shuffle: true,
            tasks: Vec::new(),
            description_probability: 0.8,
            annotate: Vec::new(),
            dir: None,
            suite: None,
            held_out_share: 0.05,
            mix: MixSettings::default(),
            token_budget: None,
            exclude_overlaps: Overlaps::None,
        }
    }
}

/// How much of a task the tuning data holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskShare {
    /// Name of a task, or a glob over names.
    pub task: String,
    /// At most this many episodes of each matching task.
    #[serde(default)]
    pub episodes: Option<usize>,
}

/// One model to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tuned {
    /// Its name in the report.
    pub name: String,
    /// Which tokens bear loss.
    pub loss: LossPolicy,
    /// Template of training and evaluation.
    #[serde(default = "spectrum")]
    pub template: String,
    /// How it meets the markers of the data; without this it never sees one.
    #[serde(default)]
    pub markers: Option<MarkerSettings>,
    /// How it is trained: `[train]` with the values given here.
    #[serde(default)]
    pub train: TrainSettings,
}

fn spectrum() -> String {
    "spectrum".to_owned()
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Evaluate {
    /// Whether the base itself is evaluated too.
    pub base: bool,
    /// Template of the base's prompts.
    pub base_template: String,
    /// Precision of the matrix products: `f32` or `bf16`.
    pub precision: ProductPrecision,
    /// Globs over `family/name`.
    pub tasks: Vec<String>,
    /// At most this many episodes a task.
    pub episodes: usize,
    /// Probability that a steerability episode shows its description.
    pub description_probability: f64,
    /// At most this many turns of a steerability episode.
    pub turns: usize,
    /// Draws of one coverage prompt.
    pub draws: usize,
    /// Longest draw in tokens.
    pub max_tokens: usize,
    /// Temperatures of the coverage curve; the figures themselves are at 1.
    pub temperatures: Vec<f32>,
    /// Requests of each measure of levers, in the marked world; 0 measures none.
    pub levers: usize,
    /// The model whose answers the scores of all others are compared with: win rates. None without.
    pub rival: Option<String>,
    /// Tasks held out of tuning as a family, as globs over `family/name`: the report says so.
    pub held_out: Vec<String>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Evaluate {
            base: true,
            base_template: "colon".to_owned(),
            precision: ProductPrecision::F32,
            tasks: vec!["*".to_owned()],
            episodes: 200,
            description_probability: 1.0,
            turns: 24,
            draws: 100,
            max_tokens: 48,
            temperatures: vec![0.5, 0.7, 1.0, 1.3],
            levers: 0,
            rival: None,
            held_out: Vec::new(),
        }
    }
}

/// A sentence the report puts to the test: `a < factor · b` (or `>`), paired on shared units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimSettings {
    /// The sentence.
    pub text: String,
    /// Task, such as `align/urn`, or a family, such as `cover/*`.
    pub task: String,
    /// Metric of the task.
    pub metric: String,
    /// The model the sentence is about.
    pub model: String,
    /// What it is compared with: another model, or nothing for a bound.
    #[serde(default)]
    pub than: Option<String>,
    /// Factor of the other model's figure.
    #[serde(default = "one")]
    pub factor: f64,
    /// The bound where there is no other model.
    #[serde(default)]
    pub bound: Option<f64>,
    /// Where on the curve, if the sentence is about a point of it.
    #[serde(default)]
    pub at: Option<f64>,
    /// Where on the curve of the other model; the same place if absent.
    #[serde(default)]
    pub than_at: Option<f64>,
    /// Instead of the figures, compares what `model` gains over `than` here with what it gains on
    /// this task: the gain here is claimed to be larger. Without `than`, the gain over `bound`.
    #[serde(default)]
    pub beyond: Option<String>,
    /// Whether the figure is claimed to be higher; otherwise lower.
    #[serde(default)]
    pub higher: bool,
}

fn one() -> f64 {
    1.0
}
