//! The data of a report: `report.json`, and all that the page is drawn from.

use crate::metrics::first_part;
use crate::{Better, EvalError, Measurements, compare, compare_units, metric, results};
use diapason_flow::{Comparison, CurvePoint, Estimate, Streams};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything a report says. The fields up to `comparisons` are the contract of `report.json`;
/// the others are what the page shows besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// What made it.
    pub diapason: Version,
    /// Resolved settings of the run.
    pub settings: serde_json::Value,
    /// Seed of the run.
    pub seed: u64,
    /// The models by name.
    pub models: BTreeMap<String, ModelInfo>,
    /// Model → task → metric → figure.
    pub results: BTreeMap<String, BTreeMap<String, BTreeMap<String, Estimate>>>,
    /// Model → task → metric → curve.
    pub curves: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<CurvePoint>>>>,
    /// Every pair of models on every figure they share.
    pub comparisons: Vec<Comparison>,
    /// Title of the page; a plain one if empty.
    #[serde(default)]
    pub title: String,
    /// The models in the order in which they are shown; others follow by name.
    #[serde(default)]
    pub model_order: Vec<String>,
    /// What was claimed beforehand, and whether it holds.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// Targets and model probabilities of some questions.
    #[serde(default)]
    pub distributions: Vec<Distribution>,
    /// Draws of every model for some prompts.
    #[serde(default)]
    pub samples: Vec<SampleGrid>,
    /// Task → how it relates to what was trained on.
    #[serde(default)]
    pub notes: BTreeMap<String, TaskNote>,
    /// What the run took: times, tokens, machine.
    #[serde(default)]
    pub facts: Vec<Fact>,
    /// Commands that make the report again.
    #[serde(default)]
    pub reproduce: Vec<String>,
}

/// What made a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Version of diapason.
    pub version: String,
    /// Commit it was built from; empty if unknown.
    pub git: String,
}

/// A model that was evaluated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Fingerprint of its artifact.
    pub stamp: String,
    /// Folder of its artifact.
    pub path: String,
    /// How it was made, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Number of parameters, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Tokens it was tuned on, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_tokens: Option<u64>,
    /// Seconds its tuning took, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// A statement made before looking: that a figure of `a` is at most, or at least, a multiple of
/// that of `b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The statement in words.
    pub text: String,
    /// Task, or family of tasks.
    pub task: String,
    /// Metric.
    pub metric: String,
    /// Whether the whole interval lies on the claimed side of zero.
    pub holds: bool,
    /// `a - factor · b`.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub ci95: [f64; 2],
    /// Two-sided p-value.
    pub p: f64,
    /// Number of shared units.
    pub n: usize,
}

/// Target and model probabilities of one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Task.
    pub task: String,
    /// The question.
    pub prompt: String,
    /// The options, in order.
    pub options: Vec<String>,
    /// Target probability of each option.
    pub target: Vec<f64>,
    /// Model → probability of each option, normalised.
    pub models: BTreeMap<String, Vec<f64>>,
}

/// Draws of every model for one prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleGrid {
    /// Task.
    pub task: String,
    /// The prompt.
    pub prompt: String,
    /// Temperature of the draws.
    pub temperature: f64,
    /// Model → distinct texts with their counts.
    pub models: BTreeMap<String, Vec<SampleText>>,
}

/// A drawn text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleText {
    /// The text.
    pub text: String,
    /// Whether it passes the check.
    pub valid: bool,
    /// How often it was drawn.
    pub count: usize,
}

/// How a task relates to what the models were tuned on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNote {
    /// Whether its family was seen.
    pub seen: Seen,
    /// What it is, in a sentence.
    pub text: String,
}

/// What of a task was in the training data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Its family was trained on; these are new instances.
    NewInstances,
    /// Nothing of it was trained on.
    HeldOut,
}

/// A labelled fact of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// Its value with its unit.
    pub value: String,
}

/// Tests the statement `text`, that `a`'s figure is on the better side of `factor` times `b`'s:
/// at most that where lower is better, at least that where higher is. It holds if the whole 95 %
/// interval says so. `None` where the two share no unit of the metric, or the metric has no
/// better side.
pub fn claim(
    text: &str,
    (task, name): (&str, &str),
    a: &Measurements,
    factor: f64,
    b: &Measurements,
    streams: &Streams,
) -> Option<Claim> {
    let (a, b) = (a.with_families(), b.with_families());
    let units = |all: &Measurements| all.tasks.get(task)?.figures.get(name).cloned();
    let found = compare_units(&units(&a)?, &units(&b)?, factor, &streams.within(task))?;
    let holds = match metric(task, name)?.better {
        Better::Lower => found.ci95[1] <= 0.0,
        Better::Higher => found.ci95[0] >= 0.0,
        Better::Neither => return None,
    };
    Some(Claim {
        text: text.to_owned(),
        task: task.to_owned(),
        metric: name.to_owned(),
        holds,
        difference: found.difference,
        ci95: found.ci95,
        p: found.p,
        n: found.n,
    })
}

