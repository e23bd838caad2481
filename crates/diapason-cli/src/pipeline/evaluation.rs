//! The evaluation stage of one model.

use super::episodes::Episodes;
use super::{Made, Run, template_kind};
use crate::commands::{lacks_judge, unless_missing};
use crate::evaluate::{
    MEASURES, Measure, Subject, TaskResult, TaskSet, evaluate_levers, evaluate_task,
};
use diapason_data::marked_world::Probe;
use diapason_data::{Kind, Task};
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

/// What a model is asked.
pub(super) struct Questions {
    /// Tasks of the suite.
    pub(super) tasks: Vec<TaskSet>,
    /// Measures of levers with their requests.
    pub(super) levers: Vec<(&'static str, Measure, Vec<Probe>)>,
}

/// What a model with its levers set is called beside itself.
pub(super) fn with_levers(model: &str) -> String {
    format!("{model}-fixed")
}

impl Run<'_> {
    /// Every question to every model, and once more those about levers to models that know
    /// markers, now with the levers set.
    pub(super) fn evaluations(
        &self,
        models: Vec<Made>,
        episodes: &Episodes,
    ) -> anyhow::Result<(Vec<Made>, Vec<Evaluation>)> {
        let questions =
            Questions { tasks: self.evaluation_tasks(episodes)?, levers: self.lever_questions() };
        let set = Questions { tasks: Vec::new(), levers: questions.levers.clone() };
        let mut evaluations = models
            .iter()
            .map(|model| self.evaluate(model, episodes, &questions, false))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut evaluated = models.clone();
        let marked = self.settings.models.iter().filter(|tuned| tuned.markers.is_some());
        let marked: BTreeSet<&str> = marked.map(|tuned| tuned.name.as_str()).collect();
        for model in models {
            if set.levers.is_empty() || !marked.contains(model.name.as_str()) {
                continue;
            }
            evaluations.push(self.evaluate(&model, episodes, &set, true)?);
            evaluated.push(Made { name: with_levers(&model.name), seconds: None, ..model });
        }
        Ok((evaluated, evaluations))
    }

    fn lever_questions(&self) -> Vec<(&'static str, Measure, Vec<Probe>)> {
        let count = self.settings.evaluate.levers;
        let streams = self.streams.within("evaluate").within("levers");
        let asked = MEASURES.iter().filter(|_| count > 0);
        asked.map(|(task, measure)| (*task, *measure, measure.probes(count, &streams))).collect()
    }

    /// The questions to one model; `fixed` sets its levers.
    fn evaluate(
        &self,
        model: &Made,
        episodes: &Episodes,
        questions: &Questions,
        fixed: bool,
    ) -> anyhow::Result<Evaluation> {
        let started = Instant::now();
        let tasks = &questions.tasks;
        let tuned = self.settings.models.iter().find(|tuned| tuned.name == model.name);
        let template = tuned.map_or(&self.settings.evaluate.base_template, |tuned| &tuned.template);
        let mut settings = serde_json::to_value(&self.settings.evaluate)?;
        settings["template"] = template.as_str().into();
        settings["fixed"] = fixed.into();
        settings["data"] =
            serde_json::to_value((&self.settings.data.dir, &self.settings.data.suite))?;
        let parents = vec![model.fingerprint(), episodes.made.fingerprint()];
        let stamp = Stamp::new("evaluation", parents, settings, self.settings.seed);
        let name = if fixed { with_levers(&model.name) } else { model.name.clone() };
        let stage = format!("evaluations/{name}");
        let (artifact, complete) = Artifact::open(&self.out.join(&stage), stamp)?;
        let kind = template_kind(template)?;
        let device = self.session.device.with_products(self.settings.evaluate.precision);
        let subject = Subject::load(&name, &model.path, None, Some(kind), &device)?;
        let mut results = BTreeMap::new();
        for (index, task) in tasks.iter().enumerate() {
            self.stopped(&stage)?;
            let done = index as u64 + 1;
            let streams = self.streams.within("evaluate");
            let settings = (&self.settings.evaluate, None);
            let result = evaluate_task(&subject, task, settings, &streams, &artifact)?;
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
        for lever in &questions.levers {
            self.stopped(&stage)?;
            let streams = self.streams.within("evaluate");
            let found = evaluate_levers(&subject, lever, fixed, &streams, &artifact)?;
            results.extend(found.map(|result| (lever.0.to_owned(), result)));
        }
        self.session.console.clear();
        if !complete {
            artifact.finish()?;
        }
        let (parameters, seconds) = (subject.parameters, started.elapsed().as_secs_f64());
        self.say(&format!("{stage}: {} tasks in {seconds:.1} s", results.len()));
        Ok(Evaluation { tasks: results, parameters, seconds })
    }

    /// The tasks that can be built, with instances that were not trained on: other instances of
    /// the processes, and of tables that were trained on the units that were set aside.
    fn evaluation_tasks(&self, episodes: &Episodes) -> anyhow::Result<Vec<TaskSet>> {
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
                let path = task.path();
                let set = if task.kind != Kind::Process && trained.contains(path.as_str()) {
                    let aside = episodes.held_out.iter().filter(|episode| episode.task == path);
                    let aside = aside.take(settings.episodes).cloned().collect();
                    TaskSet { path, family: task.family, episodes: aside }
                } else {
                    let built = TaskSet::build(&suite, task, data, settings, &streams);
                    let Some(mut set) = unless_missing(self.session, task, built)? else {
                        continue;
                    };
                    set.episodes.retain(|episode| !instances.contains(episode.unit.as_str()));
                    set.episodes = self.annotated(set.episodes)?;
                    set
                };
                if lacks_judge(self.session, &set) {
                    continue;
                }
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
