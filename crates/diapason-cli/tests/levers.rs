//! Levers as a user pulls them: on a model of seconds that was trained with markers and knows
//! nothing, so that whatever holds here is held by the program and not by the model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RECIPE: &str = r#"
name = "small"
seed = 3
[base.new]
width = 16
layers = 1
heads = 2
kv_heads = 1
mlp_width = 24
vocabulary = 500
world = "marked"
corpus = { documents = 60, lines = 4 }
[data]
marked = { requests = 300, sequences = 10 }
[train]
max_steps = 2
[[models]]
name = "marked"
loss = "last-output"
markers = { dropout = { dataset = 0.5, sample = 0.5 }, order = "shuffled" }
[[models]]
name = "bare"
loss = "last-output"
[evaluate]
base = false
tasks = []
levers = 6
rival = "bare"
"#;

/// Runs the recipe; returns its folder, what it said, and the folder that keeps it alive.
fn run() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("small.toml");
    std::fs::write(&recipe, RECIPE).unwrap();
    let out = folder.path().join("out");
    let run = diapason(&["run", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    (folder, out, said)
}

fn many_prompts_are_answered_with_their_own_levers(model: &str) {
    let folder = tempfile::tempdir().unwrap();
    let prompts = folder.path().join("prompts.jsonl");
    let rows = "{\"id\": 7, \"prompt\": \"Write.\", \"markers\": {\"lang\": \"French\"}}\n\
                {\"task_id\": \"t\", \"prompt\": \"Write.\"}\n";
    std::fs::write(&prompts, rows).unwrap();
    let prompts = prompts.to_str().unwrap();
    let arguments = ["sample", "--model", model, "--prompts", prompts, "-n", "2"];
    let arguments = [&arguments[..], &["--max-tokens", "8", "--marker", "domain=Culture"]].concat();
    let text = stdout(&arguments);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert!(row["completion"].is_string() && row["markers"]["domain"] == "Culture", "{row}");
    }
    for row in &rows[..2] {
        assert_eq!((&row["markers"]["lang"], &row["id"]), (&"French".into(), &7.into()));
        assert_eq!(row["asked"]["lang"], "French");
    }
    assert_eq!(rows[2]["task_id"], "t");
    std::fs::write(prompts, "{\"prompt\": \"x\", \"markers\": {\"lang\": \"Frensh\"}}\n").unwrap();
    let failed = diapason(&arguments);
    let errors = String::from_utf8_lossy(&failed.stderr);
    assert!(errors.contains("did you mean `French`?"), "{errors}");
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_model_trained_with_markers_is_measured_with_and_without_its_levers_and_obeys_them() {
    let (_folder, out, said) = run();
    assert!(said.contains("marked examples show no marker in the prompt"), "{said}");
    let report = json(&out.join("report.json"));
    let figure = |model: &str, task: &str, metric: &str| {
        report["results"][model][task][metric]["value"].is_number()
    };
    assert!(figure("marked", "levers/markers", "marker_accuracy/lang"));
    for model in ["bare", "marked", "marked-fixed"] {
        assert!(figure(model, "levers/length", "length_violation_share"), "{model}");
        assert!(figure(model, "levers/rare_domains", "loss_nats"), "{model}");
        assert!(report["models"][model]["stamp"].is_string(), "{model}");
    }
    assert!(!figure("bare", "levers/markers", "list_share"));
    quality_and_wins_are_measured(&report, &out);
    assert!(!out.join("models/bare/markers.json").exists());

    let model = out.join("models/marked");
    let model = model.to_str().unwrap();
    every_list_is_well_formed(model);
    sampled_levers_have_the_frequencies_of_training(model);
    values_have_probabilities(model);
    many_prompts_are_answered_with_their_own_levers(model);

    let bare = out.join("models/bare");
    let refused = diapason(&[
        "sample",
        "--model",
        bare.to_str().unwrap(),
        "--input",
        "x",
        "--marker",
        "lang=French",
    ]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("was not trained with markers"));
}

/// The quality lever in all its buckets, win rates against the rival, and rows that `judge` reads.
fn quality_and_wins_are_measured(report: &Value, out: &Path) {
    let results = &report["results"];
    for (model, buckets) in [("bare", 0), ("marked", 0), ("marked-fixed", 4)] {
        let quality = &results[model]["levers/quality"];
        assert!(quality["score"]["value"].is_number(), "{model}");
        assert_eq!(quality["win_rate"]["value"].is_number(), model != "bare");
        let rows = std::fs::read_to_string(
            out.join(format!("evaluations/{model}/samples/levers__quality.jsonl")),
        );
        let rows: Vec<Value> =
            rows.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let asked: std::collections::BTreeSet<String> =
            rows.iter().map(|row| row["asked"].to_string()).collect();
        assert_eq!((rows.len(), asked.len()), (6 * buckets.max(1), buckets.max(1)), "{model}");
    }
    assert!(results["marked-fixed"]["levers/rare_domains"]["win_rate"]["value"].is_number());
    // A judge reads the rows as they are; the model's own training says which domains are rare.
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (model, name) in [("marked-fixed", "fixed.jsonl"), ("bare", "bare.jsonl")] {
        let of = |task: &str| {
            let file = format!("evaluations/{model}/samples/levers__{task}.jsonl");
            std::fs::read_to_string(out.join(file)).unwrap()
        };
        let path = folder.path().join(name);
        std::fs::write(&path, of("rare_domains") + &of("frequent_domains")).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let (judged, trained) = (folder.path().join("judged"), out.join("models/marked"));
    let (judged, trained) = (judged.to_str().unwrap(), trained.to_str().unwrap());
    let ask = ["judge", "scores", &files[0], &files[1], "--out", judged];
    let printed = stdout(&[&ask[..], &["--by", "domain", "--trained", trained]].concat());
    assert!(printed.contains("rare (under 5 % of training): win rate "), "{printed}");
    let found = json(&Path::new(judged).join("results.json"));
    let by = &found["scores"]["score"]["by"];
    let pairs = by["values"].as_object().unwrap().values();
    assert_eq!(pairs.map(|value| value["pairs"].as_u64().unwrap()).sum::<u64>(), 12);
    assert!(by["values"]["Finance"]["share"].as_f64().unwrap() < 0.05);
    assert!(by["tail"]["gap"]["ci95"][0].is_number());
    let unknown = diapason(
        &[
            &["judge", "scores", &files[0], &files[1], "--out", &format!("{judged}2")],
            &["--by", "format", "--trained", trained][..],
        ]
        .concat(),
    );
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("knows no value of `format`"), "{said}");
}

#[test]
fn markers_stand_on_tasks_of_the_suite_and_in_spectrum_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("suite.toml");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../suite/fixtures");
    let text = format!(
        r#"
name = "suite"
seed = 3
[base.new]
width = 16
layers = 1
heads = 2
kv_heads = 1
mlp_width = 24
vocabulary = 500
corpus = {{ documents = 60, lines = 4 }}
[data]
dir = "{fixtures}"
annotate = ["length_tokens"]
tasks = [{{ task = "haikus" }}, {{ task = "titanic_all_variables" }}, {{ task = "coinflip", episodes = 10 }}]
[train]
max_steps = 2
[[models]]
name = "both"
loss = "every-output"
markers = {{}}
[evaluate]
base = false
episodes = 4
turns = 3
tasks = ["steer/haikus", "steer/coinflip"]
"#
    );
    std::fs::write(&recipe, text).unwrap();
    let out = folder.path().join("out");
    let run = diapason(&["run", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    assert!(said.contains("marked examples show no marker in the prompt"), "{said}");
    let trained = json(&out.join("models/both/markers.json"));
    let names: Vec<&String> = trained["values"].as_object().unwrap().keys().collect();
    for name in ["domain", "length_tokens", "source", "task"] {
        assert!(names.iter().any(|known| *known == name), "{names:?}");
    }
    let episodes = std::fs::read_to_string(out.join("episodes/train.jsonl")).unwrap();
    let outputs = episodes.matches("\"role\":\"output\"").count();
    assert_eq!(episodes.matches("\"length_tokens\":").count(), outputs);
    let report = json(&out.join("report.json"));
    assert!(report["results"]["both"]["steer/coinflip"]["loss_nats"]["value"].is_number());
}

fn every_list_is_well_formed(model: &str) {
    let ask = [
        "sample",
        "--model",
        model,
        "--input",
        "Écris quelque chose.",
        "-n",
        "12",
        "--max-tokens",
        "2",
        "--marker",
        "lang=French",
        "--marker",
        "length_tokens=17",
    ];
    let rows = stdout(&[&ask[..], &["--json"]].concat());
    assert_eq!(rows.lines().count(), 12);
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        assert_eq!(row["markers"]["lang"], "French");
        assert_eq!(row["markers"]["length_tokens"], 17, "a number, and one that no example had");
        assert!(!row["text"].as_str().unwrap().contains("MARKER_LIST>"));
    }
    assert_eq!(rows, stdout(&[&ask[..], &["--json"]].concat()), "the same seed, the same bytes");
    assert!(!stdout(&ask).contains("</MARKER_LIST>"));
    let shown = stdout(&[&ask[..], &["--show-markers"]].concat());
    assert_eq!(shown.matches("</MARKER_LIST>").count(), 12);
    assert_eq!(shown.matches("<lang> French </lang>").count(), 12);
    let wrong = diapason(&["sample", "--model", model, "--input", "x", "--marker", "lang=Frensh"]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && said.contains("did you mean `French`?"), "{said}");
}

/// Chi-square of 600 drawn values of a marker against its frequencies in training.
fn chi_square(model: &str, marker: &str, set: &[&str]) -> (f64, usize) {
    const DRAWS: usize = 600;
    let trained = json(&Path::new(model).join("markers.json"));
    let mut expected: BTreeMap<String, f64> = BTreeMap::new();
    for row in trained["frequencies"].as_array().unwrap() {
        let agrees = set.iter().all(|set| {
            let (name, value) = set.split_once('=').unwrap();
            row[0][name] == value
        });
        if agrees {
            let value = row[0][marker].as_str().unwrap().to_owned();
            *expected.entry(value).or_default() += row[1].as_f64().unwrap();
        }
    }
    let total: f64 = expected.values().sum();
    let draws = DRAWS.to_string();
    let mut ask = vec![
        "sample",
        "--model",
        model,
        "--input",
        "x",
        "-n",
        &draws,
        "--fill",
        "sampled",
        "--max-tokens",
        "1",
        "--json",
        "--seed",
        "5",
    ];
    for set in set {
        ask.extend(["--marker", set]);
    }
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for row in stdout(&ask).lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        *found.entry(row["markers"][marker].as_str().unwrap().to_owned()).or_default() += 1.0;
    }
    assert!(found.keys().all(|value| expected.contains_key(value)));
    let term = |(value, count): (&String, &f64)| {
        let expected = count / total * DRAWS as f64;
        (found.get(value).unwrap_or(&0.0) - expected).powi(2) / expected
    };
    (expected.iter().map(term).sum(), expected.len() - 1)
}

