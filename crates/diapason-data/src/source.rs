//! A source file: whose data it is, under which licence, where it lives, and its tables.
//!
//! ```toml
//! title = "Survey of moods"
//! citation = "Doe 2024, \"Moods\""
//! licence = "CC BY 4.0"
//! locator = "https://example.org/moods"    # where the files officially live
//! access = "auto"                          # auto | manual | on-request | synthetic
//! folder = "moods"                         # of the data folder; default: the source's name
//! [tables.answers]
//! path = "*/answers.csv"                   # or a list: the first pattern that matches counts
//! [tables.items]                           # more keys: [`TableSpec`]
//! path = "items.zip"
//! member = "*.jsonl"                       # of the archive
//! unique = ["id"]                          # a second row of the same id is an error
//! ```
//! How the files are had stands in the section `[fetch]`: [`origin`](mod@crate::origin). A `*` stands for any part of one file or folder name. All files that match make one table;
//! its columns `file` and `folder` say which file a row came from.

use crate::DataError;
use crate::origin::{Origin, Section};
use crate::spec::Place;
use crate::table::TableSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the files of a source are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// By an ordinary download.
    Auto,
    /// By hand: a form, a registration, an archive.
    Manual,
    /// From its authors.
    OnRequest,
    /// There are none: the data is made here.
    Synthetic,
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Unique name: the stem of its file.
    pub name: String,
    /// Full title.
    pub title: String,
    /// Who made it.
    pub citation: String,
    /// Licence as its makers state it.
    pub licence: String,
    /// Where the files officially live.
    pub locator: String,
    /// How the files are had.
    pub access: Access,
    /// How the files are had.
    pub origin: Origin,
    /// Its folder in the data folder.
    pub(crate) folder: String,
    /// Its tables by name.
    pub(crate) tables: Vec<(String, TableSpec)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceFile {
    title: String,
    citation: String,
    licence: String,
    locator: String,
    access: Access,
    folder: Option<String>,
    fetch: Option<Section>,
    #[serde(default)]
    tables: BTreeMap<String, TableSpec>,
}

impl Source {
    /// Reads a source file called `name`.toml.
    pub(crate) fn parse(name: &str, file: &str, text: &str) -> Result<Source, DataError> {
        let read: SourceFile = crate::spec::parse(file, text)?;
        let section = Place::at(file, text, text.find("[fetch").unwrap_or(0));
        let origin = match (read.fetch, read.access) {
            (Some(fetch), _) => fetch.origin(&section)?,
            (None, Access::Synthetic) => Origin::None,
            (None, _) => Origin::ByHand { steps: Vec::new() },
        };
        Ok(Source {
            name: name.to_owned(),
            title: read.title,
            citation: read.citation,
            licence: read.licence,
            locator: read.locator,
            access: read.access,
            origin,
            folder: read.folder.unwrap_or_else(|| name.to_owned()),
            tables: read.tables.into_iter().collect(),
        })
    }
}
