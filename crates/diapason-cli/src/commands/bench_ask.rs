//! `diapason bench score` and `diapason bench sample`: an engine with random weights, asked.

use super::Session;
use super::bench::{episodes, median, peak_memory_mib, write_rows};
use super::bench_shape::{Shape, forward_flops, shape};
use crate::args::{BenchSampleArgs, BenchScoreArgs};
use anyhow::{Context as _, bail};
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Answer, Ask, Goal, Lm as _, Query, Request, Sampling};
use diapason_model::{Model, SpecialIds, WeightPrecision, product_gflops};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Scores the options of an alignment task.
pub(super) fn score(session: &Session<'_>, args: &BenchScoreArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.bench.shape)?;
    let requests = requests(args)?;
    let model = model(&shape, args.bench.weights, args.write.as_deref())?;
    let asked = ask(session, &shape, &model, (&requests, args.bench.repetitions))?;
    if let Some(folder) = &args.write {
        let rows = requests.iter().zip(&asked.answers).map(|(request, answer)| {
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
    let per_second = requests.len() as f64 / asked.seconds;
    let told = json!({
        "shape": args.bench.shape, "weights": args.bench.weights,
        "threads": session.device.threads(), "task": args.task,
        "prompts": requests.len(), "options": count, "prompt_tokens": tokens,
        "prompts_per_second": per_second,
    });
    Ok(asked.told(told))
}

/// What an engine did with requests.
struct Asked {
    answers: Vec<Answer>,
    seconds: f64,
    read_tokens: u64,
    gflops: f64,
    limit: f64,
}

impl Asked {
    /// Some figures with those of the engine.
    fn told(&self, mut told: Value) -> Value {
        told["seconds"] = self.seconds.into();
        told["read_tokens"] = self.read_tokens.into();
        told["gflops_needed_per_second"] = self.gflops.into();
        told["gflops_of_products"] = self.limit.into();
        told["share_of_limit"] = (self.gflops / self.limit).into();
        told["peak_memory_mib"] = peak_memory_mib().into();
        told
    }
}

/// Median time of asking an engine, each time a new one: it would remember the prompts.
fn ask(
    session: &Session<'_>,
    shape: &Shape,
    model: &Arc<Model>,
    (requests, repetitions): (&[Request], usize),
) -> anyhow::Result<Asked> {
    let (device, mut seconds) = (&session.device, Vec::new());
    let (mut answers, mut needed, mut read_tokens) = (Vec::new(), 0.0, 0);
    for _ in 0..repetitions.max(1) {
        let engine = Engine::start(Arc::clone(model), device.clone(), EngineSettings::default());
        // The first question finds pages that were never touched, and weights that are not packed.
        let first = Request { prompt: shape.ids(2), ask: Ask::Trace { from: 1, top: 0 } };
        engine.ask(&[first])?;
        let before = engine.statistics();
        let started = Instant::now();
        answers = engine.ask(requests)?;
        seconds.push(started.elapsed().as_secs_f64());
        let after = engine.statistics();
        read_tokens = after.read_tokens - before.read_tokens;
        let (rows, pairs) =
            (after.logit_rows - before.logit_rows, after.seen_pairs - before.seen_pairs);
        needed = forward_flops(&shape.arch, [read_tokens, rows, pairs].map(|count| count as usize));
    }
    let seconds = median(&mut seconds);
    let of_a_batch = EngineSettings::default().max_batch_tokens;
    let limit = product_gflops(device, (of_a_batch, 2 * shape.arch.mlp_width, shape.arch.width));
    Ok(Asked { answers, seconds, read_tokens, gflops: needed / seconds / 1e9, limit })
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
    let model = model(&shape, args.bench.weights, args.write.as_deref())?;
    let (draws, new) = (args.draws, args.new_tokens);
    let sampling = Sampling { n: draws, max_tokens: new, ..Sampling::default() };
    let requests = [Request { prompt: prompt.clone(), ask: Ask::Sample(sampling) }];
    let asked = ask(session, &shape, &model, (&requests, args.bench.repetitions))?;
    if let Some(folder) = &args.write {
        // So that a peer can say how far its probabilities are from ours.
        let trace = Request { prompt: prompt.clone(), ask: Ask::Trace { from: 1, top: 0 } };
        let nats: Vec<f32> = match &ask(session, &shape, &model, (&[trace], 1))?.answers[..] {
            [Answer::Traced(scores)] => scores.iter().map(|score| score.logprob_nats).collect(),
            _ => Vec::new(),
        };
        let row = json!({"prompt": prompt, "prompt_nats": nats, "draws": draws, "new_tokens": new});
        write_rows(&folder.join("request.jsonl"), [row].into_iter())?;
    }
    let per_second = (draws * new) as f64 / asked.seconds;
    let told = json!({
        "shape": args.bench.shape, "weights": args.bench.weights,
        "threads": session.device.threads(), "draws": draws,
        "prompt_tokens": prompt.len(), "new_tokens_a_draw": new,
        "new_tokens_per_second": per_second,
    });
    Ok(asked.told(told))
}

/// Random weights, also written where a peer will read them.
fn model(
    shape: &Shape,
    weights: WeightPrecision,
    write: Option<&Path>,
) -> anyhow::Result<Arc<Model>> {
    let model = shape.model(weights)?;
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
