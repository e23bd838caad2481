//! Keys and values of what was read, as a tree: what two continuations share is held once.

use crate::kernels::Ropes;
use crate::{Arch, Feed, ModelError};

/// A node of a [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    index: u32,
    /// Distinguishes nodes that had the same index one after the other.
    generation: u32,
}

/// A tree of token segments with their keys and values.
///
/// The context of a node is everything from the root down to it. A node grows only while nothing
/// below it holds tokens. Every token has a slot of its own in one store, so memory is never
/// fragmented and never copied.
pub struct Cache {
    arch: Arch,
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    /// Slots that hold nothing; the next one is last.
    free_slots: Vec<u32>,
    limit: usize,
    pub(crate) ropes: Ropes,
    /// Per layer, `[slots, K·E]`.
    pub(crate) keys: Vec<Vec<f32>>,
    /// Per layer, `[slots, K·E]`.
    pub(crate) values: Vec<Vec<f32>>,
}

#[derive(Default)]
struct Node {
    generation: u32,
    parent: Option<u32>,
    slots: Vec<u32>,
    /// Nodes directly below that exist.
    children: u32,
    /// Tokens of all nodes below.
    below_tokens: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Held,
    /// Given up, but something below is held.
    Released,
}

impl Cache {
    /// A cache of at most `limit_tokens` tokens over all nodes.
    pub fn new(arch: &Arch, limit_tokens: usize) -> Self {
        let len = limit_tokens * arch.kv_heads * arch.head_width;
        let store = || (0..arch.layers).map(|_| vec![0.0; len]).collect();
        Cache {
            arch: arch.clone(),
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            free_slots: (0..limit_tokens as u32).rev().collect(),
            limit: limit_tokens,
            ropes: Ropes::new(arch, limit_tokens.min(arch.context)),
            keys: store(),
            values: store(),
        }
    }

