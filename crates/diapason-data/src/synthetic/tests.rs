//! What every process keeps to, whatever its parameters.

use super::labels::{fixed_point, percentage, probability, shares_in_thousandths, trimmed};
use super::{PROCESSES, Parameters, Process, Turns};
use diapason_flow::{Episode, Goal, Streams, episode_to_json};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// `described` and `revealed` for a reader who is told nothing, the family, everything.
const TOLD: [(f64, f64); 3] = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)];

fn episodes(process: &Process, parameters: &Parameters, seed: u64, count: u64) -> Vec<Episode> {
    let streams = Streams::new(seed);
    (0..count).map(|index| process.episode("task", parameters, &streams, index)).collect()
}

fn telling((described, revealed): (f64, f64)) -> Parameters {
    Parameters { described, revealed, ..Parameters::default() }
}

fn is_whole_number(output: &str) -> bool {
    output.parse::<u64>().is_ok_and(|value| value.to_string() == output) && output.len() <= 12
}

fn is_decimal(output: &str) -> bool {
    let digits = output.strip_prefix('-').unwrap_or(output);
    let zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    let plain = digits.chars().all(|digit| digit.is_ascii_digit() || digit == '.');
    plain && !(zero && output.starts_with('-')) && output.len() <= 12
}

fn is_counts(output: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(output) else { return false };
    let counts: Vec<_> = match &value {
        serde_json::Value::Array(counts) => counts.iter().collect(),
        serde_json::Value::Object(counts) => counts.values().collect(),
        _ => return false,
    };
    counts.len() >= 2 && counts.iter().all(|count| count.is_u64()) && output.len() < 800
}

fn is_label(output: &str) -> bool {
    !output.is_empty() && output.chars().count() <= 24 && output.trim() == output
}

/// Whether a text can be an output of a process.
fn possible(process: &str, output: &str) -> bool {
    match process {
        "normal" => is_decimal(output),
        "multinomial" => is_counts(output),
        "flight" => ["1", "2", "3"].contains(&output),
        "geometric" | "geometric_beta" | "zipfian" => is_whole_number(output) && output != "0",
        "binomial" | "hypergeometric" | "negative_binomial" | "poisson" => is_whole_number(output),
        _ => is_label(output),
    }
}

#[test]
fn names_are_unique_and_documented() {
    let names: BTreeSet<_> = PROCESSES.iter().map(|process| process.name).collect();
    assert_eq!(names.len(), PROCESSES.len());
    for process in PROCESSES {
        assert!(process.about.len() > 20 && process.optimal.len() > 6, "{}", process.name);
        assert_eq!(Process::named(process.name).unwrap().name, process.name);
    }
}

/// A change here changes published figures.
#[test]
fn first_episodes() {
    let parameters = Parameters { turns: Some(Turns::Fixed(3)), asked: 0.5, ..telling((0.9, 0.5)) };
    let first: Vec<String> = PROCESSES
        .iter()
        .flat_map(|process| episodes(process, &parameters, 1, 2))
        .map(|episode| {
            let mut row = episode_to_json(&episode);
            // The last digits of a logarithm are the platform's.
            for message in row["messages"].as_array_mut().unwrap() {
                if let Some(nats) = message.get("optimal_nats").and_then(serde_json::Value::as_f64)
                {
                    message["optimal_nats"] = format!("{nats:.6}").into();
                }
            }
            format!("{}\n{row:#}", episode.unit)
        })
        .collect();
    insta::assert_snapshot!(first.join("\n\n"));
}

#[test]
fn outputs_stay_within_the_support() {
    for process in PROCESSES {
        for told in TOLD {
            for episode in episodes(process, &telling(told), 5, 60) {
                assert!(!episode.turns.is_empty(), "{}", process.name);
                for turn in &episode.turns {
                    assert!(possible(process.name, &turn.output), "{}: {turn:?}", process.name);
                }
            }
        }
    }
}

#[test]
fn the_optimum_is_known_where_the_documentation_says_so() {
    for process in PROCESSES {
        for (told, (described, revealed)) in TOLD.into_iter().enumerate() {
            let known = match process.name {
                "binomial" | "categorical" | "hypergeometric" | "urn" => told > 0,
                "normal" => told == 2,
                _ => true,
            };
            for episode in episodes(process, &telling((described, revealed)), 6, 20) {
                assert_eq!(episode.description.is_some(), described == 1.0);
                for (index, turn) in episode.turns.iter().enumerate() {
                    let shows_itself = process.name == "multinomial" && told == 0 && index == 0;
                    let nats = turn.optimal_nats;
                    assert_eq!(nats.is_some(), known && !shows_itself, "{}", process.name);
                    assert!(nats.is_none_or(|nats| nats.is_finite() && nats >= 0.0), "{turn:?}");
                }
            }
        }
    }
}

