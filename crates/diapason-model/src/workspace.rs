//! All activations of a micro-batch, allocated once.

use crate::Arch;

/// The buffers of a forward or of a forward and backward pass. Never grows inside a step.
pub struct Workspace {
    arch: Arch,
    max_tokens: usize,
}

impl Workspace {
    /// Room for [`crate::Model::loss_and_gradients`] on packs of at most `max_tokens` tokens, and
    /// for everything that [`Workspace::forward_only`] serves.
    pub fn new(arch: &Arch, max_tokens: usize) -> Self {
        Workspace { arch: arch.clone(), max_tokens }
    }

    /// Room for forward passes over at most `max_tokens` tokens a call: a fraction of the memory.
    pub fn forward_only(arch: &Arch, max_tokens: usize) -> Self {
        Workspace { arch: arch.clone(), max_tokens }
    }

    /// Most tokens in one call.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The shape it was made for.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }
}
