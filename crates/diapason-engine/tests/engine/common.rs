//! A tiny model and the slow twins: one full forward pass a question, straight from the definition.

use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Answer, Ask, Lm, OptionScore, Pack, Request, Sampling, Streams};
use diapason_model::{Arch, Device, Model, Workspace};
use std::sync::Arc;

pub(crate) const VOCABULARY: u32 = 29;
pub(crate) const CONTEXT: usize = 48;

/// A model of 2 layers with grouped heads, whose weights are large enough that its distributions
/// are far from uniform.
pub(crate) fn model() -> Arc<Model> {
    let arch = Arch {
        family: "llama".to_owned(),
        width: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_width: 8,
        mlp_width: 48,
        vocabulary: VOCABULARY as usize,
        context: CONTEXT,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: diapason_model::Variant::default(),
    };
    let mut model = Model::random(arch, &Streams::new(11)).expect("the shape is possible");
    for spec in model.layout.tensors.clone() {
        let factor = match spec.decays() {
            true if spec.name.contains("embed_tokens") => 0.22,
            true => 0.7,
            false => 4.0,
        };
        model.weights.wide_mut()[spec.range].iter_mut().for_each(|weight| *weight *= factor);
    }
    Arc::new(model)
}

pub(crate) fn engine(max_batch_tokens: usize, cache_tokens: usize, threads: usize) -> Engine {
    let settings = EngineSettings { max_batch_tokens, cache_tokens, ..EngineSettings::default() };
    Engine::start(model(), Device::cpu(threads), settings)
}

/// `ln p(next token)` after every token of a text, `[T][V]`, in f64 from the definition.
pub(crate) fn plain_logprobs(model: &Model, ids: &[u32]) -> Vec<Vec<f64>> {
    let mut pack = Pack::new();
    pack.push_weighted(ids, |_| 0.0);
    let rows: Vec<usize> = (0..ids.len()).collect();
    let mut workspace = Workspace::forward_only(&model.arch, ids.len());
    let mut logprobs = Vec::new();
    let mut each = |_: usize, logits: &[f32]| {
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - max).exp()).sum();
        logprobs.push(logits.iter().map(|logit| f64::from(logit - max) - sum.ln()).collect());
    };
    model
        .logits(&Device::cpu(1), &pack, &rows, &mut workspace, &mut each)
        .expect("ids are in the vocabulary");
    logprobs
}

/// One full forward pass for an option.
pub(crate) fn plain_score(model: &Model, prompt: &[u32], option: &[u32]) -> f64 {
    let text = [prompt, option].concat();
    let logprobs = plain_logprobs(model, &text);
    let scored = option.iter().zip(&logprobs[prompt.len() - 1..]);
    scored.map(|(id, row)| row[*id as usize]).sum()
}

/// A text of some ids that depend on a number.
pub(crate) fn text(number: u32, tokens: usize) -> Vec<u32> {
    let mix = |place: u32| (number * 7919 + place * 104_729 + place * place * 31) % VOCABULARY;
    (0..tokens as u32).map(mix).collect()
}

pub(crate) fn sample(prompt: Vec<u32>, sampling: Sampling) -> Request {
    Request { prompt, ask: Ask::Sample(sampling) }
}

pub(crate) fn score(prompt: Vec<u32>, options: Vec<Vec<u32>>) -> Request {
    Request { prompt, ask: Ask::Score { options } }
}

pub(crate) fn trace(prompt: Vec<u32>, from: usize, top: usize) -> Request {
    Request { prompt, ask: Ask::Trace { from, top } }
}

pub(crate) fn ask_one(engine: &Engine, request: Request) -> Answer {
    engine.ask(&[request]).expect("the request is valid").remove(0)
}

pub(crate) fn samples(answer: Answer) -> Vec<diapason_flow::Sample> {
    match answer {
        Answer::Sampled(samples) => samples,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn scores(answer: Answer) -> Vec<OptionScore> {
    match answer {
        Answer::Scored(scores) => scores,
        other => panic!("{other:?}"),
    }
}
