//! An evaluation as a straight line: episodes → requests → ask → judge → measurements.
//!
//! Each task is one atomic file of results and one JSONL file of rows, so an interrupted
//! evaluation resumes with the first task that has none.

mod align;
mod cover;
mod levers;
mod steer;

pub(crate) use levers::{MEASURES, Measure};

use crate::judging::Panel;
use crate::levers::{Open, read_trained, write_lists};
use crate::settings::Evaluate;
use anyhow::Context as _;
use diapason_data::marked_world::Probe;
use diapason_data::{BuildSettings, DataError, Family, Suite, Task};
use diapason_engine::{Engine, EngineSettings};
use diapason_eval::{Distribution, Measurements, SampleGrid};
use diapason_flow::{
    Answer, Artifact, Check, Episode, Goal, Lm, LmError, Markers, Request, Streams,
};
use diapason_markers::{Trained, split_list};
use diapason_model::{Adapter, Device, Model};
use diapason_text::{MarkerSides, TemplateKind, Tokenizer};
use levers::Trial;
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
    /// What it learned of markers; `None` if it was trained without.
    pub trained: Option<Trained>,
}

/// An engine that answers through one of its adapters.
struct Adapted {
    engine: Engine,
    adapter: usize,
}

impl Lm for Adapted {
    fn ask(&self, requests: &[Request]) -> Result<Vec<Answer>, LmError> {
        self.engine.adapted(self.adapter).ask(requests)
    }
}

impl Subject {
    /// Loads a model, and an adapter that answers in its place; `template` overrides what it was
    /// saved with.
    pub(crate) fn load(
        name: &str,
        folder: &Path,
        adapter: Option<&Path>,
        template: Option<TemplateKind>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let tokenizer = match template {
            Some(kind) => Tokenizer::load_as(folder, kind)?,
            None => Tokenizer::load(folder)?,
        };
        // In bf16 where the file is: half the memory, and the same bits.
        let mut model = Model::load_held(folder, None)?;
        let adapter = adapter.map(|folder| Adapter::load(folder, &model.arch)).transpose()?;
        let adapter = adapter.map(|adapter| model.attach(adapter)).transpose()?;
        let (context, parameters) = (model.arch.context, model.weights.len());
        let vocabulary = tokenizer.vocabulary_size();
        anyhow::ensure!(
            vocabulary <= model.arch.vocabulary,
            "`{}`: the tokenizer has {vocabulary} tokens, the model only {}\n\nhint: tokenizer and \
             weights come from different models",
            folder.display(),
            model.arch.vocabulary
        );
        let engine = Engine::start(Arc::new(model), device.clone(), EngineSettings::default())
            .with_tokens(tokenizer.token_bytes());
        // Lists are no part of what is measured: a trace scores the text behind them.
        let tokenizer = tokenizer.with_markers(MarkerSides { prompt: false, learn: false });
        let (name, trained) = (name.to_owned(), read_trained(folder)?);
        let engine: Box<dyn Lm> = match adapter {
            Some(adapter) => Box::new(Adapted { engine, adapter }),
            None => Box::new(engine),
        };
        Ok(Subject { name, tokenizer, engine, context, parameters, trained })
    }
}

impl Subject {
    /// The ids of the prompts of some episodes. A model that writes marker lists has its likeliest
    /// list behind the prompt: what follows is an answer.
    pub(crate) fn prompts(&self, episodes: &[Episode]) -> anyhow::Result<Vec<Vec<u32>>> {
        let prompt = |episode: &Episode| {
            let marked = self.tokenizer.template().render_prompt(episode);
            Ok(self.tokenizer.encode(&marked)?.ids().to_vec())
        };
        let prompts = episodes.iter().map(prompt).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(trained) = self.trained.as_ref().filter(|trained| trained.learn) else {
            return Ok(prompts);
        };
        // The likeliest list draws nothing.
        let stream = Streams::new(0).stream("likeliest", 0);
        let open = |prompt| Open { prompt, fixed: Markers::default(), stream: stream.clone() };
        let lists = write_lists(self, trained, prompts.into_iter().map(open).collect(), 0.0)?;
        Ok(lists.into_iter().map(|list| list.ids).collect())
    }

