//! Questions to a language model behind an endpoint: whatever they are about, they are asked,
//! corrected, kept and paid for here.
//!
//! A question is known by its content, the model and the wording. Its answer goes to a ledger
//! before it is used, so that a run that was killed asks nothing again that was answered. An
//! answer that cannot be used is asked for once more; what is made of it then, be it nothing, is
//! in the ledger too.

use crate::args::SpendingArgs;
use crate::commands::Session;
use crate::commands::network::{client, key};
use anyhow::bail;
use diapason_flow::Fingerprint;
use diapason_markers::approximate_tokens;
use diapason_net::{Chat, Client, Event, Ledger, Message, NetError, Question, Reply};
use serde_json::Value;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Room for an answer: a few names or a sentence, and what a talkative model says around them.
const ANSWER_TOKENS: usize = 200;

/// One kind of question: its wording, what its answers look like, and how they are read.
pub(crate) trait Form: Sync {
    /// Tells this wording from every other.
    fn fingerprint(&self) -> &Fingerprint;
    /// The JSON Schema of an answer.
    fn schema(&self) -> Value;
    /// Tokens of an answer, roughly.
    fn answer_tokens(&self) -> u64;
    /// What is made of an answer.
    fn read(&self, answer: &str) -> Read;
}

/// What is made of an answer.
pub(crate) struct Read {
    /// What goes into the ledger if this is the last answer.
    pub kept: Value,
    /// How many things could not be used.
    pub unusable: u64,
    /// What to say to the model if it may try again; `None` for a good answer.
    pub correction: Option<String>,
}

/// A question that may have no answer yet.
pub(crate) struct Open {
    /// What it is known by.
    pub key: String,
    /// Roles and texts.
    pub messages: Vec<(&'static str, String)>,
}

/// What is to be reached, and how patiently.
pub(crate) struct Place<'a> {
    pub url: &'a str,
    pub model: &'a str,
    /// Environment variable that holds the key.
    pub key: &'a str,
    pub seconds: u64,
    pub at_once: u16,
    /// Whether it is a reward model, which gives a number for a conversation and says nothing.
    pub reward: bool,
}

/// Who answers.
pub(crate) struct Asker {
    client: Client,
    chat: Chat,
    pub model: String,
    reward: bool,
    ledger: Arc<Ledger>,
    at_once: usize,
    counts: Counts,
}

/// What happened so far in this run.
#[derive(Debug, Default)]
struct Counts {
    answers: AtomicU64,
    corrected: AtomicU64,
    unusable: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

/// The file that keeps answers; several askers of one run share it.
pub(crate) fn ledger(path: &Path) -> anyhow::Result<Arc<Ledger>> {
    Ok(Arc::new(Ledger::open(path)?))
}

impl Asker {
    /// Who answers at a place.
    pub(crate) fn new(place: &Place<'_>, ledger: Arc<Ledger>) -> anyhow::Result<Self> {
        let within = Duration::from_secs(place.seconds);
        Ok(Asker {
            client: client()?,
            chat: Chat::new(place.url, place.model, key(place.key), within)?,
            model: place.model.to_owned(),
            reward: place.reward,
            ledger,
            at_once: usize::from(place.at_once),
            counts: Counts::default(),
        })
    }

    /// What a question is known by. Where the model runs is no part of it.
    pub(crate) fn key(&self, form: &dyn Form, content: impl IntoIterator<Item = Value>) -> String {
        let mut all = vec![self.model.clone().into(), form.fingerprint().0.clone().into()];
        all.extend(content);
        Fingerprint::of(Value::Array(all).to_string().as_bytes()).0
    }

    /// The answer that is kept, if there is one.
    pub(crate) fn kept(&self, key: &str) -> anyhow::Result<Option<Value>> {
        Ok(self.ledger.get(key)?)
    }

    /// Whether an answer is kept.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.ledger.has(key)
    }

