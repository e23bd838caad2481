//! Small models as a user mixes, adapts and asks them: `model transplant`, `soup` and `merge-lora`,
//! recipes with soft targets and adapters, constrained draws.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use diapason_flow::{Artifact, Streams};
use diapason_model::{Adapter, Arch, LoraSettings, Model, SpecialIds, Variant, WeightPrecision};
use diapason_text::{Tokenizer, train_tokenizer};
use std::path::Path;

/// A small model with a tokenizer trained on a text; equal texts make equal vocabularies.
fn save(folder: &Path, text: &str, seed: u64) -> (Model, Tokenizer) {
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
        context: 32,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: Variant::default(),
    };
    let model = Model::random(arch, &Streams::new(seed)).unwrap();
    model.save(folder, &SpecialIds::default()).unwrap();
    tokenizer.save(folder).unwrap();
    (model, tokenizer)
}

/// Exit code and stderr of `diapason model …`.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = diapason(&[&["model"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn rows_of_named_tokens_are_transplanted_and_stamped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (base, sibling, other) = (at("base"), at("sibling"), at("other"));
    let (old, tokenizer) = save(Path::new(&base), "plums and pears", 1);
    let (donor, _) = save(Path::new(&sibling), "plums and pears", 2);
    save(Path::new(&other), "dates dates dates dates, figs figs figs figs", 3);
    let out = at("out");
    let named = ["--token", "<|output|>", "--token", "<|end|>"];
    let with = |from: &str, tokens: &[&str]| {
        run(&[&["transplant", &base, "--from", from, "--out", &out], tokens].concat())
    };

    let (code, said) = with(&other, &named);
    assert_eq!(code, Some(1));
    assert!(said.contains("the vocabularies of") && said.contains("differ in"), "{said}");
    assert!(said.contains("hint: rows can be shared"), "{said}");
    let (code, said) = with(&sibling, &["--token", "<|nobody|>"]);
    assert!(code == Some(1) && said.contains("has no token `<|nobody|>`"), "{said}");
    assert_eq!(with(&sibling, &[]).0, Some(2), "a token must be named");
    assert!(!Path::new(&out).exists(), "a refused run leaves nothing behind");

    let (code, said) = with(&sibling, &named);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("parameters in f32") && said.contains("`<|output|>`"), "{said}");
    let new = Model::load(Path::new(&out)).unwrap();
    for name in ["<|output|>", "<|end|>", "<|input|>"] {
        let row = tokenizer.token_id(name).unwrap() as usize;
        let place = row * 8..(row + 1) * 8;
        let from = if name == "<|input|>" { &old } else { &donor };
        assert_eq!(new.weights.part(place.clone()), from.weights.part(place), "{name}");
    }
    let stamp = Artifact::stamp_at(Path::new(&out)).unwrap().unwrap();
    assert_eq!((stamp.kind.as_str(), stamp.parents.len()), ("model", 2));
    assert_eq!(stamp.settings["tokens"][0], "<|output|>");
    assert!(Tokenizer::load(Path::new(&out)).is_ok(), "the tokenizer stands beside the weights");
    assert!(with(&sibling, &named).1.contains("finished before, reused"));
    assert_eq!(with(&sibling, &named[..2]).0, Some(1), "other work is never overwritten");
}