    /// A new, empty node below `parent`, or a new root.
    ///
    /// # Errors
    /// [`ModelError::Node`] if the parent was released.
    pub fn branch(&mut self, parent: Option<NodeId>) -> Result<NodeId, ModelError> {
        let parent = parent.map(|parent| self.held(parent)).transpose()?;
        if let Some(parent) = parent {
            self.nodes[parent as usize].children += 1;
        }
        let index = self.free_nodes.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() as u32 - 1
        });
        let node = &mut self.nodes[index as usize];
        node.generation += 1;
        node.parent = parent;
        node.state = State::Held;
        Ok(NodeId { index, generation: node.generation })
    }

    /// Moves the first `tokens` tokens of a node to a new node above it, from which others can
    /// continue too. The node keeps the rest, what is below it, and its name.
    ///
    /// # Errors
    /// [`ModelError::Node`] if the node was released or holds fewer tokens.
    pub fn split(&mut self, node: NodeId, tokens: usize) -> Result<NodeId, ModelError> {
        let lower = self.held(node)?;
        if tokens > self.len(lower) {
            let problem = "holds fewer tokens than are cut off";
            return Err(ModelError::Node { node: lower as usize, problem });
        }
        let upper = self.branch(None)?;
        let part = &mut self.nodes[lower as usize];
        let rest = part.slots.split_off(tokens);
        let (parent, below_tokens) = (part.parent, part.below_tokens + rest.len());
        part.parent = Some(upper.index);
        let slots = std::mem::replace(&mut part.slots, rest);
        let above = &mut self.nodes[upper.index as usize];
        (above.parent, above.slots) = (parent, slots);
        (above.children, above.below_tokens) = (1, below_tokens);
        Ok(upper)
    }

    /// Gives a node up. Its tokens are freed once no node below it is held. A node that was given
    /// up before is left alone.
    pub fn release(&mut self, node: NodeId) {
        let Ok(index) = self.held(node) else { return };
        self.nodes[index as usize].state = State::Released;
        let mut next = Some(index);
        while let Some(index) = next {
            let node = &mut self.nodes[index as usize];
            if node.state != State::Released || node.children > 0 {
                return;
            }
            node.state = State::Free;
            next = node.parent.take();
            let slots = std::mem::take(&mut node.slots);
            self.count_below(next, -(slots.len() as isize));
            self.free_slots.extend(slots.into_iter().rev());
            self.free_nodes.push(index);
            if let Some(parent) = next {
                self.nodes[parent as usize].children -= 1;
            }
        }
    }

    /// Number of tokens from the root to the end of a node; 0 for a node that was given up.
    pub fn context_len(&self, node: NodeId) -> usize {
        self.held(node).map_or(0, |index| self.path(index).map(|node| self.len(node)).sum())
    }

    /// Tokens in use over all nodes.
    pub fn used_tokens(&self) -> usize {
        self.limit - self.free_slots.len()
    }

    /// Most tokens over all nodes.
    pub fn limit_tokens(&self) -> usize {
        self.limit
    }

    pub(crate) fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The index of a node that is held.
    pub(crate) fn held(&self, node: NodeId) -> Result<u32, ModelError> {
        match self.nodes.get(node.index as usize) {
            Some(found) if found.generation == node.generation && found.state == State::Held => {
                Ok(node.index)
            }
            _ => Err(ModelError::Node { node: node.index as usize, problem: "was released" }),
        }
    }

    /// A node and everything above it.
    pub(crate) fn path(&self, index: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(index), |index| self.nodes[*index as usize].parent)
    }

    /// Where the tokens of a node are.
    pub(crate) fn slots(&self, index: u32) -> &[u32] {
        &self.nodes[index as usize].slots
    }

    fn len(&self, index: u32) -> usize {
        self.slots(index).len()
    }

    /// Gives slots to the tokens of all feeds, or to none. Returns the indexes of the nodes.
    pub(crate) fn append(&mut self, feeds: &[Feed<'_>]) -> Result<Vec<u32>, ModelError> {
        let mut indexes = Vec::with_capacity(feeds.len());
        for (done, feed) in feeds.iter().enumerate() {
            match self.append_one(feed, &feeds[..done]) {
                Ok(index) => indexes.push(index),
                Err(error) => {
                    self.retract(&feeds[..done]);
                    return Err(error);
                }
            }
        }
        Ok(indexes)
    }

    fn retract(&mut self, feeds: &[Feed<'_>]) {
        for feed in feeds.iter().rev() {
            let node = &mut self.nodes[feed.node.index as usize];
            let slots = node.slots.split_off(node.slots.len() - feed.ids.len());
            let parent = node.parent;
            self.count_below(parent, -(slots.len() as isize));
            self.free_slots.extend(slots.into_iter().rev());
        }
    }

    fn append_one(&mut self, feed: &Feed<'_>, earlier: &[Feed<'_>]) -> Result<u32, ModelError> {
        let index = self.held(feed.node)?;
        let refuse = |problem| Err(ModelError::Node { node: index as usize, problem });
        if self.nodes[index as usize].below_tokens > 0 {
            return refuse("has tokens below it and cannot grow");
        }
        if earlier.iter().any(|other| other.node == feed.node) {
            return refuse("is fed twice in one call");
        }
        let (count, vocabulary) = (feed.ids.len(), self.arch.vocabulary);
        if let Some(place) = feed.ids.iter().position(|id| *id as usize >= vocabulary) {
            return Err(ModelError::Tokens { index: place, id: feed.ids[place], vocabulary });
        }
        let tokens = self.context_len(feed.node) + count;
        if tokens > self.arch.context {
            return Err(ModelError::Context { tokens, context: self.arch.context });
        }
        let Some(rest) = self.free_slots.len().checked_sub(count) else {
            let (limit, used) = (self.limit, self.used_tokens());
            return Err(ModelError::CacheFull { limit, used, asked: count });
        };
        let node = &mut self.nodes[index as usize];
        node.slots.extend(self.free_slots.drain(rest..).rev());
        let parent = node.parent;
        self.count_below(parent, count as isize);
        Ok(index)
    }

    /// Adds to the number of tokens below a node and the nodes above it.
    fn count_below(&mut self, mut next: Option<u32>, count: isize) {
        while let Some(index) = next {
            let node = &mut self.nodes[index as usize];
            node.below_tokens = node.below_tokens.wrapping_add_signed(count);
            next = node.parent;
        }
    }
}