    /// Asks what has no answer yet, on several threads. After a failure, answers under way are
    /// still waited for and kept. Returns false if stopped.
    pub(crate) fn ask_all(
        &self,
        session: &Session<'_>,
        form: &dyn Form,
        questions: Vec<Open>,
        what: &str,
    ) -> anyhow::Result<bool> {
        let mut seen = HashSet::new();
        let open: Vec<Open> = questions
            .into_iter()
            .filter(|open| !self.has(&open.key) && seen.insert(open.key.clone()))
            .collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let stop = session.stop();
        let ended = || failed.load(Ordering::SeqCst) || stop.load(Ordering::SeqCst);
        let work = || -> anyhow::Result<()> {
            while !ended() {
                let Some(open) = open.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
                match self.ask(form, open, &ended) {
                    Ok(()) => {}
                    Err(error) if is_stopped(&error) => break,
                    Err(error) => {
                        failed.store(true, Ordering::SeqCst);
                        return Err(error);
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads = self.at_once.min(open.len());
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            while !handles.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let done = next.load(Ordering::SeqCst).min(open.len()) as u64;
                session.console.progress(done, open.len() as u64, what);
                std::thread::sleep(Duration::from_millis(20));
            }
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            handles.into_iter().map(join).collect::<anyhow::Result<Vec<()>>>()
        })?;
        Ok(!stop.load(Ordering::SeqCst))
    }

    /// One question, corrected once, and its answer kept.
    fn ask(
        &self,
        form: &dyn Form,
        open: &Open,
        ended: &(dyn Fn() -> bool + Sync),
    ) -> anyhow::Result<()> {
        let message =
            |(role, content): &(&'static str, String)| Message { role, content: content.clone() };
        let mut messages: Vec<Message> = open.messages.iter().map(message).collect();
        let reply = self.answer(form, &messages, ended)?;
        let mut read = form.read(&reply.text);
        // A reward model does not listen.
        if let Some(correction) = read.correction.take().filter(|_| !self.reward) {
            self.counts.corrected.fetch_add(1, Ordering::Relaxed);
            messages.push(Message { role: "assistant", content: reply.text });
            messages.push(Message { role: "user", content: correction });
            read = form.read(&self.answer(form, &messages, ended)?.text);
        }
        self.counts.unusable.fetch_add(read.unusable, Ordering::Relaxed);
        Ok(self.ledger.put(&open.key, read.kept)?)
    }

    fn answer(
        &self,
        form: &dyn Form,
        messages: &[Message],
        ended: &(dyn Fn() -> bool + Sync),
    ) -> anyhow::Result<Reply> {
        let mut observe =
            |_: &Event| if ended() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let reply = if self.reward {
            self.chat.reward(&self.client, messages, &mut observe)?
        } else {
            let question = Question {
                messages: messages.to_vec(),
                schema: Some(form.schema()),
                max_tokens: ANSWER_TOKENS,
            };
            self.chat.ask(&self.client, &question, &mut observe)?
        };
        self.counts.answers.fetch_add(1, Ordering::Relaxed);
        self.counts.prompt_tokens.fetch_add(reply.prompt_tokens, Ordering::Relaxed);
        self.counts.completion_tokens.fetch_add(reply.completion_tokens, Ordering::Relaxed);
        Ok(reply)
    }

    /// What was asked in this run, in words; `lost` names what could not be used.
    pub(crate) fn summary(&self, lost: &str) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        format!(
            "{} answers of {}: {} asked for again, {} {lost}; {} tokens in, {} out as the server counts",
            count(&counts.answers),
            self.model,
            count(&counts.corrected),
            count(&counts.unusable),
            count(&counts.prompt_tokens),
            count(&counts.completion_tokens)
        )
    }
}

fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<NetError>(), Some(NetError::Stopped))
}

/// What asking will take, roughly.
#[derive(Debug, Default)]
pub(crate) struct Estimate {
    /// Questions that have no answer yet.
    questions: u64,
    /// Those that have one from before, or from another place with the same content.
    known: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    seen: HashSet<String>,
}

impl Estimate {
    /// Counts a question; its messages are made only if it has to be asked.
    pub(crate) fn add(
        &mut self,
        asker: &Asker,
        form: &dyn Form,
        key: String,
        messages: impl FnOnce() -> Vec<(&'static str, String)>,
    ) {
        if asker.has(&key) || !self.seen.insert(key) {
            self.known += 1;
            return;
        }
        let tokens = messages().iter().map(|(_, text)| approximate_tokens(text) + 4).sum::<u64>();
        self.questions += 1;
        self.prompt_tokens += tokens;
        self.completion_tokens += form.answer_tokens();
    }

    /// Says what asking will take, and stops where it costs more than was allowed, with what was
    /// agreed on `before` in this run. `bound` is `at most ` where not every question need be
    /// asked. Returns the cost of all together.
    pub(crate) fn agree(
        &self,
        session: &Session<'_>,
        spending: &SpendingArgs,
        (bound, before): (&str, f64),
    ) -> anyhow::Result<f64> {
        let (asked, answered) = spending.price.unwrap_or_default();
        let cost =
            (self.prompt_tokens as f64 * asked + self.completion_tokens as f64 * answered) / 1e6;
        let money = match spending.price {
            Some(_) => format!(", about {cost:.2} at {asked} and {answered} a million"),
            None => String::new(),
        };
        session.console.say(&format!(
            "{bound}{} questions to ask, {} answered before; about {} tokens in and {} out{money}",
            self.questions, self.known, self.prompt_tokens, self.completion_tokens
        ));
        let cost = cost + before;
        if cost > spending.budget && !spending.yes {
            bail!(
                "that is more than the budget of {:.2}\n\nhint: `--budget {:.2}` allows it, `--yes` allows any",
                spending.budget,
                (cost * 110.0).ceil() / 100.0
            );
        }
        Ok(cost)
    }
}
