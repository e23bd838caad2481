//! `diapason judge` against judges that are slow, full, broken, biased or talk
//! nonsense: nothing is lost, nothing is paid twice, and the figures are those of the verdicts.

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

const PROMPTS: usize = 40;

/// Answers with a quality that can be read off them: `ours` are better but for every fifth, where
/// they are worse; prompt 0 has equal answers, prompt 1 one that confuses every judge.
fn answers(folder: &Path) {
    let (mut ours, mut theirs) = (String::new(), String::new());
    for index in 0..PROMPTS {
        let (mut one, mut two) = if index % 5 == 0 { (3, 7) } else { (8, 6) };
        let mut words = "fine";
        match index {
            0 => (one, two) = (5, 5),
            1 => words = "confusing",
            _ => {}
        }
        let prompt = format!("question {index}");
        let domain = if index % 5 == 0 { "Legal" } else { "Culture" };
        let row = json!({"prompt": prompt, "completion": format!("{words} {one}"),
                         "asked": {"domain": domain}});
        writeln!(ours, "{row}").unwrap();
        let row = json!({"messages": [{"role": "user", "content": prompt},
                                      {"role": "assistant", "content": format!("{words} {two}")}]});
        writeln!(theirs, "{row}").unwrap();
    }
    std::fs::write(folder.join("ours.jsonl"), ours).unwrap();
    std::fs::write(folder.join("theirs.jsonl"), theirs).unwrap();
}

