//! What a source file says about one table: which files, in which format.

use super::glob;
use crate::DataError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One table of a source file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the TOML")]
pub struct TableSpec {
    /// Patterns below the source's folder; the first that matches any file counts.
    pub path: Paths,
    /// Zip archives: pattern of the members to read.
    #[serde(default = "any")]
    pub member: String,
    /// Zip archives: the published password of encrypted members.
    pub password: Option<String>,
    /// What the files are; by default what their extension says.
    pub format: Option<Format>,
    /// CSV: whether the first record names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// CSV: the names of the columns, in place of the header's where there is one.
    #[serde(default)]
    pub columns: Vec<String>,
    /// CSV: what separates cells; by default a comma, in TSV a tab.
    pub delimiter: Option<char>,
    /// CSV: whether quotes enclose cells; without them a quote is a character like any other.
    #[serde(default = "yes")]
    pub quotes: bool,
    /// Text encoding; a byte-order mark is dropped.
    #[serde(default)]
    pub encoding: Encoding,
    /// JSON: whether commas before a closing brace are forgiven.
    #[serde(default)]
    pub trailing_commas: bool,
    /// Whether every row becomes one JSON object in the column `cells`, without its blank cells:
    /// for tables that have a column a question.
    #[serde(default)]
    pub as_object: bool,
    /// Columns that together name a row: a second row of the same name is an error.
    #[serde(default)]
    pub unique: Vec<String>,
    /// Where these files officially live, if not at the source's locator.
    pub locator: Option<String>,
}

/// One pattern or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// The only pattern.
    One(String),
    /// Patterns in order of preference.
    Several(Vec<String>),
}

impl Paths {
    /// The patterns in order.
    pub fn patterns(&self) -> &[String] {
        match self {
            Paths::One(pattern) => std::slice::from_ref(pattern),
            Paths::Several(patterns) => patterns,
        }
    }
}

/// Format of a raw file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated records with quotes (RFC 4180).
    Csv,
    /// The same with tabs.
    Tsv,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Every line a row.
    Lines,
    /// Every file a row.
    Text,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC, as a file (Feather) or a stream.
    Arrow,
    /// The cases of an SPSS system file.
    Sav,
    /// The value labels of an SPSS system file.
    SavLabels,
}

impl Format {
    /// What the extension of a file name says, compression aside.
    fn of_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".bz2")).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "json" => Some(Format::Json),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "parquet" => Some(Format::Parquet),
            "sav" | "zsav" => Some(Format::Sav),
            "arrow" | "feather" => Some(Format::Arrow),
            "txt" => Some(Format::Lines),
            _ => None,
        }
    }
}

/// Encoding of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1: every byte is the code point of the same number.
    #[serde(rename = "latin-1")]
    Latin1,
}

impl Encoding {
    /// The text of some bytes, or the number of the first byte that is none, from 1.
    pub(super) fn text(self, bytes: &[u8]) -> Result<String, usize> {
        match self {
            Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Encoding::Utf8 => std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|problem| problem.valid_up_to() + 1),
        }
    }
}

fn yes() -> bool {
    true
}

fn any() -> String {
    "*".to_owned()
}

impl TableSpec {
    /// A table of one file that is what its extension says.
    pub(crate) fn at(file: &str) -> TableSpec {
        let keys = toml::Table::from_iter([("path".to_owned(), file.into())]);
        toml::Value::Table(keys).try_into().expect("every key but the path has a default")
    }

    /// How people are told of its files: the pattern that is preferred.
    pub(crate) fn shown(&self) -> String {
        self.path.patterns().first().cloned().unwrap_or_default()
    }

    /// The files of the table below a folder, in the order of their names.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        self.path
            .patterns()
            .iter()
            .map(|pattern| glob::expand(folder, pattern))
            .find(|files| !files.is_empty())
            .unwrap_or_default()
    }

    pub(super) fn format_of(&self, path: &Path) -> Result<Format, DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.format.or_else(|| Format::of_name(&name)).ok_or_else(|| DataError::Format {
            path: path.to_owned(),
            format: "a known format",
            problem: format!("its name {name:?} does not end as one"),
            hint: "set format = \"csv\", \"tsv\", \"json\", \"jsonl\", \"lines\", \"text\", \
                   \"parquet\", \"arrow\" or \"sav\""
                .into(),
        })
    }
}