#[test]
fn a_soup_says_its_element_type_and_refuses_what_does_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (a, b, other) = (at("a"), at("b"), at("other"));
    let (first, _) = save(Path::new(&a), "plums and pears", 1);
    let (second, _) = save(Path::new(&b), "plums and pears", 2);
    save(Path::new(&other), "dates dates dates dates, figs figs figs figs", 3);
    let out = at("out");
    let soup = |more: &[&str]| run(&[&["soup", "--out", &out], more].concat());

    let (code, said) = soup(&[&a, &b, "--weight", "1"]);
    assert!(code == Some(1) && said.contains("1 weights for 2 models"), "{said}");
    let (code, said) = soup(&[&a, &b, "--weight=1", "--weight=-1"]);
    assert!(code == Some(1) && said.contains("[1.0, -1.0]"), "{said}");
    let (code, said) = soup(&[&a, &other]);
    assert!(code == Some(1) && said.contains("vocabular"), "{said}");
    assert!(!Path::new(&out).exists(), "a refused run leaves nothing behind");

    let (code, said) = soup(&[&a, &b, "--weight", "3", "--weight", "1"]);
    assert!(code == Some(0) && said.contains("parameters in f32"), "{said}");
    let mixed = Model::load(Path::new(&out)).unwrap();
    let [mixed, first, second] = [&mixed, &first, &second].map(|model| model.weights.all().wide());
    for (index, found) in mixed.iter().enumerate() {
        assert_eq!(*found, 0.75 * first[index] + 0.25 * second[index]);
    }
    assert!(stdout(&["model", "inspect", &out]).contains("stamp"));
    let (code, said) = run(&["soup", &a, "--dtype", "bf16", "--out", &at("short")]);
    assert!(code == Some(0) && said.contains("parameters in bf16"), "{said}");
    assert_eq!(run(&["soup", &a, "--dtype", "f8", "--out", &at("none")]).0, Some(2));
}

#[test]
fn an_adapter_is_folded_into_its_base() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (base, adapter, out) = (at("base"), at("adapter"), at("out"));
    let (model, _) = save(Path::new(&base), "plums and pears", 1);
    let settings = LoraSettings { rank: 2, alpha: 2.0, ..LoraSettings::default() };
    let mut lora = Adapter::new(&model.arch, &settings, &Streams::new(1)).unwrap();
    lora.weights.fill(0.5);
    lora.save(Path::new(&adapter), "base").unwrap();
    let merge = |adapter: &str| run(&["merge-lora", &base, "--adapter", adapter, "--out", &out]);

    let (code, said) = merge(&at("nothing"));
    assert!(code == Some(1) && said.contains("adapter_config.json"), "{said}");
    assert!(!Path::new(&out).exists(), "a refused run leaves nothing behind");
    let (code, said) = merge(&adapter);
    assert!(code == Some(0) && said.contains("parameters in f32"), "{said}");
    let merged = Model::load(Path::new(&out)).unwrap();
    let q = merged.layout.layers[0].qkv.start;
    // Rank 2 of halves: every weight grows by a half.
    let [folded, before] = [&merged, &model].map(|model| model.weights.all().wide());
    assert_eq!(folded[q], before[q] + 0.5);
    assert_eq!(folded[0], before[0], "the embedding is no target");
    let stamp = Artifact::stamp_at(Path::new(&out)).unwrap().unwrap();
    assert_eq!(stamp.parents.len(), 2);

    let greedy = |model: &[&str]| {
        let asked = ["sample", "--description", "x", "--temperature", "0", "--max-tokens", "8"];
        let output = diapason(&[&asked, model].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        output.stdout
    };
    let beside = greedy(&["--model", &base, "--adapter", &adapter]);
    assert_eq!(
        beside,
        greedy(&["--model", &out]),
        "beside its base or folded in, it says the same"
    );
    assert_ne!(beside, greedy(&["--model", &base]));
}

/// A recipe of seconds: soft targets for one model, an adapter for another, weights in bf16 for two.
const SMALL: &str = r#"
name = "small"
[base.new]
width = 32
layers = 1
heads = 2
kv_heads = 1
mlp_width = 48
context = 256
vocabulary = 400
corpus = { documents = 100, lines = 4 }
[base.new.train]
max_steps = 3
[data]
tasks = [{ task = "urn", episodes = 40 }]
[train]
sequences_per_step = 10
held_out_every_steps = 0
[[models]]
name = "soft"
loss = "every-output"
train = { soft_targets = 1.0 }
[[models]]
name = "lora"
loss = "every-output"
train = { soft_targets = 0.5, lora = { rank = 2, targets = ["q_proj", "lm_head"] } }
[[models]]
name = "halves"
loss = "every-output"
train = { soft_targets = 1.0, weights = "bf16", moments = "8-bit" }
[[models]]
name = "over-halves"
loss = "every-output"
train = { soft_targets = 1.0, weights = "bf16", lora = { rank = 2, targets = ["q_proj"] } }
[evaluate]
tasks = ["align/urn"]
episodes = 5
"#;

