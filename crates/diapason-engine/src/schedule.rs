//! Which tokens run in the next batch, and who may use the cache.
//!
//! Room in the cache is reserved before it is used, first come, first served: a group begins only
//! with room for its prompt and its first lane, and only when no group before it waits for room.
//! So whatever has begun can end, and nothing waits for ever.

use crate::check::read_ids;
use crate::choose::Chooser;
use crate::draws::Draws;
use crate::engine::{EngineSettings, Job};
use crate::group::{Group, Member, Options, Ticket, Work};
use crate::prefixes::{Prefixes, Statistics};
use crate::trie::Trie;
use diapason_flow::{Answer, LmError};
use diapason_model::{Cache, Device, Feed, LogSoftmax, Model, ModelError, NodeId, Want, Workspace};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

/// A call whose answers are not complete.
struct Pending {
    answers: Vec<Option<Result<Answer, String>>>,
    missing: usize,
    reply: Sender<Result<Vec<Answer>, LmError>>,
}

/// Who gets the logits of a feed. Numbers of groups, members, draws and segments.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Nobody: tokens that prompts share, read for this group.
    Prefix { group: usize },
    /// Tokens of a prompt from `first` on.
    Prompt { group: usize, first: usize },
    /// The last token of a running draw.
    Draw { group: usize, member: usize, draw: usize },
    /// Tokens of a segment of a trie from `first` on.
    Segment { group: usize, member: usize, segment: usize, first: usize },
}

impl Target {
    fn group(self) -> usize {
        match self {
            Target::Prefix { group }
            | Target::Prompt { group, .. }
            | Target::Draw { group, .. }
            | Target::Segment { group, .. } => group,
        }
    }
}

/// Tokens for the next batch.
struct Planned {
    target: Target,
    node: NodeId,
    ids: Vec<u32>,
    want: Want,
}

/// Everything in flight.
pub(crate) struct Scheduler<'a> {
    model: &'a Model,
    device: &'a Device,
    cache: Cache,
    workspace: Workspace,
    chooser: Chooser,
    /// A buffer for ranking tokens.
    ids: Vec<u32>,
    /// Tokens of the cache that are promised to lanes, and to what prompts do not share.
    reserved: usize,
    /// What prompts share, beside that.
    prefixes: Prefixes,
    /// Where what is read and saved is told.
    statistics: &'a Mutex<Statistics>,
    waiting: VecDeque<Group>,
    running: Vec<Group>,
    jobs: BTreeMap<u64, Pending>,
    next_job: u64,
}

impl<'a> Scheduler<'a> {
    /// Nothing in flight.
    pub(crate) fn new(
        model: &'a Model,
        device: &'a Device,
        settings: &EngineSettings,
        statistics: &'a Mutex<Statistics>,
    ) -> Self {
        let (batch, packed) = (settings.max_batch_tokens.max(1), settings.packed_bytes);
        Scheduler {
            model,
            device,
            cache: Cache::new(&model.arch, settings.cache_tokens.max(1)),
            workspace: Workspace::resident(model, device, batch, packed),
            chooser: Chooser::default(),
            ids: Vec::new(),
            reserved: 0,
            prefixes: Prefixes::new(settings.prefix_tokens),
            statistics,
            waiting: VecDeque::new(),
            running: Vec::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
        }
    }

    /// Takes in a checked call; its requests with the same prompt become one group.
    pub(crate) fn add(&mut self, job: Job) {
        let number = self.next_job;
        self.next_job += 1;
        let mut groups: Vec<Group> = Vec::new();
        let mut by_prompt = HashMap::new();
        let missing = job.requests.len();
        for (index, asked) in job.requests.into_iter().zip(job.courses).enumerate() {
            let place = *by_prompt.entry(read_ids(&asked.0)).or_insert_with_key(|prompt| {
                groups.push(Group::new(prompt.clone(), job.adapter));
                groups.len() - 1
            });
            let ticket = Ticket { job: number, index };
            let room = self.cache.limit_tokens();
            groups[place].add(ticket, asked, &self.model.arch, room);
        }
        self.waiting.extend(groups);
        let answers = (0..missing).map(|_| None).collect();
        self.jobs.insert(number, Pending { answers, missing, reply: job.reply });
        self.deliver(Vec::new());
    }

