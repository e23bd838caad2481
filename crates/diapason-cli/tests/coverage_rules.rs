//! The rules of the coverage tasks: what counts as valid, what does not, and what counts once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use diapason_data::{BuildSettings, DataError, Family, Suite, Task};
use diapason_eval::Judge;
use diapason_flow::{Check, Episode, Goal, Streams};
use std::path::{Path, PathBuf};

fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(below)
}

/// The rule of a task, and the examples that it shows; `None` without its files.
fn rule(suite: &Suite, task: &Task, data: &Path) -> Option<(Check, Vec<String>)> {
    let settings = BuildSettings::default();
    let built = suite.build(task, Some(data), &settings, &Streams::new(0));
    if let Err(DataError::Missing { .. }) = built {
        return None;
    }
    let episodes = built.unwrap();
    let shows = |episode: &&Episode| !episode.turns.is_empty();
    let Some(episode) = episodes.iter().find(shows) else {
        assert!(task.name.starts_with("noveltybench"), "{} shows no example", task.name);
        return None;
    };
    let Goal::Valid(check) = &episode.query.as_ref().unwrap().goal else {
        panic!("{} has no rule", task.name)
    };
    Some((check.clone(), episode.turns.iter().map(|turn| turn.output.clone()).collect()))
}

#[test]
fn every_example_is_valid_and_no_two_are_the_same() {
    let suite = Suite::embedded().unwrap();
    for data in [folder("suite/fixtures"), folder("../shared/data")] {
        for task in suite.tasks().iter().filter(|task| task.family == Family::Cover) {
            let Some((check, examples)) = rule(&suite, task, &data) else { continue };
            let judge = Judge::new(&check).unwrap();
            let mut canonical: Vec<String> = examples
                .iter()
                .map(|text| {
                    let valid = judge.canonical(text);
                    valid.unwrap_or_else(|| panic!("{}: {text} is not valid", task.name))
                })
                .collect();
            canonical.sort();
            canonical.dedup();
            assert_eq!(canonical.len(), 3, "{}: {canonical:?}", task.name);
        }
    }
}

/// Task, valid outputs, outputs that are not.
const OUTPUTS: &[(&str, &[&str], &[&str])] = &[
    (
        "basic_emails",
        &["a@b.de", "first.last+tag@mail.example.org", "x_1%@a-b.io"],
        &["a@b", "a@@b.de", ".a@b.de", "a.@b.de", "a..b@c.de", "a b@c.de", "a@b..de", "a@b.d3"],
    ),
    (
        "professional_emails",
        &["a@b.com", "a@dept.school.EDU", "a@b.gov", "a@b.org"],
        &["a@b.net", "a@b.com.au", "a@com"],
    ),
    (
        "us_phone_numbers",
        &["415-555-0132", "(415) 555-0132", "415 555 0132"],
        &["415 555-0132", "(415)555-0132", "4155550132", "1-415-555-0132", "415-555-01322"],
    ),
    (
        "international_phone_numbers",
        &["+4930901820", "+44 20 7946 0018", "+1-202-555-0163", "+1234567"],
        &["44 20 7946 0018", "+123456", "+1234567890123456", "+0 20 7946 0018", "+49 (30) 901820"],
    ),
    (
        "prime_numbers",
        &["2", "9223372036854775783"],
        &["1", "9", "07", "+7", "9223372036854775807"],
    ),
    ("random_seed", &["0", "4294967295"], &["4294967296", "-1", "007", "1_000", "1.0"]),
    ("us_states_any_format", &["ohio", "OH", "New York"], &["Ohioo", "Guam", "O.H."]),
    ("weekdays_abbreviated", &["mon", "SUN"], &["Monday", "Mon.", "M"]),
    ("weekdays_any_format", &["monday", "Mon", "Th"], &["T", "S", "Mon."]),
    ("car_brand", &["ford", "MAZDA"], &["Ford Mustang", "bmw m"]),
    (
        "car_make_model",
        &["bmw m", "Ford Mustang"],
        &["bmw", "Mustang", "Ford Mustang 2020", "BMW V70"],
    ),
    ("claude_gerunds", &["florping", "Being"], &["florp", "", "thing"]),
    ("color_interesting_ex", &["fixture blue"], &["Blue", "name"]),
];

#[test]
fn the_rules_are_exact() {
    let suite = Suite::embedded().unwrap();
    for (name, valid, invalid) in OUTPUTS {
        let task = suite.matching(name).unwrap()[0];
        let (check, _) = rule(&suite, task, &folder("suite/fixtures")).unwrap();
        let judge = Judge::new(&check).unwrap();
        for text in *valid {
            assert!(judge.canonical(text).is_some(), "{name}: {text} should be valid");
        }
        for text in *invalid {
            assert_eq!(judge.canonical(text), None, "{name}: {text}");
        }
    }
}

#[test]
fn spellings_of_one_answer_count_once() {
    let suite = Suite::embedded().unwrap();
    for (name, one, other) in [
        ("car_brand", "MAZDA", "Mazda"),
        ("car_make_model", "ford mustang", "Ford Mustang"),
        ("weekdays_abbreviated", "MON", " Mon"),
        ("us_states_any_format", "ohio", "Ohio"),
    ] {
        let task = suite.matching(name).unwrap()[0];
        let (check, _) = rule(&suite, task, &folder("suite/fixtures")).unwrap();
        let judge = Judge::new(&check).unwrap();
        assert!(judge.canonical(one).is_some());
        assert_eq!(judge.canonical(one), judge.canonical(other), "{name}");
    }
}
