//! A task file: one TOML file that says where rows come from and how they become episodes.
//!
//! ```toml
//! name = "survey_mood"            # unique in the suite
//! title = "Moods of one person"   # one line for people
//! family = "steer"                # steer | align | cover
//! kind = "individual"             # individual | iid | process
//! split = "train"                 # train | test
//! source = "survey"               # → sources/survey.toml: licence, citation, tables
//! tables = ["answers"]            # tables of the source that the SQL reads
//! sql = "select person as unit, question as input, mood as output, topic from answers"
//! descriptions = ["Moods that one person named, about {topic}."]   # at least three in our suite
//! markers = { domain = "SocialSciences", lang = "English" }   # known of every output
//! differs = ["what we do otherwise than the reference, and why"]
//! [sampling]
//! mode = "draw"                   # draw: fresh shuffles of a unit's rows; chunk: cut them up
//! length = { geometric_poisson = 64 }   # or { fixed = 20 } or "all"
//! per_unit = 1                    # draw: episodes a unit
//! permutations = 1                # chunk: orders of each chunk
//! max_units = 500                 # only the first units
//! max_episodes = 1000             # of the whole task
//! min_turns = 2                   # shorter episodes are left out
//! ```
//!
//! Your own data needs no source file: with `file = "lunch.csv"` instead of `source` and `tables`,
//! the task reads a file beside it as a table called `lunch`, and without `sql` takes that table's
//! columns as they are.
//!
//! | what the rows come from | keys | columns of the SQL |
//! |---|---|---|
//! | tables, family steer | `tables`, `sql` | `unit`, `output`, perhaps `input`, and variables |
//! | tables, family align | `tables`, `sql` | `unit`, `options` (JSON list), `probs` (JSON list, sums to one) or `weights` (JSON list, divided by its sum), perhaps `input`, and variables |
//! | several SQLs in one task | `[[part]]` with `name`, `sql`, `descriptions`, `sampling` | as above; units become `part/unit` |
//! | a synthetic process | `process`, `episodes` (their number), `[parameters]` ([`crate::synthetic::Parameters`]) | none: the process words itself |
//! | family cover, a prompt a row | `tables`, `sql`, `[valid]`: a [`diapason_flow::Check`] | `unit`, `description` |
//! | family cover | `descriptions`, three `examples`, `[valid]`: a [`diapason_flow::Check`] or `sql` giving one column of valid outputs (and `ignore_case`) | that column |
//!
//! A wording in `descriptions` names variables in braces (`{{` is a brace). A wording whose
//! variable is NULL for a unit is left out for that unit; a variable that no column gives is an
//! error, and so is one that differs between the rows of a unit.

use crate::source::table_name;
use crate::spec::{self, Place};
use crate::synthetic::{PROCESSES, Parameters, Process};
use crate::wording::Wording;
use crate::{DataError, Source};
use diapason_flow::{Check, Markers};
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::Spanned;

/// What an evaluation asks of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// In-context steering: predict further draws from earlier ones.
    Steer,
    /// Match a known distribution over options.
    Align,
    /// Cover many valid outputs.
    Cover,
}

/// What makes the draws of one unit belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// They come from one person.
    Individual,
    /// They are independent draws from one table.
    Iid,
    /// They come from a synthetic process.
    Process,
}

/// Whether a task may be trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Yes.
    Train,
    /// Held out.
    Test,
}

/// How rows of one unit become episodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Fresh shuffles, or non-overlapping chunks of one shuffle.
    pub mode: Mode,
    /// Turns of an episode.
    pub length: Length,
    /// Draw mode: episodes of each unit.
    pub per_unit: usize,
    /// Chunk mode: orders of each chunk. They are dependent: one unit for every interval.
    pub permutations: usize,
    /// Only the first units, in the order of the SQL.
    pub max_units: Option<usize>,
    /// Most episodes of the task, taken at random.
    pub max_episodes: Option<usize>,
    /// Episodes with fewer turns are left out.
    pub min_turns: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            mode: Mode::Draw,
            length: Length::All,
            per_unit: 1,
            permutations: 1,
            max_units: None,
            max_episodes: None,
            min_turns: 2,
        }
    }
}