fn quality(answer: &Value) -> u64 {
    answer.as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// What is asked: the object, whether it is the second try, and what of.
fn asked(seen: &Seen) -> (Value, bool, String) {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let about: Value = serde_json::from_str(messages[1]["content"].as_str().unwrap()).unwrap();
    let corrected = messages.len() > 2;
    let name = format!("{} {about} {corrected}", body["model"]);
    (about, corrected, name)
}

pub(crate) fn reply(text: impl Into<String>) -> Answer {
    let usage = json!({"prompt_tokens": 300, "completion_tokens": 20});
    let choices = json!([{"message": {"role": "assistant", "content": text.into()}}]);
    Answer::new(200, json!({"choices": choices, "usage": usage}).to_string())
}

/// The better answer by its number; a confusing one gets no verdict, one without a tie is told
/// only at the second try.
fn fair(about: &Value, corrected: bool) -> Answer {
    if about["first"].as_str().unwrap().starts_with("confusing") {
        return reply("I would rather not say.");
    }
    let (one, other) = (quality(&about["first"]), quality(&about["second"]));
    if one < 5 && !corrected {
        return reply("{\"verdict\": \"the other\"}");
    }
    let verdict = if one > other { "first" } else { "second" };
    reply(json!({"reason": format!("{one} to {other}"), "verdict": verdict}).to_string())
}

/// A judge, and how often it answered what.
pub(crate) struct Judge {
    pub(crate) server: Server,
    pub(crate) answered: Arc<Mutex<HashMap<String, usize>>>,
}

impl Judge {
    pub(crate) fn new(
        says: impl Fn(&Value, bool) -> Answer + Send + Sync + 'static,
        trouble: impl Fn(usize, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let answered: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (log, calls) = (Arc::clone(&answered), AtomicUsize::new(0));
        let tries: Mutex<HashMap<String, usize>> = Mutex::default();
        let server = Server::start(move |seen| {
            let (about, corrected, name) = asked(seen);
            let before = {
                let mut tries = tries.lock().unwrap();
                let count = tries.entry(name.clone()).or_default();
                *count += 1;
                *count - 1
            };
            if let Some(answer) = trouble(calls.fetch_add(1, Ordering::SeqCst), before) {
                return answer;
            }
            *log.lock().unwrap().entry(name).or_default() += 1;
            says(&about, corrected)
        });
        Judge { server, answered }
    }

    fn calm(says: impl Fn(&Value, bool) -> Answer + Send + Sync + 'static) -> Self {
        Judge::new(says, |_, _| None)
    }

    pub(crate) fn answers(&self) -> usize {
        self.answered.lock().unwrap().values().sum()
    }

    fn pairs(&self, folder: &Path, out: &str, more: &[&str]) -> Output {
        let (ours, theirs) = (at(folder, "ours.jsonl"), at(folder, "theirs.jsonl"));
        let out = at(folder, out);
        let words = ["judge", "pairs", &ours, &theirs, "--out", &out, "--judge", &self.server.url];
        diapason(&[&words[..], &["--judge-model", "fair"], more].concat())
    }
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn json_in(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

pub(crate) fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every kind of trouble, once for each question.
pub(crate) fn rough(call: usize, before: usize) -> Option<Answer> {
    match (call % 7, before) {
        (_, 1..) => None,
        (0, _) => Some(Answer::new(500, "oops")),
        (1, _) => Some(Answer::new(429, "").with("retry-after", "0")),
        (2, _) => Some(Answer { drop: true, ..Answer::default() }),
        (3, _) => Some(Answer { cut: Some(20), ..reply("{}") }),
        (4, _) => Some(Answer::new(200, "<html>a proxy's page")),
        (5, _) => Some(Answer::new(200, json!({"error": "restarting"}).to_string())),
        _ => Some(Answer { delay: Duration::from_secs(3), ..reply("late") }),
    }
}

#[test]
fn every_pair_is_judged_in_both_orders_whatever_the_endpoint_does() {
    let folder = tempfile::tempdir().unwrap();
    answers(folder.path());
    let calm = Judge::calm(fair);
    let printed = succeeded(&calm.pairs(folder.path(), "calm", &[]));
    let hostile = Judge::new(fair, rough);
    let output = hostile.pairs(folder.path(), "rough", &["--judge-seconds", "1"]);
    succeeded(&output);
    for judge in [&calm, &hostile] {
        let answered = judge.answered.lock().unwrap();
        // 39 pairs in two orders. Told again: 7 whose worse answer stands first, and the confusing
        // one in both orders.
        assert_eq!(answered.len(), 2 * 39 + 7 + 2, "{answered:?}");
        assert!(answered.values().all(|times| *times == 1), "{answered:?}");
    }
    for name in ["results.json", "verdicts.jsonl"] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(name)).unwrap();
        assert_eq!(read("rough"), read("calm"), "{name}");
    }
    let results = json_in(folder.path(), "calm/results.json");
    // 31 won, 1 tie by equal answers, 7 lost; the confusing pair counts nowhere.
    let rate = &results["results"]["ours"]["levers/pairwise/fair"]["win_rate"];
    assert!((rate["value"].as_f64().unwrap() - 31.5 / 39.0).abs() < 1e-12, "{rate}");
    assert_eq!(rate["n"], 39);
    let told = &results["judges"]["fair"];
    assert_eq!(
        (&told["won"], &told["tied"], &told["lost"], &told["without_verdict"]),
        (&json!(31), &json!(1), &json!(7), &json!(1)),
    );
    assert_eq!(told["consistent_share"], 1.0);
    let instructions = results["settings"]["instructions"].as_str().unwrap();
    assert!(instructions.contains("`verdict`") && results["settings"]["judges"][0] == "fair");
    assert!(printed.contains("win rate 80.8 %") && printed.contains("1 pairs without a verdict"));
    let verdicts = lines(folder.path(), "calm/verdicts.jsonl");
    assert_eq!(verdicts.len(), PROMPTS);
    assert_eq!(verdicts[2]["model_first"], json!({"said": "first", "reason": "8 to 6"}));
    assert_eq!(verdicts[2]["opponent_first"]["said"], "second");
    assert_eq!((&verdicts[0]["won"], &verdicts[1]["won"]), (&json!(0.5), &Value::Null));
    let said = errors(&output);
    assert!(said.contains("78 questions to ask, 0 answered before"), "{said}");
    assert!(said.contains("9 asked for again, 2 without a verdict"), "{said}");
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes_and_pays_for_no_answer_twice() {
    let folder = tempfile::tempdir().unwrap();
    answers(folder.path());
    let slow = Judge::new(fair, |_, _| {
        std::thread::sleep(Duration::from_millis(30));
        None
    });
    let (ours, theirs) = (at(folder.path(), "ours.jsonl"), at(folder.path(), "theirs.jsonl"));
    let out = at(folder.path(), "killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_diapason"))
        .args(["judge", "pairs", &ours, &theirs, "--out", &out, "--judge", &slow.server.url])
        .args(["--judge-model", "fair", "--judge-at-once", "3"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ledger = folder.path().join("killed/answers.jsonl");
    let kept = || std::fs::read_to_string(&ledger).unwrap_or_default().lines().count();
    while kept() < 25 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("killed/results.json").exists(), "it was killed in the middle");
    let mut text = std::fs::read_to_string(&ledger).unwrap();
    text.push_str("{\"key\": \"0123");
    std::fs::write(&ledger, text).unwrap();
    succeeded(&slow.pairs(folder.path(), "killed", &[]));
    let whole = Judge::calm(fair);
    succeeded(&whole.pairs(folder.path(), "whole", &[]));
    for name in ["results.json", "verdicts.jsonl"] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(name)).unwrap();
        assert_eq!(read("killed"), read("whole"), "{name}");
    }
    let paid = slow.answers();
    // What was under way on three threads when the process died could not be kept.
    assert!(paid <= 87 + 2 * 3, "{paid}");
    succeeded(&slow.pairs(folder.path(), "again", &["--judge-answers", ledger.to_str().unwrap()]));
    succeeded(&slow.pairs(folder.path(), "killed", &[]));
    assert_eq!(slow.answers(), paid, "all was known");
}

#[test]
fn money_is_asked_for_first_and_two_judges_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    answers(folder.path());
    // Both names have one judge behind them, who is sure of the confusing pair in one order.
    let judge = Judge::calm(|about, corrected| {
        let lazy = json!({"reason": "it is first", "verdict": "first"});
        if quality(&about["first"]) == 8 { reply(lazy.to_string()) } else { fair(about, corrected) }
    });
    let dear = judge.pairs(folder.path(), "dear", &["--price", "10,30"]);
    assert_eq!(dear.status.code(), Some(1));
    let said = errors(&dear);
    assert!(said.contains("78 questions to ask") && said.contains("--yes"), "{said}");
    assert_eq!(judge.server.seen().len(), 0, "nothing was asked");
    let two = ["--judge-model", "lazy", "--price", "10,30", "--budget", "50"];
    let printed = succeeded(&judge.pairs(folder.path(), "out", &two));
    assert!(printed.contains("fair and lazy agree on 100.0 % of 77 verdicts"), "{printed}");
    let results = json_in(folder.path(), "out/results.json");
    assert_eq!(results["agreement"][0]["kappa"], 1.0);
    assert_eq!(results["agreement"][0]["judges"], json!(["fair", "lazy"]));
    assert_eq!(results["results"]["ours"].as_object().unwrap().len(), 2);
    let none = diapason(&[
        "judge",
        "pairs",
        &at(folder.path(), "ours.jsonl"),
        &at(folder.path(), "theirs.jsonl"),
        "--out",
        &at(folder.path(), "none"),
    ]);
    assert!(errors(&none).contains("nobody judges"), "{}", errors(&none));
    let other = judge.pairs(folder.path(), "out", &[]);
    assert!(errors(&other).contains("with other settings"), "{}", errors(&other));
}

