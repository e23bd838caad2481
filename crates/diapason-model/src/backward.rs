//! The decoder's backward pass, written by hand: the forward pass line by line from the end.
//!
//! Activations that are cheap to make again (normed rows, gated rows, attention weights) are made
//! again. `gate_up` becomes its own gradient in place.

use crate::forward::{chunks, matrix};
use crate::kernels::{
    Attended, Heads, NormGradients, add_row_sums, add_rows_to_table, attend_backward,
    cross_entropy, gated_backward, norm, norm_backward, norm_heads_backward, scale, widen_rows,
};
use crate::learning::{Gradients, Place};
use crate::lora::{Linear, Site, gate_columns, head_columns};
use crate::workspace::{Backward, Branch, Forward, Head, Input, LayerBuffers, Rows, Saved};
use crate::{Device, Model};
use std::ops::Range;

impl Model {
    /// Losses of all targets into `head.nats`, gradients of the head into `gradients`, and the
    /// gradient of the residual stream after the last layer, of the rows that are read, into
    /// `backward.residual`.
    pub(crate) fn head_backward(
        &self,
        device: &Device,
        (forward, head): (&mut Forward, &mut Head),
        backward: &mut Backward,
        scale: f32,
        gradients: &mut Gradients<'_>,
    ) {
        let (d, v, layers) = (self.arch.width, self.arch.vocabulary, self.arch.layers);
        let range = self.layout.head.clone();
        let Head { rows, targets, nats, logits, chunk, .. } = &mut *head;
        for part in chunks(targets.len(), *chunk) {
            let normed = forward.for_head();
            let logits = self.logits_of(device, normed, (rows, &part), logits);
            let (losses, targets) = (&mut nats[part.clone()], &targets[part.clone()]);
            cross_entropy(device, losses, logits, targets, Some(scale));
            let d_logits = matrix(logits, part.len(), v);
            let elements = part.start * d..part.end * d;
            let (site, lora) = (Site::Head, &mut forward.lora);
            if gradients.passes(Place::head(layers)) {
                let d_normed = &mut backward.normed[elements.clone()];
                self.linear_backward(device, d_normed, d_logits, &range);
                self.adapt_input_backward(device, site, (d_logits, part.start), d_normed, lora);
            }
            let normed = matrix(&forward.normed[elements], part.len(), d);
            gradients.product(device, &range, d_logits, normed);
            let both = (normed, d_logits, part.start);
            self.adapt_weights_backward(device, site, both, gradients, lora);
        }
        if gradients.passes(Place::head(layers)) {
            self.final_norm_backward(device, head, backward, gradients);
        }
    }

    /// Takes the gradient of the normed rows of the head, which are all that are read, to
    /// `backward.residual`.
    fn final_norm_backward(
        &self,
        device: &Device,
        head: &Head,
        backward: &mut Backward,
        gradients: &mut Gradients<'_>,
    ) {
        let (d, count) = (self.arch.width, head.rows.len());
        let Backward { residual, normed, partial, .. } = backward;
        let d_residual = &mut residual[..count * d];
        d_residual.fill(0.0);
        let range = self.layout.final_norm.clone();
        let into = NormGradients { x: d_residual, w: gradients.norm(&range), partial };
        let (gathered, inverse) = (&head.gathered[..count * d], &head.inverse[..count]);
        let weight = self.norm_weight(&range);
        norm_backward(device, into, &normed[..count * d], gathered, inverse, &weight);
    }

    /// Takes `backward.residual` through all layers and the embedding.
    pub(crate) fn layers_backward(
        &self,
        device: &Device,
        input: &Input,
        forward: &mut Forward,
        backward: &mut Backward,
        gradients: &mut Gradients<'_>,
    ) {
        let (n, d) = (input.ids.len(), self.arch.width);
        for layer in (0..self.arch.layers).rev() {
            let rows = input.rows(layer + 1 == self.arch.layers);
            if gradients.reaches(Place::mlp(layer)) {
                if forward.forgets(layer) {
                    let attention = |layer, saved: &mut Saved| {
                        self.attend_pack(device, input, layer, saved);
                    };
                    self.run_layer_again(device, (layer, rows), forward.layer(layer), attention);
                }
                let place = (layer, rows.left());
                self.mlp_backward(device, place, forward.layer(layer), backward, gradients);
            }
            if gradients.reaches(Place::attention(layer)) {
                let buffers = forward.layer(layer);
                let place = (layer, input, rows);
                self.attention_backward(device, place, buffers, backward, gradients);
            }
        }
        if !gradients.reaches(Place::EMBEDDING) {
            return;
        }
        let d_stream = &mut backward.residual[..n * d];
        if let Some(factor) = self.arch.variant.embedding_scale {
            scale(device, d_stream, factor);
        }
        if gradients.base_learns(&self.layout.embed) {
            let table = gradients.base(self.layout.embed.clone());
            add_rows_to_table(device, table, d_stream, &input.ids, d);
        }
        let (d_stream, lora) = (matrix(d_stream, n, d), &mut forward.lora);
        self.adapt_embeddings_backward(device, &input.ids, d_stream, gradients, lora);
    }

