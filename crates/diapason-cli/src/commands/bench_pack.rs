//! `diapason bench pack`: from raw files to packed sequences.

use super::{Session, suite_of};
use crate::args::PackArgs;
use crate::pipeline::template_kind;
use anyhow::bail;
use diapason_data::{BuildSettings, Limits};
use diapason_flow::{Episode, LossPolicy, Markers, Pack, Streams, Tokens};
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
    let (started, used) = (Instant::now(), processor_seconds());
    let mut sequences = Vec::new();
    let encode = |mut episode: Episode| {
        // Markers are another training's subject.
        for turn in &mut episode.turns {
            turn.markers = Markers::default();
        }
        tokenizer.encode(&tokenizer.template().render(&episode, LossPolicy::EveryOutput))
    };
    let from = (&settings, &Streams::new(0));
    suite.each(task, args.source.data.as_deref(), from, &encode, &mut |batch| {
        sequences.extend(batch);
        Ok(())
    })?;
    let sequences = sequences.into_iter().collect::<Result<Vec<Tokens>, _>>()?;
    let encoded = started.elapsed().as_secs_f64();
    let packs = pack_in_order(&sequences, args.max_sequence_tokens);
    let seconds = started.elapsed().as_secs_f64();
    let used = processor_seconds().zip(used).map(|(end, start)| end - start);
    let tokens: usize = packs.iter().map(Pack::len).sum();
    let learned: f64 = packs.iter().map(Pack::learned).sum();
    Ok(json!({
        "task": task.path(), "threads": threads, "episodes": sequences.len(), "packs": packs.len(),
        "tokens": tokens, "learned_tokens": learned, "seconds": seconds,
        "processor_seconds": used, "seconds_encode": encoded, "seconds_pack": seconds - encoded,
        "episodes_per_second": sequences.len() as f64 / seconds,
        "tokens_per_second": tokens as f64 / seconds,
    }))
}

/// Seconds that all threads of this process have had of the processors, to a hundredth; `None`
/// where the system does not say so in Linux's way.
fn processor_seconds() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15, counted behind the name, which may hold anything.
    let fields: Vec<&str> = status.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(14)? + ticks(15)?) / 100.0)
}
