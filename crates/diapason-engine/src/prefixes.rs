//! Beginnings of prompts that several requests share, now or later: a tree of runs of tokens.
//!
//! A prompt follows the tree as far as it agrees; where it leaves a part in the middle, the part is
//! cut in two. So what two prompts share is read once, whether they come together or one after the
//! other. Parts that no running request uses stay until their room is needed, the one that was
//! used last for the longest time.

use diapason_model::{Cache, ModelError, NodeId};

/// What was read, and what shared beginnings saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Tokens of all prompts that began, one for each group of requests with the same prompt.
    pub prompt_tokens: u64,
    /// Those of them that were there already.
    pub reused_tokens: u64,
    /// Tokens given up for want of room.
    pub evicted_tokens: u64,
    /// Tokens that ran through the model: of prompts, draws and options.
    pub read_tokens: u64,
    /// Pairs of a token that ran and one that it saw, itself included, if layers have no window.
    pub seen_pairs: u64,
    /// Tokens with logits.
    pub logit_rows: u64,
}

/// A run of tokens below its parent's.
#[derive(Debug)]
struct Part {
    /// The adapter that reads it: others keep apart.
    adapter: Option<usize>,
    parent: Option<usize>,
    ids: Vec<u32>,
    node: NodeId,
    /// How many of its tokens were given to the model.
    fed: usize,
    /// Running groups whose prompts go through it.
    users: usize,
    /// Parts directly below.
    children: usize,
    last_used: u64,
}

/// A part with tokens that the model has not read.
pub(crate) struct Unread<'a> {
    part: usize,
    pub(crate) node: NodeId,
    pub(crate) ids: &'a [u32],
}

/// All parts.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    parts: Vec<Option<Part>>,
    /// Most tokens of parts that nobody uses.
    idle_limit: usize,
    clock: u64,
    pub(crate) statistics: Statistics,
}

impl Prefixes {
    /// Nothing yet; at most `idle_limit` tokens stay when nobody uses them.
    pub(crate) fn new(idle_limit: usize) -> Self {
        Prefixes { idle_limit, ..Self::default() }
    }

    fn part(&self, index: usize) -> &Part {
        self.parts[index].as_ref().expect("parts in use are not removed")
    }

    fn part_mut(&mut self, index: usize) -> &mut Part {
        self.parts[index].as_mut().expect("parts in use are not removed")
    }

    fn all(&self) -> impl Iterator<Item = (usize, &Part)> {
        self.parts.iter().enumerate().filter_map(|(index, part)| Some((index, part.as_ref()?)))
    }

    /// Tokens of all parts.
    pub(crate) fn tokens(&self) -> usize {
        self.all().map(|(_, part)| part.ids.len()).sum()
    }

    /// The parts that a prompt goes through, with how many tokens of each it shares.
    fn walk(&self, ids: &[u32], adapter: Option<usize>) -> Vec<(usize, usize)> {
        let (mut path, mut parent, mut rest) = (Vec::new(), None, ids);
        loop {
            let next = self.all().find(|(_, part)| {
                part.parent == parent && part.adapter == adapter && part.ids.first() == rest.first()
            });
            let Some((index, part)) = next.filter(|_| !rest.is_empty()) else { return path };
            let shared = part.ids.iter().zip(rest).take_while(|(a, b)| a == b).count();
            path.push((index, shared));
            if shared < part.ids.len() {
                return path;
            }
            (parent, rest) = (Some(index), &rest[shared..]);
        }
    }

    /// Lets a group use the parts of its prompt, and makes those that are missing. Returns the last
    /// of them, `None` of an empty prompt, and how many tokens were there.
    pub(crate) fn enter(
        &mut self,
        cache: &mut Cache,
        ids: &[u32],
        adapter: Option<usize>,
    ) -> Result<(Option<usize>, usize), ModelError> {
        let path = self.walk(ids, adapter);
        let reused: usize = path.iter().map(|(_, shared)| shared).sum();
        let mut last = None;
        for (index, shared) in path {
            let whole = shared == self.part(index).ids.len();
            last = Some(if whole { index } else { self.cut(cache, index, shared)? });
        }
        if reused < ids.len() {
            let above = last.map(|index| self.part(index).node);
            let node = cache.branch(above)?;
            let ids = ids[reused..].to_vec();
            let part = Part {
                adapter,
                parent: last,
                ids,
                node,
                fed: 0,
                users: 0,
                children: 0,
                last_used: 0,
            };
            if let Some(above) = last {
                self.part_mut(above).children += 1;
            }
            last = Some(self.insert(part));
        }
        for index in self.path(last) {
            self.part_mut(index).users += 1;
        }
        Ok((last, reused))
    }