    /// Runs one batch. Returns whether anything is left to do.
    ///
    /// # Errors
    /// A failure of the model; the only use of the scheduler is then [`Scheduler::fail`].
    pub(crate) fn step(&mut self) -> Result<bool, LmError> {
        self.settle().map_err(|problem| model_failed(&problem))?;
        if self.running.is_empty() {
            return Ok(false);
        }
        let plan = self.plan().map_err(|problem| model_failed(&problem))?;
        if plan.is_empty() {
            return Err(LmError::Model("requests wait, but no token can run".to_owned()));
        }
        self.run(&plan)?;
        self.settle().map_err(|problem| model_failed(&problem))?;
        Ok(!self.running.is_empty())
    }

    /// Begins, starts and retires lanes until nothing changes, and delivers what is answered.
    fn settle(&mut self) -> Result<(), ModelError> {
        loop {
            self.reserve()?;
            let mut retired = 0;
            let mut answers = Vec::new();
            let cache = &mut self.cache;
            for group in &mut self.running {
                group.start_lanes(&mut self.chooser);
                let (lanes, tokens) = group.retire_lanes(|node| cache.release(node));
                retired += lanes;
                self.reserved -= tokens;
                answers.extend(group.take_answers());
                if group.is_answered() {
                    retired += 1;
                    self.reserved -= group.prompt.len() - group.shared;
                    group.place.take().into_iter().for_each(|node| cache.release(node));
                    self.prefixes.leave(cache, group.prefix.take());
                }
            }
            self.running.retain(|group| !group.is_answered());
            self.deliver(answers);
            if retired == 0 {
                return Ok(());
            }
        }
    }

    /// Reserves room for lanes, then for groups, in the order in which they came.
    fn reserve(&mut self) -> Result<(), ModelError> {
        let mut first_open = 0;
        loop {
            for index in first_open..self.running.len() {
                while let Some(tokens) = self.running[index].next_lane() {
                    if !self.fits(tokens) {
                        return Ok(());
                    }
                    self.reserved += tokens;
                    self.running[index].begin_lane();
                }
            }
            first_open = self.running.len();
            let Some(mut next) = self.waiting.pop_front() else { return Ok(()) };
            if self.begin(&mut next)? {
                self.running.push(next);
            } else {
                self.waiting.push_front(next);
                return Ok(());
            }
        }
    }

    /// Whether so many tokens more fit, after giving up prefixes that nobody uses if need be.
    fn fits(&mut self, tokens: usize) -> bool {
        let limit = self.cache.limit_tokens();
        while self.reserved + self.prefixes.tokens() + tokens > limit {
            if !self.prefixes.evict(&mut self.cache) {
                return false;
            }
        }
        true
    }

    /// Begins a group if there is room for its prompt and its first lane.
    fn begin(&mut self, group: &mut Group) -> Result<bool, ModelError> {
        let shared = group.shareable();
        let (ids, own) = (&group.prompt[..shared], group.prompt.len() - shared);
        let lane = group.next_lane().unwrap_or(0);
        // Prefixes in use by this very prompt must not be given up to make room for it.
        let (prefix, reused) = self.prefixes.enter(&mut self.cache, ids, group.adapter)?;
        if !self.fits(own + lane) {
            self.prefixes.withdraw(&mut self.cache, prefix);
            return Ok(false);
        }
        self.prefixes.statistics.prompt_tokens += group.prompt.len() as u64;
        self.prefixes.statistics.reused_tokens += reused as u64;
        self.reserved += own;
        (group.shared, group.fed, group.prefix) = (shared, shared, prefix);
        group.place = Some(self.cache.branch(self.prefixes.node(prefix))?);
        Ok(true)
    }

