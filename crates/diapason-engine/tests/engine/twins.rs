//! The engine against its slow twins, and every answer against itself in other company.

use crate::common::*;
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Answer, Lm, Request, Sampling, Stop, Streams};
use diapason_model::{Adapter, Device, LoraSettings, Model, WeightPrecision, Weights};
use rand::RngExt;
use std::sync::Arc;

fn options(number: u32) -> Vec<Vec<u32>> {
    let stem = text(number, 3);
    let mut options = vec![stem.clone(), vec![stem[0]], text(number + 1, 5), vec![7]];
    options.extend((0..6).map(|last| [stem.as_slice(), &[last, 3, last]].concat()));
    options.push(stem);
    options
}

/// Requests of every kind, some with equal prompts.
fn mixed() -> Vec<Request> {
    let mut requests = Vec::new();
    for number in 0..4 {
        let prompt = text(number, 3 + 4 * number as usize);
        requests.push(score(prompt.clone(), options(number)));
        let free = Sampling { n: 5, seed: 3, max_tokens: 9, ..Sampling::default() };
        requests.push(sample(prompt.clone(), free.clone()));
        requests.push(trace(text(number + 9, 11), 1 + number as usize, 3));
        let begin = text(number + 5, 1 + number as usize);
        requests.push(sample(prompt.clone(), Sampling { begin, ..free.clone() }));
        let narrow = Sampling { n: 3, temperature: 0.7, top_k: 9, top_p: 0.9, ..free.clone() };
        requests.push(sample(prompt.clone(), Sampling { stop: vec![4, 9], ..narrow }));
        requests.push(sample(text(0, 3), Sampling { temperature: 0.0, n: 1, ..free }));
        requests.push(trace(prompt, 2, 0));
    }
    requests
}

#[test]
fn scores_equal_a_full_forward_pass_for_every_option() {
    let (model, engine) = (model(), engine(64, 512, 2));
    for number in 0..5 {
        let (prompt, options) = (text(number, 1 + 3 * number as usize), options(number));
        let found = scores(ask_one(&engine, score(prompt.clone(), options.clone())));
        assert_eq!(found.len(), options.len());
        for (found, option) in found.iter().zip(&options) {
            let expected = plain_score(&model, &prompt, option);
            assert!((found.logprob_nats - expected).abs() < 1e-4, "{found:?} {expected}");
            assert_eq!(found.tokens, option.len());
        }
    }
}

#[test]
fn one_token_options_of_the_whole_vocabulary_sum_to_one() {
    let all = (0..VOCABULARY).map(|id| vec![id]).collect();
    let found = scores(ask_one(&engine(64, 512, 1), score(text(5, 7), all)));
    let mass: f64 = found.iter().map(|score| score.logprob_nats.exp()).sum();
    assert!((mass - 1.0).abs() < 1e-5, "{mass}");
}

#[test]
fn traces_equal_the_plain_forward_pass() {
    let (model, engine) = (model(), engine(64, 512, 2));
    for (tokens, from, top) in [(9, 1, 4), (9, 5, 0), (9, 9, 2), (1, 1, 1), (30, 2, 100)] {
        let ids = text(8, tokens);
        let Answer::Traced(found) = ask_one(&engine, trace(ids.clone(), from, top)) else {
            panic!("not a trace");
        };
        assert_eq!(found.len(), tokens - from);
        let plain = plain_logprobs(&model, &ids);
        for (place, found) in (from..).zip(&found) {
            let row = &plain[place - 1];
            assert_eq!(found.id, ids[place]);
            assert!((f64::from(found.logprob_nats) - row[found.id as usize]).abs() < 1e-4);
            let mut sorted: Vec<usize> = (0..row.len()).collect();
            sorted.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
            assert_eq!(found.top.len(), top.min(VOCABULARY as usize));
            for ((id, logprob), expected) in found.top.iter().zip(sorted) {
                assert!((f64::from(*logprob) - row[expected]).abs() < 1e-4);
                assert!((row[*id as usize] - row[expected]).abs() < 1e-4, "{id} {expected}");
            }
        }
    }
}

#[test]
fn greedy_draws_follow_the_plain_argmax() {
    let (model, engine) = (model(), engine(64, 512, 2));
    let greedy = Sampling { temperature: 0.0, max_tokens: 20, n: 2, ..Sampling::default() };
    for number in 0..3 {
        let prompt = text(number, 4);
        let drawn = samples(ask_one(&engine, sample(prompt.clone(), greedy.clone())));
        assert_eq!(drawn[0], drawn[1]);
        let mut ids = prompt;
        for (id, logprob) in drawn[0].ids.iter().zip(&drawn[0].logprobs) {
            let row = plain_logprobs(&model, &ids).pop().unwrap();
            let best = row.iter().copied().fold(f64::MIN, f64::max);
            assert!((row[*id as usize] - best).abs() < 1e-4);
            assert!((f64::from(*logprob) - best).abs() < 1e-4);
            ids.push(*id);
        }
        assert_eq!((ids.len(), drawn[0].stop), (24, Stop::Length));
    }
}