    /// Tokens that a marker list before an answer may take beyond those of the answer.
    pub(crate) fn list_tokens(&self) -> usize {
        if self.trained.is_some() { LIST_TOKENS } else { 0 }
    }

    /// The text of drawn ids, without a marker list that the model wrote first.
    pub(crate) fn answer(&self, ids: &[u32]) -> String {
        let text = self.tokenizer.decode(ids);
        match self.trained {
            Some(_) => split_list(&text).text.trim_start_matches(' ').to_owned(),
            None => text,
        }
    }
}

/// Room for a list of all markers.
const LIST_TOKENS: usize = 160;

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
    /// Builds the episodes of a task for evaluation.
    pub(crate) fn build(
        suite: &Suite,
        task: &Task,
        data: Option<&Path>,
        settings: &Evaluate,
        streams: &Streams,
    ) -> Result<Self, DataError> {
        let build = BuildSettings {
            description_probability: settings.description_probability,
            max_episodes: Some(settings.episodes),
            max_turns: Some(settings.turns),
            first_episode: FIRST_EVALUATED,
            ..BuildSettings::default()
        };
        let episodes = suite.build(task, data, &build, streams)?;
        Ok(TaskSet { path: task.path(), family: task.family, episodes })
    }
}

impl TaskSet {
    /// What is valid, in words, where only a judge can say whether something is.
    pub(crate) fn criterion(&self) -> Option<&str> {
        self.episodes.iter().find_map(|episode| match &episode.query.as_ref()?.goal {
            Goal::Valid(Check::Judged { criterion }) => Some(criterion.as_str()),
            _ => None,
        })
    }

    /// The same for a model that was trained without markers: it has never seen a list.
    fn without_markers(&self) -> TaskSet {
        let mut episodes = self.episodes.clone();
        let turns = episodes.iter_mut().flat_map(|episode| &mut episode.turns);
        turns.for_each(|turn| turn.markers = Markers::default());
        TaskSet { path: self.path.clone(), family: self.family, episodes }
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

/// Evaluates one task, or reads what an earlier run found. A panel judges the draws of tasks that
/// no rule, or only a coarse one, decides.
pub(crate) fn evaluate_task(
    subject: &Subject,
    task: &TaskSet,
    (settings, panel): (&Evaluate, Option<&Panel<'_>>),
    streams: &Streams,
    out: &Artifact,
) -> anyhow::Result<TaskResult> {
    let streams = streams.within(&task.path);
    let found = once(&task.path, out, || {
        let bare = subject.trained.is_none().then(|| task.without_markers());
        let task = bare.as_ref().unwrap_or(task);
        match task.family {
            Family::Steer => steer::evaluate(subject, task, &streams),
            Family::Align => align::evaluate(subject, task),
            Family::Cover => cover::evaluate(subject, task, settings, &streams, panel),
        }
        .map(Some)
    })?;
    found.context("a task of the suite always has a result")
}

/// Takes one measure of levers, or reads what an earlier run found. `None` where the model has
/// nothing to measure.
pub(crate) fn evaluate_levers(
    subject: &Subject,
    (task, measure, probes): &(&str, Measure, Vec<Probe>),
    fixed: bool,
    streams: &Streams,
    out: &Artifact,
) -> anyhow::Result<Option<TaskResult>> {
    let trial = Trial { subject, task, fixed, streams: streams.within(task) };
    once(task, out, || measure.evaluate(&trial, probes))
}

/// Writes the result of a task and its rows, unless an earlier run did.
fn once(
    task: &str,
    out: &Artifact,
    evaluate: impl FnOnce() -> anyhow::Result<Option<Evaluated>>,
) -> anyhow::Result<Option<TaskResult>> {
    let name = task.replace('/', "__");
    let file = format!("tasks/{name}.json");
    let path = out.path().join(&file);
    if path.exists() {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        return serde_json::from_str(&text).with_context(|| {
            format!("`{}` is damaged\n\nhint: remove it to measure again", path.display())
        });
    }
    let Some((result, rows)) = evaluate()? else { return Ok(None) };
    out.write(&format!("samples/{name}.jsonl"), |file| {
        rows.iter().try_for_each(|row| writeln!(file, "{row}"))
    })?;
    out.write_json(&file, &result)?;
    Ok(Some(result))
}
