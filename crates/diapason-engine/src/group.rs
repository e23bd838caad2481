//! Requests with the same prompt: it is read once, and what each asks runs below it. What draws are
//! forced to begin with counts as the end of their prompt, so that it too is read once.
//!
//! What runs is divided into *lanes* — a draw, or a wave of options — each with a known bound on
//! the tokens that it holds in the cache. A lane begins when its bound is reserved, which may be
//! before the prompt is read.

use crate::check::longest_draw;
use crate::choose::Chooser;
use crate::constrain::Course;
use crate::draws::Draws;
use crate::rank::rank;
use crate::trie::{Trie, Wave, waves};
use diapason_flow::{Answer, Ask, OptionScore, Request, TokenScore};
use diapason_model::{Arch, LogSoftmax, NodeId};
use std::collections::VecDeque;

/// Which request of which call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) job: u64,
    pub(crate) index: usize,
}

/// The options of one request.
#[derive(Debug)]
pub(crate) struct Options {
    ids: Vec<Vec<u32>>,
    waiting: VecDeque<Wave>,
    /// The wave that runs, with the tokens reserved for it. Waves run one after another: there are
    /// several only if they do not fit the cache together.
    pub(crate) running: Option<(Trie, usize)>,
    scores: Vec<Option<OptionScore>>,
}

/// The prompt's own tokens.
#[derive(Debug)]
pub(crate) struct Trace {
    from: usize,
    top: usize,
    scores: Vec<TokenScore>,
}

/// What one request asks.
#[derive(Debug)]
pub(crate) enum Work {
    Sample(Box<Draws>),
    Score(Options),
    Trace(Trace),
}

/// One request of a group.
#[derive(Debug)]
pub(crate) struct Member {
    ticket: Ticket,
    pub(crate) work: Work,
    answered: bool,
}

/// Requests with the same prompt.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) prompt: Vec<u32>,
    /// The adapter that reads it.
    pub(crate) adapter: Option<usize>,
    /// Tokens of the prompt that other prompts may share, once admitted: the rest is its own.
    pub(crate) shared: usize,
    /// The last part of what is shared.
    pub(crate) prefix: Option<usize>,
    /// The place of the rest in the cache, once admitted.
    pub(crate) place: Option<NodeId>,
    /// Tokens of the prompt that are shared or were given to the model.
    pub(crate) fed: usize,
    /// Logits after the prompt with their normaliser, kept for lanes that begin later.
    after: Option<(LogSoftmax, Vec<f32>)>,
    pub(crate) members: Vec<Member>,
}

impl Group {
    /// A group without requests.
    pub(crate) fn new(prompt: Vec<u32>, adapter: Option<usize>) -> Self {
        let (shared, prefix, place) = (0, None, None);
        Group { prompt, adapter, shared, prefix, place, fed: 0, after: None, members: Vec::new() }
    }

    /// Adds a request with this group's prompt, and where its draws begin.
    /// `room`: tokens of the whole cache.
    pub(crate) fn add(
        &mut self,
        ticket: Ticket,
        (request, course): (Request, Course),
        arch: &Arch,
        room: usize,
    ) {
        let prompt = self.prompt.len();
        let work = match request.ask {
            Ask::Sample(sampling) => {
                let longest = longest_draw(&sampling, prompt, arch.context);
                Work::Sample(Box::new(Draws::new(sampling, course, longest)))
            }
            Ask::Score { options } => Work::Score(Options {
                waiting: waves(&options, room - prompt).into(),
                running: None,
                scores: vec![None; options.len()],
                ids: options,
            }),
            Ask::Trace { from, top } => Work::Trace(Trace { from, top, scores: Vec::new() }),
        };
        self.members.push(Member { ticket, work, answered: false });
    }

    /// Tokens of the next lane that waits for room, `None` if none does.
    pub(crate) fn next_lane(&self) -> Option<usize> {
        self.members.iter().find_map(|member| match &member.work {
            Work::Sample(draws) => draws.is_waiting().then(|| draws.tokens()),
            Work::Score(Options { running: None, waiting, .. }) => {
                waiting.front().map(|wave| wave.tokens)
            }
            Work::Score(_) | Work::Trace(_) => None,
        })
    }

    /// Begins the lane that [`Group::next_lane`] announced.
    pub(crate) fn begin_lane(&mut self) {
        for member in &mut self.members {
            match &mut member.work {
                Work::Sample(draws) if draws.is_waiting() => return draws.begin(),
                Work::Score(Options { running: running @ None, waiting, ids, .. }) => {
                    if let Some(wave) = waiting.pop_front() {
                        *running = Some((Trie::new(ids, &wave.options), wave.tokens));
                        return;
                    }
                }
                Work::Sample(_) | Work::Score(_) | Work::Trace(_) => {}
            }
        }
    }

