//! All activations of a micro-batch, allocated once.

use crate::kernels::{Heads, Ropes, Sight, Target, head_norm_partial_len, norm_partial_len};
use crate::lora::{Dropout, Lora};
use crate::resident::Resident;
use crate::{Arch, Device, Learning, Model, ModelError};
use diapason_flow::Pack;
use std::ops::Range;

/// Elements of the logits that are held at once.
const LOGITS: usize = 1 << 25;

/// What becomes of the activations of a layer until the backward pass needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activations {
    /// All are kept.
    #[default]
    Kept,
    /// Only the residual stream before each layer is kept; the rest is computed again, with the
    /// same bits: a fifth more time for a fraction of the memory.
    Recomputed,
}

/// The buffers of a forward or of a forward and backward pass. Never grows inside a step.
pub struct Workspace {
    arch: Arch,
    max_tokens: usize,
    pub(crate) input: Input,
    pub(crate) forward: Forward,
    pub(crate) head: Head,
    pub(crate) backward: Option<Backward>,
}

/// The tokens of a call.
pub(crate) struct Input {
    /// `[N]`
    pub ids: Vec<u32>,
    /// `[N]`
    pub positions: Vec<u32>,
    /// As in a pack, `[N]`; unused with a cache.
    pub branches: Vec<u32>,
    /// Rows that are read after the last layer, ascending: its MLP runs on no others.
    pub read: Vec<u32>,
    /// Segments with tokens.
    pub segments: Vec<Range<usize>>,
    /// Rotations of the positions of a pack.
    pub ropes: Ropes,
}

/// Activations. Those that the backward pass reads exist once a layer, else once.
pub(crate) struct Forward {
    /// The first layer that the backward pass reaches: those before it share its buffers.
    first_kept: usize,
    /// Residual stream before each layer that is kept and after the last, `[N, D]`.
    residual: Vec<Vec<f32>>,
    /// One a layer that is kept; a single one where activations are computed again.
    saved: Vec<Saved>,
    /// `[N, D]`
    pub normed: Vec<f32>,
    /// `[N, M]`
    pub hidden: Vec<f32>,
    /// Which rows use which adapters.
    pub lora: Lora,
    /// Packed copies of matrices, where the model is asked often.
    pub resident: Option<Resident>,
}

/// What a layer leaves for its backward pass.
pub(crate) struct Saved {
    /// `[N]`
    pub input_inverse: Vec<f32>,
    /// `[N, (H + 2K)·E]`, rotated.
    pub qkv: Vec<f32>,
    /// Queries and keys before their norms, `[N, (H + K)·E]`; empty where heads have none.
    pub raw_heads: Vec<f32>,
    /// `[N, H + K]`; empty likewise.
    pub head_inverse: Vec<f32>,
    /// `[N, H·E]`
    pub attended: Vec<f32>,
    /// `[H, N]`
    pub log_sums: Vec<f32>,
    /// What attention adds.
    pub attention_branch: Branch,
    /// Residual stream between attention and MLP, `[N, D]`.
    pub middle: Vec<f32>,
    /// `[N]`
    pub middle_inverse: Vec<f32>,
    /// `[N, 2M]`
    pub gate_up: Vec<f32>,
    /// What the MLP adds.
    pub mlp_branch: Branch,
}

/// What attention or the MLP adds to the residual stream, before its norm; empty where branches
/// have none.
pub(crate) struct Branch {
    /// `[N, D]`
    pub raw: Vec<f32>,
    /// `[N]`
    pub inverse: Vec<f32>,
}

/// The loss head: R rows are gathered, a chunk of them has logits.
pub(crate) struct Head {
    /// Rows that predict, `[R]`, as places among those that are read.
    pub rows: Vec<u32>,
    /// What they predict, `[R]`; empty where only logits are wanted.
    pub targets: Vec<Target>,
    /// `[R]`
    pub nats: Vec<f32>,
    /// `[R, D]`
    pub gathered: Vec<f32>,
    /// `[R]`
    pub inverse: Vec<f32>,
    /// `[chunk, V]`
    pub logits: Vec<f32>,
    /// Rows of a chunk.
    pub chunk: usize,
}

