//! The evaluation stage of one model.

use super::episodes::Episodes;
use super::{Made, Run, template_kind};
use crate::evaluate::{Subject, TaskResult, TaskSet, evaluate_task};
use diapason_data::{Kind, Status, Task};
use diapason_flow::{Artifact, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What was found for one model.
pub(crate) struct Evaluation {
    /// Task → result.
    pub tasks: BTreeMap<String, TaskResult>,
    /// Number of parameters.
    pub parameters: usize,
    /// Seconds it took in this run.
    pub seconds: f64,
}

impl Run<'_> {
    pub(super) fn evaluate(
        &self,
        model: &Made,
        episodes: &Episodes,
        tasks: &[TaskSet],
    ) -> anyhow::Result<Evaluation> {
        let started = Instant::now();
        let tuned = self.settings.models.iter().find(|tuned| tuned.name == model.name);
        let template = tuned.map_or(&self.settings.evaluate.base_template, |tuned| &tuned.template);
        let mut settings = serde_json::to_value(&self.settings.evaluate)?;
        settings["template"] = template.as_str().into();
        settings["data"] =
            serde_json::to_value((&self.settings.data.dir, &self.settings.data.suite))?;
        let parents = vec![model.fingerprint(), episodes.made.fingerprint()];
        let stamp = Stamp::new("evaluation", parents, settings, self.settings.seed);
        let stage = format!("evaluations/{}", model.name);
        let (artifact, complete) = Artifact::open(&self.out.join(&stage), stamp)?;
        let kind = template_kind(template)?;
        let subject = Subject::load(&model.name, &model.path, Some(kind), &self.session.device)?;
        let mut results = BTreeMap::new();
        for (index, task) in tasks.iter().enumerate() {
            self.stopped(&stage)?;
            let done = index as u64 + 1;
            let streams = self.streams.within("evaluate");
            let result =
                evaluate_task(&subject, task, &self.settings.evaluate, &streams, &artifact)?;
            self.session.console.progress(
                done,
                tasks.len() as u64,
                &format!("{stage} {}", task.path),
            );
            if result.skipped > 0 {
                let (skipped, of) = (result.skipped, task.episodes.len());
                self.say(&format!(
                    "{stage}: {skipped} of {of} episodes of {} do not fit the context",
                    task.path
                ));
            }
            results.insert(task.path.clone(), result);
        }
        self.session.console.clear();
        if !complete {
            artifact.finish()?;
        }
        let (parameters, seconds) = (subject.parameters, started.elapsed().as_secs_f64());
        self.say(&format!("{stage}: {} tasks in {seconds:.1} s", tasks.len()));
        Ok(Evaluation { tasks: results, parameters, seconds })
    }

    /// The tasks that can be built, with instances that were not trained on: other instances of
    /// the processes, and of tables that were trained on the units that were set aside.
    pub(super) fn evaluation_tasks(&self, episodes: &Episodes) -> anyhow::Result<Vec<TaskSet>> {
        let suite = self.suite()?;
        let (settings, data) = (&self.settings.evaluate, self.settings.data.dir.as_deref());
        let streams = self.streams.within("evaluate");
        let trained: BTreeSet<&str> =
            episodes.train.iter().map(|episode| episode.task.as_str()).collect();
        let processes: BTreeSet<String> = suite
            .tasks()
            .iter()
            .filter(|task| task.kind == Kind::Process)
            .map(Task::path)
            .collect();
        let instances: BTreeSet<&str> = episodes
            .train
            .iter()
            .filter(|episode| processes.contains(&episode.task))
            .map(|episode| episode.unit.as_str())
            .collect();
        let mut names = BTreeSet::new();
        let mut sets = Vec::new();
        for pattern in &settings.tasks {
            for task in suite.matching(pattern)? {
                if !names.insert(task.name.clone()) {
                    continue;
                }
                if let Status::Missing { missing } = suite.check(task, data)? {
                    let file = missing.first().map_or("", |missing| missing.file.as_str());
                    self.say(&format!("note: `{}` is left out, {file} is missing", task.name));
                    continue;
                }
                let path = task.path();
                let set = if task.kind != Kind::Process && trained.contains(path.as_str()) {
                    let aside = episodes.held_out.iter().filter(|episode| episode.task == path);
                    let aside = aside.take(settings.episodes).cloned().collect();
                    TaskSet { path, family: task.family, episodes: aside }
                } else {
                    let mut set = TaskSet::build(&suite, task, data, settings, &streams)?;
                    set.episodes.retain(|episode| !instances.contains(episode.unit.as_str()));
                    set
                };
                if set.episodes.is_empty() {
                    self.say(&format!("note: `{}` has no unit that was not trained on", task.name));
                    continue;
                }
                sets.push(set);
            }
        }
        Ok(sets)
    }
}
