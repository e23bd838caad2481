use super::*;
use crate::fixtures::{model, settings};
use crate::plan::Corpus;
use crate::{Averaging, Sequence, TrainSettings};
use diapason_flow::Streams;
use diapason_model::{Device, Model, Workspace};
use rand::RngExt;

/// Begin, a question, and an answer of one or two tokens with its end.
fn asked(answer: &[u32]) -> Tokens {
    let mut tokens = Tokens::default();
    for id in [0, 7, 9, 3] {
        tokens.push(id, id == 9, None);
    }
    for id in answer {
        tokens.push(*id, true, Some(0));
    }
    tokens.push(5, false, Some(0));
    tokens
}

fn options() -> Vec<(Vec<u32>, f64)> {
    vec![(vec![16, 1], 0.5), (vec![17, 18, 1], 0.3), (vec![17, 19, 1], 0.2), (vec![20, 1], 0.0)]
}

fn sequence(drawn: usize) -> Sequence {
    let options = options();
    let tokens = asked(&options[drawn].0);
    Sequence { task: "urn".to_owned(), tokens, soft: Some(SoftTarget { from: 4, options }) }
}

/// Loss, sum of weights and gradient of a piece.
type Learned = (f64, f64, Vec<f64>);

fn learn(model: &Model, sequence: &Sequence, share: f64) -> Learned {
    let piece = Piece::whole("urn", &sequence.tokens, (sequence.soft.as_ref(), share), (64, 64));
    let mut pack = Pack::new();
    piece.lay(&mut pack, 1.0);
    assert_eq!(pack.len(), piece.len());
    assert!((pack.learned() - piece.learned()).abs() < 1e-6);
    let (device, mut workspace) = (Device::cpu(1), Workspace::new(&model.arch, 64));
    let mut gradients = vec![0.0; model.layout.len];
    let loss = model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut gradients);
    let gradients = gradients.iter().map(|value| f64::from(*value)).collect();
    (loss.unwrap().nats, piece.learned(), gradients)
}