/// Gradients of activations.
pub(crate) struct Backward {
    /// What learns.
    pub learning: Learning,
    /// `[N, D]`
    pub residual: Vec<f32>,
    /// Gradient of a branch before its norm, `[N, D]`; empty where branches have none.
    pub branch: Vec<f32>,
    /// `[N, D]`
    pub normed: Vec<f32>,
    /// `[N, (H + 2K)·E]`
    pub qkv: Vec<f32>,
    /// `[N, H·E]`
    pub attended: Vec<f32>,
    /// Partial sums of the gradient of a norm's weight.
    pub partial: Vec<f32>,
}

impl Workspace {
    /// Room for [`Model::loss_and_gradients`] on packs of at most `max_tokens` tokens, whatever
    /// learns, and for everything that [`Workspace::forward_only`] serves.
    pub fn new(arch: &Arch, max_tokens: usize) -> Self {
        Self::above(arch, 0, Learning::all(), (max_tokens, Activations::Kept))
    }

    /// The same where only a part of [`Model::trained`] learns. Other gradients are not computed,
    /// and layers before all that learns take no memory of their own.
    pub fn learning(
        model: &Model,
        learning: Learning,
        max_tokens: usize,
        activations: Activations,
    ) -> Self {
        let first = model.lowest(&learning).layer();
        Self::above(&model.arch, first, learning, (max_tokens, activations))
    }

    fn above(
        arch: &Arch,
        first_kept: usize,
        learning: Learning,
        (max_tokens, activations): (usize, Activations),
    ) -> Self {
        let (d, heads) = (arch.width, Heads::of(arch, 0));
        let partial =
            norm_partial_len(max_tokens, d).max(head_norm_partial_len(max_tokens, arch.head_width));
        let branch = if arch.variant.branch_norms { max_tokens * d } else { 0 };
        let backward = Backward {
            learning,
            residual: vec![0.0; max_tokens * d],
            branch: vec![0.0; branch],
            normed: vec![0.0; max_tokens * d],
            qkv: vec![0.0; max_tokens * heads.row_width()],
            attended: vec![0.0; max_tokens * heads.out_width()],
            partial: vec![0.0; partial],
        };
        let first_kept = first_kept.min(arch.layers - 1);
        let forward = Self::with_layers(arch, max_tokens, first_kept, activations);
        Workspace { backward: Some(backward), ..forward }
    }

    /// Room for forward passes over at most `max_tokens` tokens a call: a fraction of the memory.
    pub fn forward_only(arch: &Arch, max_tokens: usize) -> Self {
        Self::with_layers(arch, max_tokens, arch.layers - 1, Activations::Kept)
    }

    /// The same for a model that is asked often and stays as it is: with packed copies of as many
    /// of its matrices as fit in `packed_bytes` (all take about as much as the weights), which
    /// saves packing them in every call and changes no bit. Other models are refused.
    pub fn resident(
        model: &Model,
        device: &Device,
        max_tokens: usize,
        packed_bytes: usize,
    ) -> Self {
        let mut workspace = Self::forward_only(&model.arch, max_tokens);
        workspace.forward.resident = Some(Resident::of(model, device, packed_bytes));
        workspace
    }

    /// Bytes of packed copies.
    pub fn packed_bytes(&self) -> usize {
        self.forward.resident.as_ref().map_or(0, Resident::bytes)
    }

    fn with_layers(
        arch: &Arch,
        max_tokens: usize,
        first_kept: usize,
        activations: Activations,
    ) -> Self {
        let (d, layers) = (arch.width, arch.layers - first_kept);
        let saved = if activations == Activations::Kept { layers } else { 1 };
        let chunk = chunk_rows(arch, max_tokens);
        Workspace {
            arch: arch.clone(),
            max_tokens,
            input: Input {
                ids: Vec::with_capacity(max_tokens),
                positions: Vec::with_capacity(max_tokens),
                branches: Vec::with_capacity(max_tokens),
                read: Vec::with_capacity(max_tokens),
                segments: Vec::new(),
                ropes: Ropes::new(arch, max_tokens.min(arch.context)),
            },
            forward: Forward {
                first_kept,
                residual: (0..=layers).map(|_| vec![0.0; max_tokens * d]).collect(),
                saved: (0..saved).map(|_| Saved::new(arch, max_tokens)).collect(),
                normed: vec![0.0; max_tokens * d],
                hidden: vec![0.0; max_tokens * arch.mlp_width],
                lora: Lora::default(),
                resident: None,
            },
            head: Head {
                rows: Vec::with_capacity(max_tokens),
                targets: Vec::with_capacity(max_tokens),
                nats: vec![0.0; max_tokens],
                gathered: vec![0.0; max_tokens * d],
                inverse: vec![0.0; max_tokens],
                logits: vec![0.0; chunk * arch.vocabulary],
                chunk,
            },
            backward: None,
        }
    }

