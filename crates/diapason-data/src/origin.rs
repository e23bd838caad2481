//! How the files of a source are had: the section `[fetch]` of a source file.
//!
//! ```toml
//! [fetch]
//! hub = "owner/name"              # a data set of a hub, or
//! github = "owner/name"           # a repository, or neither
//! revision = "0bc2ce0f…"          # branch, tag or commit; default: the newest state
//! root = "data"                   # its folder that is the folder of the source
//! gated = true                    # conditions are to be accepted on the page of the data set
//! steps = ["Register at …"]       # what to do by hand where nothing else is given
//! [[fetch.files]]                 # without hub: only these, else what the tables read
//! path = "names.zip"              # below the folder of the source
//! url = "https://example.org/names.zip"      # not needed with github
//! sha256 = "…"
//! bytes = 1024
//! ```
//! It says where; whoever fetches is elsewhere.

use crate::DataError;
use crate::Source;
use crate::spec::Place;
use crate::table::matches;
use serde::Deserialize;
use std::path::Path;

/// How the files of a source are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There are none to be had, or they lie beside their task.
    None,
    /// By hand.
    ByHand {
        /// What to do, in order.
        steps: Vec<String>,
    },
    /// From addresses of their own.
    Files(Vec<OriginFile>),
    /// From a data set of a hub.
    Hub(Repository),
    /// From a repository on GitHub.
    GitHub(Repository),
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginFile {
    /// Path below the source's folder, with `/`.
    pub path: String,
    /// Where it is; empty where the repository says it.
    #[serde(default)]
    pub url: String,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Length in bytes.
    pub bytes: Option<u64>,
}

/// A data set of a hub, or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `owner/name`.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The folder of it that is the source's folder; empty for all of it, else ends in `/`.
    pub root: String,
    /// Whether conditions are to be accepted first.
    pub gated: bool,
    /// The files, where they are known in advance.
    pub files: Vec<OriginFile>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Section {
    hub: Option<String>,
    github: Option<String>,
    revision: Option<String>,
    root: String,
    gated: bool,
    steps: Vec<String>,
    files: Vec<OriginFile>,
}

impl Section {
    /// The one way that a section names.
    pub(crate) fn origin(self, place: &Place) -> Result<Origin, DataError> {
        let wrong = |problem: &str, hint: &str| Err(place.wrong(problem.to_owned(), hint));
        let outside =
            |path: &str| path.starts_with('/') || path.split('/').any(|part| part == "..");
        if self.files.iter().any(|file| outside(&file.path)) {
            return wrong("[fetch] names a file outside the source's folder", "begin with a name");
        }
        let digits = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if self.files.iter().filter_map(|file| file.sha256.as_deref()).any(|text| !digits(text)) {
            return wrong("[fetch] has a sha256 that is none", "64 digits 0-9 and a-f");
        }
        let root = match self.root.trim_matches('/') {
            "" => String::new(),
            root => format!("{root}/"),
        };
        let repository = |name: String, newest: &str, files| Repository {
            name,
            revision: self.revision.clone().unwrap_or_else(|| newest.to_owned()),
            root,
            gated: self.gated,
            files,
        };
        match (self.hub, self.github) {
            (Some(_), Some(_)) => wrong("[fetch] names a hub and a repository", "name one"),
            (Some(_), None) if !self.files.is_empty() => {
                wrong("[fetch] names a hub and files", "the tables say which files of a hub")
            }
            (Some(name), None) => Ok(Origin::Hub(repository(name, "main", Vec::new()))),
            (None, Some(name)) => Ok(Origin::GitHub(repository(name, "HEAD", self.files))),
            (None, None) if self.files.iter().any(|file| file.url.is_empty()) => {
                wrong("[fetch] has a file without `url`", "add its address, or `github`")
            }
            (None, None) if !self.files.is_empty() => Ok(Origin::Files(self.files)),
            (None, None) => Ok(Origin::ByHand { steps: self.steps }),
        }
    }
}

