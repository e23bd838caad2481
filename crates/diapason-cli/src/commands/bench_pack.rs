//! `diapason bench pack`: from raw files to packed sequences.

use super::{Session, suite_of};
use crate::args::PackArgs;
use crate::pipeline::template_kind;
use anyhow::bail;
use diapason_data::{BuildSettings, Limits};
use diapason_flow::{LossPolicy, Markers, Pack, Streams};
use diapason_text::Tokenizer;
use diapason_train::pack_in_order;
use serde_json::{Value, json};
use std::time::Instant;

/// Builds, renders, tokenises, cuts and packs one task. Loading the tokenizer is not timed.
pub(super) fn pack(session: &Session<'_>, args: &PackArgs) -> anyhow::Result<Value> {
    let suite = suite_of(args.source.suite.as_deref())?;
    let tasks = suite.matching(&args.task)?;
    let [task] = tasks.as_slice() else {
        bail!("`{}` matches {} tasks\n\nhint: name one", args.task, tasks.len());
    };
    let tokenizer = Tokenizer::load_as(&args.tokenizer, template_kind(&args.template)?)?;
    let threads = session.device.threads();
    let limits = Limits { threads, memory_bytes: 1 << 30 };
    let settings = BuildSettings { limits, ..BuildSettings::default() };
    let started = Instant::now();
    let mut episodes =
        suite.build(task, args.source.data.as_deref(), &settings, &Streams::new(0))?;
    // Markers are another training's subject.
    for turn in episodes.iter_mut().flat_map(|episode| &mut episode.turns) {
        turn.markers = Markers::default();
    }
    let built = started.elapsed().as_secs_f64();
    let sequences = tokenizer.encode_all(episodes.len(), threads, |index| {
        tokenizer.template().render(&episodes[index], LossPolicy::EveryOutput)
    })?;
    let encoded = started.elapsed().as_secs_f64();
    let packs = pack_in_order(&sequences, args.max_sequence_tokens);
    let seconds = started.elapsed().as_secs_f64();
    let tokens: usize = packs.iter().map(Pack::len).sum();
    let learned: f64 = packs.iter().map(Pack::learned).sum();
    Ok(json!({
        "task": task.path(), "threads": threads, "episodes": episodes.len(), "packs": packs.len(),
        "tokens": tokens, "learned_tokens": learned, "seconds": seconds,
        "seconds_build": built, "seconds_encode": encoded - built, "seconds_pack": seconds - encoded,
        "episodes_per_second": episodes.len() as f64 / seconds,
        "tokens_per_second": tokens as f64 / seconds,
    }))
}