    /// Picks the tokens of the next batch, group by group: the rest of the prompt, then its lanes.
    fn plan(&mut self) -> Result<Vec<Planned>, ModelError> {
        let mut room = self.workspace.max_tokens();
        let mut plan = Vec::new();
        for (number, group) in self.running.iter_mut().enumerate() {
            if !plan_prefix(number, group, &mut self.prefixes, (&mut room, &mut plan)) {
                break;
            }
            plan_prompt(number, group, &mut room, &mut plan);
            let Some(prompt) = group.place.filter(|_| group.fed == group.prompt.len()) else {
                continue;
            };
            for (member, Member { work, .. }) in group.members.iter_mut().enumerate() {
                let lanes = Lanes { group: number, member, prompt };
                match work {
                    Work::Sample(_) | Work::Score(_) if room == 0 => {}
                    Work::Sample(draws) => {
                        lanes.plan_draws(draws, &mut self.cache, &mut room, &mut plan)?;
                    }
                    Work::Score(Options { running: Some((trie, _)), .. }) => {
                        lanes.plan_trie(trie, &mut self.cache, &mut room, &mut plan)?;
                    }
                    Work::Score(_) | Work::Trace(_) => {}
                }
            }
            if room == 0 {
                break;
            }
        }
        Ok(plan)
    }

    /// Runs a batch and hands the logits out.
    fn run(&mut self, plan: &[Planned]) -> Result<(), LmError> {
        let feeds: Vec<Feed<'_>> = plan
            .iter()
            .map(|planned| Feed {
                node: planned.node,
                ids: &planned.ids,
                want: planned.want,
                adapter: self.running[planned.target.group()].adapter,
            })
            .collect();
        let (running, chooser, ids) = (&mut self.running, &mut self.chooser, &mut self.ids);
        let mut damaged = false;
        let mut rows = 0;
        let mut each = |feed: usize, row: usize, logits: &[f32], softmax: Option<LogSoftmax>| {
            rows += 1;
            let Some(softmax) = softmax else {
                damaged = true;
                return;
            };
            match plan[feed].target {
                Target::Prefix { .. } => {}
                Target::Prompt { group, first } => {
                    running[group].read_prompt(first + row, softmax, logits, ids);
                }
                Target::Draw { group, member, draw } => {
                    if let Work::Sample(draws) = &mut running[group].members[member].work {
                        draws.advance(draw, &softmax, logits, chooser);
                    }
                }
                Target::Segment { group, member, segment, first } => {
                    if let Work::Score(Options { running: Some((trie, _)), .. }) =
                        &mut running[group].members[member].work
                    {
                        trie.score(segment, first + row, &softmax, logits);
                    }
                }
            }
        };
        self.model
            .extend(self.device, &mut self.cache, &feeds, &mut self.workspace, &mut each)
            .map_err(|problem| model_failed(&problem))?;
        let statistics = &mut self.prefixes.statistics;
        statistics.logit_rows += rows;
        for feed in &feeds {
            let (count, end) = (feed.ids.len(), self.cache.context_len(feed.node));
            statistics.read_tokens += count as u64;
            statistics.seen_pairs += (count * (2 * end - count + 1) / 2) as u64;
        }
        if damaged {
            let problem = "its logits are not finite numbers\n\nhint: the weights are damaged";
            return Err(LmError::Model(problem.to_owned()));
        }
        Ok(())
    }

    /// Answers every call in flight with a failure.
    pub(crate) fn fail(self, problem: &str) {
        for pending in self.jobs.into_values() {
            // A caller that is gone does not listen.
            let _ = pending.reply.send(Err(LmError::Model(problem.to_owned())));
        }
    }

    /// Files answers, and replies to the calls that are complete.
    fn deliver(&mut self, answers: Vec<(Ticket, Result<Answer, String>)>) {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = self.prefixes.statistics;
        for (ticket, answer) in answers {
            if let Some(pending) = self.jobs.get_mut(&ticket.job) {
                pending.answers[ticket.index] = Some(answer);
                pending.missing -= 1;
            }
        }
        self.jobs.retain(|_, pending| {
            if pending.missing == 0 {
                let answers = pending.answers.drain(..).flatten().enumerate();
                let answers = answers.map(|(index, answer)| {
                    answer.map_err(|problem| LmError::Request { index, problem })
                });
                // A caller that is gone does not listen.
                let _ = pending.reply.send(answers.collect());
            }
            pending.missing > 0
        });
    }
}

