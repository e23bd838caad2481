//! A model: its shape, its weights, and what can be asked of it.

use crate::{Arch, Cache, Device, Feed, Layout, ModelError, Workspace};
use diapason_flow::Pack;

/// A decoder with its weights in one flat buffer.
#[derive(Clone, Debug)]
pub struct Model {
    /// The shape.
    pub arch: Arch,
    /// Where each tensor lives in `weights`.
    pub layout: Layout,
    /// All weights.
    pub weights: Vec<f32>,
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
    pub fn new(arch: Arch, weights: Vec<f32>) -> Result<Self, ModelError> {
        let layout = Layout::of(&arch);
        if weights.len() != layout.len {
            let (expected, found) = (layout.len, weights.len());
            return Err(ModelError::Shape { tensor: "weights".to_owned(), expected, found });
        }
        Ok(Model { arch, layout, weights })
    }

    /// Forward and backward over a pack. Adds `scale · d(nats)/d(weights)` to `gradients`, which
    /// has the length and layout of the weights.
    pub fn loss_and_gradients(
        &self,
        _device: &Device,
        _pack: &Pack,
        _scale: f32,
        _workspace: &mut Workspace,
        _gradients: &mut [f32],
    ) -> Result<PackLoss, ModelError> {
        unimplemented!("first commit: signatures only")
    }

    /// -ln p of every token as a target, `[N]`, unweighted, in nats; 0 where its loss weight is 0.
    pub fn token_nats(
        &self,
        _device: &Device,
        _pack: &Pack,
        _workspace: &mut Workspace,
    ) -> Result<Vec<f32>, ModelError> {
        unimplemented!("first commit: signatures only")
    }

    /// Logits `[V]` at chosen tokens of a pack, in the order of `rows`: `each(rows[i], logits)`,
    /// where the logits at token i predict token i + 1.
    pub fn logits(
        &self,
        _device: &Device,
        _pack: &Pack,
        _rows: &[usize],
        _workspace: &mut Workspace,
        _each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), ModelError> {
        unimplemented!("first commit: signatures only")
    }

    /// Appends tokens to nodes of a cache and gives the logits `[V]` of the rows wanted:
    /// `each(feed, row within the feed, logits)`, feeds and rows in order.
    ///
    /// A parent and its child may be fed in one call, the parent first. The bits of the logits do
    /// not depend on how tokens are split over calls and nodes, nor on the other feeds.
    ///
    /// # Errors
    /// Nothing is appended when an error is returned.
    pub fn extend(
        &self,
        _device: &Device,
        _cache: &mut Cache,
        _feeds: &[Feed<'_>],
        _workspace: &mut Workspace,
        _each: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), ModelError> {
        unimplemented!("first commit: signatures only")
    }
}
