//! Whole runs on tiny models.

use crate::fixtures::{arch, model, settings, toy, toys};
use crate::pack::lay;
use crate::plan::{Corpus, Steps};
use crate::step::Stepper;
use crate::{Averaging, Control, Event, HeldOutReport, Outcome, Plan, Schedule};
use crate::{Sequence, TrainError, TrainSettings, train};
use diapason_flow::{Pack, Streams};
use diapason_model::{
    Arch, Device, LoraSettings, Model, MomentPrecision, Moments, WeightPrecision, Workspace,
};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn bits(model: &Model) -> Vec<u32> {
    model.weights.all().wide().iter().map(|weight| weight.to_bits()).collect()
}

/// Runs to the end or until `stop` says so; returns the model, how it ended and all events.
fn run(
    folder: &Path,
    settings: &TrainSettings,
    threads: usize,
    stop: &mut dyn FnMut(&Event) -> bool,
) -> (Model, Outcome, Vec<Event>) {
    let (mut model, mut events) = (model(), Vec::new());
    let outcome = train(
        &mut model,
        &Device::cpu(threads),
        &toys(60),
        &[toy(1, 4, 1000), toy(2, 4, 1001), toy(1, 40, 1002)],
        settings,
        folder,
        &mut |event| {
            events.push(event.clone());
            if stop(event) { Control::Stop } else { Control::Continue }
        },
    );
    (model, outcome.unwrap(), events)
}

fn metrics(folder: &Path) -> String {
    fs::read_to_string(folder.join("metrics.jsonl")).unwrap()
}

#[test]
fn the_loss_falls_on_a_toy_task_and_on_held_out_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings { epochs: 20, ..settings() };
    let (_, outcome, events) = run(folder.path(), &settings, 2, &mut |_| false);
    let losses: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step(report) => Some(report.loss_nats),
            _ => None,
        })
        .collect();
    assert_eq!(outcome, Outcome::Finished { steps: losses.len() as u64 });
    let end = losses[losses.len() - 5..].iter().sum::<f64>() / 5.0;
    // From ln 32 = 3.47 at random weights.
    assert!(losses[0] > 3.3 && end < 0.3, "from {} to {end}", losses[0]);
    let held_out: Vec<&HeldOutReport> = events
        .iter()
        .filter_map(|event| match event {
            Event::HeldOut(report) => Some(report),
            _ => None,
        })
        .collect();
    assert_eq!(held_out.len(), 2);
    for task in ["shift-1", "shift-2"] {
        let loss = |report: &HeldOutReport| report.tasks[task].loss_nats;
        assert!(loss(held_out[0]) > 3.3 && loss(held_out[1]) < 0.5, "{task}: {held_out:?}");
    }
    assert_eq!(held_out[0].tasks["shift-1"].learned_tokens, 88, "cut, but nothing lost");
}

#[test]
fn packed_sequences_lose_as_much_as_each_alone() {
    let (model, device, sequences) = (model(), Device::cpu(2), toys(9));
    let mut workspace = Workspace::new(&model.arch, 256);
    let mut gradients = |pack: &Pack, into: &mut [f32]| {
        model.loss_and_gradients(&device, pack, 1.0, &mut workspace, into).unwrap().nats
    };
    let mut packed = vec![0.0; model.layout.len];
    let together = gradients(&lay(sequences.iter().map(|s| &s.tokens), |_| 1.0), &mut packed);
    let mut separate = vec![0.0; model.layout.len];
    let alone: f64 = sequences
        .iter()
        .map(|sequence| gradients(&lay([&sequence.tokens].into_iter(), |_| 1.0), &mut separate))
        .sum();
    assert!((together - alone).abs() < 1e-6 * alone, "{together} against {alone}");
    let largest = packed.iter().fold(0f32, |most, value| most.max(value.abs()));
    for (packed, separate) in packed.iter().zip(&separate) {
        assert!((packed - separate).abs() <= 1e-6 * largest, "{packed} against {separate}");
    }
}

fn first_moment<'a>(stepper: &'a Stepper<'_>) -> &'a [f32] {
    match &stepper.optimiser.moments {
        Moments::F32([first, _]) => first,
        Moments::Bytes(_) => panic!("the moments are f32"),
    }
}

