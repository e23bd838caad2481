//! A model: its shape, its weights, and what can be asked of it.

use crate::kernels::{Heads, attend};
use crate::learning::Gradients;
use crate::workspace::{Input, Saved, Workspace};
use crate::{Adapter, Arch, Device, Layout, ModelError, Weights};
use diapason_flow::Pack;

/// A decoder with its weights in one flat buffer.
#[derive(Clone, Debug)]
pub struct Model {
    /// The shape.
    pub arch: Arch,
    /// Where each tensor lives in `weights`.
    pub layout: Layout,
    /// All weights.
    pub weights: Weights,
    /// Adapters on top of them. A pack uses the first, which is what trains; a feed names its own.
    pub adapters: Vec<Adapter>,
}

/// The loss of a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PackLoss {
    /// Σ weight · -ln p(target), in nats.
    pub nats: f64,
    /// Σ weight.
    pub learned: f64,
}

impl Model {
    /// A model of these weights, in the order of [`Layout::of`].
    ///
    /// # Errors
    /// [`ModelError::Arch`] if the shape is impossible, [`ModelError::Shape`] if the number of
    /// weights is not the layout's.
    pub fn new(arch: Arch, weights: impl Into<Weights>) -> Result<Self, ModelError> {
        arch.check()?;
        let weights = weights.into();
        let layout = Layout::of(&arch);
        check_len("weights", layout.len, weights.len())?;
        Ok(Model { arch, layout, weights, adapters: Vec::new() })
    }

    /// Forward and backward over a pack. Adds `scale · d(nats)/d(weights)` to `gradients`, which
    /// has the length and layout of [`Model::trained`]: the weights, or those of the first adapter
    /// over a base that stays as it is. Gradients of what does not learn
    /// ([`Workspace::learning`]) are not computed, and nothing is added in their place. The
    /// adapter's dropout is that of [`Workspace::drop_out`].
    ///
    /// # Errors
    /// If the pack or what learns does not fit the model or the workspace, and [`ModelError::NonFinite`] if the
    /// loss is not a number; the gradients are then of no use.
    pub fn loss_and_gradients(
        &self,
        device: &Device,
        pack: &Pack,
        scale: f32,
        workspace: &mut Workspace,
        gradients: &mut [f32],
    ) -> Result<PackLoss, ModelError> {
        // Taken at once: whatever is asked next, training or not, begins without it.
        let dropout = workspace.forward.lora.dropout.take();
        check_len("gradients", self.trained().1.len(), gradients.len())?;
        let Some(backward) = &workspace.backward else { return Err(ModelError::ForwardOnly) };
        if self.lowest(&backward.learning).layer() < workspace.forward.first_kept() {
            return Err(ModelError::Foreign { what: "workspace" });
        }
        self.take_in(pack, true, workspace)?;
        if workspace.head.targets.is_empty() {
            return Ok(PackLoss::default());
        }
        workspace.forward.lora.dropout = dropout;
        self.run_pack(device, workspace);
        let Workspace { input, forward, head, backward: Some(backward), .. } = workspace else {
            return Err(ModelError::ForwardOnly);
        };
        self.gather_head(device, forward, head);
        let learning = backward.learning.clone();
        let mut gradients = Gradients::of(self, &learning, gradients);
        self.head_backward(device, (forward, head), backward, scale, &mut gradients);
        self.layers_backward(device, input, forward, backward, &mut gradients);
        workspace.forward.lora.dropout = None;
        workspace_loss(workspace)
    }

    /// -ln p of every token as a target, `[N]`, unweighted, in nats; 0 where its loss weight is 0.
    ///
    /// # Errors
    /// If the pack does not fit the model or the workspace, or a loss is not a number.
    pub fn token_nats(
        &self,
        device: &Device,
        pack: &Pack,
        workspace: &mut Workspace,
    ) -> Result<Vec<f32>, ModelError> {
        self.take_in(pack, true, workspace)?;
        let mut nats = vec![0.0; pack.len()];
        if workspace.head.targets.is_empty() {
            return Ok(nats);
        }
        self.run_pack(device, workspace);
        let Workspace { forward, head, .. } = &mut *workspace;
        self.gather_head(device, forward, head);
        self.losses(device, forward, head);
        workspace_loss(workspace)?;
        for (row, loss) in workspace.head.rows.iter().zip(&workspace.head.nats) {
            nats[workspace.input.read[*row as usize] as usize + 1] = *loss;
        }
        Ok(nats)
    }

