//! How often a tagger is right, and how sure it must be to be so.

use super::{Example, Tagger};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What held-out examples say of a tagger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Examples held out.
    pub examples: usize,
    /// Those among them that the tagger had a word for.
    #[serde(default)]
    pub answered: usize,
    /// Share of the answered that is right.
    pub share: f64,
    /// Share of all that the most frequent class alone would get.
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

impl Tagger {
    /// Compares the tagger with labelled examples; silence is no answer.
    pub fn measure<'a>(&self, examples: impl IntoIterator<Item = &'a Example>) -> Accuracy {
        let class =
            |class: &String| ClassAccuracy { class: class.clone(), ..ClassAccuracy::default() };
        let mut classes: Vec<ClassAccuracy> = self.classes().iter().map(class).collect();
        let (mut total, mut answered, mut right) = (0, 0, 0);
        for example in examples {
            let predicted = self.predict(&example.input, &example.output);
            total += 1;
            answered += usize::from(predicted.is_some());
            for class in &mut classes {
                let is = class.class == example.label;
                let taken = predicted == Some(class.class.as_str());
                class.examples += usize::from(is);
                class.predicted += usize::from(taken);
                class.right += usize::from(is && taken);
                right += usize::from(is && taken);
            }
        }
        let most = classes.iter().map(|class| class.examples).max().unwrap_or(0);
        let of = |count: usize, all: usize| count as f64 / all.max(1) as f64;
        let (share, majority) = (of(right, answered), of(most, total));
        Accuracy { examples: total, answered, share, majority, classes }
    }
}

/// The least probability from which on a tagger's answers have a precision. Every class of the
/// examples weighs the same, or the one with most examples would decide.
pub(super) fn least_probability(tagger: &Tagger, examples: &[Example], precision: f64) -> f32 {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for example in examples {
        *counts.entry(&example.label).or_default() += 1.0;
    }
    let mut answers: Vec<(f32, f64, bool)> = examples
        .iter()
        .map(|example| {
            let (class, probability) = tagger.likeliest(&example.input, &example.output);
            (probability, 1.0 / counts[example.label.as_str()], class == example.label)
        })
        .collect();
    answers.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (mut weight, mut right, mut least) = (0.0, 0.0, f32::INFINITY);
    // Answers of one probability are given all or not at all.
    for equal in answers.chunk_by(|one, other| one.0 == other.0) {
        weight += equal.iter().map(|(_, each, _)| each).sum::<f64>();
        right += equal.iter().map(|(_, each, is)| if *is { *each } else { 0.0 }).sum::<f64>();
        if right >= precision * weight {
            least = equal[0].0;
        }
    }
    // A number that JSON can hold, above every probability.
    least.min(2.0)
}
