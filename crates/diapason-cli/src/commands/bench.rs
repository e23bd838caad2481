//! `diapason bench`: tokens or items per second, and the arithmetic they need.

use super::bench_ask::{sample, score};
use super::bench_pack::pack;
use super::bench_train::train;
use super::{Session, suite_of};
use crate::args::BenchVerb;
use anyhow::bail;
use diapason_data::{BuildSettings, MixSettings, mix};
use diapason_flow::{Episode, Streams, write_atomically};
use diapason_model::{Arch, Model};
use diapason_text::{TemplateKind, Tokenizer, train_tokenizer};
use rand::RngExt as _;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// Most tokens in the vocabulary of the tokenizer that cuts the texts.
const VOCABULARY: usize = 1400;

/// Runs a verb of `bench`.
pub(crate) fn bench(session: &Session<'_>, verb: &BenchVerb) -> anyhow::Result<()> {
    let (json, measured) = match verb {
        BenchVerb::Train(args) => (args.bench.json, train(session, args)?),
        BenchVerb::Score(args) => (args.bench.json, score(session, args)?),
        BenchVerb::Sample(args) => (args.bench.json, sample(session, args)?),
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

/// A shape to measure on: the model, the most tokens of a step, and the length of a sequence.
pub(super) struct Shape {
    pub(super) arch: Arch,
    pub(super) step_tokens: usize,
    pub(super) sequence_tokens: usize,
}

pub(super) fn shape(name: &str) -> anyhow::Result<Shape> {
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
        "quickstart" => {
            Shape { arch: llama(128, 2, 4, 4, 384, 1400), step_tokens: 768, sequence_tokens: 512 }
        }
        "135m" => Shape {
            arch: llama(576, 30, 9, 3, 1536, 49_152),
            step_tokens: 2048,
            sequence_tokens: 512,
        },
        other => bail!("there is no shape `{other}`"),
    })
}

impl Shape {
    pub(super) fn model(&self) -> anyhow::Result<Model> {
        Ok(Model::random(self.arch.clone(), &Streams::new(0))?)
    }

    pub(super) fn ids(&self, index: u64) -> Vec<u32> {
        let mut stream = Streams::new(0).stream("bench", index);
        (0..self.sequence_tokens)
            .map(|_| stream.random_range(0..self.arch.vocabulary as u32))
            .collect()
    }
}

/// Episodes of tasks in training order, and a small tokenizer of their own texts.
pub(super) fn episodes(
    tasks: &[&str],
    data: Option<&Path>,
    most: usize,
) -> anyhow::Result<(Vec<Episode>, Tokenizer)> {
    let (suite, streams) = (suite_of(None)?, Streams::new(0));
    let settings = BuildSettings { max_episodes: Some(most), ..BuildSettings::default() };
    let mut built = Vec::new();
    for name in tasks {
        for task in suite.matching(name)? {
            built.push((task.name.clone(), suite.build(task, data, &settings, &streams)?));
        }
    }
    let episodes = mix(built, &MixSettings::default(), &streams)?.episodes;
    let texts = episodes.iter().flat_map(|episode| {
        let turns = episode.turns.iter().flat_map(|turn| [turn.input.as_ref(), Some(&turn.output)]);
        turns.chain([episode.description.as_ref()]).flatten().cloned()
    });
    let tokenizer = train_tokenizer(texts, VOCABULARY)?.with_kind(TemplateKind::Spectrum)?;
    Ok((episodes, tokenizer))
}

/// Median seconds of some work, after once for the pages that it faults in.
pub(super) fn timed(
    repetitions: usize,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    work()?;
    let mut seconds = Vec::new();
    for _ in 0..repetitions {
        let started = Instant::now();
        work()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(median(&mut seconds))
}

/// One JSON row a line.
pub(super) fn write_rows(path: &Path, rows: impl Iterator<Item = Value>) -> anyhow::Result<()> {
    Ok(write_atomically(path, |file| rows.into_iter().try_for_each(|row| writeln!(file, "{row}")))?)
}

/// The middle value; of an even number the upper one. 0 without values.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Peak resident memory where the system says it in a file.
pub(super) fn peak_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