#[test]
fn win_rates_are_told_by_how_often_the_domain_stood_in_training() {
    let folder = tempfile::tempdir().unwrap();
    answers(folder.path());
    let values = json!([{"value": "Culture", "share": 0.97}, {"value": "Legal", "share": 0.03}]);
    let stats = json!({"examples": 100, "markers": [{"name": "domain", "values": values}]});
    let stats_file = at(folder.path(), "stats.json");
    std::fs::write(&stats_file, stats.to_string()).unwrap();
    let judge = Judge::calm(fair);
    let by = ["--by", "domain", "--trained", &stats_file];
    let printed = succeeded(&judge.pairs(folder.path(), "by", &by));
    // One tie and seven lost of the eight about law; all about culture that have a verdict are won.
    assert!(printed.contains("domain Legal, 3.0 % of training: win rate 6.2 %"), "{printed}");
    assert!(printed.contains("domain Culture, 97.0 % of training: win rate 100.0 %"), "{printed}");
    assert!(printed.contains("difference -93.8 points"), "{printed}");
    let results = json_in(folder.path(), "by/results.json");
    let found = &results["judges"]["fair"]["by"];
    assert_eq!(found["values"]["Legal"]["pairs"], 8);
    assert!(found["tail"]["gap"]["ci95"][1].as_f64().unwrap() < -0.5);
    assert_eq!(results["settings"]["by"]["marker"], "domain");
    let refused = judge.pairs(folder.path(), "none", &["--trained", &stats_file]);
    assert!(errors(&refused).contains("--by"), "{}", errors(&refused));
}

