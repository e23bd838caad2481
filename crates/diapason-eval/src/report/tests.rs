//! The page and the JSON of small and hostile reports.

use super::*;
use crate::{Collector, EvalError, Pair, SteerOutcome, TurnOutcome};
use diapason_flow::Streams;
use std::collections::BTreeMap;

const HOSTILE: &str =
    "</style></title><script>alert('x')</script>\"><img src=x onerror=y>\u{202e}\u{0}";

fn outcome(nats: f64) -> SteerOutcome {
    let turn = |examples| TurnOutcome {
        examples,
        nats: nats / (1.0 + examples as f64),
        right: nats < 1.0,
        first_right: true,
        optimal_nats: Some(0.1),
        pairs: vec![Pair { probability: 0.5, right: true }],
    };
    SteerOutcome { turns: (0..3).map(turn).collect() }
}

fn report(names: &[&str]) -> ReportData {
    let measured: Vec<_> = (1..)
        .zip(names)
        .map(|(rank, _)| {
            let mut collector = Collector::default();
            for unit in 0..20 {
                let nats = f64::from(rank) + 0.01 * f64::from(unit * rank % 7);
                for task in ["urn", "coin", "poll"] {
                    collector.steer(task, &unit.to_string(), &outcome(nats)).unwrap();
                }
            }
            collector.add("cover/one", "prompt", "yield", f64::from(rank)).unwrap();
            collector.finish()
        })
        .collect();
    let models: Vec<_> = names
        .iter()
        .zip(&measured)
        .map(|(name, measured)| (*name, ModelInfo::default(), measured))
        .collect();
    ReportData::assemble(&models, &Streams::new(1))
}

/// Fails where an element is not closed in its order; returns the number of elements.
fn well_formed(page: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("every tag ends");
        if let Some(closing) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closing), "…<{}", &tag[..tag.len().min(80)]);
        } else if !tag.starts_with('!') && !tag.ends_with('/') {
            let name = tag.split(' ').next().unwrap_or(tag);
            if !matches!(name, "meta" | "br") {
                open.push(name);
                elements += 1;
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    elements
}

#[test]
fn the_page_of_an_ordinary_report_is_whole() {
    let page = html(&report(&["base", "ordinary", "spectrum"]));
    assert!(well_formed(&page) > 100);
    for needed in
        ["prefers-color-scheme", "Steerability", "Bayes-optimal", "Paired comparisons", "one unit"]
    {
        assert!(page.contains(needed), "{needed}");
    }
    for absent in ["NaN", "inf,", "<script", "http://", "https://", "src="] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("<b>base</b> predicts best from examples"));
}

#[test]
fn empty_and_single_model_reports_are_pages_too() {
    well_formed(&html(&ReportData::default()));
    let page = html(&report(&["only"]));
    well_formed(&page);
    assert!(page.contains("1 model on 4 tasks"));
}

#[test]
fn hostile_text_stays_text() {
    let mut data = report(&[HOSTILE, "b"]);
    let text = || HOSTILE.to_owned();
    data.title = text();
    data.settings = serde_json::json!({ HOSTILE: HOSTILE });
    data.reproduce = vec![text()];
    data.facts = vec![Fact { label: text(), value: text() }];
    data.notes = BTreeMap::from([(text(), TaskNote { seen: Seen::HeldOut, text: text() })]);
    data.distributions = vec![Distribution {
        task: text(),
        prompt: text(),
        options: vec![text()],
        target: vec![1.0],
        models: BTreeMap::from([(text(), vec![1.0])]),
    }];
    let samples = vec![SampleText { text: text(), valid: false, count: 2 }];
    data.samples = vec![SampleGrid {
        task: text(),
        prompt: text(),
        temperature: 1.0,
        models: BTreeMap::from([(text(), samples)]),
    }];
    for comparison in &mut data.comparisons {
        comparison.task = format!("steer/{HOSTILE}");
    }
    let tasks = data.results.values_mut().next().unwrap();
    let figures = tasks["steer/urn"].clone();
    tasks.insert(format!("steer/{HOSTILE}"), figures);
    tasks.insert(format!("cover/{HOSTILE}"), tasks["cover/one"].clone());
    tasks.insert(format!("align/{HOSTILE}"), BTreeMap::new());
    let page = html(&data);
    well_formed(&page);
    for absent in ["<script", "<img", "</style></title>", "\u{0}"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(page.matches("onerror=y&gt;").count(), page.matches("onerror=").count());
}

#[test]
fn json_round_trips_with_the_fields_of_the_contract() {
    let mut data = report(&["base", "spectrum"]);
    data.settings = serde_json::json!({"steps": 3});
    let text = data.to_json().unwrap();
    assert_eq!(ReportData::from_json(&text).unwrap(), data);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["diapason", "settings", "seed", "models", "results", "curves", "comparisons"] {
        assert!(value.get(field).is_some(), "{field}");
    }
    let figure = &value["results"]["base"]["steer/*"]["loss_nats"];
    assert!(figure["value"].is_f64() && figure["stderr"].is_f64() && figure["n"].is_u64());
    assert_eq!(figure["ci95"].as_array().unwrap().len(), 2);
    let comparison = &value["comparisons"][0];
    assert_eq!((&comparison["a"], &comparison["b"]), (&"spectrum".into(), &"base".into()));
    assert!(!text.contains("null"));
}

#[test]
fn numbers_that_json_lacks_are_refused_with_their_place() {
    let mut data = report(&["base", "spectrum"]);
    data.comparisons[0].p = f64::NAN;
    let refused = data.to_json().unwrap_err();
    let EvalError::NotFinite { place, .. } = refused else { panic!("{refused}") };
    assert!(place.starts_with("comparisons "), "{place}");
}

#[test]
fn claims_hold_only_with_their_whole_interval() {
    let mut sides: Vec<crate::Measurements> = Vec::new();
    for scale in [1.0, 2.1] {
        let mut collector = Collector::default();
        for unit in 0..30 {
            let value = scale * (1.0 + 0.01 * f64::from(unit % 5));
            collector.add("align/urn", &unit.to_string(), "js_nats", value).unwrap();
            collector.add("align/urn", &unit.to_string(), "mode_match", value / 3.0).unwrap();
        }
        sides.push(collector.finish());
    }
    let test = |metric, factor| {
        claim("c", ("align/urn", metric), &sides[0], factor, &sides[1], &Streams::new(1)).unwrap()
    };
    assert!(test("js_nats", 0.5).holds, "1.0 is at most half of 2.1");
    assert!(!test("js_nats", 0.4).holds);
    assert!(test("mode_match", 0.4).holds, "higher is better: 1.0 is at least 0.4 of 2.1");
    assert!(!test("mode_match", 0.5).holds);
    let streams = Streams::new(1);
    assert_eq!(claim("c", ("align/urn", "tv"), &sides[0], 1.0, &sides[1], &streams), None);
}
