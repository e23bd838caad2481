//! How a model meets the markers of its data.

use diapason_markers::{Dropout, Order};
use serde::{Deserialize, Serialize};

/// Markers in tuning: `markers = { dropout = { dataset = 0.5, sample = 0.5 }, order = "shuffled" }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MarkerSettings {
    /// What the prompt side does not show; the answer's list is always whole.
    pub dropout: Shares,
    /// Order of the markers in a list.
    pub order: Order,
    /// Whether the answer's list bears loss: only then can the model infer markers.
    pub learn: bool,
}

/// Shares that are dropped from the prompt side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shares {
    /// Of the examples: those that show no list.
    pub dataset: f64,
    /// Of the markers of each other example.
    pub sample: f64,
}

impl Default for Shares {
    fn default() -> Self {
        let Dropout { dataset, sample, .. } = Dropout::default();
        Shares { dataset, sample }
    }
}

impl Default for MarkerSettings {
    fn default() -> Self {
        MarkerSettings { dropout: Shares::default(), order: Order::default(), learn: true }
    }
}

impl MarkerSettings {
    /// The dropping itself.
    pub(crate) fn dropout(&self) -> Dropout {
        let Shares { dataset, sample } = self.dropout;
        Dropout { dataset, sample, order: self.order }
    }
}