/// How rows are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every episode is the head of a fresh shuffle of the unit's rows; episodes overlap.
    Draw,
    /// The rows are shuffled once and cut into consecutive chunks that do not overlap.
    Chunk,
}

/// How many turns an episode has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// All rows of the unit.
    All,
    /// Always this many, while rows last.
    Fixed(usize),
    /// Geometric with mean m/2 (from 1 on) plus Poisson with mean m/2; the mean is m.
    GeometricPoisson(usize),
}

/// One task of a suite.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// Unique name.
    pub name: String,
    /// What an evaluation asks of it.
    pub family: Family,
    /// What holds its draws together.
    pub kind: Kind,
    /// Whether it may be trained on.
    pub split: Split,
    /// Name of its source.
    pub source: String,
    /// Licence of the source.
    pub licence: String,
    /// How its files are had.
    pub access: crate::Access,
    /// One line for people.
    pub title: String,
    /// What is known of every output without reading it: domain, task, source, lang.
    pub markers: Markers,
    /// What is done otherwise than in the reference suite.
    pub differs: Vec<String>,
    /// Task file, as errors name it.
    #[serde(skip)]
    pub file: String,
    /// Where the rows come from.
    #[serde(skip)]
    pub(crate) content: Content,
}

/// Where the rows of a task come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Tables of the source, shaped by SQL.
    Tables { tables: Vec<String>, parts: Vec<Part> },
    /// A synthetic process.
    Process { process: &'static Process, parameters: Parameters, episodes: usize },
    /// Prompts by SQL, and a rule for valid outputs of each.
    Prompts { tables: Vec<String>, sql: Sql, check: Check },
    /// A description, examples and a rule for valid outputs.
    Cover { descriptions: Vec<Wording>, examples: Vec<String>, valid: Valid, tables: Vec<String> },
}

/// One SQL with its wordings.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Empty for the only part of a task.
    pub name: String,
    pub sql: Sql,
    pub descriptions: Vec<Wording>,
    pub sampling: Sampling,
}

/// A query and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub text: String,
    pub place: Place,
}

/// The rule of a cover task.
#[derive(Clone, Debug)]
pub(crate) enum Valid {
    Check(Check),
    Sql { sql: Sql, ignore_case: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    name: Spanned<String>,
    title: String,
    family: Family,
    kind: Kind,
    split: Split,
    source: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    #[serde(default)]
    markers: Markers,
    #[serde(default)]
    differs: Vec<String>,
    #[serde(default)]
    tables: Vec<Spanned<String>>,
    sql: Option<Spanned<String>>,
    #[serde(default)]
    descriptions: Vec<Spanned<String>>,
    sampling: Option<Sampling>,
    #[serde(default)]
    part: Vec<Spanned<PartFile>>,
    process: Option<Spanned<String>>,
    episodes: Option<usize>,
    parameters: Option<Spanned<Parameters>>,
    #[serde(default)]
    examples: Vec<String>,
    valid: Option<Spanned<toml::Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    name: String,
    sql: Spanned<String>,
    descriptions: Vec<Spanned<String>>,
    #[serde(default)]
    sampling: Sampling,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidSql {
    sql: String,
    #[serde(default)]
    ignore_case: bool,
}

impl Task {
    /// Family and name, as episodes and results carry it: `steer/polis_vote`.
    pub fn path(&self) -> String {
        let family = match self.family {
            Family::Steer => "steer",
            Family::Align => "align",
            Family::Cover => "cover",
        };
        format!("{family}/{}", self.name)
    }

    /// Reads a task file. `sources` are those of its suite; a task with a file of its own brings
    /// one more.
    ///
    /// # Errors
    /// [`DataError::Suite`] with the line of the first mistake.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        sources: &[Source],
    ) -> Result<(Task, Option<Source>), DataError> {
        let read: TaskFile = spec::parse(file, text)?;
        let reader = Reader { file, text, name: Place::at(file, text, read.name.span().start) };
        let own = reader.own_source(&read)?;
        let source = match &own {
            Some(own) => own,
            None => reader.source(&read, sources)?,
        };
        let task = Task {
            name: read.name.get_ref().clone(),
            family: read.family,
            kind: read.kind,
            split: read.split,
            source: source.name.clone(),
            licence: source.licence.clone(),
            access: source.access,
            title: read.title.clone(),
            markers: read.markers.clone(),
            differs: read.differs.clone(),
            file: file.to_owned(),
            content: reader.content(&read)?,
        };
        Ok((task, own))
    }
}

/// Turns the keys of a task file into its content.
struct Reader<'text> {
    file: &'text str,
    text: &'text str,
    /// Where the task's name stands: for mistakes of the whole file.
    name: Place,
}

