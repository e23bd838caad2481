//! Coverage tasks judged by an endpoint, and answers of a model on their way to a judge.

use crate::at;
use crate::common::diapason;
use crate::judge::{Judge, errors, json_in, lines, reply, rough, succeeded};
use crate::server::Answer;
use diapason_eval::settled;
use diapason_flow::Streams;
use diapason_model::{Arch, Model, SpecialIds, Variant};
use diapason_text::train_tokenizer;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// A model that says anything.
fn babbler(folder: &Path) {
    let text = "one two three four five six seven eight nine ten eleven twelve";
    let tokenizer = train_tokenizer([text].into_iter(), 300).unwrap();
    let arch = Arch {
        family: "llama".to_owned(),
        width: 8,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        head_width: 4,
        mlp_width: 12,
        vocabulary: tokenizer.vocabulary_size(),
        context: 96,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: Variant::default(),
    };
    let model = Model::random(arch, &Streams::new(3)).unwrap();
    model.save(folder, &SpecialIds::default()).unwrap();
    tokenizer.save(folder).unwrap();
}

fn even(text: &str) -> bool {
    text.chars().count().is_multiple_of(2)
}

/// Texts of even length are valid, those of like length are the same.
fn by_length(about: &Value, _: bool) -> Answer {
    let text = |name: &str| about[name].as_str().unwrap_or_default();
    if about["criterion"].is_string() {
        return reply(json!({"valid": even(text("answer"))}).to_string());
    }
    let lengths = ["first", "second"].map(|name| text(name).chars().count() / 8);
    reply(json!({"same": lengths[0] == lengths[1]}).to_string())
}

#[test]
fn coverage_tasks_are_judged_when_a_judge_is_named_and_say_so_when_not() {
    let folder = tempfile::tempdir().unwrap();
    babbler(&folder.path().join("model"));
    std::fs::create_dir_all(folder.path().join("suite")).unwrap();
    for (name, valid) in [
        ("strict", "kind = 'judged'\ncriterion = 'an even number of letters'"),
        ("open", "kind = 'open'\nsimilarity = 1.0"),
    ] {
        let task = format!(
            "name = '{name}'\ntitle = 't'\nfamily = 'cover'\nkind = 'iid'\nsplit = 'test'\n\
             descriptions = ['words']\nexamples = ['one', 'two', 'three']\n[valid]\n{valid}\n"
        );
        std::fs::write(folder.path().join(format!("suite/{name}.toml")), task).unwrap();
    }
    let (model, suite) = (at(folder.path(), "model"), at(folder.path(), "suite"));
    let eval = |out: &str, more: &[&str]| {
        let out = at(folder.path(), out);
        let words = ["eval", "--model", &model, "--suite", &suite, "--out", &out];
        diapason(&[&words[..], &["--tasks", "cover/strict,cover/open"], more].concat())
    };
    let alone = eval("alone", &["--draws", "6"]);
    succeeded(&alone);
    let said = errors(&alone);
    assert!(said.contains("`cover/strict` is left out, only a judge can say"), "{said}");
    assert!(said.contains("an even number of letters") && said.contains("--judge URL"), "{said}");
    let results = json_in(folder.path(), "alone/results.json");
    let tasks = results["results"]["model"].as_object().unwrap();
    assert!(tasks.contains_key("cover/open") && !tasks.contains_key("cover/strict"), "{tasks:?}");

    let judge = Judge::new(by_length, rough);
    let by = ["--judge", &judge.server.url, "--judge-model", "ruler", "--judge-seconds", "1"];
    let dear = eval("judged", &[&by[..], &["--price", "1000,1000"]].concat());
    assert!(errors(&dear).contains("at most") && errors(&dear).contains("--budget"));
    assert_eq!(judge.answers(), 0);
    succeeded(&eval("judged", &by));
    assert!(judge.answered.lock().unwrap().values().all(|times| *times == 1));
    let results = json_in(folder.path(), "judged/results.json");
    assert_eq!(results["settings"]["judge"]["model"], "ruler");
    for task in ["strict", "open"] {
        let rows = lines(folder.path(), &format!("judged/samples/cover__{task}.jsonl"));
        assert_eq!(rows.len(), 30, "three ways to ask, ten draws each");
        let mut classes: HashMap<&str, Vec<&str>> = HashMap::new();
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let valid = !text.is_empty() && (task == "open" || even(text));
            let firsts = classes.entry(row["unit"].as_str().unwrap()).or_default();
            let alike = |first: &&&str| {
                let lengths = [**first, text].map(|text| text.chars().count() / 8);
                settled(first, text).unwrap_or(lengths[0] == lengths[1])
            };
            let class = firsts.iter().find(alike).copied().unwrap_or(text);
            assert_eq!(row["canonical"].as_str(), valid.then_some(class), "{task}: {text}");
            if valid && !firsts.contains(&class) {
                firsts.push(class);
            }
        }
        let distinct: usize = classes.values().map(Vec::len).sum();
        let figure = &results["results"]["model"][format!("cover/{task}")]["yield"]["value"];
        assert!((figure.as_f64().unwrap() - distinct as f64 / 3.0).abs() < 1e-12, "{figure}");
    }
}

#[test]
fn prompts_of_a_file_become_rows_that_can_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    babbler(&folder.path().join("model"));
    let prompts: Vec<String> = (0..70)
        .map(|index| json!({"id": index, "prompt": format!("say {index}")}).to_string())
        .collect();
    std::fs::write(folder.path().join("prompts.jsonl"), prompts.join("\n")).unwrap();
    let (model, prompts) = (at(folder.path(), "model"), at(folder.path(), "prompts.jsonl"));
    let sample = |seed: &str, threads: &str| {
        let words = ["sample", "--model", &model, "--prompts", &prompts, "-n", "2"];
        let more = ["--max-tokens", "8", "--seed", seed, "--threads", threads];
        succeeded(&diapason(&[&words[..], &more].concat()))
    };
    let drawn = sample("1", "1");
    assert_eq!(drawn, sample("1", "2"));
    assert_ne!(drawn, sample("2", "1"));
    assert_eq!(drawn.lines().count(), 140);
    let row: Value = serde_json::from_str(drawn.lines().nth(139).unwrap()).unwrap();
    assert_eq!((&row["id"], &row["prompt"]), (&json!(69), &json!("say 69")));
    assert!(row["completion"].is_string() && row["markers"].is_object());
    std::fs::write(folder.path().join("draws.jsonl"), &drawn).unwrap();
    let (input, out) = (at(folder.path(), "draws.jsonl"), at(folder.path(), "classes"));
    let words = succeeded(&diapason(&["judge", "classes", &input, "--draws", "2", "--out", &out]));
    assert!(words.contains("70 prompts, classes by words"), "{words}");
    std::fs::write(folder.path().join("prompts.jsonl"), "{\"text\": \"x\"}").unwrap();
    let wrong = diapason(&["sample", "--model", &model, "--prompts", &prompts]);
    assert!(errors(&wrong).contains("prompts.jsonl`, line 1 has neither `prompt`"));
}
