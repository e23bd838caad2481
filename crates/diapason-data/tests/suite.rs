//! A walk over every task of the embedded suite, on made-up rows and on the genuine files.

use diapason_data::{Access, BuildSettings, Family, OutputType, Split, Status, Suite, Task};
use diapason_flow::{Episode, Goal, Query, Streams, episode_to_json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

fn suite() -> Suite {
    Suite::embedded().expect("the embedded suite is sound")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suite/fixtures")
}

/// The genuine files, where this machine has them.
fn genuine() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    folder.exists().then_some(folder)
}

fn build(suite: &Suite, task: &Task, data: &Path, seed: u64) -> Vec<Episode> {
    // Some hundred episodes of a process tell no more than twenty.
    let max_episodes = (task.access == Access::Synthetic).then_some(20);
    let settings = BuildSettings { max_episodes, ..BuildSettings::default() };
    let built = suite.build(task, Some(data), &settings, &Streams::new(seed));
    built.unwrap_or_else(|error| panic!("{}: {error}", task.name))
}

#[test]
fn names_are_unique_and_everything_is_documented() {
    let suite = suite();
    assert!(suite.tasks().len() >= 11);
    let names: HashSet<_> = suite.tasks().iter().map(|task| &task.name).collect();
    assert_eq!(names.len(), suite.tasks().len());
    for task in suite.tasks() {
        assert!(task.title.len() > 10, "{} has no title", task.name);
        assert!(!task.licence.is_empty(), "{} has no licence", task.name);
        assert!(task.output_type.is_some(), "{} does not say what its outputs are", task.name);
        let known = ["domain", "task", "source", "lang", "format", "style", "code_type"];
        for (marker, _) in task.markers.iter() {
            assert!(known.contains(&marker), "{}: the marker {marker}", task.name);
        }
        assert_eq!(task.file, format!("suite/tasks/{}.toml", task.name));
    }
    for source in suite.sources() {
        let said = [&source.title, &source.citation, &source.licence, &source.locator];
        assert!(said.iter().all(|text| !text.is_empty()), "{} is incomplete", source.name);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suite");
    let loaded = Suite::load(&path).unwrap();
    assert_eq!(loaded.tasks().len(), suite.tasks().len(), "the folder is what is embedded");
}

#[test]
fn every_task_builds_from_the_fixtures_and_depends_on_the_seed_alone() {
    let suite = suite();
    for task in suite.tasks() {
        let status = suite.check(task, Some(&fixtures()));
        let whole =
            matches!(&status, Status::Ready { episodes: 1.., missing } if missing.is_empty());
        assert!(whole, "{}: {status:?}", task.name);
        let episodes = build(&suite, task, &fixtures(), 7);
        assert_eq!(episodes, build(&suite, task, &fixtures(), 7), "{}", task.name);
        check_episodes(task, &episodes);
        if task.access != Access::Synthetic {
            let text = serde_json::to_string_pretty(&episode_to_json(&episodes[0])).unwrap();
            insta::assert_snapshot!(task.name.clone(), text);
        }
    }
}

fn check_episodes(task: &Task, episodes: &[Episode]) {
    for episode in episodes {
        assert_eq!(episode.task, task.path());
        assert!(!episode.unit.is_empty(), "{}", task.name);
        let goal = episode.query.as_ref().map(|query| &query.goal);
        match task.family {
            Family::Steer => {
                let least = if task.access == Access::Synthetic { 1 } else { 2 };
                assert!(episode.turns.len() >= least, "{}", task.name);
                for turn in &episode.turns {
                    let output = &turn.output;
                    assert!(
                        is_of_type(task.output_type_of(episode), output),
                        "{}: {output}",
                        task.name
                    );
                }
            }
            Family::Align => assert!(matches!(goal, Some(Goal::Choices { .. })), "{}", task.name),
            Family::Cover => assert!(matches!(goal, Some(Goal::Valid(_))), "{}", task.name),
        }
        for text in texts(episode) {
            assert!(!leaks(text), "{}: {text}", task.name);
            assert!(!text.contains("\r\n"), "{}: {text:?}", task.name);
        }
    }
}

/// Whether an output is what its task says of it.
fn is_of_type(stated: Option<OutputType>, output: &str) -> bool {
    match stated {
        Some(OutputType::Numeric) => output.trim_end_matches('%').parse::<f64>().is_ok(),
        Some(OutputType::Json) => serde_json::from_str::<serde_json::Value>(output).is_ok(),
        Some(OutputType::Categorical) => output.chars().count() <= 40 && !output.contains('\n'),
        Some(OutputType::FreeText) => true,
        None => false,
    }
}

/// Whether a missing value or a printed Python object shows.
fn leaks(text: &str) -> bool {
    let shown = [": None", ": nan", ": NaN", "np.float", "np.int", "<class '"];
    // A lone None can be what a person wrote.
    ["nan", "NaN", "null"].contains(&text) || shown.iter().any(|leak| text.contains(leak))
}

fn texts(episode: &Episode) -> impl Iterator<Item = &str> {
    let turns = episode.turns.iter().flat_map(|turn| turn.input.iter().chain([&turn.output]));
    episode.description.iter().chain(turns).map(String::as_str)
}

#[test]
fn fixture_tasks_have_three_wordings_that_all_occur() {
    let suite = suite();
    for task in suite.tasks().iter().filter(|task| task.access != Access::Synthetic) {
        let words: BTreeSet<String> = (0..60)
            .flat_map(|seed| build(&suite, task, &fixtures(), seed))
            .filter_map(|episode| episode.description)
            .collect();
        let least = if task.family == Family::Cover { 1 } else { 3 };
        assert!(words.len() >= least, "{}: {words:?}", task.name);
    }
}

/// The tasks that have rows in none of some folders.
fn without_rows(suite: &Suite, folders: &[PathBuf]) -> Vec<String> {
    let has_rows = |task: &Task, folder: &PathBuf| {
        matches!(suite.check(task, Some(folder)), Status::Ready { episodes: 1.., .. })
    };
    let tasks = suite.tasks().iter().filter(|task| task.access != Access::Synthetic);
    let lacks = |task: &&Task| !folders.iter().any(|folder| has_rows(task, folder));
    tasks.filter(lacks).map(|task| task.name.clone()).collect()
}

#[test]
fn every_task_has_genuine_rows_or_made_up_ones_in_the_genuine_format() {
    let suite = suite();
    let mut folders = vec![fixtures()];
    folders.extend(genuine());
    assert_eq!(without_rows(&suite, &folders), [""; 0]);
    // Without the made-up rows of a source exactly its tasks have none.
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures()).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.path().is_dir() && name != "wvs" && name != "valueprism" {
            #[cfg(unix)]
            std::os::unix::fs::symlink(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    let lacking: BTreeSet<String> =
        without_rows(&suite, &[folder.path().to_owned()]).into_iter().collect();
    let of_source = |task: &&Task| ["wvs", "valueprism"].contains(&task.source.as_str());
    let tasks = suite.tasks().iter().filter(of_source).map(|task| task.name.clone());
    assert_eq!(lacking, tasks.collect());
}

#[test]
fn missing_files_are_named_with_their_place() {
    let suite = suite();
    for task in suite.tasks().iter().filter(|task| task.access != Access::Synthetic) {
        let Status::Missing { missing } = suite.check(task, None) else {
            panic!("{} needs no files", task.name)
        };
        for file in missing {
            assert!(file.file.contains('/') && file.place.len() > 10, "{file:?}");
        }
    }
}

#[test]
fn the_listing_has_the_fields_that_scripts_rely_on() {
    let suite = suite();
    let task = suite.matching("polis_vote").unwrap()[0];
    let row = serde_json::to_value(task).unwrap();
    let expected = serde_json::json!({
        "name": "polis_vote", "family": "steer", "kind": "individual", "split": "train",
        "source": "polis", "licence": "CC BY 4.0", "access": "auto",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&row[key], value);
    }
    let missing = serde_json::to_value(suite.check(task, None)).unwrap();
    assert_eq!(missing["status"], "missing");
    assert_eq!(missing["missing"][0]["file"], "polis/*/comments.csv");
    assert!(missing["missing"][0]["where"].as_str().unwrap().contains("compdemocracy"));
    assert!(suite.matching("align/*").unwrap().iter().all(|task| task.split == Split::Test));
}

/// A checksum of everything that some episodes say, in no order: what is given and what follows.
fn digest<'a>(episodes: impl Iterator<Item = &'a Episode>) -> String {
    let asked = |query: &Query| {
        let Goal::Choices { options, probs } = &query.goal else { return None };
        let shares = options.iter().zip(probs);
        let shares: Vec<String> =
            shares.map(|(option, share)| format!("{option} {share:.6}")).collect();
        Some(serde_json::json!([query.input, shares.join(", ")]).to_string())
    };
    let mut pairs = BTreeSet::new();
    for episode in episodes {
        let turns = episode.turns.iter();
        pairs.extend(turns.map(|turn| serde_json::json!([turn.input, turn.output]).to_string()));
        pairs.extend(episode.query.as_ref().and_then(asked));
    }
    let lines: Vec<String> = pairs.into_iter().collect();
    let bytes = Sha256::digest(lines.join("\n"));
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

/// What tests/golden/data/counts.py finds with pandas: numbers of episodes, units and turns, and
/// checksums of the texts of all episodes and of the first unit by name.
const GENUINE: &str = include_str!("../../../tests/golden/data/counts.json");

#[test]
fn genuine_files_give_the_counts_of_an_independent_reader() {
    let Some(data) = genuine() else { return };
    let golden: serde_json::Value = serde_json::from_str(GENUINE).unwrap();
    let suite = suite();
    for task in suite.tasks().iter().filter(|task| task.access != Access::Synthetic) {
        // A sample of a few rows may hold no person with two of them.
        let status = suite.check(task, Some(&data));
        if !matches!(status, Status::Ready { episodes: 1.., .. }) {
            continue;
        }
        let episodes = build(&suite, task, &data, 1);
        check_episodes(task, &episodes);
        let Some(counts) = golden.get(&task.name) else { continue };
        let units: HashSet<_> = episodes.iter().map(|episode| &episode.unit).collect();
        let turns: usize = episodes.iter().map(|episode| episode.turns.len()).sum();
        let first = units.iter().min().unwrap();
        let of_first = episodes.iter().filter(|episode| episode.unit == **first);
        let found = serde_json::json!({
            "episodes": episodes.len(), "units": units.len(), "turns": turns,
            "content": digest(episodes.iter()), "first": digest(of_first),
        });
        for (key, count) in counts.as_object().unwrap() {
            assert_eq!(&found[key], count, "{}: {key}", task.name);
        }
    }
}
