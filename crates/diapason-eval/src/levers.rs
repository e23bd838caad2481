//! Levers: whether an answer has the markers that were asked for, and what knowing them is worth.
//!
//! Lengths and languages of texts come from the caller, who measured them; here they are compared.

use crate::measure::{Tally, Units};
use crate::resample::{Matrix, interval};
use diapason_flow::{Markers, Streams};

/// Lines with fewer words say too little of their language (Language Confusion Benchmark).
pub const LEAST_WORDS: usize = 5;

/// An answer's length against the length asked for, both in one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthOutcome {
    /// 1 if the answer is longer than asked, otherwise 0.
    pub violation: f64,
    /// Distance from the length asked for, relative to it.
    pub relative_error: f64,
}

/// Compares lengths in words, sentences or tokens; `None` if nothing was asked for.
pub fn length(asked: usize, found: usize) -> Option<LengthOutcome> {
    (asked > 0).then(|| LengthOutcome {
        violation: f64::from(u8::from(found > asked)),
        relative_error: found.abs_diff(asked) as f64 / asked as f64,
    })
}

/// Whether every line of an answer is in the language asked for, by the rules of the Language
/// Confusion Benchmark: lines of fewer than [`LEAST_WORDS`] words are skipped, and so are lines
/// whose language is not sure. `None` if no line is left.
///
/// `lines`: each line's number of words and its language where that is sure.
pub fn every_line<'a>(
    lines: impl IntoIterator<Item = (usize, Option<&'a str>)>,
    asked: &str,
) -> Option<bool> {
    let sure = lines.into_iter().filter(|(words, _)| *words >= LEAST_WORDS);
    sure.filter_map(|(_, language)| language)
        .fold(None, |all, language| Some(all.unwrap_or(true) && language == asked))
}

/// For each true marker, whether the list that a model wrote has exactly its values; a marker that
/// is missing from the list is wrong.
pub fn markers_right<'a>(
    truth: &'a Markers,
    written: &'a Markers,
) -> impl Iterator<Item = (&'a str, bool)> {
    truth.iter().map(|(name, value)| {
        let found = written.0.get(name).map_or(&[][..], |value| value.values());
        (name, found == value.values())
    })
}

/// Whose score is higher, unit by unit: 1 for `ours`, 1/2 for equal ones, 0; on shared units.
pub fn wins(ours: &Units, theirs: &Units) -> Units {
    let won = |(unit, tally): (&String, &Tally)| {
        let (one, other) = (tally.mean()?, theirs.get(unit)?.mean()?);
        let sum = if one == other { 0.5 } else { f64::from(u8::from(one > other)) };
        Some((unit.clone(), Tally { sum, count: 1.0 }))
    };
    ours.iter().filter_map(won).collect()
}

/// What a gain in one group of units is beyond the gain in another.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GainGap {
    /// Mean gain `before - after` in the first group.
    pub first: f64,
    /// Mean gain in the second.
    pub second: f64,
    /// `first - second`.
    pub gap: f64,
    /// 95 % interval of the gap, units of each group resampled on their own.
    pub ci95: [f64; 2],
    /// Two-sided p-value: twice the share of resamples on the far side of zero.
    pub p: f64,
    /// Units of both groups.
    pub n: usize,
}

/// Compares the gains of two groups of units, such as rare and frequent domains. In each group
/// `before` and `after` are paired on shared units. `None` if a group has no shared unit.
pub fn gain_gap(
    first: (&Units, &Units),
    second: (&Units, &Units),
    streams: &Streams,
) -> Option<GainGap> {
    let groups = [gains(first), gains(second)];
    let n = groups.iter().map(Vec::len).sum();
    let [first, second] = [mean(&groups[0])?, mean(&groups[1])?];
    let resampled = |group: &[f64], name: &str| {
        let mut matrix = Matrix::zeros(group.len(), 1);
        group.iter().enumerate().for_each(|(row, gain)| matrix.set(row, 0, *gain));
        let sums = matrix.bootstrap(&mut streams.stream(name, 0));
        sums.into_iter().map(move |sum| sum / group.len() as f64).collect::<Vec<f64>>()
    };
    let (one, other) = (resampled(&groups[0], "first"), resampled(&groups[1], "second"));
    let gaps: Vec<f64> = one.iter().zip(&other).map(|(one, other)| one - other).collect();
    let gap = first - second;
    let fewest = groups[0].len().min(groups[1].len());
    let far = gaps.iter().filter(|other| **other * gap <= 0.0).count();
    let p = (2.0 * far.max(1) as f64 / gaps.len() as f64).min(1.0);
    let ci95 = interval(gaps, gap, fewest).unwrap_or([gap, gap]);
    Some(GainGap { first, second, gap, ci95, p, n })
}

