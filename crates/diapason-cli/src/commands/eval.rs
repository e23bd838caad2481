//! `diapason eval`: one model on tasks of a suite.

use super::{Session, lacks_judge, suite_of, unless_missing};
use crate::args::EvalArgs;
use crate::evaluate::{Subject, TaskSet, evaluate_task};
use crate::judging::{Panel, judges, panel_settings};
use crate::pipeline::template_kind;
use crate::settings::Evaluate;
use anyhow::{bail, ensure};
use diapason_eval::{Measurements, ModelInfo, ReportData};
use diapason_flow::{Artifact, Stamp, Streams};
use diapason_text::{TemplateKind, Tokenizer};
use serde_json::Value;

/// A tuned model says its template; one that knows documents only is asked in `colon`.
fn template(args: &EvalArgs) -> anyhow::Result<TemplateKind> {
    if let Some(name) = &args.template {
        return template_kind(name);
    }
    let saved = Tokenizer::load(&args.model).map(|tokenizer| tokenizer.template().kind());
    Ok(saved.ok().filter(|kind| *kind != TemplateKind::Plain).unwrap_or(TemplateKind::Colon))
}

/// Draws of a prompt that a judge compares, as NoveltyBench does.
const JUDGED_DRAWS: usize = 10;

fn judged_draws(args: &EvalArgs) -> usize {
    args.draws.map_or(JUDGED_DRAWS, usize::from)
}

/// The settings, and as they are saved with the results.
fn settings(args: &EvalArgs, template: TemplateKind) -> anyhow::Result<(Evaluate, Value)> {
    let defaults = Evaluate::default();
    let draws = args.draws.map_or(defaults.draws, usize::from);
    let settings = Evaluate { episodes: args.limit, tasks: args.tasks.clone(), draws, ..defaults };
    let mut saved = serde_json::to_value(&settings)?;
    saved["template"] = template.to_string().into();
    saved["data"] = serde_json::to_value((&args.source.data, &args.source.suite))?;
    if let Some(judge) = args.judges.models.first() {
        saved["judge"] = panel_settings(judge, judged_draws(args));
    }
    Ok((settings, saved))
}

/// The judge of open answers, if one is named.
fn panel<'a>(session: &'a Session<'a>, args: &'a EvalArgs) -> anyhow::Result<Option<Panel<'a>>> {
    let mut judges = judges(&args.judges, false, &args.out.join("answers.jsonl"))?;
    ensure!(judges.len() < 2, "two judges are given\n\nhint: an evaluation has one");
    let panel = |judge| Panel::new(session, judge, &args.judges.spending, judged_draws(args));
    Ok(judges.pop().map(panel))
}

/// Evaluates a model; an interrupted evaluation goes on where it stopped.
pub(crate) fn eval(session: &Session<'_>, args: &EvalArgs) -> anyhow::Result<()> {
    let suite = suite_of(args.source.suite.as_deref())?;
    let template = template(args)?;
    let (settings, mut saved) = settings(args, template)?;
    let parent = Artifact::stamp_at(&args.model)?;
    let parents = parent.iter().map(|stamp| stamp.fingerprint.clone()).collect();
    if parent.is_none() {
        saved["model"] = args.model.display().to_string().into();
    }
    let (artifact, complete) =
        Artifact::open(&args.out, Stamp::new("evaluation", parents, saved.clone(), args.seed))?;
    let panel = panel(session, args)?;
    let name = args.model.file_name().map_or("model".into(), |name| name.to_string_lossy());
    let subject = Subject::load(&name, &args.model, None, Some(template), &session.device)?;
    let streams = Streams::new(args.seed).within("evaluate");
    let mut measured = Measurements::default();
    let mut data = (Vec::new(), Vec::new());
    for task in suite.matching(&args.tasks.join(","))? {
        if session.stopped() {
            bail!("stopped; the same command goes on from there");
        }
        let folder = args.source.data.as_deref();
        let built = TaskSet::build(&suite, task, folder, &settings, &streams);
        let Some(set) = unless_missing(session, task, built)? else { continue };
        if panel.is_none() && lacks_judge(session, &set) {
            continue;
        }
        let how = (&settings, panel.as_ref());
        let result = evaluate_task(&subject, &set, how, &streams, &artifact)?;
        session.console.say(&format!("{}: {} episodes", set.path, set.episodes.len()));
        measured.tasks.extend(result.measured.tasks);
        data.0.extend(result.distributions);
        data.1.extend(result.samples);
    }
    if let Some(panel) = &panel {
        session.console.say(&panel.summary());
    }
    let info = ModelInfo {
        stamp: parent.map(|stamp| stamp.fingerprint.to_string()).unwrap_or_default(),
        path: args.model.display().to_string(),
        parameters: Some(subject.parameters as u64),
        ..ModelInfo::default()
    };
    let mut report = ReportData::assemble(&[(&name, info, &measured)], &streams);
    (report.distributions, report.samples) = data;
    (report.settings, report.seed) = (saved, args.seed);
    let text = report.to_json()?;
    artifact.write("results.json", |out| out.write_all(text.as_bytes()))?;
    artifact.write("measurements.json", |out| Ok(serde_json::to_writer(out, &measured)?))?;
    if !complete {
        artifact.finish()?;
    }
    Ok(session.console.data(&args.out.join("results.json").display().to_string())?)
}