#[test]
fn scores_come_from_a_judge_a_reward_model_or_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    answers(folder.path());
    let (ours, theirs) = (at(folder.path(), "ours.jsonl"), at(folder.path(), "theirs.jsonl"));
    let score = |out: &str, more: &[&str]| {
        let out = at(folder.path(), out);
        diapason(&[&["judge", "scores", &ours, &theirs, "--out", &out], more].concat())
    };
    let missing = score("none", &[]);
    let said = errors(&missing);
    assert!(said.contains("ours.jsonl`, line 1") && said.contains("`score` is missing"), "{said}");
    let judge = Judge::new(
        |about, corrected| {
            let score = quality(&about["answer"]);
            // Out of bounds at first.
            let score = if score == 8 && !corrected { 80 } else { score };
            reply(json!({"reason": "r", "score": score}).to_string())
        },
        rough,
    );
    let by = ["--judge", &judge.server.url, "--judge-model", "grader", "--judge-seconds", "1"];
    let printed = succeeded(&score("judged", &by));
    assert!(judge.answered.lock().unwrap().values().all(|times| *times == 1));
    let results = json_in(folder.path(), "judged/results.json");
    let figures = &results["results"]["ours"]["levers/scores/grader"];
    // 32 higher, one equal, seven lower.
    assert!((figures["win_rate"]["value"].as_f64().unwrap() - 32.5 / 40.0).abs() < 1e-12);
    assert!(
        (figures["score"]["value"].as_f64().unwrap() - (32.0 * 8.0 + 5.0 + 21.0) / 40.0).abs()
            < 1e-9
    );
    assert!(printed.contains("ours against theirs, 40 pairs: win rate 81.2 %"), "{printed}");
    // The same from a reward model.
    let reward = Server::start(|seen| {
        assert_eq!(seen.path, "/pooling");
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let messages = body["messages"].as_array().unwrap();
        let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, ["user", "assistant"]);
        let score = quality(&messages[1]["content"]) as f64 - 12.5;
        Answer::new(200, json!({"data": [{"data": [[0.1], [score]]}]}).to_string())
    });
    let by = ["--judge", &reward.url, "--judge-model", "reward", "--reward"];
    succeeded(&score("rewarded", &by));
    let rewarded = json_in(folder.path(), "rewarded/results.json");
    let same = &rewarded["results"]["ours"]["levers/scores/reward"];
    assert_eq!(same["win_rate"]["value"], figures["win_rate"]["value"]);
    let gain =
        |results: &Value, by: &str| results["scores"][by]["difference"]["difference"].clone();
    let gains = (gain(&results, "grader"), gain(&rewarded, "reward"));
    assert!((gains.0.as_f64().unwrap() - gains.1.as_f64().unwrap()).abs() < 1e-9);
    // What was scored by anybody is a file that can be compared offline.
    let rows = lines(folder.path(), "judged/scores.jsonl");
    std::fs::create_dir_all(folder.path().join("scored")).unwrap();
    for name in ["ours", "theirs"] {
        let rows = rows.iter().filter(|row| row["model"] == name).map(Value::to_string);
        let text = rows.collect::<Vec<_>>().join("\n");
        std::fs::write(folder.path().join(format!("scored/{name}.jsonl")), text).unwrap();
    }
    let out = at(folder.path(), "offline");
    let (one, two) =
        (at(folder.path(), "scored/ours.jsonl"), at(folder.path(), "scored/theirs.jsonl"));
    succeeded(&diapason(&["judge", "scores", &one, &two, "--out", &out]));
    let offline = json_in(folder.path(), "offline/results.json");
    assert_eq!(offline["results"]["ours"]["levers/scores/score"], *figures);
}

