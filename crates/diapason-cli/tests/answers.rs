//! `diapason answers` as a user meets it. Where the system gives no sandbox, the tests of code see
//! that it is refused with an explanation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn write(path: &Path, rows: &[Value]) -> String {
    let lines: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    std::fs::write(path, lines).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A problem in the form of HumanEvalPack.
fn problem(task_id: &str) -> Value {
    json!({
        "task_id": task_id, "prompt": "def twice(x):\n    \"\"\" Twice a number. \"\"\"\n",
        "declaration": "def twice(x):\n", "canonical_solution": "    return 2 * x\n",
        "entry_point": "twice",
        "test": "\n\ndef check(twice):\n    assert twice(2) == 4\n    assert twice(0) == 0\n\ncheck(twice)",
    })
}

/// How each of some bodies of `twice` ended; `None` where there is no sandbox.
fn run(bodies: &[&str], limits: &[&str]) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let problems: Vec<Value> =
        (0..bodies.len()).map(|index| problem(&format!("Python/{index}"))).collect();
    let answer = |(index, body): (usize, &&str)| {
        let lines: String = body.lines().map(|line| ["    ", line, "\n"].concat()).collect();
        json!({"task_id": format!("Python/{index}"), "completion": lines})
    };
    let answers: Vec<Value> = bodies.iter().enumerate().map(answer).collect();
    let (problems, answers) =
        (write(&path("p.jsonl"), &problems), write(&path("a.jsonl"), &answers));
    let rows = path("rows.jsonl").to_str().unwrap().to_owned();
    let mut arguments = vec!["answers", "code", &answers, "--problems", &problems, "--rows", &rows];
    arguments.extend(limits);
    let output = diapason(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("there is no sandbox here") {
        assert!(errors.contains("hint:") && output.status.code() == Some(1), "{errors}");
        return None;
    }
    assert!(output.status.success(), "{errors}");
    let rows = std::fs::read_to_string(rows).unwrap();
    Some(rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn right_answers_pass_and_wrong_ones_do_not() {
    let bodies = [
        "return 2 * x",
        "return x + 1",
        "raise ValueError(x)",
        "return 2 *",
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
    ];
    let Some(rows) = run(&bodies, &[]) else { return };
    let passed: Vec<bool> = rows.iter().map(|row| row["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false, false, false, false, false]);
    assert!(rows[1]["stderr"].as_str().unwrap().contains("AssertionError"));
}

#[test]
fn nothing_takes_more_time_memory_or_processes_than_it_may() {
    let bodies = [
        "while True:\n    pass",
        "import time\ntime.sleep(60)",
        "held = []\nwhile True:\n    held.append(bytearray(10_000_000))",
        // Memory of many processes, each within its own limit.
        "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n        held = bytearray(40_000_000)\n        time.sleep(60)\ntime.sleep(60)",
        // Shared memory counts for no single process.
        "import mmap, time\nheld = mmap.mmap(-1, 600_000_000)\nfor at in range(0, 600_000_000, 4096):\n    held[at] = 1\ntime.sleep(60)",
        "import os\nwhile True:\n    os.fork()",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,)).start()",
    ];
    let started = std::time::Instant::now();
    let Some(rows) = run(&bodies, &["--seconds", "3", "--memory", "256"]) else { return };
    assert!(rows.iter().all(|row| row["passed"] == false), "{rows:?}");
    assert_eq!(rows[0]["end"], "out_of_time");
    assert_eq!(rows[1]["end"], "out_of_time");
    // Whichever is first: the kernel's limit of one process, or the watcher's of all.
    let refused = rows[2]["stderr"].as_str().unwrap().contains("MemoryError");
    assert!(refused || rows[2]["end"] == "out_of_memory", "{}", rows[2]);
    assert_eq!(rows[3]["end"], "out_of_memory");
    assert_eq!(rows[4]["end"], "out_of_memory");
    for row in &rows[5..] {
        let words = row["stderr"].as_str().unwrap();
        let bounded = words.contains("Resource temporarily unavailable")
            || words.contains("can't start new thread");
        let stopped = row["end"] == "out_of_time" || row["end"] == "out_of_memory";
        assert!(bounded || stopped, "{row}");
    }
    // Seven programs of three seconds, on as few as one thread, on a busy machine.
    assert!(started.elapsed().as_secs() < 120);
}

/// Each body returns the right answer where it manages to do what it must not.
#[test]
fn nothing_reaches_out_of_its_folder() {
    let outside = std::env::temp_dir().join(format!("reached-{}", std::process::id()));
    let touch = format!("open({:?}, 'w').write('x')\nreturn 2 * x", outside.to_str().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!(
        "import socket\nsocket.create_connection(('127.0.0.1', {}), 1)\nreturn 2 * x",
        port.local_addr().unwrap().port()
    );
    let forbidden = [
        connect.as_str(),
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\nreturn 2 * x",
        "import socket\nsocket.getaddrinfo('example.org', 80)\nreturn 2 * x",
        "open('/etc/reached', 'w')\nreturn 2 * x",
        "open('/usr/reached', 'w')\nreturn 2 * x",
        "open('/reached', 'w')\nreturn 2 * x",
        "open('/etc/shadow')\nreturn 2 * x",
        "import os\nassert os.listdir('/home') or os.listdir('/root')\nreturn 2 * x",
        "import os, signal\nos.kill(1, signal.SIGKILL)\nimport time\ntime.sleep(1)\nassert len([p for p in os.listdir('/proc') if p.isdigit()]) > 4\nreturn 2 * x",
        "import os\nos.setuid(0)\nreturn 2 * x",
        "import ctypes\nassert ctypes.CDLL(None).mount(b'none', b'/work', b'tmpfs', 0, None) == 0\nreturn 2 * x",
        // A namespace of its own gives rank over nothing that is closed outside of it.
        "import ctypes\ncall = ctypes.CDLL(None)\nassert call.unshare(0x10020000) == 0\nassert call.mount(None, b'/usr', None, 0x1020, None) == 0\nopen('/usr/reached', 'w')\nreturn 2 * x",
        "with open('big', 'wb') as file:\n    for _ in range(400):\n        file.write(bytes(1_000_000))\nreturn 2 * x",
    ];
    let mut bodies =
        vec!["open('mine', 'w').write('x')\nopen('/tmp/mine2', 'w').write('x')\nreturn 2 * x"];
    bodies.extend(forbidden);
    let Some(rows) = run(&bodies, &[]) else { return };
    assert_eq!(rows[0]["passed"], true, "its own folder: {}", rows[0]);
    for (row, body) in rows[1..].iter().zip(forbidden) {
        assert_eq!(row["passed"], false, "{body}: {row}");
    }
    // What it writes to its own /tmp is nowhere outside.
    let Some(rows) = run(&[&touch], &[]) else { return };
    assert!(!outside.exists(), "{rows:?}");
}

#[test]
fn attempts_are_counted_without_bias_and_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let problems = write(&path("p.jsonl"), &[problem("Python/0"), problem("Python/1")]);
    let answer = |task: &str, body: &str| json!({"task_id": task, "completion": body});
    let answers = write(
        &path("a.jsonl"),
        &[
            answer("Python/0", "    return 2 * x\n"),
            answer("Python/0", "    return 0\n"),
            answer("Python/0", "    return 1\n"),
            answer("Python/0", "```python\ndef twice(x):\n    return x + x\n```"),
            answer("Python/1", "    return 3\n"),
            answer("Python/1", "    return 3\n"),
        ],
    );
    let output =
        diapason(&["answers", "code", &answers, "--problems", &problems, "--k", "1,2", "--json"]);
    if output.status.success() {
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let figures = &found["results"]["levers/code_python"];
        let value = |metric: &str| figures[metric]["value"].as_f64().unwrap();
        assert!((value("pass_at_1") - 0.25).abs() < 1e-12, "{found}");
        assert!((value("pass_at_k/2") - (5.0 / 6.0) / 2.0).abs() < 1e-12, "{found}");
        assert_eq!(figures["pass_at_1"]["n"], 2);
    }
    let few = diapason(&["answers", "code", &answers, "--problems", &problems, "--k", "3"]);
    let errors = String::from_utf8_lossy(&few.stderr);
    assert!(errors.contains("too few for pass@3") || errors.contains("no sandbox"), "{errors}");
    let other = write(&path("o.jsonl"), &[answer("Python/7", "")]);
    let failed = diapason(&["answers", "code", &other, "--problems", &problems]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("answer 1 is to `Python/7`"));
    let odd = write(&path("odd.jsonl"), &[problem("Rust/0")]);
    let failed = diapason(&["answers", "code", "--canonical", "--problems", &odd]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("packages from the network"));
}

#[test]
fn languages_and_lengths_of_a_file_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let french = "Le bac part quand la mer est haute, alors ne soyez pas en retard.";
    let english = "The ship leaves when the tide is high, so do not be late.";
    let row = |lang: &str, words: usize, text: &str| json!({"markers": {"lang": lang, "length_tokens": words}, "completion": text});
    let answers = write(
        &folder.path().join("a.jsonl"),
        &[
            row("French", 14, french),
            row("French", 5, &format!("{french}\n{english}")),
            row("English", 20, english),
            row("English", 20, "ok"),
        ],
    );
    let found = stdout(&["answers", "language", &answers, "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let rate = |task: &str| &found["results"][task]["language_line_pass_rate"];
    assert_eq!(
        (&rate("levers/French")["value"], &rate("levers/French")["n"]),
        (&json!(0.5), &json!(2))
    );
    assert_eq!(
        (&rate("levers/English")["value"], &rate("levers/English")["n"]),
        (&json!(1.0), &json!(1))
    );
    let found = stdout(&["answers", "length", &answers, "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["results"]["levers/length"]["length_violation_share"]["value"], 0.25);
    // What was asked for counts, whatever the model wrote of itself; each unit on its own.
    let asked = |sentences: usize| {
        json!({"asked": {"length_sentences": sentences}, "markers": {"length_tokens": 3},
               "completion": format!("{english} {english}")})
    };
    let answers = write(&folder.path().join("s.jsonl"), &[asked(1), asked(2)]);
    let found = stdout(&["answers", "length", &answers, "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let found = &found["results"]["levers/length"];
    assert_eq!(found["length_violation_share/sentences"]["value"], 0.5);
    assert_eq!(found["length_relative_error/sentences"]["value"], 0.5);
    assert!(found.get("length_violation_share").is_none());
    let failed = diapason(&["answers", "language", PathBuf::from("/nowhere").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("/nowhere"));
}
