//! The taxonomy: which markers there are, what values they have, how each comes about
//! (Treasure Hunt, arXiv 2506.14702, table of 13 markers).
//!
//! [`BUILT_IN`] is the table. A user's TOML adds markers, or values to those of the table:
//!
//! ```toml
//! [lang]
//! add = ["Thai"]
//!
//! [audience]
//! meaning = "who reads it"
//! values = ["child", "expert"]     # or: kind = "count" | "real"
//! ```

use crate::error::{MarkerError, nearest};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the values of a marker are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A finite number, printed in the shortest decimal form that reads back.
    Real,
    /// A whole number from 0, printed without sign or leading zeros.
    Count,
    /// One of the marker's values, printed as it stands in the taxonomy.
    Name,
}

/// How a marker comes about where the data does not bring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Only from the data: a person or a reward model gave it.
    Provenance,
    /// Quartile of `quality` within each language, once the whole corpus is known.
    QualityQuartile,
    /// Number of words by the word breaks of Unicode, with dictionaries for scripts without spaces.
    Words,
    /// Number of sentences by the sentence breaks of Unicode.
    Sentences,
    /// Number of stretches between blank lines.
    Paragraphs,
    /// From `length_tokens`: under 300, 300 to 1000, over 1000.
    LengthBucket,
    /// Script, frequent words, distinctive letters, and trigrams where these do not tell.
    Language,
    /// The label of a code fence, or cues of its text.
    ProgrammingLanguage,
    /// Rules on the shape of the text.
    Format,
    /// A tagger fitted to labelled examples, or a language model asked.
    Tagger,
}

impl Measure {
    /// In words, for documents and pages.
    pub fn describe(self) -> &'static str {
        match self {
            Measure::Provenance => "from the data only",
            Measure::QualityQuartile => "quartile of `quality` within each language",
            Measure::Words => "words by Unicode's breaks, dictionaries where no spaces stand",
            Measure::Sentences => "sentences by Unicode's breaks",
            Measure::Paragraphs => "stretches between blank lines",
            Measure::LengthBucket => "`length_tokens` under 300, 300 to 1000, over 1000",
            Measure::Language => "script, frequent words, letters, trigrams",
            Measure::ProgrammingLanguage => "label of a code fence, or cues of the code",
            Measure::Format => "shape of the text",
            Measure::Tagger => "a tagger fitted to labelled examples",
        }
    }
}

/// One row of [`BUILT_IN`].
#[derive(Debug)]
pub struct Entry {
    /// Name, as it is printed in a list.
    pub name: &'static str,
    /// What it says of an example.
    pub meaning: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The values; empty unless `kind` is [`Kind::Name`].
    pub values: &'static [&'static str],
    /// How it comes about.
    pub measure: Measure,
}

const fn number(name: &'static str, kind: Kind, measure: Measure, meaning: &'static str) -> Entry {
    Entry { name, meaning, kind, values: &[], measure }
}

