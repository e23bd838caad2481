//! Win rates by a marker of the prompts, and by how often its value stood in training: whether a
//! model gains more where training was poor (the long tail of arXiv 2506.14702).

use super::answers::Pair;
use super::percent;
use crate::args::ByArgs;
use crate::levers::read_trained;
use anyhow::{Context as _, bail, ensure};
use diapason_eval::{Duel, Tally, Units, gain_gap, win_rates};
use diapason_flow::Streams;
use diapason_markers::{Frequencies, TAIL_SHARE};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A marker by which prompts are told apart.
pub(super) struct By {
    marker: String,
    /// Share of each value in training, where that is known.
    shares: Option<BTreeMap<String, f64>>,
}

impl By {
    /// Of the arguments; `None` where nothing is told apart.
    pub(super) fn of(args: &ByArgs) -> anyhow::Result<Option<Self>> {
        let Some(marker) = args.by.clone() else { return Ok(None) };
        let shares = args.trained.as_deref().map(|path| shares(path, &marker)).transpose()?;
        Ok(Some(By { marker, shares }))
    }

    /// What a stamp says of it.
    pub(super) fn settings(&self) -> Value {
        json!({"marker": self.marker, "shares": self.shares})
    }

    /// Win rates by value, and of rare and frequent values, as lines and as JSON. Nothing where no
    /// duel has a value.
    pub(super) fn told(
        &self,
        pairs: &[Pair<'_>],
        duels: &[Duel],
        streams: &Streams,
    ) -> (Vec<String>, Value) {
        let values: HashMap<&str, &str> =
            pairs.iter().filter_map(|pair| Some((pair.unit.as_str(), pair.group()?))).collect();
        let mut groups: BTreeMap<&str, Vec<Duel>> = BTreeMap::new();
        for duel in duels {
            if let Some(value) = values.get(duel.unit.as_str()) {
                groups.entry(*value).or_default().push(duel.clone());
            }
        }
        let (mut lines, mut told) = (Vec::new(), Map::new());
        for (value, duels) in &groups {
            let Some(rates) = win_rates(duels, streams) else { continue };
            let share = self.share(value);
            let of = share
                .map_or(String::new(), |share| format!(", {:.1} % of training", 100.0 * share));
            let (rate, n) = (percent(&rates.win_rate), duels.len());
            lines.push(format!("  {} {value}{of}: win rate {rate}, {n} pairs", self.marker));
            told.insert(
                (*value).to_owned(),
                json!({"share": share, "win_rate": rates.win_rate, "pairs": n,
                       "win_rate_at_equal_length": rates.at_equal_length}),
            );
        }
        let mut all = json!({"marker": self.marker, "values": told});
        if let Some((line, tail)) = self.tail(&groups, streams) {
            lines.push(line);
            all["tail"] = tail;
        }
        (lines, all)
    }

    fn share(&self, value: &str) -> Option<f64> {
        self.shares.as_ref().map(|shares| shares.get(value).copied().unwrap_or(0.0))
    }

    /// Values under 5 % of training beside all others.
    fn tail(
        &self,
        groups: &BTreeMap<&str, Vec<Duel>>,
        streams: &Streams,
    ) -> Option<(String, Value)> {
        self.shares.as_ref()?;
        let [mut rare, mut frequent] = [Vec::new(), Vec::new()];
        for (value, duels) in groups {
            let tail = self.share(value).is_some_and(|share| share < TAIL_SHARE);
            let group = if tail { &mut rare } else { &mut frequent };
            group.extend(duels.iter().cloned());
        }
        let (one, other) = (win_rates(&rare, streams)?, win_rates(&frequent, streams)?);
        let [(won, half), (others_won, others_half)] = [&rare, &frequent].map(|duels| won(duels));
        let gap = gain_gap((&won, &half), (&others_won, &others_half), streams)?;
        let [low, high] = gap.ci95.map(|share| 100.0 * share);
        let line = format!(
            "  rare (under 5 % of training): win rate {}, {} pairs; frequent: {}, {} pairs; \
             difference {:+.1} points [{low:+.1}, {high:+.1}]",
            percent(&one.win_rate),
            rare.len(),
            percent(&other.win_rate),
            frequent.len(),
            100.0 * gap.gap,
        );
        let told = json!({"rare": one.win_rate, "frequent": other.win_rate, "gap": gap});
        Some((line, told))
    }
}

/// Wins by prompt, and the same prompts with half a win each.
fn won(duels: &[Duel]) -> (Units, Units) {
    let (mut won, mut half) = (Units::new(), Units::new());
    for duel in duels {
        for (units, sum) in [(&mut won, duel.won()), (&mut half, 0.5)] {
            let tally = units.entry(duel.unit.clone()).or_default();
            *tally = tally.plus(Tally { sum, count: 1.0 });
        }
    }
    (won, half)
}

/// Shares of the values of a marker: in the folder of a model that was trained with markers, or in
/// what `mark stats --json` printed.
fn shares(path: &Path, marker: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let place = || format!("`{}`", path.display());
    let shares = if path.is_dir() {
        let Some(trained) = read_trained(path)? else {
            bail!(
                "{} was not trained with markers\n\nhint: `mark stats CORPUS --json` tells the \
                 shares of any corpus",
                place()
            );
        };
        of_training(&trained.frequencies, marker)
    } else {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", place()))?;
        let stats: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what `mark stats --json` prints", place()))?;
        let markers = stats["markers"].as_array().into_iter().flatten();
        let values = markers.filter(|found| found["name"] == marker);
        let values = values.flat_map(|found| found["values"].as_array().into_iter().flatten());
        let share =
            |value: &Value| Some((value["value"].as_str()?.to_owned(), value["share"].as_f64()?));
        values.filter_map(share).collect()
    };
    ensure!(!shares.is_empty(), "{} knows no value of `{marker}`", place());
    Ok(shares)
}

/// Of the examples that have the marker, the share with each value.
fn of_training(frequencies: &Frequencies, marker: &str) -> BTreeMap<String, f64> {
    let (mut counts, mut total) = (BTreeMap::<String, f64>::new(), 0.0);
    for (row, count) in frequencies.rows() {
        let Some(value) = row.0.get(marker) else { continue };
        total += *count as f64;
        for value in value.values() {
            *counts.entry(value.clone()).or_default() += *count as f64;
        }
    }
    counts.into_iter().map(|(value, count)| (value, count / total)).collect()
}
