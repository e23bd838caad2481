//! Adapters in the forward and the backward pass: one function beside every product.

use super::{Adapter, Linear, Pair, Site};
use crate::forward::matrix;
use crate::kernels::{Heads, View, add, add_columns, drop_out, product, scale};
use crate::learning::Gradients;
use crate::{Device, Model};
use std::ops::Range;

/// Which values the input of A keeps in a training step: a function of seed, module and place, so
/// that the backward pass sees what the forward pass did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub seed: u64,
    pub share: f32,
}

/// Which adapters the rows of a call use, and room to apply them in.
#[derive(Default)]
pub(crate) struct Lora {
    /// Rows of the call in order, with the number of their adapter; others use the base alone.
    rows: Vec<(Range<usize>, usize)>,
    /// The same of the rows that are left in the last layer, while it runs.
    left: Option<Vec<(Range<usize>, usize)>>,
    pub dropout: Option<Dropout>,
    /// `[n, r]`: input times A.
    low: Vec<f32>,
    /// `[n, r]`: gradient of the output times B.
    back: Vec<f32>,
    /// `[n, out]` or `[n, in]`
    wide: Vec<f32>,
    /// The input with values dropped, `[n, in]`.
    kept: Vec<f32>,
}

impl Lora {
    /// Takes in the rows of a call.
    pub(crate) fn begin(&mut self, rows: Vec<(Range<usize>, usize)>) {
        (self.rows, self.left) = (rows, None);
    }

    /// From here on only these rows of the call are left.
    pub(crate) fn narrow(&mut self, read: &[u32]) {
        self.left = Some(self.parts(read.len(), Some(read)));
    }

    /// From here on all rows of the call are there again.
    pub(crate) fn widen(&mut self) {
        self.left = None;
    }

    /// The rows that there are.
    fn rows(&self) -> &[(Range<usize>, usize)] {
        self.left.as_deref().unwrap_or(&self.rows)
    }

    /// Parts of a call's rows with their adapters. `gathered` are the call's rows that a stretch
    /// consists of, where it is not all of them in order.
    fn parts(&self, count: usize, gathered: Option<&[u32]>) -> Vec<(Range<usize>, usize)> {
        let Some(gathered) = gathered else { return self.rows().to_vec() };
        let adapter = |row: u32| {
            let holds = |(rows, _): &&(Range<usize>, usize)| rows.contains(&(row as usize));
            self.rows().iter().find(holds).map(|(_, adapter)| *adapter)
        };
        let mut parts: Vec<(Range<usize>, usize)> = Vec::new();
        for (index, row) in gathered[..count].iter().enumerate() {
            let Some(adapter) = adapter(*row) else { continue };
            match parts.last_mut() {
                Some((rows, last)) if *last == adapter && rows.end == index => rows.end += 1,
                _ => parts.push((index..index + 1, adapter)),
            }
        }
        parts
    }

    /// The mask's seed of a module.
    fn masks(&self, site: Site) -> Option<Dropout> {
        let number = match site {
            Site::Embed => return None,
            Site::Head => 1,
            Site::Layer(layer, linear) => 2 + 7 * layer as u64 + linear as u64,
        };
        self.dropout.map(|dropout| Dropout {
            // An odd multiplier spreads the numbers over all bits.
            seed: dropout.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ..dropout
        })
    }
}

/// Rows of a call as they enter a module.
#[derive(Clone, Copy)]
pub(crate) struct Entering<'a> {
    /// `[n, in]`
    pub x: View<'a>,
    /// The call's rows that these are; all in order if `None`.
    pub gathered: Option<&'a [u32]>,
    /// Number of the first of them among all that enter the module in this pass.
    pub first: usize,
}

impl<'a> Entering<'a> {
    /// All rows of a call.
    pub(crate) fn all(x: View<'a>) -> Self {
        Entering { x, gathered: None, first: 0 }
    }
}

fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

impl Model {
    /// Adds what adapters make of `entering` to columns of the module's output, `[n, width]`.
    pub(crate) fn adapt(
        &self,
        device: &Device,
        site: Site,
        entering: Entering<'_>,
        (out, columns): (&mut [f32], Range<usize>),
        lora: &mut Lora,
    ) {
        if lora.rows().is_empty() {
            return;
        }
        let Entering { x, gathered, first } = entering;
        let width = out.len() / x.rows();
        for (rows, adapter) in lora.parts(x.rows(), gathered) {
            let adapter = &self.adapters[adapter];
            let Some(pair) = adapter.pair(site) else { continue };
            let x = x.part(rows.clone(), 0..x.columns());
            let masks = lora.masks(site).map(|masks| (masks, first + rows.start));
            let Lora { low, wide, kept, .. } = lora;
            let low = project(device, (adapter, pair), x, masks, (low, kept));
            let out = &mut out[rows.start * width..rows.end * width];
            widen(device, (adapter, pair), low, (out, width, columns.start), wide);
        }
    }