fn distance(found: &[f64], expected: &[f64]) -> f64 {
    let error: f64 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
    (error / expected.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

#[test]
fn loss_and_gradient_are_the_expectation_of_drawn_options() {
    let model = model();
    let drawn: Vec<_> = (0..3).map(|option| learn(&model, &sequence(option), 0.0)).collect();
    let mean = |of: &dyn Fn(&Learned) -> f64| {
        drawn.iter().zip(options()).map(|(one, (_, p))| p * of(one)).sum::<f64>()
    };
    let expected: Vec<f64> = (0..model.layout.len).map(|at| mean(&|one| one.2[at])).collect();
    let (loss, learned, gradient) = learn(&model, &sequence(1), 1.0);
    assert!((loss - mean(&|one| one.0)).abs() < 1e-5, "{loss}");
    assert!((learned - mean(&|one| one.1)).abs() < 1e-9);
    assert!(distance(&gradient, &expected) < 1e-5, "{}", distance(&gradient, &expected));
    // A mixture lies between the drawn option and the expectation.
    let (_, _, mixed) = learn(&model, &sequence(1), 0.25);
    let between: Vec<f64> =
        drawn[1].2.iter().zip(&expected).map(|(one, all)| 0.75 * one + 0.25 * all).collect();
    assert!(distance(&mixed, &between) < 1e-5);
}

#[test]
fn soft_gradients_vary_less_than_drawn_ones() {
    let model = model();
    let drawn: Vec<_> = (0..3).map(|option| learn(&model, &sequence(option), 0.0).2).collect();
    let soft = learn(&model, &sequence(0), 1.0).2;
    // The draw is no part of a soft sequence, so its gradient is one and the same.
    assert_eq!(soft, learn(&model, &sequence(2), 1.0).2);
    let mut stream = Streams::new(3).stream("draws", 0);
    let draws: Vec<&Vec<f64>> = (0..4000)
        .map(|_| match stream.random::<f64>() {
            x if x < 0.5 => &drawn[0],
            x if x < 0.8 => &drawn[1],
            _ => &drawn[2],
        })
        .collect();
    let mean: Vec<f64> = (0..soft.len())
        .map(|at| draws.iter().map(|draw| draw[at]).sum::<f64>() / draws.len() as f64)
        .collect();
    // Equal in expectation: 4000 draws come within their standard error of the soft gradient.
    let spread: f64 = draws.iter().map(|draw| distance(draw, &soft).powi(2)).sum::<f64>() / 4000.0;
    assert!(spread.sqrt() > 0.2, "drawn gradients differ: {spread}");
    assert!(distance(&mean, &soft) < 3.0 * (spread / 4000.0).sqrt(), "{}", distance(&mean, &soft));
}

#[test]
fn what_does_not_fit_is_learned_from_its_draw() {
    let drawn = sequence(1);
    let soft = (drawn.soft.as_ref(), 1.0);
    let piece = |room| Piece::whole("urn", &drawn.tokens, soft, room);
    assert!(piece((7, 15)).soft.is_some());
    assert_eq!(piece((7, 15)).len(), 4 + 3 + 4 + 4, "an impossible option costs nothing");
    assert!(piece((6, 64)).soft.is_none(), "an option beyond the context");
    assert!(piece((64, 14)).soft.is_none(), "more tokens than a micro-batch holds");
    assert_eq!(piece((64, 14)).len(), drawn.tokens.len());
    let unasked = Piece::whole("urn", &drawn.tokens, (drawn.soft.as_ref(), 0.0), (64, 64));
    assert!(unasked.soft.is_none());
}

#[test]
fn steps_average_over_the_expected_number_of_targets() {
    let sequences: Vec<Sequence> = (0..6).map(|index| sequence(index % 3)).collect();
    let model = model();
    let loss = |soft_targets, averaging| {
        let settings = TrainSettings { averaging, soft_targets, ..settings() };
        let corpus = Corpus::new(&model.arch, &sequences, &settings).unwrap();
        let expected = if soft_targets == Some(1.0) { 6 } else { 0 };
        assert_eq!(corpus.tasks["urn"].soft_targets, expected);
        let device = Device::cpu(1);
        let mut stepper =
            crate::step::Stepper::new(&model, &device, &corpus, &settings, 200).unwrap();
        let pieces: Vec<u32> = (0..6).collect();
        stepper.step(&mut model.clone(), &[&pieces], 1e-3).unwrap().loss_nats
    };
    let (nats, learned, _) = learn(&model, &sequence(0), 1.0);
    for averaging in [Averaging::Tokens, Averaging::Sequences] {
        let found = loss(Some(1.0), averaging);
        assert!((found - nats / learned).abs() < 1e-5, "{found}");
    }
    assert_eq!(loss(None, Averaging::Tokens), loss(Some(0.0), Averaging::Tokens));
}

#[test]
fn impossible_targets_are_refused_with_their_sequence() {
    let refused = |change: &dyn Fn(&mut SoftTarget)| {
        let mut wrong = sequence(0);
        change(wrong.soft.as_mut().unwrap());
        let sequences = [sequence(1), wrong];
        let corpus = Corpus::new(&crate::fixtures::arch(), &sequences, &settings());
        corpus.err().expect("it is refused").to_string()
    };
    let said = refused(&|target| target.from = 0);
    assert!(said.contains("sequence 1 (task `urn`)") && said.contains("token 0 of 7"), "{said}");
    assert!(refused(&|target| target.from = 9).contains("token 9 of 7"));
    assert!(refused(&|target| target.options[0].0.clear()).contains("no token"));
    assert!(refused(&|target| target.options[0].0[0] = 32).contains("token 32"));
    assert!(refused(&|target| target.options[0].1 = 1.0).contains("sum to 1.5"));
    assert!(refused(&|target| target.options[0].1 = f64::NAN).contains("NaN"));
}
