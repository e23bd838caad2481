//! One HTTP call: time limits, redirects, and who gets to see a token.

use crate::error::NetError;
use crate::retry::{Retry, asked_wait, seconds_of_date};
use crate::url::Url;
use std::time::Duration;
use ureq::http;

/// Redirects that are followed before it is called a loop.
const MOST_REDIRECTS: usize = 10;

/// Bytes of an answer that is read as a whole: a listing of a large repository, not a file.
const MOST_BODY_BYTES: u64 = 64 << 20;

/// A secret. It is sent to the server it is for, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token; blanks around it, which files and shells add, are no part of it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Token(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// How a [`Client`] behaves.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The proxy to go through, as an address; none by default, whatever the environment says.
    /// This machine itself is reached without it.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Vec<String>,
    /// Longest time to find and reach a server.
    pub connect: Duration,
    /// Longest silence in the middle of an answer.
    pub stall: Duration,
    /// What to do when a call fails for now.
    pub retry: Retry,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSettings {
            proxy: None,
            no_proxy: Vec::new(),
            connect: Duration::from_secs(20),
            stall: Duration::from_mins(1),
            retry: Retry::default(),
        }
    }
}

/// Connections to other machines. Shared by threads.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    stall: Duration,
    pub(crate) retry: Retry,
}