fn model_failed(problem: &ModelError) -> LmError {
    LmError::Model(problem.to_string())
}

/// Plans what is left of the prefix of a prompt. Returns whether there was room for all of it.
fn plan_prefix(
    number: usize,
    group: &Group,
    prefixes: &mut Prefixes,
    (room, plan): (&mut usize, &mut Vec<Planned>),
) -> bool {
    while let Some(unread) = prefixes.unread(group.prefix) {
        let ids: Vec<u32> = unread.ids.iter().take(*room).copied().collect();
        if ids.is_empty() {
            return false;
        }
        let (node, count, target) = (unread.node, ids.len(), Target::Prefix { group: number });
        plan.push(Planned { target, node, ids, want: Want::None });
        *room -= count;
        prefixes.feed(group.prefix, count);
    }
    true
}

/// Plans what is left of a prompt, as far as there is room. Rows before the first traced token
/// need no logits, so a batch ends there.
fn plan_prompt(number: usize, group: &mut Group, room: &mut usize, plan: &mut Vec<Planned>) {
    let Some(node) = group.place else { return };
    let (length, traced) = (group.prompt.len(), group.first_traced());
    let untraced = traced > group.fed;
    let end = if untraced { traced } else { length };
    let ids: Vec<u32> = group.prompt[group.fed..end].iter().take(*room).copied().collect();
    if ids.is_empty() {
        return;
    }
    let first = group.fed;
    group.fed += ids.len();
    *room -= ids.len();
    let want = match (untraced, group.fed == length) {
        (false, _) => Want::All,
        (true, true) => Want::Last,
        (true, false) => Want::None,
    };
    plan.push(Planned { target: Target::Prompt { group: number, first }, node, ids, want });
}

/// Where lanes belong.
struct Lanes {
    group: usize,
    member: usize,
    /// The prompt's place in the cache.
    prompt: NodeId,
}

impl Lanes {
    /// Plans the unread token of every running draw.
    fn plan_draws(
        &self,
        draws: &mut Draws,
        cache: &mut Cache,
        room: &mut usize,
        plan: &mut Vec<Planned>,
    ) -> Result<(), ModelError> {
        let (group, member) = (self.group, self.member);
        for (number, draw) in draws.running.iter_mut().enumerate() {
            if *room == 0 {
                return Ok(());
            }
            let Some(id) = draw.unread.take() else { continue };
            let node = match draw.place {
                Some(place) => place,
                None => *draw.place.insert(cache.branch(Some(self.prompt))?),
            };
            *room -= 1;
            let target = Target::Draw { group, member, draw: number };
            plan.push(Planned { target, node, ids: vec![id], want: Want::Last });
        }
        Ok(())
    }

    /// Plans the unread segments of a trie, parents before children.
    fn plan_trie(
        &self,
        trie: &mut Trie,
        cache: &mut Cache,
        room: &mut usize,
        plan: &mut Vec<Planned>,
    ) -> Result<(), ModelError> {
        let (group, member) = (self.group, self.member);
        for segment in 0..trie.segments.len() {
            let parent = trie.segments[segment].parent;
            if trie.is_read(segment) || parent.is_some_and(|parent| !trie.is_read(parent)) {
                continue;
            }
            let ids = trie.unread(segment, *room);
            if ids.is_empty() {
                return Ok(());
            }
            let above = parent.and_then(|parent| trie.segments[parent].place);
            let part = &mut trie.segments[segment];
            let node = match part.place {
                Some(place) => place,
                None => *part.place.insert(cache.branch(Some(above.unwrap_or(self.prompt)))?),
            };
            let target = Target::Segment { group, member, segment, first: part.fed };
            part.fed += ids.len();
            *room -= ids.len();
            plan.push(Planned { target, node, ids, want: Want::All });
        }
        Ok(())
    }
}
