//! Steer episodes: which rows of a unit make an episode, in which order, under which words.

use super::rows::Unit;
use super::units::{Head, Units};
use super::{Builder, joined, words};
use crate::synthetic::geometric_plus_poisson;
use crate::table::Database;
use crate::task::Part;
use crate::{DataError, Length, Mode, Sampling};
use diapason_flow::{Episode, Stream, Streams, in_order};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::sync::Arc;

/// Rows that are made into episodes at a time.
const BATCH_ROWS: usize = 65_536;

/// The rows of one episode to be.
struct Plan {
    /// What makes it differ from the other episodes of its unit.
    label: String,
    rows: Vec<usize>,
}

/// An episode to be, with its rows.
struct Planned {
    unit: Arc<Unit>,
    plan: Plan,
}

impl Builder<'_> {
    /// Makes the episodes of a part, unit after unit.
    pub(super) fn steer<T: Send>(
        &self,
        database: &Database,
        part: &Part,
        map: &(impl Fn(Episode) -> T + Sync),
        take: &mut dyn FnMut(Vec<T>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let units = Units::of(database, &part.sql, &part.descriptions)?;
        let mut kept = self.kept(&units, part)?.map(Vec::into_iter);
        let mut is_kept = || kept.as_mut().is_none_or(|kept| kept.next().unwrap_or(false));
        let (variables, one_table) = (units.variables.clone(), units.one_table);
        let making = Making { builder: self, part, variables, one_table };
        let mut batch: Vec<Planned> = Vec::new();
        let mut rows = 0;
        let mut make = |batch: &mut Vec<Planned>| {
            let planned = std::mem::take(batch);
            let threads = self.settings.limits.threads;
            take(in_order(planned, threads, |planned| map(making.episode(&planned))))
        };
        units.each(part.sampling.max_units, |head| {
            let mut plans = self.plans(part, &head);
            plans.retain(|_| is_kept());
            let mut whole = None;
            if units.is_whole(&head) && !plans.is_empty() {
                whole = Some(Arc::new(units.read(database, &head)?));
            }
            for mut plan in plans {
                rows += plan.rows.len();
                let unit = if let Some(whole) = &whole {
                    Arc::clone(whole)
                } else {
                    let places = std::mem::take(&mut plan.rows);
                    plan.rows = (0..places.len()).collect();
                    Arc::new(units.pick(database, &head, &places)?)
                };
                batch.push(Planned { unit, plan });
                if rows >= BATCH_ROWS {
                    rows = 0;
                    make(&mut batch)?;
                }
            }
            Ok(())
        })?;
        make(&mut batch)
    }

    /// Which plans of a part stay under the caps; `None` without a cap.
    fn kept(&self, units: &Units<'_>, part: &Part) -> Result<Option<Vec<bool>>, DataError> {
        let caps = [part.sampling.max_episodes, self.settings.max_episodes];
        if caps.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut count = 0;
        units.each(part.sampling.max_units, |head| {
            count += self.plans(part, &head).len();
            Ok(())
        })?;
        let mut places: Vec<usize> = (0..count).collect();
        for most in caps {
            places = self.capped(places, most, &part.name);
        }
        let mut kept = vec![false; count];
        for place in places {
            kept[place] = true;
        }
        Ok(Some(kept))
    }

    fn plans(&self, part: &Part, head: &Head) -> Vec<Plan> {
        let mut plans = Vec::new();
        let streams = self.streams.within(&self.task.path()).within(&part.name).within(&head.name);
        self.plan(&part.sampling, head.count, &streams, &mut plans);
        plans
    }

    /// The episodes of one unit with `count` rows.
    fn plan(&self, sampling: &Sampling, count: usize, streams: &Streams, plans: &mut Vec<Plan>) {
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
                plans.push(Plan { label, rows: rows.to_vec() });
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
}

/// What every episode of a part is made with.
struct Making<'a> {
    builder: &'a Builder<'a>,
    part: &'a Part,
    /// Names of the columns that descriptions use.
    variables: Vec<String>,
    /// Whether the SQL has no `unit` column.
    one_table: bool,
}

impl Making<'_> {
    fn episode(&self, Planned { unit, plan }: &Planned) -> Episode {
        let (task, part, settings) = (self.builder.task, self.part, self.builder.settings);
        let mut name = unit.name.clone();
        if self.one_table && part.sampling.mode == Mode::Chunk {
            let chunk = plan.label.split('/').next().unwrap_or_default();
            name = if name.is_empty() { chunk.to_owned() } else { format!("{name} {chunk}") };
        }
        let mut episode = Episode::new(task.path(), joined(&part.name, &name));
        let streams = self.builder.streams.within(&task.path()).within(&part.name);
        let mut stream = streams.within(&unit.name).within(&plan.label).stream("words", 0);
        if stream.random_bool(settings.description_probability) {
            episode.description = words(&part.descriptions, &self.variables, unit, &mut stream);
        }
        episode.turns = plan.rows.iter().map(|row| unit.turns[*row].clone()).collect();
        episode
    }
}
