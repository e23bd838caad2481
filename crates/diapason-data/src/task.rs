//! A task file: one TOML file that says where rows come from and how they become episodes.
//!
//! ```toml
//! name = "survey_mood"            # unique in the suite
//! title = "Moods of one person"   # one line for people
//! family = "steer"                # steer | align | cover
//! kind = "individual"             # individual | iid | process
//! split = "train"                 # train | test
//! output_type = "categorical"     # categorical | numeric | free-text | json: what outputs are
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
//! columns as they are. A file that its extension does not explain is described there:
//! `file = { path = "lunch.csv", encoding = "latin-1", unique = ["id"] }` ([`TableSpec`]).
//!
//! | what the rows come from | keys | columns of the SQL |
//! |---|---|---|
//! | tables, family steer | `tables`, `sql` | `unit`, `output`, perhaps `input`, and variables |
//! | tables, family align | `tables`, `sql` | `unit`, `options` (JSON list), `probs` (JSON list, sums to one) or `weights` (JSON list, divided by its sum), perhaps `input`, and variables |
//! | several SQLs in one task | `[[part]]` with `name`, `sql`, `descriptions`, `sampling`, perhaps `tables` and `output_type` of its own | as above; units become `part/unit` |
//! | a synthetic process | `process`, `episodes` (their number), `[parameters]` ([`crate::synthetic::Parameters`]) | none: the process words itself |
//! | family cover, a prompt a row | `tables`, `sql`, `[valid]`: a [`diapason_flow::Check`] | `unit`, `description` |
//! | family cover | `descriptions`, three `examples`, `[valid]`: a [`diapason_flow::Check`] or `sql` giving one column of valid outputs (and `ignore_case`) | that column |
//!
//! A wording in `descriptions` names variables in braces (`{{` is a brace). A wording whose
//! variable is NULL for a unit is left out for that unit; a variable that no column gives is an
//! error, and so is one that differs between the rows of a unit.
//!
//! A part that names `tables` of its own needs only those: where a data folder lacks their files,
//! the part is left out and the others are built.

mod read;

use crate::spec::Place;
use crate::synthetic::{Parameters, Process};
#[cfg(doc)]
use crate::table::TableSpec;
use crate::wording::Wording;
use diapason_flow::{Check, Episode, Markers};
use serde::{Deserialize, Serialize};

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

/// What the outputs of a task are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputType {
    /// One of a few labels.
    Categorical,
    /// A number.
    Numeric,
    /// Any text.
    FreeText,
    /// A JSON value.
    Json,
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
    /// What its outputs are, where it says so; a part may have outputs of another type.
    pub output_type: Option<OutputType>,
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
    Tables { parts: Vec<Part> },
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
    /// What its SQL reads.
    pub tables: Vec<String>,
    /// What its outputs are, where the task's own type does not say it.
    pub output_type: Option<OutputType>,
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

    /// What the outputs of one of its episodes are: the type of its part, else of the task.
    pub fn output_type_of(&self, episode: &Episode) -> Option<OutputType> {
        let Content::Tables { parts } = &self.content else { return self.output_type };
        let of = |part: &&Part| {
            let rest = episode.unit.strip_prefix(&part.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let named = parts.iter().filter(|part| !part.name.is_empty());
        named.filter(of).find_map(|part| part.output_type).or(self.output_type)
    }
}
