//! Requests that cannot be answered, and models that fail: an error, never a hang.

use crate::common::*;
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Lm, LmError, Request, Sampling};
use diapason_model::{Device, Model};
use std::sync::Arc;

#[test]
fn invalid_requests_are_refused_with_their_index_and_reason() {
    let engine = engine(64, 512, 1);
    let good = score(vec![1], vec![vec![2]]);
    let draw = |change: fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sample(vec![1], sampling)
    };
    let cases: [(Request, &str); 15] = [
        (score(vec![], vec![vec![2]]), "the prompt is empty"),
        (score(vec![1, 29], vec![vec![2]]), "token 1 of the prompt has id 29, but the model knows"),
        (score(vec![1], vec![]), "there is no option"),
        (score(vec![1], vec![vec![2], vec![]]), "option 1 is empty"),
        (score(vec![1], vec![vec![2, 400]]), "token 1 of option 0 has id 400, but"),
        (trace(vec![1, 2], 0, 1), "`from` is 0, but only tokens 1 to 2 have a predecessor"),
        (trace(vec![1, 2], 3, 1), "`from` is 3"),
        (draw(|s| s.n = 0), "`n` is 0, expected at least 1"),
        (draw(|s| s.max_tokens = 0), "`max_tokens` is 0"),
        (draw(|s| s.temperature = -0.5), "`temperature` is -0.5"),
        (draw(|s| s.temperature = f32::NAN), "`temperature` is NaN"),
        (draw(|s| s.top_p = 0.0), "`top_p` is 0, expected above 0"),
        (draw(|s| s.top_p = 1.5), "`top_p` is 1.5"),
        (draw(|s| s.min_p = -0.1), "`min_p` is -0.1"),
        (draw(|s| s.min_p = f32::NAN), "`min_p` is NaN"),
    ];
    for (bad, expected) in cases {
        let error = engine.ask(&[good.clone(), bad]).unwrap_err();
        assert!(matches!(error, LmError::Request { index: 1, .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}\nlacks: {expected}");
    }
    assert!(engine.ask(&[good]).is_ok());
}

#[test]
fn what_does_not_fit_is_refused_with_both_sizes() {
    let cases = [
        (512, trace(text(1, 49), 1, 0), (49, CONTEXT)),
        (512, sample(text(1, 48), Sampling::default()), (49, CONTEXT)),
        (512, score(text(1, 40), vec![vec![1], text(2, 9)]), (49, CONTEXT)),
        (20, trace(text(1, 21), 1, 0), (21, 20)),
        (20, score(text(1, 15), vec![text(2, 7)]), (21, 20)),
        (20, sample(text(1, 15), Sampling { max_tokens: 7, ..Sampling::default() }), (21, 20)),
    ];
    for (cache, request, (needed, limit)) in cases {
        match engine(64, cache, 1).ask(std::slice::from_ref(&request)).unwrap_err() {
            LmError::Context { index: 0, needed_tokens, limit_tokens } => {
                assert_eq!((needed_tokens, limit_tokens), (needed, limit), "{request:?}");
            }
            other => panic!("{other}"),
        }
    }
    let exactly = score(text(1, 15), vec![text(2, 6)]);
    assert!(engine(64, 20, 1).ask(&[exactly]).is_ok());
}

fn failure(model: Model) -> String {
    let settings =
        EngineSettings { max_batch_tokens: 8, cache_tokens: 64, ..EngineSettings::default() };
    let engine = Engine::start(Arc::new(model), Device::cpu(1), settings);
    let request = score(vec![1, 2, 3], vec![vec![4, 5], vec![6]]);
    let first =
        engine.ask(std::slice::from_ref(&request)).expect_err("the model is broken").to_string();
    let second = engine.ask(&[request]).expect_err("the model is broken").to_string();
    assert_eq!(first, second, "the engine lives on and answers again");
    first
}

#[test]
fn weights_that_are_not_numbers_are_an_error() {
    let mut model = Arc::unwrap_or_clone(model());
    model.weights.wide_mut().fill(f32::NAN);
    assert!(failure(model).contains("its logits are not finite numbers"));
}

#[test]
fn an_error_of_the_model_is_an_error() {
    let mut model = Arc::unwrap_or_clone(model());
    // The constructor refuses this; a public field lets a test break the model all the same.
    model.weights.wide_mut().truncate(10);
    assert!(failure(model).contains("`weights` has 10 elements"));
}

#[test]
fn a_panic_in_the_thread_is_an_error() {
    let mut model = Arc::unwrap_or_clone(model());
    model.layout.final_norm = model.weights.len()..model.weights.len() + 32;
    let message = failure(model);
    assert!(message.contains("the model failed: its thread panicked"), "{message}");
}
