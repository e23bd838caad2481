//! The decoder's forward pass. Every line is one kernel over the N tokens of a call.

use crate::kernels::{
    Begin, Heads, NormWeight, Number, RawHeads, Target, View, add, cross_entropy, gated,
    gather_rows, narrow_rows, norm, norm_heads, product, product_packed, repeat_row, scale,
};
use crate::lora::{Entering, Linear, Lora, Site};
use crate::resident::Resident;
use crate::weights::of_either;
use crate::workspace::{Branch, Forward, Head, Input, LayerBuffers, Rows, Saved};
use crate::{Device, Model};
use std::ops::Range;

/// Where a matrix lies in the weights, and the copies that there are.
type Matrix<'a> = (&'a Range<usize>, Option<&'a Resident>);

/// A `[rows, columns]` matrix at the front of a buffer.
pub(crate) fn matrix<T: Number>(data: &[T], rows: usize, columns: usize) -> View<'_, T> {
    View::new(data, (rows, columns), (columns, 1))
}

impl Model {
    /// Embeds and runs all layers. `attention` rotates `qkv` and writes `attended`: it knows what
    /// each row sees. After the last layer the residual stream has the rows that are read.
    pub(crate) fn run_layers(
        &self,
        device: &Device,
        input: &Input,
        forward: &mut Forward,
        mut attention: impl FnMut(usize, &mut Saved),
    ) {
        let (ids, (stream, lora)) = (&input.ids, forward.first());
        let stream = &mut stream[..ids.len() * self.arch.width];
        of_either!(self.weights.part(self.layout.embed.clone()), |table| {
            gather_rows(device, stream, table, ids, self.arch.width);
        });
        self.adapt_embeddings(device, ids, stream, lora);
        if let Some(factor) = self.arch.variant.embedding_scale {
            scale(device, stream, factor);
        }
        for layer in 0..self.arch.layers {
            let rows = input.rows(layer + 1 == self.arch.layers);
            self.run_layer(device, (layer, rows), forward.layer(layer), &mut attention);
        }
    }

