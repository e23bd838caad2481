//! The decoder's forward pass. Every line is one kernel over the N tokens of a call.

use crate::kernels::{Heads, Target, View, cross_entropy, gather_rows, norm, product, swiglu};
use crate::workspace::{Forward, Head, LayerBuffers, Saved};
use crate::{Device, Model};
use std::ops::Range;

/// A `[rows, columns]` matrix at the front of a buffer.
pub(crate) fn matrix(data: &[f32], rows: usize, columns: usize) -> View<'_> {
    View::new(data, (rows, columns), (columns, 1))
}

impl Model {
    /// Embeds and runs all layers. `attention` rotates `qkv` and writes `attended`: it knows what
    /// each row sees.
    pub(crate) fn run_layers(
        &self,
        device: &Device,
        ids: &[u32],
        forward: &mut Forward,
        mut attention: impl FnMut(usize, &mut Saved),
    ) {
        let elements = ids.len() * self.arch.width;
        let table = &self.weights[self.layout.embed.clone()];
        gather_rows(device, &mut forward.residual(0)[..elements], table, ids, self.arch.width);
        for layer in 0..self.arch.layers {
            self.run_layer(device, layer, ids.len(), forward.layer(layer), &mut attention);
        }
    }

    fn run_layer(
        &self,
        device: &Device,
        layer: usize,
        n: usize,
        buffers: LayerBuffers<'_>,
        attention: &mut impl FnMut(usize, &mut Saved),
    ) {
        let LayerBuffers { input, output, saved, normed, hidden } = buffers;
        let (d, m, heads) = (self.arch.width, self.arch.mlp_width, Heads::of(&self.arch));
        let (row, out, epsilon) = (heads.row_width(), heads.out_width(), self.arch.norm_epsilon);
        let ranges = &self.layout.layers[layer];
        let weight = |range: &Range<usize>| &self.weights[range.clone()];
        let across = |range, rows, columns| matrix(weight(range), rows, columns).transposed();
        let (input, output, normed) = (&input[..n * d], &mut output[..n * d], &mut normed[..n * d]);
        let inverse = &mut saved.input_inverse[..n];
        norm(device, normed, inverse, input, weight(&ranges.input_norm), epsilon);
        let qkv = &mut saved.qkv[..n * row];
        product(device, qkv, matrix(normed, n, d), across(&ranges.qkv, row, d), false);
        attention(layer, saved);
        let middle = &mut saved.middle[..n * d];
        middle.copy_from_slice(input);
        let attended = matrix(&saved.attended, n, out);
        product(device, middle, attended, across(&ranges.o, d, out), true);
        let inverse = &mut saved.post_inverse[..n];
        norm(device, normed, inverse, middle, weight(&ranges.post_norm), epsilon);
        let gate_up = &mut saved.gate_up[..n * 2 * m];
        product(device, gate_up, matrix(normed, n, d), across(&ranges.gate_up, 2 * m, d), false);
        let hidden = &mut hidden[..n * m];
        swiglu(device, hidden, gate_up, m);
        output.copy_from_slice(middle);
        product(device, output, matrix(hidden, n, m), across(&ranges.down, d, m), true);
    }

    /// Gathers the rows of the head and norms them into the front of `forward.normed`.
    pub(crate) fn gather_head(&self, device: &Device, forward: &mut Forward, head: &mut Head) {
        let (d, count) = (self.arch.width, head.rows.len());
        let gathered = &mut head.gathered[..count * d];
        gather_rows(device, gathered, forward.residual(self.arch.layers), &head.rows, d);
        let weight = &self.weights[self.layout.final_norm.clone()];
        let (normed, inverse) = (&mut forward.normed[..count * d], &mut head.inverse[..count]);
        norm(device, normed, inverse, gathered, weight, self.arch.norm_epsilon);
    }

    /// The logits of some gathered rows, at most a chunk.
    pub(crate) fn logits_of<'a>(
        &self,
        device: &Device,
        normed: &[f32],
        rows: &Range<usize>,
        logits: &'a mut [f32],
    ) -> &'a mut [f32] {
        let (d, v) = (self.arch.width, self.arch.vocabulary);
        let logits = &mut logits[..rows.len() * v];
        let weight = matrix(&self.weights[self.layout.head.clone()], v, d).transposed();
        let normed = matrix(&normed[rows.start * d..], rows.len(), d);
        product(device, logits, normed, weight, false);
        logits
    }

    /// The nats of all targets, into `head.nats`.
    pub(crate) fn losses(&self, device: &Device, forward: &Forward, head: &mut Head) {
        let Head { targets, nats, logits, chunk, .. } = head;
        for rows in chunks(targets.len(), *chunk) {
            let logits = self.logits_of(device, &forward.normed, &rows, logits);
            let targets: &[Target] = &targets[rows.clone()];
            cross_entropy(device, &mut nats[rows], logits, targets, None);
        }
    }
}

/// Stretches of at most `chunk` of `0..len`.
pub(crate) fn chunks(len: usize, chunk: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(chunk).map(move |from| from..len.min(from + chunk))
}
