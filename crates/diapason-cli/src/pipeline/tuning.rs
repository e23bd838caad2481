//! Tuning: the base trained on the episodes with one loss policy.

use super::episodes::Episodes;
use super::rendering::{Rendering, Shown};
use super::soft::Asked;
use super::{Made, Run};
use crate::commands::{available_memory_bytes, special_ids};
use crate::levers::MARKERS_FILE;
use crate::settings::Tuned;
use anyhow::bail;
use diapason_flow::{Artifact, Episode, Stamp, in_order};
use diapason_markers::Trained;
use diapason_model::Model;
use diapason_text::{MarkerSides, Tokenizer};
use diapason_train::{Control, Event, Outcome, Plan, Sequence, TrainSettings, train};
use std::path::Path;
use std::time::Instant;

impl Run<'_> {
    pub(super) fn tune(
        &self,
        tuned: &Tuned,
        base: &Made,
        episodes: &Episodes,
    ) -> anyhow::Result<Made> {
        let stage = format!("models/{}", tuned.name);
        let parents = vec![base.fingerprint(), episodes.made.fingerprint()];
        let stamp = Stamp::new("model", parents, serde_json::to_value(tuned)?, self.settings.seed);
        let path = self.out.join(&stage);
        let (artifact, complete) = Artifact::open(&path, stamp)?;
        let name = tuned.name.clone();
        if complete {
            self.say(&format!("{stage}: finished before, reused"));
            return Ok(Made { name, path, stamp: artifact.stamp().clone(), seconds: None });
        }
        let started = Instant::now();
        let tokenizer = Self::tokenizer(&base.path, &tuned.template)?;
        let learn = tuned.markers.is_some_and(|markers| markers.learn);
        let tokenizer = tokenizer.with_markers(MarkerSides { prompt: false, learn });
        let mut model = Model::load_held(&base.path, Some(tuned.train.weights))?;
        let mut sequences = self.sequences(&stage, &episodes.train, tuned, &tokenizer)?;
        if let Some(budget) = self.settings.data.token_budget {
            let all = sequences.len();
            keep_within(&mut sequences, budget);
            self.say(&format!("{stage}: {} of {all} sequences in the budget", sequences.len()));
        }
        let held_out = self.sequences(&stage, &episodes.held_out, tuned, &tokenizer)?;
        let settings = TrainSettings { seed: self.settings.seed, ..tuned.train.clone() };
        self.train(&stage, &mut model, (&sequences, &held_out), &settings, &path)?;
        if let Some(adapter) = model.adapters.pop() {
            // For PEFT as it is, and folded in for everything that reads the stage's folder.
            adapter.save(&path.join("adapter"), &base.path.to_string_lossy())?;
            model = model.merged(&self.session.device, &adapter)?;
        }
        model.save(&path, &special_ids(&tokenizer))?;
        tokenizer.save(&path)?;
        if let Some(markers) = &tuned.markers {
            let turns = episodes.train.iter().flat_map(|episode| &episode.turns);
            let marked = turns.map(|turn| &turn.markers).filter(|markers| !markers.is_empty());
            let trained = Trained::of(markers.dropout(), markers.learn, marked);
            artifact.write_json(MARKERS_FILE, &trained)?;
        }
        let stamp = artifact.finish()?;
        Ok(Made { name, path, stamp, seconds: Some(started.elapsed().as_secs_f64()) })
    }

    /// Renders and tokenises. Episodes that have nothing to learn under this loss, such as a
    /// single draw without a description, are left out and counted.
    fn sequences(
        &self,
        stage: &str,
        episodes: &[Episode],
        tuned: &Tuned,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<Vec<Sequence>> {
        let rendering = Rendering {
            template: tokenizer.template(),
            loss: tuned.loss,
            dropout: tuned.markers.map(|markers| markers.dropout()),
            streams: self.streams.within("dropout"),
        };
        let queries = self.streams.within("queries");
        let soft_targets = tuned.train.soft_targets.is_some();
        let rendered = |(index, episode): (usize, &Episode)| -> anyhow::Result<_> {
            let mut draws = queries.stream(&episode.unit, index as u64);
            let asked = soft_targets.then(|| Asked::of(episode, tuned.loss, &mut draws)).flatten();
            let trained = asked.as_ref().map_or(episode, |asked| &asked.episode);
            let (marked, lists) = rendering.render(index as u64, trained);
            let tokens = tokenizer.encode(&marked)?;
            let soft = match &asked {
                Some(asked) => asked.target(&tokens, tokenizer)?,
                None => None,
            };
            Ok((Sequence { task: episode.task.clone(), tokens, soft }, lists))
        };
        let threads = self.session.device.threads();
        let mut sequences = Vec::with_capacity(episodes.len());
        let mut shown = Shown::default();
        for rendered in in_order(episodes.iter().enumerate().collect(), threads, rendered) {
            let (sequence, lists) = rendered?;
            shown.add(&lists);
            if sequence.tokens.learned() > 0 {
                sequences.push(sequence);
            }
        }
        let left_out = episodes.len() - sequences.len();
        if left_out > 0 {
            let of = episodes.len();
            self.say(&format!("{stage}: {left_out} of {of} episodes have nothing to learn here"));
        }
        if sequences.is_empty() && !episodes.is_empty() {
            bail!("{stage}: no episode has anything to learn under this loss");
        }
        if shown.examples > 0 {
            self.say(&format!("{stage}: {shown}"));
        }
        Ok(sequences)
    }

    /// One training run with its progress on the console. Ctrl-C finishes the step, writes a
    /// checkpoint and is an error that says how to go on.
    pub(super) fn train(
        &self,
        stage: &str,
        model: &mut Model,
        (sequences, held_out): (&[Sequence], &[Sequence]),
        settings: &TrainSettings,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let console = self.session.console;
        let mut observer = |event: &Event| {
            match event {
                Event::Planned(plan) => console.say(&planned(stage, plan)),
                Event::Resumed { step, .. } => {
                    console.say(&format!("{stage}: goes on from step {step}"));
                }
                Event::CheckpointSkipped { path, problem } => {
                    console.say(&format!("{stage}: passing over {}: {problem}", path.display()));
                }
                Event::Step(step) => console.progress(
                    step.step,
                    step.of,
                    &format!(
                        "{stage} loss {:.3} {:.0} tokens/s {:.0} s left",
                        step.loss_nats, step.tokens_per_second, step.seconds_left
                    ),
                ),
                Event::HeldOut(held) => console.say(&format!(
                    "{stage}: held-out loss {:.4} nats at step {}",
                    held.loss_nats, held.step
                )),
                Event::Checkpoint { .. } => {}
            }
            if self.session.stopped() { Control::Stop } else { Control::Continue }
        };
        let device = &self.session.device;
        // The weights are there already.
        let free = available_memory_bytes().map(|free| free + model.weights.bytes() as u64);
        let bound = settings.max_memory_bytes.or(free);
        let settings = TrainSettings { max_memory_bytes: bound, ..settings.clone() };
        let outcome = train(model, device, sequences, held_out, &settings, folder, &mut observer)?;
        console.clear();
        if let Outcome::Stopped { step, of } = outcome {
            bail!(
                "stopped at step {step} of {of} in `{stage}`; the same command goes on from there"
            );
        }
        Ok(())
    }
}