    /// First token whose logits a trace or a forced beginning wants; the length of the prompt where
    /// neither does.
    pub(crate) fn first_traced(&self) -> usize {
        let first = self.members.iter().filter_map(|member| match &member.work {
            Work::Trace(trace) => Some(trace.from - 1),
            Work::Sample(draws) if draws.forced_tokens() > 0 => {
                Some(self.prompt.len() - draws.forced_tokens() - 1)
            }
            Work::Sample(_) | Work::Score(_) => None,
        });
        first.min().unwrap_or(self.prompt.len())
    }

    /// Tokens of the prompt that others may share: not those whose logits are wanted.
    pub(crate) fn shareable(&self) -> usize {
        self.first_traced().min(self.prompt.len() - 1)
    }

    /// Takes the logits at token `index` of the prompt.
    pub(crate) fn read_prompt(
        &mut self,
        index: usize,
        softmax: LogSoftmax,
        logits: &[f32],
        ids: &mut Vec<u32>,
    ) {
        let Some(id) = self.prompt.get(index + 1).copied() else {
            self.after = Some((softmax, logits.to_vec()));
            return;
        };
        let logprob_nats = softmax.logprob(logits[id as usize]);
        let after = self.prompt.len() - index - 1;
        for member in &mut self.members {
            match &mut member.work {
                Work::Trace(trace) if trace.from <= index + 1 => {
                    let top = likeliest(logits, &softmax, trace.top, ids);
                    trace.scores.push(TokenScore { id, logprob_nats, top });
                }
                Work::Sample(draws) if after <= draws.forced_tokens() => draws.force(logprob_nats),
                Work::Sample(_) | Work::Score(_) | Work::Trace(_) => {}
            }
        }
    }

    /// Gives the logits after the prompt to the lanes that wait for them.
    pub(crate) fn start_lanes(&mut self, chooser: &mut Chooser) {
        let Some((softmax, logits)) = &self.after else { return };
        for member in &mut self.members {
            match &mut member.work {
                Work::Sample(draws) => {
                    for running in 0..draws.running.len() {
                        if draws.running[running].is_fresh() {
                            draws.advance(running, softmax, logits, chooser);
                        }
                    }
                }
                Work::Score(Options { running: Some((trie, _)), .. }) if !trie.has_first() => {
                    trie.score_first(softmax, logits);
                }
                Work::Score(_) | Work::Trace(_) => {}
            }
        }
    }

    /// Takes out the lanes that ended. Returns their number and the tokens reserved for them;
    /// `release` gets their places in the cache.
    pub(crate) fn retire_lanes(&mut self, mut release: impl FnMut(NodeId)) -> (usize, usize) {
        let (mut lanes, mut tokens) = (0, 0);
        for member in &mut self.members {
            match &mut member.work {
                Work::Sample(draws) => {
                    let each = draws.tokens();
                    draws.retire(|place| {
                        lanes += 1;
                        tokens += each;
                        place.into_iter().for_each(&mut release);
                    });
                }
                Work::Score(options) => {
                    if let Some((trie, reserved)) =
                        options.running.take_if(|(trie, _)| trie.is_done())
                    {
                        lanes += 1;
                        tokens += reserved;
                        trie.segments.iter().filter_map(|part| part.place).for_each(&mut release);
                        for (option, score) in trie.scores() {
                            options.scores[option] = Some(score);
                        }
                    }
                }
                Work::Trace(_) => {}
            }
        }
        (lanes, tokens)
    }

    /// Answers that became complete since the last call.
    pub(crate) fn take_answers(&mut self) -> Vec<(Ticket, Result<Answer, String>)> {
        let read = self.after.is_some();
        let mut answers = Vec::new();
        for member in self.members.iter_mut().filter(|member| !member.answered) {
            let answer = match &mut member.work {
                Work::Sample(draws) => {
                    draws.take_answer().map(|samples| samples.map(Answer::Sampled))
                }
                Work::Score(Options { scores, .. }) => {
                    let scores: Option<Vec<_>> = scores.iter().copied().collect();
                    scores.map(|scores| Ok(Answer::Scored(scores)))
                }
                Work::Trace(trace) => {
                    read.then(|| Ok(Answer::Traced(std::mem::take(&mut trace.scores))))
                }
            };
            if let Some(answer) = answer {
                member.answered = true;
                answers.push((member.ticket, answer));
            }
        }
        answers
    }

    /// Whether every request is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.members.iter().all(|member| member.answered)
    }
}

/// The `count` likeliest tokens with their log-probabilities. `ids` is a buffer.
fn likeliest(
    logits: &[f32],
    softmax: &LogSoftmax,
    count: usize,
    ids: &mut Vec<u32>,
) -> Vec<(u32, f32)> {
    if count == 0 {
        return Vec::new();
    }
    ids.clear();
    ids.extend(0..logits.len() as u32);
    rank(logits, ids, count);
    let best = ids.iter().take(count);
    best.map(|id| (*id, softmax.logprob(logits[*id as usize]))).collect()
}
