//! The page `docs/walkthrough.md`, followed by somebody who does exactly what it says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/walkthrough.md");

/// The fenced blocks of the page: what follows the opening fence, and the text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut blocks = Vec::new();
    let mut parts = PAGE.split("```").skip(1);
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').unwrap());
    }
    blocks
}

fn run(command: &str, folder: &Path) -> (String, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_diapason")).parent().unwrap().to_str().unwrap();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    let output =
        shell.args(["-c", command]).env("PATH", path).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command}\n{said}");
    (out, said)
}

#[test]
fn the_walkthrough_works_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut done = Vec::new();
    for (kind, text) in blocks() {
        if let Some((_, name)) = kind.split_once(' ') {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        } else {
            assert_eq!(kind, "sh");
            done.extend(text.lines().map(|command| (command, run(command, folder.path()))));
        }
    }
    let found = |verb: &str| {
        let verb = format!("diapason {verb} ");
        let found = done.iter().find(|(command, _)| command.starts_with(&verb));
        &found.unwrap_or_else(|| panic!("the page has no {verb}")).1
    };
    assert!(found("suite").0.contains("⟦"), "{}", found("suite").0);
    let trained = &found("train").1;
    // Four people with four episodes each are trained on, and one is not.
    assert!(trained.contains("episodes: 16 to train on, 4 held out"), "{trained}");
    assert!(trained.contains("16 sequences") && trained.contains("learned"), "{trained}");
    let results =
        std::fs::read_to_string(folder.path().join("run/everybody/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let figure = &results["results"]["spectrum"]["steer/lunch"]["loss_nats"];
    assert!(figure["value"].is_number() && figure["n"] == 5, "{figure}");
    assert!(folder.path().join("run/report.html").exists());
    assert!(found("run").1.contains("models/spectrum: finished before, reused"));
    assert!(found("sample").0.lines().count() >= 3, "a draw may hold a line break");
}

#[test]
fn the_task_of_the_page_is_twenty_lines() {
    let (_, task) = blocks().into_iter().find(|(kind, _)| kind.ends_with("lunch.toml")).unwrap();
    assert!(task.lines().filter(|line| !line.is_empty()).count() <= 20, "{task}");
}
