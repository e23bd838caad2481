//! The thread that owns the cache and the workspace, and the channel to it.

use crate::check::{Limits, check};
use crate::constrain::{Course, Texts};
use crate::prefixes::Statistics;
use crate::schedule::Scheduler;
use diapason_flow::{Answer, Ask, Lm, LmError, Request};
use diapason_model::{Device, Model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How much an engine does at once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineSettings {
    /// Most tokens in one forward pass. More is faster until the matrices are large enough; the
    /// activations grow with it.
    pub max_batch_tokens: usize,
    /// Most tokens whose keys and values are held. Requests that do not fit together run in
    /// turns; one that does not fit alone is refused.
    pub cache_tokens: usize,
    /// Most of these that prompts of the past keep, so that a prompt which begins alike need not be
    /// read again. Requests at hand have precedence.
    pub prefix_tokens: usize,
    /// Most bytes of packed copies of the model's matrices, which save packing them in every
    /// pass: a fifth of the time of decoding. Copies of all take about as much as the weights, of
    /// which they change no bit; of a larger model the first layers have copies. 0: none.
    pub packed_bytes: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            max_batch_tokens: 1024,
            cache_tokens: 32_768,
            prefix_tokens: 8192,
            packed_bytes: 2 << 30,
        }
    }
}

/// A running model that answers requests. Callers on several threads share its batches.
///
/// Dropping it ends its thread.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    /// Adapters beside the model.
    adapters: usize,
    /// For what is said about text; empty if unknown.
    texts: Arc<Texts>,
    prefixes: Arc<Mutex<Statistics>>,
    /// `None` only while dropping.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// One call of [`Lm::ask`] on its way to the thread.
pub(crate) struct Job {
    pub(crate) requests: Vec<Request>,
    /// Where the draws of each request begin.
    pub(crate) courses: Vec<Course>,
    /// The adapter that answers; the model alone if `None`.
    pub(crate) adapter: Option<usize>,
    pub(crate) reply: Sender<Result<Vec<Answer>, LmError>>,
}

impl Engine {
    /// Starts the thread. `max_batch_tokens` and `cache_tokens` of 0 count as 1.
    ///
    /// # Panics
    /// If the system refuses to start a thread.
    pub fn start(model: Arc<Model>, device: Device, settings: EngineSettings) -> Self {
        let limits = Limits {
            vocabulary: model.arch.vocabulary,
            context: model.arch.context,
            cache_tokens: settings.cache_tokens.max(1),
        };
        let adapters = model.adapters.len();
        let (jobs, inbox) = channel();
        let prefixes = Arc::<Mutex<Statistics>>::default();
        let seen = Arc::clone(&prefixes);
        let thread = std::thread::Builder::new()
            .name("diapason-engine".to_owned())
            .spawn(move || serve((&model, &device, &settings), &inbox, &seen))
            .expect("the system can start one more thread");
        let (texts, jobs, thread) = (Arc::default(), Some(jobs), Some(thread));
        Engine { limits, adapters, texts, prefixes, jobs, thread }
    }

    /// The same engine with the bytes of every token, so that patterns, schemas and stop texts can be
    /// asked for. The engine still neither takes nor gives text.
    pub fn with_tokens(mut self, mut tokens: Vec<Vec<u8>>) -> Self {
        // A model may have more rows than its tokenizer has tokens: those are no text.
        tokens.resize(self.limits.vocabulary, Vec::new());
        self.texts = Arc::new(Texts::new(tokens));
        self
    }

    /// What was read, and what shared beginnings of prompts saved, in all calls that were answered.
    pub fn statistics(&self) -> Statistics {
        *self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same engine answering through one of the model's adapters, by its number. Questions to
    /// different adapters and to the model alone share batches, and read nothing of each other's.
    pub fn adapted(&self, adapter: usize) -> Adapted<'_> {
        Adapted { engine: self, adapter }
    }

    fn ask_as(&self, adapter: Option<usize>, requests: &[Request]) -> Result<Vec<Answer>, LmError> {
        check(requests, &self.limits)?;
        if let Some(adapter) = adapter.filter(|adapter| *adapter >= self.adapters) {
            let problem = format!("there is no adapter {adapter} among {}", self.adapters);
            return Err(LmError::Model(problem));
        }
        let mut courses = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let course = match &request.ask {
                Ask::Sample(sampling) => Course::of(sampling, &self.texts),
                _ => Ok(Course::default()),
            };
            courses.push(course.map_err(|problem| LmError::Request { index, problem })?);
        }
        let stopped = || LmError::Model("the engine has stopped".to_owned());
        let (reply, answers) = channel();
        let job = Job { requests: requests.to_vec(), courses, adapter, reply };
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())?;
        answers.recv().map_err(|_| stopped())?
    }
}

impl Lm for Engine {
    fn ask(&self, requests: &[Request]) -> Result<Vec<Answer>, LmError> {
        self.ask_as(None, requests)
    }
}

/// An engine seen through one of its model's adapters.
#[derive(Clone, Copy, Debug)]
pub struct Adapted<'a> {
    engine: &'a Engine,
    adapter: usize,
}

impl Lm for Adapted<'_> {
    fn ask(&self, requests: &[Request]) -> Result<Vec<Answer>, LmError> {
        self.engine.ask_as(Some(self.adapter), requests)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Without a sender the thread's `recv` fails, which is its sign to end.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // Panics are caught inside and answered; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

/// The life of the thread: take in what waits, advance everything by one batch, repeat. A failure
/// is the answer to everything in flight; what comes later begins afresh.
fn serve(
    (model, device, settings): (&Model, &Device, &EngineSettings),
    inbox: &Receiver<Job>,
    prefixes: &Mutex<Statistics>,
) {
    let mut scheduler = Scheduler::new(model, device, settings, prefixes);
    while let Ok(job) = inbox.recv() {
        scheduler.add(job);
        // What a panic leaves half changed is replaced below before anything else sees it.
        let outcome = catch_unwind(AssertUnwindSafe(|| -> Result<(), LmError> {
            while scheduler.step()? {
                for job in inbox.try_iter() {
                    scheduler.add(job);
                }
            }
            Ok(())
        }));
        let problem = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(LmError::Model(problem))) => problem,
            Ok(Err(other)) => other.to_string(),
            Err(panic) => format!("its thread panicked: {}", panic_text(&*panic)),
        };
        scheduler.fail(&problem);
        scheduler = Scheduler::new(model, device, settings, prefixes);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
