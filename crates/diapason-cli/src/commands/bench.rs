//! `diapason bench`: tokens or items per second, and the arithmetic they need.

use super::bench_ask::{sample, score};
use super::bench_pack::pack;
use super::bench_train::train;
use super::{Session, suite_of};
use crate::args::BenchVerb;
use diapason_data::{BuildSettings, MixSettings, mix};
use diapason_flow::{Episode, Goal, Query, Streams, write_atomically};
use diapason_text::{TemplateKind, Tokenizer, train_tokenizer};
use serde_json::Value;
use std::path::Path;

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

/// Episodes of tasks in training order, and a small tokenizer of their own texts, those of queries
/// and their options included: a tokenizer of a real model spells few words in bytes.
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
        let asked = episode.query.iter().flat_map(|Query { input, goal }| {
            let options = if let Goal::Choices { options, .. } = goal { &options[..] } else { &[] };
            options.iter().map(Some).chain([input.as_ref()])
        });
        turns.chain([episode.description.as_ref()]).chain(asked).flatten().cloned()
    });
    let tokenizer = train_tokenizer(texts, VOCABULARY)?.with_kind(TemplateKind::Spectrum)?;
    Ok((episodes, tokenizer))
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