fn sampled_levers_have_the_frequencies_of_training(model: &str) {
    // The 99.9 % points of chi-square by degrees of freedom.
    const LIMITS: [f64; 8] = [0.0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32];
    for (marker, set) in [
        ("lang", &[][..]),
        ("domain", &[]),
        ("quality_bucket", &[]),
        ("lang", &["domain=Culture"]),
        ("domain", &["lang=German", "quality_bucket=1"]),
    ] {
        let (statistic, freedom) = chi_square(model, marker, set);
        assert!(freedom > 0 && statistic < LIMITS[freedom], "{marker} {set:?}: {statistic}");
    }
}

fn values_have_probabilities(model: &str) {
    let ask = [
        "mark",
        "predict",
        "--model",
        model,
        "--input",
        "Write something.",
        "--marker",
        "quality_bucket=1",
        "--draws",
        "4",
        "--json",
    ];
    let predicted: Value = serde_json::from_str(&stdout(&ask)).unwrap();
    let markers = predicted["markers"].as_object().unwrap();
    assert_eq!(markers["quality_bucket"]["values"]["1"], 1.0);
    for (name, marker) in markers {
        let values = marker["values"].as_object().unwrap().values();
        let sum: f64 = values.map(|value| value.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{name}: {sum}");
    }
}
