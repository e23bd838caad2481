//! RMSNorm (Zhang & Sennrich 2019) over rows `[N, D]`, forward and backward.

use super::reduce::{sum_pairs, sum_triples};
use super::{SharedMut, vectorised};
use crate::Device;
use std::borrow::Cow;

/// Rows that one partial sum of the weight's gradient covers.
pub(super) const BLOCK: usize = 64;

/// The weight of a norm: rows are multiplied by `offset + w`.
pub(crate) struct NormWeight<'a> {
    /// `[D]`
    pub w: Cow<'a, [f32]>,
    pub offset: f32,
    pub epsilon: f32,
}

/// Elements of the partial sums that [`norm_backward`] needs for `rows` rows.
pub(crate) fn norm_partial_len(rows: usize, width: usize) -> usize {
    rows.div_ceil(BLOCK) * width
}

/// `out = x / rms(x) · (offset + w)` row by row, and `inverse_rms [N]`.
pub(crate) fn norm(
    device: &Device,
    out: &mut [f32],
    inverse_rms: &mut [f32],
    x: &[f32],
    weight: &NormWeight<'_>,
) {
    let width = weight.w.len();
    let (out, inverse) = (SharedMut::new(out), SharedMut::new(inverse_rms));
    device.each_range(x.len() / width, 32, |rows, _| {
        // SAFETY: tasks have disjoint rows.
        let out = unsafe { out.slice(rows.start * width, rows.len() * width) };
        // SAFETY: as above.
        let inverse = unsafe { inverse.slice(rows.start, rows.len()) };
        let x = &x[rows.start * width..rows.end * width];
        norm_rows(device.level(), out, inverse, x, weight);
    });
}

vectorised! {
    pub(super) fn norm_rows(
        out: &mut [f32],
        inverse_rms: &mut [f32],
        x: &[f32],
        weight: &NormWeight<'_>,
    ) -> () {
        let (w, offset, epsilon) = (&weight.w[..], weight.offset, weight.epsilon);
        let width = w.len();
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(inverse_rms);
        for ((out, x), inverse) in rows {
            let mean = sum_pairs(x, x, |a, b| a * b) / width as f32;
            *inverse = 1.0 / (mean + epsilon).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                *out = x * *inverse * (offset + w);
            }
        }
    }
}

/// What [`norm_backward`] adds to, and its own space.
pub(crate) struct NormGradients<'a> {
    /// Gradient of x, `[N, D]`, added to.
    pub x: &'a mut [f32],
    /// Gradient of w, `[D]`, added to.
    pub w: &'a mut [f32],
    /// At least [`norm_partial_len`] elements.
    pub partial: &'a mut [f32],
}

/// Adds the gradients of x and w, given the gradient `out` of the normed rows.
pub(crate) fn norm_backward(
    device: &Device,
    NormGradients { x: d_x, w: d_w, partial }: NormGradients<'_>,
    out: &[f32],
    x: &[f32],
    inverse_rms: &[f32],
    weight: &NormWeight<'_>,
) {
    let (width, count) = (weight.w.len(), inverse_rms.len());
    let blocks = count.div_ceil(BLOCK);
    let partial = &mut partial[..blocks * width];
    let (d_x, shared) = (SharedMut::new(d_x), SharedMut::new(partial));
    device.each_range(blocks, 1, |range, _| {
        for block in range {
            let rows = block * BLOCK..count.min((block + 1) * BLOCK);
            let elements = rows.start * width..rows.end * width;
            // SAFETY: tasks have disjoint blocks of rows.
            let d_x = unsafe { d_x.slice(elements.start, elements.len()) };
            // SAFETY: as above.
            let d_w = unsafe { shared.slice(block * width, width) };
            d_w.fill(0.0);
            let (out, x) = (&out[elements.clone()], &x[elements]);
            norm_backward_rows(device.level(), (d_x, d_w), out, x, &inverse_rms[rows], weight);
        }
    });
    for partial in partial.chunks_exact(width) {
        d_w.iter_mut().zip(partial).for_each(|(total, part)| *total += part);
    }
}

vectorised! {
    /// Adds to the gradients of x and of w.
    pub(super) fn norm_backward_rows(
        gradients: (&mut [f32], &mut [f32]),
        d_out: &[f32],
        x: &[f32],
        inverse_rms: &[f32],
        weight: &NormWeight<'_>,
    ) -> () {
        let ((d_x, d_w), w, offset) = (gradients, &weight.w[..], weight.offset);
        let width = w.len();
        let rows = d_x.chunks_exact_mut(width).zip(d_out.chunks_exact(width));
        for ((d_x, d_out), (x, inverse)) in rows.zip(x.chunks_exact(width).zip(inverse_rms)) {
            let dot = sum_triples(d_out, x, w, |d_out, x, w| d_out * x * (offset + w));
            let pull = dot * inverse * inverse * inverse / width as f32;
            let values = d_out.iter().zip(x).zip(w);
            for ((d_x, d_w), ((d_out, x), w)) in d_x.iter_mut().zip(d_w.iter_mut()).zip(values) {
                *d_x += d_out * (offset + w) * inverse - x * pull;
                *d_w += d_out * x * inverse;
            }
        }
    }
}