/// The update of one step on 30 sequences with this budget of tokens a micro-batch.
fn one_step(micro_batch_tokens: usize, averaging: Averaging) -> (f64, f64, Vec<f32>) {
    let settings = TrainSettings {
        micro_batch_tokens,
        averaging,
        sequences_per_step: Some(30),
        max_sequence_tokens: 32,
        ..settings()
    };
    let (mut model, device, sequences) = (model(), Device::cpu(2), toys(30));
    let before = model.weights.clone();
    let corpus = Corpus::new(&model.arch, &sequences, &settings).unwrap();
    let steps = Steps::new(&corpus, &settings);
    let mut stepper =
        Stepper::new(&model, &device, &corpus, &settings, micro_batch_tokens).unwrap();
    let done = stepper.step(&mut model, &steps.batches(1), 1e-3).unwrap();
    let moved = first_moment(&stepper).to_vec();
    assert_ne!(model.weights, before);
    (done.loss_nats, done.gradient_norm, moved)
}

#[test]
fn micro_batches_change_nothing_but_rounding() {
    for averaging in [Averaging::Tokens, Averaging::Sequences] {
        let (loss, norm, moments) = one_step(4096, averaging);
        let largest = moments.iter().fold(0f32, |most, value| most.max(value.abs()));
        for budget in [32, 64, 100] {
            let (split_loss, split_norm, split_moments) = one_step(budget, averaging);
            assert!((split_loss / loss - 1.0).abs() < 1e-6, "{split_loss} against {loss}");
            assert!((split_norm / norm - 1.0).abs() < 1e-6, "{split_norm} against {norm}");
            for (split, whole) in split_moments.iter().zip(&moments) {
                assert!((split - whole).abs() <= 1e-6 * largest, "{split} against {whole}");
            }
        }
    }
}

#[test]
fn averaging_weighs_tokens_or_sequences() {
    let (model, device, sequences) = (model(), Device::cpu(1), toys(30));
    let mut workspace = Workspace::new(&model.arch, 64);
    let mut mean = |sequence: &Sequence| {
        let pack = lay([&sequence.tokens].into_iter(), |_| 1.0);
        let nats = model.token_nats(&device, &pack, &mut workspace).unwrap();
        let sum: f64 = nats.iter().map(|nats| f64::from(*nats)).sum();
        (sum, sequence.tokens.learned() as f64)
    };
    let losses: Vec<(f64, f64)> = sequences.iter().map(&mut mean).collect();
    let tokens = losses.iter().map(|(sum, _)| sum).sum::<f64>()
        / losses.iter().map(|(_, learned)| learned).sum::<f64>();
    let sequences = losses.iter().map(|(sum, learned)| sum / learned).sum::<f64>() / 30.0;
    assert!((tokens - sequences).abs() > 1e-5, "the two must differ for this test to tell");
    assert!((one_step(64, Averaging::Tokens).0 - tokens).abs() < 1e-6);
    assert!((one_step(64, Averaging::Sequences).0 - sequences).abs() < 1e-6);
}

#[test]
fn frozen_tensors_stay_and_a_pattern_without_a_tensor_is_refused() {
    let (device, sequences) = (Device::cpu(1), toys(5));
    let freeze = vec!["embed_tokens".to_owned(), "layers.0.mlp".to_owned()];
    let settings = TrainSettings { freeze, weight_decay: 0.1, ..settings() };
    let mut model = model();
    let before = model.weights.clone();
    let corpus = Corpus::new(&model.arch, &sequences, &settings).unwrap();
    let mut stepper = Stepper::new(&model, &device, &corpus, &settings, 128).unwrap();
    stepper.step(&mut model, &[&[0, 1, 2]], 1e-3).unwrap();
    for tensor in &model.layout.tensors {
        let moved = model.weights.part(tensor.range.clone()) != before.part(tensor.range.clone());
        let frozen = tensor.name.contains("embed_tokens") || tensor.name.contains("layers.0.mlp");
        assert_ne!(moved, frozen, "{}", tensor.name);
    }
    let settings = TrainSettings { freeze: vec!["lora".to_owned()], ..settings };
    let refused = Stepper::new(&model, &device, &corpus, &settings, 128);
    assert!(matches!(refused, Err(TrainError::Setting { key: "freeze", .. })));
}

