//! The log of a run: `metrics.jsonl` for programs, `tensorboard/` for eyes.
//!
//! `metrics.jsonl` holds what depends on settings and data only, so the file of an interrupted and
//! resumed run equals that of an uninterrupted one byte for byte. Times go to TensorBoard.

use crate::tensorboard::EventFile;
use crate::{HeldOutReport, StepReport, TrainError};
use diapason_flow::write_atomically;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The open log.
pub(crate) struct Log {
    path: PathBuf,
    metrics: File,
    events_folder: PathBuf,
    events: EventFile,
}

impl Log {
    /// Opens the log of a run in its folder after `step` steps: what it says about later steps was
    /// not saved with a checkpoint, and is cut.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self, TrainError> {
        let path = folder.join("metrics.jsonl");
        cut_after(&path, step).map_err(TrainError::io("write", &path))?;
        let metrics = OpenOptions::new().append(true).open(&path);
        let metrics = metrics.map_err(TrainError::io("write", &path))?;
        let events_folder = folder.join("tensorboard");
        fs::create_dir_all(&events_folder).map_err(TrainError::io("create", &events_folder))?;
        let first = if step == 0 { 0 } else { step + 1 };
        let events = EventFile::create(&events_folder, first, wall_time());
        let events = events.map_err(TrainError::io("write", &events_folder))?;
        Ok(Log { path, metrics, events_folder, events })
    }

    /// Logs a step.
    pub(crate) fn step(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.line(&json!({
            "kind": "step",
            "step": report.step,
            "loss_nats": report.loss_nats,
            "learned_tokens": report.learned_tokens,
            "tokens": report.tokens,
            "sequences": report.sequences,
            "learning_rate": report.learning_rate,
            "gradient_norm": report.gradient_norm,
        }))?;
        self.scalars(
            report.step,
            &[
                ("train/loss_nats", report.loss_nats),
                ("train/learning_rate", report.learning_rate),
                ("train/gradient_norm", report.gradient_norm),
                ("train/tokens_per_second", report.tokens_per_second),
            ],
        )
    }

    /// Logs held-out losses.
    pub(crate) fn held_out(&mut self, report: &HeldOutReport) -> Result<(), TrainError> {
        self.line(&json!({
            "kind": "held_out",
            "step": report.step,
            "loss_nats": report.loss_nats,
            "tasks": report.tasks,
        }))?;
        let named: Vec<(String, f64)> = report
            .tasks
            .iter()
            .map(|(task, loss)| (format!("held_out/{task}/loss_nats"), loss.loss_nats))
            .collect();
        let mut values = vec![("held_out/loss_nats", report.loss_nats)];
        values.extend(named.iter().map(|(tag, value)| (tag.as_str(), *value)));
        self.scalars(report.step, &values)
    }

    /// Makes everything logged so far durable; a checkpoint relies on it.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.metrics.sync_all().map_err(TrainError::io("write", &self.path))
    }

    /// One write a line, so that a killed process leaves whole lines.
    fn line(&mut self, value: &Value) -> Result<(), TrainError> {
        let line = format!("{value}\n");
        self.metrics.write_all(line.as_bytes()).map_err(TrainError::io("write", &self.path))
    }

    fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let written = self.events.scalars(step, wall_time(), values);
        written.map_err(TrainError::io("write", &self.events_folder))
    }
}

/// Rewrites a file of JSON lines without those of later steps, or torn ones. Creates it if absent.
fn cut_after(path: &Path, step: u64) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(source),
    };
    let keeps = |line: &&str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        // Without a checkpoint the run starts over, the measurement before its first step included.
        value.and_then(|value| value["step"].as_u64()).is_some_and(|at| step > 0 && at <= step)
    };
    write_atomically(path, |out| {
        text.lines().filter(keeps).try_for_each(|line| writeln!(out, "{line}"))
    })
}

/// Seconds since 1970, for TensorBoard's axis of time.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_checkpoint_and_torn_lines_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let keep = "{\"kind\":\"held_out\",\"step\":0}\n{\"kind\":\"step\",\"step\":4}\n";
        fs::write(&path, format!("{keep}{{\"kind\":\"step\",\"step\":5}}\n{{\"kind\":\"st"))
            .unwrap();
        drop(Log::open(folder.path(), 4).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), keep);
        drop(Log::open(folder.path(), 0).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "a run that starts over begins anew");
    }
}
