//! What is drawn: frequencies, seeds, and why draws end.

use crate::common::*;
use diapason_flow::{Sampling, Stop};

/// Probabilities of the next token under temperature and filters, from the definition, by id.
fn exact(prompt: &[u32], sampling: &Sampling) -> Vec<f64> {
    let row = plain_logprobs(&model(), prompt).pop().expect("a prompt has tokens");
    let weights: Vec<f64> =
        row.iter().map(|logprob| (logprob / f64::from(sampling.temperature)).exp()).collect();
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let mass = |ids: &[usize]| ids.iter().map(|id| weights[*id]).sum::<f64>();
    let enough = f64::from(sampling.top_p) * mass(&order);
    let kept = (1..=order.len()).find(|kept| mass(&order[..*kept]) >= enough);
    order.truncate(kept.unwrap_or(order.len()));
    let largest = weights.iter().copied().fold(0.0, f64::max);
    order.retain(|id| weights[*id] >= f64::from(sampling.min_p) * largest);
    let total = mass(&order);
    let mut probabilities = vec![0.0; row.len()];
    for id in order {
        probabilities[id] = weights[id] / total;
    }
    probabilities
}

/// Pearson's statistic over bins of at least five expected draws, the rest in one bin, against the
/// 0.999 quantile (Wilson and Hilferty).
pub(crate) fn assert_frequencies(counts: &[usize], probabilities: &[f64], what: &str) {
    let draws: usize = counts.iter().sum();
    let (mut statistic, mut bins, mut rest) = (0.0, 0, (0.0, 0.0));
    let mut add = |count: f64, expected: f64| {
        statistic += (count - expected).powi(2) / expected;
        bins += 1;
    };
    for (count, probability) in counts.iter().zip(probabilities) {
        let expected = probability * draws as f64;
        assert!(expected > 0.0 || *count == 0, "{what}: an impossible token was drawn");
        if expected >= 5.0 {
            add(*count as f64, expected);
        } else {
            rest = (rest.0 + *count as f64, rest.1 + expected);
        }
    }
    if rest.1 > 0.5 {
        add(rest.0, rest.1);
    }
    assert!(bins > 1, "{what}: nothing to compare");
    let freedom = f64::from(bins - 1);
    let spread = 2.0 / (9.0 * freedom);
    let limit = freedom * (1.0 - spread + 3.0902 * spread.sqrt()).powi(3);
    assert!(statistic < limit, "{what}: chi-square {statistic:.1} of {freedom}, limit {limit:.1}");
}

#[test]
fn frequencies_of_first_tokens_are_the_exact_probabilities() {
    let engine = engine(256, 2048, 2);
    let prompt = text(3, 6);
    let base = Sampling { n: 6000, seed: 42, max_tokens: 1, ..Sampling::default() };
    for (temperature, top_k, top_p, min_p) in [
        (1.0, 0, 1.0, 0.0),
        (0.5, 0, 1.0, 0.0),
        (2.0, 0, 1.0, 0.0),
        (1.0, 0, 0.7, 0.0),
        (1.5, 0, 0.9, 0.0),
        (1.0, 6, 1.0, 0.0),
        (1.0, 0, 1.0, 0.1),
        (1.3, 12, 0.8, 0.05),
    ] {
        let sampling = Sampling { temperature, top_k, top_p, min_p, ..base.clone() };
        let mut counts = vec![0; VOCABULARY as usize];
        for draw in samples(ask_one(&engine, sample(prompt.clone(), sampling.clone()))) {
            counts[draw.ids[0] as usize] += 1;
        }
        assert_frequencies(&counts, &exact(&prompt, &sampling), &format!("{sampling:?}"));
    }
}

#[test]
fn frequencies_of_second_tokens_are_the_exact_mixture() {
    let sampling = Sampling { n: 6000, seed: 7, max_tokens: 2, ..Sampling::default() };
    let prompt = text(4, 3);
    let mut expected = vec![0.0; VOCABULARY as usize];
    for (id, first) in (0..).zip(exact(&prompt, &sampling)) {
        let longer = [prompt.as_slice(), &[id]].concat();
        for (slot, second) in expected.iter_mut().zip(exact(&longer, &sampling)) {
            *slot += first * second;
        }
    }
    let mut counts = vec![0; VOCABULARY as usize];
    for draw in samples(ask_one(&engine(256, 2048, 2), sample(prompt, sampling))) {
        counts[draw.ids[1] as usize] += 1;
    }
    assert_frequencies(&counts, &expected, "second tokens");
}

#[test]
fn a_draw_depends_on_its_seed_and_number_only() {
    let engine = engine(64, 512, 1);
    let draws = |seed, n| {
        let sampling = Sampling { n, seed, max_tokens: 12, ..Sampling::default() };
        samples(ask_one(&engine, sample(text(1, 4), sampling)))
    };
    let many = draws(5, 20);
    assert_eq!(draws(5, 20), many);
    assert_eq!(draws(5, 4), many[..4], "more draws do not change the first");
    assert_ne!(draws(6, 4), many[..4]);
    assert!(many.iter().any(|draw| *draw != many[0]));
}

#[test]
fn a_stop_token_ends_a_draw_and_is_scored_but_not_part_of_it() {
    let engine = engine(64, 512, 1);
    let free = Sampling { n: 30, max_tokens: 12, ..Sampling::default() };
    let stop = Sampling { stop: vec![2, 17], ..free.clone() };
    let free = samples(ask_one(&engine, sample(text(1, 4), free)));
    let stopped = samples(ask_one(&engine, sample(text(1, 4), stop)));
    let mut ended = 0;
    for (free, stopped) in free.iter().zip(&stopped) {
        match free.ids.iter().position(|id| [2, 17].contains(id)) {
            Some(end) => {
                assert_eq!(stopped.ids, free.ids[..end]);
                assert_eq!(stopped.logprobs, free.logprobs[..=end]);
                assert_eq!(stopped.stop, Stop::Terminator);
                ended += 1;
            }
            None => assert_eq!(stopped, free),
        }
    }
    assert!((1..30).contains(&ended), "{ended} of 30 draws met a stop token");
    let at_once = Sampling { n: 500, stop: (0..VOCABULARY).collect(), ..Sampling::default() };
    for draw in samples(ask_one(&engine, sample(text(1, 4), at_once))) {
        assert_eq!((draw.ids.len(), draw.logprobs.len(), draw.stop), (0, 1, Stop::Terminator));
    }
}

#[test]
fn the_context_ends_a_draw() {
    let engine = engine(64, 512, 1);
    let long = Sampling { n: 2, max_tokens: 1000, ..Sampling::default() };
    for prompt in [1, CONTEXT - 5, CONTEXT - 1] {
        for draw in samples(ask_one(&engine, sample(text(1, prompt), long.clone()))) {
            assert_eq!((draw.ids.len(), draw.stop), (CONTEXT - prompt, Stop::Context));
        }
    }
    let exact = Sampling { n: 1, max_tokens: 5, ..Sampling::default() };
    let draws = samples(ask_one(&engine, sample(text(1, CONTEXT - 5), exact)));
    assert_eq!((draws[0].ids.len(), draws[0].stop), (5, Stop::Length));
}
