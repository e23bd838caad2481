//! From rows to episodes: grouping by unit, sampling, wording.
//!
//! Every draw comes from a stream named by task, part and unit, so one unit's episodes change
//! with neither the other units nor the other tasks. Without a `unit` column the whole table is
//! one unit; in chunk mode its chunks, which share no row, are then units of their own.

mod rows;

use crate::synthetic::geometric_plus_poisson;
use crate::table::Database;
use crate::task::{Content, Part, Sql, Valid};
use crate::wording::Wording;
use crate::{DataError, Family, Length, Mode, Sampling, Source, Task};
use diapason_flow::{Check, Episode, Goal, Query, Stream, Streams, Turn};
use rand::RngExt;
use rand::seq::SliceRandom;
use rows::{Rows, Unit};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a build leaves open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildSettings {
    /// Share of steer episodes that have a description; align and cover episodes always do.
    pub description_probability: f64,
    /// Most episodes of a task, taken at random; the order stays.
    pub max_episodes: Option<usize>,
    /// Most turns of an episode. Synthetic episodes that end in a query keep all of theirs.
    pub max_turns: Option<usize>,
    /// Number of the first synthetic episode: other numbers are other instances, so an evaluation
    /// begins where no training reached.
    pub first_episode: u64,
}

impl Default for BuildSettings {
    fn default() -> Self {
        BuildSettings {
            description_probability: 0.8,
            max_episodes: None,
            max_turns: None,
            first_episode: 0,
        }
    }
}

/// Builds one task.
pub(crate) struct Builder<'suite> {
    pub task: &'suite Task,
    pub source: &'suite Source,
    pub data: Option<&'suite Path>,
    pub settings: &'suite BuildSettings,
    pub streams: &'suite Streams,
}

/// The rows of one episode to be.
struct Plan {
    unit: usize,
    /// What makes it differ from the other episodes of its unit.
    label: String,
    rows: Vec<usize>,
}

