//! Keys and values of what was read, as a tree: what two continuations share is held once.

use crate::{Arch, ModelError};

/// A node of a [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// Which rows of a feed give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: only the cache is filled.
    None,
    /// That of the last token.
    Last,
    /// That of every token.
    All,
}

/// Tokens to append to a node.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// The node.
    pub node: NodeId,
    /// Token ids.
    pub ids: &'a [u32],
    /// Rows wanted.
    pub want: Want,
}

/// A tree of token segments with their keys and values.
///
/// The context of a node is everything from the root down to it. A node grows only while nothing
/// below it holds tokens.
pub struct Cache {
    limit: usize,
}

impl Cache {
    /// A cache of at most `limit_tokens` tokens over all nodes.
    pub fn new(_arch: &Arch, limit_tokens: usize) -> Self {
        Cache { limit: limit_tokens }
    }

    /// A new, empty node below `parent`, or a new root.
    ///
    /// # Errors
    /// [`ModelError::Node`] if the parent was released.
    pub fn branch(&mut self, _parent: Option<NodeId>) -> Result<NodeId, ModelError> {
        unimplemented!("first commit: signatures only")
    }

    /// Gives a node up. Its tokens are freed once no node below it is held.
    pub fn release(&mut self, _node: NodeId) {
        unimplemented!("first commit: signatures only")
    }

    /// Number of tokens from the root to the end of a node.
    pub fn context_len(&self, _node: NodeId) -> usize {
        unimplemented!("first commit: signatures only")
    }

    /// Tokens in use over all nodes.
    pub fn used_tokens(&self) -> usize {
        unimplemented!("first commit: signatures only")
    }

    /// Most tokens over all nodes.
    pub fn limit_tokens(&self) -> usize {
        self.limit
    }
}
