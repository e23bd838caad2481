use super::*;
use crate::fixtures::{arch, settings, toy, toys};

fn steps(settings: &TrainSettings, count: u64) -> Vec<Vec<u32>> {
    let sequences = toys(count);
    let corpus = Corpus::new(&arch(), &sequences, settings).unwrap();
    let steps = Steps::new(&corpus, settings);
    (1..=steps.len()).map(|step| steps.pieces(step).to_vec()).collect()
}

#[test]
fn every_epoch_holds_each_sequence_once_in_another_order() {
    let settings = TrainSettings { epochs: 3, ..settings() };
    let order = steps(&settings, 40).concat();
    let epochs: Vec<&[u32]> = order.chunks(40).collect();
    assert_eq!(epochs.len(), 3);
    for epoch in &epochs {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..40));
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(epochs[1], epochs[2]);
    assert_eq!(order, steps(&settings, 40).concat());
    let other = TrainSettings { seed: 1, ..settings };
    assert_ne!(order, steps(&other, 40).concat());
}

#[test]
fn steps_and_micro_batches_keep_their_budgets() {
    let (sequences, settings) = (toys(50), settings());
    let corpus = Corpus::new(&arch(), &sequences, &settings).unwrap();
    let steps = Steps::new(&corpus, &settings);
    let tokens = |pieces: &[u32]| pieces.iter().map(|&i| corpus.tokens(i).len()).sum::<usize>();
    for step in 1..=steps.len() {
        assert!(tokens(steps.pieces(step)) <= settings.tokens_per_step);
        assert_eq!(steps.batches(step).concat(), steps.pieces(step));
        assert!(steps.batches(step).iter().all(|batch| tokens(batch) <= 64));
    }
    assert!(steps.largest_batch(&corpus).tokens <= 64);
}

#[test]
fn a_step_can_be_counted_in_sequences_and_the_run_in_steps() {
    let settings = TrainSettings { sequences_per_step: Some(7), epochs: 4, ..settings() };
    let sizes: Vec<usize> = steps(&settings, 20).iter().map(Vec::len).collect();
    assert_eq!(sizes, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 3], "epochs follow without a break");
    for sequences_per_step in [Some(7), None] {
        let full = TrainSettings { sequences_per_step, epochs: 40, ..settings.clone() };
        let short = TrainSettings { max_steps: Some(5), epochs: u32::MAX, ..full.clone() };
        assert_eq!(steps(&short, 20), steps(&full, 20)[..5]);
    }
}

#[test]
fn the_plan_counts_what_is_cut_and_dropped() {
    let mut sequences = vec![toy(1, 2, 0), toy(1, 6, 1), toy(2, 1, 2)];
    // A second task whose only sequence has one turn that does not fit.
    let mut long = diapason_flow::Tokens::default();
    for index in 0..30 {
        long.push(3, index > 5, Some(0));
    }
    sequences.push(Sequence { task: "long".to_owned(), tokens: long, soft: None });
    let settings = TrainSettings { max_sequence_tokens: 11, ..settings() };
    let plan = Plan::of(&arch(), &sequences, &settings).unwrap();
    let shift = &plan.tasks["shift-1"];
    // 2 + 18 tokens become twice 2 + 9.
    let expected = TaskPlan {
        sequences: 3,
        tokens: 8 + 11 + 11,
        learned_tokens: 16,
        cut_sequences: 1,
        ..TaskPlan::default()
    };
    assert_eq!(shift, &expected);
    let long = TaskPlan {
        dropped_sequences: 1,
        dropped_turns: 1,
        dropped_learned_tokens: 24,
        ..TaskPlan::default()
    };
    assert_eq!(plan.tasks["long"], long);
    assert_eq!((plan.total_tokens, plan.total_learned_tokens), (35, 18));
    assert_eq!(plan.total_steps, 1);
    assert_eq!(plan.memory.weights_bytes, 4 * diapason_model::Layout::of(&arch()).len as u64);
}

#[test]
fn the_context_of_the_model_bounds_sequences_too() {
    let sequences = [toy(1, 30, 0)];
    let settings = TrainSettings { max_sequence_tokens: 80, micro_batch_tokens: 80, ..settings() };
    let plan = Plan::of(&arch(), &sequences, &settings).unwrap();
    assert_eq!(plan.max_sequence_tokens, 64);
    assert_eq!(plan.tasks["shift-1"].sequences, 2);
}

#[test]
fn sequences_that_teach_nothing_are_refused_by_task() {
    let mut silent = diapason_flow::Tokens::default();
    silent.push(0, true, None);
    silent.push(1, false, Some(0));
    let silent = Sequence { task: "mute".to_owned(), tokens: silent, soft: None };
    let refused = Plan::of(&arch(), &[toy(1, 1, 0), silent], &settings()).unwrap_err();
    assert!(refused.to_string().starts_with("sequence 1 (task `mute`, 2 tokens)"), "{refused}");

    let mut foreign = toy(1, 1, 0);
    foreign.tokens.push(32, true, Some(1));
    let refused = Plan::of(&arch(), &[foreign], &settings()).unwrap_err();
    assert!(matches!(refused, TrainError::Vocabulary { id: 32, vocabulary: 32, .. }));

    let tight = TrainSettings { max_sequence_tokens: 4, ..settings() };
    let refused = Plan::of(&arch(), &toys(3), &tight).unwrap_err();
    assert!(matches!(refused, TrainError::NothingFits { sequences: 3, max_sequence_tokens: 4 }));
}