impl Builder<'_> {
    pub(crate) fn build(&self) -> Result<Vec<Episode>, DataError> {
        match &self.task.content {
            Content::Tables { tables, parts } => {
                let database = self.database(tables)?;
                let mut episodes = Vec::new();
                for part in parts {
                    episodes.extend(match self.task.family {
                        Family::Align => self.align(&database, part)?,
                        _ => self.steer(&database, part)?,
                    });
                }
                Ok(self.capped(episodes, self.settings.max_episodes, ""))
            }
            Content::Process { process, parameters, episodes } => {
                let mut parameters = parameters.clone();
                parameters.described = match self.task.family {
                    Family::Steer => self.settings.description_probability,
                    _ => 1.0,
                };
                // An episode depends on its number only, so the first ones are as good as any.
                let count =
                    self.settings.max_episodes.map_or(*episodes, |most| most.min(*episodes));
                let path = self.task.path();
                let first = self.settings.first_episode;
                let mut built: Vec<Episode> = (first..first + count as u64)
                    .map(|index| process.episode(&path, &parameters, self.streams, index))
                    .collect();
                for episode in built.iter_mut().filter(|episode| episode.query.is_none()) {
                    episode.turns.truncate(self.settings.max_turns.unwrap_or(usize::MAX));
                }
                Ok(built)
            }
            Content::Cover { descriptions, examples, valid, tables } => {
                let check = match valid {
                    Valid::Check(check) => check.clone(),
                    Valid::Sql { sql, ignore_case } => {
                        self.valid_list(&self.database(tables)?, sql, *ignore_case)?
                    }
                };
                self.cover(descriptions, examples, &check)
            }
        }
    }

    fn database(&self, tables: &[String]) -> Result<Database, DataError> {
        let mut database = Database::open(self.streams.within(&self.task.path()).within("sql"))?;
        // Tasks without files read no folder.
        let folder = self.data.unwrap_or(Path::new("")).join(&self.source.folder);
        for (name, spec) in self.source.tables.iter().filter(|(name, _)| tables.contains(name)) {
            database.load(name, spec, &folder)?;
        }
        Ok(database)
    }

    fn steer(&self, database: &Database, part: &Part) -> Result<Vec<Episode>, DataError> {
        let mut rows = Rows::read(database, &part.sql, &part.descriptions)?;
        let sampling = &part.sampling;
        rows.units.truncate(sampling.max_units.unwrap_or(usize::MAX));
        let streams = self.streams.within(&self.task.path()).within(&part.name);
        let mut plans = Vec::new();
        for (index, unit) in rows.units.iter().enumerate() {
            let streams = streams.within(&unit.name);
            self.plan(sampling, index, unit.turns.len(), &streams, &mut plans);
        }
        let plans = self.capped(plans, sampling.max_episodes, &part.name);
        let plans = self.capped(plans, self.settings.max_episodes, &part.name);
        let one_table = rows.one_table;
        let episode = |plan: Plan| {
            let unit = &rows.units[plan.unit];
            let mut name = unit.name.clone();
            if one_table && sampling.mode == Mode::Chunk {
                let chunk = plan.label.split('/').next().unwrap_or_default();
                name = if name.is_empty() { chunk.to_owned() } else { format!("{name} {chunk}") };
            }
            let mut episode = Episode::new(self.task.path(), joined(&part.name, &name));
            let mut stream = streams.within(&unit.name).within(&plan.label).stream("words", 0);
            if stream.random_bool(self.settings.description_probability) {
                episode.description = words(&part.descriptions, &rows, unit, &mut stream);
            }
            episode.turns = plan.rows.iter().map(|row| unit.turns[*row].clone()).collect();
            episode
        };
        Ok(plans.into_iter().map(episode).collect())
    }

    /// The episodes of one unit with `count` rows.
    fn plan(
        &self,
        sampling: &Sampling,
        unit: usize,
        count: usize,
        streams: &Streams,
        plans: &mut Vec<Plan>,
    ) {
        let most = self.settings.max_turns.unwrap_or(usize::MAX).max(1);
        let shortest = sampling.min_turns.min(most);
        let length = |stream: &mut Stream| match sampling.length {
            Length::All => count.min(most),
            Length::Fixed(length) => length.min(most),
            Length::GeometricPoisson(mean) => {
                (geometric_plus_poisson(mean as f64, stream) as usize).min(most)
            }
        };
        let mut keep = |label: String, rows: &[usize]| {
            if !rows.is_empty() && rows.len() >= shortest {
                plans.push(Plan { unit, label, rows: rows.to_vec() });
            }
        };
        let mut order: Vec<usize> = (0..count).collect();
        match sampling.mode {
            Mode::Draw => {
                for draw in 0..sampling.per_unit {
                    let mut stream = streams.stream("rows", draw as u64);
                    let length = length(&mut stream).min(count);
                    order.shuffle(&mut stream);
                    keep(format!("draw {draw}"), &order[..length]);
                }
            }
            Mode::Chunk => {
                let mut stream = streams.stream("rows", 0);
                order.shuffle(&mut stream);
                let mut rest = order.as_slice();
                for chunk in 0.. {
                    if rest.is_empty() {
                        break;
                    }
                    let (head, tail) = rest.split_at(length(&mut stream).clamp(1, rest.len()));
                    rest = tail;
                    for permutation in 0..sampling.permutations {
                        let mut rows = head.to_vec();
                        if permutation > 0 {
                            let name = format!("permutation {permutation}");
                            rows.shuffle(&mut streams.stream(&name, chunk));
                        }
                        keep(format!("chunk {chunk}/{permutation}"), &rows);
                    }
                }
            }
        }
    }

    fn align(&self, database: &Database, part: &Part) -> Result<Vec<Episode>, DataError> {
        let rows = Rows::read_questions(database, &part.sql, &part.descriptions)?;
        let streams = self.streams.within(&self.task.path()).within(&part.name);
        let mut asked = std::collections::HashMap::new();
        let mut episodes = Vec::new();
        for question in &rows.units {
            let mut episode = Episode::new(self.task.path(), joined(&part.name, &question.name));
            // The question's number within its unit keeps streams apart from the other units'.
            let number = asked.entry(question.name.as_str()).or_insert(0u64);
            let mut stream = streams.within(&question.name).stream("words", *number);
            *number += 1;
            episode.description = words(&part.descriptions, &rows, question, &mut stream);
            episode.query.clone_from(&question.query);
            episodes.push(episode);
        }
        Ok(self.capped(episodes, part.sampling.max_episodes, &part.name))
    }

    /// Three ways to ask: by description, by examples, by both.
    fn cover(
        &self,
        descriptions: &[Wording],
        examples: &[String],
        check: &Check,
    ) -> Result<Vec<Episode>, DataError> {
        let mut stream = self.streams.within(&self.task.path()).stream("words", 0);
        for wording in descriptions {
            wording.check(std::iter::empty())?;
        }
        let wording = &descriptions[stream.random_range(0..descriptions.len())];
        let description = wording.fill(|_| None);
        let turns: Vec<Turn> = examples
            .iter()
            .map(|example| Turn { output: example.clone(), ..Turn::default() })
            .collect();
        let episode = |way: &str, described: bool, shown: bool| Episode {
            description: description.clone().filter(|_| described),
            turns: if shown { turns.clone() } else { Vec::new() },
            query: Some(Query { input: None, goal: Goal::Valid(check.clone()) }),
            ..Episode::new(self.task.path(), way)
        };
        let ways = vec![
            episode("description", true, false),
            episode("examples", false, true),
            episode("both", true, true),
        ];
        Ok(self.capped(ways, self.settings.max_episodes, ""))
    }

    fn valid_list(
        &self,
        database: &Database,
        sql: &Sql,
        ignore_case: bool,
    ) -> Result<Check, DataError> {
        let items = rows::one_column(database, sql)?;
        if items.is_empty() {
            return Err(DataError::NoEpisodes { task: self.task.name.clone() });
        }
        Ok(Check::List { items, ignore_case })
    }

    /// At most so many of them, taken at random in their order.
    fn capped<T>(&self, mut items: Vec<T>, most: Option<usize>, part: &str) -> Vec<T> {
        let Some(most) = most.filter(|most| *most < items.len()) else {
            return items;
        };
        let mut order: Vec<usize> = (0..items.len()).collect();
        let streams = self.streams.within(&self.task.path()).within(part);
        order.shuffle(&mut streams.stream("cap", 0));
        let mut kept = vec![false; items.len()];
        for index in &order[..most] {
            kept[*index] = true;
        }
        let mut kept = kept.into_iter();
        items.retain(|_| kept.next().unwrap_or(false));
        items
    }
}

/// One of the wordings whose variables the unit has.
fn words(
    descriptions: &[Wording],
    rows: &Rows,
    unit: &Unit,
    stream: &mut Stream,
) -> Option<String> {
    let value = |name: &str| {
        let index = rows.variables.iter().position(|variable| variable == name)?;
        unit.values[index].as_deref()
    };
    let mut filled: Vec<String> =
        descriptions.iter().filter_map(|wording| wording.fill(value)).collect();
    if filled.is_empty() {
        return None;
    }
    let index = stream.random_range(0..filled.len());
    Some(filled.swap_remove(index))
}

fn joined(part: &str, unit: &str) -> String {
    match (part.is_empty(), unit.is_empty()) {
        (true, true) => "all".to_owned(),
        (true, false) => unit.to_owned(),
        (false, true) => part.to_owned(),
        (false, false) => format!("{part}/{unit}"),
    }
}