    fn run_layer(
        &self,
        device: &Device,
        (layer, rows): (usize, Rows<'_>),
        mut buffers: LayerBuffers<'_>,
        attention: &mut impl FnMut(usize, &mut Saved),
    ) {
        self.run_to_gates(device, (layer, rows), &mut buffers, attention);
        let LayerBuffers { output, saved, hidden, lora, resident, .. } = buffers;
        let n = rows.left();
        let (d, m) = (self.arch.width, self.arch.mlp_width);
        let (hidden, gate_up) = (&mut hidden[..n * m], &saved.gate_up[..n * 2 * m]);
        gated(device, hidden, gate_up, m, self.arch.variant.activation);
        let ranges = &self.layout.layers[layer];
        let added = (matrix(hidden, n, m), (&ranges.down, resident));
        let branch = (ranges.mlp_norm.as_ref(), &mut saved.mlp_branch);
        let adapted = (Site::Layer(layer, Linear::Down), lora);
        let (output, middle) = (&mut output[..n * d], &saved.middle[..n * d]);
        self.add_branch(device, output, middle, added, branch, adapted);
    }

    /// Fills what the backward pass of a layer reads, from the residual stream before it.
    pub(crate) fn run_layer_again(
        &self,
        device: &Device,
        (layer, rows): (usize, Rows<'_>),
        mut buffers: LayerBuffers<'_>,
        mut attention: impl FnMut(usize, &mut Saved),
    ) {
        if self.arch.variant.branch_norms {
            self.run_layer(device, (layer, rows), buffers, &mut attention);
        } else {
            // What the MLP adds to the stream is read by nobody.
            self.run_to_gates(device, (layer, rows), &mut buffers, &mut attention);
        }
    }

    /// A layer up to the product of gate and up.
    fn run_to_gates(
        &self,
        device: &Device,
        (layer, rows): (usize, Rows<'_>),
        buffers: &mut LayerBuffers<'_>,
        attention: &mut impl FnMut(usize, &mut Saved),
    ) {
        let LayerBuffers { input, saved, normed, lora, resident, .. } = buffers;
        let (d, m, heads) = (self.arch.width, self.arch.mlp_width, Heads::of(&self.arch, layer));
        let (row, out, n) = (heads.row_width(), heads.out_width(), rows.count);
        let (ranges, resident) = (&self.layout.layers[layer], *resident);
        let (input, entering) = (&input[..n * d], &mut normed[..n * d]);
        let weight = self.norm_weight(&ranges.input_norm);
        norm(device, entering, &mut saved.input_inverse[..n], input, &weight);
        let qkv = &mut saved.qkv[..n * row];
        if let Some(bias) = &ranges.qkv_bias {
            repeat_row(device, qkv, &self.weights.part(bias.clone()).wide());
        }
        let biased = ranges.qkv_bias.is_some();
        let weight = (&ranges.qkv, resident);
        self.linear(device, qkv, matrix(entering, n, d), weight, biased.into());
        self.adapt_heads(device, layer, matrix(entering, n, d), qkv, lora);
        if let Some(norms) = &ranges.head_norms {
            let raw = RawHeads { values: &mut saved.raw_heads, inverse: &mut saved.head_inverse };
            let weights = norms.each_ref().map(|one| self.norm_weight(one));
            norm_heads(device, heads, qkv, raw, &weights);
        }
        attention(layer, saved);
        let (n, mut stream) = (rows.left(), input);
        if let Some(read) = rows.read {
            let gathered = &mut normed[..n * d];
            gather_rows(device, gathered, input, read, d);
            narrow_rows(device, &mut saved.attended, read, out);
            lora.narrow(read);
            stream = gathered;
        }
        let middle = &mut saved.middle[..n * d];
        let added = (matrix(&saved.attended, n, out), (&ranges.o, resident));
        let branch = (ranges.attention_norm.as_ref(), &mut saved.attention_branch);
        let adapted = (Site::Layer(layer, Linear::O), &mut **lora);
        self.add_branch(device, middle, stream, added, branch, adapted);
        let entering = &mut normed[..n * d];
        let weight = self.norm_weight(&ranges.middle_norm);
        norm(device, entering, &mut saved.middle_inverse[..n], middle, &weight);
        let gate_up = &mut saved.gate_up[..n * 2 * m];
        let weight = (&ranges.gate_up, resident);
        self.linear(device, gate_up, matrix(entering, n, d), weight, Begin::Zero);
        self.adapt_gates(device, layer, matrix(entering, n, d), gate_up, lora);
    }

    /// `out = S + x · Wᵀ`, of the copy of W if it has one.
    fn linear(
        &self,
        device: &Device,
        out: &mut [f32],
        x: View<'_>,
        (range, resident): Matrix<'_>,
        begin: Begin<'_>,
    ) {
        if let Some(packed) = resident.and_then(|copies| copies.get(range)) {
            return product_packed(device, out, x, packed, begin);
        }
        let (rows, columns) = (range.len() / x.columns(), x.columns());
        of_either!(self.weights.part(range.clone()), |weight| {
            product(device, out, x, matrix(weight, rows, columns).transposed(), begin);
        });
    }

    /// `d_x = d_out · W`
    pub(crate) fn linear_backward(
        &self,
        device: &Device,
        d_x: &mut [f32],
        d_out: View<'_>,
        range: &Range<usize>,
    ) {
        let (rows, columns) = (d_out.columns(), range.len() / d_out.columns());
        of_either!(self.weights.part(range.clone()), |weight| {
            product(device, d_x, d_out, matrix(weight, rows, columns), false);
        });
    }

    /// `to = from + rows · weight`, what is added being normed first where the family does so.
    fn add_branch(
        &self,
        device: &Device,
        to: &mut [f32],
        from: &[f32],
        (rows, weight): (View<'_>, Matrix<'_>),
        (normed_by, branch): (Option<&Range<usize>>, &mut Branch),
        (site, lora): (Site, &mut Lora),
    ) {
        let (columns, entering) = (0..self.arch.width, Entering::all(rows));
        let Some(range) = normed_by else {
            self.linear(device, to, rows, weight, Begin::At(from));
            return self.adapt(device, site, entering, (to, columns), lora);
        };
        let (raw, inverse) = (&mut branch.raw[..to.len()], &mut branch.inverse[..rows.rows()]);
        self.linear(device, raw, rows, weight, Begin::Zero);
        self.adapt(device, site, entering, (raw, columns), lora);
        norm(device, to, inverse, raw, &self.norm_weight(range));
        add(device, to, from);
    }

    /// The weight of a norm as kernels take it.
    pub(crate) fn norm_weight(&self, range: &Range<usize>) -> NormWeight<'_> {
        NormWeight {
            w: self.weights.part(range.clone()).wide(),
            offset: self.arch.variant.norm_offset,
            epsilon: self.arch.norm_epsilon,
        }
    }

    /// Gathers the rows of the head and norms them into the front of `forward.normed`.
    pub(crate) fn gather_head(&self, device: &Device, forward: &mut Forward, head: &mut Head) {
        let (d, count) = (self.arch.width, head.rows.len());
        let gathered = &mut head.gathered[..count * d];
        gather_rows(device, gathered, forward.residual(self.arch.layers), &head.rows, d);
        let weight = self.norm_weight(&self.layout.final_norm);
        let (normed, inverse) = (&mut forward.normed[..count * d], &mut head.inverse[..count]);
        norm(device, normed, inverse, gathered, &weight);
    }

    /// The logits of some gathered rows, at most a chunk.
    pub(crate) fn logits_of<'a>(
        &self,
        device: &Device,
        (normed, lora, resident): (&[f32], &mut Lora, Option<&Resident>),
        (gathered, rows): (&[u32], &Range<usize>),
        logits: &'a mut [f32],
    ) -> &'a mut [f32] {
        let (d, v) = (self.arch.width, self.arch.vocabulary);
        let logits = &mut logits[..rows.len() * v];
        let normed = matrix(&normed[rows.start * d..], rows.len(), d);
        self.linear(device, logits, normed, (&self.layout.head, resident), Begin::Zero);
        let gathered = Some(&gathered[rows.clone()]);
        let entering = Entering { x: normed, gathered, first: rows.start };
        self.adapt(device, Site::Head, entering, (logits, 0..v), lora);
        logits
    }

    /// The nats of all targets, into `head.nats`.
    pub(crate) fn losses(&self, device: &Device, forward: &mut Forward, head: &mut Head) {
        let Head { rows: gathered, targets, nats, logits, chunk, .. } = head;
        for rows in chunks(targets.len(), *chunk) {
            let normed = forward.for_head();
            let logits = self.logits_of(device, normed, (gathered, &rows), logits);
            let targets: &[Target] = &targets[rows.clone()];
            cross_entropy(device, &mut nats[rows], logits, targets, None);
        }
    }
}

/// Stretches of at most `chunk` of `0..len`.
pub(crate) fn chunks(len: usize, chunk: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(chunk).map(move |from| from..len.min(from + chunk))
}
