//! Products of rows that lie apart, such as those of several heads, on the calling thread.
//!
//! `C[r, j] (+)= Σ_k A[r, k] · B[k, j]` in f32 with the bits of [`super::product`], for rows that
//! need different stretches of the sum or of the columns.

use super::tile::{self, PANEL, apart};
use super::{Level, SharedMut};

/// One row: where its operand and its result begin, and how much of them there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApartRow {
    /// First element of its operand.
    pub a: usize,
    /// First element of its result.
    pub c: usize,
    /// Length of the sum: the rest of the operand is zero, or B ends.
    pub steps: usize,
    /// Columns that are wanted; more may be written.
    pub columns: usize,
}

/// B: columns in panels of [`PANEL`].
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    data: &'a [f32],
    /// Distance between lines of a panel.
    step: usize,
    /// Distance between panels.
    panel: usize,
}

impl<'a> Panels<'a> {
    /// Lines in place, `step` apart, from the first element of `data` on.
    pub(crate) fn in_place(data: &'a [f32], step: usize) -> Self {
        Panels { data, step, panel: PANEL }
    }

    /// Packed panels of `depth` lines.
    pub(crate) fn packed(data: &'a [f32], depth: usize) -> Self {
        Panels { data, step: PANEL, panel: depth * PANEL }
    }
}

/// Rows `a` of one buffer times B, into rows of another. A tile of rows runs over the longest sum and
/// the most columns that one of them needs: neighbours should be alike.
///
/// # Safety
/// No other thread or reference may touch the results, with as many columns as any row has.
pub(crate) unsafe fn multiply_apart(
    level: Level,
    c: SharedMut<'_>,
    (a, rows): (&[f32], impl Iterator<Item = ApartRow>),
    b: Panels<'_>,
    accumulate: bool,
) {
    const MOST: usize = 14;
    let most = tile::rows(level).min(MOST);
    let mut rows = rows.fuse();
    loop {
        let mut tile = [ApartRow { a: 0, c: 0, steps: 0, columns: 0 }; MOST];
        let mut count = 0;
        for (place, row) in tile[..most].iter_mut().zip(&mut rows) {
            *place = row;
            count += 1;
        }
        let tile = &tile[..count];
        let steps = tile.iter().map(|row| row.steps).max().unwrap_or(0);
        let columns = tile.iter().map(|row| row.columns).max().unwrap_or(0);
        if columns == 0 {
            return;
        }
        let empty = apart::Row { a: std::ptr::null(), c: std::ptr::null_mut() };
        for (panel, from) in (0..columns).step_by(PANEL).enumerate() {
            let columns = PANEL.min(columns - from);
            let mut ends = [empty; MOST];
            for (end, row) in ends.iter_mut().zip(tile) {
                let start = row.c + from;
                end.a = a[row.a..row.a + steps].as_ptr();
                end.c = c.pointer(start, start + columns - 1);
            }
            let start = panel * b.panel;
            let used = steps.saturating_sub(1) * b.step + columns;
            let shared = apart::Shared {
                steps,
                b: b.data[start..start + used].as_ptr(),
                b_step: b.step,
                columns,
                accumulate,
            };
            // SAFETY: operands have as many elements by the slices, results by the pointers, and
            // these are ours by the caller's promise.
            unsafe { apart::run(level, &ends[..count], &shared) };
        }
    }
}
