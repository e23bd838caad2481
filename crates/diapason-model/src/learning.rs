//! What learns: a set of tensors, of the weights or of an adapter over weights that stay.
//!
//! Gradients are computed of this set alone, and the backward pass ends at the lowest place of the
//! decoder that holds some of it. An adapter is a set too: its own tensors, and none of the base.

use crate::kernels::{View, product};
use crate::lora::{Linear, Pair, Site};
use crate::{Adapter, Device, Layout, Model, TensorSpec};
use std::ops::Range;

/// Which tensors of [`Model::trained`] learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learning {
    /// Stretches that stay, in order and apart.
    frozen: Vec<Range<usize>>,
}

impl Learning {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but those for which `stays` holds.
    pub fn without(tensors: &[TensorSpec], stays: impl Fn(&TensorSpec) -> bool) -> Self {
        let mut frozen: Vec<Range<usize>> = Vec::new();
        for TensorSpec { range, .. } in tensors.iter().filter(|tensor| stays(tensor)) {
            match frozen.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => frozen.push(range.clone()),
            }
        }
        Learning { frozen }
    }

    /// The end of the stretch that `at` lies in, all of which learns or stays, and whether it
    /// learns.
    pub(crate) fn stretch(&self, at: usize) -> (usize, bool) {
        let next = self.frozen.partition_point(|frozen| frozen.end <= at);
        match self.frozen.get(next) {
            Some(frozen) if frozen.contains(&at) => (frozen.end, false),
            Some(frozen) => (frozen.start, true),
            None => (usize::MAX, true),
        }
    }

    /// The stretches of a range that learn, in order.
    pub fn parts(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            while at < range.end {
                let (end, learns) = self.stretch(at);
                let part = at..end.min(range.end);
                at = part.end;
                if learns {
                    return Some(part);
                }
            }
            None
        })
    }

    /// Whether some of a range learns.
    pub(crate) fn any(&self, range: &Range<usize>) -> bool {
        self.parts(range.clone()).next().is_some()
    }
}

/// A place of the decoder, counted in the order of the forward pass: the embedding, each layer's
/// attention and MLP, the last norm, the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(usize);

impl Place {
    pub(crate) const EMBEDDING: Place = Place(0);

    pub(crate) fn attention(layer: usize) -> Self {
        Place(1 + 2 * layer)
    }

    pub(crate) fn mlp(layer: usize) -> Self {
        Place(2 + 2 * layer)
    }

    pub(crate) fn final_norm(layers: usize) -> Self {
        Place(1 + 2 * layers)
    }

    pub(crate) fn head(layers: usize) -> Self {
        Place(2 + 2 * layers)
    }

    /// The first layer that this place or one behind it belongs to.
    pub(crate) fn layer(self) -> usize {
        self.0.saturating_sub(1) / 2
    }
}

impl Model {
    /// The lowest place of which something learns; behind the head if nothing does.
    pub(crate) fn lowest(&self, learning: &Learning) -> Place {
        lowest(&self.layout, self.arch.layers, self.adapters.first(), learning)
    }
}

/// The lowest place of a decoder, or of an adapter that trains over it, of which something learns.
pub(crate) fn lowest(
    layout: &Layout,
    layers: usize,
    adapter: Option<&Adapter>,
    learning: &Learning,
) -> Place {
    let beyond = Place(Place::head(layers).0 + 1);
    if let Some(adapter) = adapter {
        let learns = |pair: &Pair| learning.any(&pair.a) || learning.any(&pair.b);
        let sites = adapter.sites().filter(|(_, pair)| learns(pair));
        return sites.map(|(site, _)| place(site, layers)).min().unwrap_or(beyond);
    }
    if learning.any(&layout.embed) {
        return Place::EMBEDDING;
    }
    for (number, layer) in layout.layers.iter().enumerate() {
        let end = layer.mlp_norm.as_ref().map_or(layer.down.end, |norm| norm.end);
        if learning.any(&(layer.input_norm.start..layer.middle_norm.start)) {
            return Place::attention(number);
        }
        if learning.any(&(layer.middle_norm.start..end)) {
            return Place::mlp(number);
        }
    }
    if learning.any(&layout.final_norm) {
        Place::final_norm(layers)
    } else if learning.any(&layout.head) {
        Place::head(layers)
    } else {
        beyond
    }
}

