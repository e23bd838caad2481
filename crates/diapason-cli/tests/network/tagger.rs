//! `diapason mark --tagger URL` against a language model that is slow, full, broken or talks
//! nonsense: nothing is lost, and nothing is asked twice that was answered.

use crate::at;
use crate::common::diapason;
use crate::server::{Answer, Seen, Server};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CONTENTS: usize = 60;

/// 60 contents in the shapes that rows have, then the first 20 of them again.
fn corpus(path: &Path) {
    let mut lines = String::new();
    for index in (0..CONTENTS).chain(0..20) {
        let text = match index % 10 {
            3 => format!("odd {index}"),
            7 => format!("never {index}"),
            _ => format!("plain {index}"),
        };
        let row = match index % 3 {
            0 => json!({"prompt": "p", "completion": text}),
            1 => json!({"text": text}),
            _ => json!({"messages": [{"role": "user", "content": "u"},
                        {"role": "assistant", "content": text}]}),
        };
        writeln!(lines, "{row}").unwrap();
    }
    std::fs::write(path, lines).unwrap();
}

/// What a good model says of a content; "odd" needs to be asked twice, "never" never gets right.
fn said(seen: &Seen) -> (String, String) {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["model"], "small");
    assert!(body["response_format"]["json_schema"]["schema"]["properties"]["domain"].is_object());
    let messages = body["messages"].as_array().unwrap();
    let users: Vec<&str> = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    let corrected = !users.last().unwrap().starts_with('{');
    let example = users[users.len() - 1 - usize::from(corrected)];
    let example: Value = serde_json::from_str(example).unwrap();
    let text = example["completion"].as_str().unwrap().to_owned();
    let wrong = text.starts_with("never") || (text.starts_with("odd") && !corrected);
    let domain = if wrong { "Nonsense" } else { ["Math", "Code", "Legal"][text.len() % 3] };
    let answer =
        json!({"domain": domain, "task": "Rewrite", "format": "Unknown", "style": "Formal"});
    (text + if corrected { ", corrected" } else { "" }, answer.to_string())
}

fn reply(text: &str) -> Answer {
    let usage = json!({"prompt_tokens": 900, "completion_tokens": 30});
    let choices = json!([{"message": {"role": "assistant", "content": text}}]);
    Answer::new(200, json!({"choices": choices, "usage": usage}).to_string())
}

/// A model, and how often it answered what.
struct Model {
    server: Server,
    answered: Arc<Mutex<HashMap<String, usize>>>,
}

