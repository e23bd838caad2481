//! Fitting: softmax regression by stochastic gradient steps, and what a held-out part says of it.

use super::accuracy::Accuracy;
use super::{Head, Tagger, features};
use crate::error::MarkerError;
use diapason_flow::Streams;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A labelled example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The prompt; may be empty.
    pub input: String,
    /// The completion; may be empty.
    pub output: String,
    /// The class.
    pub label: String,
}

/// How a tagger is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitSettings {
    /// log₂ of the number of hashed features, at most 24.
    pub bits: u32,
    /// Passes over the examples.
    pub epochs: u32,
    /// Step size of the first pass; it falls in a straight line to zero.
    pub learning_rate: f32,
    /// Share of the examples that is held out to measure accuracy.
    pub held_out: f64,
    /// Examples of rare classes count for more: each has the weight of its class's share to minus
    /// this power. 0 counts examples alike, 1 classes.
    pub balance: f32,
    /// Seed of the order and of what is held out.
    pub seed: u64,
}

impl Default for FitSettings {
    fn default() -> Self {
        FitSettings {
            bits: 16,
            epochs: 8,
            learning_rate: 4.0,
            held_out: 0.2,
            balance: 0.0,
            seed: 0,
        }
    }
}

/// An example as features, with the position of its class.
struct Row {
    features: Vec<u32>,
    class: usize,
}

/// Fits a tagger of a marker. The same examples, settings and seed give the same bytes.
///
/// # Errors
/// [`MarkerError::Fit`] with fewer than two classes, or nothing left to fit to.
pub fn fit(
    marker: &str,
    examples: &[Example],
    settings: &FitSettings,
) -> Result<Tagger, MarkerError> {
    let names: BTreeSet<&str> = examples.iter().map(|example| example.label.as_str()).collect();
    let classes: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let streams = Streams::new(settings.seed).within("tagger");
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.shuffle(&mut streams.stream("held out", 0));
    let held = (examples.len() as f64 * settings.held_out.clamp(0.0, 0.9)) as usize;
    let row = |index: &usize| {
        let example = &examples[*index];
        let class = classes.iter().position(|class| *class == example.label);
        Row {
            features: features(&example.input, &example.output, settings.bits),
            class: class.expect("the classes are the labels of the examples"),
        }
    };
    if classes.len() < 2 || order.len() <= held || settings.bits > 24 || settings.bits == 0 {
        return Err(MarkerError::Fit {
            marker: marker.to_owned(),
            problem: format!("{} examples of {} classes", examples.len(), classes.len()),
            hint: "give labelled examples of at least two values, and between 1 and 24 bits",
        });
    }
    let rows: Vec<Row> = order[held..].iter().map(row).collect();
    let (weights, bias) = descend(&rows, classes.len(), settings, &streams);
    let largest = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs()));
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    let head = Head {
        marker: marker.to_owned(),
        classes,
        bits: settings.bits,
        scale,
        bias,
        least: 0.0,
        accuracy: Accuracy::default(),
    };
    let weights = weights.iter().map(|weight| (weight / scale).round() as i8).collect();
    let mut tagger = Tagger { head, weights };
    tagger.head.accuracy = tagger.measure(order[..held].iter().map(|index| &examples[*index]));
    Ok(tagger)
}

/// Steps over shuffled examples with a falling step size. Returns weights `[F, C]` and bias `[C]`.
fn descend(
    rows: &[Row],
    classes: usize,
    settings: &FitSettings,
    streams: &Streams,
) -> (Vec<f32>, Vec<f32>) {
    let mut weights = vec![0.0f32; classes << settings.bits];
    let mut bias = vec![0.0f32; classes];
    let mut scores = vec![0.0f32; classes];
    let weight = class_weights(rows, classes, settings.balance);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let steps = (rows.len() * settings.epochs as usize).max(1) as f32;
    let mut step = 0.0;
    for epoch in 0..settings.epochs {
        order.shuffle(&mut streams.stream("order", u64::from(epoch)));
        for row in order.iter().map(|index| &rows[*index]) {
            let each = 1.0 / (row.features.len().max(1) as f32).sqrt();
            scores.copy_from_slice(&bias);
            for feature in &row.features {
                let weights = &weights[*feature as usize * classes..][..classes];
                for (score, weight) in scores.iter_mut().zip(weights) {
                    *score += each * weight;
                }
            }
            softmax(&mut scores);
            scores[row.class] -= 1.0;
            let rate = settings.learning_rate * (1.0 - step / steps) * weight[row.class];
            step += 1.0;
            for (bias, gradient) in bias.iter_mut().zip(&scores) {
                *bias -= 0.1 * rate * gradient;
            }
            for feature in &row.features {
                let weights = &mut weights[*feature as usize * classes..][..classes];
                for (weight, gradient) in weights.iter_mut().zip(&scores) {
                    *weight -= rate * each * gradient;
                }
            }
        }
    }
    (weights, bias)
}

/// What an example of each class counts for, `[C]`; the mean over examples is one.
fn class_weights(rows: &[Row], classes: usize, balance: f32) -> Vec<f32> {
    let mut counts = vec![0.0f32; classes];
    for row in rows {
        counts[row.class] += 1.0;
    }
    let weights: Vec<f32> = counts.iter().map(|count| count.max(1.0).powf(-balance)).collect();
    let total: f32 = weights.iter().zip(&counts).map(|(weight, count)| weight * count).sum();
    weights.iter().map(|weight| weight * rows.len() as f32 / total.max(f32::MIN_POSITIVE)).collect()
}

/// Turns scores into probabilities.
pub(super) fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |most, score| most.max(*score));
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}
