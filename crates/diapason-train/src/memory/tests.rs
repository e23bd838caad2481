use super::*;
use crate::fixtures::{arch, model, settings, toys};
use crate::plan::{Corpus, Steps};
use crate::step::Stepper;
use crate::{Control, Event, Outcome, Schedule, Sequence, StepReport, train};
use diapason_model::{Device, Model};
use std::path::Path;

const BATCH: Batch = Batch { tokens: 64, targets: 30 };

/// The losses of a run that the observer stops after some steps.
fn losses(
    model: &mut Model,
    sequences: &[Sequence],
    settings: &TrainSettings,
    (folder, until): (&Path, u64),
) -> Vec<f64> {
    let mut losses = Vec::new();
    let mut observer = |event: &Event| match event {
        Event::Step(StepReport { step, loss_nats, .. }) => {
            losses.push(*loss_nats);
            if *step >= until { Control::Stop } else { Control::Continue }
        }
        _ => Control::Continue,
    };
    let device = Device::cpu(2);
    let outcome = train(model, &device, sequences, &[], settings, folder, &mut observer).unwrap();
    assert!(until < u64::MAX || matches!(outcome, Outcome::Finished { .. }));
    losses
}

#[test]
fn moments_in_bytes_lose_as_exact_ones_do_and_go_on_where_they_stopped() {
    let sequences = toys(60);
    let exact = TrainSettings { epochs: 4, learning_rate: 3e-3, ..settings() };
    let bytes = TrainSettings { moments: MomentPrecision::Bytes, ..exact.clone() };
    let run = |settings: &TrainSettings| {
        let (mut model, folder) = (model(), tempfile::tempdir().unwrap());
        let losses = losses(&mut model, &sequences, settings, (folder.path(), u64::MAX));
        (losses, model.weights)
    };
    let (expected, _) = run(&exact);
    let (found, weights) = run(&bytes);
    assert!(expected.len() >= 20 && expected.last() < expected.first());
    for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found / expected - 1.0).abs() < 0.03, "{step}: {found} for {expected}");
    }
    assert_ne!(found, expected, "the bytes were in use");
    let (folder, until) = (tempfile::tempdir().unwrap(), 7);
    let first = losses(&mut model(), &sequences, &bytes, (folder.path(), until));
    let mut resumed = model();
    let rest = losses(&mut resumed, &sequences, &bytes, (folder.path(), u64::MAX));
    assert_eq!([first, rest].concat(), found);
    assert!(resumed.weights == weights);
}

/// The run that the settings describe, by hand, with all weights rounded to the nearest bfloat16 after
/// every step.
fn losses_rounded_to_the_nearest(sequences: &[Sequence], settings: &TrainSettings) -> Vec<f64> {
    let (mut model, device) = (model(), Device::cpu(1));
    let corpus = Corpus::new(&model.arch, sequences, settings).unwrap();
    let steps = Steps::new(&corpus, settings);
    let mut stepper = Stepper::new(&model, &device, &corpus, settings, 64).unwrap();
    let nearest = |model: &mut Model| {
        let weights = std::mem::take(&mut model.weights).held_in(WeightPrecision::Bf16);
        model.weights = weights.held_in(WeightPrecision::F32);
    };
    nearest(&mut model);
    let mut losses = Vec::new();
    for step in 1..=steps.len() {
        let rate = settings.learning_rate_at(step, steps.len());
        let done = stepper.step(&mut model, &steps.batches(step), rate).unwrap();
        losses.push(done.loss_nats);
        nearest(&mut model);
    }
    losses
}

