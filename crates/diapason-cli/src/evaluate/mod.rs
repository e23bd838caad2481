//! An evaluation as a straight line: episodes → requests → ask → judge → measurements.
//!
//! Each task is one atomic file of results and one JSONL file of rows, so an interrupted
//! evaluation resumes with the first task that has none.

mod align;
mod cover;
mod steer;

use crate::settings::Evaluate;
use anyhow::Context as _;
use diapason_data::{BuildSettings, Family, Suite, Task};
use diapason_engine::{Engine, EngineSettings};
use diapason_eval::{Distribution, Measurements, SampleGrid};
use diapason_flow::{Artifact, Episode, Lm, Streams};
use diapason_model::{Device, Model};
use diapason_text::{TemplateKind, Tokenizer};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A model with everything that turns episodes into requests to it.
pub(crate) struct Subject {
    /// Its name in the report.
    pub name: String,
    /// Tokenizer and template.
    pub tokenizer: Tokenizer,
    /// Who answers.
    pub engine: Box<dyn Lm>,
    /// Longest context in tokens.
    pub context: usize,
    /// Number of parameters.
    pub parameters: usize,
}

impl Subject {
    /// Loads a model; `template` overrides what it was saved with.
    pub(crate) fn load(
        name: &str,
        folder: &Path,
        template: Option<TemplateKind>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let tokenizer = match template {
            Some(kind) => Tokenizer::load_as(folder, kind)?,
            None => Tokenizer::load(folder)?,
        };
        let model = Model::load(folder)?;
        let (context, parameters) = (model.arch.context, model.weights.len());
        let vocabulary = tokenizer.vocabulary_size();
        anyhow::ensure!(
            vocabulary <= model.arch.vocabulary,
            "`{}`: the tokenizer has {vocabulary} tokens, the model only {}\n\nhint: tokenizer and \
             weights come from different models",
            folder.display(),
            model.arch.vocabulary
        );
        let engine = Engine::start(Arc::new(model), device.clone(), EngineSettings::default());
        let name = name.to_owned();
        Ok(Subject { name, tokenizer, engine: Box::new(engine), context, parameters })
    }
}

/// Number of the first synthetic episode of an evaluation: no training counts this far.
const FIRST_EVALUATED: u64 = 1 << 32;

/// The episodes of one task to evaluate on.
pub(crate) struct TaskSet {
    /// `family/name`.
    pub path: String,
    /// What is asked.
    pub family: Family,
    /// The episodes.
    pub episodes: Vec<Episode>,
}

impl TaskSet {
    /// Builds the episodes of a task for evaluation, always with their description.
    pub(crate) fn build(
        suite: &Suite,
        task: &Task,
        data: Option<&Path>,
        settings: &Evaluate,
        streams: &Streams,
    ) -> anyhow::Result<Self> {
        let build = BuildSettings {
            description_probability: settings.description_probability,
            max_episodes: Some(settings.episodes),
            max_turns: Some(settings.turns),
            first_episode: FIRST_EVALUATED,
        };
        let episodes = suite.build(task, data, &build, streams)?;
        Ok(TaskSet { path: task.path(), family: task.family, episodes })
    }
}

/// What one task gave for one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskResult {
    /// Sums by metric and unit.
    pub measured: Measurements,
    /// Some distributions to look at, the model under its own name.
    pub distributions: Vec<Distribution>,
    /// Some draws to look at, the model under its own name.
    pub samples: Vec<SampleGrid>,
    /// Episodes that did not fit the context.
    pub skipped: usize,
}

/// Result of a task and its rows, one JSON object each.
type Evaluated = (TaskResult, Vec<serde_json::Value>);

/// Evaluates one task, or reads what an earlier run found.
pub(crate) fn evaluate_task(
    subject: &Subject,
    task: &TaskSet,
    settings: &Evaluate,
    streams: &Streams,
    out: &Artifact,
) -> anyhow::Result<TaskResult> {
    let name = task.path.replace('/', "__");
    let file = format!("tasks/{name}.json");
    let path = out.path().join(&file);
    if path.exists() {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        return serde_json::from_str(&text).with_context(|| {
            format!("`{}` is damaged\n\nhint: remove it to measure again", path.display())
        });
    }
    let streams = streams.within(&task.path);
    let (result, rows) = match task.family {
        Family::Steer => steer::evaluate(subject, task, &streams)?,
        Family::Align => align::evaluate(subject, task)?,
        Family::Cover => cover::evaluate(subject, task, settings, &streams)?,
    };
    out.write(&format!("samples/{name}.jsonl"), |file| {
        rows.iter().try_for_each(|row| writeln!(file, "{row}"))
    })?;
    out.write_json(&file, &result)?;
    Ok(result)
}
