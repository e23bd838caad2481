//! What can be asked of a language model: draws, option scores, token traces.

/// A question to a language model, in token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The prompt, at least one token (begin-of-text included where the family has one).
    pub prompt: Vec<u32>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked about a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Draws of continuations.
    Sample(Sampling),
    /// Log-probabilities of whole continuations, each a non-empty list of ids.
    Score {
        /// The continuations.
        options: Vec<Vec<u32>>,
    },
    /// Log-probabilities of the prompt's own tokens from index `from` (at least 1) on.
    Trace {
        /// First token to report.
        from: usize,
        /// How many of the likeliest alternatives to report at each token.
        top: usize,
    },
}

/// How continuations are drawn.
///
/// The order of the filters is temperature, top-k, top-p, min-p. The defaults draw from the
/// model's own distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Number of draws.
    pub n: usize,
    /// Seed of this request: draw `i` depends on (seed, i) only, not on batch neighbours.
    pub seed: u64,
    /// 0 is greedy.
    pub temperature: f32,
    /// Keep the `top_k` likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of tokens whose mass reaches `top_p`; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least `min_p` times as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Longest continuation.
    pub max_tokens: usize,
    /// What every continuation begins with, part of its tokens and log-probabilities as if it had
    /// been drawn; fewer tokens than `max_tokens`, none of them a stop token.
    pub begin: Vec<u32>,
    /// Tokens that end a continuation; the terminator is not part of `Sample::ids` but its
    /// log-probability is part of `Sample::nats`.
    pub stop: Vec<u32>,
    /// Texts that end a continuation at the token which completes one; that token is part of
    /// `Sample::ids`, for it may hold more than the text.
    pub stop_texts: Vec<String>,
    /// Added to the logits of single tokens before temperature; minus infinity forbids one.
    pub bias: Vec<(u32, f32)>,
    /// What a draw may be; `None` allows everything.
    pub only: Option<Constraint>,
}

/// What a draw may be. Tokens that lead out of it get no weight; the others keep their shares.
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// One of these lists of ids, each ending with its only stop token.
    Choices(Vec<Vec<u32>>),
    /// Text that a regular expression matches from end to end.
    Pattern(String),
    /// JSON text that a JSON schema accepts.
    Schema(serde_json::Value),
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            n: 1,
            seed: 0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            max_tokens: 64,
            begin: Vec::new(),
            stop: Vec::new(),
            stop_texts: Vec::new(),
            bias: Vec::new(),
            only: None,
        }
    }
}

/// The answer to a [`Request`], of the same kind as its [`Ask`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One entry a draw.
    Sampled(Vec<Sample>),
    /// One entry an option, in the order asked.
    Scored(Vec<OptionScore>),
    /// One entry a token from `from` on.
    Traced(Vec<TokenScore>),
}

/// A drawn continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The drawn ids after those that were forced, without the terminator.
    pub ids: Vec<u32>,
    /// Log-probability in nats of each drawn token under the model's own distribution (before
    /// temperature and filters), the terminator's last if one was drawn.
    pub logprobs: Vec<f32>,
    /// Why the draw ended.
    pub stop: Stop,
}

/// Why a draw ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A stop token was drawn, or a stop text completed.
    Terminator,
    /// `max_tokens` was reached.
    Length,
    /// The model's longest context was reached.
    Context,
}

/// Score of one option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionScore {
    /// `ln p(option | prompt)` in nats, at most 0.
    pub logprob_nats: f64,
    /// Number of tokens of the option.
    pub tokens: usize,
}

/// Score of one token of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenScore {
    /// The token.
    pub id: u32,
    /// `ln p(id | everything before)` in nats.
    pub logprob_nats: f32,
    /// The likeliest tokens with their log-probabilities, best first; ties go to the lower id.
    pub top: Vec<(u32, f32)>,
}

/// Why a model could not answer.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// The request is not answerable.
    #[error("request {index}: {problem}")]
    Request {
        /// Which request of the call.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The prompt and what is asked do not fit the model's context.
    #[error(
        "request {index}: {needed_tokens} tokens do not fit the context of {limit_tokens} tokens"
    )]
    Context {
        /// Which request of the call.
        index: usize,
        /// Tokens of the prompt and the longest continuation.
        needed_tokens: usize,
        /// Longest context of the model.
        limit_tokens: usize,
    },
    /// The model itself failed.
    #[error("the model failed: {0}")]
    Model(String),
}

/// A language model that answers requests: the engine, a remote server, or a toy for tests.
pub trait Lm {
    /// Answers every request, in order.
    ///
    /// # Errors
    /// The first request that cannot be answered; nothing is answered then.
    fn ask(&self, requests: &[Request]) -> Result<Vec<Answer>, LmError>;
}
