//! Tags by a language model behind an endpoint.
//!
//! A question is known by its content, the model and the wording. Its answer goes to a ledger
//! before it is used, so that a run that was killed asks nothing again that was answered. An
//! answer that cannot be used is asked for once more; what cannot be used then is left out, and
//! that too is in the ledger.

use super::rows::Rows;
use super::{Session, parse};
use crate::args::{AnnotateArgs, EndpointArgs, TaggerPlace};
use crate::commands::network::{client, key};
use anyhow::{Context as _, bail};
use diapason_flow::{Fingerprint, Markers};
use diapason_markers::{Output, Prompt, Provenance, Reading, Taxonomy, outputs_of_row};
use diapason_net::{Chat, Client, Event, Ledger, Message, NetError, Question};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Room for an answer: a few names, and what a talkative model says around them.
const ANSWER_TOKENS: usize = 200;

/// A language model, what it is asked, and what it has answered.
pub(super) struct Endpoint {
    client: Client,
    chat: Chat,
    model: String,
    prompt: Prompt,
    ledger: Ledger,
    at_once: usize,
    counts: Counts,
}

/// What happened so far in this run.
#[derive(Debug, Default)]
struct Counts {
    answers: AtomicU64,
    corrected: AtomicU64,
    left_out: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    markers: Markers,
    /// Markers that no usable value was given for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

/// What asking will take, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Estimate {
    /// Questions that have no answer yet.
    pub questions: u64,
    /// Those that have one from before, or from another output of the same content.
    pub known: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// What has no answer yet.
struct Open {
    key: String,
    output: Output,
}

impl Endpoint {
    /// The endpoint that the arguments name, if they do.
    pub(super) fn new(
        args: &AnnotateArgs,
        taxonomy: &Taxonomy,
        out: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let mut addresses = args.taggers.iter().filter_map(|place| match place {
            TaggerPlace::Endpoint(url) => Some(url),
            TaggerPlace::File(_) | TaggerPlace::Default => None,
        });
        let Some(url) = addresses.next() else { return Ok(None) };
        if addresses.next().is_some() {
            bail!("two language models are given\n\nhint: give one address to `--tagger`");
        }
        let settings = &args.endpoint;
        let Some(model) = settings.model.clone() else {
            bail!("which model of {url}?\n\nhint: `--tagger-model NAME`");
        };
        let within = Duration::from_secs(settings.seconds);
        let ledger = match &settings.answers {
            Some(path) => Ledger::open(path)?,
            None => Ledger::open(&super::annotate::beside(out, ".answers"))?,
        };
        Ok(Some(Endpoint {
            client: client()?,
            chat: Chat::new(url, &model, key(&settings.key), within)?,
            prompt: Prompt::new(taxonomy, &settings.markers)?,
            model,
            ledger,
            at_once: usize::from(settings.at_once),
            counts: Counts::default(),
        }))
    }

    /// What tells these tags from others, for the stamp. Where the model runs is no part of it.
    pub(super) fn settings(&self) -> Value {
        let markers: Vec<&str> = self.prompt.markers().collect();
        json!({"model": self.model, "markers": markers, "prompt": self.prompt.fingerprint()})
    }

    fn key(&self, output: &Output) -> String {
        let content = json!([self.model, self.prompt.fingerprint(), output.input, output.text]);
        Fingerprint::of(content.to_string().as_bytes()).0
    }

    /// Whether an output has to be asked about: not where the data tells all, nor where there is
    /// nothing to see.
    fn is_asked(&self, output: &Output) -> bool {
        let told = self.prompt.markers().all(|name| output.given.0.contains_key(name));
        !told && !output.text.trim().is_empty()
    }

    /// The tags of every output of a row; none for those not asked about.
    pub(super) fn tags(
        &self,
        row: &Value,
        provenance: &Provenance,
    ) -> anyhow::Result<Vec<Markers>> {
        let tags = |output: &Output| -> anyhow::Result<Markers> {
            let Some(kept) = self.ledger.get(&self.key(output))? else {
                return Ok(Markers::default());
            };
            let kept: Kept =
                serde_json::from_value(kept).context("the kept answers are damaged")?;
            Ok(kept.markers)
        };
        outputs_of_row(row, provenance)?.iter().map(tags).collect()
    }

    /// Says what asking will take, and stops where it costs more than was allowed.
    pub(super) fn agree(
        &self,
        session: &Session<'_>,
        settings: &EndpointArgs,
        input: &Path,
        provenance: &Provenance,
    ) -> anyhow::Result<()> {
        let estimate = self.estimate(session, input, provenance)?;
        let (asked, answered) = settings.price.unwrap_or_default();
        let cost = (estimate.prompt_tokens as f64 * asked
            + estimate.completion_tokens as f64 * answered)
            / 1e6;
        let money = match settings.price {
            Some(_) => format!(", about {cost:.2} at {asked} and {answered} a million"),
            None => String::new(),
        };
        session.console.say(&format!(
            "{} questions to ask, {} answered before; about {} tokens in and {} out{money}",
            estimate.questions, estimate.known, estimate.prompt_tokens, estimate.completion_tokens
        ));
        if cost > settings.budget && !settings.yes {
            bail!(
                "that is more than the budget of {:.2}\n\nhint: `--budget {:.2}` allows it, `--yes` allows any",
                settings.budget,
                (cost * 110.0).ceil() / 100.0
            );
        }
        Ok(())
    }

