//! `diapason bench`: tokens or items per second, and the arithmetic they need.

use super::Session;
use super::bench_pack::pack;
use crate::args::{BenchArgs, BenchVerb};
use anyhow::bail;
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Ask, Lm as _, Pack, Request, Sampling, Streams};
use diapason_model::{AdamW, AdamWSettings, Arch, Model, Workspace, global_norm};
use rand::RngExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Runs a verb of `bench`.
pub(crate) fn bench(session: &Session<'_>, verb: &BenchVerb) -> anyhow::Result<()> {
    let (json, measured) = match verb {
        BenchVerb::Train(args) => (args.json, train(session, args)?),
        BenchVerb::Score(args) => (args.json, score(session, args)?),
        BenchVerb::Sample(args) => (args.json, sample(session, args)?),
        BenchVerb::Pack(args) => (args.json, pack(session, args)?),
    };
    if json {
        return Ok(session.console.data(&measured.to_string())?);
    }
    for (key, value) in measured.as_object().into_iter().flatten() {
        session.console.data(&format!("{key:<28} {value}"))?;
    }
    Ok(())
}

/// A shape to measure on: the model, sequences of a step and their length.
struct Shape {
    arch: Arch,
    sequences: usize,
    tokens: usize,
}

fn shape(name: &str) -> anyhow::Result<Shape> {
    let llama = |width, layers, heads, kv_heads, mlp_width, vocabulary| Arch {
        family: "llama".to_owned(),
        width,
        layers,
        heads,
        kv_heads,
        head_width: width / heads,
        mlp_width,
        vocabulary,
        context: 2048,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tied: true,
        variant: diapason_model::Variant::default(),
    };
    Ok(match name {
        "quickstart" => Shape { arch: llama(160, 5, 5, 5, 448, 768), sequences: 51, tokens: 80 },
        "135m" => Shape { arch: llama(576, 30, 9, 3, 1536, 49_152), sequences: 4, tokens: 512 },
        other => bail!("there is no shape `{other}`"),
    })
}

impl Shape {
    fn model(&self) -> anyhow::Result<Model> {
        Ok(Model::random(self.arch.clone(), &Streams::new(0))?)
    }

    fn ids(&self, index: u64) -> Vec<u32> {
        let mut stream = Streams::new(0).stream("bench", index);
        (0..self.tokens).map(|_| stream.random_range(0..self.arch.vocabulary as u32)).collect()
    }

    /// Multiplications and additions that a step over all tokens needs: matrices forward and
    /// twice backward, attention over half of each sequence's square.
    fn train_flops(&self) -> f64 {
        let arch = &self.arch;
        let heads = (2 * arch.heads + 2 * arch.kv_heads) * arch.head_width;
        let layer = arch.width * (heads + 3 * arch.mlp_width);
        let matrices = arch.layers * layer + arch.width * arch.vocabulary;
        let attention = arch.layers * 2 * self.tokens * arch.heads * arch.head_width / 2;
        6.0 * (matrices + attention) as f64 * (self.sequences * self.tokens) as f64
    }
}

fn train(session: &Session<'_>, args: &BenchArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.shape)?;
    let mut model = shape.model()?;
    let device = &session.device;
    let mut pack = Pack::new();
    for index in 0..shape.sequences as u64 {
        pack.push_weighted(&shape.ids(index), |_| 1.0);
    }
    let mut workspace = Workspace::new(&model.arch, pack.len());
    let mut gradients = vec![0.0; model.weights.len()];
    let mut optimiser = AdamW::new(AdamWSettings::default(), model.weights.len());
    let mut seconds = Vec::new();
    let mut losses = Vec::new();
    for repetition in 0..=args.repetitions {
        let started = Instant::now();
        gradients.fill(0.0);
        let scale = (1.0 / pack.learned()) as f32;
        let loss =
            model.loss_and_gradients(device, &pack, scale, &mut workspace, &mut gradients)?;
        let clip = (1.0 / global_norm(device, &gradients)).min(1.0) as f32;
        optimiser.step(device, &model.layout.tensors, &mut model.weights, &gradients, 1e-3, clip);
        losses.push(loss.nats / loss.learned);
        // The first step faults pages in.
        if repetition > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    let median = median(&mut seconds);
    let rate = shape.train_flops() / median / 1e9;
    Ok(json!({
        "shape": args.shape, "threads": device.threads(), "tokens_per_step": pack.len(),
        "seconds_per_step": median, "tokens_per_second": pack.len() as f64 / median,
        "gflops_needed_per_second": rate, "peak_memory_mib": peak_memory_mib(),
        "losses": losses,
    }))
}

fn score(session: &Session<'_>, args: &BenchArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.shape)?;
    let vocabulary = shape.arch.vocabulary as u32;
    let engine =
        Engine::start(Arc::new(shape.model()?), session.device.clone(), EngineSettings::default());
    let requests: Vec<Request> = (0..64)
        .map(|index| {
            let options = (0..4).map(|option| vec![option * 7 % vocabulary, 1]).collect();
            Request { prompt: shape.ids(index)[..57].to_vec(), ask: Ask::Score { options } }
        })
        .collect();
    let median = timed(args, || engine.ask(&requests).map(drop).map_err(Into::into))?;
    Ok(json!({
        "shape": args.shape, "threads": session.device.threads(), "prompts": requests.len(),
        "prompt_tokens": 57, "options": 4, "seconds": median,
        "prompts_per_second": requests.len() as f64 / median,
        "peak_memory_mib": peak_memory_mib(),
    }))
}

fn sample(session: &Session<'_>, args: &BenchArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.shape)?;
    let engine =
        Engine::start(Arc::new(shape.model()?), session.device.clone(), EngineSettings::default());
    let sampling = Sampling { n: 100, max_tokens: 50, ..Sampling::default() };
    let prompt = shape.ids(0);
    let requests = [Request { prompt: prompt.clone(), ask: Ask::Sample(sampling) }];
    let median = timed(args, || engine.ask(&requests).map(drop).map_err(Into::into))?;
    Ok(json!({
        "shape": args.shape, "threads": session.device.threads(), "draws": 100,
        "prompt_tokens": prompt.len(), "new_tokens_a_draw": 50, "seconds": median,
        "new_tokens_per_second": 5000.0 / median, "peak_memory_mib": peak_memory_mib(),
    }))
}

fn timed(args: &BenchArgs, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    work()?;
    let mut seconds = Vec::new();
    for _ in 0..args.repetitions {
        let started = Instant::now();
        work()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(median(&mut seconds))
}

/// The middle value; of an even number the upper one. 0 without values.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Peak resident memory where the system says it in a file.
fn peak_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