#[test]
fn clipping_scales_the_gradient_to_the_norm() {
    let first = |clip_norm: f64| {
        let settings = TrainSettings { clip_norm, ..settings() };
        let (mut model, device, sequences) = (model(), Device::cpu(1), toys(5));
        let corpus = Corpus::new(&model.arch, &sequences, &settings).unwrap();
        let mut stepper = Stepper::new(&model, &device, &corpus, &settings, 128).unwrap();
        let done = stepper.step(&mut model, &[&[0, 1, 2]], 1e-3).unwrap();
        let squares: f64 =
            first_moment(&stepper).iter().map(|value| f64::from(*value).powi(2)).sum();
        // After one step the first moment is (1 - beta1) · gradient.
        (done.gradient_norm, squares.sqrt() / 0.1)
    };
    let (norm, applied) = first(0.0);
    assert!((applied / norm - 1.0).abs() < 1e-4, "no clipping: {applied} against {norm}");
    let (reported, applied) = first(norm / 4.0);
    assert_eq!(reported, norm);
    assert!((applied / (norm / 4.0) - 1.0).abs() < 1e-4, "{applied} against a quarter of {norm}");
}

#[test]
fn threads_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings { max_steps: Some(8), ..settings() };
    let (one, two) = (folder.path().join("1"), folder.path().join("2"));
    let (with_one, ..) = run(&one, &settings, 1, &mut |_| false);
    let (with_two, ..) = run(&two, &settings, 2, &mut |_| false);
    assert_eq!(bits(&with_one), bits(&with_two));
    assert_eq!(metrics(&one), metrics(&two));
}

#[test]
fn a_stopped_run_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings {
        epochs: 2,
        schedule: Schedule::Cosine,
        held_out_every_steps: 3,
        checkpoint_every_steps: 4,
        ..settings()
    };
    let whole = folder.path().join("whole");
    let (uninterrupted, outcome, _) = run(&whole, &settings, 2, &mut |_| false);
    let Outcome::Finished { steps } = outcome else { panic!("{outcome:?}") };
    for stops in [vec![1], vec![4, 5, 9], vec![steps - 1, steps]] {
        let parts = folder.path().join(format!("{stops:?}"));
        for &stop in &stops {
            let mut at = |event: &Event| matches!(event, Event::Step(r) if r.step == stop);
            let (_, outcome, events) = run(&parts, &settings, 1, &mut at);
            let expected = Outcome::Stopped { step: stop, of: steps };
            let finished = Outcome::Finished { steps };
            assert_eq!(outcome, if stop < steps { expected } else { finished });
            assert!(matches!(events.last(), Some(Event::Checkpoint { step, .. }) if *step == stop));
        }
        let (resumed, outcome, events) = run(&parts, &settings, 2, &mut |_| false);
        assert_eq!(outcome, Outcome::Finished { steps });
        let last = *stops.last().unwrap();
        assert!(matches!(&events[1], Event::Resumed { step, .. } if *step == last), "{events:?}");
        assert_eq!(bits(&resumed), bits(&uninterrupted), "stopped at {stops:?}");
        assert_eq!(metrics(&parts), metrics(&whole), "stopped at {stops:?}");
    }
}

/// The child of the next test: a slow run in the folder that the environment names; nothing
/// without one.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var("DIAPASON_TEST_FOLDER") else { return };
    let settings = if folder.ends_with("bf16") { in_bf16() } else { killed_settings() };
    run(Path::new(&folder), &settings, 1, &mut |_| {
        std::thread::sleep(Duration::from_millis(50));
        false
    });
}

fn killed_settings() -> TrainSettings {
    TrainSettings { epochs: 3, checkpoint_every_steps: 1, held_out_every_steps: 5, ..settings() }
}

/// Weights in half the memory, and of the optimiser's state a quarter.
fn in_bf16() -> TrainSettings {
    let weights = WeightPrecision::Bf16;
    TrainSettings { weights, moments: MomentPrecision::Bytes, ..killed_settings() }
}

#[test]
fn a_killed_run_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    is_killed_and_resumes(&folder.path().join("f32"), &killed_settings());
    let model = is_killed_and_resumes(&folder.path().join("bf16"), &in_bf16());
    assert_eq!(model.weights.precision(), WeightPrecision::Bf16);
}