/// `before - after` of each shared unit.
fn gains((before, after): (&Units, &Units)) -> Vec<f64> {
    let mean = |tally: Option<&Tally>| tally.and_then(|tally| tally.mean());
    let gain = |(unit, tally): (&String, &Tally)| Some(tally.mean()? - mean(after.get(unit))?);
    before.iter().filter_map(gain).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_is_violated_above_and_wrong_on_both_sides() {
        let outcome = |asked, found| length(asked, found).map(|o| (o.violation, o.relative_error));
        assert_eq!(outcome(10, 10), Some((0.0, 0.0)));
        assert_eq!(outcome(10, 15), Some((1.0, 0.5)));
        assert_eq!(outcome(10, 0), Some((0.0, 1.0)));
        assert_eq!(outcome(0, 3), None);
    }

    #[test]
    fn every_sure_line_of_some_length_must_pass() {
        let (french, greek) = (Some("French"), Some("Greek"));
        for (lines, passes) in [
            (vec![(5, french), (9, french)], Some(true)),
            (vec![(5, french), (9, greek)], Some(false)),
            (vec![(4, greek), (5, french), (8, None)], Some(true)),
            (vec![(4, french), (8, None)], None),
            (vec![], None),
        ] {
            assert_eq!(every_line(lines.iter().copied(), "French"), passes, "{lines:?}");
        }
    }

    #[test]
    fn a_marker_that_is_not_written_is_wrong() {
        let (mut truth, mut written) = (Markers::default(), Markers::default());
        truth.set("lang", "French");
        truth.set("task", "Rewrite");
        truth.add("format", "JSON");
        truth.add("format", "XML");
        written.set("lang", "French");
        written.set("format", "JSON");
        written.set("style", "Formal");
        let right: Vec<_> = markers_right(&truth, &written).collect();
        assert_eq!(right, [("format", false), ("lang", true), ("task", false)]);
    }

    fn units(values: &[f64]) -> Units {
        let tally = |value| Tally { sum: value, count: 1.0 };
        values.iter().enumerate().map(|(unit, value)| (unit.to_string(), tally(*value))).collect()
    }

    #[test]
    fn wins_are_of_shared_units_and_ties_count_half() {
        let found = wins(&units(&[1.0, 0.5, 0.0, 9.0]), &units(&[0.5, 0.5, 0.5]));
        assert_eq!(found, units(&[1.0, 0.5, 0.0]));
    }

    #[test]
    fn gains_are_paired_and_the_gap_is_between_groups() {
        let before: Vec<f64> = (0..40).map(|unit| f64::from(unit) * 3.0).collect();
        let less = |gain: f64| before.iter().map(|value| value - gain).collect::<Vec<_>>();
        let (two, one) = (units(&less(2.0)), units(&less(1.0)));
        let before = units(&before);
        let found = gain_gap((&before, &two), (&before, &one), &Streams::new(1)).unwrap();
        assert!((found.gap - 1.0).abs() < 1e-9 && found.n == 80);
        // The spread of the units themselves cancels in the pairs.
        assert!(found.ci95[1] - found.ci95[0] < 1e-9);
        assert_eq!(gain_gap((&before, &Units::new()), (&before, &one), &Streams::new(1)), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_gap(
            gains in prop::collection::vec((-5.0f64..5.0, -5.0f64..5.0), 12..40),
        ) {
            let zero = units(&vec![0.0; gains.len()]);
            let first: Vec<f64> = gains.iter().map(|(one, _)| -one).collect();
            let second: Vec<f64> = gains.iter().map(|(_, other)| -other).collect();
            let found = gain_gap((&zero, &units(&first)), (&zero, &units(&second)), &Streams::new(2));
            let found = found.unwrap();
            prop_assert!(found.ci95[0] <= found.gap && found.gap <= found.ci95[1]);
        }
    }
}
