//! Loops over rows without sums across columns: lookups, the gated activation, AdamW.

use super::exp::exp;
use super::{SharedMut, vectorised};
use crate::Device;
use std::ops::Range;

/// Elements of the flat buffers that one task takes.
const PIECE: usize = 1 << 15;

/// `out[i] = table[indexes[i]]` for rows of `width`.
pub(crate) fn gather_rows(
    device: &Device,
    out: &mut [f32],
    table: &[f32],
    indexes: &[u32],
    width: usize,
) {
    assert_eq!(out.len(), indexes.len() * width, "one row an index");
    let shared = SharedMut::new(out);
    device.each_range(indexes.len(), 64, |rows, _| {
        // SAFETY: tasks have disjoint rows.
        let out = unsafe { shared.slice(rows.start * width, rows.len() * width) };
        for (out, index) in out.chunks_exact_mut(width).zip(&indexes[rows]) {
            let start = *index as usize * width;
            out.copy_from_slice(&table[start..start + width]);
        }
    });
}

/// `table[indexes[i]] += rows[i]`: equal indexes are added in order, whatever the threads, for
/// each thread takes some columns of all rows.
pub(crate) fn add_rows_to_table(
    device: &Device,
    table: &mut [f32],
    rows: &[f32],
    indexes: &[u32],
    width: usize,
) {
    assert_eq!(rows.len(), indexes.len() * width, "one row an index");
    let shared = SharedMut::new(table);
    device.each_range(width, 64, |columns, _| {
        for (row, index) in rows.chunks_exact(width).zip(indexes) {
            let start = *index as usize * width + columns.start;
            // SAFETY: tasks have disjoint columns.
            let target = unsafe { shared.slice(start, columns.len()) };
            let row = &row[columns.clone()];
            target.iter_mut().zip(row).for_each(|(target, value)| *target += value);
        }
    });
}

/// `out [N, M] = silu(gate) · up` of `gate_up [N, 2M]`.
pub(crate) fn swiglu(device: &Device, out: &mut [f32], gate_up: &[f32], width: usize) {
    let shared = SharedMut::new(out);
    device.each_range(gate_up.len() / (2 * width), 8, |rows, _| {
        // SAFETY: tasks have disjoint rows.
        let out = unsafe { shared.slice(rows.start * width, rows.len() * width) };
        let gate_up = &gate_up[rows.start * 2 * width..rows.end * 2 * width];
        swiglu_rows(device.level(), out, gate_up, width);
    });
}

vectorised! {
    fn swiglu_rows(out: &mut [f32], gate_up: &[f32], width: usize) -> () {
        for (out, both) in out.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
            let (gate, up) = both.split_at(width);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp(-gate)) * up;
            }
        }
    }
}

/// Takes the gradient of [`swiglu`]'s result in `hidden [N, M]`, turns `gate_up [N, 2M]` into its
/// gradient, and leaves the result itself in `hidden`: the backward pass needs it once more.
pub(crate) fn swiglu_backward(
    device: &Device,
    gate_up: &mut [f32],
    hidden: &mut [f32],
    width: usize,
) {
    let rows = hidden.len() / width;
    let (gate_up, hidden) = (SharedMut::new(gate_up), SharedMut::new(hidden));
    device.each_range(rows, 8, |rows, _| {
        for row in rows {
            // SAFETY: tasks have disjoint rows.
            let both = unsafe { gate_up.slice(row * 2 * width, 2 * width) };
            // SAFETY: as above.
            let hidden = unsafe { hidden.slice(row * width, width) };
            let (gate, up) = both.split_at_mut(width);
            swiglu_backward_row(device.level(), gate, up, hidden);
        }
    });
}

vectorised! {
    /// One row at a time, so that the three buffers are known not to overlap.
    fn swiglu_backward_row(gate: &mut [f32], up: &mut [f32], hidden: &mut [f32]) -> () {
        for ((gate, up), hidden) in gate.iter_mut().zip(up).zip(hidden) {
            let sigmoid = 1.0 / (1.0 + exp(-*gate));
            let silu = *gate * sigmoid;
            let slope = sigmoid * (1.0 + *gate * (1.0 - sigmoid));
            let (d_out, result) = (*hidden, silu * *up);
            *gate = d_out * *up * slope;
            *up = d_out * silu;
            *hidden = result;
        }
    }
}

/// Constants of one AdamW update of a stretch of weights.
#[derive(Clone, Copy)]
pub(crate) struct AdamWConstants {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// Learning rate over the first moment's bias.
    pub rate: f32,
    /// Root of the second moment's bias.
    pub root_bias: f32,
    /// What the weights keep: 1 - learning rate · decay.
    pub keep: f32,
    /// Multiplies the gradients.
    pub scale: f32,
}

/// The four buffers of AdamW, of equal length.
pub(crate) struct AdamWBuffers<'a> {
    pub weights: &'a mut [f32],
    pub gradients: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
}

/// One update of all weights; `keeps(start)` gives the stretch of equal decay that `start` lies in,
/// and the share its weights keep.
pub(crate) fn adamw_update(
    device: &Device,
    buffers: AdamWBuffers<'_>,
    constants: AdamWConstants,
    keeps: impl Fn(usize) -> (usize, f32) + Sync,
) {
    let AdamWBuffers { weights, gradients, first, second } = buffers;
    let len = weights.len();
    let equal = gradients.len() == len && first.len() == len && second.len() == len;
    assert!(equal, "the buffers of the optimiser agree in length");
    let [weights, first, second] = [weights, first, second].map(SharedMut::new);
    device.each(len.div_ceil(PIECE), |piece, _| {
        let mut range = piece * PIECE..len.min((piece + 1) * PIECE);
        while !range.is_empty() {
            let (end, keep) = keeps(range.start);
            let part = range.start..end.min(range.end);
            range.start = part.end;
            // SAFETY: pieces, and parts of a piece, are disjoint.
            let [w, m, v] = [weights, first, second]
                .map(|buffer| unsafe { buffer.slice(part.start, part.len()) });
            let constants = AdamWConstants { keep, ..constants };
            adamw_part(device.level(), w, &gradients[part], m, v, constants);
        }
    });
}

vectorised! {
    fn adamw_part(
        weights: &mut [f32],
        gradients: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        constants: AdamWConstants
    ) -> () {
        let c = constants;
        let state = first.iter_mut().zip(second);
        for ((w, g), (m, v)) in weights.iter_mut().zip(gradients).zip(state) {
            let g = g * c.scale;
            *m = c.beta1 * *m + (1.0 - c.beta1) * g;
            *v = c.beta2 * *v + (1.0 - c.beta2) * g * g;
            let root = v.sqrt() / c.root_bias + c.epsilon;
            *w = *w * c.keep - c.rate * *m / root;
        }
    }
}

/// Σ x², summed in pieces of fixed size.
pub(crate) fn square_sum(device: &Device, values: &[f32]) -> f64 {
    let piece =
        |index: usize| -> Range<usize> { index * PIECE..values.len().min((index + 1) * PIECE) };
    let sums = device.map(values.len().div_ceil(PIECE), |index| {
        square_sum_part(device.level(), &values[piece(index)])
    });
    sums.iter().sum()
}

vectorised! {
    fn square_sum_part(values: &[f32]) -> f64 {
        let mut lanes = [0.0_f64; 16];
        let (chunks, rest) = values.as_chunks::<16>();
        for chunk in chunks {
            for j in 0..16 {
                lanes[j] += f64::from(chunk[j]) * f64::from(chunk[j]);
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(*value) * f64::from(*value);
        }
        lanes.iter().sum()
    }
}
