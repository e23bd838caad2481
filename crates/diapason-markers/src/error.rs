//! What can be wrong with markers, taxonomies and taggers.

/// An error of this crate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MarkerError {
    /// A name that the taxonomy lacks.
    #[error("there is no marker `{name}`{}", suggestion(nearest.as_deref()))]
    UnknownMarker {
        /// The name given.
        name: String,
        /// The nearest known name, if any is near.
        nearest: Option<String>,
    },
    /// A value outside a marker's list.
    #[error("marker `{marker}` has no value `{value}`{}", suggestion(nearest.as_deref()))]
    UnknownValue {
        /// The marker.
        marker: String,
        /// The value given.
        value: String,
        /// The nearest known value, if any is near.
        nearest: Option<String>,
    },
    /// A value that is no number where one belongs.
    #[error("marker `{marker}`: `{value}` is no {expected}")]
    Number {
        /// The marker.
        marker: String,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A taxonomy file that cannot be read.
    #[error("the taxonomy is not readable: {problem}\n\nhint: {hint}")]
    Taxonomy {
        /// What is wrong.
        problem: String,
        /// What helps.
        hint: &'static str,
    },
    /// A share outside 0..=1.
    #[error("`{name}` is {value}, which is no share between 0 and 1")]
    Share {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A tagger that cannot be fitted to what was given.
    #[error("no tagger for `{marker}`: {problem}\n\nhint: {hint}")]
    Fit {
        /// The marker it should predict.
        marker: String,
        /// What is missing.
        problem: String,
        /// What helps.
        hint: &'static str,
    },
    /// Bytes that are no saved tagger.
    #[error("this is no tagger of diapason: {problem}")]
    Tagger {
        /// What is wrong with the bytes.
        problem: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |near| format!("\n\nhint: did you mean `{near}`?"))
}

/// The candidate nearest to a text without regard to case, if any is near enough to be a slip.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let text = text.to_lowercase();
    let scored = candidates
        .map(|candidate| (strsim::jaro_winkler(&text, &candidate.to_lowercase()), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.7).then(|| best.1.to_owned())
}