#[test]
fn a_recipe_tunes_on_all_options_and_by_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("small.toml");
    std::fs::write(&recipe, SMALL).unwrap();
    let out = folder.path().join("run");
    let arguments = ["run", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let tight = ["--set", "base.new.train.max_memory_bytes=1000"];
    let refused = diapason(&[&arguments[..], &tight].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("moments = \"8-bit\""), "{said}");
    std::fs::remove_dir_all(&out).unwrap();
    let output = diapason(&arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("38 learn from all options"), "{said}");
    let base = Model::load(&out.join("base")).unwrap();
    let tuned = Model::load(&out.join("models/lora")).unwrap();
    assert!(base.arch.tied && !tuned.arch.tied, "the head is adapted apart from the embedding");
    let adapter = Adapter::load(&out.join("models/lora/adapter"), &base.arch).unwrap();
    assert_eq!(adapter.tensors.len(), 4);
    assert!(adapter.weights.iter().any(|weight| *weight != 0.0));
    let embedding = |model: &Model| model.weights.part(model.layout.embed.clone()).wide().to_vec();
    assert_eq!(embedding(&tuned), embedding(&base));
    let stored = |name: &str| Model::load_held(&out.join("models").join(name), None).unwrap();
    let halves = stored("halves");
    assert_eq!(halves.weights.precision(), WeightPrecision::Bf16);
    let nearest = base.weights.held_in(WeightPrecision::Bf16);
    assert_ne!(halves.weights, nearest, "it learned");
    // The adapter is folded into the base that it was trained over.
    let over = stored("over-halves");
    assert_eq!(over.weights.precision(), WeightPrecision::F32);
    assert_eq!(embedding(&over), *nearest.part(base.layout.embed.clone()).wide());
}

#[test]
fn draws_stay_within_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let model = at("model");
    save(Path::new(&model), "plums and pears", 1);
    let ask = |more: &[&str]| {
        let prompt = ["sample", "--model", &model, "--description", "x", "-n", "12", "--json"];
        diapason(&[&prompt, more].concat())
    };
    let texts = |more: &[&str]| -> Vec<String> {
        let output = ask(more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{more:?}: {said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let text = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        let texts = lines.lines().map(|line| text(line)["text"].as_str().unwrap().to_owned());
        texts.collect()
    };
    let chosen = texts(&["--choice", "plum", "--choice", "a pear"]);
    assert!(chosen.len() == 12 && chosen.iter().all(|text| text == "plum" || text == "a pear"));
    let matched = texts(&["--pattern", "[ab]{2}c?"]);
    let fits = |text: &String| {
        let (head, tail) = text.split_at(2);
        head.chars().all(|c| c == 'a' || c == 'b') && (tail.is_empty() || tail == "c")
    };
    assert!(matched.iter().all(fits), "{matched:?}");
    std::fs::write(at("schema.json"), r#"{"enum": [7, "x"]}"#).unwrap();
    let valid = texts(&["--schema", &at("schema.json")]);
    assert!(valid.iter().all(|text| text == "7" || text == "\"x\""), "{valid:?}");
    let stopped = texts(&["--pattern", "[ab]{5}", "--stop", "b"]);
    assert!(stopped.iter().all(|text| !text[..text.len() - 1].contains('b')), "{stopped:?}");

    let refused = |more: &[&str]| {
        let output = ask(more);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&["--pattern", "("]);
    assert!(code == Some(1) && said.contains("constraint"), "{said}");
    let (code, said) = refused(&["--pattern", "a", "--template", "colon"]);
    assert!(code == Some(1) && said.contains("hint: use `--choice`"), "{said}");
    assert_eq!(refused(&["--bias", "17"]).0, Some(2));
    assert_eq!(refused(&["--pattern", "a", "--choice", "b"]).0, Some(2));
}