impl ReportData {
    /// Figures, curves and comparisons of models in the order in which they are shown. Each model
    /// is compared with every one before it: `difference = later - earlier`.
    pub fn assemble(models: &[(&str, ModelInfo, &Measurements)], streams: &Streams) -> Self {
        let mut data = ReportData::default();
        for (index, (name, info, measured)) in models.iter().enumerate() {
            let found = results(measured, streams);
            data.model_order.push((*name).to_owned());
            data.models.insert((*name).to_owned(), info.clone());
            data.results.insert((*name).to_owned(), found.figures);
            data.curves.insert((*name).to_owned(), found.curves);
            for (earlier, _, other) in &models[..index] {
                data.comparisons.extend(compare((name, measured), (earlier, other), streams));
            }
        }
        data
    }

    /// Indented JSON.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`], for JSON has no such numbers and `null` would not be read back.
    pub fn to_json(&self) -> Result<String, EvalError> {
        self.check()?;
        serde_json::to_string_pretty(self)
            .map_err(|problem| EvalError::Json { problem: problem.to_string() })
    }

    /// Reads what [`ReportData::to_json`] wrote.
    ///
    /// # Errors
    /// [`EvalError::Json`].
    pub fn from_json(text: &str) -> Result<Self, EvalError> {
        serde_json::from_str(text)
            .map_err(|problem| EvalError::Json { problem: problem.to_string() })
    }

    /// Model names in the order in which they are shown.
    pub(crate) fn names(&self) -> Vec<&str> {
        let ordered = self.model_order.iter().filter(|name| self.models.contains_key(*name));
        let rest = self.models.keys().filter(|name| !self.model_order.contains(name));
        ordered.chain(rest).map(String::as_str).collect()
    }

    /// The figure of one model.
    pub(crate) fn figure(&self, model: &str, task: &str, metric: &str) -> Option<&Estimate> {
        self.results.get(model)?.get(task)?.get(metric)
    }

    /// The curve of one model.
    pub(crate) fn curve(&self, model: &str, task: &str, metric: &str) -> Option<&[CurvePoint]> {
        self.curves.get(model)?.get(task)?.get(metric).map(Vec::as_slice)
    }

    /// Tasks of a family that any model was measured on, in order, without the family itself.
    pub(crate) fn tasks(&self, family: &str) -> Vec<&str> {
        let mut tasks: Vec<&str> = self
            .results
            .values()
            .flat_map(|tasks| tasks.keys().map(String::as_str))
            .filter(|task| first_part(task) == family && !task.ends_with("/*"))
            .collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    fn check(&self) -> Result<(), EvalError> {
        let finite = |place: String, values: &[f64]| match values.iter().find(|v| !v.is_finite()) {
            Some(value) => Err(EvalError::NotFinite { place, value: *value }),
            None => Ok(()),
        };
        for (model, tasks) in &self.results {
            for (task, metrics) in tasks {
                for (name, e) in metrics {
                    let values = [e.value, e.stderr, e.ci95[0], e.ci95[1]];
                    finite(format!("results.{model}.{task}.{name}"), &values)?;
                }
            }
        }
        for (model, tasks) in &self.curves {
            for (task, metrics) in tasks {
                for (name, point) in
                    metrics.iter().flat_map(|(name, c)| c.iter().map(move |p| (name, p)))
                {
                    let values = [point.x, point.value, point.ci95[0], point.ci95[1]];
                    finite(format!("curves.{model}.{task}.{name}"), &values)?;
                }
            }
        }
        for c in &self.comparisons {
            let place = format!("comparisons {} {} {} {}", c.task, c.metric, c.a, c.b);
            finite(place, &[c.difference, c.ci95[0], c.ci95[1], c.p])?;
        }
        for c in &self.claims {
            finite(format!("claims `{}`", c.text), &[c.difference, c.ci95[0], c.ci95[1], c.p])?;
        }
        for d in &self.distributions {
            finite(format!("distributions {}", d.task), &d.target)?;
            d.models.values().try_for_each(|p| finite(format!("distributions {}", d.task), p))?;
        }
        for grid in &self.samples {
            finite(format!("samples {} temperature", grid.task), &[grid.temperature])?;
        }
        self.models.iter().try_for_each(|(name, model)| {
            finite(format!("models.{name}.seconds"), &[model.seconds.unwrap_or(0.0)])
        })
    }
}
