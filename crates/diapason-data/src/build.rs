//! From rows to episodes: grouping by unit, sampling, wording.
//!
//! Every draw comes from a stream named by task, part and unit, so one unit's episodes change
//! with neither the other units nor the other tasks. Without a `unit` column the whole table is
//! one unit; in chunk mode its chunks, which share no row, are then units of their own.

mod rows;
mod steer;
mod units;

use crate::synthetic::{Parameters, Process};
use crate::table::Database;
use crate::task::{Content, Part, Sql, Valid};
use crate::wording::Wording;
use crate::{DataError, Family, Source, Task};
use diapason_flow::{Check, Episode, Goal, Query, Stream, Streams, Turn, in_order};
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
    /// What it may take of the machine; changes no episode.
    #[serde(skip)]
    pub limits: Limits,
}

/// What a build may take of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Threads that make episodes from rows.
    pub threads: usize,
    /// Memory for a task: three quarters for its tables, which spill to temporary files beyond
    /// that, the rest for episodes in the making. A unit of rows is held as a whole.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { threads: 1, memory_bytes: 256 << 20 }
    }
}

impl Default for BuildSettings {
    fn default() -> Self {
        BuildSettings {
            description_probability: 0.8,
            max_episodes: None,
            max_turns: None,
            first_episode: 0,
            limits: Limits::default(),
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

impl Builder<'_> {
    /// All episodes, in batches in their order, each through `map` on one of the threads.
    pub(crate) fn each<T: Send>(
        &self,
        map: &(impl Fn(Episode) -> T + Sync),
        take: &mut dyn FnMut(Vec<T>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let marked = |mut episode: Episode| {
            for turn in &mut episode.turns {
                turn.markers.clone_from(&self.task.markers);
            }
            map(episode)
        };
        match &self.task.content {
            // A cap on the whole task needs all of its episodes at once; there are few then.
            Content::Tables { parts }
                if self.task.family == Family::Steer && self.settings.max_episodes.is_none() =>
            {
                let (parts, tables) = self.whole(parts);
                let database = self.database(&tables)?;
                parts.iter().try_for_each(|part| self.steer(&database, part, &marked, take))
            }
            _ => take(in_order(self.all()?, self.settings.limits.threads, marked)),
        }
    }

    fn all(&self) -> Result<Vec<Episode>, DataError> {
        match &self.task.content {
            Content::Tables { parts } => {
                let (parts, tables) = self.whole(parts);
                let database = self.database(&tables)?;
                let mut episodes = Vec::new();
                for part in parts {
                    match self.task.family {
                        Family::Align => episodes.extend(self.align(&database, part)?),
                        _ => self.steer(&database, part, &|episode| episode, &mut |batch| {
                            episodes.extend(batch);
                            Ok(())
                        })?,
                    }
                }
                Ok(self.capped(episodes, self.settings.max_episodes, ""))
            }
            Content::Process { process, parameters, episodes } => {
                Ok(self.process(process, parameters, *episodes))
            }
            Content::Prompts { tables, sql, check } => {
                self.prompts(&self.database(tables)?, sql, check)
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

    fn process(&self, process: &Process, parameters: &Parameters, episodes: usize) -> Vec<Episode> {
        let mut parameters = parameters.clone();
        parameters.described = match self.task.family {
            Family::Steer => self.settings.description_probability,
            _ => 1.0,
        };
        // An episode depends on its number only, so the first ones are as good as any.
        let count = self.settings.max_episodes.map_or(episodes, |most| most.min(episodes));
        let path = self.task.path();
        let first = self.settings.first_episode;
        let numbers: Vec<u64> = (first..first + count as u64).collect();
        in_order(numbers, self.settings.limits.threads, |index| {
            let mut episode = process.episode(&path, &parameters, self.streams, index);
            if episode.query.is_none() {
                episode.turns.truncate(self.settings.max_turns.unwrap_or(usize::MAX));
            }
            episode
        })
    }

    /// The parts whose files are all there, and the tables that they read.
    fn whole<'task>(&self, parts: &'task [Part]) -> (Vec<&'task Part>, Vec<String>) {
        let there = |part: &&Part| self.source.lacks(&part.tables, self.data).is_empty();
        let parts: Vec<&Part> = parts.iter().filter(there).collect();
        let tables = parts.iter().flat_map(|part| part.tables.iter().cloned()).collect();
        (parts, tables)
    }

    fn database(&self, tables: &[String]) -> Result<Database, DataError> {
        let streams = self.streams.within(&self.task.path()).within("sql");
        let mut database = Database::open(streams, self.settings.limits.memory_bytes)?;
        // Tasks without files read no folder.
        let folder = self.source.place(self.data).unwrap_or_default();
        for (name, spec) in self.source.tables.iter().filter(|(name, _)| tables.contains(name)) {
            database.load(name, spec, &folder)?;
        }
        Ok(database)
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
            episode.description = words(&part.descriptions, &rows.variables, question, &mut stream);
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

    /// A prompt a row, each a unit of its own.
    fn prompts(
        &self,
        database: &Database,
        sql: &Sql,
        check: &Check,
    ) -> Result<Vec<Episode>, DataError> {
        let prompts = rows::prompts(database, sql)?;
        let episode = |(unit, description): (String, String)| Episode {
            description: Some(description),
            query: Some(Query { input: None, goal: Goal::Valid(check.clone()) }),
            ..Episode::new(self.task.path(), unit)
        };
        Ok(self.capped(prompts.into_iter().map(episode).collect(), self.settings.max_episodes, ""))
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
    variables: &[String],
    unit: &Unit,
    stream: &mut Stream,
) -> Option<String> {
    let value = |name: &str| {
        let index = variables.iter().position(|variable| variable == name)?;
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
