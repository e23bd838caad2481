//! The run: plan, resume, then steps with measurements and checkpoints between them.

use crate::checkpoint::{Checkpoints, Identity};
use crate::log::Log;
use crate::plan::{Corpus, Plan, Steps};
use crate::step::{Done, Stepper};
use crate::{Control, Event, Outcome, Quantity, Sequence, StepReport, TrainError, TrainSettings};
use crate::{crc::Crc32c, held_out, memory};
use diapason_flow::{Fingerprint, Streams};
use diapason_model::{Adapter, Device, Model, Numbers};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Trains a model in place: its weights, or with [`TrainSettings::lora`] its first adapter, which is
/// attached if there is none, over a base that stays as it is. Its weights are held in
/// [`TrainSettings::weights`] from then on.
///
/// Writes `metrics.jsonl`, `tensorboard/` and `checkpoints/` under `folder`. Where the folder holds
/// a checkpoint of the same settings, sequences and initial weights, the run goes on from it and
/// ends with the same bits as one that was never interrupted; the model given must be the initial
/// one. `held_out` may be empty. Times are read from the system's clock for the reports only.
///
/// # Errors
/// See [`TrainError`]. After an error the newest checkpoint on disk is whole and finite.
pub fn train(
    model: &mut Model,
    device: &Device,
    sequences: &[Sequence],
    held_out: &[Sequence],
    settings: &TrainSettings,
    folder: &Path,
    observer: &mut dyn FnMut(&Event) -> Control,
) -> Result<Outcome, TrainError> {
    settings.validate()?;
    let device = &device.with_products(settings.precision);
    if sequences.is_empty() {
        return Err(TrainError::NoSequences);
    }
    if let (Some(lora), true) = (&settings.lora, model.adapters.is_empty()) {
        model.attach(Adapter::new(&model.arch, lora, &Streams::new(settings.seed))?)?;
    }
    model.weights = std::mem::take(&mut model.weights).held_in(settings.weights);
    let corpus = Corpus::new(&model.arch, sequences, settings)?;
    let held_out = Corpus::new(&model.arch, held_out, settings)?;
    let steps = Steps::new(&corpus, settings);
    let measured = held_out.largest_batch(settings.micro_batch_tokens);
    let batch = steps.largest_batch(&corpus).or(measured);
    let room = (batch, device.threads());
    let memory = memory::check(&model.arch, model.adapters.first(), settings, room)?;
    let plan = Plan::new(&corpus, &steps, memory);
    if observer(&Event::Planned(plan)) == Control::Stop {
        return Ok(Outcome::Stopped { step: 0, of: steps.len() });
    }
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    let checkpoints =
        Checkpoints::new(folder, settings.keep_checkpoints, identity(model, &corpus, settings));
    let mut stepper = Stepper::new(model, device, &corpus, settings, batch.tokens)?;
    let stop = resume(model, &mut stepper, &checkpoints, observer)?;
    let log = Log::open(folder, stepper.optimiser.step)?;
    Run { model, stepper, held_out, steps, checkpoints, log, observer, stop }.run()
}

/// What a checkpoint must agree with.
fn identity(model: &Model, corpus: &Corpus<'_>, settings: &TrainSettings) -> Identity {
    let mut parts =
        vec![format!("{:?} {:08x}", model.arch, Crc32c::of_values(model.weights.all()))];
    for adapter in &model.adapters {
        let crc = Crc32c::of_values(Numbers::F32(&adapter.weights));
        parts.push(format!("{:?} {crc:08x}", adapter.settings));
    }
    Identity {
        settings: settings.fingerprint(),
        data: corpus.fingerprint(),
        model: Fingerprint::of(parts.join(" ").as_bytes()),
    }
}

