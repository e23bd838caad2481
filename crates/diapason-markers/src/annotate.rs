//! Everything that can be measured of one example, in one call.

use crate::code::{CodeDetector, blocks};
use crate::count::{Counter, length_bucket};
use crate::error::MarkerError;
use crate::format::formats;
use crate::language::Detector;
use crate::tagger::Tagger;
use crate::taxonomy::Taxonomy;
use diapason_flow::{MarkerValue, Markers};

/// A language detected with less confidence is not written down (the Language Confusion
/// Benchmark's own limit).
const LEAST_CONFIDENCE: f64 = 0.3;

/// Measures markers; made once, shared by all threads.
#[derive(Debug)]
pub struct Annotator {
    taxonomy: Taxonomy,
    counter: Counter,
    languages: Detector,
    code: CodeDetector,
    taggers: Vec<Tagger>,
}

impl Annotator {
    /// An annotator of a taxonomy without taggers.
    pub fn new(taxonomy: Taxonomy) -> Self {
        Annotator {
            taxonomy,
            counter: Counter::new(),
            languages: Detector::new(),
            code: CodeDetector::new(),
            taggers: Vec::new(),
        }
    }

    /// The same annotator that also asks a fitted tagger.
    ///
    /// # Errors
    /// Classes that the taxonomy lacks.
    pub fn with_tagger(mut self, tagger: Tagger) -> Result<Self, MarkerError> {
        let marker = self.taxonomy.marker(tagger.marker())?;
        for class in tagger.classes() {
            marker.read(class)?;
        }
        self.taggers.push(tagger);
        Ok(self)
    }

    /// The taxonomy.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The language of a text where it is sure enough and the taxonomy has it. Code in fences is
    /// not looked at.
    pub fn language(&self, text: &str) -> Option<&'static str> {
        let prose: String = match blocks(text).as_slice() {
            [only] if only.label.is_none() => return self.named(text),
            parts => {
                parts.iter().filter(|part| part.label.is_none()).map(|part| part.body).collect()
            }
        };
        self.named(&prose)
    }

    /// The programming languages of the code in a text.
    pub fn code_types(&self, text: &str) -> Vec<&'static str> {
        self.code.detect(text)
    }

    fn named(&self, text: &str) -> Option<&'static str> {
        let found = self.languages.detect(text)?;
        let sure = found.confidence >= LEAST_CONFIDENCE;
        (sure && self.taxonomy.allows("lang", found.language)).then_some(found.language)
    }

    /// The markers of an output: those given, and every measured one that is not given.
    ///
    /// `quality_bucket` needs the whole corpus: see [`Quartiles`](crate::Quartiles).
    ///
    /// # Errors
    /// A given marker that the taxonomy lacks.
    pub fn annotate(
        &self,
        input: Option<&str>,
        output: &str,
        given: &Markers,
    ) -> Result<Markers, MarkerError> {
        let mut markers = self.taxonomy.read(given)?.to_markers();
        let mut offer = |name: &str, value: MarkerValue| {
            if !value.values().is_empty() {
                markers.0.entry(name.to_owned()).or_insert(value);
            }
        };
        let one = |value: &str| MarkerValue::One(value.to_owned());
        let lengths = self.counter.lengths(output);
        offer("length_tokens", one(&lengths.words.to_string()));
        offer("length_sentences", one(&lengths.sentences.to_string()));
        offer("length_paragraphs", one(&lengths.paragraphs.to_string()));
        if let Some(language) = self.language(output) {
            offer("lang", one(language));
        }
        offer("code_type", several(&self.code.detect(output)));
        offer("format", several(&formats(output)));
        for tagger in &self.taggers {
            if let Some(class) = tagger.predict(input.unwrap_or(""), output) {
                offer(tagger.marker(), one(class));
            }
        }
        let words = markers.0.get("length_tokens").and_then(|value| value.values().first());
        if let Some(words) = words.and_then(|words| words.parse().ok()) {
            let bucket = one(length_bucket(words));
            markers.0.entry("length_bucket".to_owned()).or_insert(bucket);
        }
        Ok(markers)
    }
}

fn several(values: &[&str]) -> MarkerValue {
    match values {
        [one] => MarkerValue::One((*one).to_owned()),
        many => MarkerValue::Many(many.iter().map(|value| (*value).to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_measures_everything_and_keeps_what_is_given() {
        let annotator = Annotator::new(Taxonomy::built_in());
        let output =
            "Voici une fonction qui double un nombre et la renvoie.\n\n```rust\nfn twice() {}\n```";
        let mut given = Markers::default();
        given.set("source", "Human");
        given.set("length_tokens", "400");
        let markers = annotator.annotate(Some("Doubler"), output, &given).unwrap();
        let text = |name: &str| markers.0.get(name).map(|value| value.values().join("+"));
        for (name, value) in [
            ("lang", "French"),
            ("code_type", "rust"),
            ("format", "Markdown"),
            ("length_tokens", "400"),
            ("length_bucket", "medium"),
            ("length_paragraphs", "2"),
            ("source", "Human"),
        ] {
            assert_eq!(text(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(text("task"), None);
    }

    #[test]
    fn a_given_value_outside_the_taxonomy_is_an_error() {
        let annotator = Annotator::new(Taxonomy::built_in());
        let mut given = Markers::default();
        given.set("source", "human");
        let error = annotator.annotate(None, "x", &given).unwrap_err().to_string();
        assert!(error.contains("did you mean `Human`?"), "{error}");
    }

    #[test]
    fn a_language_outside_the_taxonomy_needs_to_be_added() {
        let thai = "น้ำขึ้นให้รีบตัก";
        assert_eq!(Annotator::new(Taxonomy::built_in()).language(thai), None);
        let taxonomy = Taxonomy::built_in().extended("[lang]\nadd = [\"Thai\"]").unwrap();
        assert_eq!(Annotator::new(taxonomy).language(thai), Some("Thai"));
    }
}
