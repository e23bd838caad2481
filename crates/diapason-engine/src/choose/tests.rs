use super::*;
use diapason_flow::Streams;
use proptest::prelude::*;

fn sampling(temperature: f32, top_k: usize, top_p: f32, min_p: f32) -> Sampling {
    Sampling { temperature, top_k, top_p, min_p, ..Sampling::default() }
}

/// The slow twin: filter after filter on a sorted list of (id, probability), in f64.
fn plain_filter(logits: &[f32], sampling: &Sampling) -> Vec<(usize, f64)> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let weight = |logit: f32| (f64::from(logit - max) / f64::from(sampling.temperature)).exp();
    let mut kept: Vec<(usize, f64)> = logits.iter().copied().map(weight).enumerate().collect();
    kept.sort_by(|a, b| logits[b.0].total_cmp(&logits[a.0]).then(a.0.cmp(&b.0)));
    if sampling.top_k > 0 {
        kept.truncate(sampling.top_k);
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    let mut before = 0.0;
    kept.retain(|(_, weight)| {
        let keep = before < f64::from(sampling.top_p) * total;
        before += weight;
        keep
    });
    kept.retain(|(_, weight)| *weight >= f64::from(sampling.min_p));
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    kept.into_iter().map(|(id, weight)| (id, weight / total)).collect()
}

proptest! {
    #[test]
    fn filters_keep_what_the_plain_twin_keeps(
        steps in prop::collection::vec(0_u8..40, 1..700),
        temperature in 0.3_f32..3.0,
        top_k in 0_usize..20,
        top_p in 0.05_f32..1.0,
        min_p in 0.0_f32..0.5,
    ) {
        let logits: Vec<f32> = steps.iter().map(|step| f32::from(*step) * 0.173).collect();
        let sampling = sampling(temperature, top_k, top_p, min_p);
        let mut chooser = Chooser::default();
        chooser.weigh(&logits, temperature);
        let (kept, mass) = chooser.filter(&logits, &sampling);
        let expected = plain_filter(&logits, &sampling);
        // A threshold met to the last bit may fall to either side in f32 and f64.
        prop_assert!(kept.abs_diff(expected.len()) <= 1, "{} against {}", kept, expected.len());
        for (id, (expected_id, share)) in chooser.ranked[..kept].iter().zip(&expected) {
            prop_assert_eq!(*id as usize, *expected_id);
            if kept == expected.len() {
                let found = f64::from(chooser.weights[*id as usize]) / mass;
                prop_assert!((found / share - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn any_uniform_number_finds_a_possible_token(
        steps in prop::collection::vec(0_u8..200, 1..600),
        uniform in 0.0_f64..1.0,
    ) {
        let logits: Vec<f32> = steps.iter().map(|step| f32::from(*step) * 2.0).collect();
        let mut chooser = Chooser::default();
        chooser.weigh(&logits, 1.0);
        for uniform in [uniform, 0.0, 1.0 - f64::EPSILON] {
            let all = chooser.among_all(uniform);
            prop_assert!(chooser.weights[all as usize] > 0.0);
            // The slow twin of skipping blocks.
            let total: f64 = chooser.weights.iter().map(|weight| f64::from(*weight)).sum();
            let below = |end: usize| -> f64 {
                chooser.weights[..end].iter().map(|weight| f64::from(*weight)).sum()
            };
            // Blocks are summed in f32, so a boundary may move by that much of the mass.
            let rounding = 1e-6 * total;
            prop_assert!(below(all as usize) <= uniform * total + rounding);
            prop_assert!(below(all as usize + 1) >= uniform * total - rounding);
        }
    }
}

#[test]
fn greedy_takes_the_lower_of_equals_and_nothing_from_the_stream() {
    let mut stream = Streams::new(1).stream("sample", 0);
    let before = stream.clone();
    let logits = [0.5, 2.0, 2.0, -1.0];
    assert_eq!(Chooser::default().choose(&logits, &sampling(0.0, 0, 1.0, 0.0), &mut stream), 1);
    assert_eq!(stream, before);
}

#[test]
fn the_narrowest_filters_leave_the_likeliest_token() {
    let logits = [0.5, 2.0, 2.0, -1.0];
    for narrow in [
        sampling(1.0, 1, 1.0, 0.0),
        sampling(1.0, 0, 1e-6, 0.0),
        sampling(1e-30, 0, 0.4, 0.0),
        sampling(1e-40, 1, 1.0, 1.0),
    ] {
        for draw in 0..20 {
            let mut stream = Streams::new(1).stream("sample", draw);
            assert_eq!(Chooser::default().choose(&logits, &narrow, &mut stream), 1, "{narrow:?}");
        }
    }
    let both = sampling(1.0, 0, 1.0, 1.0);
    let mut chosen = [0; 4];
    for draw in 0..400 {
        let mut stream = Streams::new(1).stream("sample", draw);
        chosen[Chooser::default().choose(&logits, &both, &mut stream) as usize] += 1;
    }
    assert!(chosen[1] > 150 && chosen[2] > 150, "min-p of 1 keeps equals: {chosen:?}");
}