/// The 13 markers of the paper. `Finance` stands in the paper's text and tagger, not in its table.
#[rustfmt::skip]
pub static BUILT_IN: &[Entry] = &[
    number("quality", Kind::Real, Measure::Provenance, "score by a person or a reward model"),
    Entry { name: "quality_bucket", kind: Kind::Name, measure: Measure::QualityQuartile,
        meaning: "quartile of the quality among examples of the language, 1 is best",
        values: &["1", "2", "3", "4"] },
    number("length_tokens", Kind::Count, Measure::Words, "words of the completion"),
    number("length_sentences", Kind::Count, Measure::Sentences, "sentences of the completion"),
    number("length_paragraphs", Kind::Count, Measure::Paragraphs, "paragraphs of the completion"),
    Entry { name: "length_bucket", kind: Kind::Name, measure: Measure::LengthBucket,
        meaning: "how long the completion is", values: &["concise", "medium", "long"] },
    Entry { name: "task", kind: Kind::Name, measure: Measure::Tagger, meaning: "what is asked",
        values: &["OpenEnded", "Explanation", "Translation", "Classification", "CreativeWriting",
            "QuestionAnswering", "InformationExtraction", "Summarization", "Rewrite", "Reasoning",
            "CodeGeneration", "CodeFix", "CodeTranslation", "CodeExplanation", "Unspecified"] },
    Entry { name: "domain", kind: Kind::Name, measure: Measure::Tagger, meaning: "field of knowledge",
        values: &["Sciences", "Technology", "SocialSciences", "Culture", "Medical", "Legal",
            "Finance", "Unspecified", "Conversation", "Code", "Math"] },
    Entry { name: "code_type", kind: Kind::Name, measure: Measure::ProgrammingLanguage,
        meaning: "programming language of the code in the completion",
        values: &["python", "javascript", "cpp", "cobol", "java", "go", "rust", "swift", "csharp",
            "php", "typescript", "shell", "c", "kotlin", "ruby", "haskell", "sql"] },
    Entry { name: "format", kind: Kind::Name, measure: Measure::Format, meaning: "shape of the completion",
        values: &["MCQAnswer", "ChainOfThought", "XML", "JSON", "Enumeration", "Tabular",
            "Markdown", "Latex"] },
    Entry { name: "source", kind: Kind::Name, measure: Measure::Provenance,
        meaning: "how the example was made", values: &["Human", "Translation", "Synthetic", "Others"] },
    Entry { name: "style", kind: Kind::Name, measure: Measure::Tagger, meaning: "tone",
        values: &["Formal", "Informal", "Custom"] },
    Entry { name: "lang", kind: Kind::Name, measure: Measure::Language,
        meaning: "natural language of the completion",
        values: &["English", "French", "Spanish", "Italian", "German", "Portuguese", "Japanese",
            "Korean", "Arabic", "Chinese", "Russian", "Polish", "Turkish", "Vietnamese", "Dutch",
            "Czech", "Indonesian", "Ukrainian", "Romanian", "Greek", "Hindi", "Hebrew", "Persian"] },
];

/// One marker of a [`Taxonomy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Name, as it is printed in a list.
    pub name: String,
    /// What it says of an example.
    pub meaning: String,
    /// What its values are.
    pub kind: Kind,
    /// The values; empty unless `kind` is [`Kind::Name`].
    pub values: Vec<String>,
    /// How it comes about.
    pub measure: Measure,
}

/// The markers that are allowed, in the order of the table, a user's own after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taxonomy {
    markers: Vec<Marker>,
}

impl Default for Taxonomy {
    fn default() -> Self {
        Taxonomy::built_in()
    }
}

/// A section of a user's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    meaning: Option<String>,
    kind: Option<Kind>,
    #[serde(default)]
    values: Vec<String>,
    #[serde(default)]
    add: Vec<String>,
}

impl Taxonomy {
    /// The table itself.
    pub fn built_in() -> Self {
        let marker = |entry: &Entry| Marker {
            name: entry.name.to_owned(),
            meaning: entry.meaning.to_owned(),
            kind: entry.kind,
            values: entry.values.iter().map(|value| (*value).to_owned()).collect(),
            measure: entry.measure,
        };
        Taxonomy { markers: BUILT_IN.iter().map(marker).collect() }
    }

    /// A taxonomy of these markers.
    pub(crate) fn of(markers: Vec<Marker>) -> Self {
        Taxonomy { markers }
    }

    /// This taxonomy with the markers and values of a TOML text added.
    ///
    /// # Errors
    /// [`MarkerError::Taxonomy`] on what is no such file, on a new marker without a meaning or
    /// values, and on a marker of the table given anew.
    pub fn extended(mut self, toml: &str) -> Result<Self, MarkerError> {
        let sections: BTreeMap<String, Section> =
            toml::from_str(toml).map_err(|problem| MarkerError::Taxonomy {
                problem: problem.to_string(),
                hint: "one section a marker, with `add`, or with `meaning` and `values` or `kind`",
            })?;
        for (name, section) in sections {
            match self.markers.iter_mut().find(|marker| marker.name == name) {
                Some(marker) => extend(marker, section)?,
                None => self.markers.push(marker_of(name, section)?),
            }
        }
        Ok(self)
    }