fn place(site: Site, layers: usize) -> Place {
    match site {
        Site::Embed => Place::EMBEDDING,
        Site::Layer(layer, Linear::Q | Linear::K | Linear::V | Linear::O) => {
            Place::attention(layer)
        }
        Site::Layer(layer, Linear::Gate | Linear::Up | Linear::Down) => Place::mlp(layer),
        Site::Head => Place::head(layers),
    }
}

/// Gradients of what learns, in the layout of [`Model::trained`].
pub(crate) struct Gradients<'a> {
    values: &'a mut [f32],
    learning: &'a Learning,
    lowest: Place,
    /// Whether an adapter trains, over a base of which nothing learns.
    adapted: bool,
    /// Where gradients of norms go that nobody wants.
    unwanted: Vec<f32>,
}

impl<'a> Gradients<'a> {
    pub(crate) fn of(model: &Model, learning: &'a Learning, values: &'a mut [f32]) -> Self {
        let widest = model.arch.width.max(2 * model.arch.head_width);
        Gradients {
            values,
            learning,
            lowest: model.lowest(learning),
            adapted: !model.adapters.is_empty(),
            unwanted: vec![0.0; widest],
        }
    }

    /// Whether anything learns at a place or before it.
    pub(crate) fn reaches(&self, place: Place) -> bool {
        self.lowest <= place
    }

    /// Whether anything learns before a place.
    pub(crate) fn passes(&self, place: Place) -> bool {
        self.lowest < place
    }

    /// Whether anything learns before the matrices of a place, or its norm does: so whether the
    /// gradient of what enters them is needed.
    pub(crate) fn enters(&self, place: Place, norm: &Range<usize>) -> bool {
        self.passes(place) || self.base_learns(norm)
    }

    /// The parts of a stretch of the base's weights that learn.
    pub(crate) fn base_parts(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        if self.adapted { Vec::new() } else { self.learning.parts(range.clone()).collect() }
    }

    /// Whether some of a stretch of the base's weights learns.
    pub(crate) fn base_learns(&self, range: &Range<usize>) -> bool {
        !self.adapted && self.learning.any(range)
    }

    /// The gradient of a stretch of the base's weights, all of which learns.
    pub(crate) fn base(&mut self, part: Range<usize>) -> &mut [f32] {
        debug_assert!(!self.adapted, "the buffer is the base's");
        &mut self.values[part]
    }

    /// Adds `d_outᵀ · x` to the gradient of a matrix of the base, or to those of its rows that
    /// learn.
    pub(crate) fn product(
        &mut self,
        device: &Device,
        range: &Range<usize>,
        d_out: View<'_>,
        x: View<'_>,
    ) {
        for part in self.base_parts(range) {
            let rows = (part.start - range.start) / x.columns();
            let rows = rows..rows + part.len() / x.columns();
            let d_out = d_out.part(0..d_out.rows(), rows).transposed();
            product(device, &mut self.values[part], d_out, x, true);
        }
    }

    /// Adds `left · right` to the gradient of a matrix of the adapter, if it learns.
    pub(crate) fn adapter_product(
        &mut self,
        device: &Device,
        range: &Range<usize>,
        (left, right): (View<'_>, View<'_>),
    ) {
        if self.learning.any(range) {
            product(device, &mut self.values[range.clone()], left, right, true);
        }
    }

    /// The gradient of a matrix of the adapter, if it learns.
    pub(crate) fn adapter(&mut self, range: &Range<usize>) -> Option<&mut [f32]> {
        self.learning.any(range).then(|| &mut self.values[range.clone()])
    }

    /// Where the gradient of the weight of a norm goes.
    pub(crate) fn norm(&mut self, range: &Range<usize>) -> &mut [f32] {
        if self.base_learns(range) {
            &mut self.values[range.clone()]
        } else {
            &mut self.unwanted[..range.len()]
        }
    }

    /// Where the gradients of the norms of queries and of keys go.
    pub(crate) fn head_norms(&mut self, ranges: &[Range<usize>; 2]) -> [&mut [f32]; 2] {
        let learns = ranges.each_ref().map(|range| self.base_learns(range));
        let (queries, keys) = self.unwanted.split_at_mut(ranges[0].len());
        let mut places = [queries, &mut keys[..ranges[1].len()]];
        // Both lie in one layer, queries first.
        let (before, after) = self.values.split_at_mut(match learns {
            [_, true] => ranges[1].start,
            _ => self.values.len(),
        });
        if learns[0] {
            places[0] = &mut before[ranges[0].clone()];
        }
        if learns[1] {
            places[1] = &mut after[..ranges[1].len()];
        }
        places
    }
}
