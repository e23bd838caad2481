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

/// What every task does otherwise than in the reference suite. Each task's own differences are in
/// [`Task::differs`].
pub const DIFFERS_EVERYWHERE: &[&str] = &[
    "a description comes with probability 0.8 in training and always in evaluation, as meant; an argument that is ignored makes it 0.6 in the reference, and 0.4 for normal",
    "every draw has a stream named by seed, task and unit; the reference seeds one generator for all, so that lengths, wordings and whole sequences repeat",
    "sequences that are too long are cut between draws and go on; the reference throws their rest away, in the middle of an output",
    "JSON keeps the letters of every script, and what is missing is null",
    "text of the data never becomes a special token",
    "options of alignment tasks are scored with the end of the output, so that no option takes the mass of longer ones",
    "coverage tasks draw from the whole distribution, with a seed; the reference leaves top-k at whatever a model or library has",
    "intervals resample whole units: draws of one person, orders of one chunk and questions on one item are not taken for independent",
];

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
    /// The task or its files are wrong.
    Broken {
        /// What is wrong and where.
        error: String,
    },
    /// All files are there.
    Ready {
        /// How many episodes the default settings give; another seed may give slightly others.
        /// None where a sample of the files has too few rows.
        episodes: usize,
        /// Files of the parts that are left out.
        missing: Vec<MissingFile>,
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
        let files = EMBEDDED.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let (suite, mistakes) = Suite::read(files);
        mistakes.into_iter().next().map_or(Ok(suite), |(_, mistake)| Err(mistake))
    }

    /// The suite of a folder: `tasks/*.toml` and perhaps `sources/*.toml`, or task files in the
    /// folder itself. Its tasks can also use the embedded sources.
    ///
    /// # Errors
    /// The first mistake in any of its files.
    pub fn load(folder: &Path) -> Result<Suite, DataError> {
        let (suite, mistakes) = Suite::survey(folder)?;
        mistakes.into_iter().next().map_or(Ok(suite), |(_, mistake)| Err(mistake))
    }

    /// What can be read of a folder's suite, and the mistake of every file that cannot, by the
    /// name of its task; a source's mistake stands under `sources/<name>`.
    ///
    /// # Errors
    /// A folder or file that the system does not give.
    pub fn survey(folder: &Path) -> Result<(Suite, Vec<(String, DataError)>), DataError> {
        let mut files = Vec::new();
        for part in ["sources", "tasks"] {
            let read = |path: &Path| {
                std::fs::read_to_string(path).map_err(|source| io_error(path, source))
            };
            let mut place = folder.join(part);
            if !place.exists() {
                if part == "sources" {
                    continue;
                }
                folder.clone_into(&mut place);
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
        Ok(Suite::read(ours.chain(files)))
    }

    /// Reads `(path, text)` pairs; a path says by its last folder what the file is.
    fn read(files: impl Iterator<Item = (String, String)>) -> (Suite, Vec<(String, DataError)>) {
        let mut suite = Suite { tasks: Vec::new(), sources: Vec::new() };
        let mut mistakes = Vec::new();
        let (sources, tasks): (Vec<_>, Vec<_>) =
            files.partition(|(path, _)| part_of(path) == "sources");
        for (path, text) in &sources {
            match Source::parse(stem(path), path, text) {
                Ok(source) => suite.sources.push(source),
                Err(mistake) => mistakes.push((format!("sources/{}", stem(path)), mistake)),
            }
        }
        let broken = mistakes.len();
        let mut places: HashMap<String, String> = HashMap::new();
        for (path, text) in &tasks {
            let (task, own) = match Task::parse(path, text, &suite.sources) {
                Ok(read) => read,
                Err(mistake) => {
                    let of_source = broken_source(text, &mistakes[..broken]);
                    let mistake = of_source.map_or(mistake, |source| DataError::Suite {
                        file: path.clone(),
                        line: 1,
                        problem: format!("its source `{source}` cannot be read"),
                        hint: format!("mend sources/{source}.toml first"),
                    });
                    mistakes.push((stem(path).to_owned(), mistake));
                    continue;
                }
            };
            if let Some(other) = places.insert(task.name.clone(), path.clone()) {
                let mistake = DataError::Suite {
                    file: path.clone(),
                    line: 1,
                    problem: format!("a second task is called `{}`", task.name),
                    hint: format!("the first is {other}; names are unique"),
                };
                mistakes.push((stem(path).to_owned(), mistake));
                continue;
            }
            let known = |own: &Source| suite.sources.iter().find(|known| known.name == own.name);
            match own.as_ref().map(known) {
                Some(Some(known)) if own.as_ref().is_some_and(|own| own.tables != known.tables) => {
                    let mistake = DataError::Suite {
                        file: path.clone(),
                        line: 1,
                        problem: format!("another task describes `{}` otherwise", task.source),
                        hint: "say the same of it in both, or put it into sources/".to_owned(),
                    };
                    mistakes.push((stem(path).to_owned(), mistake));
                    continue;
                }
                Some(None) => suite.sources.extend(own),
                _ => {}
            }
            suite.tasks.push(task);
        }
        suite.tasks.sort_by(|one, other| one.name.cmp(&other.name));
        (suite, mistakes)
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

    /// Whether a task can be built from a data folder, and how many episodes it then gives. Tries
    /// it: who builds the task anyway need not ask first.
    pub fn check(&self, task: &Task, data: Option<&Path>) -> Status {
        // A process makes as many as its task says; the ideal observer makes that slow to try.
        if let Content::Process { episodes, .. } = &task.content {
            return Status::Ready { episodes: *episodes, missing: Vec::new() };
        }
        let missing = self.left_out(task, data);
        match self.build(task, data, &BuildSettings::default(), &Streams::new(0)) {
            Ok(episodes) => Status::Ready { episodes: episodes.len(), missing },
            // A few rows of a table are files all the same.
            Err(DataError::NoEpisodes { .. }) => Status::Ready { episodes: 0, missing },
            Err(DataError::Missing { missing, .. }) => Status::Missing { missing },
            Err(other) => Status::Broken { error: other.to_string() },
        }
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
        let mut episodes = Vec::new();
        self.each(task, data, (settings, streams), &|episode| episode, &mut |batch| {
            episodes.extend(batch);
            Ok(())
        })?;
        Ok(episodes)
    }

    /// [`build`](Self::build) in batches, in their order, so that no more than one is in memory:
    /// every episode goes through `map` on one of the threads of [`crate::build::Limits`], and
    /// `take` gets the results. Returns the number of episodes.
    ///
    /// # Errors
    /// Those of `build`, and those of `take`.
    pub fn each<T: Send>(
        &self,
        task: &Task,
        data: Option<&Path>,
        (settings, streams): (&BuildSettings, &Streams),
        map: &(impl Fn(Episode) -> T + Sync),
        take: &mut dyn FnMut(Vec<T>) -> Result<(), DataError>,
    ) -> Result<usize, DataError> {
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
        let mut episodes = 0;
        Builder { task, source, data, settings, streams }.each(map, &mut |batch| {
            episodes += batch.len();
            take(batch)
        })?;
        if episodes == 0 {
            return Err(DataError::NoEpisodes { task: task.name.clone() });
        }
        Ok(episodes)
    }

    /// Files of the parts that a build leaves out, because the data folder lacks them.
    pub fn left_out(&self, task: &Task, data: Option<&Path>) -> Vec<MissingFile> {
        let mut files: Vec<MissingFile> = Vec::new();
        for file in self.lacking(task, data).into_iter().flatten() {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }

    /// Why a task cannot be built: the files that all of its parts lack some of.
    fn missing(&self, task: &Task, data: Option<&Path>) -> Vec<MissingFile> {
        let whole = self.lacking(task, data).iter().any(Vec::is_empty);
        if whole { Vec::new() } else { self.left_out(task, data) }
    }

    /// The missing files of each part of a task.
    fn lacking(&self, task: &Task, data: Option<&Path>) -> Vec<Vec<MissingFile>> {
        let source = self.source(task);
        match &task.content {
            Content::Process { .. } => vec![Vec::new()],
            Content::Tables { parts } => {
                parts.iter().map(|part| source.lacks(&part.tables, data)).collect()
            }
            Content::Cover { tables, .. } | Content::Prompts { tables, .. } => {
                vec![source.lacks(tables, data)]
            }
        }
    }
}

/// The source of a task's text if it is among the broken ones.
fn broken_source(text: &str, broken: &[(String, DataError)]) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let source = table.get("source")?.as_str()?;
    let name = format!("sources/{source}");
    broken.iter().any(|(broken, _)| *broken == name).then(|| source.to_owned())
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