    /// Drops a share of what enters the adapter in the next
    /// [`Model::loss_and_gradients`], by masks that depend on the seed alone.
    pub fn drop_out(&mut self, seed: u64, share: f32) {
        self.forward.lora.dropout = (share > 0.0).then_some(Dropout { seed, share });
    }

    /// Most tokens in one call.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The shape it was made for.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// Takes in the tokens of a pack; with `targets`, also the rows that bear loss.
    ///
    /// # Errors
    /// If a segment exceeds the context, or the pack the workspace.
    pub(crate) fn load(&mut self, pack: &Pack, targets: bool) -> Result<(), ModelError> {
        if pack.len() > self.max_tokens {
            let (capacity, found) = (self.max_tokens, pack.len());
            return Err(ModelError::WorkspaceTooSmall { capacity, found });
        }
        let Input { ids, positions, branches, segments, .. } = &mut self.input;
        segments.clear();
        segments.extend(pack.segments().filter(|segment| !segment.is_empty()));
        let longest = pack.position().iter().max().map_or(0, |last| *last as usize + 1);
        if longest > self.arch.context {
            return Err(ModelError::Context { tokens: longest, context: self.arch.context });
        }
        ids.clear();
        ids.extend(pack.ids());
        positions.clear();
        positions.extend(pack.position());
        branches.clear();
        branches.extend(pack.branch());
        self.head.rows.clear();
        self.head.targets.clear();
        for (index, weight) in pack.learn().iter().enumerate() {
            if targets && *weight != 0.0 && positions[index] > 0 {
                self.head.rows.push(index as u32 - 1);
                self.head.targets.push(Target { id: ids[index], weight: *weight });
            }
        }
        self.input.read_only(&mut self.head.rows);
        Ok(())
    }
}

/// Rows whose logits are held at once.
pub(crate) fn chunk_rows(arch: &Arch, max_tokens: usize) -> usize {
    (LOGITS / arch.vocabulary).clamp(1, max_tokens.max(1))
}

/// Rows of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// N, those that enter it.
    pub count: usize,
    /// Those that go on after attention, where it is not all: of the others nothing is needed but
    /// what attention sees of them.
    pub read: Option<&'a [u32]>,
}

impl Rows<'_> {
    /// How many go on after attention.
    pub(crate) fn left(self) -> usize {
        self.read.map_or(self.count, <[u32]>::len)
    }
}

impl Input {
    /// Takes in which rows are read after the last layer, in any order and perhaps repeatedly, and
    /// turns each into its place among them.
    pub(crate) fn read_only(&mut self, rows: &mut [u32]) {
        self.read.clear();
        self.read.extend(&*rows);
        self.read.sort_unstable();
        self.read.dedup();
        for row in rows {
            *row = self.read.partition_point(|read| read < row) as u32;
        }
    }

    /// The rows of a layer, which may be the last.
    pub(crate) fn rows(&self, last: bool) -> Rows<'_> {
        let count = self.ids.len();
        Rows { count, read: (last && self.read.len() < count).then_some(&self.read) }
    }

    /// What the tokens of the pack see.
    pub(crate) fn sight(&self) -> Sight<'_> {
        let Input { positions, branches, segments, .. } = self;
        Sight { segments, positions, branches }
    }
}

