//! `diapason bench score` and `diapason bench sample`: an engine with random weights, asked.

use super::Session;
use super::bench::{Shape, episodes, peak_memory_mib, shape, timed, write_rows};
use crate::args::{BenchSampleArgs, BenchScoreArgs};
use anyhow::{Context as _, bail};
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Answer, Ask, Goal, Lm as _, Query, Request, Sampling};
use diapason_model::{Model, SpecialIds};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Scores the options of an alignment task.
pub(super) fn score(session: &Session<'_>, args: &BenchScoreArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.bench.shape)?;
    let requests = requests(args)?;
    let model = model(&shape, args.write.as_deref())?;
    let engine = Engine::start(model, session.device.clone(), EngineSettings::default());
    let mut answers = Vec::new();
    let seconds = timed(args.bench.repetitions, || {
        answers = engine.ask(&requests)?;
        Ok(())
    })?;
    if let Some(folder) = &args.write {
        let rows = requests.iter().zip(&answers).map(|(request, answer)| {
            let nats: Vec<f64> = match answer {
                Answer::Scored(scores) => scores.iter().map(|score| score.logprob_nats).collect(),
                _ => Vec::new(),
            };
            json!({"prompt": request.prompt, "options": options(request), "logprobs_nats": nats})
        });
        write_rows(&folder.join("requests.jsonl"), rows)?;
    }
    let count: usize = requests.iter().map(|request| options(request).len()).sum();
    let tokens: usize = requests.iter().map(|request| request.prompt.len()).sum();
    Ok(json!({
        "shape": args.bench.shape, "threads": session.device.threads(), "task": args.task,
        "prompts": requests.len(), "options": count, "prompt_tokens": tokens,
        "seconds": seconds, "prompts_per_second": requests.len() as f64 / seconds,
        "peak_memory_mib": peak_memory_mib(),
    }))
}

fn options(request: &Request) -> &[Vec<u32>] {
    match &request.ask {
        Ask::Score { options } => options,
        _ => &[],
    }
}

/// Draws from one prompt.
pub(super) fn sample(session: &Session<'_>, args: &BenchSampleArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.bench.shape)?;
    let mut prompt = shape.ids(0);
    prompt.extend(shape.ids(1));
    prompt.truncate(args.prompt_tokens);
    let model = model(&shape, args.write.as_deref())?;
    let engine = Engine::start(model, session.device.clone(), EngineSettings::default());
    let (draws, new) = (args.draws, args.new_tokens);
    let sampling = Sampling { n: draws, max_tokens: new, ..Sampling::default() };
    let requests = [Request { prompt: prompt.clone(), ask: Ask::Sample(sampling) }];
    if let Some(folder) = &args.write {
        let row = json!({"prompt": prompt, "draws": draws, "new_tokens": new});
        write_rows(&folder.join("request.jsonl"), [row].into_iter())?;
    }
    let seconds = timed(args.bench.repetitions, || Ok(engine.ask(&requests).map(drop)?))?;
    Ok(json!({
        "shape": args.bench.shape, "threads": session.device.threads(), "draws": draws,
        "prompt_tokens": prompt.len(), "new_tokens_a_draw": new, "seconds": seconds,
        "new_tokens_per_second": (draws * new) as f64 / seconds,
        "peak_memory_mib": peak_memory_mib(),
    }))
}

/// Random weights, also written where a peer will read them.
fn model(shape: &Shape, write: Option<&Path>) -> anyhow::Result<Arc<Model>> {
    let model = shape.model()?;
    if let Some(folder) = write {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        model.save(folder, &SpecialIds::default())?;
    }
    Ok(Arc::new(model))
}

/// Prompts of a task with their options.
fn requests(args: &BenchScoreArgs) -> anyhow::Result<Vec<Request>> {
    let (episodes, tokenizer) = episodes(&[&args.task], args.data.as_deref(), args.prompts)?;
    let request = |episode: &diapason_flow::Episode| {
        let Some(Query { goal: Goal::Choices { options, .. }, .. }) = &episode.query else {
            bail!("`{}` has no options to score\n\nhint: name a task of `align/`", args.task);
        };
        let options = options.iter().map(|option| tokenizer.encode_output(option));
        let ask = Ask::Score { options: options.collect::<Result<_, _>>()? };
        let marked = tokenizer.template().render_prompt(episode);
        Ok(Request { prompt: tokenizer.encode(&marked)?.ids().to_vec(), ask })
    };
    episodes.iter().map(request).collect()
}
