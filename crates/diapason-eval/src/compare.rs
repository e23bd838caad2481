//! Paired comparisons of two models on the units they share.

use crate::Units;
use crate::measure::{Measurements, Tally};
use crate::resample::{Matrix, interval};
use diapason_flow::{Comparison, Streams};
use std::collections::BTreeSet;

/// The difference of two models, paired on units.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// `a - factor · b`, each the ratio of its sums over the shared units.
    pub difference: f64,
    /// 95 % interval from resampling the shared units; the difference itself if there is only one.
    pub ci95: [f64; 2],
    /// Two-sided p-value of a sign-flip test on whole units, 1 if there is one unit.
    pub p: f64,
    /// Number of shared units.
    pub n: usize,
}

/// `a - factor · b` on the units both have: 1 compares them, 0.5 asks whether a is half of b.
/// `None` without shared units.
///
/// Test: each unit contributes `s_a/C_a - factor · s_b/C_b`, whose sum is the difference; if the
/// two sides do not differ, every contribution is as likely with either sign. All sign patterns
/// for up to 10 units, 2000 otherwise.
pub fn compare_units(a: &Units, b: &Units, factor: f64, streams: &Streams) -> Option<Difference> {
    differences(&[(a, b)], factor, streams).pop().flatten()
}

/// All figures that two models share, the families of tasks included.
pub fn compare(
    a: (&str, &Measurements),
    b: (&str, &Measurements),
    streams: &Streams,
) -> Vec<Comparison> {
    let (first, second) = (a.1.with_families(), b.1.with_families());
    let mut comparisons = Vec::new();
    for (task, first) in &first.tasks {
        let Some(second) = second.tasks.get(task) else {
            continue;
        };
        let shared: Vec<_> = first
            .figures
            .iter()
            .filter_map(|(metric, units)| Some((metric, units, second.figures.get(metric)?)))
            .collect();
        let pairs: Vec<_> = shared.iter().map(|(_, first, second)| (*first, *second)).collect();
        let found = differences(&pairs, 1.0, &streams.within(task));
        for ((metric, ..), difference) in shared.iter().zip(found) {
            let Some(difference) = difference else {
                continue;
            };
            comparisons.push(Comparison {
                task: task.clone(),
                metric: (*metric).clone(),
                a: a.0.to_owned(),
                b: b.0.to_owned(),
                difference: difference.difference,
                ci95: difference.ci95,
                p: difference.p,
                n: difference.n,
            });
        }
    }
    comparisons
}

/// Sums and counts of both sides over shared units, and the weights of a unit's contribution.
struct Sides {
    a: Tally,
    b: Tally,
    n: usize,
}

fn differences(
    pairs: &[(&Units, &Units)],
    factor: f64,
    streams: &Streams,
) -> Vec<Option<Difference>> {
    let names: BTreeSet<&str> = pairs
        .iter()
        .flat_map(|(a, b)| a.keys().filter(|name| b.contains_key(*name)).map(String::as_str))
        .collect();
    let sides: Vec<Sides> = pairs.iter().map(|(a, b)| sides(a, b)).collect();
    let mut resampled = Matrix::zeros(names.len(), 4 * pairs.len());
    let mut flipped = Matrix::zeros(names.len(), pairs.len());
    for (row, name) in names.iter().enumerate() {
        for (column, ((a, b), whole)) in pairs.iter().zip(&sides).enumerate() {
            let Some((a, b)) = shared(a.get(*name), b.get(*name)) else {
                continue;
            };
            for (place, value) in [a.sum, a.count, b.sum, b.count].into_iter().enumerate() {
                resampled.set(row, 4 * column + place, value);
            }
            let contribution = a.sum / whole.a.count - factor * b.sum / whole.b.count;
            flipped.set(row, column, contribution);
        }
    }
    let resampled = resampled.bootstrap(&mut streams.stream("bootstrap", 0));
    let flipped = flipped.sign_flips(&mut streams.stream("sign flips", 0));
    let finish = |(column, whole): (usize, &Sides)| {
        let difference = whole.a.mean()? - factor * whole.b.mean()?;
        let values = resampled.chunks(4 * pairs.len()).map(|row| {
            let row = &row[4 * column..4 * column + 4];
            row[0] / row[1] - factor * row[2] / row[3]
        });
        let ci95 =
            interval(values.collect(), difference, whole.n).unwrap_or([difference, difference]);
        let p = p_value(flipped.iter().skip(column).step_by(pairs.len()));
        difference.is_finite().then_some(Difference { difference, ci95, p, n: whole.n })
    };
    sides.iter().enumerate().map(finish).collect()
}

fn shared<'a>(a: Option<&'a Tally>, b: Option<&'a Tally>) -> Option<(&'a Tally, &'a Tally)> {
    let both = (a?, b?);
    (both.0.count > 0.0 && both.1.count > 0.0).then_some(both)
}

fn sides(a: &Units, b: &Units) -> Sides {
    let mut sides = Sides { a: Tally::default(), b: Tally::default(), n: 0 };
    for (name, tally) in a {
        if let Some((a, b)) = shared(Some(tally), b.get(name)) {
            sides = Sides { a: sides.a.plus(*a), b: sides.b.plus(*b), n: sides.n + 1 };
        }
    }
    sides
}

/// Share of sums at least as far from zero as the first, the observed one, itself included.
fn p_value<'a>(sums: impl Iterator<Item = &'a f64>) -> f64 {
    let sums: Vec<f64> = sums.map(|sum| sum.abs()).collect();
    let Some(observed) = sums.first() else {
        return 1.0;
    };
    // Sums of the same numbers in another order differ by rounding.
    let bound = observed - 1e-9 * observed;
    sums.iter().filter(|sum| **sum >= bound).count() as f64 / sums.len() as f64
}