impl Model {
    /// `trouble` may answer in its own way the call of a number, for a content that was asked
    /// about some times before.
    fn new(trouble: impl Fn(usize, usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let answered: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (log, calls) = (Arc::clone(&answered), AtomicUsize::new(0));
        let tries: Mutex<HashMap<String, usize>> = Mutex::default();
        let server = Server::start(move |seen| {
            let (what, text) = said(seen);
            let before = {
                let mut tries = tries.lock().unwrap();
                let count = tries.entry(what.clone()).or_default();
                *count += 1;
                *count - 1
            };
            if let Some(answer) = trouble(calls.fetch_add(1, Ordering::SeqCst), before) {
                return answer;
            }
            *log.lock().unwrap().entry(what).or_default() += 1;
            reply(&text)
        });
        Model { server, answered }
    }

    fn arguments(&self, folder: &Path, out: &str) -> Vec<String> {
        let out = at(folder, out);
        let words = [
            "mark",
            &at(folder, "in.jsonl"),
            "--out",
            &out,
            "--tagger",
            &self.server.url,
            "--tagger-model",
            "small",
            "--part-rows",
            "10",
        ];
        words.map(str::to_owned).to_vec()
    }

    fn run(&self, folder: &Path, out: &str, more: &[&str]) -> Output {
        let mut arguments = self.arguments(folder, out);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        diapason(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_is_lost_and_nothing_tagged_twice_whatever_the_endpoint_does() {
    let folder = tempfile::tempdir().unwrap();
    corpus(&folder.path().join("in.jsonl"));
    let calm = Model::new(|_, _| None);
    let output = calm.run(folder.path(), "calm.jsonl", &[]);
    assert!(output.status.success(), "{}", errors(&output));
    // Every question meets one trouble at first.
    let rough = Model::new(|call, before| match (call % 7, before) {
        (_, 1..) => None,
        (0, _) => Some(Answer::new(500, "oops")),
        (1, _) => Some(Answer::new(429, "").with("retry-after", "0")),
        (2, _) => Some(Answer { drop: true, ..Answer::default() }),
        (3, _) => Some(Answer { cut: Some(20), ..reply("{}") }),
        (4, _) => Some(Answer::new(200, "<html>a proxy's page")),
        (5, _) => Some(Answer::new(200, json!({"error": "restarting"}).to_string())),
        _ => Some(Answer { delay: Duration::from_secs(3), ..reply("late") }),
    });
    let output = rough.run(folder.path(), "rough.jsonl", &["--tagger-seconds", "1"]);
    assert!(output.status.success(), "{}", errors(&output));
    for model in [&calm, &rough] {
        let answered = model.answered.lock().unwrap();
        // Each content once; the odd and the hopeless ones a second time, corrected.
        assert_eq!(answered.len(), CONTENTS + 12);
        assert!(answered.values().all(|times| *times == 1), "{answered:?}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("rough.jsonl"), read("calm.jsonl"));
    let rows: Vec<Value> =
        read("calm.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), CONTENTS + 20);
    assert_eq!(rows[0]["markers"]["domain"], "Code");
    assert_eq!(rows[3]["markers"]["domain"], "Legal", "the corrected answer counts");
    assert_eq!(rows[7]["markers"].get("domain"), None, "what never fits is left out");
    assert_eq!(rows[7]["markers"]["task"], "Rewrite", "and the rest of it kept");
    let said = errors(&output);
    assert!(said.contains("12 asked for again, 6 markers left out"), "{said}");
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes_and_pays_for_no_answer_twice() {
    let folder = tempfile::tempdir().unwrap();
    corpus(&folder.path().join("in.jsonl"));
    let slow = |_, _| {
        std::thread::sleep(Duration::from_millis(30));
        None
    };
    let whole = Model::new(|_, _| None);
    assert!(whole.run(folder.path(), "whole.jsonl", &[]).status.success());
    let model = Model::new(slow);
    let mut child = Command::new(env!("CARGO_BIN_EXE_diapason"))
        .args(model.arguments(folder.path(), "killed.jsonl"))
        .args(["--tagger-at-once", "3"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let answers = folder.path().join("killed.jsonl.answers");
    let kept = || std::fs::read_to_string(&answers).unwrap_or_default().lines().count();
    while kept() < 25 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("killed.jsonl").exists(), "it was killed in the middle");
    // A line cut short, as a machine that loses power leaves it.
    let mut text = std::fs::read_to_string(&answers).unwrap();
    text.push_str("{\"key\": \"0123");
    std::fs::write(&answers, text).unwrap();
    let before: usize = model.answered.lock().unwrap().values().sum();
    let resumed = model.run(folder.path(), "killed.jsonl", &[]);
    assert!(resumed.status.success(), "{}", errors(&resumed));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("killed.jsonl"), read("whole.jsonl"));
    let after: usize = model.answered.lock().unwrap().values().sum();
    // What was under way on three threads when the process died could not be kept.
    assert!(after <= CONTENTS + 12 + 2 * 3, "{before} before, {after} in all");
    let again =
        model.run(folder.path(), "again.jsonl", &["--tagger-answers", answers.to_str().unwrap()]);
    assert!(again.status.success(), "{}", errors(&again));
    assert_eq!(model.answered.lock().unwrap().values().sum::<usize>(), after, "all was known");
    assert_eq!(read("again.jsonl"), read("whole.jsonl"));
}

#[test]
fn an_endpoint_that_stays_down_ends_the_run_and_keeps_what_was_paid() {
    let folder = tempfile::tempdir().unwrap();
    corpus(&folder.path().join("in.jsonl"));
    let model = Model::new(|call, _| (call >= 20).then(|| Answer::new(400, "no credit left")));
    let failed = model.run(folder.path(), "out.jsonl", &["--tagger-at-once", "2"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(errors(&failed).contains("no credit left"), "{}", errors(&failed));
    let kept = std::fs::read_to_string(folder.path().join("out.jsonl.answers")).unwrap();
    let asked: usize = model.answered.lock().unwrap().values().sum();
    let corrected = asked - kept.lines().count();
    assert!(asked == 20 && corrected <= 6, "{asked} answers, {} kept", kept.lines().count());
    let better = Model::new(|_, _| None);
    assert!(better.run(folder.path(), "out.jsonl", &[]).status.success());
    let second: usize = better.answered.lock().unwrap().values().sum();
    assert!(asked + second <= CONTENTS + 12 + 2, "{asked} and then {second}");
}

#[test]
fn money_is_spent_only_as_far_as_was_allowed() {
    let folder = tempfile::tempdir().unwrap();
    corpus(&folder.path().join("in.jsonl"));
    let model = Model::new(|_, _| None);
    let dear = model.run(folder.path(), "out.jsonl", &["--price", "10,30"]);
    let said = errors(&dear);
    assert_eq!(dear.status.code(), Some(1));
    assert!(said.contains("60 questions to ask, 20 answered before"), "{said}");
    assert!(said.contains("more than the budget of 0.00") && said.contains("--yes"), "{said}");
    assert!(model.server.seen().is_empty(), "nothing was asked");
    let allowed = model.run(folder.path(), "out.jsonl", &["--price", "10,30", "--budget", "50"]);
    assert!(allowed.status.success(), "{}", errors(&allowed));
    let again = model.run(folder.path(), "new.jsonl", &["--price", "10,30", "--yes"]);
    assert!(again.status.success(), "{}", errors(&again));
}

#[test]
fn what_the_data_tells_is_not_asked_and_keys_stay_secret() {
    let folder = tempfile::tempdir().unwrap();
    let told = json!({"domain": "Math", "task": "Rewrite", "format": "JSON", "style": "Formal"});
    let rows = [
        json!({"text": "plain told", "markers": told}),
        json!({"text": "  "}),
        json!({"text": "plain half", "markers": {"domain": "Medical"}}),
    ];
    let lines = rows.map(|row| row.to_string()).join("\n");
    std::fs::write(folder.path().join("in.jsonl"), lines).unwrap();
    let model = Model::new(|_, _| None);
    let run = Command::new(env!("CARGO_BIN_EXE_diapason"))
        .args(model.arguments(folder.path(), "out.jsonl"))
        .env("DIAPASON_TAGGER_KEY", "sk-secret")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", errors(&run));
    assert_eq!(model.server.seen().len(), 1);
    assert_eq!(model.server.seen()[0].header("authorization"), Some("Bearer sk-secret"));
    let mut everything = errors(&run);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        everything += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    assert!(!everything.contains("sk-secret"));
    assert!(everything.contains("Medical"), "what the data says comes first");
    let missing = diapason(&[
        "mark",
        &at(folder.path(), "in.jsonl"),
        "--out",
        &at(folder.path(), "x.jsonl"),
        "--tagger",
        "http://127.0.0.1:9",
    ]);
    assert!(errors(&missing).contains("--tagger-model"), "{}", errors(&missing));
}
