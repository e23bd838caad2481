//! RMSNorm of every query and key head inside `qkv [N, (H + 2K)·E]`, forward and backward.
//!
//! The first H heads of a row share one weight, the next K another; values are left alone.

use super::norm::{BLOCK, norm_backward_rows, norm_rows};
use super::{Heads, NormWeight, SharedMut};
use crate::Device;

/// What [`norm_heads`] leaves for its backward pass.
pub(crate) struct RawHeads<'a> {
    /// Queries and keys before the norm, `[N, (H + K)·E]`.
    pub values: &'a mut [f32],
    /// `[N, H + K]`
    pub inverse: &'a mut [f32],
}

/// Norms queries and keys in place.
pub(crate) fn norm_heads(
    device: &Device,
    heads: Heads,
    qkv: &mut [f32],
    RawHeads { values, inverse }: RawHeads<'_>,
    [queries, keys]: &[NormWeight<'_>; 2],
) {
    let (row, count, cut) = (heads.row_width(), heads.rotated(), heads.out_width());
    let width = count * heads.width;
    let tokens = qkv.len() / row;
    let [qkv, values, inverse] = [qkv, values, inverse].map(SharedMut::new);
    device.each_range(tokens, 32, |tokens, _| {
        for token in tokens {
            // SAFETY: tasks have disjoint rows.
            let [heads_out, raw, inverse] = unsafe {
                [
                    qkv.slice(token * row, width),
                    values.slice(token * width, width),
                    inverse.slice(token * count, count),
                ]
            };
            raw.copy_from_slice(heads_out);
            let (of_queries, of_keys) = inverse.split_at_mut(heads.queries);
            let level = device.level();
            norm_rows(level, &mut heads_out[..cut], of_queries, &raw[..cut], queries);
            norm_rows(level, &mut heads_out[cut..], of_keys, &raw[cut..], keys);
        }
    });
}

/// Elements of the partial sums that [`norm_heads_backward`] needs.
pub(crate) fn head_norm_partial_len(tokens: usize, head_width: usize) -> usize {
    tokens.div_ceil(BLOCK) * 2 * head_width
}

/// Turns the gradient of the normed heads in `d_qkv` into that of the raw ones, and adds the
/// gradients of both weights. `raw` holds values and inverses as [`norm_heads`] left them.
pub(crate) fn norm_heads_backward(
    device: &Device,
    heads: Heads,
    d_qkv: &mut [f32],
    (values, inverse): (&[f32], &[f32]),
    [q, k]: &[NormWeight<'_>; 2],
    (mut d_weights, partial): ([&mut [f32]; 2], &mut [f32]),
) {
    let (row, count, cut) = (heads.row_width(), heads.rotated(), heads.out_width());
    let width = count * heads.width;
    let tokens = d_qkv.len() / row;
    let blocks = tokens.div_ceil(BLOCK);
    let partial = &mut partial[..blocks * 2 * heads.width];
    let (d_qkv, shared) = (SharedMut::new(d_qkv), SharedMut::new(partial));
    device.each_range(blocks, 1, |range, scratch| {
        for block in range {
            // SAFETY: tasks have disjoint blocks of rows.
            let sums = unsafe { shared.slice(block * 2 * heads.width, 2 * heads.width) };
            sums.fill(0.0);
            let (q_sums, k_sums) = sums.split_at_mut(heads.width);
            for token in block * BLOCK..tokens.min((block + 1) * BLOCK) {
                // SAFETY: as above.
                let d_heads = unsafe { d_qkv.slice(token * row, width) };
                let d_normed = scratch.room(width);
                d_normed.copy_from_slice(d_heads);
                d_heads.fill(0.0);
                let raw = &values[token * width..(token + 1) * width];
                let inverse = &inverse[token * count..(token + 1) * count];
                let (d_queries, d_keys) = d_heads.split_at_mut(cut);
                let (of_queries, of_keys) = inverse.split_at(heads.queries);
                let level = device.level();
                let (d_q, d_k) = d_normed.split_at(cut);
                norm_backward_rows(level, (d_queries, q_sums), d_q, &raw[..cut], of_queries, q);
                norm_backward_rows(level, (d_keys, k_sums), d_k, &raw[cut..], of_keys, k);
            }
        }
    });
    for sums in partial.chunks_exact(2 * heads.width) {
        for (index, d_weight) in d_weights.iter_mut().enumerate() {
            let sums = &sums[index * heads.width..];
            d_weight.iter_mut().zip(sums).for_each(|(total, part)| *total += part);
        }
    }
}
