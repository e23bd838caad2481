//! The tasks there are: embedded in the binary, or in a folder of the user's.

use crate::build::{BuildSettings, Builder};
use crate::table::matches;
use crate::task::Content;
use crate::{DataError, Source, Task};
use diapason_flow::{Episode, Streams};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// `(path below suite/, text)` of every embedded file, in the order of their paths.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/suite.rs"));

/// A set of tasks with their sources.
#[derive(Clone, Debug)]
pub struct Suite {
    tasks: Vec<Task>,
    sources: Vec<Source>,
}

/// Whether a task can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// All files are there.
    Ready {
        /// How many episodes the default settings give; another seed may give slightly others.
        /// None where a sample of the files has too few rows.
        episodes: usize,
    },
    /// Files are missing.
    Missing {
        /// Each of them.
        missing: Vec<MissingFile>,
    },
}

/// A file that a task needs and the data folder lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingFile {
    /// Path or pattern below the data folder.
    pub file: String,
    /// Where it officially lives.
    #[serde(rename = "where")]
    pub place: String,
}

impl Suite {
    /// The suite of the binary.
    pub fn embedded() -> Result<Suite, DataError> {
        Suite::read(EMBEDDED.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
    }

    /// The suite of a folder with `tasks/*.toml` and `sources/*.toml`. Its tasks can also use the
    /// embedded sources.
    pub fn load(folder: &Path) -> Result<Suite, DataError> {
        let mut files = Vec::new();
        for part in ["sources", "tasks"] {
            let read = |path: &Path| {
                std::fs::read_to_string(path).map_err(|source| io_error(path, source))
            };
            let place = folder.join(part);
            if part == "sources" && !place.exists() {
                continue;
            }
            let entries = std::fs::read_dir(&place).map_err(|source| io_error(&place, source))?;
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            paths.sort();
            for path in paths {
                files.push((path.to_string_lossy().into_owned(), read(&path)?));
            }
        }
        let is_source = |path: &str| part_of(path) == "sources";
        let own: Vec<String> = files
            .iter()
            .filter(|(path, _)| is_source(path))
            .map(|(path, _)| stem(path).to_owned())
            .collect();
        let ours = EMBEDDED
            .iter()
            .filter(|(path, _)| is_source(path) && !own.iter().any(|own| own == stem(path)))
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Suite::read(ours.chain(files))
    }

    /// Reads `(path, text)` pairs; a path says by its last folder what the file is.
    fn read(files: impl Iterator<Item = (String, String)>) -> Result<Suite, DataError> {
        let (sources, tasks): (Vec<_>, Vec<_>) =
            files.partition(|(path, _)| part_of(path) == "sources");
        let sources = sources
            .iter()
            .map(|(path, text)| Source::parse(stem(path), path, text))
            .collect::<Result<Vec<_>, _>>()?;
        let mut read: Vec<Task> = Vec::new();
        let mut places: HashMap<String, String> = HashMap::new();
        for (path, text) in &tasks {
            let task = Task::parse(path, text, &sources)?;
            if let Some(other) = places.insert(task.name.clone(), path.clone()) {
                return Err(DataError::Suite {
                    file: path.clone(),
                    line: 1,
                    problem: format!("a second task is called `{}`", task.name),
                    hint: format!("the first is {other}; names are unique"),
                });
            }
            read.push(task);
        }
        read.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Suite { tasks: read, sources })
    }

    /// All tasks by name.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// All sources by name.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The tasks whose name (`polis_vote`) or path (`steer/polis_vote`) matches a pattern with
    /// `*`, or one of several patterns with commas between them.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] for the first pattern that no task matches.
    pub fn matching(&self, patterns: &str) -> Result<Vec<&Task>, DataError> {
        let hits = |pattern: &str, task: &Task| {
            matches(pattern, &task.name) || matches(pattern, &task.path())
        };
        let patterns: Vec<&str> = patterns.split(',').map(str::trim).collect();
        for pattern in &patterns {
            if !self.tasks.iter().any(|task| hits(pattern, task)) {
                let names = self.tasks.iter().map(|task| task.name.as_str());
                let hint = crate::error::nearest(pattern, names)
                    .map(|near| format!("did you mean `{near}`?"))
                    .unwrap_or_default();
                return Err(DataError::UnknownTask { pattern: (*pattern).to_owned(), hint });
            }
        }
        let wanted = |task: &&Task| patterns.iter().any(|pattern| hits(pattern, task));
        Ok(self.tasks.iter().filter(wanted).collect())
    }

    /// The source of a task.
    pub fn source(&self, task: &Task) -> &Source {
        self.sources
            .iter()
            .find(|source| source.name == task.source)
            .expect("a task is only read if its source exists")
    }

    /// Whether a task can be built from a data folder, and how many episodes it then gives.
    pub fn check(&self, task: &Task, data: Option<&Path>) -> Result<Status, DataError> {
        let missing = self.missing(task, data);
        if !missing.is_empty() {
            return Ok(Status::Missing { missing });
        }
        // A process makes as many as its task says; the ideal observer makes that slow to try.
        let episodes = match &task.content {
            Content::Process { episodes, .. } => *episodes,
            _ => match self.build(task, data, &BuildSettings::default(), &Streams::new(0)) {
                Ok(episodes) => episodes.len(),
                // A few rows of a table are files all the same.
                Err(DataError::NoEpisodes { .. }) => 0,
                Err(other) => return Err(other),
            },
        };
        Ok(Status::Ready { episodes })
    }

    /// All episodes of a task. They depend on the task, the settings and the seed only.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::NoEpisodes`], or what is wrong with the files or the
    /// task.
    pub fn build(
        &self,
        task: &Task,
        data: Option<&Path>,
        settings: &BuildSettings,
        streams: &Streams,
    ) -> Result<Vec<Episode>, DataError> {
        let missing = self.missing(task, data);
        if !missing.is_empty() {
            return Err(DataError::Missing { task: task.name.clone(), missing });
        }
        let probability = settings.description_probability;
        if !(0.0..=1.0).contains(&probability) {
            let problem = format!("description_probability is {probability}, not in 0..=1");
            return Err(DataError::Settings(problem));
        }
        let source = self.source(task);
        let episodes = Builder { task, source, data, settings, streams }.build()?;
        if episodes.is_empty() {
            return Err(DataError::NoEpisodes { task: task.name.clone() });
        }
        Ok(episodes)
    }

    fn missing(&self, task: &Task, data: Option<&Path>) -> Vec<MissingFile> {
        let (Content::Tables { tables, .. } | Content::Cover { tables, .. }) = &task.content else {
            return Vec::new();
        };
        let source = self.source(task);
        let mut missing = Vec::new();
        for (_, spec) in source.tables.iter().filter(|(name, _)| tables.contains(name)) {
            let there = data.is_some_and(|data| !spec.files(&data.join(&source.folder)).is_empty());
            if !there {
                let pattern = spec.path.patterns().first().map_or("", String::as_str);
                let place = spec.locator.as_ref().unwrap_or(&source.locator);
                missing.push(MissingFile {
                    file: format!("{}/{pattern}", source.folder),
                    place: place.clone(),
                });
            }
        }
        missing
    }
}

fn io_error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { action: "read", path: path.to_owned(), source }
}

/// Name of the folder that a file lies in.
fn part_of(path: &str) -> &str {
    let folder = Path::new(path).parent().and_then(Path::file_name);
    folder.and_then(|folder| folder.to_str()).unwrap_or_default()
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}
