//! Statistics against closed forms, brute force and simulation.

use crate::{
    Measurements, Tally, TaskMeasurements, Units, compare, compare_units, estimate, results,
};
use diapason_flow::{Stream, Streams};
use rand::Rng;
use std::collections::BTreeMap;

fn units(values: impl IntoIterator<Item = f64>) -> Units {
    let tally = |sum| Tally { sum, count: 1.0 };
    values.into_iter().enumerate().map(|(i, v)| (format!("u{i:05}"), tally(v))).collect()
}

fn uniform(stream: &mut Stream) -> f64 {
    (f64::from(stream.next_u32()) + 0.5) / 4294967296.0
}

fn normal(stream: &mut Stream) -> f64 {
    let radius = (-2.0 * uniform(stream).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(stream)).cos()
}

fn one_task(name: &str, metric: &str, units: Units) -> Measurements {
    let mut task = TaskMeasurements::default();
    task.figures.insert(metric.to_owned(), units);
    Measurements { tasks: BTreeMap::from([(name.to_owned(), task)]) }
}

#[test]
fn the_standard_error_is_the_clustered_one() {
    let found = estimate(&units([1.0, 2.0, 4.0, 9.0]), &Streams::new(1)).unwrap();
    assert_eq!((found.value, found.n), (4.0, 4));
    // Sample variance 38/3 of four means.
    assert!((found.stderr - (38.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    // Rows of a unit are not independent: ten copies of each row change nothing.
    let copies = units([1.0, 2.0, 4.0, 9.0])
        .into_iter()
        .map(|(unit, tally)| (unit, Tally { sum: 10.0 * tally.sum, count: 10.0 }))
        .collect();
    let copied = estimate(&copies, &Streams::new(1)).unwrap();
    assert!((copied.stderr - found.stderr).abs() < 1e-12);
    assert_eq!(copied.ci95, found.ci95);
}

#[test]
fn one_unit_has_no_interval_and_none_has_no_figure() {
    let one = estimate(&units([0.3]), &Streams::new(1)).unwrap();
    assert_eq!((one.stderr, one.ci95, one.n), (0.0, [0.3, 0.3], 1));
    assert_eq!(estimate(&Units::new(), &Streams::new(1)), None);
    let empty = Units::from([("u".to_owned(), Tally::default())]);
    assert_eq!(estimate(&empty, &Streams::new(1)), None);
    let two = estimate(&units([0.0, 1.0]), &Streams::new(1)).unwrap();
    // Student with one degree of freedom: 0.5 ± 12.706 · 0.5, up to the resampling error.
    assert!((two.ci95[1] - 6.853).abs() < 0.2, "{two:?}");
    let same = compare_units(&units([0.3]), &units([0.1]), 1.0, &Streams::new(1)).unwrap();
    assert_eq!((same.p, same.n, same.ci95), (1.0, 1, [same.difference; 2]));
}

#[test]
fn the_interval_of_a_large_sample_is_the_normal_one() {
    let mut stream = Streams::new(2).stream("data", 0);
    let found = estimate(&units((0..2000).map(|_| normal(&mut stream))), &Streams::new(2)).unwrap();
    for (bound, z) in found.ci95.into_iter().zip([-1.96, 1.96]) {
        let expected = found.value + z * found.stderr;
        assert!((bound - expected).abs() < 0.12 * found.stderr, "{bound} {expected}");
    }
}

/// Share of 600 samples of `n` units whose interval holds `truth`.
fn coverage(n: usize, truth: f64, mut draw: impl FnMut(&mut Stream) -> Tally) -> f64 {
    let streams = Streams::new(7);
    let covered = (0..600).filter(|trial| {
        let mut stream = streams.stream("coverage", *trial);
        let units = (0..n).map(|unit| (unit.to_string(), draw(&mut stream))).collect();
        let [low, high] = estimate(&units, &streams.within(&trial.to_string())).unwrap().ci95;
        low <= truth && truth <= high
    });
    covered.count() as f64 / 600.0
}

#[test]
fn intervals_cover_the_truth_about_95_times_in_100() {
    // The share has a standard error of 0.009.
    let single = |sum| Tally { sum, count: 1.0 };
    for n in [3, 6, 12, 40] {
        let found = coverage(n, 0.0, |stream| single(normal(stream)));
        println!("normal, n = {n}: {found}");
        assert!((0.925..=0.98).contains(&found), "normal, n = {n}: {found}");
    }
    let skewed = coverage(40, 1.0, |stream| single(-uniform(stream).ln()));
    println!("exponential {skewed}");
    assert!((0.90..=0.98).contains(&skewed), "exponential: {skewed}");
    // Rows that share a person's level, and persons with different numbers of rows.
    let clustered = coverage(30, 0.0, |stream| {
        let (count, level) = (f64::from(1 + stream.next_u32() % 9), normal(stream));
        Tally { sum: count * level + count.sqrt() * normal(stream), count }
    });
    println!("clustered {clustered}");
    assert!((0.91..=0.98).contains(&clustered), "clustered: {clustered}");
}

#[test]
fn a_paired_interval_sees_through_the_spread_of_units() {
    let mut stream = Streams::new(3).stream("data", 0);
    let level: Vec<f64> = (0..50).map(|_| 10.0 * normal(&mut stream)).collect();
    let a = units(level.iter().map(|level| level + 0.5 + 0.1 * normal(&mut stream)));
    let b = units(level.iter().copied());
    let found = compare_units(&a, &b, 1.0, &Streams::new(3)).unwrap();
    assert!(found.ci95[0] > 0.4 && found.ci95[1] < 0.6, "{found:?}");
    assert_eq!(found.p, 1.0 / 2000.0);
    let back = compare_units(&b, &a, 1.0, &Streams::new(3)).unwrap();
    assert!((back.difference + found.difference).abs() < 1e-12);
    assert_eq!(back.p, found.p);
}

#[test]
fn exact_p_values_agree_with_counting_by_hand() {
    // Differences 1, 2, 4: of the eight sign patterns only all plus and all minus reach 7.
    let found = compare_units(&units([1.0, 2.0, 4.0]), &units([0.0; 3]), 1.0, &Streams::new(1));
    assert_eq!(found.unwrap().p, 0.25);
    // Differences 1, 2, -4: |sum| = 1 is reached by every pattern.
    let found = compare_units(&units([1.0, 2.0, -4.0]), &units([0.0; 3]), 1.0, &Streams::new(1));
    assert_eq!(found.unwrap().p, 1.0);
}

#[test]
fn random_sign_flips_agree_with_all_of_them() {
    let mut stream = Streams::new(9).stream("data", 0);
    let differences: Vec<f64> = (0..14).map(|_| 0.4 + normal(&mut stream)).collect();
    let observed = differences.iter().sum::<f64>().abs() - 1e-9;
    let reached = (0..1u32 << 14).filter(|bits| {
        let signed = |(i, d): (usize, &f64)| if bits >> i & 1 == 1 { -d } else { *d };
        differences.iter().enumerate().map(signed).sum::<f64>().abs() >= observed
    });
    let exact = reached.count() as f64 / f64::from(1 << 14);
    let found =
        compare_units(&units(differences), &units([0.0; 14]), 1.0, &Streams::new(9)).unwrap();
    // Standard error at most 0.5 / sqrt(2000) = 0.011.
    assert!((found.p - exact).abs() < 0.04, "{} {exact}", found.p);
}

#[test]
fn p_values_are_uniform_when_there_is_no_difference() {
    let streams = Streams::new(11);
    let p_values: Vec<f64> = (0..400)
        .map(|trial| {
            let mut stream = streams.stream("null", trial);
            // Skewed levels, which the two sides share up to noise.
            let mut side = |_| normal(&mut stream);
            let (a, b) = (units((0..20).map(&mut side)), units((0..20).map(&mut side)));
            compare_units(&a, &b, 1.0, &streams.within(&trial.to_string())).unwrap().p
        })
        .collect();
    for level in [0.05, 0.25, 0.5, 0.75] {
        let share = p_values.iter().filter(|p| **p <= level).count() as f64 / 400.0;
        let stderr = (level * (1.0 - level) / 400.0f64).sqrt();
        assert!((share - level).abs() < 3.5 * stderr, "{level}: {share}");
    }
}

#[test]
fn a_factor_asks_for_a_multiple() {
    let mut stream = Streams::new(4).stream("data", 0);
    let b: Vec<f64> = (0..60).map(|_| 2.0 + 0.2 * normal(&mut stream)).collect();
    let a: Vec<f64> = b.iter().map(|b| 0.4 * b + 0.05 * normal(&mut stream)).collect();
    let half = compare_units(&units(a.clone()), &units(b.clone()), 0.5, &Streams::new(4)).unwrap();
    assert!((half.difference + 0.2).abs() < 0.05 && half.ci95[1] < 0.0 && half.p < 0.01);
    let third = compare_units(&units(a), &units(b), 1.0 / 3.0, &Streams::new(4)).unwrap();
    assert!(third.ci95[0] > 0.0, "{third:?}");
}

#[test]
fn only_shared_units_are_compared() {
    let (a, mut b) = (units([1.0, 2.0, 3.0]), units([0.0, 0.0, 0.0]));
    b.remove("u00002");
    b.insert("other".into(), Tally { sum: 99.0, count: 1.0 });
    let found = compare_units(&a, &b, 1.0, &Streams::new(1)).unwrap();
    assert_eq!((found.difference, found.n), (1.5, 2));
    let none =
        compare_units(&a, &Units::from([("x".into(), Tally::default())]), 1.0, &Streams::new(1));
    assert_eq!(none, None);
}

#[test]
fn families_take_the_task_as_their_unit() {
    let mut a = one_task("align/urn", "tv", units([0.1, 0.3]));
    a.tasks.extend(one_task("align/coin", "tv", units([0.6])).tasks);
    let found = results(&a, &Streams::new(1)).figures["align/*"]["tv"];
    assert!((found.value - 0.4).abs() < 1e-12, "tasks weigh equally, not units");
    assert_eq!(found.n, 2);
    let b = one_task("align/urn", "tv", units([0.0, 0.0]));
    let comparisons = compare(("a", &a), ("b", &b), &Streams::new(1));
    let tasks: Vec<_> = comparisons.iter().map(|c| (c.task.as_str(), c.n)).collect();
    assert_eq!(tasks, [("align/*", 1), ("align/urn", 2)]);
}

#[test]
fn the_batch_agrees_with_one_metric_alone() {
    let mut stream = Streams::new(6).stream("data", 0);
    let mut measured =
        one_task("cover/x", "yield", units((0..9).map(|_| normal(&mut stream).abs())));
    let other = units((0..9).map(|_| normal(&mut stream).abs()));
    let task = measured.tasks.get_mut("cover/x").unwrap();
    task.figures.insert("chao1".into(), other.clone());
    let streams = Streams::new(6);
    let batch = results(&measured, &streams).figures["cover/x"]["chao1"];
    assert_eq!(Some(batch), estimate(&other, &streams.within("cover/x")));
    assert_eq!(results(&measured, &streams), results(&measured, &streams));
}

/// Seconds this thread has spent on a processor; `None` where the system does not say. Unlike the
/// clock on the wall it does not count waiting for other work on the machine.
fn busy_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

#[test]
fn thousands_of_units_and_dozens_of_metrics_take_little_time() {
    let mut stream = Streams::new(8).stream("data", 0);
    let mut task = TaskMeasurements::default();
    for metric in 0..24 {
        let column = units((0..3000).map(|_| normal(&mut stream)));
        task.figures.insert(format!("m{metric}"), column);
    }
    let measured = Measurements { tasks: BTreeMap::from([("steer/big".into(), task)]) };
    let begun = busy_seconds();
    let found = results(&measured, &Streams::new(8));
    assert_eq!(found.figures["steer/big"].len(), 24);
    if let (Some(begun), Some(ended)) = (begun, busy_seconds()) {
        println!("24 metrics of 3000 units: {:.2} s", ended - begun);
        // Release builds take 0.2 s; unoptimised ones pass too, quadratic work does not.
        assert!(ended - begun < 10.0, "{} s", ended - begun);
    }
}