/// One call, before redirects.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub method: Method<'a>,
    pub url: &'a Url,
    pub token: Option<&'a Token>,
    pub headers: Vec<(&'static str, String)>,
    /// Longest time until the whole answer is there; `None` where only silence is too long.
    pub within: Option<Duration>,
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method<'a> {
    Get,
    Head,
    /// With a JSON body.
    Post(&'a [u8]),
}

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub url: Url,
    headers: http::HeaderMap,
    pub body: ureq::Body,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// [`NetError::Address`] for a proxy that is none.
    pub fn new(settings: &ClientSettings) -> Result<Self, NetError> {
        let proxy = settings.proxy.as_deref().map(|proxy| through(proxy, &settings.no_proxy));
        let proxy = proxy.transpose().map_err(|_| NetError::Address {
            url: "the proxy".to_owned(),
            problem: "is no address",
            hint: "it reads http://host:port or http://user:password@host:port",
        })?;
        let agent = ureq::Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("diapason/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(settings.connect))
            .timeout_resolve(Some(settings.connect))
            .build()
            .new_agent();
        Ok(Client { agent, stall: settings.stall, retry: settings.retry })
    }

    /// Makes one call and follows redirects. A token goes to the server of the first address only.
    ///
    /// # Errors
    /// What [`Response::checked`] says of the status, and failures on the way.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Response, NetError> {
        if call.token.is_some() && !call.url.is_private() {
            return Err(NetError::Address {
                url: call.url.shown(),
                problem: "is not encrypted, and a key would be read on the way",
                hint: "use https, or a tunnel to localhost",
            });
        }
        let mut url = call.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let token = call.token.filter(|_| url.same_server(call.url));
            let response = self.once(call, &url, token)?;
            let location = match response.status {
                301 | 302 | 303 | 307 | 308 => response.header("location"),
                _ => None,
            };
            let Some(location) = location else { return response.checked() };
            if matches!(call.method, Method::Post(_)) {
                return Err(response.answer("redirects what is sent to it".to_owned()));
            }
            let next = url.join(location)?;
            if url.is_private() && !next.is_private() {
                let problem = format!("redirects to {}, which is not encrypted", next.shown());
                return Err(response.answer(problem));
            }
            url = next;
        }
        Err(NetError::Answer { url: call.url.shown(), problem: "redirects in a circle".to_owned() })
    }

    fn once(
        &self,
        call: &Call<'_>,
        url: &Url,
        token: Option<&Token>,
    ) -> Result<Response, NetError> {
        let (name, body) = match call.method {
            Method::Get => ("GET", None),
            Method::Head => ("HEAD", None),
            Method::Post(body) => ("POST", Some(body)),
        };
        let mut request = http::Request::builder().method(name).uri(url.text());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(Token(secret)) = token {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let transport = |problem: ureq::Error| transport(url, &problem);
        let sent = if let Some(body) = body {
            let request = request.header("content-type", "application/json").body(body);
            let request = request.map_err(|problem| transport(problem.into()))?;
            self.agent.run(self.limited(request, call.within))
        } else {
            let request = request.body(()).map_err(|problem| transport(problem.into()))?;
            self.agent.run(self.limited(request, call.within))
        };
        let (head, body) = sent.map_err(transport)?.into_parts();
        Ok(Response { status: head.status.as_u16(), url: url.clone(), headers: head.headers, body })
    }

    fn limited<Body: ureq::AsSendBody>(
        &self,
        request: http::Request<Body>,
        within: Option<Duration>,
    ) -> http::Request<Body> {
        let config = self.agent.configure_request(request);
        match within {
            Some(_) => config.timeout_global(within).build(),
            None => config
                .timeout_recv_response(Some(self.stall))
                .timeout_per_read(Some(self.stall))
                .build(),
        }
    }

    /// A whole answer as JSON.
    pub(crate) fn json(&self, call: &Call<'_>) -> Result<(serde_json::Value, Response), NetError> {
        let mut response = self.send(call)?;
        let bytes = response.bytes()?;
        // A half answer or a proxy's own page: worth asking again.
        let value = serde_json::from_slice(&bytes).map_err(|problem| NetError::Transport {
            url: response.url.shown(),
            problem: format!("its answer is not JSON: {problem}"),
            transient: true,
        })?;
        Ok((value, response))
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, NetError> {
        let read = self.body.with_config().limit(MOST_BODY_BYTES).read_to_vec();
        read.map_err(|problem| transport(&self.url, &problem))
    }

    pub(crate) fn answer(&self, problem: String) -> NetError {
        NetError::Answer { url: self.url.shown(), problem }
    }

    /// The response if it is a success, else what its status means.
    fn checked(mut self) -> Result<Self, NetError> {
        let (url, status) = (self.url.shown(), self.status);
        if (200..300).contains(&status) || status == 416 {
            return Ok(self);
        }
        let wait = asked_wait(self.header("retry-after"), self.header("date"));
        let limited = matches!(status, 408 | 425 | 429 | 500..=599);
        if limited || (status == 403 && self.header("x-ratelimit-remaining") == Some("0")) {
            let wait = wait.or_else(|| self.limit_reset());
            return Err(NetError::Busy { url, status, wait });
        }
        let gated = self.header("x-error-code") == Some("GatedRepo");
        let message = match self.header("x-error-message").map(str::to_owned) {
            Some(message) => message,
            None => beginning(&self.bytes().unwrap_or_default()),
        };
        Err(match status {
            401 | 403 => {
                NetError::Denied { url, status, message, hint: denied_hint(status, gated) }
            }
            _ => NetError::Status { url, status, message },
        })
    }

    /// Until GitHub's limit is lifted, by its own clock.
    fn limit_reset(&self) -> Option<Duration> {
        let reset: u64 = self.header("x-ratelimit-reset")?.parse().ok()?;
        let now = seconds_of_date(self.header("date")?)?;
        Some(Duration::from_secs(reset.saturating_sub(now)))
    }
}

fn through(proxy: &str, without: &[String]) -> Result<ureq::Proxy, ureq::Error> {
    let read = ureq::Proxy::new(proxy)?;
    let mut built = ureq::Proxy::builder(read.protocol()).host(read.host()).port(read.port());
    if let Some(name) = read.username() {
        built = built.username(name);
    }
    if let Some(password) = read.password() {
        built = built.password(password);
    }
    let here = ["localhost", "127.0.0.1", "[::1]"];
    let without = without.iter().map(String::as_str).chain(here);
    without.fold(built, ureq::ProxyBuilder::no_proxy).build()
}

fn denied_hint(status: u16, gated: bool) -> &'static str {
    match (gated, status) {
        (true, 403) => {
            "your account has not been let in: accept the conditions on the page of \
                        the data set, and wait for approval where it is asked for"
        }
        (true, _) => {
            "accept the conditions on the page of the data set, then set HF_TOKEN to a \
                      read token of that account"
        }
        (false, 401) => "a key is missing or wrong",
        (false, _) => "the key given may not have this",
    }
}

/// The beginning of a text answer, on one line.
fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(200).collect()
}

fn transport(url: &Url, problem: &ureq::Error) -> NetError {
    let lasting = matches!(
        problem,
        ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::BodyExceedsLimit(_)
            | ureq::Error::InvalidProxyUrl
    );
    NetError::Transport { url: url.shown(), problem: problem.to_string(), transient: !lasting }
}