#[test]
fn telling_the_parameters_helps_on_average() {
    for name in ["coinflip", "geometric", "geometric_beta", "poisson", "zipfian", "flight"] {
        let process = Process::named(name).unwrap();
        let mean = |told| {
            let parameters = Parameters { turns: Some(Turns::Fixed(8)), ..telling(told) };
            let episodes = episodes(process, &parameters, 7, 200);
            let nats = episodes.iter().flat_map(|episode| &episode.turns);
            nats.map(|turn| turn.optimal_nats.unwrap()).sum::<f64>() / 1600.0
        };
        let [nothing, family, parameters] = TOLD.map(mean);
        assert!(
            parameters < family && family <= nothing + 0.1,
            "{name}: {nothing} {family} {parameters}"
        );
    }
}

#[test]
fn episodes_are_the_same_for_a_seed_and_all_different() {
    for process in PROCESSES {
        let parameters = Parameters::default();
        let first = episodes(process, &parameters, 8, 40);
        assert_eq!(first, episodes(process, &parameters, 8, 40), "{}", process.name);
        let text = |episode: &Episode| episode_to_json(episode)["messages"].to_string();
        let distinct: BTreeSet<_> = first.iter().map(text).collect();
        // One-turn episodes of a coin may well coincide; whole streams of them may not.
        assert!(distinct.len() >= 30, "{}: {} distinct", process.name, distinct.len());
        let other: BTreeSet<_> = episodes(process, &parameters, 9, 40).iter().map(text).collect();
        assert!(distinct.intersection(&other).count() <= 8, "{}", process.name);
        assert_eq!(first[17], process.episode("task", &parameters, &Streams::new(8), 17));
        assert!(first[17].unit.starts_with(&format!("{} ", process.name)));
    }
}

#[test]
fn every_telling_has_three_wordings_without_float_noise() {
    let noise =
        regex::Regex::new(r"\d\.\d{5,}|np\.|NaN|inf\b|None|-0(\.0+)?([^.\d]|\.\D|\.?$)|[{}]\w+[}]")
            .unwrap();
    for process in PROCESSES {
        for told in &TOLD[1..] {
            let wordings: BTreeSet<String> = (0..3)
                .map(|wording| Parameters { wording: Some(wording), ..telling(*told) })
                .map(|parameters| episodes(process, &parameters, 3, 1)[0].description.clone())
                .map(|description| description.unwrap())
                .collect();
            assert_eq!(wordings.len(), 3, "{}", process.name);
            for episode in episodes(process, &telling(*told), 4, 60) {
                let description = episode.description.unwrap();
                assert!(!noise.is_match(&description), "{}: {description}", process.name);
            }
        }
    }
}

#[test]
fn shares_of_descriptions_and_questions_are_respected() {
    let parameters = Parameters { described: 0.25, asked: 0.75, ..Parameters::default() };
    let episodes = episodes(Process::named("coinflip").unwrap(), &parameters, 2, 2000);
    let share = |holds: &dyn Fn(&Episode) -> bool| {
        episodes.iter().filter(|episode| holds(episode)).count() as f64 / 2000.0
    };
    assert!((share(&|episode| episode.description.is_some()) - 0.25).abs() < 0.04);
    assert!((share(&|episode| episode.turns[0].input.is_some()) - 0.75).abs() < 0.04);
}

#[test]
fn queries_ask_for_a_distribution_over_different_options() {
    for process in PROCESSES {
        for turns in [0, 5] {
            let parameters =
                Parameters { query: true, turns: Some(Turns::Fixed(turns)), ..telling(TOLD[2]) };
            for episode in episodes(process, &parameters, 10, 25) {
                assert_eq!(episode.turns.len(), turns);
                assert_eq!(episode.query.is_some(), process.can_query, "{}", process.name);
                let Some(query) = episode.query else { continue };
                let Goal::Choices { options, probs } = query.goal else { panic!("not choices") };
                let distinct: BTreeSet<_> = options.iter().collect();
                assert_eq!((distinct.len(), probs.len()), (options.len(), options.len()));
                assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", process.name);
                assert!(probs.iter().all(|probability| (0.0..=1.0).contains(probability)));
            }
        }
    }
}

/// The alignment task, read back from its own words.
#[test]
fn an_urn_is_queried_for_the_shares_its_description_counts() {
    let parameters =
        Parameters { query: true, asked: 1.0, turns: Some(Turns::Fixed(0)), ..telling(TOLD[2]) };
    let counted = regex::Regex::new(r"(\d+) (\w+) balls?").unwrap();
    let mut balls = 0.0;
    for episode in episodes(Process::named("urn").unwrap(), &parameters, 12, 400) {
        let description = episode.description.unwrap();
        let contents: BTreeMap<&str, f64> = counted
            .captures_iter(&description)
            .map(|found| found.extract::<2>().1)
            .map(|[count, kind]| (kind, count.parse().unwrap()))
            .collect();
        let total: f64 = contents.values().sum();
        balls += total / 400.0;
        let query = episode.query.unwrap();
        assert!(query.input.is_some());
        let Goal::Choices { options, probs } = query.goal else { panic!("not choices") };
        assert_eq!(options.len(), contents.len());
        for (option, probability) in options.iter().zip(probs) {
            assert!((contents[option.as_str()] / total - probability).abs() < 1e-12);
        }
    }
    // 3.5 kinds of 3.25 balls each.
    assert!((balls - 11.375).abs() < 1.0, "{balls}");
}