    fn estimate(
        &self,
        session: &Session<'_>,
        input: &Path,
        provenance: &Provenance,
    ) -> anyhow::Result<Estimate> {
        let mut estimate = Estimate::default();
        let mut seen = HashSet::new();
        let mut rows = Rows::open(input)?;
        while let Some((line, text)) = rows.next_row()? {
            let row = rows.parse(line, &text)?;
            let outputs = outputs_of_row(&row, provenance)
                .with_context(|| format!("`{}`, line {line}", input.display()))?;
            for output in outputs.iter().filter(|output| self.is_asked(output)) {
                let key = self.key(output);
                if self.ledger.has(&key) || !seen.insert(key) {
                    estimate.known += 1;
                    continue;
                }
                let (asked, answered) = self.prompt.tokens(output.input.as_deref(), &output.text);
                estimate.questions += 1;
                estimate.prompt_tokens += asked;
                estimate.completion_tokens += answered;
            }
            session.console.progress(rows.read_bytes(), rows.total_bytes(), "bytes estimated");
        }
        session.console.clear();
        Ok(estimate)
    }

    /// Asks about every output of some rows that has no answer yet. Returns false if stopped.
    pub(super) fn tag(
        &self,
        session: &Session<'_>,
        input: &Path,
        rows: &[(usize, String)],
        provenance: &Provenance,
    ) -> anyhow::Result<bool> {
        let mut seen = HashSet::new();
        let mut open = Vec::new();
        for (line, text) in rows {
            let row = parse(input, *line, text)?;
            let outputs = outputs_of_row(&row, provenance)
                .with_context(|| format!("`{}`, line {line}", input.display()))?;
            for output in outputs.into_iter().filter(|output| self.is_asked(output)) {
                let key = self.key(&output);
                if !self.ledger.has(&key) && seen.insert(key.clone()) {
                    open.push(Open { key, output });
                }
            }
        }
        self.ask_all(session, &open)
    }

    /// Asks on several threads. After a failure, answers under way are still waited for and kept.
    fn ask_all(&self, session: &Session<'_>, open: &[Open]) -> anyhow::Result<bool> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let stop = session.stop();
        let ended = || failed.load(Ordering::SeqCst) || stop.load(Ordering::SeqCst);
        let work = || -> anyhow::Result<()> {
            while !ended() {
                let Some(open) = open.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
                match self.ask(open, &ended) {
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
                session.console.progress(done, open.len() as u64, "questions of this part");
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
    fn ask(&self, open: &Open, ended: &(dyn Fn() -> bool + Sync)) -> anyhow::Result<()> {
        let Output { input, text, .. } = &open.output;
        let message = |(role, content)| Message { role, content };
        let mut messages: Vec<Message> =
            self.prompt.messages(input.as_deref(), text).into_iter().map(message).collect();
        let (mut reading, answer) = self.answer(&messages, ended)?;
        if !reading.problems.is_empty() {
            self.counts.corrected.fetch_add(1, Ordering::Relaxed);
            let correction = self.prompt.correction(&reading.problems);
            messages.push(Message { role: "assistant", content: answer });
            messages.push(Message { role: "user", content: correction });
            reading = self.answer(&messages, ended)?.0;
        }
        let left_out: Vec<String> = reading.problems.into_iter().map(|(name, _)| name).collect();
        self.counts.left_out.fetch_add(left_out.len() as u64, Ordering::Relaxed);
        let kept = Kept { markers: reading.markers, left_out };
        Ok(self.ledger.put(&open.key, json!(kept))?)
    }

    fn answer(
        &self,
        messages: &[Message],
        ended: &(dyn Fn() -> bool + Sync),
    ) -> anyhow::Result<(Reading, String)> {
        let question = Question {
            messages: messages.to_vec(),
            schema: Some(self.prompt.schema().clone()),
            max_tokens: ANSWER_TOKENS,
        };
        let mut observe =
            |_: &Event| if ended() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let reply = self.chat.ask(&self.client, &question, &mut observe)?;
        self.counts.answers.fetch_add(1, Ordering::Relaxed);
        self.counts.prompt_tokens.fetch_add(reply.prompt_tokens, Ordering::Relaxed);
        self.counts.completion_tokens.fetch_add(reply.completion_tokens, Ordering::Relaxed);
        Ok((self.prompt.read(&reply.text), reply.text))
    }

    /// What was asked in this run, in words.
    pub(super) fn summary(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        format!(
            "{} answers of {}: {} asked for again, {} markers left out; {} tokens in, {} out as the server counts",
            count(&counts.answers),
            self.model,
            count(&counts.corrected),
            count(&counts.left_out),
            count(&counts.prompt_tokens),
            count(&counts.completion_tokens)
        )
    }
}

fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<NetError>(), Some(NetError::Stopped))
}
