//! The draws of one request: each a state of its own, so that their number at a time is free.

use crate::check::asked_tokens;
use crate::choose::Chooser;
use crate::constrain::Course;
use diapason_flow::{Sample, Sampling, Stop, Stream, Streams};
use diapason_model::{LogSoftmax, NodeId};

/// A draw that is running.
#[derive(Debug)]
pub(crate) struct Draw {
    number: usize,
    stream: Stream,
    ids: Vec<u32>,
    logprobs: Vec<f32>,
    course: Course,
    stop: Option<Stop>,
    /// Its place in the cache, once a token of it is read.
    pub(crate) place: Option<NodeId>,
    /// The last token drawn, which the model has not read yet.
    pub(crate) unread: Option<u32>,
}

impl Draw {
    /// Whether its first token is still to be drawn, from the logits after the prompt.
    pub(crate) fn is_fresh(&self) -> bool {
        self.logprobs.is_empty()
    }
}

/// All draws of one request.
#[derive(Debug)]
pub(crate) struct Draws {
    sampling: Sampling,
    /// Where every draw begins.
    course: Course,
    streams: Streams,
    /// Most tokens of a draw.
    longest: usize,
    /// Whether `longest` is what the context leaves, not what was asked for.
    cut_by_context: bool,
    begun: usize,
    /// Log-probabilities of what every draw begins with, once read.
    forced: Vec<f32>,
    /// Why a draw could not go on.
    problem: Option<String>,
    pub(crate) running: Vec<Draw>,
    done: Vec<Option<Sample>>,
}

impl Draws {
    /// Draws of at most `longest` tokens after what they are forced to begin with.
    pub(crate) fn new(sampling: Sampling, course: Course, longest: usize) -> Self {
        Draws {
            streams: Streams::new(sampling.seed),
            longest,
            cut_by_context: longest < asked_tokens(&sampling),
            begun: 0,
            forced: Vec::with_capacity(sampling.begin.len()),
            problem: None,
            running: Vec::new(),
            done: vec![None; sampling.n],
            course,
            sampling,
        }
    }

    /// Tokens that a draw may hold in the cache: the last one is never read.
    pub(crate) fn tokens(&self) -> usize {
        self.longest - 1
    }

    /// Tokens at the end of what the model reads that every draw begins with.
    pub(crate) fn forced_tokens(&self) -> usize {
        self.sampling.begin.len()
    }

    /// Takes the log-probability of the next of them.
    pub(crate) fn force(&mut self, logprob: f32) {
        self.forced.push(logprob);
    }

    /// Whether some draw has not begun.
    pub(crate) fn is_waiting(&self) -> bool {
        self.begun < self.sampling.n
    }

    /// Begins the next draw.
    pub(crate) fn begin(&mut self) {
        let number = self.begun;
        self.begun += 1;
        self.running.push(Draw {
            number,
            stream: self.streams.stream("sample", number as u64),
            ids: Vec::new(),
            logprobs: Vec::new(),
            course: self.course.again(),
            stop: None,
            place: None,
            unread: None,
        });
    }

    /// Draws the next token of a running draw from the logits after its last one. A draw that its
    /// constraint leaves without a token ends, and is the error of the request.
    pub(crate) fn advance(
        &mut self,
        running: usize,
        softmax: &LogSoftmax,
        logits: &[f32],
        chooser: &mut Chooser,
    ) {
        let draw = &mut self.running[running];
        let Draw { course, stream, .. } = draw;
        let id = match chooser.choose_within(logits, &self.sampling, &mut course.walk, stream) {
            Ok(id) => id,
            Err(problem) => {
                draw.stop = Some(Stop::Length);
                draw.logprobs.push(f32::NEG_INFINITY);
                self.problem = Some(problem);
                return;
            }
        };
        draw.logprobs.push(softmax.logprob(logits[id as usize]));
        if self.sampling.stop.contains(&id) {
            draw.stop = Some(Stop::Terminator);
            return;
        }
        draw.ids.push(id);
        if draw.course.ends_with(id) {
            draw.stop = Some(Stop::Terminator);
        } else if draw.ids.len() == self.longest {
            draw.stop = Some(if self.cut_by_context { Stop::Context } else { Stop::Length });
        } else {
            draw.unread = Some(id);
        }
    }

    /// Takes out the draws that ended; `each` gets the place of each in the cache.
    pub(crate) fn retire(&mut self, mut each: impl FnMut(Option<NodeId>)) {
        let (running, done) = (&mut self.running, &mut self.done);
        let (begin, forced) = (&self.sampling.begin, &self.forced);
        running.retain_mut(|draw| {
            let Some(stop) = draw.stop else { return true };
            let ids = [&begin[..], &draw.ids].concat();
            let logprobs = [&forced[..], &draw.logprobs].concat();
            done[draw.number] = Some(Sample { ids, logprobs, stop });
            each(draw.place);
            false
        });
    }

    /// All samples, once every draw ended, or why one could not go on.
    pub(crate) fn take_answer(&mut self) -> Option<Result<Vec<Sample>, String>> {
        if self.done.iter().any(Option::is_none) {
            return None;
        }
        let samples = self.done.iter_mut().filter_map(Option::take).collect();
        Some(self.problem.take().map_or(Ok(samples), Err))
    }
}