    /// Adds what adapters make of token ids to their embeddings, `[n, D]`.
    pub(crate) fn adapt_embeddings(
        &self,
        device: &Device,
        ids: &[u32],
        out: &mut [f32],
        lora: &mut Lora,
    ) {
        let width = self.arch.width;
        for (rows, adapter) in lora.rows().to_vec() {
            let adapter = &self.adapters[adapter];
            let Some(pair) = adapter.pair(Site::Embed) else { continue };
            let Lora { low, wide, .. } = lora;
            let low = look_up((adapter, pair), &ids[rows.clone()], low);
            let out = &mut out[rows.start * width..rows.end * width];
            widen(device, (adapter, pair), low, (out, width, 0), wide);
        }
    }

    /// Queries, keys and values: columns of one fused output.
    pub(crate) fn adapt_heads(
        &self,
        device: &Device,
        layer: usize,
        x: View<'_>,
        qkv: &mut [f32],
        lora: &mut Lora,
    ) {
        for (linear, columns) in head_columns(Heads::of(&self.arch, layer)) {
            let site = Site::Layer(layer, linear);
            self.adapt(device, site, Entering::all(x), (qkv, columns), lora);
        }
    }

    /// Gate and up: columns of one fused output.
    pub(crate) fn adapt_gates(
        &self,
        device: &Device,
        layer: usize,
        x: View<'_>,
        gate_up: &mut [f32],
        lora: &mut Lora,
    ) {
        for (linear, columns) in gate_columns(self.arch.mlp_width) {
            let site = Site::Layer(layer, linear);
            self.adapt(device, site, Entering::all(x), (gate_up, columns), lora);
        }
    }

