//! Fitting: softmax regression by stochastic gradient steps, and what a held-out part says of it.

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
    /// Seed of the order and of what is held out.
    pub seed: u64,
}

impl Default for FitSettings {
    fn default() -> Self {
        FitSettings { bits: 16, epochs: 12, learning_rate: 4.0, held_out: 0.2, seed: 0 }
    }
}

/// What held-out examples say of a tagger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Examples held out.
    pub examples: usize,
    /// Share of them that is right.
    pub share: f64,
    /// Share that the most frequent class alone would get.
    pub majority: f64,
    /// By class, in the order of the tagger's classes.
    pub classes: Vec<ClassAccuracy>,
}

/// One class of an [`Accuracy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassAccuracy {
    /// The class.
    pub class: String,
    /// Held-out examples of the class.
    pub examples: usize,
    /// Held-out examples taken for it.
    pub predicted: usize,
    /// Of both.
    pub right: usize,
}

impl ClassAccuracy {
    /// Right among predicted; `None` where nothing was taken for it.
    pub fn precision(&self) -> Option<f64> {
        (self.predicted > 0).then(|| self.right as f64 / self.predicted as f64)
    }

    /// Right among its examples; `None` where it has none.
    pub fn recall(&self) -> Option<f64> {
        (self.examples > 0).then(|| self.right as f64 / self.examples as f64)
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
        accuracy: Accuracy::default(),
    };
    let weights = weights.iter().map(|weight| (weight / scale).round() as i8).collect();
    let mut tagger = Tagger { head, weights };
    let held: Vec<&Example> = order[..held].iter().map(|index| &examples[*index]).collect();
    tagger.head.accuracy = measure(&tagger, &held);
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
            let rate = settings.learning_rate * (1.0 - step / steps);
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

/// Turns scores into probabilities.
fn softmax(scores: &mut [f32]) {
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

/// Compares a tagger with labelled examples.
fn measure(tagger: &Tagger, examples: &[&Example]) -> Accuracy {
    let class = |class: &String| ClassAccuracy { class: class.clone(), ..ClassAccuracy::default() };
    let mut classes: Vec<ClassAccuracy> = tagger.classes().iter().map(class).collect();
    let mut right = 0;
    for example in examples {
        let predicted = tagger.predict(&example.input, &example.output);
        for class in &mut classes {
            let (is, taken) = (class.class == example.label, class.class == predicted);
            class.examples += usize::from(is);
            class.predicted += usize::from(taken);
            class.right += usize::from(is && taken);
            right += usize::from(is && taken);
        }
    }
    let most = classes.iter().map(|class| class.examples).max().unwrap_or(0);
    let of = |count: usize| count as f64 / examples.len().max(1) as f64;
    Accuracy { examples: examples.len(), share: of(right), majority: of(most), classes }
}