#[test]
fn log_probabilities_of_draws_are_those_of_the_model_before_temperature_and_filters() {
    let (model, engine) = (model(), engine(64, 512, 2));
    let narrow =
        Sampling { temperature: 0.5, top_k: 4, n: 6, max_tokens: 7, ..Sampling::default() };
    let prompt = text(2, 5);
    for draw in samples(ask_one(&engine, sample(prompt.clone(), narrow))) {
        let expected = plain_score(&model, &prompt, &draw.ids);
        let found: f64 = draw.logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn answers_have_the_same_bits_alone_and_in_any_company() {
    let requests = mixed();
    let reference = engine(64, 4096, 1);
    let alone: Vec<Answer> =
        requests.iter().map(|request| ask_one(&reference, request.clone())).collect();
    // The smallest cache that holds the largest request alone makes them run in turns.
    for (batch, cache, threads) in
        [(1024, 4096, 1), (1024, 4096, 2), (1, 4096, 1), (5, 40, 2), (17, 64, 1), (3, 4096, 2)]
    {
        let engine = engine(batch, cache, threads);
        assert_eq!(engine.ask(&requests).unwrap(), alone, "{batch} {cache} {threads}");
    }
    let mut order: Vec<usize> = (0..requests.len()).rev().collect();
    order.rotate_left(3);
    let shuffled: Vec<Request> = order.iter().map(|index| requests[*index].clone()).collect();
    for (index, answer) in order.iter().zip(reference.ask(&shuffled).unwrap()) {
        assert_eq!(answer, alone[*index]);
    }
}

#[test]
fn callers_on_several_threads_get_their_own_answers() {
    let requests = mixed();
    let engine = engine(32, 128, 2);
    let alone: Vec<Answer> =
        requests.iter().map(|request| ask_one(&engine, request.clone())).collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (engine, requests, alone) = (&engine, &requests, &alone);
            scope.spawn(move || {
                for index in (offset..requests.len()).step_by(2) {
                    assert_eq!(ask_one(engine, requests[index].clone()), alone[index]);
                }
            });
        }
    });
}

#[test]
fn no_requests_have_no_answers() {
    assert_eq!(engine(8, 64, 1).ask(&[]).unwrap(), []);
}

#[test]
fn adapters_on_one_base_answer_as_each_would_alone() {
    let with = |seeds: &[u64]| {
        let mut model = model().as_ref().clone();
        for seed in seeds {
            let settings = LoraSettings { rank: 3, ..LoraSettings::default() };
            let streams = Streams::new(*seed);
            let mut adapter = Adapter::new(&model.arch, &settings, &streams).unwrap();
            // A fresh B is zero and changes nothing.
            let mut stream = streams.stream("both", 0);
            adapter.weights.iter_mut().for_each(|x| *x = stream.random_range(-0.1..0.1));
            model.attach(adapter).unwrap();
        }
        let settings =
            EngineSettings { max_batch_tokens: 64, cache_tokens: 600, ..EngineSettings::default() };
        Engine::start(Arc::new(model), Device::cpu(2), settings)
    };
    let (both, first, second) = (with(&[1, 2]), with(&[1]), with(&[2]));
    let alone = [
        engine(64, 600, 2).ask(&mixed()).unwrap(),
        first.adapted(0).ask(&mixed()).unwrap(),
        second.adapted(0).ask(&mixed()).unwrap(),
    ];
    assert!(alone[0] != alone[1] && alone[1] != alone[2]);
    // At the same time, so that they share batches.
    let together = std::thread::scope(|scope| {
        let ask: [Box<dyn Fn() -> _ + Send>; 3] = [
            Box::new(|| both.ask(&mixed()).unwrap()),
            Box::new(|| both.adapted(0).ask(&mixed()).unwrap()),
            Box::new(|| both.adapted(1).ask(&mixed()).unwrap()),
        ];
        ask.map(|ask| scope.spawn(ask)).map(|thread| thread.join().unwrap())
    });
    assert_eq!(together, alone);
    let said = both.adapted(2).ask(&mixed()).unwrap_err().to_string();
    assert!(said.contains("no adapter 2 among 2"), "{said}");
}

#[test]
fn weights_held_in_bf16_answer_as_the_same_widened_in_any_batch() {
    let Model { arch, weights, .. } = Arc::unwrap_or_clone(model());
    let halves = weights.held_in(WeightPrecision::Bf16);
    let ask = |weights: &Weights, batch: usize, threads: usize, alone: bool| {
        let model = Model::new(arch.clone(), weights.clone()).unwrap();
        let settings = EngineSettings {
            max_batch_tokens: batch,
            cache_tokens: 600,
            ..EngineSettings::default()
        };
        let engine = Engine::start(Arc::new(model), Device::cpu(threads), settings);
        if alone {
            return mixed().into_iter().map(|request| ask_one(&engine, request)).collect();
        }
        engine.ask(&mixed()).unwrap()
    };
    let expected = ask(&halves.clone().held_in(WeightPrecision::F32), 64, 1, false);
    for (batch, threads, alone) in [(64, 1, false), (64, 2, true), (9, 2, false)] {
        assert_eq!(ask(&halves, batch, threads, alone), expected, "{batch}, {threads}, {alone}");
    }
}
