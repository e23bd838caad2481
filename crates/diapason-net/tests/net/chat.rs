//! Questions to an endpoint that is slow, full, broken or talks nonsense.

use crate::server::{Answer, Server};
use crate::{client, quiet};
use diapason_net::{Chat, Message, NetError, Question, Reply, Token};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn said(text: &str) -> Answer {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 3});
    let message = json!({"role": "assistant", "content": text});
    Answer::new(200, json!({"choices": [{"message": message}], "usage": usage}).to_string())
}

fn question() -> Question {
    let messages = vec![Message { role: "user", content: "which?".to_owned() }];
    Question { messages, schema: Some(json!({"type": "object"})), max_tokens: 20 }
}

fn ask(url: &str, observe: &mut diapason_net::Observe<'_>) -> Result<Reply, NetError> {
    let chat = Chat::new(url, "small", Token::new("sk-x"), Duration::from_secs(1)).unwrap();
    chat.ask(&client(), &question(), observe)
}

#[test]
fn a_question_is_sent_as_documented() {
    let server = Server::start(|_| said("{}"));
    for end in ["", "/", "/v1", "/v1/", "/v1/chat/completions"] {
        let reply = ask(&format!("{}{end}", server.url), &mut quiet).unwrap();
        let expected = Reply { text: "{}".to_owned(), prompt_tokens: 12, completion_tokens: 3 };
        assert_eq!(reply, expected);
    }
    for seen in server.seen() {
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/chat/completions"));
        assert_eq!(seen.header("authorization"), Some("Bearer sk-x"));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(body["model"], "small");
        assert_eq!(body["temperature"], 0);
        assert_eq!(body["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
        assert_eq!(body["messages"][0], json!({"role": "user", "content": "which?"}));
    }
}

#[test]
fn every_passing_failure_is_asked_again() {
    let failures: [fn() -> Answer; 6] = [
        || Answer::new(500, "oops"),
        || Answer::new(429, "").with("retry-after", "0"),
        || Answer { drop: true, ..Answer::default() },
        || Answer { cut: Some(10), ..said("{}") },
        || Answer::new(200, "<html>a proxy's page</html>"),
        || Answer { delay: Duration::from_secs(3), ..said("{}") },
    ];
    for failure in failures {
        let calls = AtomicUsize::new(0);
        let server = Server::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => failure(),
            _ => said("right"),
        });
        assert_eq!(ask(&server.url, &mut quiet).unwrap().text, "right");
        assert_eq!(server.seen().len(), 2);
    }
}

#[test]
fn lasting_failures_are_reported_at_once() {
    for (status, kind) in [(400, "status"), (401, "denied"), (404, "status")] {
        let server = Server::start(move |_| Answer::new(status, "unknown model"));
        let error = ask(&server.url, &mut quiet).unwrap_err();
        assert!(error.to_string().contains("unknown model"), "{error}");
        let found = if matches!(error, NetError::Denied { .. }) { "denied" } else { "status" };
        assert_eq!((found, server.seen().len()), (kind, 1));
    }
    let refused = ask("http://127.0.0.1:9", &mut quiet).unwrap_err();
    assert!(matches!(refused, NetError::Transport { .. }), "{refused}");
    let redirect = Server::start(|_| Answer::new(307, "").with("location", "/other"));
    assert!(ask(&redirect.url, &mut quiet).unwrap_err().to_string().contains("redirects"));
}

#[test]
fn when_one_thread_is_told_to_wait_all_do() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::new(429, "").with("retry-after", "1"),
        _ => said("x"),
    });
    let chat = Chat::new(&server.url, "m", None, Duration::from_secs(5)).unwrap();
    let client = client();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| chat.ask(&client, &question(), &mut quiet).unwrap());
        while server.seen().is_empty() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(300));
        chat.ask(&client, &question(), &mut quiet).unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1), "the second waited too");
        first.join().unwrap();
    });
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_wait_can_be_ended() {
    let server = Server::start(|_| Answer::new(429, "").with("retry-after", "2"));
    let stopped = ask(&server.url, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(NetError::Stopped)));
}