    fn insert(&mut self, part: Part) -> usize {
        let free = self.parts.iter().position(Option::is_none);
        let index = free.unwrap_or(self.parts.len());
        match free {
            Some(index) => self.parts[index] = Some(part),
            None => self.parts.push(Some(part)),
        }
        index
    }

    /// Moves the first tokens of a part to a new one above it, which is returned.
    fn cut(&mut self, cache: &mut Cache, index: usize, at: usize) -> Result<usize, ModelError> {
        let part = self.part(index);
        let fed = part.fed.min(at);
        let node = cache.split(part.node, fed)?;
        let upper = Part {
            adapter: part.adapter,
            parent: part.parent,
            ids: part.ids[..at].to_vec(),
            node,
            fed,
            users: part.users,
            children: 1,
            last_used: part.last_used,
        };
        let upper = self.insert(upper);
        let lower = self.part_mut(index);
        lower.ids.drain(..at);
        lower.fed -= fed;
        lower.parent = Some(upper);
        Ok(upper)
    }

    /// Parts from the root to one.
    fn path(&self, last: Option<usize>) -> Vec<usize> {
        let mut path: Vec<usize> =
            std::iter::successors(last, |index| self.part(*index).parent).collect();
        path.reverse();
        path
    }

    /// The place of a part in the cache.
    pub(crate) fn node(&self, last: Option<usize>) -> Option<NodeId> {
        last.map(|index| self.part(index).node)
    }

    /// The first part down to one that has unread tokens.
    pub(crate) fn unread(&self, last: Option<usize>) -> Option<Unread<'_>> {
        let path = self.path(last).into_iter();
        let mut parts = path.map(|index| (index, self.part(index)));
        let (index, part) = parts.find(|(_, part)| part.fed < part.ids.len())?;
        Some(Unread { part: index, node: part.node, ids: &part.ids[part.fed..] })
    }

    /// Notes that tokens of the first unread part are given to the model.
    pub(crate) fn feed(&mut self, last: Option<usize>, count: usize) {
        if let Some(Unread { part, .. }) = self.unread(last) {
            self.part_mut(part).fed += count;
        }
    }

    /// A group that entered is done.
    pub(crate) fn leave(&mut self, cache: &mut Cache, last: Option<usize>) {
        self.clock += 1;
        for index in self.path(last) {
            let clock = self.clock;
            let part = self.part_mut(index);
            part.users -= 1;
            part.last_used = clock;
        }
        let idle = |prefixes: &Self| -> usize {
            let idle = prefixes.all().filter(|(_, part)| part.users == 0);
            idle.map(|(_, part)| part.ids.len()).sum()
        };
        while idle(self) > self.idle_limit && self.evict(cache) {}
    }

    /// A group that entered cannot begin yet: what it alone brought goes again.
    pub(crate) fn withdraw(&mut self, cache: &mut Cache, last: Option<usize>) {
        for index in self.path(last) {
            self.part_mut(index).users -= 1;
        }
        let unread = |part: &Part| part.fed == 0 && part.users == 0 && part.children == 0;
        if let Some(index) = last.filter(|index| unread(self.part(*index))) {
            self.remove(cache, index);
        }
    }

    fn remove(&mut self, cache: &mut Cache, index: usize) {
        let part = self.parts[index].take().expect("parts are removed once");
        cache.release(part.node);
        if let Some(parent) = part.parent {
            self.part_mut(parent).children -= 1;
        }
    }

    /// Gives up the part that nobody used for the longest time. Returns whether there was one.
    pub(crate) fn evict(&mut self, cache: &mut Cache) -> bool {
        let idle = self.all().filter(|(_, part)| part.users == 0 && part.children == 0);
        let Some((index, _)) = idle.min_by_key(|(_, part)| part.last_used) else { return false };
        self.statistics.evicted_tokens += self.part(index).ids.len() as u64;
        self.remove(cache, index);
        true
    }
}