    /// Adds the gradient that reaches a module's input through the first adapter to `d_x [n, in]`.
    /// `d_out` is the module's part of the gradient of the output.
    pub(crate) fn adapt_input_backward(
        &self,
        device: &Device,
        site: Site,
        (d_out, first): (View<'_>, usize),
        d_x: &mut [f32],
        lora: &mut Lora,
    ) {
        let Some((adapter, pair)) = self.training(site) else { return };
        let masks = lora.masks(site);
        let Lora { back, wide, kept, .. } = lora;
        let back = project_back(device, (adapter, pair), d_out, back);
        let (rank, input) = (adapter.settings.rank, pair.shape.0);
        let a = matrix(&adapter.weights[pair.a.clone()], rank, input);
        let back = matrix(back, d_out.rows(), rank);
        let Some(masks) = masks else { return product(device, d_x, back, a, true) };
        let (wide, dropped) = (room(wide, d_x.len()), room(kept, d_x.len()));
        product(device, wide, back, a, false);
        let wide = matrix(wide, d_out.rows(), input);
        drop_out(device, dropped, wide, (masks.seed, masks.share), first);
        add(device, d_x, dropped);
    }

    /// Adds the gradients of A and B of a module of the first adapter, from what entered it and
    /// the gradient of its output.
    pub(crate) fn adapt_weights_backward(
        &self,
        device: &Device,
        site: Site,
        (x, d_out, first): (View<'_>, View<'_>, usize),
        gradients: &mut Gradients<'_>,
        lora: &mut Lora,
    ) {
        let Some((adapter, pair)) = self.training(site) else { return };
        let masks = lora.masks(site).map(|masks| (masks, first));
        let Lora { back, low, kept, .. } = lora;
        let rank = adapter.settings.rank;
        let back = project_back(device, (adapter, pair), d_out, back);
        let back = matrix(back, d_out.rows(), rank);
        let low = project(device, (adapter, pair), x, masks, (low, kept));
        scale(device, low, adapter.settings.scale());
        let x = match masks {
            Some(_) => matrix(kept, x.rows(), x.columns()),
            None => x,
        };
        let low = matrix(low, d_out.rows(), rank);
        gradients.adapter_product(device, &pair.a, (back.transposed(), x));
        gradients.adapter_product(device, &pair.b, (d_out.transposed(), low));
    }

    /// Adds the gradients of A and B of the embedding, from the gradient of what was looked up.
    pub(crate) fn adapt_embeddings_backward(
        &self,
        device: &Device,
        ids: &[u32],
        d_out: View<'_>,
        gradients: &mut Gradients<'_>,
        lora: &mut Lora,
    ) {
        let Some((adapter, pair)) = self.training(Site::Embed) else { return };
        let Lora { back, low, .. } = lora;
        let (rank, vocabulary) = (adapter.settings.rank, pair.shape.0);
        let back = project_back(device, (adapter, pair), d_out, back);
        let low = look_up((adapter, pair), ids, low);
        scale(device, low, adapter.settings.scale());
        if let Some(d_a) = gradients.adapter(&pair.a) {
            for (id, back) in ids.iter().zip(back.chunks_exact(rank)) {
                for (line, value) in back.iter().enumerate() {
                    d_a[line * vocabulary + *id as usize] += value;
                }
            }
        }
        let low = matrix(low, ids.len(), rank);
        gradients.adapter_product(device, &pair.b, (d_out.transposed(), low));
    }

    /// The adapter that trains, where it has this module.
    fn training(&self, site: Site) -> Option<(&Adapter, &Pair)> {
        let adapter = self.adapters.first()?;
        Some((adapter, adapter.pair(site)?))
    }
}

/// Columns of queries, keys and values in a row of `qkv`.
pub(crate) fn head_columns(heads: Heads) -> [(Linear, Range<usize>); 3] {
    let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
    [
        (Linear::Q, 0..queries),
        (Linear::K, queries..queries + keys),
        (Linear::V, queries + keys..queries + 2 * keys),
    ]
}

/// Columns of gate and up in a row of `gate_up`.
pub(crate) fn gate_columns(mlp_width: usize) -> [(Linear, Range<usize>); 2] {
    [(Linear::Gate, 0..mlp_width), (Linear::Up, mlp_width..2 * mlp_width)]
}

/// `x·Aᵀ [n, r]`, of the values that dropout keeps, which then stand in `kept`.
fn project<'a>(
    device: &Device,
    (adapter, pair): (&Adapter, &Pair),
    x: View<'_>,
    masks: Option<(Dropout, usize)>,
    (low, kept): (&'a mut Vec<f32>, &mut Vec<f32>),
) -> &'a mut [f32] {
    let (n, rank, input) = (x.rows(), adapter.settings.rank, pair.shape.0);
    let low = room(low, n * rank);
    let a = matrix(&adapter.weights[pair.a.clone()], rank, input).transposed();
    if let Some((Dropout { seed, share }, first)) = masks {
        let kept = room(kept, n * input);
        drop_out(device, kept, x, (seed, share), first);
        product(device, low, matrix(kept, n, input), a, false);
    } else {
        product(device, low, x, a, false);
    }
    low
}

/// Columns of A at token ids, `[n, r]`.
fn look_up<'a>(
    (adapter, pair): (&Adapter, &Pair),
    ids: &[u32],
    low: &'a mut Vec<f32>,
) -> &'a mut [f32] {
    let (rank, vocabulary) = (adapter.settings.rank, pair.shape.0);
    let a = &adapter.weights[pair.a.clone()];
    let low = room(low, ids.len() * rank);
    for (id, low) in ids.iter().zip(low.chunks_exact_mut(rank)) {
        for (line, value) in low.iter_mut().enumerate() {
            *value = a[line * vocabulary + *id as usize];
        }
    }
    low
}

/// `out += s · low·Bᵀ`, into columns from `start` of rows of `width`.
fn widen(
    device: &Device,
    (adapter, pair): (&Adapter, &Pair),
    low: &[f32],
    (out, width, start): (&mut [f32], usize, usize),
    wide: &mut Vec<f32>,
) {
    let (rank, columns) = (adapter.settings.rank, pair.shape.1);
    let n = low.len() / rank;
    let wide = room(wide, n * columns);
    let b = matrix(&adapter.weights[pair.b.clone()], columns, rank).transposed();
    product(device, wide, matrix(low, n, rank), b, false);
    add_columns(device, (out, width, start), (wide, columns), adapter.settings.scale());
}

/// `s · d_out·B [n, r]`
fn project_back<'a>(
    device: &Device,
    (adapter, pair): (&Adapter, &Pair),
    d_out: View<'_>,
    back: &'a mut Vec<f32>,
) -> &'a mut [f32] {
    let (n, rank) = (d_out.rows(), adapter.settings.rank);
    let back = room(back, n * rank);
    let b = matrix(&adapter.weights[pair.b.clone()], pair.shape.1, rank);
    product(device, back, d_out, b, false);
    scale(device, back, adapter.settings.scale());
    back
}
