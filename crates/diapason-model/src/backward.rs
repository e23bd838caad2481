//! The decoder's backward pass, written by hand: the forward pass line by line from the end.
//!
//! Activations that are cheap to make again (normed rows, gated rows, attention weights) are made
//! again. `gate_up` becomes its own gradient in place.

use crate::forward::{chunks, matrix};
use crate::kernels::{
    Attended, Heads, NormGradients, add_row_sums, add_rows_to_table, attend_backward,
    cross_entropy, gated_backward, norm, norm_backward, norm_heads_backward, product, scale,
};
use crate::workspace::{Backward, Branch, Forward, Head, Input, LayerBuffers, Saved};
use crate::{Device, Model};
use std::ops::Range;

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
        let weight = self.norm_weight(&norm_range);
        norm_backward(device, into, d_normed, gathered, inverse, weight);
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
        let d_stream = &mut backward.residual[..n * d];
        if let Some(factor) = self.arch.variant.embedding_scale {
            scale(device, d_stream, factor);
        }
        let table = &mut gradients[self.layout.embed.clone()];
        add_rows_to_table(device, table, d_stream, &input.ids, d);
    }

    /// The gradient of what a branch added before its norm, if it has one: that of the residual
    /// stream taken through the norm.
    fn branch_backward<'a>(
        &self,
        device: &Device,
        (normed_by, branch): (Option<&Range<usize>>, &Branch),
        d_stream: &'a [f32],
        backward: (&'a mut [f32], &mut [f32]),
        gradients: &mut [f32],
    ) -> &'a [f32] {
        let (Some(range), (d_raw, partial)) = (normed_by, backward) else {
            return d_stream;
        };
        let d_raw = &mut d_raw[..d_stream.len()];
        d_raw.fill(0.0);
        let n = d_stream.len() / self.arch.width;
        let (raw, inverse) = (&branch.raw[..d_stream.len()], &branch.inverse[..n]);
        let into = NormGradients { x: &mut *d_raw, w: &mut gradients[range.clone()], partial };
        norm_backward(device, into, d_stream, raw, inverse, self.norm_weight(range));
        d_raw
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
        let (d, m) = (self.arch.width, self.arch.mlp_width);
        let ranges = &self.layout.layers[layer];
        let gate_up = &mut saved.gate_up[..n * 2 * m];
        let hidden = &mut hidden[..n * m];
        let branch = (ranges.mlp_norm.as_ref(), &saved.mlp_branch);
        let Backward { residual, branch: d_branch, normed: d_normed, partial, .. } = backward;
        let rooms = (&mut d_branch[..], &mut partial[..]);
        let d_output = self.branch_backward(device, branch, &residual[..n * d], rooms, gradients);
        let d_output = matrix(d_output, n, d);
        let down = matrix(&self.weights[ranges.down.clone()], d, m);
        product(device, hidden, d_output, down, false);
        gated_backward(device, gate_up, hidden, m, self.arch.variant.activation);
        let d_down = &mut gradients[ranges.down.clone()];
        product(device, d_down, d_output.transposed(), matrix(hidden, n, m), true);
        let d_gate_up = matrix(gate_up, n, 2 * m);
        let weight = self.norm_weight(&ranges.middle_norm);
        let (normed, middle) = (&mut normed[..n * d], &saved.middle[..n * d]);
        let inverse = &mut saved.middle_inverse[..n];
        norm(device, normed, inverse, middle, weight);
        let target = &mut gradients[ranges.gate_up.clone()];
        product(device, target, d_gate_up.transposed(), matrix(normed, n, d), true);
        let matrix_weight = matrix(&self.weights[ranges.gate_up.clone()], 2 * m, d);
        let d_normed = &mut d_normed[..n * d];
        product(device, d_normed, d_gate_up, matrix_weight, false);
        let w = &mut gradients[ranges.middle_norm.clone()];
        let into = NormGradients { x: &mut residual[..n * d], w, partial };
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
        let (n, d, heads) = (input.ids.len(), self.arch.width, Heads::of(&self.arch, layer));
        let (row, out) = (heads.row_width(), heads.out_width());
        let ranges = &self.layout.layers[layer];
        let branch = (ranges.attention_norm.as_ref(), &saved.attention_branch);
        let Backward { residual, branch: d_branch, partial, .. } = backward;
        let rooms = (&mut d_branch[..], &mut partial[..]);
        let d_branch = self.branch_backward(device, branch, &residual[..n * d], rooms, gradients);
        let d_branch = matrix(d_branch, n, d);
        let attended = &saved.attended[..n * out];
        let d_o = &mut gradients[ranges.o.clone()];
        product(device, d_o, d_branch.transposed(), matrix(attended, n, out), true);
        let d_attended = &mut backward.attended[..n * out];
        let o = matrix(&self.weights[ranges.o.clone()], d, out);
        product(device, d_attended, d_branch, o, false);
        let given = Attended {
            qkv: &saved.qkv[..n * row],
            out: attended,
            log_sums: &saved.log_sums[..n * heads.queries],
            d_out: d_attended,
        };
        let d_qkv = &mut backward.qkv[..n * row];
        attend_backward(device, heads, d_qkv, given, &input.segments);
        self.heads_backward(device, (layer, input), saved, (d_qkv, partial), gradients);
        let weight = self.norm_weight(&ranges.input_norm);
        let (normed, x) = (&mut normed[..n * d], &x[..n * d]);
        let inverse = &mut saved.input_inverse[..n];
        norm(device, normed, inverse, x, weight);
        let d_qkv = matrix(d_qkv, n, row);
        let target = &mut gradients[ranges.qkv.clone()];
        product(device, target, d_qkv.transposed(), matrix(normed, n, d), true);
        let d_normed = &mut backward.normed[..n * d];
        let qkv_weight = matrix(&self.weights[ranges.qkv.clone()], row, d);
        product(device, d_normed, d_qkv, qkv_weight, false);
        let w = &mut gradients[ranges.input_norm.clone()];
        let into = NormGradients { x: &mut residual[..n * d], w, partial };
        norm_backward(device, into, d_normed, x, inverse, weight);
    }

    /// Takes the gradient of rotated heads to that of the projections: rotation, norms of heads,
    /// biases.
    fn heads_backward(
        &self,
        device: &Device,
        (layer, input): (usize, &Input),
        saved: &Saved,
        (d_qkv, partial): (&mut [f32], &mut [f32]),
        gradients: &mut [f32],
    ) {
        let (heads, ranges) = (Heads::of(&self.arch, layer), &self.layout.layers[layer]);
        let rope = input.ropes.of(heads.windowed());
        rope.rotate(device, d_qkv, &input.positions, heads.rotated(), true);
        if let Some(norms) = &ranges.head_norms {
            let raw = (&saved.raw_heads[..], &saved.head_inverse[..]);
            let weights = norms.each_ref().map(|one| self.norm_weight(one));
            let d_weights = gradients
                .get_disjoint_mut(norms.clone())
                .expect("tensors of a layout do not overlap");
            norm_heads_backward(device, heads, d_qkv, raw, weights, (d_weights, partial));
        }
        if let Some(bias) = &ranges.qkv_bias {
            add_row_sums(device, &mut gradients[bias.clone()], d_qkv);
        }
    }
}
