//! The slow twin of the fast way is the crate's own: the same ids for every text.

use super::{Encoder, Workspace};
use crate::hostile;
use crate::split::{GPT_2, ONE_DIGIT, OWN, THREE_DIGITS};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A byte-level BPE of a few merges, with content tokens that data can become.
fn made(pre_tokenizer: Value, normalizer: Value, ignore_merges: bool) -> Value {
    let mut vocabulary: Vec<String> =
        crate::pieces::stand_ins().keys().map(|character| character.to_string()).collect();
    vocabulary.sort_unstable();
    let merges: Vec<[&str; 2]> =
        "t h,th e,Ġ the,Ġ t,n a,na Ã,naÃ ¯,1 2,12 3,Ġ Ġ,ĠĠ Ġ,' s,Ċ Ċ,Ã ©,< |,\
         e Ì,eÌ ģ,! !,. .,.. .,ä ¸,ä¸ Ń,ð Ł,ðŁ ĳ,h e,e l,he l,hel l,l l,hell o,o l,m _,_ e"
            .split(',')
            .filter_map(|pair| pair.split_once(' '))
            .map(|(left, right)| [left, right])
            .collect();
    for [left, right] in &merges {
        let known = |part: &str| vocabulary.iter().any(|token| token == part);
        assert!(known(left) && known(right), "{left} {right}");
        let merged = format!("{left}{right}");
        if !known(&merged) {
            vocabulary.push(merged);
        }
    }
    // No merge builds this one: it is found whole, or not at all.
    vocabulary.push("Ġdraw".to_owned());
    let size = vocabulary.len();
    let ids: serde_json::Map<String, Value> =
        vocabulary.into_iter().zip(0..).map(|(token, id)| (token, json!(id))).collect();
    let added = |place: usize, content: &str, special: bool, normalized: bool| {
        json!({"id": size + place, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": normalized, "special": special})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [
            added(0, "<|im_end|>", true, false),
            added(1, "<think>", false, false),
            added(2, "</think>", false, true),
        ],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": ignore_merges, "vocab": ids, "merges": merges},
    })
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(expression: &str, removed: bool) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": expression},
        "behavior": if removed { "Removed" } else { "Isolated" }, "invert": removed});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
}

/// Every pattern with every normalizer, whole words or merges first.
fn all_made() -> Vec<Value> {
    let normalizers =
        [Value::Null, json!({"type": "NFC"}), json!({"type": "Prepend", "prepend": " "})];
    let mut all = Vec::new();
    for (index, normalizer) in normalizers.iter().enumerate() {
        for (number, expression) in [THREE_DIGITS, ONE_DIGIT, GPT_2, OWN].into_iter().enumerate() {
            let whole = (index + number) % 2 == 0;
            all.push(made(split(expression, whole), normalizer.clone(), whole));
        }
        all.push(made(byte_level(true), normalizer.clone(), false));
    }
    all
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")
}

static ENCODERS: LazyLock<Vec<Encoder>> = LazyLock::new(|| {
    let mut all = all_made();
    for name in ["qwen3", "llama3", "dolma2"] {
        let path = shared().join("tokenizers").join(name).join("tokenizer.json");
        if let Ok(text) = fs::read_to_string(path) {
            all.push(serde_json::from_str(&text).unwrap());
        }
    }
    all.into_iter().map(|value| Encoder::new(value).unwrap()).collect()
});

fn check(text: &str, workspace: &mut Workspace) {
    for encoder in ENCODERS.iter() {
        assert!(encoder.is_fast());
        // Pieces of another vocabulary would be found in a cache that two shared.
        workspace.cache.pieces = Default::default();
        let (mut fast, mut again, mut slow) = (vec![7], vec![7], vec![7]);
        encoder.append(text, &mut workspace.cache, &mut fast).unwrap();
        encoder.append(text, &mut workspace.cache, &mut again).unwrap();
        encoder.append_slowly(text, &mut slow).unwrap();
        assert_eq!(fast, slow, "{text:?}");
        assert_eq!(again, slow, "from the table: {text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_text_has_the_ids_that_the_crate_gives(text in hostile::texts()) {
        check(&text, &mut Workspace::default());
    }
}

#[test]
fn very_long_words_and_runs_have_the_ids_that_the_crate_gives() {
    let mut workspace = Workspace::default();
    for unit in ["a", " ", "\n", "the", "é", "e\u{301}", "7", "!", "\t", "中", "👍🏽", "<", "' "]
    {
        check(&unit.repeat(3000), &mut workspace);
        check(&format!("x{} y", unit.repeat(1000)), &mut workspace);
    }
}

#[test]
fn genuine_texts_have_the_ids_that_the_crate_gives() {
    let mut folders = vec![shared()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        folders.extend(inside.iter().filter(|path| path.is_dir()).cloned());
        // One of every folder is enough.
        files.extend(inside.into_iter().find(|path| path.is_file()));
    }
    let mut workspace = Workspace::default();
    for file in files.iter().filter(|path| !path.starts_with(shared().join("tokenizers"))) {
        // From the middle: beginnings are headers. Cut anywhere, so broken characters too.
        let mut bytes = vec![0; 3000];
        let Ok(mut file) = fs::File::open(file) else { continue };
        let middle = file.metadata().unwrap().len() / 2;
        file.seek(SeekFrom::Start(middle)).unwrap();
        let count = file.read(&mut bytes).unwrap();
        check(&String::from_utf8_lossy(&bytes[..count]), &mut workspace);
    }
}

#[test]
fn one_cache_serves_a_tokenizer_and_itself_without_its_prefix() {
    let with =
        Encoder::new(made(split(OWN, false), json!({"type": "Prepend", "prepend": " "}), true));
    let without = Encoder::new(made(split(OWN, false), Value::Null, true));
    let mut workspace = Workspace::default();
    for _ in 0..2 {
        for encoder in [with.as_ref().unwrap(), without.as_ref().unwrap()] {
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            encoder.append("the draw the", &mut workspace.cache, &mut fast).unwrap();
            encoder.append_slowly("the draw the", &mut slow).unwrap();
            assert_eq!(fast, slow);
        }
    }
}

#[test]
fn what_is_not_known_to_be_the_same_goes_the_way_of_the_crate() {
    let known = || made(split(ONE_DIGIT, false), Value::Null, false);
    let fast = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = known();
        change(&mut tokenizer);
        Encoder::new(tokenizer).unwrap().is_fast()
    };
    assert!(fast(&|_| {}));
    assert!(!fast(&|value| value["model"]["dropout"] = json!(0.1)));
    assert!(!fast(&|value| value["model"]["end_of_word_suffix"] = json!("</w>")));
    assert!(!fast(&|value| value["normalizer"] = json!({"type": "NFKC"})));
    assert!(!fast(&|value| value["normalizer"] = json!({"type": "Prepend", "prepend": "▁"})));
    assert!(!fast(&|value| value["added_tokens"][1]["content"] = json!("<é>")));
    assert!(!fast(&|value| value["pre_tokenizer"] = Value::Null));
    assert!(!fast(&|value| value["pre_tokenizer"] = split(r"\p{L}+|[\s\S]", false)));
    assert!(!fast(&|value| value["pre_tokenizer"]["pretokenizers"][0]["invert"] = json!(true)));
    assert!(!fast(&|value| {
        value["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = json!(true);
    }));
    assert!(!fast(&|value| value["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = json!(true)));
    let mut prefixed = byte_level(true);
    prefixed["add_prefix_space"] = json!(true);
    assert!(!fast(&|value| value["pre_tokenizer"] = prefixed.clone()));
}
