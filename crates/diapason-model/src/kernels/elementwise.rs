//! Loops over rows without sums across columns: lookups, sums over rows, AdamW.

use super::number::{Number, Rounding};
use super::{SharedMut, View, vectorised};
use crate::Device;
use std::ops::Range;

/// Elements of the flat buffers that one task takes.
const PIECE: usize = 1 << 15;

/// `out[i] = table[indexes[i]]` for rows of `width`.
pub(crate) fn gather_rows<T: Number>(
    device: &Device,
    out: &mut [f32],
    table: &[T],
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
            T::copy(device.level(), &table[start..start + width], out);
        }
    });
}

/// Row `i` of `rows` becomes what row `kept[i]` was, for rows of `width`; `kept` ascends.
pub(crate) fn narrow_rows(device: &Device, rows: &mut [f32], kept: &[u32], width: usize) {
    let shared = SharedMut::new(rows);
    device.each_range(width, 64, |columns, _| {
        for (to, from) in kept.iter().enumerate().filter(|(to, from)| *to < **from as usize) {
            let [from, to] = [*from as usize, to].map(|row| row * width + columns.start);
            // SAFETY: tasks have disjoint columns, and these are two rows.
            let (source, target) =
                unsafe { (shared.slice(from, columns.len()), shared.slice(to, columns.len())) };
            target.copy_from_slice(source);
        }
    });
}

/// The way back from [`narrow_rows`]: row `kept[i]` becomes what row `i` was, others zero.
pub(crate) fn widen_rows(device: &Device, rows: &mut [f32], kept: &[u32], width: usize) {
    let count = rows.len() / width;
    let shared = SharedMut::new(rows);
    device.each_range(width, 64, |columns, _| {
        let mut left = kept;
        for row in (0..count).rev() {
            // SAFETY: tasks have disjoint columns, and the source is another row.
            let place =
                |row: usize| unsafe { shared.slice(row * width + columns.start, columns.len()) };
            match left.split_last() {
                Some((kept, rest)) if *kept as usize == row => {
                    left = rest;
                    if rest.len() < row {
                        place(row).copy_from_slice(place(rest.len()));
                    }
                }
                // What is still to move stands further up.
                _ => place(row).fill(0.0),
            }
        }
    });
}

/// `table[indexes[i]] = rows[i]`; no index comes twice.
pub(crate) fn scatter_rows(device: &Device, table: &mut [f32], rows: View<'_>, indexes: &[u32]) {
    let width = rows.columns();
    assert_eq!(rows.rows(), indexes.len(), "one row an index");
    let shared = SharedMut::new(table);
    device.each_range(indexes.len(), 64, |part, _| {
        for row in part {
            // SAFETY: the indexes differ.
            let target = unsafe { shared.slice(indexes[row] as usize * width, width) };
            target.copy_from_slice(rows.row(row));
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

/// `values *= factor`
pub(crate) fn scale(device: &Device, values: &mut [f32], factor: f32) {
    let len = values.len();
    let shared = SharedMut::new(values);
    device.each_range(len, PIECE, |part, _| {
        // SAFETY: tasks have disjoint parts.
        let part = unsafe { shared.slice(part.start, part.len()) };
        for value in part {
            *value *= factor;
        }
    });
}

/// `target += more`
pub(crate) fn add(device: &Device, target: &mut [f32], more: &[f32]) {
    assert_eq!(target.len(), more.len(), "what is added has the same shape");
    let shared = SharedMut::new(target);
    device.each_range(more.len(), PIECE, |part, _| {
        // SAFETY: tasks have disjoint parts.
        let target = unsafe { shared.slice(part.start, part.len()) };
        target.iter_mut().zip(&more[part]).for_each(|(target, more)| *target += more);
    });
}

/// Every row of `rows [N, width]` becomes `row`.
pub(crate) fn repeat_row(device: &Device, rows: &mut [f32], row: &[f32]) {
    let count = rows.len() / row.len();
    let shared = SharedMut::new(rows);
    device.each_range(count, 64, |part, _| {
        // SAFETY: tasks have disjoint rows.
        let part = unsafe { shared.slice(part.start * row.len(), part.len() * row.len()) };
        part.chunks_exact_mut(row.len()).for_each(|target| target.copy_from_slice(row));
    });
}

/// `sums += Σ rows`, the rows in order: each thread takes some columns.
pub(crate) fn add_row_sums(device: &Device, sums: &mut [f32], rows: View<'_>) {
    assert_eq!(sums.len(), rows.columns(), "one sum a column");
    let shared = SharedMut::new(sums);
    device.each_range(rows.columns(), 64, |columns, _| {
        // SAFETY: tasks have disjoint columns.
        let sums = unsafe { shared.slice(columns.start, columns.len()) };
        for row in 0..rows.rows() {
            let row = &rows.row(row)[columns.clone()];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
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
    /// Seed of the random rounding of weights in bf16, of this step.
    pub draw: u64,
}

/// The four buffers of AdamW, of equal length.
pub(crate) struct AdamWBuffers<'a, T> {
    pub weights: &'a mut [T],
    pub gradients: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
}

/// One update of all weights; `keeps(start)` gives the end of the stretch of equal decay that
/// `start` lies in, and the share its weights keep, or `None` where they are left alone.
pub(crate) fn adamw_update<T: Number>(
    device: &Device,
    buffers: AdamWBuffers<'_, T>,
    constants: AdamWConstants,
    keeps: impl Fn(usize) -> (usize, Option<f32>) + Sync,
) {
    let AdamWBuffers { weights, gradients, first, second } = buffers;
    let len = weights.len();
    let equal = gradients.len() == len && first.len() == len && second.len() == len;
    assert!(equal, "the buffers of the optimiser agree in length");
    let (weights, [first, second]) = (SharedMut::new(weights), [first, second].map(SharedMut::new));
    device.each(len.div_ceil(PIECE), |piece, _| {
        let mut range = piece * PIECE..len.min((piece + 1) * PIECE);
        while !range.is_empty() {
            let (end, keep) = keeps(range.start);
            let part = range.start..end.min(range.end);
            range.start = part.end;
            let Some(keep) = keep else { continue };
            // SAFETY: pieces, and parts of a piece, are disjoint.
            let w = unsafe { weights.slice(part.start, part.len()) };
            // SAFETY: as above.
            let [m, v] =
                [first, second].map(|buffer| unsafe { buffer.slice(part.start, part.len()) });
            let constants = AdamWConstants { keep, ..constants };
            let (level, gradients) = (device.level(), &gradients[part.clone()]);
            let rounding = Rounding { level, seed: constants.draw, place: part.start };
            T::change(w, rounding, |at, w| {
                let (m, v) = (&mut m[at.clone()], &mut v[at.clone()]);
                adamw_part(level, w, &gradients[at], m, v, constants);
            });
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
