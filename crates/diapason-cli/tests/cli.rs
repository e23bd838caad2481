//! The binary as a user meets it: verbs, files, figures, errors and exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn failure(arguments: &[&str]) -> String {
    let output = diapason(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "data was printed beside an error");
    String::from_utf8(output.stderr).unwrap()
}

/// Quickstart at a size that takes seconds: everything happens, nothing is learned well.
fn small_quickstart(out: &Path, extra: &[&str]) -> Output {
    let out = out.to_str().unwrap();
    let small = [
        "base.new.width=32",
        "base.new.layers=1",
        "base.new.heads=2",
        "base.new.kv_heads=1",
        "base.new.mlp_width=48",
        "base.new.vocabulary=400",
        "base.new.corpus.documents=200",
        "data.tasks=[{ task = \"world_urn\", episodes = 60 }, { task = \"world_members\", episodes = 60 }]",
        "evaluate.episodes=8",
        "evaluate.draws=10",
        "evaluate.temperatures=[1.0]",
    ];
    let mut arguments = vec!["quickstart", "--out", out];
    for setting in small.iter().chain(extra) {
        arguments.extend(["--set", setting]);
    }
    diapason(&arguments)
}

#[test]
fn quickstart_writes_the_contract_and_reuses_finished_stages() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("quickstart");
    let first = small_quickstart(&out, &[]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let report: Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    for key in ["diapason", "settings", "seed", "models", "results", "curves", "comparisons"] {
        assert!(report.get(key).is_some(), "report.json has no `{key}`");
    }
    for model in ["base", "single-answer", "ordinary", "spectrum"] {
        let figure = &report["results"][model]["align/urn"]["js_nats"];
        for key in ["value", "stderr", "ci95", "n"] {
            assert!(figure.get(key).is_some(), "{model}: no `{key}` in {figure}");
        }
        assert!(report["results"][model]["cover/*"]["yield"]["value"].is_number());
        assert!(report["curves"][model]["steer/world_urn"]["loss_nats"][0]["x"].is_number());
    }
    assert!(report["claims"].as_array().is_some_and(|claims| !claims.is_empty()));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("spectrum") && !page.contains("src=\"http"));

    let again = small_quickstart(&out, &[]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && said.contains("base: finished before, reused"), "{said}");
    let other = small_quickstart(&out, &["base.new.context=256"]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("with other settings"), "{said}");

    let model = out.join("models/spectrum");
    ask_the_model(model.to_str().unwrap());
    let evaluations: Vec<String> = ["base", "spectrum"]
        .iter()
        .map(|name| out.join("evaluations").join(name).to_string_lossy().into_owned())
        .collect();
    let page = folder.path().join("two.html");
    stdout(&["report", &evaluations[0], &evaluations[1], "--out", page.to_str().unwrap()]);
    assert!(page.with_extension("json").exists());
}

fn a_beginning_is_forced(model: &str) {
    let prompt = ["sample", "--model", model, "--description", "A fruit.", "--json"];
    let more = ["-n", "4", "--max-tokens", "12", "--begin", "a plum"];
    let drawn = stdout(&[&prompt[..], &more].concat());
    assert_eq!(drawn.lines().count(), 4);
    for row in drawn.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert!(row["text"].as_str().unwrap().trim_start().starts_with("a plum"), "{row}");
        let nats = |name: &str| row[name].as_f64().unwrap();
        assert!(nats("logprob_nats") <= nats("begin_nats") && nats("begin_nats") < 0.0, "{row}");
    }
    let said = failure(&[&prompt[..], &["--begin", "a", "--choice", "b"]].concat());
    assert!(said.contains("`begin` leads out of the constraint"), "{said}");
}

fn ask_the_model(model: &str) {
    let draw = |seed: &str| {
        stdout(&[
            "sample",
            "--model",
            model,
            "--description",
            "A fruit.",
            "--output",
            "plum",
            "-n",
            "3",
            "--seed",
            seed,
            "--max-tokens",
            "8",
            "--json",
        ])
    };
    let rows: Vec<Value> =
        draw("1").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    for key in ["text", "tokens", "logprob_nats", "stop", "markers"] {
        assert!(rows[0].get(key).is_some(), "no `{key}` in {}", rows[0]);
    }
    assert_eq!(draw("1"), draw("1"));
    a_beginning_is_forced(model);

    let prompt = ["score", "--model", model, "--description", "A coin.", "--json"];
    let scored = stdout(&[&prompt[..], &["--option", "heads", "--option", "tails"]].concat());
    let scored: Value = serde_json::from_str(&scored).unwrap();
    let share = |index: usize| scored["options"][index]["probability"].as_f64().unwrap();
    assert!((share(0) + share(1) - 1.0).abs() < 1e-9);
    assert!(scored["mass"].as_f64().unwrap() <= 1.0);
    let rounded = ["--option", "heads", "--option", "tails", "--product-precision", "bf16"];
    let rounded: Value = serde_json::from_str(&stdout(&[&prompt[..], &rounded].concat())).unwrap();
    let change = rounded["options"][0]["probability"].as_f64().unwrap() - share(0);
    assert!(change != 0.0 && change.abs() < 0.05, "{rounded} for {scored}");

    let text = stdout(&["score", "--model", model, "--text", "a plum", "--top", "2", "--json"]);
    let text: Value = serde_json::from_str(&text).unwrap();
    let tokens = text["tokens"].as_array().unwrap();
    assert!(tokens[0].get("logprob_nats").is_none());
    assert_eq!(tokens[1]["top"].as_array().unwrap().len(), 2);
    let total: f64 = tokens.iter().filter_map(|token| token["logprob_nats"].as_f64()).sum();
    assert!((total - text["total_nats"].as_f64().unwrap()).abs() < 1e-4);

    let inspected: Value =
        serde_json::from_str(&stdout(&["model", "inspect", model, "--json"])).unwrap();
    assert_eq!(inspected["arch"]["width"], 32);
}

