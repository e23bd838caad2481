//! Judges, metrics, statistics and the report: everything between an answer and a page.
//!
//! ```text
//! (Episode, Answer) → SteerOutcome | AlignOutcome | CoverOutcome   one file each, pure
//!           outcomes → Collector → Measurements                     sums per task, metric, unit
//!       Measurements → Results, Comparisons                         intervals resample units
//!            figures → ReportData → JSON, one HTML file
//! ```
//!
//! Nothing here reads a file, asks a model or knows a tokenizer. Names of metrics, what they mean
//! and which way is better stand in one table, [`METRICS`].

mod align;
mod calibration;
mod capability;
mod classing;
mod code;
mod collect;
mod compare;
mod cover;
mod error;
mod estimate;
mod judge;
mod levers;
mod measure;
mod metrics;
mod pairwise;
mod question;
mod report;
mod resample;
#[cfg(test)]
mod statistics_tests;
mod steer;

pub use align::{AlignOutcome, align};
pub use calibration::{Pair, expected_calibration_error};
pub use capability::{CapabilityOutcome, capability};
pub use classing::{Classing, settled};
pub use code::{Problem, Program, pass_at_k};
pub use collect::Collector;
pub use compare::{Difference, compare, compare_units};
pub use cover::{CoverOutcome, cover};
pub use error::EvalError;
pub use estimate::{estimate, results};
pub use judge::{Classes, Judge, judge};
pub use levers::{
    GainGap, LEAST_WORDS, LengthOutcome, every_line, gain_gap, length, markers_right, wins,
};
pub use measure::{CurveUnits, Measurements, Tally, TaskMeasurements, Units};
pub use metrics::{Better, METRICS, Metric, metric};
pub use pairwise::{Agreement, Duel, Verdict, WinRates, agreement, win_rates};
pub use question::{Asked, JudgeQuestion, Ruling, SCORES};
pub use report::{
    Claim, Distribution, Fact, ModelInfo, ReportData, SampleGrid, SampleText, Seen, TaskNote,
    Version, claim, html,
};
pub use steer::{SteerOutcome, TurnOutcome, permutation_gap, steer};
