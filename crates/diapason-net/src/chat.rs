//! Questions to a language model behind an endpoint that speaks `/v1/chat/completions`.

use crate::client::{Call, Client, Method, Token};
use crate::error::NetError;
use crate::retry::{Observe, sleep};
use crate::url::Url;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What it says.
    pub content: String,
}

/// What is asked of a model. The most probable answer is asked for, not a random one.
#[derive(Clone, Debug)]
pub struct Question {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// A JSON Schema that the answer has to follow.
    pub schema: Option<Value>,
    /// Longest answer in tokens.
    pub max_tokens: usize,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The text; empty where the model refused.
    pub text: String,
    /// Tokens of the question, as the server counts them; 0 where it does not.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

/// A model behind an endpoint. Shared by threads: when the server asks one of them to wait, all
/// do.
#[derive(Debug)]
pub struct Chat {
    url: Url,
    /// Where the same server gives rewards.
    pooling: Url,
    model: String,
    token: Option<Token>,
    within: Duration,
    /// Until when the server asked to be left alone.
    pause: Mutex<Option<Instant>>,
}

impl Chat {
    /// A model of an endpoint: its address with or without `/v1` or `/v1/chat/completions` at the
    /// end. An answer may take `within`.
    ///
    /// # Errors
    /// [`NetError::Address`].
    pub fn new(
        endpoint: &str,
        model: &str,
        token: Option<Token>,
        within: Duration,
    ) -> Result<Self, NetError> {
        let base = endpoint.trim_end_matches('/');
        let base = base.strip_suffix("/chat/completions").unwrap_or(base);
        let base = base.strip_suffix("/v1").unwrap_or(base);
        let url = Url::parse(&format!("{base}/v1/chat/completions"))?;
        let pooling = Url::parse(&format!("{base}/pooling"))?;
        Ok(Chat { url, pooling, model: model.to_owned(), token, within, pause: Mutex::new(None) })
    }

    /// Asks one question, again and again while the endpoint fails for now.
    ///
    /// # Errors
    /// As any call; [`NetError::Transport`] for an answer without a message in it.
    pub fn ask(
        &self,
        client: &Client,
        question: &Question,
        observe: &mut Observe<'_>,
    ) -> Result<Reply, NetError> {
        let mut body = json!({
            "model": self.model, "messages": question.messages,
            "temperature": 0, "max_tokens": question.max_tokens,
        });
        if let Some(schema) = &question.schema {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": schema},
            });
        }
        self.call(client, &self.url, &body, observe, |answer| self.read(answer))
    }

    /// The reward of a conversation by a reward model behind `/pooling` (vLLM): the number, or of
    /// several the last, which is that of the last token, as the text of a [`Reply`].
    ///
    /// # Errors
    /// As any call; [`NetError::Transport`] for an answer without a number in it.
    pub fn reward(
        &self,
        client: &Client,
        messages: &[Message],
        observe: &mut Observe<'_>,
    ) -> Result<Reply, NetError> {
        let body = json!({"model": self.model, "messages": messages, "encoding_format": "float"});
        self.call(client, &self.pooling, &body, observe, |answer| {
            let mut data = &answer["data"][0]["data"];
            while let Some(list) = data.as_array() {
                data = list.last().unwrap_or(&Value::Null);
            }
            if data.as_f64().is_none() {
                return Err(Self::unusable(&self.pooling, "reward", answer));
            }
            let prompt_tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap_or(0);
            Ok(Reply { text: data.to_string(), prompt_tokens, completion_tokens: 0 })
        })
    }

    fn call(
        &self,
        client: &Client,
        url: &Url,
        body: &Value,
        observe: &mut Observe<'_>,
        read: impl Fn(&Value) -> Result<Reply, NetError>,
    ) -> Result<Reply, NetError> {
        let body = body.to_string().into_bytes();
        let call = Call {
            method: Method::Post(&body),
            url,
            token: self.token.as_ref(),
            headers: Vec::new(),
            within: Some(self.within),
        };
        client.retry.run(observe, |observe| {
            self.wait_for_others(observe)?;
            let answered = client.json(&call).and_then(|(answer, _)| read(&answer));
            if let Err(NetError::Busy { wait: Some(wait), .. }) = &answered
                && *wait <= client.retry.longest
            {
                self.pause_for(*wait);
            }
            answered
        })
    }

    fn wait_for_others(&self, observe: &mut Observe<'_>) -> Result<(), NetError> {
        let until = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if !left.is_zero() => sleep(left, "the endpoint asked to wait", observe),
            _ => Ok(()),
        }
    }

    fn pause_for(&self, wait: Duration) {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = (*pause).max(Some(Instant::now() + wait));
    }

    fn read(&self, answer: &Value) -> Result<Reply, NetError> {
        let message = &answer["choices"][0]["message"];
        if !message.is_object() {
            return Err(Self::unusable(&self.url, "message", answer));
        }
        let tokens = |name: &str| answer["usage"][name].as_u64().unwrap_or(0);
        Ok(Reply {
            text: message["content"].as_str().unwrap_or_default().to_owned(),
            prompt_tokens: tokens("prompt_tokens"),
            completion_tokens: tokens("completion_tokens"),
        })
    }

    /// Such as `{"error": …}` with status 200 from a server that is being restarted.
    fn unusable(url: &Url, what: &str, answer: &Value) -> NetError {
        let problem = format!("its answer holds no {what}: {}", short(answer));
        NetError::Transport { url: url.shown(), problem, transient: true }
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