/// Why halves are rounded at random: at a small learning rate most updates are less than half a step
/// of bfloat16.
#[test]
fn weights_in_bf16_learn_as_f32_does_and_more_than_if_rounded_to_the_nearest() {
    let sequences = toys(60);
    let exact = TrainSettings {
        epochs: 40,
        learning_rate: 2e-4,
        schedule: Schedule::Constant,
        ..settings()
    };
    let halves = TrainSettings { weights: WeightPrecision::Bf16, ..exact.clone() };
    let run = |settings: &TrainSettings| {
        let folder = tempfile::tempdir().unwrap();
        losses(&mut model(), &sequences, settings, (folder.path(), u64::MAX))
    };
    // The mean over the last epochs.
    let end = |losses: &[f64]| losses[losses.len() - 60..].iter().sum::<f64>() / 60.0;
    let (f32s, found) = (run(&exact), run(&halves));
    let nearest = losses_rounded_to_the_nearest(&sequences, &exact);
    let start = f32s[0];
    let gains = [&f32s, &found, &nearest].map(|losses| start - end(losses));
    println!("{} steps, from {start}: gains {gains:?}", f32s.len());
    assert!((gains[1] / gains[0] - 1.0).abs() < 0.05, "{gains:?}");
    assert!(gains[2] < 0.8 * gains[0], "{gains:?}");
}

#[test]
fn activations_may_be_kept_or_not_from_one_part_of_a_run_to_the_next() {
    let sequences = toys(30);
    let kept = TrainSettings { epochs: 2, ..settings() };
    let again = TrainSettings { activations: Activations::Recomputed, ..kept.clone() };
    let (mut one, mut other) = (model(), model());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let expected = losses(&mut one, &sequences, &kept, (folders[0].path(), u64::MAX));
    let first = losses(&mut model(), &sequences, &kept, (folders[1].path(), 3));
    let rest = losses(&mut other, &sequences, &again, (folders[1].path(), u64::MAX));
    assert_eq!([first, rest].concat(), expected);
    assert!(one.weights == other.weights);
}

#[test]
fn a_run_that_does_not_fit_is_refused_with_what_would_make_it_fit() {
    let sequences = toys(30);
    let base = settings();
    let sizes =
        |settings: &TrainSettings| MemoryPlan::of(&arch(), None, settings, (BATCH, 2)).unwrap();
    let all = sizes(&base);
    let lower = TrainSettings { activations: Activations::Recomputed, ..base.clone() };
    let lowest = TrainSettings { moments: MomentPrecision::Bytes, ..lower.clone() };
    assert!(sizes(&lower).workspace_bytes < all.workspace_bytes);
    // Tensors this small leave most of a block empty.
    assert!(sizes(&lowest).moments_bytes < all.moments_bytes);
    let halved = TrainSettings { weights: WeightPrecision::Bf16, ..lowest.clone() };
    assert_eq!(2 * sizes(&halved).weights_bytes, all.weights_bytes);
    let bounds = [&lower, &lowest, &halved].map(sizes);
    for (bound, lines) in bounds.into_iter().zip(1..).chain([(MemoryPlan::default(), 4)]) {
        let bound = Some(bound.total_bytes());
        let settings = TrainSettings { max_memory_bytes: bound, ..base.clone() };
        let refused = check(&arch(), None, &settings, (BATCH, 2));
        let Err(TrainError::Memory { plan, advice, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(plan, all);
        assert_eq!(advice.len(), lines, "{advice:?}");
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut observer = |_: &Event| Control::Continue;
        let tight = TrainSettings { max_memory_bytes: Some(1 << 10), ..base.clone() };
        let device = Device::cpu(1);
        let found = train(&mut model(), &device, &sequences, &[], &tight, &run, &mut observer);
        assert!(matches!(found, Err(TrainError::Memory { .. })) && !run.exists());
    }
    let roomy = TrainSettings { max_memory_bytes: Some(all.total_bytes()), ..base };
    assert_eq!(check(&arch(), None, &roomy, (BATCH, 2)).unwrap(), all);
}

#[test]
fn what_is_frozen_takes_no_gradients_and_no_moments() {
    let freeze = vec!["mlp".to_owned(), "embed_tokens".to_owned()];
    let frozen = TrainSettings { freeze, ..settings() };
    let of =
        |settings: &TrainSettings| MemoryPlan::of(&arch(), None, settings, (BATCH, 1)).unwrap();
    let (all, part) = (of(&settings()), of(&frozen));
    assert_eq!(all.gradients_bytes, all.weights_bytes);
    assert!(part.gradients_bytes < all.gradients_bytes);
    assert_eq!(part.moments_bytes, 2 * part.gradients_bytes);
}
