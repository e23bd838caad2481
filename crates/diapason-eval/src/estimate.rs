//! Figures and curves with intervals that resample whole units.

use crate::measure::total;
use crate::resample::{Matrix, interval};
use crate::{Measurements, TaskMeasurements, Units, metric};
use diapason_flow::{CurvePoint, Estimate, Results, Streams};
use std::collections::BTreeSet;

/// A figure from the tallies of its units.
///
/// Value: ratio of the sums. Standard error: the clustered one of a ratio,
/// `√(n/(n-1) Σ (s_u - value·c_u)²) / Σ c_u`. Interval: bootstrap over units. A single unit says
/// nothing of the spread: its standard error is 0 and its interval the value itself, which `n = 1`
/// tells apart. `None` without rows.
pub fn estimate(units: &Units, streams: &Streams) -> Option<Estimate> {
    estimates(&[units], streams).pop().flatten()
}

/// All figures and curves of a model, the families of tasks included. The resamples depend on the
/// seed and the task only, so models measured on the same units share them.
///
/// Points of a curve that fewer than half of the metric's units reach are left out: the few that
/// reach them are other units, not a later part of the same curve.
pub fn results(measured: &Measurements, streams: &Streams) -> Results {
    let mut results = Results::default();
    for (task, measured) in &measured.with_families().tasks {
        let columns = columns(measured);
        let units: Vec<&Units> = columns.iter().map(|column| column.units).collect();
        let estimates = estimates(&units, &streams.within(task));
        for (column, estimate) in columns.iter().zip(estimates) {
            let Some(mut estimate) = estimate else {
                continue;
            };
            if let Some(metric) = metric(task, column.metric) {
                let [least, most] = metric.range;
                estimate.ci95[0] = estimate.ci95[0].max(least.min(estimate.value));
                estimate.ci95[1] = estimate.ci95[1].min(most.max(estimate.value));
            }
            let name = column.metric.to_owned();
            if let Some(x) = column.x {
                let point = CurvePoint { x, value: estimate.value, ci95: estimate.ci95 };
                let curves = results.curves.entry(task.clone()).or_default();
                curves.entry(name).or_default().push(point);
            } else {
                results.figures.entry(task.clone()).or_default().insert(name, estimate);
            }
        }
    }
    results
}

/// One metric, or one point of its curve.
struct Column<'a> {
    metric: &'a str,
    x: Option<f64>,
    units: &'a Units,
}

fn columns(measured: &TaskMeasurements) -> Vec<Column<'_>> {
    let figures = measured.figures.iter().map(|(metric, units)| Column { metric, x: None, units });
    let curves = measured.curves.iter().flat_map(|(metric, curve)| {
        let most = curve.iter().map(|place| place.units.len()).max().unwrap_or(0);
        curve.iter().filter(move |place| 2 * place.units.len() >= most).map(move |place| Column {
            metric,
            x: Some(place.x),
            units: &place.units,
        })
    });
    figures.chain(curves).collect()
}

/// One estimate a column, all from the same resamples of the union of units.
fn estimates(columns: &[&Units], streams: &Streams) -> Vec<Option<Estimate>> {
    let names: BTreeSet<&str> =
        columns.iter().flat_map(|units| units.keys().map(String::as_str)).collect();
    let mut matrix = Matrix::zeros(names.len(), 2 * columns.len());
    for (row, name) in names.iter().enumerate() {
        for (column, units) in columns.iter().enumerate() {
            if let Some(tally) = units.get(*name) {
                matrix.set(row, 2 * column, tally.sum);
                matrix.set(row, 2 * column + 1, tally.count);
            }
        }
    }
    let sums = matrix.bootstrap(&mut streams.stream("bootstrap", 0));
    let width = 2 * columns.len();
    (0..columns.len())
        .map(|column| {
            let resampled = sums.chunks(width).map(|row| row[2 * column] / row[2 * column + 1]);
            finish(columns[column], resampled.collect())
        })
        .collect()
}

fn finish(units: &Units, resampled: Vec<f64>) -> Option<Estimate> {
    let whole = total(units);
    let value = whole.mean().filter(|value| value.is_finite())?;
    let n = units.values().filter(|tally| tally.count > 0.0).count();
    let squares: f64 = units.values().map(|tally| (tally.sum - value * tally.count).powi(2)).sum();
    let spread = if n > 1 { n as f64 / (n as f64 - 1.0) } else { 0.0 };
    let stderr = (spread * squares).sqrt() / whole.count;
    let ci95 = interval(resampled, value, n).unwrap_or([value, value]);
    Some(Estimate { value, stderr, ci95, n })
}