    /// Logits `[V]` at chosen tokens of a pack, in the order of `rows`: `each(rows[i], logits)`,
    /// where the logits at token i predict token i + 1.
    ///
    /// # Errors
    /// If the pack does not fit the model or the workspace, or a row does not exist.
    pub fn logits(
        &self,
        device: &Device,
        pack: &Pack,
        rows: &[usize],
        workspace: &mut Workspace,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), ModelError> {
        self.take_in(pack, false, workspace)?;
        if let Some(row) = rows.iter().find(|row| **row >= pack.len()) {
            return Err(ModelError::Row { row: *row, rows: pack.len() });
        }
        let mut places: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        workspace.input.read_only(&mut places);
        self.run_pack(device, workspace);
        self.each_logits(device, workspace, &places, &mut |first, logits| {
            let logits = logits.chunks_exact(self.arch.vocabulary);
            rows[first..].iter().zip(logits).for_each(|(row, logits)| each(*row, logits));
        });
        Ok(())
    }

    /// Checks a pack and hands it to the workspace.
    fn take_in(&self, pack: &Pack, targets: bool, to: &mut Workspace) -> Result<(), ModelError> {
        self.check(to)?;
        let vocabulary = self.arch.vocabulary;
        if let Some(index) = pack.ids().iter().position(|id| *id as usize >= vocabulary) {
            return Err(ModelError::Tokens { index, id: pack.ids()[index], vocabulary });
        }
        to.load(pack, targets)?;
        let trained = (!self.adapters.is_empty()).then_some((0..pack.len(), 0));
        to.forward.lora.begin(trained.into_iter().collect());
        Ok(())
    }

    pub(crate) fn check(&self, workspace: &Workspace) -> Result<(), ModelError> {
        check_len("weights", self.layout.len, self.weights.len())?;
        let copies = workspace.forward.resident.as_ref();
        if *workspace.arch() == self.arch && copies.is_none_or(|copies| copies.is_of(self)) {
            Ok(())
        } else {
            Err(ModelError::Foreign { what: "workspace" })
        }
    }

    /// All layers over the pack that the workspace holds.
    fn run_pack(&self, device: &Device, workspace: &mut Workspace) {
        let Workspace { input, forward, .. } = workspace;
        let attention = |layer, saved: &mut Saved| self.attend_pack(device, input, layer, saved);
        self.run_layers(device, input, forward, attention);
    }

    /// Rotates `qkv` and attends within the pack.
    pub(crate) fn attend_pack(
        &self,
        device: &Device,
        input: &Input,
        layer: usize,
        saved: &mut Saved,
    ) {
        let (n, heads) = (input.ids.len(), Heads::of(&self.arch, layer));
        let qkv = &mut saved.qkv[..n * heads.row_width()];
        let rope = input.ropes.of(heads.windowed());
        rope.rotate(device, qkv, &input.positions, heads.rotated(), false);
        let attended = &mut saved.attended[..n * heads.out_width()];
        let log_sums = &mut saved.log_sums[..n * heads.queries];
        attend(device, heads, (attended, log_sums), qkv, input.sight());
    }
}

fn check_len(tensor: &str, expected: usize, found: usize) -> Result<(), ModelError> {
    if expected == found {
        Ok(())
    } else {
        Err(ModelError::Shape { tensor: tensor.to_owned(), expected, found })
    }
}

fn workspace_loss(workspace: &Workspace) -> Result<PackLoss, ModelError> {
    let mut loss = PackLoss::default();
    for (target, nats) in workspace.head.targets.iter().zip(&workspace.head.nats) {
        loss.nats += f64::from(target.weight) * f64::from(*nats);
        loss.learned += f64::from(target.weight);
    }
    if loss.nats.is_finite() { Ok(loss) } else { Err(ModelError::NonFinite { value: loss.nats }) }
}
