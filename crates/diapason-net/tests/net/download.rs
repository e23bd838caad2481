//! Downloads from a server of our own that fails in every way a server can.

use crate::server::{Answer, Server};
use crate::{client, quiet};
use diapason_net::{Checksum, Download, Event, Known, NetError, Observe, Token};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SHA256_OF_BYTES: &str = "cbbf1aa1724d6a078f109e131e053eaae7eb669f6ef00b1ad46004a6118d965d";

/// 300,000 bytes that repeat nowhere near.
fn bytes() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..300_000).map(|_| next()).collect()
}

fn checked() -> Known {
    let checksum = Checksum::Sha256(SHA256_OF_BYTES.to_owned());
    Known { bytes: Some(300_000), checksum: Some(checksum) }
}

struct Place {
    _folder: tempfile::TempDir,
    target: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("source/data.bin");
        Place { _folder: folder, target }
    }

    fn part(&self) -> PathBuf {
        self.target.with_file_name("data.bin.part")
    }

    fn fetch(&self, url: &str, known: Known, observe: &mut Observe<'_>) -> Result<(), NetError> {
        let token = Token::new("hf_secret");
        let url = format!("{url}/data.bin");
        let download = Download { url, token, known, target: self.target.clone() };
        client().download(&download, observe)
    }

    /// The file is there, and nothing else is.
    fn is_whole(&self) {
        assert_eq!(std::fs::read(&self.target).unwrap(), bytes());
        assert_eq!(std::fs::read_dir(self.target.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_file_arrives_whole_with_its_name_last() {
    let server = Server::start(|seen| Answer::file(seen, &bytes(), "\"1\""));
    let place = Place::new();
    let mut most = 0;
    let target = place.target.clone();
    let mut observe = |event: &Event| {
        if let Event::Bytes { done, of } = event {
            assert_eq!(*of, Some(300_000));
            most = most.max(*done);
            assert!(!target.exists(), "it has no name before it is whole");
        }
        ControlFlow::Continue(())
    };
    place.fetch(&server.url, checked(), &mut observe).unwrap();
    assert_eq!(most, 300_000);
    place.is_whole();
    let seen = &server.seen()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer hf_secret"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

#[test]
fn a_truncated_body_is_continued_where_it_ended() {
    for known in [checked(), Known::default()] {
        let server = Server::start(|seen| {
            let mut answer = Answer::file(seen, &bytes(), "\"1\"");
            // Never more than 40,000 bytes at once: eight calls, more than three failures.
            answer.cut = (answer.body.len() > 40_000).then_some(40_000);
            answer
        });
        let place = Place::new();
        place.fetch(&server.url, known, &mut quiet).unwrap();
        place.is_whole();
        let from: Vec<_> = server
            .seen()
            .iter()
            .map(|seen| seen.header("range").unwrap_or("-").to_owned())
            .collect();
        assert_eq!(from.len(), 8);
        assert_eq!((from[0].as_str(), from[1].as_str()), ("-", "bytes=40000-"));
    }
}

#[test]
fn a_stopped_download_resumes_in_another_call() {
    let server = Server::start(|seen| Answer::file(seen, &bytes(), "\"1\""));
    let place = Place::new();
    let mut stop = |event: &Event| match event {
        Event::Bytes { done, .. } if *done > 100_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = place.fetch(&server.url, checked(), &mut stop);
    assert!(matches!(stopped, Err(NetError::Stopped)));
    let there = std::fs::metadata(place.part()).unwrap().len();
    assert!(there > 100_000 && !place.target.exists());
    place.fetch(&server.url, checked(), &mut quiet).unwrap();
    place.is_whole();
    assert_eq!(server.seen()[1].header("range"), Some(format!("bytes={there}-").as_str()));
}

#[test]
fn two_versions_of_a_file_are_never_joined() {
    let older: Vec<u8> = vec![7; 200_000];
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |seen| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer { cut: Some(50_000), ..Answer::file(seen, &older, "\"1\"") },
        _ => Answer::file(seen, &bytes(), "\"2\""),
    });
    let place = Place::new();
    place.fetch(&server.url, Known::default(), &mut quiet).unwrap();
    place.is_whole();
    assert_eq!(server.seen()[1].header("if-range"), Some("\"1\""));
}

#[test]
fn wrong_bytes_of_an_earlier_try_are_fetched_again() {
    let server = Server::start(|seen| Answer::file(seen, &bytes(), "\"1\""));
    let place = Place::new();
    std::fs::create_dir_all(place.part().parent().unwrap()).unwrap();
    for wrong in [vec![0; 1000], vec![0; 300_000], vec![0; 400_000]] {
        std::fs::write(place.part(), &wrong).unwrap();
        place.fetch(&server.url, checked(), &mut quiet).unwrap();
        place.is_whole();
        std::fs::remove_file(&place.target).unwrap();
    }
}

#[test]
fn a_wrong_checksum_leaves_nothing_behind() {
    let server = Server::start(|seen| {
        let mut other = bytes();
        other[150_000] ^= 1;
        Answer::file(seen, &other, "\"1\"")
    });
    let place = Place::new();
    let error = place.fetch(&server.url, checked(), &mut quiet).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, NetError::Mismatch { .. }) && text.contains(SHA256_OF_BYTES), "{text}");
    assert_eq!(std::fs::read_dir(place.target.parent().unwrap()).unwrap().count(), 0);
    assert_eq!(server.seen().len(), 1, "the same bytes are not fetched twice");
}

#[test]
fn a_busy_server_is_asked_again_and_one_that_stays_so_is_given_up() {
    for status in [429, 500, 503] {
        let calls = AtomicUsize::new(0);
        let server = Server::start(move |seen| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::new(status, "later").with("retry-after", "1"),
            1 => Answer { drop: true, ..Answer::default() },
            _ => Answer::file(seen, &bytes(), "\"1\""),
        });
        let place = Place::new();
        let started = std::time::Instant::now();
        place.fetch(&server.url, checked(), &mut quiet).unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1), "the server asked for a second");
        place.is_whole();
    }
    let server = Server::start(|_| Answer::new(503, "down"));
    let error = Place::new().fetch(&server.url, checked(), &mut quiet).unwrap_err();
    assert!(matches!(error, NetError::Busy { status: 503, .. }));
    assert_eq!(server.seen().len(), 3);
    let server = Server::start(|_| Answer::new(429, "").with("retry-after", "3600"));
    let error = Place::new().fetch(&server.url, checked(), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("asks to wait 3600 s"), "{error}");
    assert_eq!(server.seen().len(), 1, "an hour is not waited for");
}

