//! The report stage: figures of all models side by side, claims put to the test, one page.

use super::evaluation::{Evaluation, with_levers};
use super::{Made, Run};
use crate::settings::{ClaimSettings, Tuned};
use anyhow::Context as _;
use diapason_data::Task;
use diapason_eval::{
    Claim, CurveUnits, Distribution, Fact, Measurements, ModelInfo, ReportData, SampleGrid, Seen,
    TaskNote, Units, Version, compare_units, gain_gap, html, wins,
};
use diapason_flow::{LossPolicy, Streams, write_atomically};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Run<'_> {
    pub(super) fn report(
        &self,
        models: &[Made],
        evaluations: &[Evaluation],
        seconds: f64,
    ) -> anyhow::Result<PathBuf> {
        let streams = self.streams.within("report");
        let mut measured: Vec<Measurements> = evaluations.iter().map(all_tasks).collect();
        if let Some(rival) = &self.settings.evaluate.rival {
            let rival = models.iter().position(|made| made.name == *rival);
            add_win_rates(&mut measured, rival.context("`evaluate.rival` is no model here")?);
        }
        let infos: Vec<(&str, ModelInfo, &Measurements)> = models
            .iter()
            .zip(evaluations)
            .zip(&measured)
            .map(|((made, evaluation), measured)| {
                (made.name.as_str(), self.info(made, evaluation), measured)
            })
            .collect();
        for (evaluation, (made, (name, info, measured))) in
            evaluations.iter().zip(models.iter().zip(&infos))
        {
            self.write_results(made, evaluation, (name, info, measured), &streams)?;
        }
        let mut data = ReportData::assemble(&infos, &streams);
        let by_name: BTreeMap<&str, &Measurements> =
            infos.iter().map(|(name, _, measured)| (*name, *measured)).collect();
        data.claims = claims_of(&self.settings.claims, &by_name, &streams);
        data.distributions = side_by_side(evaluations);
        data.samples = grids(evaluations);
        data.notes = self.notes(&measured)?;
        data.title = format!("diapason: {}", self.settings.name);
        data.facts = self.facts(models, evaluations, seconds);
        data.reproduce = self.reproduce();
        data.settings = serde_json::to_value(self.settings)?;
        data.seed = self.settings.seed;
        data.diapason = version();
        let page = self.out.join("report.html");
        write_report(&data, &page)?;
        for claim in &data.claims {
            let word = if claim.holds { "holds" } else { "does not hold" };
            self.say(&format!("{word}: {} ({} {})", claim.text, claim.task, claim.metric));
        }
        self.say(&format!("report: {}", page.display()));
        Ok(page)
    }

    fn info(&self, made: &Made, evaluation: &Evaluation) -> ModelInfo {
        let named = |tuned: &&Tuned| tuned.name == made.name;
        let set = |tuned: &&Tuned| with_levers(&tuned.name) == made.name;
        let models = &self.settings.models;
        let fixed = models.iter().find(set);
        let tuned = fixed.or_else(|| models.iter().find(named));
        ModelInfo {
            stamp: made.stamp.fingerprint.to_string(),
            path: made.path.display().to_string(),
            description: tuned.map_or_else(
                || {
                    format!(
                        "before tuning; asked in the template `{}`",
                        self.settings.evaluate.base_template
                    )
                },
                |tuned| {
                    let (loss, template) = (in_words(tuned.loss), &tuned.template);
                    let markers = match (&tuned.markers, fixed) {
                        (None, _) => "",
                        (Some(_), None) => "; markers, all inferred",
                        (Some(_), Some(_)) => "; markers, with the levers of each task set",
                    };
                    format!("{loss}{markers}; template `{template}`")
                },
            ),
            parameters: Some(evaluation.parameters as u64),
            seconds: made.seconds,
            ..ModelInfo::default()
        }
    }

    /// `results.json` of one evaluated model.
    fn write_results(
        &self,
        made: &Made,
        evaluation: &Evaluation,
        model: (&str, &ModelInfo, &Measurements),
        streams: &Streams,
    ) -> anyhow::Result<()> {
        let (name, info, measured) = model;
        let mut data = ReportData::assemble(&[(name, info.clone(), measured)], streams);
        data.settings = serde_json::to_value(&self.settings.evaluate)?;
        data.seed = self.settings.seed;
        data.diapason = version();
        data.distributions = side_by_side(std::slice::from_ref(evaluation));
        data.samples = grids(std::slice::from_ref(evaluation));
        let folder = self.out.join("evaluations").join(&made.name);
        let text = data.to_json()?;
        write(&folder.join("results.json"), &text)?;
        write(&folder.join("measurements.json"), &serde_json::to_string(measured)?)
    }

    fn notes(&self, measured: &[Measurements]) -> anyhow::Result<BTreeMap<String, TaskNote>> {
        let suite = self.suite()?;
        let mut held_out = std::collections::BTreeSet::new();
        for pattern in &self.settings.evaluate.held_out {
            held_out.extend(suite.matching(pattern)?.into_iter().map(Task::path));
        }
        let tasks = measured.iter().flat_map(|measured| measured.tasks.keys());
        Ok(tasks
            .map(|path| {
                if path.starts_with("levers/") {
                    let text = "new requests of the marked world that models were tuned on";
                    let note = TaskNote { seen: Seen::NewInstances, text: text.to_owned() };
                    return (path.clone(), note);
                }
                let title = suite.tasks().iter().find(|task| task.path() == *path);
                let title = title.map_or(path.as_str(), |task| task.title.as_str());
                let (seen, how) = if held_out.contains(path) {
                    (Seen::HeldOut, "nothing of this family was tuned on")
                } else {
                    (Seen::NewInstances, "its family was tuned on; these instances were not")
                };
                (path.clone(), TaskNote { seen, text: format!("{title}; {how}") })
            })
            .collect())
    }

    fn facts(&self, models: &[Made], evaluations: &[Evaluation], seconds: f64) -> Vec<Fact> {
        let fact = |label: &str, value: String| Fact { label: label.to_owned(), value };
        let mut facts = vec![
            fact("threads", self.session.device.threads().to_string()),
            fact("time of this run", format!("{seconds:.0} s")),
        ];
        for made in models {
            if let Some(seconds) = made.seconds {
                facts.push(fact(&format!("making {}", made.name), format!("{seconds:.1} s")));
            }
        }
        let evaluating: f64 = evaluations.iter().map(|evaluation| evaluation.seconds).sum();
        facts.push(fact("evaluating", format!("{evaluating:.1} s")));
        facts
    }

    fn reproduce(&self) -> Vec<String> {
        let name = &self.settings.name;
        if name == "quickstart" {
            return vec!["cargo run --release -- quickstart --out quickstart-out".to_owned()];
        }
        vec![format!("diapason run recipes/{name}.toml --set seed={}", self.settings.seed)]
    }
}

