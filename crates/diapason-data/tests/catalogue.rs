//! Every task beside the facts that are known of the reference's, where this machine has them.

use diapason_data::{Family, Kind, Split, Suite, Task};
use regex::Regex;
use std::path::{Path, PathBuf};
use toml::Value;

/// A file of the catalogue, if there is one.
fn catalogue(name: &str) -> Option<Vec<toml::Table>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suite").join(name);
    let text = std::fs::read_to_string(path).ok()?;
    let file: toml::Table = toml::from_str(&text).expect("the catalogue is TOML");
    let tasks = file["task"].as_array().expect("a list of tasks");
    Some(tasks.iter().map(|task| task.as_table().expect("a table").clone()).collect())
}

fn text<'table>(table: &'table toml::Table, key: &str) -> &'table str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(pattern: &str, text: &str) -> Option<i64> {
    Regex::new(pattern).expect("our own pattern").captures(text)?[1].parse().ok()
}

fn task<'suite>(suite: &'suite Suite, fact: &toml::Table) -> &'suite Task {
    suite.matching(text(fact, "name")).expect("the suite has the task")[0]
}

/// What a task file says, where the library does not show it.
fn file(task: &Task) -> toml::Table {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(folder.join(&task.file)).expect("a task file");
    toml::from_str(&text).expect("the task file is TOML")
}

fn samplings(file: &toml::Table) -> Vec<toml::Table> {
    let own = |table: &toml::Table| match table.get("sampling") {
        Some(Value::Table(sampling)) => sampling.clone(),
        _ => toml::Table::new(),
    };
    match file.get("part").and_then(Value::as_array) {
        Some(parts) => parts.iter().map(|part| own(part.as_table().expect("a table"))).collect(),
        None => vec![own(file)],
    }
}

/// Tasks that are sampled otherwise on purpose; their `differs` says why.
const OTHERWISE: &[&str] = &[
    "ambient_ambiguity_detection",
    "ambient_annotation_distributions",
    "ambient_disambiguation",
    "ambient_interpretation_labels",
    "ambient_premise_hypothesis",
    "gpqa",
    "gsm8k_answer_from_question",
    "gsm8k_question",
    "gsm8k_question_answer",
    "gsm8k_question_from_answer",
    "issuebench",
    "mmlu",
    "opinionqa_questions",
];

#[test]
fn in_context_tasks_are_those_of_the_catalogue() {
    let Some(facts) = catalogue("train_eval_tasks.toml") else { return };
    let suite = Suite::embedded().unwrap();
    assert_eq!(facts.len(), 93);
    let mut trained = 0;
    for fact in &facts {
        let task = task(&suite, fact);
        let name = &task.name;
        assert_eq!(task.family, Family::Steer, "{name}");
        let kind = match text(fact, "kind") {
            "individual" => Kind::Individual,
            "synthetic-process" => Kind::Process,
            _ => Kind::Iid,
        };
        assert_eq!(task.kind, kind, "{name}");
        let split = if text(fact, "split") == "train" { Split::Train } else { Split::Test };
        assert_eq!(task.split, split, "{name}");
        trained += usize::from(split == Split::Train);
        let stated = serde_json::to_value(task.output_type).unwrap();
        assert_eq!(stated, text(fact, "output_type"), "{name}");
        // The files lie in a public repository too, or only at an address that is no plain file.
        let access = match task.source.as_str() {
            "drop" => "manual",
            source if source.starts_with("lewidi") => "auto",
            _ => text(fact, "access"),
        };
        assert_eq!(serde_json::to_value(task.access).unwrap(), access, "{name}");
        let words = text(fact, "sampling");
        let like =
            |other: &&toml::Table| words.starts_with(&format!("As {} ", text(other, "name")));
        let like = facts.iter().find(like).unwrap_or(fact);
        check_sampling(task, text(like, "sampling"));
    }
    assert_eq!(trained, 71);
}

/// Compares what can be read from the catalogue's words.
fn check_sampling(task: &Task, words: &str) {
    let (name, file) = (&task.name, file(task));
    if task.kind == Kind::Process {
        let episodes = file["episodes"].as_integer();
        assert_eq!(episodes, number(r"^(\d+) (?:sequences|simulated people)", words), "{name}");
        return;
    }
    if OTHERWISE.contains(&name.as_str()) {
        let said = task.differs.iter().any(|line| line.contains("chunks"));
        assert!(said, "{name} does not say how it is sampled otherwise");
        return;
    }
    let words = words.to_lowercase();
    let chunks = words.contains("chunk mode");
    let mean = number(r"g\+p\((\d+)\)", &words);
    let fixed = number(r"fixed chunks of (\d+)", &words)
        .or(number(r"each of (\d+) prompts", &words))
        .or(number(r"up to (\d+) (?:rows|of their)", &words));
    let most = number(r"at most (\d+) sequences", &words);
    let draws = number(r"(\d+) (?:sequences|independent shuffles)", &words).filter(|_| !chunks);
    for sampling in samplings(&file) {
        let mode = sampling.get("mode").and_then(Value::as_str).unwrap_or("draw");
        assert_eq!(mode == "chunk", chunks, "{name}: {mode}");
        let length = sampling.get("length");
        let inner = |key: &str| length.and_then(|length| length.get(key)?.as_integer());
        assert_eq!(inner("geometric_poisson"), mean, "{name}");
        assert_eq!(inner("fixed"), fixed, "{name}");
        if most.is_some() {
            assert_eq!(sampling.get("max_episodes").and_then(Value::as_integer), most, "{name}");
        }
        if !chunks && let Some(draws) = draws.filter(|_| fixed.is_none()) {
            let per_unit = sampling.get("per_unit").and_then(Value::as_integer).unwrap_or(1);
            let orders = number(r"then (\d+) permutations", &words).unwrap_or(draws);
            assert_eq!(per_unit, orders, "{name}");
        }
    }
}

#[test]
fn alignment_and_coverage_tasks_are_those_of_the_catalogue() {
    let (Some(align), Some(cover)) =
        (catalogue("alignment_tasks.toml"), catalogue("coverage_tasks.toml"))
    else {
        return;
    };
    let suite = Suite::embedded().unwrap();
    assert_eq!((align.len(), cover.len()), (8, 22));
    for fact in &align {
        let task = task(&suite, fact);
        assert_eq!((task.family, task.split), (Family::Align, Split::Test), "{}", task.name);
        let access = text(fact, "access");
        assert_eq!(serde_json::to_value(task.access).unwrap(), access, "{}", task.name);
    }
    for fact in &cover {
        let task = task(&suite, fact);
        assert_eq!((task.family, task.split), (Family::Cover, Split::Test), "{}", task.name);
        let file = file(task);
        let count = |key: &str| file[key].as_array().map_or(0, Vec::len);
        assert_eq!(count("examples"), 3, "{}", task.name);
        assert!(count("descriptions") >= 3, "{}", task.name);
    }
}
