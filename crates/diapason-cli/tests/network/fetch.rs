//! `diapason suite fetch` with sources of every kind behind one server.

use crate::at;
use crate::common::{diapason, stdout};
use crate::server::{Answer, Seen, Server};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ROWS: &[u8] = b"a,b\n1,2\n";
/// SHA-256 and git's name of [`ROWS`].
const SHA256: &str = "492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470";
const BLOB: &str = "cfa20f81071245f292f0b52b37beb7adf9259a26";

/// A suite of five sources, one a kind, each read by one table of `*.csv`.
fn suite(folder: &Path, url: &str) -> String {
    let sources = [
        (
            "plain",
            format!(
                "[[fetch.files]]\npath = \"rows.csv\"\nurl = \"{url}/moved\"\nsha256 = \"{SHA256}\""
            ),
        ),
        (
            "wrong",
            format!(
                "[[fetch.files]]\npath = \"rows.csv\"\nurl = \"{url}/rows\"\nsha256 = \"{}\"",
                "0".repeat(64)
            ),
        ),
        ("onhub", "[fetch]\nhub = \"o/open\"\nroot = \"data\"".to_owned()),
        ("gated", "[fetch]\nhub = \"o/gated\"\ngated = true".to_owned()),
        ("repo", "[fetch]\ngithub = \"o/n\"".to_owned()),
        ("asked", "[fetch]\nsteps = [\"Write to the authors.\"]".to_owned()),
    ];
    let root = folder.join("suite");
    std::fs::create_dir_all(root.join("sources")).unwrap();
    std::fs::create_dir_all(root.join("tasks")).unwrap();
    for (name, fetch) in sources {
        let access = if name == "asked" { "on-request" } else { "auto" };
        let text = format!(
            "title = \"{name}\"\ncitation = \"c\"\nlicence = \"CC0\"\nlocator = \"here\"\n\
             access = \"{access}\"\n{fetch}\n[tables.rows]\npath = [\"rows.csv\", \"part-*.csv\"]\n"
        );
        std::fs::write(root.join(format!("sources/{name}.toml")), text).unwrap();
    }
    root.to_str().unwrap().to_owned()
}

/// A hub, a repository and plain files in one. The hub's files are on "another server".
fn world(seen: &Seen) -> Answer {
    let tree = |name: &str| format!("/api/datasets/o/{name}/tree/{COMMIT}?recursive=true");
    let file = |path: &str| json!({"type": "file", "path": path, "size": 8, "oid": BLOB});
    let large = |path: &str| {
        json!({"type": "file", "path": path, "size": 8, "oid": "x",
               "lfs": {"oid": SHA256, "size": 8}})
    };
    let token = seen.header("authorization") == Some("Bearer hf_good");
    match seen.path.as_str() {
        "/rows" | "/signed" => Answer::file(seen, ROWS, "\"1\""),
        "/moved" => Answer::new(302, "").with("location", "/rows"),
        path if path.ends_with("/revision/main") || path.ends_with("/commits/HEAD") => {
            Answer::new(200, json!({"sha": COMMIT}).to_string())
        }
        path if path == tree("open") => {
            let files =
                json!([large("data/part-0.csv"), file("data/part-1.csv"), file("README.md")]);
            Answer::new(200, files.to_string())
        }
        path if path == tree("gated") => Answer::new(200, json!([file("rows.csv")]).to_string()),
        path if path == format!("/repos/o/n/git/trees/{COMMIT}?recursive=1") => {
            let blob = json!({"type": "blob", "path": "rows.csv", "size": 8, "sha": BLOB});
            Answer::new(200, json!({"truncated": false, "tree": [blob]}).to_string())
        }
        path if path == format!("/raw/o/n/{COMMIT}/rows.csv") => Answer::file(seen, ROWS, "\"1\""),
        path if path.starts_with("/datasets/o/open/resolve/") => {
            Answer::new(302, "").with("location", "/signed")
        }
        path if path.starts_with("/datasets/o/gated/resolve/") && token => {
            Answer::file(seen, ROWS, "\"1\"")
        }
        path if path.starts_with("/datasets/o/gated/resolve/") => Answer::new(401, "restricted")
            .with("x-error-code", "GatedRepo")
            .with("x-error-message", "Access to dataset o/gated is restricted."),
        _ => Answer::new(404, "no such thing"),
    }
}