impl Source {
    /// Those of some paths below the source's folder that its tables read.
    pub fn reads<'path>(&self, paths: &[&'path str]) -> Vec<&'path str> {
        let mut wanted = Vec::new();
        for (_, table) in &self.tables {
            let found = table.path.patterns().iter().map(|pattern| {
                paths.iter().copied().filter(|path| path_matches(pattern, path)).collect::<Vec<_>>()
            });
            wanted.extend(found.into_iter().find(|found| !found.is_empty()).unwrap_or_default());
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Whether a name or a pattern with `*` means this source.
    pub fn is_called(&self, pattern: &str) -> bool {
        matches(pattern, &self.name)
    }

    /// Every pattern of a file that a table reads.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().flat_map(|(_, table)| table.path.patterns()).map(String::as_str)
    }

    /// Where a file of the user's belongs below the source's folder: the longest end of its path
    /// that a table reads, or the only place of its name.
    pub fn destination(&self, file: &Path) -> Option<String> {
        let parts: Vec<&str> =
            file.components().filter_map(|part| part.as_os_str().to_str()).collect();
        let ends = (0..parts.len()).map(|start| parts[start..].join("/"));
        let by_end =
            ends.into_iter().find(|end| self.patterns().any(|pattern| path_matches(pattern, end)));
        let name = *parts.last()?;
        by_end.or_else(|| {
            self.patterns()
                .find(|pattern| !pattern.contains('*') && pattern.rsplit('/').next() == Some(name))
                .map(str::to_owned)
        })
    }
}

/// A `*` stands for any part of one file or folder name.
fn path_matches(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| matches(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Source, DataError> {
        let head = "title = \"t\"\ncitation = \"c\"\nlicence = \"l\"\nlocator = \"x\"\n\
                    access = \"auto\"\n";
        Source::parse("s", "sources/s.toml", &format!("{head}{text}"))
    }

    #[test]
    fn a_section_names_one_way() {
        let hub = source("[fetch]\nhub = \"o/n\"\ngated = true\nroot = \"/a/\"").unwrap();
        let Origin::Hub(repository) = hub.origin else { panic!("{:?}", hub.origin) };
        assert_eq!((repository.revision.as_str(), repository.root.as_str()), ("main", "a/"));
        assert!(repository.gated);
        let by_hand = source("[fetch]\nsteps = [\"ask\"]").unwrap().origin;
        assert_eq!(by_hand, Origin::ByHand { steps: vec!["ask".to_owned()] });
        assert_eq!(source("").unwrap().origin, Origin::ByHand { steps: Vec::new() });
        for (text, words) in [
            ("hub = \"o/n\"\ngithub = \"o/n\"", "a hub and a repository"),
            ("[[fetch.files]]\npath = \"x\"", "without `url`"),
            ("[[fetch.files]]\npath = \"../x\"\nurl = \"u\"", "outside the source's folder"),
            ("[[fetch.files]]\npath = \"x\"\nurl = \"u\"\nsha256 = \"Ab\"", "sha256 that is none"),
            ("rot = \"x\"", "unknown field `rot`"),
        ] {
            let error = source(&format!("[fetch]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(words) && error.starts_with("sources/s.toml:"), "{error}");
        }
    }

    #[test]
    fn of_every_table_the_first_pattern_that_matches_counts() {
        let text = "[tables.a]\npath = [\"data/*.csv\", \"*.csv\"]\n[tables.b]\npath = \"b.json\"";
        let source = source(text).unwrap();
        let paths = ["a.csv", "b.json", "data/x.csv", "data/deep/y.csv", "data/b.json"];
        assert_eq!(source.reads(&paths), ["b.json", "data/x.csv"]);
        assert_eq!(source.reads(&paths[..2]), ["a.csv", "b.json"]);
        assert!(source.reads(&["README.md"]).is_empty());
    }

    #[test]
    fn a_file_of_the_users_finds_its_place() {
        let text = "[tables.a]\npath = \"raw/W*/info.csv\"\n[tables.b]\npath = \"CSC/train.json\"";
        let source = source(text).unwrap();
        let place = |path: &str| source.destination(Path::new(path));
        assert_eq!(place("/home/me/raw/W26/info.csv").as_deref(), Some("raw/W26/info.csv"));
        assert_eq!(place("/home/me/Downloads/train.json").as_deref(), Some("CSC/train.json"));
        assert_eq!(place("/home/me/info.csv"), None, "which wave it is, its path must say");
        assert_eq!(place("/home/me/notes.txt"), None);
    }
}