/// Keeps the first sequences, at least one, that have at most `budget` tokens together.
fn keep_within(sequences: &mut Vec<Sequence>, budget: u64) {
    let mut tokens = 0;
    let within = sequences.iter().take_while(|sequence| {
        tokens += sequence.tokens.len() as u64;
        tokens <= budget
    });
    let kept = within.count().max(1);
    sequences.truncate(kept);
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// What a run will do, before it does it.
fn planned(stage: &str, plan: &Plan) -> String {
    let mut lines = vec![format!(
        "{stage}: {} steps, {} tokens of which {} learned, {} MiB (weights {}, gradients {}, \
         moments {}, workspace {})",
        plan.total_steps,
        plan.total_tokens,
        plan.total_learned_tokens,
        mebibytes(plan.memory.total_bytes()),
        mebibytes(plan.memory.weights_bytes),
        mebibytes(plan.memory.gradients_bytes),
        mebibytes(plan.memory.moments_bytes),
        mebibytes(plan.memory.workspace_bytes),
    )];
    for (task, row) in &plan.tasks {
        let mut line = format!(
            "  {task:<24} {:>7} sequences {:>9} tokens {:>9} learned",
            row.sequences, row.tokens, row.learned_tokens
        );
        for (count, what) in [
            (row.soft_targets, "learn from all options"),
            (row.cut_sequences, "cut"),
            (row.dropped_turns, "turns too long"),
        ] {
            if count > 0 {
                line = format!("{line}, {count} {what}");
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}
