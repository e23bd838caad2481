//! The episodes that models are tuned on, and a held-out part of them.

use super::{Made, Run};
use crate::commands::{suite_of, unless_missing};
use crate::leakage::Guard;
use anyhow::{Context as _, bail};
use diapason_data::{
    BuildSettings, Kind, Limits, MixSettings, Split, Suite, marked_world, mix, read_episodes,
    write_episodes,
};
use diapason_flow::{Artifact, Episode, Fingerprint, Markers, Stamp, in_order};
use diapason_markers::{Annotator, Taxonomy};
use rand::seq::SliceRandom as _;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

/// What models are tuned on.
pub(super) struct Episodes {
    /// The artifact.
    pub(super) made: Made,
    /// Trained on, in training order.
    pub(super) train: Vec<Episode>,
    /// Units of the same tasks that are never trained on.
    pub(super) held_out: Vec<Episode>,
}

impl Run<'_> {
    /// The suite of the settings.
    pub(crate) fn suite(&self) -> anyhow::Result<Suite> {
        suite_of(self.settings.data.suite.as_deref())
    }

    pub(super) fn episodes(&self) -> anyhow::Result<Episodes> {
        let data = &self.settings.data;
        let mut settings = serde_json::to_value(data)?;
        if let Some(file) = &data.episodes {
            let content =
                std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            settings["sha"] = serde_json::to_value(Fingerprint::of(&content))?;
        }
        let stamp = Stamp::new("episodes", Vec::new(), settings, self.settings.seed);
        let path = self.out.join("episodes");
        let (artifact, complete) = Artifact::open(&path, stamp)?;
        let (train_file, held_out_file) = (path.join("train.jsonl"), path.join("held_out.jsonl"));
        let name = "episodes".to_owned();
        if complete {
            self.say("episodes: finished before, reused");
            let made = Made { name, path, stamp: artifact.stamp().clone(), seconds: None };
            let held_out = read_if_any(&held_out_file)?;
            return Ok(Episodes { made, train: read_episodes(&train_file)?, held_out });
        }
        let started = Instant::now();
        let mut guard = self.guard()?;
        let (train, held_out) = match &data.episodes {
            Some(file) => self.of_file(file, guard.as_mut())?,
            None => self.of_tasks(guard.as_mut())?,
        };
        let (train, held_out) = (self.annotated(train)?, self.annotated(held_out)?);
        if let Some(guard) = guard {
            artifact.write_json("overlaps.json", &guard.overlaps())?;
            self.say(&format!("episodes: {guard}"));
        }
        if train.is_empty() {
            bail!("there is no episode to train on\n\nhint: name tasks in `data.tasks`");
        }
        write_episodes(&train_file, &train)?;
        if !held_out.is_empty() {
            write_episodes(&held_out_file, &held_out)?;
        }
        let stamp = artifact.finish()?;
        self.say(&format!("episodes: {} to train on, {} held out", train.len(), held_out.len()));
        let seconds = Some(started.elapsed().as_secs_f64());
        Ok(Episodes { made: Made { name, path, stamp, seconds }, train, held_out })
    }

    /// Puts the measured markers of the settings on outputs that do not say them.
    pub(super) fn annotated(&self, episodes: Vec<Episode>) -> anyhow::Result<Vec<Episode>> {
        let names = &self.settings.data.annotate;
        if names.is_empty() {
            return Ok(episodes);
        }
        let annotator = Annotator::new(Taxonomy::built_in());
        let measure = |mut episode: Episode| -> anyhow::Result<Episode> {
            for turn in &mut episode.turns {
                let nothing = Markers::default();
                let found = annotator.annotate(turn.input.as_deref(), &turn.output, &nothing)?;
                for (name, value) in found.0.into_iter().filter(|(name, _)| names.contains(name)) {
                    turn.markers.0.entry(name).or_insert(value);
                }
            }
            Ok(episode)
        };
        in_order(episodes, self.session.device.threads(), measure).into_iter().collect()
    }

    /// What keeps the tasks that are measured on out of training, where the recipe wants it.
    fn guard(&self) -> anyhow::Result<Option<Guard>> {
        let Some(near) = self.settings.data.exclude_overlaps.near() else { return Ok(None) };
        let (data, suite) = (&self.settings.data, self.suite()?);
        let measured = &self.settings.evaluate.tasks;
        Guard::new(&suite, data.dir.as_deref(), measured, &data.tasks, near).map(Some)
    }

    fn of_file(
        &self,
        file: &Path,
        guard: Option<&mut Guard>,
    ) -> anyhow::Result<(Vec<Episode>, Vec<Episode>)> {
        let mut episodes = read_episodes(file)?;
        if let Some(guard) = guard {
            episodes = guard.keep(&file.display().to_string(), episodes);
        }
        if self.settings.data.shuffle {
            episodes.shuffle(&mut self.streams.stream("episodes", 0));
        }
        Ok(self.split(episodes))
    }

    fn of_tasks(
        &self,
        mut guard: Option<&mut Guard>,
    ) -> anyhow::Result<(Vec<Episode>, Vec<Episode>)> {
        let data = &self.settings.data;
        let suite = self.suite()?;
        let streams = self.streams.within("train");
        let mut tasks = Vec::new();
        let mut held_out = Vec::new();
        let mut taken = BTreeSet::new();
        let limits = Limits { threads: self.session.device.threads(), ..Limits::default() };
        for share in &data.tasks {
            for task in suite.matching(&share.task)? {
                if !taken.insert(task.name.clone()) {
                    continue;
                }
                if task.split == Split::Test {
                    self.say(&format!("note: `{}` is a test task, and is trained on", task.name));
                }
                let build = BuildSettings {
                    description_probability: data.description_probability,
                    max_episodes: share.episodes,
                    limits,
                    ..BuildSettings::default()
                };
                let built = suite.build(task, data.dir.as_deref(), &build, &streams);
                // A task that is named must be there; of those that a pattern means, some may.
                let mut episodes = if share.task.contains(['*', ',']) {
                    match unless_missing(self.session, task, built)? {
                        Some(episodes) => episodes,
                        None => continue,
                    }
                } else {
                    built?
                };
                if let Some(guard) = guard.as_mut().filter(|_| task.kind != Kind::Process) {
                    episodes = guard.keep(&task.path(), episodes);
                }
                let (train, held) = self.split(episodes);
                held_out.extend(held);
                tasks.push((task.name.clone(), train));
            }
        }
        if let Some(marked) = &data.marked {
            let examples = marked_world::episodes(marked, &streams.within("marked"));
            let (train, held) = self.split(examples);
            held_out.extend(held);
            tasks.push(("marked".to_owned(), train));
        }
        let settings = MixSettings { shuffle: data.shuffle, ..data.mix.clone() };
        let mixed = mix(tasks, &settings, &streams)?;
        for count in mixed.counts.iter().filter(|count| count.used != count.available) {
            let (task, used, available) = (&count.task, count.used, count.available);
            self.say(&format!("episodes: {used} of {available} of {task} in the mixture"));
        }
        Ok((mixed.episodes, held_out))
    }

    /// Sets whole units aside: those that come first by a hash of their name.
    fn split(&self, episodes: Vec<Episode>) -> (Vec<Episode>, Vec<Episode>) {
        let share = self.settings.data.held_out_share;
        let mut units: Vec<(String, &str)> = episodes
            .iter()
            .map(|episode| (Fingerprint::of(episode.unit.as_bytes()).0, episode.unit.as_str()))
            .collect();
        units.sort_unstable();
        units.dedup();
        // One unit alone cannot be split.
        let count =
            ((units.len() as f64 * share).round() as usize).min(units.len().saturating_sub(1));
        let aside: BTreeSet<String> =
            units[..count].iter().map(|(_, unit)| (*unit).to_owned()).collect();
        let (held_out, train) =
            episodes.into_iter().partition(|episode| aside.contains(&episode.unit));
        (train, held_out)
    }
}

fn read_if_any(path: &Path) -> anyhow::Result<Vec<Episode>> {
    if path.exists() { Ok(read_episodes(path)?) } else { Ok(Vec::new()) }
}