fn all_tasks(evaluation: &Evaluation) -> Measurements {
    let mut all = Measurements::default();
    for result in evaluation.tasks.values() {
        all.tasks.extend(result.measured.tasks.clone());
    }
    all
}

/// Win rates of all models but the rival by the scores of their answers; at each place of a curve,
/// against the rival's figure.
fn add_win_rates(measured: &mut [Measurements], rival: usize) {
    let theirs = measured[rival].clone();
    let others = measured.iter_mut().enumerate().filter(|(place, _)| *place != rival);
    for (task, measured) in others.flat_map(|(_, measured)| &mut measured.tasks) {
        let found = theirs.tasks.get(task).and_then(|task| task.figures.get("score"));
        let (Some(theirs), Some(ours)) = (found, measured.figures.get("score")) else { continue };
        let won = wins(ours, theirs);
        measured.figures.insert("win_rate".to_owned(), won);
        if let Some(curve) = measured.curves.get("score") {
            let place =
                |place: &CurveUnits| CurveUnits { x: place.x, units: wins(&place.units, theirs) };
            let curve = curve.iter().map(place).collect();
            measured.curves.insert("win_rate".to_owned(), curve);
        }
    }
}

fn in_words(loss: LossPolicy) -> &'static str {
    match loss {
        LossPolicy::EveryOutput => "spectrum tuning: loss on every output",
        LossPolicy::LastOutput => "ordinary tuning: the same episodes, loss on the last output",
        LossPolicy::FirstOutput => "the same episodes, loss on the first output",
        LossPolicy::AllTokens => "the same episodes, loss on all tokens",
        LossPolicy::ModalAnswer => "the single right answer: the same processes, their mode",
    }
}

/// Every question with the probabilities of all models that were asked it.
fn side_by_side(evaluations: &[Evaluation]) -> Vec<Distribution> {
    let mut merged = Vec::new();
    for result in evaluations.iter().flat_map(|evaluation| evaluation.tasks.values()) {
        merge_distributions(&mut merged, &result.distributions);
    }
    merged
}

fn grids(evaluations: &[Evaluation]) -> Vec<SampleGrid> {
    let mut merged = Vec::new();
    for result in evaluations.iter().flat_map(|evaluation| evaluation.tasks.values()) {
        merge_grids(&mut merged, &result.samples);
    }
    merged
}