/// Whether two draws are of one colour; asked for one that confuses it twice it says nothing.
fn colours(about: &Value, _: bool) -> Answer {
    let colour = |name: &str| about[name].as_str().unwrap().split(' ').nth(6).unwrap().to_owned();
    if about["first"].as_str().unwrap().contains("confusing") {
        return reply("Hm.");
    }
    reply(json!({"same": colour("first") == colour("second")}).to_string())
}

#[test]
fn classes_are_those_of_the_judge_and_no_pair_is_asked_about_twice() {
    let folder = tempfile::tempdir().unwrap();
    let draw = |word: &str, index: usize| format!("in these many words I say {word} {index} times");
    let colour = |words: [&str; 5]| {
        words.iter().enumerate().map(|(index, word)| draw(word, index)).collect::<Vec<_>>()
    };
    let rows = [
        json!({"id": "a", "prompt": "name a colour", "generations": colour(["red", "blue", "red", "red", "blue"])}),
        json!({"id": "b", "prompt": "another", "generations": colour(["red", "confusing", "blue", "confusing", "red"])}),
        json!({"id": "c", "prompt": "short", "generations": ["red", "Red ", "dark red", "blue", "green"]}),
    ];
    std::fs::write(folder.path().join("draws.jsonl"), rows.map(|row| row.to_string()).join("\n"))
        .unwrap();
    let input = at(folder.path(), "draws.jsonl");
    let run = |out: &str, more: &[&str]| {
        let out = at(folder.path(), out);
        diapason(&[&["judge", "classes", &input, "--out", &out], more].concat())
    };
    let few = run("few", &[]);
    assert!(errors(&few).contains("draws.jsonl`, line 1: 5 answers to this prompt, 10 are"));
    let judge = Judge::new(colours, rough);
    let by = ["--draws", "5", "--judge", &judge.server.url, "--judge-model", "eye"];
    let output = run("judged", &[&by[..], &["--judge-seconds", "1"]].concat());
    let printed = succeeded(&output);
    assert!(judge.answered.lock().unwrap().values().all(|times| *times == 1));
    let found = lines(folder.path(), "judged/classes.jsonl");
    let partitions: Vec<&Value> = found.iter().map(|row| &row["partition"]).collect();
    assert_eq!(*partitions[0], json!([0, 1, 0, 0, 1]));
    // No ruling is no sameness: each of the confusing draws is a class of its own.
    assert_eq!(*partitions[1], json!([0, 1, 2, 3, 0]));
    assert_eq!(*partitions[2], json!([0, 0, 0, 1, 2]), "short draws need no judge");
    assert!(printed.contains("distinct_5 3.00"), "{printed}");
    assert!(errors(&output).contains("at most 20 questions to ask"), "{}", errors(&output));
    let paid = judge.answers();
    let kept = at(folder.path(), "judged/answers.jsonl");
    let again = [&by[..], &["--judge-answers", &kept]].concat();
    succeeded(&run("again", &again));
    assert_eq!(judge.answers(), paid);
    let words = succeeded(&run("words", &["--draws", "5"]));
    assert!(words.contains("classes by words") && words.contains("distinct_5"), "{words}");
}