impl Saved {
    fn new(arch: &Arch, tokens: usize) -> Self {
        let heads = Heads::of(arch, 0);
        let normed_heads = if arch.variant.head_norms { heads.rotated() } else { 0 };
        let branch = || {
            let rows = if arch.variant.branch_norms { tokens } else { 0 };
            Branch { raw: vec![0.0; rows * arch.width], inverse: vec![0.0; rows] }
        };
        Saved {
            input_inverse: vec![0.0; tokens],
            qkv: vec![0.0; tokens * heads.row_width()],
            raw_heads: vec![0.0; tokens * normed_heads * heads.width],
            head_inverse: vec![0.0; tokens * normed_heads],
            attended: vec![0.0; tokens * heads.out_width()],
            log_sums: vec![0.0; tokens * arch.heads],
            attention_branch: branch(),
            middle: vec![0.0; tokens * arch.width],
            middle_inverse: vec![0.0; tokens],
            gate_up: vec![0.0; tokens * 2 * arch.mlp_width],
            mlp_branch: branch(),
        }
    }
}

impl Saved {
    /// Every buffer.
    pub(crate) fn buffers(&self) -> [&Vec<f32>; 13] {
        let [attention, mlp] = [&self.attention_branch, &self.mlp_branch];
        [
            &self.input_inverse,
            &self.qkv,
            &self.raw_heads,
            &self.head_inverse,
            &self.attended,
            &self.log_sums,
            &attention.raw,
            &attention.inverse,
            &self.middle,
            &self.middle_inverse,
            &self.gate_up,
            &mlp.raw,
            &mlp.inverse,
        ]
    }

    /// Elements of all buffers for one token.
    pub(crate) fn elements(arch: &Arch) -> usize {
        Saved::new(arch, 1).buffers().into_iter().map(Vec::len).sum()
    }
}

/// The buffers of one layer's forward pass.
pub(crate) struct LayerBuffers<'a> {
    pub input: &'a [f32],
    pub output: &'a mut [f32],
    pub saved: &'a mut Saved,
    pub normed: &'a mut [f32],
    pub hidden: &'a mut [f32],
    pub lora: &'a mut Lora,
    pub resident: Option<&'a Resident>,
}

impl Forward {
    /// The first layer whose activations are kept for the backward pass.
    pub(crate) fn first_kept(&self) -> usize {
        self.first_kept
    }

    /// What layers left.
    pub(crate) fn saved(&self) -> &[Saved] {
        &self.saved
    }

    /// The residual streams.
    pub(crate) fn residuals(&self) -> &[Vec<f32>] {
        &self.residual
    }

    /// Whether the activations of a layer are gone when its backward pass begins: another layer ran
    /// in the same buffers.
    pub(crate) fn forgets(&self, layer: usize) -> bool {
        let kept = self.residual.len() - 1;
        self.saved.len() < kept && layer + 1 < self.first_kept + kept
    }

    /// The buffer of the residual stream before a layer: before those that are kept, two in turn.
    fn place(&self, layer: usize) -> usize {
        layer.checked_sub(self.first_kept).unwrap_or((self.first_kept - layer) % 2)
    }

    /// The residual stream before a layer.
    pub(crate) fn residual(&mut self, layer: usize) -> &mut [f32] {
        let place = self.place(layer);
        &mut self.residual[place]
    }

    /// The buffers of the first layer, its input to be filled.
    pub(crate) fn first(&mut self) -> (&mut [f32], &mut Lora) {
        let place = self.place(0);
        (&mut self.residual[place], &mut self.lora)
    }

    /// The normed rows of the head, and what their product needs.
    pub(crate) fn for_head(&mut self) -> (&[f32], &mut Lora, Option<&Resident>) {
        (&self.normed, &mut self.lora, self.resident.as_ref())
    }

    /// The buffers of a layer.
    pub(crate) fn layer(&mut self, layer: usize) -> LayerBuffers<'_> {
        let places = [self.place(layer), self.place(layer + 1)];
        let saved = layer.saturating_sub(self.first_kept).min(self.saved.len() - 1);
        let [input, output] = self
            .residual
            .get_disjoint_mut(places)
            .expect("there are two residual buffers or more, so neighbours differ");
        LayerBuffers {
            input,
            output,
            saved: &mut self.saved[saved],
            normed: &mut self.normed,
            hidden: &mut self.hidden,
            lora: &mut self.lora,
            resident: self.resident.as_ref(),
        }
    }
}