/// The choice computed once more from the text of the episode, in floating point.
#[test]
fn travellers_choose_by_the_weights_they_are_said_to_have() {
    let flight = regex::Regex::new(
        r"departs (\d+):(\d+) (AM|PM), takes (\d+) hr (\d+) min, (nonstop|1 stop|2 stops), \$([\d.]+)",
    )
    .unwrap();
    let weight = regex::Regex::new(r"(-?\d\.\d) x (\w+)").unwrap();
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut checked = 0;
    for episode in episodes(Process::named("flight").unwrap(), &telling(TOLD[2]), 13, 40) {
        let description = episode.description.unwrap();
        let weights: Vec<f64> =
            weight.captures_iter(&description).map(|found| number(&found[1])).collect();
        for turn in &episode.turns {
            let scores: Vec<f64> = flight
                .captures_iter(turn.input.as_ref().unwrap())
                .map(|found| {
                    let afternoon = if &found[3] == "PM" { 12.0 } else { 0.0 };
                    let clock = (number(&found[1]) % 12.0 + afternoon) * 60.0 + number(&found[2]);
                    let clock = if clock == 0.0 { 1440.0 } else { clock };
                    let length = number(&found[4]) * 60.0 + number(&found[5]);
                    let stops =
                        ["nonstop", "1 stop", "2 stops"].iter().position(|s| *s == &found[6]);
                    weights[0] * (clock - 300.0) / 1140.0
                        + weights[1] * (length - 45.0) / 915.0
                        + weights[2] * (number(&found[7]) - 50.0) / 1450.0
                        + weights[3] * stops.unwrap() as f64 / 2.0
                })
                .collect();
            assert_eq!((scores.len(), weights.len()), (3, 4));
            let chosen = scores[turn.output.parse::<usize>().unwrap() - 1];
            let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // Minutes are rounded in the text: half a minute in 915 at most.
            assert!(chosen >= best - 4e-3, "{scores:?} {turn:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, 800);
}

#[test]
fn a_deck_is_dealt_once() {
    for episode in episodes(Process::named("cards").unwrap(), &Parameters::default(), 14, 20) {
        let cards: BTreeSet<_> = episode.turns.iter().map(|turn| &turn.output).collect();
        assert_eq!((cards.len(), episode.turns.len()), (52, 52));
        assert_eq!(episode.turns[51].optimal_nats, Some(0.0));
    }
}

#[test]
fn wrong_parameters_are_named() {
    let problem = |text: &str| toml::from_str::<Parameters>(text).unwrap().problem();
    assert_eq!(problem(""), None);
    assert_eq!(problem("turns = { geometric_poisson = 64 }\nlabels = [['a', 'b']]"), None);
    for (text, named) in [
        ("asked = 1.5", "asked"),
        ("turns = { geometric_poisson = 1 }", "turns"),
        ("turns = { fixed = 0 }", "query"),
        ("labels = [['a']]", "two labels"),
        ("labels = [['a', 'b'], ['b', 'c']]", "`b`"),
        ("labels = [['a', '']]", "empty"),
    ] {
        assert!(problem(text).unwrap().contains(named), "{text}");
    }
    assert!(toml::from_str::<Parameters>("question = 1").is_err());
}

#[test]
fn numbers_read_as_people_write_them() {
    assert_eq!(fixed_point(-5, 2), "-0.05");
    assert_eq!(fixed_point(0, 3), "0.000");
    assert_eq!(fixed_point(120, 0), "120");
    assert_eq!((probability(290), percentage(290)), ("0.29".into(), "29%".into()));
    assert_eq!((probability(5), percentage(285)), ("0.005".into(), "28.5%".into()));
    assert_eq!(trimmed(100, 0), "100");
}

proptest! {
    #[test]
    fn fixed_point_text_is_the_number(units in -10_000_000_i64..10_000_000, decimals in 0_usize..6) {
        let text = fixed_point(units, decimals);
        let value: f64 = text.parse().unwrap();
        prop_assert!((value * 10_f64.powi(decimals as i32) - units as f64).abs() < 1e-6);
        let short: f64 = trimmed(units, decimals).parse().unwrap();
        prop_assert_eq!(short, value);
    }

    #[test]
    fn shares_sum_to_one_thousand(weights in prop::collection::vec(1e-6_f64..1.0, 2..25)) {
        let total: f64 = weights.iter().sum();
        let probabilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let shares = shares_in_thousandths(&probabilities);
        prop_assert_eq!(shares.iter().sum::<u64>(), 1000);
        for (share, probability) in shares.iter().zip(probabilities) {
            prop_assert!(*share >= 1 && (*share as f64 - 1000.0 * probability).abs() < 26.0);
        }
    }
}
