//! The decoder's backward pass, written by hand: the forward pass line by line from the end.
//!
//! Activations that are cheap to make again (normed rows, gated rows, attention weights) are made
//! again. `gate_up` becomes its own gradient in place.

use crate::forward::{chunks, matrix};
use crate::kernels::{
    Attended, Heads, NormGradients, add_rows_to_table, attend_backward, cross_entropy, norm,
    norm_backward, product, swiglu_backward,
};
use crate::workspace::{Backward, Forward, Head, Input, LayerBuffers};
use crate::{Device, Model};

impl Model {
    /// Losses of all targets into `head.nats`, gradients of the head into `gradients`, and the
    /// gradient of the residual stream after the last layer into `backward.residual`.
    pub(crate) fn head_backward(
        &self,
        device: &Device,
        (input, forward, head): (&Input, &Forward, &mut Head),
        backward: &mut Backward,
        scale: f32,
        gradients: &mut [f32],
    ) {
        let (d, v) = (self.arch.width, self.arch.vocabulary);
        let (count, range) = (head.targets.len(), self.layout.head.clone());
        let Head { rows, targets, nats, gathered, inverse, logits, chunk } = head;
        for part in chunks(count, *chunk) {
            let logits = self.logits_of(device, &forward.normed, &part, logits);
            let (losses, targets) = (&mut nats[part.clone()], &targets[part.clone()]);
            cross_entropy(device, losses, logits, targets, Some(scale));
            let d_logits = matrix(logits, part.len(), v);
            let elements = part.start * d..part.end * d;
            let weight = matrix(&self.weights[range.clone()], v, d);
            product(device, &mut backward.normed[elements.clone()], d_logits, weight, false);
            let normed = matrix(&forward.normed[elements], part.len(), d);
            product(device, &mut gradients[range.clone()], d_logits.transposed(), normed, true);
        }
        let d_gathered = &mut backward.gathered[..count * d];
        d_gathered.fill(0.0);
        let norm_range = self.layout.final_norm.clone();
        let into = NormGradients {
            x: d_gathered,
            w: &mut gradients[norm_range.clone()],
            partial: &mut backward.partial,
        };
        let (gathered, inverse) = (&gathered[..count * d], &inverse[..count]);
        let d_normed = &backward.normed[..count * d];
        norm_backward(device, into, d_normed, gathered, inverse, &self.weights[norm_range]);
        let d_residual = &mut backward.residual[..input.ids.len() * d];
        d_residual.fill(0.0);
        for (row, values) in rows.iter().zip(backward.gathered.chunks_exact(d)) {
            let start = *row as usize * d;
            d_residual[start..start + d].copy_from_slice(values);
        }
    }

    /// Takes `backward.residual` through all layers and the embedding.
    pub(crate) fn layers_backward(
        &self,
        device: &Device,
        input: &Input,
        forward: &mut Forward,
        backward: &mut Backward,
        gradients: &mut [f32],
    ) {
        let (n, d) = (input.ids.len(), self.arch.width);
        for layer in (0..self.arch.layers).rev() {
            self.mlp_backward(device, (layer, n), forward.layer(layer), backward, gradients);
            let buffers = forward.layer(layer);
            self.attention_backward(device, (layer, input), buffers, backward, gradients);
        }
        let table = &mut gradients[self.layout.embed.clone()];
        add_rows_to_table(device, table, &backward.residual[..n * d], &input.ids, d);
    }

    fn mlp_backward(
        &self,
        device: &Device,
        (layer, n): (usize, usize),
        buffers: LayerBuffers<'_>,
        backward: &mut Backward,
        gradients: &mut [f32],
    ) {
        let LayerBuffers { saved, normed, hidden, .. } = buffers;
        let (d, m, epsilon) = (self.arch.width, self.arch.mlp_width, self.arch.norm_epsilon);
        let ranges = &self.layout.layers[layer];
        let gate_up = &mut saved.gate_up[..n * 2 * m];
        let hidden = &mut hidden[..n * m];
        let d_output = matrix(&backward.residual, n, d);
        let down = matrix(&self.weights[ranges.down.clone()], d, m);
        product(device, hidden, d_output, down, false);
        swiglu_backward(device, gate_up, hidden, m);
        let d_down = &mut gradients[ranges.down.clone()];
        product(device, d_down, d_output.transposed(), matrix(hidden, n, m), true);
        let d_gate_up = matrix(gate_up, n, 2 * m);
        let weight = &self.weights[ranges.post_norm.clone()];
        let (normed, middle) = (&mut normed[..n * d], &saved.middle[..n * d]);
        let inverse = &mut saved.post_inverse[..n];
        norm(device, normed, inverse, middle, weight, epsilon);
        let target = &mut gradients[ranges.gate_up.clone()];
        product(device, target, d_gate_up.transposed(), matrix(normed, n, d), true);
        let matrix_weight = matrix(&self.weights[ranges.gate_up.clone()], 2 * m, d);
        let d_normed = &mut backward.normed[..n * d];
        product(device, d_normed, d_gate_up, matrix_weight, false);
        let into = NormGradients {
            x: &mut backward.residual[..n * d],
            w: &mut gradients[ranges.post_norm.clone()],
            partial: &mut backward.partial,
        };
        norm_backward(device, into, d_normed, middle, inverse, weight);
    }

    fn attention_backward(
        &self,
        device: &Device,
        (layer, input): (usize, &Input),
        buffers: LayerBuffers<'_>,
        backward: &mut Backward,
        gradients: &mut [f32],
    ) {
        let LayerBuffers { input: x, saved, normed, .. } = buffers;
        let (n, d, heads) = (input.ids.len(), self.arch.width, Heads::of(&self.arch));
        let (row, out) = (heads.row_width(), heads.out_width());
        let ranges = &self.layout.layers[layer];
        let d_middle = matrix(&backward.residual, n, d);
        let attended = &saved.attended[..n * out];
        let d_o = &mut gradients[ranges.o.clone()];
        product(device, d_o, d_middle.transposed(), matrix(attended, n, out), true);
        let d_attended = &mut backward.attended[..n * out];
        let o = matrix(&self.weights[ranges.o.clone()], d, out);
        product(device, d_attended, d_middle, o, false);
        let qkv = &saved.qkv[..n * row];
        let log_sums = &saved.log_sums[..n * heads.queries];
        let given = Attended { qkv, out: attended, log_sums, d_out: d_attended };
        let d_qkv = &mut backward.qkv[..n * row];
        attend_backward(device, heads, d_qkv, given, &input.segments);
        input.rope.rotate(device, d_qkv, &input.positions, heads.rotated(), true);
        let weight = &self.weights[ranges.input_norm.clone()];
        let (normed, x) = (&mut normed[..n * d], &x[..n * d]);
        let inverse = &mut saved.input_inverse[..n];
        norm(device, normed, inverse, x, weight, self.arch.norm_epsilon);
        let d_qkv = matrix(d_qkv, n, row);
        let target = &mut gradients[ranges.qkv.clone()];
        product(device, target, d_qkv.transposed(), matrix(normed, n, d), true);
        let d_normed = &mut backward.normed[..n * d];
        let qkv_weight = matrix(&self.weights[ranges.qkv.clone()], row, d);
        product(device, d_normed, d_qkv, qkv_weight, false);
        let into = NormGradients {
            x: &mut backward.residual[..n * d],
            w: &mut gradients[ranges.input_norm.clone()],
            partial: &mut backward.partial,
        };
        norm_backward(device, into, d_normed, x, inverse, weight);
    }
}