    /// All markers.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// The marker of this name.
    ///
    /// # Errors
    /// [`MarkerError::UnknownMarker`] with the nearest known name.
    pub fn marker(&self, name: &str) -> Result<&Marker, MarkerError> {
        self.markers.iter().find(|marker| marker.name == name).ok_or_else(|| {
            let known = self.markers.iter().map(|marker| marker.name.as_str());
            MarkerError::UnknownMarker { name: name.to_owned(), nearest: nearest(name, known) }
        })
    }

    /// Whether a marker has a value; `false` also where there is no such marker.
    pub fn allows(&self, name: &str, value: &str) -> bool {
        self.marker(name).is_ok_and(|marker| marker.read(value).is_ok())
    }
}

fn extend(marker: &mut Marker, section: Section) -> Result<(), MarkerError> {
    let anew = section.meaning.is_some() || section.kind.is_some() || !section.values.is_empty();
    if anew || marker.kind != Kind::Name {
        return Err(MarkerError::Taxonomy {
            problem: format!("`{}` is a marker of the table", marker.name),
            hint: "a marker with named values can only be given more of them: `add = [\"…\"]`",
        });
    }
    for value in section.add {
        if !marker.values.contains(&value) {
            marker.values.push(value);
        }
    }
    Ok(())
}

fn marker_of(name: String, section: Section) -> Result<Marker, MarkerError> {
    let Section { meaning, kind, mut values, add } = section;
    values.extend(add);
    let kind = kind.unwrap_or(Kind::Name);
    let wrong = |problem: String| MarkerError::Taxonomy {
        problem,
        hint: "a new marker has a `meaning`, and either `values` or a `kind` of count or real",
    };
    let meaning = meaning.ok_or_else(|| wrong(format!("`{name}` has no `meaning`")))?;
    if (kind == Kind::Name) == values.is_empty() {
        return Err(wrong(format!("`{name}` has no `values`, or a number kind with them")));
    }
    Ok(Marker { name, meaning, kind, values, measure: Measure::Provenance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_paper() {
        let taxonomy = Taxonomy::built_in();
        assert_eq!(taxonomy.markers().len(), 13);
        let count = |name: &str| taxonomy.marker(name).unwrap().values.len();
        assert_eq!([count("lang"), count("code_type"), count("format")], [23, 17, 8]);
        for (index, marker) in taxonomy.markers().iter().enumerate() {
            assert!(taxonomy.markers()[..index].iter().all(|other| other.name != marker.name));
            assert!(!marker.meaning.is_empty() && !marker.measure.describe().is_empty());
            assert_eq!(marker.kind == Kind::Name, !marker.values.is_empty());
            for (at, value) in marker.values.iter().enumerate() {
                assert!(!marker.values[..at].contains(value), "{value} twice");
            }
        }
    }

    #[test]
    fn a_file_adds_values_and_markers() {
        let file = "[lang]\nadd = [\"Thai\"]\n[audience]\nmeaning = \"who reads\"\n\
                    values = [\"child\"]\n[year]\nmeaning = \"when\"\nkind = \"count\"";
        let taxonomy = Taxonomy::built_in().extended(file).unwrap();
        assert!(taxonomy.allows("lang", "Thai") && taxonomy.allows("audience", "child"));
        assert!(taxonomy.allows("year", "1999") && !taxonomy.allows("year", "soon"));
        assert!(!Taxonomy::built_in().allows("lang", "Thai"));
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        for (file, words) in [
            ("[lang]\nvalues = [\"Thai\"]", "`lang` is a marker of the table"),
            ("[year]\nkind = \"count\"", "`year` has no `meaning`"),
            ("[year]\nmeaning = \"when\"", "has no `values`"),
            ("[lang]\nad = []", "unknown field `ad`"),
        ] {
            let error = Taxonomy::built_in().extended(file).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn unknown_names_come_with_the_nearest() {
        let error = Taxonomy::built_in().marker("lenght_bucket").unwrap_err().to_string();
        assert!(error.ends_with("hint: did you mean `length_bucket`?"), "{error}");
        let error = Taxonomy::built_in().marker("§").unwrap_err().to_string();
        assert!(!error.contains("hint"), "{error}");
    }
}
