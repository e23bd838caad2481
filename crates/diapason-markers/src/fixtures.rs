//! Markers that unit tests share.

use diapason_flow::{MarkerValue, Markers};

/// Markers of names with their values.
pub(crate) fn markers(pairs: &[(&str, &[&str])]) -> Markers {
    let value = |values: &[&str]| match values {
        [one] => MarkerValue::One((*one).into()),
        many => MarkerValue::Many(many.iter().map(|value| (*value).into()).collect()),
    };
    Markers(pairs.iter().map(|(name, values)| ((*name).into(), value(values))).collect())
}
