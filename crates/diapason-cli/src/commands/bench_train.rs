//! `diapason bench train`: optimiser steps on real episodes, in which some tokens learn.

use super::Session;
use super::bench::{episodes, median, peak_memory_mib, write_rows};
use super::bench_shape::{Shape, forward_flops, shape};
use crate::args::BenchTrainArgs;
use diapason_flow::{Episode, LossPolicy, Pack, Tokens};
use diapason_model::{
    Activations, AdamW, AdamWSettings, Arch, Learning, MomentPrecision, TrainingRoom, Workspace,
    global_norm, product_gflops,
};
use diapason_train::pieces;
use serde_json::{Value, json};
use std::time::Instant;

pub(super) fn train(session: &Session<'_>, args: &BenchTrainArgs) -> anyhow::Result<Value> {
    let shape = shape(&args.bench.shape)?;
    let sequences = sequences(&shape, args)?;
    if let Some(path) = &args.write_sequences {
        let row = |tokens: &Tokens| json!({"ids": tokens.ids(), "learn": tokens.learn()});
        write_rows(path, sequences.iter().map(row))?;
    }
    let mut pack = Pack::new();
    for tokens in &sequences {
        pack.push_weighted(tokens.ids(), |index| f32::from(u8::from(tokens.learn()[index])));
    }
    let device = &session.device;
    let mut model = shape.model(args.bench.weights)?;
    let learning = Learning::without(&model.layout.tensors, |tensor| {
        args.freeze.iter().any(|part| tensor.name.contains(part))
    });
    let activations = if args.recompute { Activations::Recomputed } else { Activations::Kept };
    let moments = if args.bytes { MomentPrecision::Bytes } else { MomentPrecision::F32 };
    let room = TrainingRoom {
        max_tokens: pack.len(),
        max_targets: pack.learn().iter().filter(|weight| **weight > 0.0).count(),
        adapter: None,
        learning: &learning,
        activations,
    };
    let workspace_bytes = room.bytes(&model.arch, device.threads());
    let mut workspace = Workspace::learning(&model, learning.clone(), pack.len(), activations);
    let mut gradients = vec![0.0; model.weights.len()];
    let mut optimiser = AdamW::new(AdamWSettings::default(), &model.layout.tensors, moments);
    optimiser.learning = learning.clone();
    let mut seconds = Vec::new();
    let mut losses = Vec::new();
    for repetition in 0..=args.bench.repetitions {
        let started = Instant::now();
        learning.parts(0..gradients.len()).for_each(|part| gradients[part].fill(0.0));
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
    // Without repetitions only the sequences and the plan of memory are asked for.
    let median = (!seconds.is_empty()).then(|| median(&mut seconds));
    let arch = &shape.arch;
    let limit = product_gflops(device, (pack.len(), 2 * arch.mlp_width, arch.width));
    let rate = median.map(|seconds| needed_flops(arch, &pack) / seconds / 1e9);
    Ok(json!({
        "shape": args.bench.shape, "weights": args.bench.weights, "threads": device.threads(),
        "sequences": sequences.len(),
        "tokens_per_step": pack.len(), "learned_tokens": pack.learned(),
        "seconds_per_step": median,
        "tokens_per_second": median.map(|seconds| pack.len() as f64 / seconds),
        "gflops_needed_per_second": rate, "gflops_of_products": limit,
        "share_of_limit": rate.map(|rate| rate / limit), "peak_memory_mib": peak_memory_mib(),
        "workspace_mib": workspace_bytes >> 20, "losses": losses,
    }))
}

/// Episodes of tasks, rendered without markers and cut into tokens as training does it, until a step
/// is full.
fn sequences(shape: &Shape, args: &BenchTrainArgs) -> anyhow::Result<Vec<Tokens>> {
    let tasks: Vec<&str> = args.tasks.iter().map(String::as_str).collect();
    let (episodes, tokenizer) = episodes(&tasks, args.data.as_deref(), 400)?;
    let template = tokenizer.template();
    let tokens = |episode: &Episode| {
        tokenizer.encode(&template.render_with_lists(episode, LossPolicy::EveryOutput, &[]))
    };
    let whole = episodes.iter().map(tokens).collect::<Result<Vec<_>, _>>()?;
    let (mut sequences, mut left) = (Vec::new(), shape.step_tokens);
    for piece in pieces(&whole, shape.sequence_tokens) {
        if let Some(rest) = left.checked_sub(piece.len()) {
            left = rest;
            sequences.push(piece.into_owned());
        }
    }
    let most = shape.sequence_tokens;
    anyhow::ensure!(
        !sequences.is_empty(),
        "`{}` has no output to learn that fits {most} tokens\n\nhint: name a task of `steer/`",
        tasks.join("`, `")
    );
    Ok(sequences)
}

/// Multiplications and additions that a step over a pack needs: forward and twice backward, the head
/// only where something is learned, attention over half of each segment's square.
fn needed_flops(arch: &Arch, pack: &Pack) -> f64 {
    let learning = pack.learn().iter().filter(|weight| **weight > 0.0).count();
    let pairs: usize = pack.segments().map(|segment| segment.len() * segment.len() / 2).sum();
    3.0 * forward_flops(arch, [pack.len(), learning, pairs])
}
