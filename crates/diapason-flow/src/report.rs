//! Figures of an evaluation, as `results.json` and `report.json` hold them.

use std::collections::BTreeMap;

/// A figure with its uncertainty. Intervals resample whole units, not rows.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Standard error.
    pub stderr: f64,
    /// 95 % interval, low and high.
    pub ci95: [f64; 2],
    /// Number of units.
    pub n: usize,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurvePoint {
    /// Where: a number of in-context examples, or a temperature.
    pub x: f64,
    /// The figure there.
    pub value: f64,
    /// 95 % interval, low and high.
    pub ci95: [f64; 2],
}

/// Two models on the same units of one task: `difference = a - b`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Comparison {
    /// Task, as in the results: `align/urn`; a family of tasks ends in `/*`.
    pub task: String,
    /// Metric, as in the results.
    pub metric: String,
    /// First model.
    pub a: String,
    /// Second model.
    pub b: String,
    /// Mean of the paired differences, a - b.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub ci95: [f64; 2],
    /// Two-sided p-value of a sign-flip test on whole units.
    pub p: f64,
    /// Number of shared units.
    pub n: usize,
}

/// Results of one model: task → metric → figure, and task → metric → curve.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Results {
    /// Task → metric → figure.
    pub figures: BTreeMap<String, BTreeMap<String, Estimate>>,
    /// Task → metric → curve.
    pub curves: BTreeMap<String, BTreeMap<String, Vec<CurvePoint>>>,
}
