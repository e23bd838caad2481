//! What buffers take, said before they are made.

use crate::kernels::{
    Heads, PRODUCT_SCRATCH, Ropes, SHARED, head_norm_partial_len, norm_partial_len, packed_len,
};
use crate::learning::lowest;
use crate::lora::Site;
use crate::workspace::{Saved, Workspace, chunk_rows};
use crate::{Activations, Adapter, Arch, Layout, Learning};

/// What a workspace for training is for.
#[derive(Clone, Copy, Debug)]
pub struct TrainingRoom<'a> {
    /// Most tokens of a pack.
    pub max_tokens: usize,
    /// Most of them that bear loss: room for more logits is never touched.
    pub max_targets: usize,
    /// The adapter that trains, if one does.
    pub adapter: Option<&'a Adapter>,
    /// What learns.
    pub learning: &'a Learning,
    /// What becomes of activations.
    pub activations: Activations,
}

impl TrainingRoom<'_> {
    /// Bytes that [`Workspace::learning`] and the passes over it will take, without making it.
    /// The scratch memory of `threads` threads is counted too.
    pub fn bytes(&self, arch: &Arch, threads: usize) -> usize {
        let n = self.max_tokens;
        let lowest = lowest(&Layout::of(arch), arch.layers, self.adapter, self.learning);
        let layers = arch.layers - lowest.layer().min(arch.layers - 1);
        let saved = if self.activations == Activations::Kept { layers } else { 1 };
        let (d, heads) = (arch.width, Heads::of(arch, 0));
        let branch = if arch.variant.branch_norms { d } else { 0 };
        let forward = (layers + 1) * d + d + arch.mlp_width + saved * Saved::elements(arch);
        let head = d + 9;
        let backward = 2 * d + branch + heads.row_width() + heads.out_width();
        let partial = norm_partial_len(n, d).max(head_norm_partial_len(n, arch.head_width));
        let logits = chunk_rows(arch, n).min(self.max_targets) * arch.vocabulary;
        let ropes = Ropes::elements(arch, n.min(arch.context));
        let elements = n * (forward + head + backward) + partial + logits + ropes;
        let scratch = threads * PRODUCT_SCRATCH + self.shared_elements(arch);
        size_of::<f32>() * (elements + scratch + self.adapter_elements(arch))
    }

    /// The largest operand that is packed for all threads at once.
    fn shared_elements(&self, arch: &Arch) -> usize {
        let (d, m, n) = (arch.width, arch.mlp_width, self.max_tokens);
        let out = Heads::of(arch, 0).row_width();
        let head = chunk_rows(arch, n);
        let operands = [(d, 2 * m), (m, d), (d, out), (d, arch.vocabulary), (n, d), (head, d)];
        let lengths = operands.into_iter().map(|(k, columns)| packed_len(k, columns));
        lengths.filter(|len| *len <= SHARED).max().unwrap_or(0)
    }

    /// The room in which the adapter is applied.
    fn adapter_elements(&self, arch: &Arch) -> usize {
        let Some(adapter) = self.adapter else { return 0 };
        let rows = |site| {
            if site == Site::Head { chunk_rows(arch, self.max_tokens) } else { self.max_tokens }
        };
        let widest = |width: &dyn Fn((usize, usize)) -> usize| {
            adapter.sites().map(|(site, pair)| rows(site) * width(pair.shape)).max().unwrap_or(0)
        };
        let (out, entering) = (widest(&|(_, out)| out), widest(&|(input, _)| input));
        let low = 2 * self.max_tokens * adapter.settings.rank;
        low + if adapter.settings.dropout > 0.0 { out.max(entering) + entering } else { out }
    }
}

impl Workspace {
    /// Bytes of all its buffers.
    pub fn bytes(&self) -> usize {
        let forward = &self.forward;
        let saved = forward.saved().iter().flat_map(Saved::buffers);
        let head = &self.head;
        let once = [&forward.normed, &forward.hidden, &head.nats, &head.gathered, &head.inverse];
        let backward = self
            .backward
            .iter()
            .flat_map(|b| [&b.residual, &b.branch, &b.normed, &b.qkv, &b.attended, &b.partial]);
        let buffers = saved.chain(once).chain(backward).chain(forward.residuals());
        let elements: usize = buffers.map(Vec::len).sum::<usize>() + head.logits.len();
        let ropes = Ropes::elements(self.arch(), self.max_tokens().min(self.arch().context));
        // Ids, positions, branches, rows twice; targets of two words each.
        let numbers = 7 * self.max_tokens();
        size_of::<f32>() * (elements + ropes + numbers) + self.packed_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FAMILIES, Model, Variant};

    #[test]
    fn what_was_said_is_what_is_taken() {
        for family in FAMILIES {
            let base = crate::fixtures::arch(family.name == "gemma3_text");
            let scalar = (family.name == "gemma3_text").then_some(10.0);
            let variant = Variant { query_scalar: scalar, ..family.variant(base.width) };
            let arch = Arch { family: family.name.to_owned(), variant, layers: 5, ..base };
            let model = Model::new(arch.clone(), vec![0.1; Layout::of(&arch).len]).unwrap();
            let upper = Learning::without(&model.layout.tensors, |spec| {
                !spec.name.contains("layers.3.") && !spec.name.contains("layers.4.")
            });
            for learning in [Learning::all(), upper] {
                for activations in [Activations::Kept, Activations::Recomputed] {
                    let room = TrainingRoom {
                        max_tokens: 37,
                        max_targets: 37,
                        adapter: None,
                        learning: &learning,
                        activations,
                    };
                    let made = Workspace::learning(&model, learning.clone(), 37, activations);
                    let scratch = 4 * (PRODUCT_SCRATCH + room.shared_elements(&arch));
                    let said = room.bytes(&arch, 1) - scratch;
                    assert_eq!(said, made.bytes(), "{} {activations:?}", family.name);
                }
            }
        }
    }
}