/// Kills children that run in a folder, whose name tells them the settings.
fn is_killed_and_resumes(killed: &Path, settings: &TrainSettings) -> Model {
    let whole = killed.with_extension("whole");
    let (uninterrupted, ..) = run(&whole, settings, 2, &mut |_| false);
    for lines in [3, 8] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::child_that_is_killed"])
            .env("DIAPASON_TEST_FOLDER", killed)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let seen =
            || fs::read_to_string(killed.join("metrics.jsonl")).unwrap_or_default().lines().count();
        while seen() < lines && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (resumed, _, events) = run(killed, settings, 2, &mut |_| false);
    let resumed_at = events.iter().find_map(|event| match event {
        Event::Resumed { step, .. } => Some(*step),
        _ => None,
    });
    assert!(resumed_at.is_some_and(|step| step >= 1), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Step(_))), "nothing was left to do");
    assert_eq!(bits(&resumed), bits(&uninterrupted));
    assert_eq!(metrics(killed), metrics(&whole));
    resumed
}

#[test]
fn a_truncated_checkpoint_costs_its_steps_only() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings { checkpoint_every_steps: 2, max_steps: Some(6), ..settings() };
    let (whole, _, _) = run(folder.path(), &settings, 2, &mut |_| false);
    let log = metrics(folder.path());
    let newest = folder.path().join("checkpoints/step-000006/second.safetensors");
    fs::OpenOptions::new().write(true).open(newest).unwrap().set_len(64).unwrap();
    let (again, _, events) = run(folder.path(), &settings, 2, &mut |_| false);
    assert!(matches!(&events[1], Event::CheckpointSkipped { problem, .. }
        if problem.starts_with("second.safetensors has 64 bytes")));
    assert!(matches!(&events[2], Event::Resumed { step: 4, .. }));
    assert_eq!(bits(&again), bits(&whole));
    assert_eq!(metrics(folder.path()), log);
}

fn attempt(
    model: &mut Model,
    sequences: &[Sequence],
    settings: &TrainSettings,
    folder: &Path,
) -> Result<Outcome, TrainError> {
    let goes_on = &mut |_: &Event| Control::Continue;
    train(model, &Device::cpu(1), sequences, &[], settings, folder, goes_on)
}

#[test]
fn a_folder_of_another_run_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let base = TrainSettings { max_steps: Some(2), ..settings() };
    attempt(&mut model(), &toys(20), &base, folder.path()).unwrap();
    let log = metrics(folder.path());
    let differs =
        |model: &mut Model, sequences: &[Sequence], settings: &TrainSettings| match attempt(
            model,
            sequences,
            settings,
            folder.path(),
        ) {
            Err(TrainError::OtherRun { differs, .. }) => differs,
            other => panic!("not refused: {other:?}"),
        };
    let faster = TrainSettings { learning_rate: 0.02, ..base.clone() };
    assert_eq!(differs(&mut model(), &toys(20), &faster), "settings");
    assert_eq!(differs(&mut model(), &toys(21), &base), "data");
    let mut other = model();
    other.weights.wide_mut()[3] += 1.0;
    assert_eq!(differs(&mut other, &toys(20), &base), "initial weights");
    assert_eq!(metrics(folder.path()), log);
    let saved_more = TrainSettings { checkpoint_every_steps: 1, ..base };
    attempt(&mut model(), &toys(20), &saved_more, folder.path()).unwrap();
}

#[test]
fn numbers_that_break_down_are_pinned_to_their_micro_batch() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings { sequences_per_step: Some(8), ..settings() };
    // Token 31 stands in one sequence only, and its row of the untied embedding is broken.
    let mut sequences = toys(40);
    let mut poisoned = toy(1, 2, 50);
    poisoned.tokens.push(31, true, Some(2));
    poisoned.tokens.push(1, true, Some(2));
    poisoned.task = "poison".to_owned();
    sequences.push(poisoned);
    let mut broken = Model::random(Arch { tied: false, ..arch() }, &Streams::new(5)).unwrap();
    broken.weights.wide_mut()[31 * arch().width] = f32::NAN;
    let corpus = Corpus::new(&broken.arch, &sequences, &settings).unwrap();
    let steps = Steps::new(&corpus, &settings);
    let guilty = (1..=steps.len())
        .flat_map(|step| steps.batches(step).into_iter().map(move |batch| (step, batch)))
        .find(|(_, batch)| batch.contains(&40))
        .unwrap();
    assert!(steps.batches(guilty.0).len() > 1, "the step must have innocent micro-batches");
    match attempt(&mut broken, &sequences, &settings, folder.path()) {
        Err(TrainError::NonFinite { step, tasks, .. }) => {
            assert_eq!((step, tasks), (guilty.0, corpus.tasks_of(guilty.1)));
        }
        other => panic!("not stopped: {other:?}"),
    }
    assert_eq!(metrics(folder.path()).lines().count() as u64, guilty.0 - 1);
    assert!(!folder.path().join("checkpoints").exists());
}

