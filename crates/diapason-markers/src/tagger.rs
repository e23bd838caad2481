//! The distilled tagger: a linear classifier over hashed words and letters of a prompt and output.
//!
//! F hashed features (a power of two), C classes. A text is a set of features, each of weight
//! `1/√n` where n is their number; the class with the largest score wins. Fitting is multinomial
//! logistic regression by stochastic gradient steps; weights are kept as one byte each. A tagger that
//! is not sure enough says nothing: where that begins is found on examples of other sources.

mod accuracy;
mod features;
mod fit;

use crate::error::MarkerError;
use features::features;
use serde::{Deserialize, Serialize};

pub use accuracy::{Accuracy, ClassAccuracy};
pub use fit::{Example, FitSettings, fit};

/// Begins every saved tagger.
const MAGIC: &[u8] = b"diapason tagger 1\n";

/// The taggers of the binary. Fitted by `benches/tagger/fit.sh` to openly licensed labels, which
/// docs/measurements/2026-11-20-markers.md lists beside their accuracy.
const DEFAULTS: [&[u8]; 2] =
    [include_bytes!("tagger/default/domain.tagger"), include_bytes!("tagger/default/task.tagger")];

/// A fitted classifier of one marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagger {
    head: Head,
    /// `[F, C]`, row by row.
    weights: Vec<i8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    marker: String,
    /// C names.
    classes: Vec<String>,
    /// log₂ F.
    bits: u32,
    /// What a weight of one byte is worth.
    scale: f32,
    /// `[C]`.
    bias: Vec<f32>,
    /// A class with less than this probability is not told.
    #[serde(default)]
    least: f32,
    /// What a held-out part of the examples said.
    accuracy: Accuracy,
}

impl Tagger {
    /// The marker it predicts.
    pub fn marker(&self) -> &str {
        &self.head.marker
    }

    /// Its classes.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
    }

    /// Its accuracy on examples it was not fitted to.
    pub fn accuracy(&self) -> &Accuracy {
        &self.head.accuracy
    }

    /// The taggers that come with diapason: of domain and of task.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn defaults() -> Vec<Tagger> {
        let read =
            |bytes: &&[u8]| Tagger::from_bytes(bytes).expect("the embedded taggers are whole");
        DEFAULTS.iter().map(read).collect()
    }

    /// The class of an example; `None` where the tagger is not sure enough.
    pub fn predict(&self, input: &str, output: &str) -> Option<&str> {
        let (class, probability) = self.likeliest(input, output);
        (probability >= self.head.least).then_some(class)
    }

    /// The likeliest class of an example and its probability; ties go to the earlier class.
    pub fn likeliest(&self, input: &str, output: &str) -> (&str, f32) {
        let mut shares = self.scores(&features(input, output, self.head.bits));
        fit::softmax(&mut shares);
        let mut best = 0;
        for (class, share) in shares.iter().enumerate() {
            if *share > shares[best] {
                best = class;
            }
        }
        (&self.head.classes[best], shares[best])
    }

    /// The same tagger, silent where it is not sure: among examples of other sources that it still
    /// answers, the share that is right, averaged over classes as their examples have them, is
    /// at least `precision`. Where that cannot be, it is silent always.
    pub fn sure(mut self, others: &[Example], precision: f64) -> Self {
        self.head.least = accuracy::least_probability(&self, others, precision);
        self
    }

    fn scores(&self, features: &[u32]) -> Vec<f32> {
        let classes = self.head.classes.len();
        let mut sums = vec![0i32; classes];
        for feature in features {
            let row = &self.weights[*feature as usize * classes..][..classes];
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i32::from(*weight);
            }
        }
        let each = self.head.scale / (features.len().max(1) as f32).sqrt();
        self.head.bias.iter().zip(sums).map(|(bias, sum)| bias + each * sum as f32).collect()
    }

    /// As bytes: a line that says what it is, a line of JSON, the weights.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let head = serde_json::to_vec(&self.head).expect("a head holds texts and finite numbers");
        bytes.extend(head);
        bytes.push(b'\n');
        bytes.extend(self.weights.iter().map(|weight| *weight as u8));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`MarkerError::Tagger`] on anything else, whatever the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MarkerError> {
        let wrong = |problem: &str| MarkerError::Tagger { problem: problem.to_owned() };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it begins otherwise"))?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("no head"))?;
        let head: Head =
            serde_json::from_slice(&rest[..end]).map_err(|error| wrong(&error.to_string()))?;
        let classes = head.classes.len();
        if classes == 0 || head.bias.len() != classes || head.bits > 24 || !head.scale.is_finite() {
            return Err(wrong("its head contradicts itself"));
        }
        let weights: Vec<i8> = rest[end + 1..].iter().map(|byte| *byte as i8).collect();
        let needed = classes << head.bits;
        if weights.len() != needed {
            return Err(wrong(&format!("{} weights, not {needed}", weights.len())));
        }
        Ok(Tagger { head, weights })
    }
}

#[cfg(test)]
mod tests;
