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

use crate::origin::{Origin, Section};
use crate::spec::Place;
use crate::table::TableSpec;
use crate::{DataError, MissingFile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// Where its files lie if not in the data folder: beside the task that brings them.
    pub(crate) beside: Option<PathBuf>,
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
            beside: None,
            tables: read.tables.into_iter().collect(),
        })
    }

    /// The source of a task in the folder `beside` that names none: its own file, if it has one,
    /// as a table called as the file is.
    pub(crate) fn own(file: Option<TableSpec>, beside: &Path) -> Source {
        let name = file.as_ref().map(TableSpec::shown);
        let tables = name.iter().map(|name| table_name(name).to_owned()).zip(file);
        Source {
            name: name.as_deref().unwrap_or("own").to_owned(),
            title: format!("The file {}", name.as_deref().unwrap_or("of the task")),
            citation: "your own".to_owned(),
            licence: "your own".to_owned(),
            locator: format!("beside its task, in `{}`", beside.display()),
            access: Access::Manual,
            origin: Origin::None,
            folder: String::new(),
            beside: Some(beside.to_owned()),
            tables: tables.collect(),
        }
    }

    /// The folder of its files, if a data folder is known or not needed.
    pub fn place(&self, data: Option<&Path>) -> Option<PathBuf> {
        self.beside.clone().or_else(|| data.map(|data| data.join(&self.folder)))
    }

    /// The files of some of its tables that are not there.
    pub(crate) fn lacks(&self, tables: &[String], data: Option<&Path>) -> Vec<MissingFile> {
        let folder = self.place(data);
        let there =
            |spec: &TableSpec| folder.as_ref().is_some_and(|folder| !spec.files(folder).is_empty());
        let wanted = self.tables.iter().filter(|(name, _)| tables.contains(name));
        let absent = wanted.filter(|(_, spec)| !there(spec));
        let file = |(_, spec): &(String, TableSpec)| MissingFile {
            file: self.shown(&spec.shown()),
            place: spec.locator.as_ref().unwrap_or(&self.locator).clone(),
        };
        absent.map(file).collect()
    }

    /// How people are told of one of its files.
    fn shown(&self, pattern: &str) -> String {
        match &self.beside {
            Some(beside) => beside.join(pattern).display().to_string(),
            None => format!("{}/{pattern}", self.folder),
        }
    }
}

/// What the table of a file is called: `lunch` of `my/lunch.csv.gz`.
pub(crate) fn table_name(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name)
}