/// Adds what other models answered to the same questions.
pub(crate) fn merge_distributions(merged: &mut Vec<Distribution>, found: &[Distribution]) {
    for found in found {
        let same = merged.iter_mut().find(|one| {
            one.task == found.task && one.prompt == found.prompt && one.options == found.options
        });
        match same {
            Some(one) => one.models.extend(found.models.clone()),
            None => merged.push(found.clone()),
        }
    }
}

/// Adds what other models drew for the same prompts.
pub(crate) fn merge_grids(merged: &mut Vec<SampleGrid>, found: &[SampleGrid]) {
    for found in found {
        let same =
            merged.iter_mut().find(|one| one.task == found.task && one.prompt == found.prompt);
        match same {
            Some(one) => one.models.extend(found.models.clone()),
            None => merged.push(found.clone()),
        }
    }
}

/// Puts sentences to the test: `model - factor · than`, or `model - bound`, paired on units.
fn claims_of(
    claims: &[ClaimSettings],
    measured: &BTreeMap<&str, &Measurements>,
    streams: &Streams,
) -> Vec<Claim> {
    claims
        .iter()
        .filter_map(|claim| {
            if let Some(other) = &claim.beyond {
                return gain_claim(claim, other, measured, streams);
            }
            let ours = units(measured.get(claim.model.as_str())?, claim, claim.at)?;
            let (factor, theirs) = match (&claim.than, claim.bound) {
                (Some(than), _) => {
                    let at = claim.than_at.or(claim.at);
                    (claim.factor, units(measured.get(than.as_str())?, claim, at)?)
                }
                (None, bound) => (1.0, constant(&ours, bound.unwrap_or(0.0))),
            };
            let found = compare_units(&ours, &theirs, factor, &streams.within(&claim.text))?;
            let holds = if claim.higher { found.ci95[0] > 0.0 } else { found.ci95[1] < 0.0 };
            Some(Claim {
                text: claim.text.clone(),
                task: claim.task.clone(),
                metric: claim.metric.clone(),
                holds,
                difference: found.difference,
                ci95: found.ci95,
                p: found.p,
                n: found.n,
            })
        })
        .collect()
}

/// What `model` gains over `than`, or over a bound, on the claim's task beyond what it gains on
/// another.
fn gain_claim(
    claim: &ClaimSettings,
    other: &str,
    measured: &BTreeMap<&str, &Measurements>,
    streams: &Streams,
) -> Option<Claim> {
    let figure = |model: &str, task: &str| {
        let on = ClaimSettings { task: task.to_owned(), ..claim.clone() };
        units(measured.get(model)?, &on, None)
    };
    let pair = |task: &str| {
        let ours = figure(&claim.model, task)?;
        let theirs = match &claim.than {
            Some(than) => figure(than, task)?,
            None => constant(&ours, claim.bound.unwrap_or(0.0)),
        };
        // A gain is what a figure falls by, or rises by where higher is better.
        Some(if claim.higher { (ours, theirs) } else { (theirs, ours) })
    };
    let (here, there) = (pair(&claim.task)?, pair(other)?);
    let streams = streams.within(&claim.text);
    let found = gain_gap((&here.0, &here.1), (&there.0, &there.1), &streams)?;
    Some(Claim {
        text: claim.text.clone(),
        task: claim.task.clone(),
        metric: claim.metric.clone(),
        holds: found.ci95[0] > 0.0,
        difference: found.gap,
        ci95: found.ci95,
        p: found.p,
        n: found.n,
    })
}

/// The figure by unit, or its point on the curve.
fn units(measured: &Measurements, claim: &ClaimSettings, at: Option<f64>) -> Option<Units> {
    let all = measured.with_families();
    let task = all.tasks.get(&claim.task)?;
    match at {
        None => task.figures.get(&claim.metric).cloned(),
        Some(x) => {
            let curve = task.curves.get(&claim.metric)?;
            curve.iter().find(|place| place.x == x).map(|place| place.units.clone())
        }
    }
}

/// The same units, each with the mean `value`.
fn constant(units: &Units, value: f64) -> Units {
    let mut constant = units.clone();
    for tally in constant.values_mut() {
        tally.sum = value * tally.count;
    }
    constant
}

/// Writes the page, and its figures as JSON beside it.
pub(crate) fn write_report(data: &ReportData, page: &Path) -> anyhow::Result<()> {
    write(&page.with_extension("json"), &data.to_json()?)?;
    write(page, &html(data))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    write_atomically(path, |out| out.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn version() -> Version {
    Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: option_env!("DIAPASON_GIT").unwrap_or_default().to_owned(),
    }
}