/// Loads the newest whole checkpoint, if there is one. Returns whether the observer said stop.
fn resume(
    model: &mut Model,
    stepper: &mut Stepper<'_>,
    checkpoints: &Checkpoints,
    observer: &mut dyn FnMut(&Event) -> Control,
) -> Result<bool, TrainError> {
    let mut stop = false;
    let mut tell = |event: Event| stop |= observer(&event) == Control::Stop;
    if let Some(found) = checkpoints.newest(&mut tell)? {
        let optimiser = &mut stepper.optimiser;
        let (tensors, weights) = model.trained_mut();
        found.load(tensors, weights, &mut optimiser.moments)?;
        optimiser.step = found.step;
        tell(Event::Resumed { step: found.step, path: found.path });
    }
    Ok(stop)
}

struct Run<'a> {
    model: &'a mut Model,
    stepper: Stepper<'a>,
    held_out: Corpus<'a>,
    steps: Steps,
    checkpoints: Checkpoints,
    log: Log,
    observer: &'a mut dyn FnMut(&Event) -> Control,
    /// Whether the observer asked to stop.
    stop: bool,
}

impl Run<'_> {
    fn run(mut self) -> Result<Outcome, TrainError> {
        let (start, of) = (self.stepper.optimiser.step, self.steps.len());
        let began = Instant::now();
        if start == 0 {
            self.measure(0)?;
        }
        for step in start + 1..=of {
            self.step(step, start, began)?;
            let every = self.stepper.settings.held_out_every_steps;
            if step == of || step.is_multiple_of(every) {
                self.measure(step)?;
            }
            let every = self.stepper.settings.checkpoint_every_steps;
            if step == of || self.stop || step.is_multiple_of(every) {
                self.checkpoint(step)?;
            }
            if self.stop && step < of {
                return Ok(Outcome::Stopped { step, of });
            }
        }
        Ok(Outcome::Finished { steps: of })
    }

    fn step(&mut self, step: u64, start: u64, began: Instant) -> Result<(), TrainError> {
        let of = self.steps.len();
        let (step_began, settings) = (Instant::now(), self.stepper.settings);
        let learning_rate = settings.learning_rate_at(step, of);
        let batches = self.steps.batches(step);
        let Done { loss_nats, gradient_norm } =
            self.stepper.step(self.model, &batches, learning_rate)?;
        let pieces = self.steps.pieces(step);
        let corpus = self.stepper.corpus;
        let tokens: usize = pieces.iter().map(|&index| corpus.piece(index).len()).sum();
        let learned: usize = pieces.iter().map(|&index| corpus.tokens(index).learned()).sum();
        let pace = began.elapsed().as_secs_f64() / (step - start) as f64;
        let report = StepReport {
            step,
            of,
            loss_nats,
            learned_tokens: learned as u64,
            tokens: tokens as u64,
            sequences: pieces.len() as u64,
            learning_rate,
            gradient_norm,
            tokens_per_second: tokens as f64 / step_began.elapsed().as_secs_f64(),
            seconds_left: pace * (of - step) as f64,
        };
        self.log.step(&report)?;
        self.tell(&Event::Step(report));
        Ok(())
    }

    fn measure(&mut self, step: u64) -> Result<(), TrainError> {
        if self.held_out.len() == 0 {
            return Ok(());
        }
        let Stepper { device, settings, ref mut workspace, .. } = self.stepper;
        let budget = settings.micro_batch_tokens;
        let report =
            held_out::measure(self.model, device, workspace, &self.held_out, budget, step)?;
        self.log.held_out(&report)?;
        self.tell(&Event::HeldOut(report));
        Ok(())
    }

    fn checkpoint(&mut self, step: u64) -> Result<(), TrainError> {
        // An update of finite numbers can still overflow; such weights must never be saved.
        let (tensors, weights) = self.model.trained();
        if let Some(weight) = weights.not_finite() {
            let tasks = self.stepper.corpus.tasks_of(self.steps.pieces(step));
            let (quantity, value) = (Quantity::Weights, f64::from(weight));
            return Err(TrainError::NonFinite { step, quantity, value, tasks });
        }
        self.log.sync()?;
        let moments = &self.stepper.optimiser.moments;
        let path = self.checkpoints.write(step, tensors, (weights, moments))?;
        self.tell(&Event::Checkpoint { step, path });
        Ok(())
    }

    fn tell(&mut self, event: &Event) {
        self.stop |= (self.observer)(event) == Control::Stop;
    }
}