    /// The gradient of what a branch added before its norm, if it has one: that of the residual
    /// stream taken through the norm.
    fn branch_backward<'a>(
        &self,
        device: &Device,
        (normed_by, branch): (Option<&Range<usize>>, &Branch),
        d_stream: &'a [f32],
        backward: (&'a mut [f32], &mut [f32]),
        gradients: &mut Gradients<'_>,
    ) -> &'a [f32] {
        let (Some(range), (d_raw, partial)) = (normed_by, backward) else {
            return d_stream;
        };
        let d_raw = &mut d_raw[..d_stream.len()];
        d_raw.fill(0.0);
        let n = d_stream.len() / self.arch.width;
        let (raw, inverse) = (&branch.raw[..d_stream.len()], &branch.inverse[..n]);
        let into = NormGradients { x: &mut *d_raw, w: gradients.norm(range), partial };
        norm_backward(device, into, d_stream, raw, inverse, &self.norm_weight(range));
        d_raw
    }

    fn mlp_backward(
        &self,
        device: &Device,
        (layer, n): (usize, usize),
        buffers: LayerBuffers<'_>,
        backward: &mut Backward,
        gradients: &mut Gradients<'_>,
    ) {
        let LayerBuffers { saved, normed, hidden, lora, .. } = buffers;
        let (d, m) = (self.arch.width, self.arch.mlp_width);
        let ranges = &self.layout.layers[layer];
        let gate_up = &mut saved.gate_up[..n * 2 * m];
        let hidden = &mut hidden[..n * m];
        let branch = (ranges.mlp_norm.as_ref(), &saved.mlp_branch);
        let Backward { residual, branch: d_branch, normed: d_normed, partial, .. } = backward;
        let rooms = (&mut d_branch[..], &mut partial[..]);
        let d_output = self.branch_backward(device, branch, &residual[..n * d], rooms, gradients);
        let d_output = matrix(d_output, n, d);
        self.linear_backward(device, hidden, d_output, &ranges.down);
        let down_site = Site::Layer(layer, Linear::Down);
        self.adapt_input_backward(device, down_site, (d_output, 0), hidden, lora);
        gated_backward(device, gate_up, hidden, m, self.arch.variant.activation);
        let hidden = matrix(hidden, n, m);
        gradients.product(device, &ranges.down, d_output, hidden);
        let both = (hidden, d_output, 0);
        self.adapt_weights_backward(device, down_site, both, gradients, lora);
        let d_gate_up = matrix(gate_up, n, 2 * m);
        let weight = self.norm_weight(&ranges.middle_norm);
        let (normed, middle) = (&mut normed[..n * d], &saved.middle[..n * d]);
        let inverse = &mut saved.middle_inverse[..n];
        norm(device, normed, inverse, middle, &weight);
        let normed = matrix(normed, n, d);
        gradients.product(device, &ranges.gate_up, d_gate_up, normed);
        for (linear, columns) in gate_columns(m) {
            let both = (normed, d_gate_up.part(0..n, columns), 0);
            let site = Site::Layer(layer, linear);
            self.adapt_weights_backward(device, site, both, gradients, lora);
        }
        if !gradients.enters(Place::mlp(layer), &ranges.middle_norm) {
            return;
        }
        let d_normed = &mut d_normed[..n * d];
        self.linear_backward(device, d_normed, d_gate_up, &ranges.gate_up);
        for (linear, columns) in gate_columns(m) {
            let (site, d_out) = (Site::Layer(layer, linear), d_gate_up.part(0..n, columns));
            self.adapt_input_backward(device, site, (d_out, 0), d_normed, lora);
        }
        let w = gradients.norm(&ranges.middle_norm);
        let into = NormGradients { x: &mut residual[..n * d], w, partial };
        norm_backward(device, into, d_normed, middle, inverse, &weight);
    }

    fn attention_backward(
        &self,
        device: &Device,
        (layer, input, rows): (usize, &Input, Rows<'_>),
        buffers: LayerBuffers<'_>,
        backward: &mut Backward,
        gradients: &mut Gradients<'_>,
    ) {
        let LayerBuffers { input: x, saved, normed, lora, .. } = buffers;
        let (n, left, d) = (rows.count, rows.left(), self.arch.width);
        let heads = Heads::of(&self.arch, layer);
        let (row, out) = (heads.row_width(), heads.out_width());
        let ranges = &self.layout.layers[layer];
        let branch = (ranges.attention_norm.as_ref(), &saved.attention_branch);
        let Backward { residual, branch: d_branch, partial, .. } = backward;
        let rooms = (&mut d_branch[..], &mut partial[..]);
        let d_branch =
            self.branch_backward(device, branch, &residual[..left * d], rooms, gradients);
        let d_branch = matrix(d_branch, left, d);
        let into_o = matrix(&saved.attended, left, out);
        gradients.product(device, &ranges.o, d_branch, into_o);
        let d_attended = &mut backward.attended[..n * out];
        self.linear_backward(device, &mut d_attended[..left * out], d_branch, &ranges.o);
        let (site, d_entering) = (Site::Layer(layer, Linear::O), &mut d_attended[..left * out]);
        self.adapt_input_backward(device, site, (d_branch, 0), d_entering, lora);
        let both = (into_o, d_branch, 0);
        self.adapt_weights_backward(device, site, both, gradients, lora);
        let attended = &mut saved.attended[..n * out];
        if let Some(read) = rows.read {
            lora.widen();
            widen_rows(device, attended, read, out);
            widen_rows(device, d_attended, read, out);
            widen_rows(device, &mut residual[..n * d], read, d);
        }
        let given = Attended {
            qkv: &saved.qkv[..n * row],
            out: attended,
            log_sums: &saved.log_sums[..n * heads.queries],
            d_out: d_attended,
        };
        let d_qkv = &mut backward.qkv[..n * row];
        attend_backward(device, heads, d_qkv, given, input.sight());
        self.heads_backward(device, (layer, input), saved, (d_qkv, partial), gradients);
        let weight = self.norm_weight(&ranges.input_norm);
        let (normed, x) = (&mut normed[..n * d], &x[..n * d]);
        let inverse = &mut saved.input_inverse[..n];
        norm(device, normed, inverse, x, &weight);
        let d_qkv = matrix(d_qkv, n, row);
        let normed = matrix(normed, n, d);
        gradients.product(device, &ranges.qkv, d_qkv, normed);
        for (linear, columns) in head_columns(heads) {
            let both = (normed, d_qkv.part(0..n, columns), 0);
            let site = Site::Layer(layer, linear);
            self.adapt_weights_backward(device, site, both, gradients, lora);
        }
        if !gradients.enters(Place::attention(layer), &ranges.input_norm) {
            return;
        }
        let d_normed = &mut backward.normed[..n * d];
        self.linear_backward(device, d_normed, d_qkv, &ranges.qkv);
        for (linear, columns) in head_columns(heads) {
            let (site, d_out) = (Site::Layer(layer, linear), d_qkv.part(0..n, columns));
            self.adapt_input_backward(device, site, (d_out, 0), d_normed, lora);
        }
        let w = gradients.norm(&ranges.input_norm);
        let into = NormGradients { x: &mut residual[..n * d], w, partial };
        norm_backward(device, into, d_normed, x, inverse, &weight);
    }

    /// Takes the gradient of rotated heads to that of the projections: rotation, norms of heads,
    /// biases.
    fn heads_backward(
        &self,
        device: &Device,
        (layer, input): (usize, &Input),
        saved: &Saved,
        (d_qkv, partial): (&mut [f32], &mut [f32]),
        gradients: &mut Gradients<'_>,
    ) {
        let (heads, ranges) = (Heads::of(&self.arch, layer), &self.layout.layers[layer]);
        let rope = input.ropes.of(heads.windowed());
        rope.rotate(device, d_qkv, &input.positions, heads.rotated(), true);
        if let Some(norms) = &ranges.head_norms {
            let raw = (&saved.raw_heads[..], &saved.head_inverse[..]);
            let weights = norms.each_ref().map(|one| self.norm_weight(one));
            let d_weights = gradients.head_norms(norms);
            norm_heads_backward(device, heads, d_qkv, raw, &weights, (d_weights, partial));
        }
        let n = input.ids.len();
        let d_qkv = matrix(d_qkv, n, heads.row_width());
        let Some(bias) = &ranges.qkv_bias else { return };
        for part in gradients.base_parts(bias) {
            let columns = part.start - bias.start..part.end - bias.start;
            add_row_sums(device, gradients.base(part), d_qkv.part(0..n, columns));
        }
    }
}