struct Desk {
    folder: tempfile::TempDir,
    server: Server,
    suite: String,
}

impl Desk {
    fn new(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(answer);
        let suite = suite(folder.path(), &server.url);
        Desk { folder, server, suite }
    }

    fn fetch(&self, arguments: &[&str], token: &str) -> Output {
        let (data, raw) = (at(self.folder.path(), "data"), format!("{}/raw", self.server.url));
        Command::new(env!("CARGO_BIN_EXE_diapason"))
            .args(["suite", "fetch", "--suite", &self.suite, "--data", &data])
            .args(["--github-api", &self.server.url, "--github-raw", &raw])
            .args(arguments)
            .env("HF_ENDPOINT", &self.server.url)
            .env("HF_TOKEN", token)
            .env_remove("GITHUB_TOKEN")
            .output()
            .unwrap()
    }

    fn has(&self, name: &str) -> bool {
        std::fs::read(self.folder.path().join("data").join(name)).is_ok_and(|bytes| bytes == ROWS)
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_is_fetched_that_was_not_asked_for() {
    let desk = Desk::new(world);
    let listed = stdout(&["suite", "fetch", "--suite", &desk.suite]);
    assert!(listed.contains("hub, conditions to accept") && listed.contains("by hand"), "{listed}");
    assert!(desk.server.seen().is_empty(), "a list asks nobody");
    let plan = desk.fetch(&["onhub", "plain", "--dry-run", "--json"], "");
    assert!(plan.status.success(), "{}", errors(&plan));
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan[0]["commit"], COMMIT);
    let files: Vec<_> = plan[0]["files"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
    assert_eq!(files, ["part-0.csv", "part-1.csv"], "what is not read is not fetched");
    assert_eq!(plan[1]["files"][0]["bytes"], 8, "its size is asked for");
    assert!(!desk.folder.path().join("data").exists());
    let without = diapason(&["suite", "fetch", "polis"]);
    assert!(errors(&without).contains("`--data DIR`"), "{}", errors(&without));
    let unknown = desk.fetch(&["plian"], "");
    assert!(errors(&unknown).contains("did you mean `plain`?"), "{}", errors(&unknown));
}

#[test]
fn every_kind_of_source_arrives_verified() {
    let desk = Desk::new(world);
    let fetched = desk.fetch(&["plain", "onhub", "repo", "gated"], "hf_good");
    assert!(fetched.status.success(), "{}", errors(&fetched));
    for name in [
        "plain/rows.csv",
        "onhub/part-0.csv",
        "onhub/part-1.csv",
        "repo/rows.csv",
        "gated/rows.csv",
    ] {
        assert!(desk.has(name), "{name}");
    }
    for seen in desk.server.seen() {
        let ours = !seen.path.starts_with("/r") && !seen.path.starts_with("/moved");
        assert_eq!(seen.header("authorization").is_some(), ours, "{}", seen.path);
    }
    let asked = desk.server.seen().len();
    let again = desk.fetch(&["plain", "repo"], "");
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("0 files to fetch, 0 bytes; 1 there already"), "{text}");
    assert_eq!(desk.server.seen().len(), asked + 2, "a listing, no file");
    std::fs::write(desk.folder.path().join("data/plain/rows.csv"), "mine").unwrap();
    let kept = desk.fetch(&["plain"], "");
    assert!(errors(&kept).contains("were kept"), "{}", errors(&kept));
    assert!(!desk.has("plain/rows.csv"), "what the user has is not overwritten");
}

#[test]
fn a_source_that_fails_does_not_keep_the_others_away() {
    let desk = Desk::new(world);
    let some = desk.fetch(&["gated", "plain", "wrong"], "");
    let said = errors(&some);
    assert_eq!(some.status.code(), Some(1));
    for words in [
        "Access to dataset o/gated is restricted.",
        "set HF_TOKEN",
        &format!("{}/datasets/o/gated", desk.server.url),
        "2 of 3 sources were not fetched",
        SHA256,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(desk.has("plain/rows.csv") && !desk.has("wrong/rows.csv"));
    let left = std::fs::read_dir(desk.folder.path().join("data/wrong")).unwrap().count();
    assert_eq!(left, 0, "wrong bytes are not kept");
}

#[test]
fn a_server_that_cuts_and_stumbles_is_outlasted() {
    let calls = AtomicUsize::new(0);
    let desk =
        Desk::new(move |seen| match (seen.method.as_str(), calls.fetch_add(1, Ordering::SeqCst)) {
            ("GET", 1) => Answer::new(503, "later"),
            ("GET", 2) => Answer { cut: Some(3), ..Answer::file(seen, ROWS, "\"1\"") },
            ("GET", 3) => Answer { drop: true, ..Answer::default() },
            _ => Answer::file(seen, ROWS, "\"1\""),
        });
    let fetched = desk.fetch(&["plain"], "");
    assert!(fetched.status.success(), "{}", errors(&fetched));
    assert!(desk.has("plain/rows.csv"));
    let last = desk.server.seen().pop().unwrap();
    assert_eq!(last.header("range"), Some("bytes=3-"), "it went on where it was cut");
}

#[test]
fn what_comes_by_hand_is_explained_looked_at_and_put_in_place() {
    let desk = Desk::new(world);
    let explained = desk.fetch(&["asked"], "");
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    for words in ["1. Write to the authors.", "--from PATH", "licence: CC0", "rows.csv, part-*.csv"]
    {
        assert!(text.contains(words), "{text}");
    }
    let folder = desk.folder.path().join("Downloads/deep");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rows.csv"), "<!DOCTYPE html><html>Please log in").unwrap();
    let downloads = at(desk.folder.path(), "Downloads");
    let page = desk.fetch(&["asked", "--from", &downloads], "");
    assert!(errors(&page).contains("a web page"), "{}", errors(&page));
    std::fs::write(folder.join("rows.csv"), ROWS).unwrap();
    std::fs::write(folder.join("notes.txt"), "x").unwrap();
    let placed = desk.fetch(&["asked", "--from", &downloads], "");
    assert!(placed.status.success(), "{}", errors(&placed));
    assert!(desk.has("asked/rows.csv"));
    let data = desk.folder.path().join("data/asked");
    assert_eq!(std::fs::read_dir(data).unwrap().count(), 1, "only what is read");
    std::fs::write(folder.join("rows.csv"), "other").unwrap();
    let other = desk.fetch(&["asked", "--from", &downloads], "");
    assert!(errors(&other).contains("another content") && desk.has("asked/rows.csv"));
    let wrong = desk.fetch(&["plain", "--from", &downloads], "");
    assert!(errors(&wrong).contains(SHA256), "a published checksum counts: {}", errors(&wrong));
    std::fs::remove_file(folder.join("rows.csv")).unwrap();
    let nothing = desk.fetch(&["asked", "--from", &downloads], "");
    assert!(errors(&nothing).contains("holds nothing that `asked` reads"), "{}", errors(&nothing));
    assert!(desk.server.seen().is_empty(), "nobody was asked");
}

#[test]
fn every_source_of_the_suite_says_how_it_is_had() {
    let rows: Value = serde_json::from_str(&stdout(&["suite", "fetch", "--json"])).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 48);
    let folder = tempfile::tempdir().unwrap();
    for row in rows.iter().filter(|row| row["how"] == "by hand") {
        let name = row["source"].as_str().unwrap();
        let data = at(folder.path(), "data");
        let text = stdout(&["suite", "fetch", name, "--data", &data]);
        assert!(text.contains("  1. "), "{name} says no step: {text}");
    }
}