impl Reader<'_> {
    /// The source of a task that names none.
    fn own_source(&self, read: &TaskFile) -> Result<Option<Source>, DataError> {
        let named = read.source.is_some() || !read.tables.is_empty();
        if let (Some(own), true) = (&read.file, named) {
            let problem = "a task with a file of its own has no source and no tables".to_owned();
            let hint = "take `file` away, or `source` and `tables`";
            return Err(self.at(own.span()).wrong(problem, hint));
        }
        let beside = Path::new(self.file).parent().unwrap_or(Path::new(""));
        let file = read.file.as_ref().map(|file| file.get_ref().as_str());
        Ok((!named).then(|| Source::own(file, beside)))
    }

    /// The source that a task names.
    fn source<'sources>(
        &self,
        read: &TaskFile,
        sources: &'sources [Source],
    ) -> Result<&'sources Source, DataError> {
        let Some(wanted) = &read.source else {
            let problem = "nothing says whose tables these are".to_owned();
            let hint = "give `source`, or `file` for a file of yours beside the task";
            return Err(self.name.wrong(problem, hint));
        };
        let Some(source) = sources.iter().find(|source| source.name == *wanted.get_ref()) else {
            let names = sources.iter().map(|source| source.name.as_str());
            return Err(self.at(wanted.span()).unknown("source", wanted.get_ref(), names));
        };
        for table in &read.tables {
            let names = source.tables.iter().map(|(name, _)| name.as_str());
            if !names.clone().any(|name| name == table.get_ref()) {
                return Err(self.at(table.span()).unknown("table", table.get_ref(), names));
            }
        }
        Ok(source)
    }

    fn content(&self, read: &TaskFile) -> Result<Content, DataError> {
        let prompts = read.sql.is_some() && read.valid.is_some();
        let ways = [
            (read.sql.is_some() && !prompts, "sql"),
            (!read.part.is_empty(), "[[part]]"),
            (read.process.is_some(), "process"),
            (read.valid.is_some(), "[valid]"),
        ];
        let given: Vec<&str> = ways.iter().filter(|way| way.0).map(|way| way.1).collect();
        let whole_file = read.file.is_some() && given.is_empty();
        if given.len() != 1 && !whole_file {
            let problem = if given.is_empty() {
                "nothing says where the rows come from".to_owned()
            } else {
                format!("{} exclude one another", given.join(" and "))
            };
            return Err(self.name.wrong(problem, "give one of sql, [[part]], process or [valid]"));
        }
        if (read.family == Family::Cover) != read.valid.is_some() {
            let problem = "family cover and [valid] belong together".to_owned();
            return Err(self.name.wrong(problem, "a cover task has [valid], and no other has"));
        }
        let own = read.file.iter().map(|file| table_name(file.get_ref()).to_owned());
        let tables: Vec<String> =
            read.tables.iter().map(|table| table.get_ref().clone()).chain(own).collect();
        if let Some(name) = &read.process {
            return self.process(name, read);
        }
        if let Some(valid) = &read.valid {
            return self.cover(valid, read, tables);
        }
        let mut parts = Vec::new();
        if read.sql.is_some() || whole_file {
            let everything = || Sql {
                text: format!("select * from \"{}\"", tables.join("")),
                place: self.name.clone(),
            };
            parts.push(Part {
                name: String::new(),
                sql: read.sql.as_ref().map_or_else(everything, |sql| self.sql(sql)),
                descriptions: self.wordings(&read.descriptions)?,
                sampling: read.sampling.clone().unwrap_or_default(),
            });
        } else if !read.descriptions.is_empty() || read.sampling.is_some() {
            let problem = "descriptions and sampling stand outside the parts".to_owned();
            return Err(self.name.wrong(problem, "move them into each [[part]]"));
        }
        for part in &read.part {
            parts.push(self.part(part)?);
        }
        Ok(Content::Tables { tables, parts })
    }

    fn part(&self, part: &Spanned<PartFile>) -> Result<Part, DataError> {
        let part = part.get_ref();
        Ok(Part {
            name: part.name.clone(),
            sql: self.sql(&part.sql),
            descriptions: self.wordings(&part.descriptions)?,
            sampling: part.sampling.clone(),
        })
    }

    fn process(&self, name: &Spanned<String>, read: &TaskFile) -> Result<Content, DataError> {
        let place = self.at(name.span());
        let Some(process) = Process::named(name.get_ref()) else {
            let names = PROCESSES.iter().map(|process| process.name);
            return Err(place.unknown("process", name.get_ref(), names));
        };
        let Some(episodes) = read.episodes else {
            let problem = "a process never ends by itself".to_owned();
            return Err(place.wrong(problem, "say how many episodes: episodes = 500"));
        };
        if !read.descriptions.is_empty() || read.sampling.is_some() {
            let problem = "a process words and samples itself".to_owned();
            return Err(
                place.wrong(problem, "use [parameters] instead of descriptions and sampling")
            );
        }
        let parameters = match &read.parameters {
            None => Parameters::default(),
            Some(parameters) => match parameters.get_ref().problem() {
                None => parameters.get_ref().clone(),
                Some(problem) => return Err(self.at(parameters.span()).wrong(problem, "")),
            },
        };
        Ok(Content::Process { process, parameters, episodes })
    }

    fn cover(
        &self,
        valid: &Spanned<toml::Table>,
        read: &TaskFile,
        tables: Vec<String>,
    ) -> Result<Content, DataError> {
        let place = self.at(valid.span());
        let wrong = |problem: toml::de::Error| {
            place.wrong(format!("[valid]: {}", problem.message()), spec::key_hint(&problem))
        };
        let table = valid.get_ref().clone();
        if let Some(sql) = &read.sql {
            let check = toml::Value::Table(table).try_into().map_err(wrong)?;
            return Ok(Content::Prompts { tables, sql: self.sql(sql), check });
        }
        let rule = if table.contains_key("sql") {
            let rule: ValidSql = toml::Value::Table(table).try_into().map_err(wrong)?;
            let sql = Sql { text: rule.sql, place: place.clone() };
            Valid::Sql { sql, ignore_case: rule.ignore_case }
        } else {
            Valid::Check(toml::Value::Table(table).try_into().map_err(wrong)?)
        };
        let descriptions = self.wordings(&read.descriptions)?;
        if descriptions.is_empty() || read.examples.is_empty() {
            let problem = "a cover task needs descriptions and examples".to_owned();
            return Err(self
                .name
                .wrong(problem, "give at least one description and three examples"));
        }
        Ok(Content::Cover { descriptions, examples: read.examples.clone(), valid: rule, tables })
    }

    fn wordings(&self, texts: &[Spanned<String>]) -> Result<Vec<Wording>, DataError> {
        texts.iter().map(|text| Wording::parse(text.get_ref(), self.at(text.span()))).collect()
    }

    fn sql(&self, sql: &Spanned<String>) -> Sql {
        Sql { text: sql.get_ref().clone(), place: self.at(sql.span()).of_content() }
    }

    fn at(&self, span: std::ops::Range<usize>) -> Place {
        Place::at(self.file, self.text, span.start)
    }
}