#[test]
fn the_suite_is_listed_shown_checked_and_built() {
    let list: Value = serde_json::from_str(&stdout(&["suite", "ls", "--json"])).unwrap();
    let list = list.as_array().unwrap();
    for row in list {
        for key in ["name", "family", "kind", "split", "output_type", "source", "licence", "access"]
        {
            assert!(row[key].is_string(), "no `{key}` in {row}");
        }
    }
    for name in ["polis_vote", "coinflip", "urn", "weekdays_full", "nytimes"] {
        assert!(list.iter().any(|row| row["name"] == name), "{name} is not listed");
    }
    let shown = stdout(&["suite", "show", "coinflip"]);
    assert!(shown.contains("<|output|>⟦") && shown.contains("<|end|>⟧"), "{shown}");

    let checked: Value = serde_json::from_str(&stdout(&["suite", "check", "--json"])).unwrap();
    let find = |name: &str| {
        checked.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(find("coinflip")["status"], "ready");
    let missing = find("polis_vote");
    assert_eq!(missing["status"], "missing");
    assert!(missing["missing"][0]["file"].as_str().unwrap().contains("polis"));
    assert!(missing["missing"][0]["where"].as_str().unwrap().len() > 10);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("episodes");
    let out_text = out.to_str().unwrap();
    for format in ["jsonl", "parquet"] {
        let place = format!("{out_text}-{format}");
        let arguments = ["suite", "build", "--tasks", "coin*", "--out", &place, "--limit", "5"];
        stdout(&[&arguments[..], &["--format", format]].concat());
        assert!(Path::new(&place).join(format!("coinflip.{format}")).exists());
        assert!(Path::new(&place).join("stamp.json").exists());
    }
}

#[test]
fn errors_say_what_where_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let said = failure(&["run", &at("none.toml")]);
    assert!(said.contains("none.toml") && said.contains("hint:"), "{said}");

    std::fs::write(at("bad.toml"), "seeed = 1\n").unwrap();
    let said = failure(&["run", &at("bad.toml")]);
    assert!(said.contains("did you mean `seed`?") && said.contains("line 1"), "{said}");

    let said = failure(&["quickstart", "--out", &at("q"), "--set", "train.learning_rat=1"]);
    assert!(said.contains("did you mean `learning_rate`?"), "{said}");
    assert!(!Path::new(&at("q")).exists(), "a refused run leaves nothing behind");

    let said = failure(&["quickstart", "--out", &at("q"), "--product-precision", "bf16"]);
    assert!(said.contains("--set train.precision=bf16"), "{said}");

    let said = failure(&["quickstart", "--out", &at("f"), "--set", "base.new.family=\"qwen9\""]);
    assert!(said.contains("`base.new.family` is \"qwen9\", not one of llama, qwen2"), "{said}");
    let said = failure(&["quickstart", "--out", &at("l"), "--set", "base.new.family=\"llama\""]);
    assert!(said.contains("`llama` has no variant with windows"), "{said}");
    for folder in ["f", "l"] {
        assert!(!Path::new(&at(folder)).exists(), "a refused run leaves nothing behind");
    }

    let said = failure(&["suite", "show", "coinflop"]);
    assert!(said.contains("did you mean `coinflip`?"), "{said}");

    std::fs::create_dir(at("empty")).unwrap();
    let said = failure(&["sample", "--model", &at("empty"), "--description", "x"]);
    assert!(said.contains("empty"), "{said}");

    let wrong_usage = diapason(&["score"]);
    assert_eq!(wrong_usage.status.code(), Some(2));
}

#[test]
fn a_recipe_resolves_and_says_its_stages_without_running() {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/quickstart.toml");
    let text = stdout(&["run", recipe, "--dry-run", "--set", "seed=5"]);
    assert!(text.contains("seed = 5") && text.contains("# runs/quickstart/models/spectrum"));
}
