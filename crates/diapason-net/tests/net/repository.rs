//! Hubs and repositories as their protocols are documented.

use crate::server::{Answer, Seen, Server};
use crate::{client, quiet};
use diapason_net::{Checksum, GitHub, Hub, NetError, Token};
use serde_json::json;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one data set whose listing has two pages.
fn hub(seen: &Seen) -> Answer {
    let file =
        |path: &str, size: u64| json!({"type": "file", "path": path, "size": size, "oid": "aa"});
    if seen.path == "/api/datasets/o/n/revision/refs%2Fpr%2F1" {
        return Answer::new(200, json!({"sha": COMMIT}).to_string());
    }
    let tree = format!("/api/datasets/o/n/tree/{COMMIT}?recursive=true");
    if seen.path == tree {
        let entries = json!([
            {"type": "directory", "path": "data"},
            {"type": "file", "path": "data/b ü.parquet", "size": 9, "oid": "bb",
             "lfs": {"oid": "cc", "size": 9, "pointerSize": 130}},
        ]);
        let next = format!("<{tree}&cursor=x>; rel=\"next\"");
        return Answer::new(200, entries.to_string()).with("link", next);
    }
    if seen.path == format!("{tree}&cursor=x") {
        return Answer::new(200, json!([file("a.csv", 4)]).to_string());
    }
    Answer::new(404, "no such data set")
}

#[test]
fn a_hub_is_listed_at_one_commit_over_all_pages() {
    let server = Server::start(hub);
    let hub = Hub { endpoint: server.url.clone(), token: Token::new("hf_x") };
    let listing = hub.files(&client(), "o/n", "refs/pr/1", &mut quiet).unwrap();
    assert_eq!(listing.commit, COMMIT);
    let [small, large] = listing.files.as_slice() else { panic!("{listing:?}") };
    assert_eq!((small.path.as_str(), small.known.bytes), ("a.csv", Some(4)));
    assert_eq!(small.known.checksum, Some(Checksum::GitBlob("aa".into())));
    assert_eq!(large.known.checksum, Some(Checksum::Sha256("cc".into())));
    let url = format!("{}/datasets/o/n/resolve/{COMMIT}/data/b%20%C3%BC.parquet", server.url);
    assert_eq!(large.url, url);
    assert!(server.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer hf_x")));
    let again = hub.files(&client(), "o/n", COMMIT, &mut quiet).unwrap();
    assert_eq!(again, listing, "a commit needs no resolving");
    assert_eq!(server.seen().len(), 5);
    let missing = hub.files(&client(), "o/other", "main", &mut quiet).unwrap_err();
    assert!(matches!(missing, NetError::Status { status: 404, .. }), "{missing}");
}

#[test]
fn a_listing_that_leads_elsewhere_takes_no_token_along() {
    let server = Server::start(|_| {
        Answer::new(200, "[]").with("link", "<https://example.org/x>; rel=\"next\"")
    });
    let hub = Hub { endpoint: server.url.clone(), token: Token::new("hf_x") };
    let error = hub.files(&client(), "o/n", COMMIT, &mut quiet).unwrap_err().to_string();
    assert!(error.contains("on another server"), "{error}");
}

fn github(server: &Server) -> GitHub {
    GitHub { api: server.url.clone(), raw: format!("{}/raw", server.url), token: None }
}

#[test]
fn a_repository_is_listed_with_the_names_git_gives() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/repos/o/n/commits/main" => Answer::new(200, json!({"sha": COMMIT}).to_string()),
        path if path == format!("/repos/o/n/git/trees/{COMMIT}?recursive=1") => {
            let tree = json!({"truncated": false, "tree": [
                {"type": "tree", "path": "data", "sha": "11"},
                {"type": "blob", "path": "data/x.csv", "sha": "22", "size": 5},
            ]});
            Answer::new(200, tree.to_string())
        }
        _ => Answer::new(404, ""),
    });
    let listing = github(&server).files(&client(), "o/n", "main", &mut quiet).unwrap();
    let [file] = listing.files.as_slice() else { panic!("{listing:?}") };
    assert_eq!(file.url, format!("{}/raw/o/n/{COMMIT}/data/x.csv", server.url));
    assert_eq!(file.known.checksum, Some(Checksum::GitBlob("22".into())));
}

#[test]
fn limits_and_half_listings_are_named() {
    let server =
        Server::start(|_| Answer::new(200, json!({"truncated": true, "tree": []}).to_string()));
    let error = github(&server).files(&client(), "o/n", COMMIT, &mut quiet).unwrap_err();
    assert!(error.to_string().contains("does not list all files"), "{error}");
    let server = Server::start(|_| {
        Answer::new(403, "rate limit")
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", "1000000000")
            .with("date", "Sun, 09 Sep 2001 01:30:00 GMT")
    });
    let error = github(&server).files(&client(), "o/n", COMMIT, &mut quiet).unwrap_err();
    assert!(error.to_string().contains("asks to wait 1000 s"), "{error}");
    let server = Server::start(|_| Answer::new(200, "[{\"type\": \"fi"));
    let error = github(&server).files(&client(), "o/n", COMMIT, &mut quiet).unwrap_err();
    assert!(error.is_transient() && server.seen().len() == 3, "{error}");
}