#[test]
fn a_learning_rate_that_overflows_leaves_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TrainSettings {
        learning_rate: 1e38,
        weight_decay: 10.0,
        warmup_steps: 0,
        checkpoint_every_steps: 1,
        ..settings()
    };
    match attempt(&mut model(), &toys(60), &settings, folder.path()) {
        Err(TrainError::NonFinite { tasks, .. }) => {
            assert!(tasks.iter().all(|task| task.starts_with("shift-")) && !tasks.is_empty());
        }
        other => panic!("not stopped: {other:?}"),
    }
    for entry in fs::read_dir(folder.path().join("checkpoints")).into_iter().flatten() {
        let weights = fs::read(entry.unwrap().path().join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
        let (values, _) = weights[8 + header..].as_chunks::<4>();
        assert!(values.iter().all(|value| f32::from_le_bytes(*value).is_finite()));
    }
}

#[test]
fn nothing_is_written_by_a_dry_run_or_a_refusal() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let (_, outcome, events) = run(&folder, &settings(), 1, &mut |_| true);
    assert!(matches!(outcome, Outcome::Stopped { step: 0, of } if of > 0));
    assert!(matches!(events[..], [Event::Planned(_)]));
    let empty = attempt(&mut model(), &[], &settings(), &folder);
    assert!(matches!(empty, Err(TrainError::NoSequences)));
    assert!(!folder.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    fs::write(&folder, "a file").unwrap();
    let message = attempt(&mut model(), &toys(5), &settings(), &folder).unwrap_err().to_string();
    assert!(message.contains(&folder.display().to_string()), "{message}");
}

fn adapted(checkpoint_every_steps: u64) -> TrainSettings {
    let lora = LoraSettings { rank: 4, alpha: 8.0, dropout: 0.1, ..LoraSettings::default() };
    TrainSettings { lora: Some(lora), checkpoint_every_steps, ..settings() }
}

#[test]
fn an_adapter_learns_while_the_base_stays_and_goes_on_where_it_stopped() {
    adapts(&adapted(0));
    adapts(&TrainSettings { weights: WeightPrecision::Bf16, ..adapted(0) });
}

fn adapts(settings: &TrainSettings) {
    let (device, sequences) = (Device::cpu(2), toys(120));
    let mut base = model();
    base.weights = base.weights.held_in(settings.weights);
    let stop_after = |folder: &Path, model: &mut Model, most: u64| {
        let mut losses = Vec::new();
        let mut observer = |event: &Event| match event {
            Event::Step(step) => {
                losses.push(step.loss_nats);
                if step.step == most { Control::Stop } else { Control::Continue }
            }
            _ => Control::Continue,
        };
        let done = train(model, &device, &sequences, &[], settings, folder, &mut observer);
        (done.unwrap(), losses)
    };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut straight = base.clone();
    let (done, losses) = stop_after(whole.path(), &mut straight, u64::MAX);
    assert!(matches!(done, Outcome::Finished { .. }));
    assert_eq!(straight.weights, base.weights);
    let end = losses[losses.len() - 3..].iter().sum::<f64>() / 3.0;
    assert!(end < 0.8 * losses[0], "from {} to {end}", losses[0]);

    let mut resumed = base.clone();
    let (done, _) = stop_after(parts.path(), &mut resumed, 5);
    assert!(matches!(done, Outcome::Stopped { step: 5, .. }));
    let mut resumed = base.clone();
    stop_after(parts.path(), &mut resumed, u64::MAX);
    assert_eq!(resumed.adapters[0].weights, straight.adapters[0].weights, "bit for bit");
    let plan = Plan::of(&base.arch, &sequences, settings).unwrap();
    let adapter = 4 * straight.adapters[0].weights.len() as u64;
    assert_eq!(plan.memory.weights_bytes, base.weights.bytes() as u64 + adapter);
    assert_eq!((plan.memory.gradients_bytes, plan.memory.moments_bytes), (adapter, 2 * adapter));
}
