//! `diapason mark` as a user meets it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// Rows in the three shapes, some with qualities, one of them hostile.
fn corpus(path: &Path, rows: usize) {
    let texts = [
        "The ship leaves when the tide is high, so do not be late.",
        "Le bac part quand la mer est haute, alors ne soyez pas en retard.",
        "满潮时船就会离开，所以请不要迟到。",
        "1. walk\n2. swim\n3. fly </MARKER_LIST> \u{1}",
        "```rust\nfn main() {}\n```\nThis is what the program is for.",
    ];
    let mut lines = String::new();
    for index in 0..rows {
        let text = texts[index % texts.len()];
        let row = match index % 3 {
            0 => json!({"prompt": format!("p {index}"), "completion": text}),
            1 => json!({"text": text, "markers": {"quality": index as f64 / 7.0}}),
            _ => json!({"id": index, "messages": [{"role": "user", "content": "u"},
                        {"role": "assistant", "content": text}]}),
        };
        lines.push_str(&row.to_string());
        lines.push('\n');
    }
    std::fs::write(path, lines).unwrap();
}

#[test]
fn a_killed_run_resumes_and_ends_with_the_same_bytes() {
    killed_and_resumed("jsonl");
    killed_and_resumed("parquet");
}

fn killed_and_resumed(end: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (whole, killed) = (path(&format!("whole.{end}")), path(&format!("killed.{end}")));
    let input = path("in.jsonl");
    corpus(Path::new(&input), 6000);
    stdout(&["mark", &input, "--out", &whole, "--part-rows", "100", "--threads", "1"]);
    let arguments = ["mark", &input, "--out", &killed, "--part-rows", "100"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_diapason"))
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let parts = folder.path().join(format!("killed.{end}.parts"));
    while !parts.join("part-000003.jsonl").exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(parts.exists() && !Path::new(&killed).exists(), "it was killed in the middle");
    stdout(&arguments);
    assert!(!parts.exists());
    assert_eq!(std::fs::read(&killed).unwrap(), std::fs::read(&whole).unwrap());
    let again = diapason(&arguments);
    assert!(String::from_utf8_lossy(&again.stderr).contains("was finished before"));
}

#[test]
fn parquet_holds_what_json_lines_hold_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, lines, table) = (path("in.jsonl"), path("a.jsonl"), path("a.parquet"));
    corpus(Path::new(&input), 500);
    stdout(&["mark", &input, "--out", &lines]);
    stdout(&["mark", &input, "--out", &table]);
    let statistics = |file: &str| stdout(&["mark", "stats", file, "--json"]);
    assert_eq!(statistics(&table), statistics(&lines));
    // Everything is known already, so marking again changes no row.
    let again = path("again.jsonl");
    stdout(&["mark", &table, "--out", &again]);
    let rows = |file: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(rows(&again), rows(&lines));
}

#[test]
fn the_built_in_taggers_tell_domain_and_task_and_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, out) = (path("in.jsonl"), path("out.jsonl"));
    let rows = [
        json!({"prompt": "Write a Python function `add(a, b)` that adds two numbers.",
               "completion": "def add(a, b):\n    return a + b\n"}),
        json!({"prompt": "Translate into French: The sea is calm.", "completion": "La mer est calme.",
               "markers": {"task": "Rewrite"}}),
        json!({"text": "mm"}),
    ];
    std::fs::write(&input, rows.map(|row| format!("{row}\n")).concat()).unwrap();
    stdout(&["mark", &input, "--out", &out, "--tagger", "default"]);
    let text = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0]["markers"]["domain"], "Code");
    assert_eq!(rows[1]["markers"]["task"], "Rewrite", "what the data says stays");
    assert!(rows[2]["markers"].get("task").is_none(), "not sure: {text}");
    let measured = stdout(&["mark", "measure-tagger", "default", &out, "--json"]);
    let measured: Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["domain"]["share"], 1.0);
    let failed = diapason(&["mark", "measure-tagger", "default", &out, "--marker", "lang"]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("no tagger of `lang`"));
}

#[test]
fn rows_keep_their_order_and_columns_and_gain_markers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, out, html) = (path("in.jsonl"), path("out.jsonl"), path("page.html"));
    corpus(Path::new(&input), 300);
    stdout(&["mark", &input, "--out", &out]);
    let text = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 300);
    assert_eq!(rows[0]["prompt"], "p 0");
    assert_eq!(rows[0]["markers"]["lang"], "English");
    assert_eq!(rows[1]["markers"]["quality_bucket"], "4");
    assert_eq!(rows[2]["messages"][1]["markers"]["lang"], "Chinese");
    let summary = stdout(&["mark", "stats", &out, "--json", "--html", &html]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["examples"], 300);
    assert!(std::fs::read_to_string(&html).unwrap().contains("quality_bucket"));
    assert!(stdout(&["mark", "stats", &out]).contains("code_type"));
    let tagger = path("lang.tagger");
    let fitted =
        stdout(&["mark", "fit-tagger", &out, "--marker", "lang", "--out", &tagger, "--json"]);
    let fitted: Value = serde_json::from_str(&fitted).unwrap();
    assert!(fitted["share"].as_f64().unwrap() > 0.9, "{fitted}");
}

#[test]
fn mistakes_name_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, out) = (path("in.jsonl"), path("out.jsonl"));
    for (row, words) in [
        ("{\"text\": \"x\", \"markers\": {\"lang\": \"Frensh\"}}", "did you mean `French`?"),
        ("{\"text\": ", "line 2 is not JSON"),
        ("{\"body\": \"x\"}", "in.jsonl`, line 2"),
    ] {
        std::fs::write(&input, format!("{{\"text\": \"fine\"}}\n{row}\n")).unwrap();
        let failed = diapason(&["mark", &input, "--out", &out]);
        let errors = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1));
        assert!(errors.contains(words), "{errors}");
        let _ = std::fs::remove_dir_all(folder.path().join("out.jsonl.parts"));
    }
    assert_eq!(diapason(&["mark", &input]).status.code(), Some(2), "`--out` is needed");
}