#[test]
fn a_silent_server_is_not_waited_for_forever() {
    let server = Server::start(|seen| Answer {
        delay: Duration::from_secs(5),
        ..Answer::file(seen, &bytes(), "\"1\"")
    });
    let started = std::time::Instant::now();
    let error = Place::new().fetch(&server.url, checked(), &mut quiet).unwrap_err();
    assert!(matches!(error, NetError::Transport { transient: true, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn redirects_are_followed_and_the_token_stays_home() {
    let elsewhere = Server::start(|seen| Answer::file(seen, &bytes(), "\"1\""));
    let target = format!("{}/signed?secret=1", elsewhere.url);
    let home = Server::start(move |seen| match seen.path.as_str() {
        "/data.bin" => Answer::new(302, "").with("location", "/moved"),
        _ => Answer::new(307, "").with("location", target.clone()),
    });
    let place = Place::new();
    place.fetch(&home.url, checked(), &mut quiet).unwrap();
    place.is_whole();
    assert_eq!(home.seen().len(), 2);
    assert!(home.seen().iter().all(|seen| seen.header("authorization").is_some()));
    assert_eq!(elsewhere.seen()[0].path, "/signed?secret=1");
    assert_eq!(elsewhere.seen()[0].header("authorization"), None);
    let circle = Server::start(|_| Answer::new(302, "").with("location", "/data.bin"));
    let error = Place::new().fetch(&circle.url, checked(), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("in a circle"), "{error}");
    let out = Server::start(|_| Answer::new(302, "").with("location", "http://example.org/x"));
    let error = Place::new().fetch(&out.url, checked(), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("not encrypted"), "{error}");
}

#[test]
fn refusals_say_what_to_do_and_are_not_repeated() {
    for (status, code, words) in [
        (401, "GatedRepo", "set HF_TOKEN"),
        (403, "GatedRepo", "your account has not been let in"),
        (401, "", "a key is missing or wrong"),
        (404, "", "answers 404"),
    ] {
        let server =
            Server::start(move |_| Answer::new(status, "no entry").with("x-error-code", code));
        let error = Place::new().fetch(&server.url, checked(), &mut quiet).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("no entry"), "{text}");
        assert!(!text.contains("hf_secret") && !format!("{error:?}").contains("hf_secret"));
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_page_instead_of_a_file_is_refused() {
    let server = Server::start(|_| Answer::new(200, "<html>").with("content-type", "text/html; x"));
    let error = Place::new().fetch(&server.url, Known::default(), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("a web page"), "{error}");
}

#[test]
fn what_could_be_read_or_changed_on_the_way_is_not_sent() {
    let place = Place::new();
    let error = place.fetch("http://example.org", checked(), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("a key would be read"), "{error}");
    let url = "http://example.org/data.bin".to_owned();
    let download =
        Download { url, token: None, known: Known::default(), target: place.target.clone() };
    let error = client().download(&download, &mut quiet).unwrap_err().to_string();
    assert!(error.contains("there is no checksum"), "{error}");
}

#[test]
fn one_process_fetches_a_file_at_a_time() {
    let server = Server::start(|seen| Answer::file(seen, &bytes(), "\"1\""));
    let place = Place::new();
    let mut locked = false;
    let mut observe = |event: &Event| {
        if matches!(event, Event::Bytes { done, .. } if *done > 0) && !locked {
            let other = place.fetch(&server.url, checked(), &mut quiet);
            locked = matches!(other, Err(NetError::Locked { .. }));
            assert!(locked);
        }
        ControlFlow::Continue(())
    };
    place.fetch(&server.url, checked(), &mut observe).unwrap();
    place.is_whole();
    assert!(Path::new(&place.target).exists());
}
