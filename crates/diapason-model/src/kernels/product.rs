//! Matrix products: blocked and packed around [`super::tile`], split over threads.
//!
//! `C [m, n] (+)= A [m, k] · B [k, n]`. A task packs a block of B that stays in the second cache
//! and runs all its rows of A over it. How the work is split has no influence on the result.

use super::pack::{View, pack_lanes};
use super::tile::{self, A_STRIDE, PANEL, Tile};
use super::{Level, SharedMut};
use crate::Device;
use std::ops::Range;

/// Longest stretch of k in a packed block.
const DEPTH: usize = 256;
/// Most elements of a packed block of B: half of a second cache of one MiB.
const BLOCK: usize = 1 << 17;
/// Elements of a packed panel of A.
const A_PANEL: usize = A_STRIDE * DEPTH;
/// Scratch elements that [`multiply`] needs.
pub(crate) const PRODUCT_SCRATCH: usize = A_PANEL + BLOCK;
/// Multiplications below which a product is not split further.
const SMALL: usize = 1 << 18;

/// Where a product is written: row r at `start + r·row_stride` of a shared buffer.
#[derive(Clone, Copy)]
pub(crate) struct Out<'a> {
    buffer: SharedMut<'a>,
    start: usize,
    row_stride: usize,
}

impl<'a> Out<'a> {
    /// # Safety
    /// While the value is used, no other thread or reference touches what is written through it.
    pub(crate) unsafe fn new(buffer: SharedMut<'a>, start: usize, row_stride: usize) -> Self {
        Out { buffer, start, row_stride }
    }

    /// A buffer of one's own.
    pub(crate) fn own(buffer: &'a mut [f32], row_stride: usize) -> Self {
        Out { buffer: SharedMut::new(buffer), start: 0, row_stride }
    }

    fn at(self, row: usize, column: usize) -> Self {
        Out { start: self.start + row * self.row_stride + column, ..self }
    }
}

/// Elements of a packed `[k, n]` matrix.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(PANEL)
}

/// A whole B, packed once and used for many A.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    data: &'a [f32],
    depth: usize,
    columns: usize,
}

impl<'a> Packed<'a> {
    /// Packs `b [k, n]` into the front of `target`, at least [`packed_len`] elements.
    pub(crate) fn of(level: Level, b: View<'_>, target: &'a mut [f32]) -> Self {
        let (depth, columns) = (b.rows(), b.columns());
        let panels = columns.div_ceil(PANEL);
        for from in (0..depth).step_by(DEPTH) {
            let block = from..depth.min(from + DEPTH);
            let target = &mut target[from * panels * PANEL..];
            pack_block(level, b.part(block, 0..columns), target);
        }
        Packed { data: target, depth, columns }
    }
}

/// Packs a `[depth ≤ DEPTH, columns]` block, panel after panel.
fn pack_block(level: Level, b: View<'_>, target: &mut [f32]) {
    let (depth, lanes) = (b.rows(), b.transposed());
    for from in (0..b.columns()).step_by(PANEL) {
        let target = &mut target[from * depth..(from + PANEL) * depth];
        let middle = b.columns().min(from + PANEL / 2);
        let end = b.columns().min(from + PANEL);
        pack_lanes(level, lanes.part(from..middle, 0..depth), target, PANEL);
        if middle < end {
            let second = &mut target[PANEL / 2..];
            pack_lanes(level, lanes.part(middle..end, 0..depth), second, PANEL);
        }
    }
}

/// One packed block of B: `depth` of the `packed_depth` lines of each panel are used.
struct Block<'a> {
    panels: &'a [f32],
    packed_depth: usize,
    columns: usize,
    accumulate: bool,
}

/// All rows of `a [m, depth]` over one packed block.
fn run_block(level: Level, out: Out<'_>, a: View<'_>, block: &Block<'_>, a_panel: &mut [f32]) {
    let (m, depth) = (a.rows(), a.columns());
    let panel_len = block.packed_depth * PANEL;
    assert!(depth <= block.packed_depth, "a block has all the lines used");
    assert!(block.panels.len() >= block.columns.div_ceil(PANEL) * panel_len, "panels are whole");
    let step = tile::rows(level);
    for first in (0..m).step_by(step) {
        let count = step.min(m - first);
        let rows = a.part(first..first + count, 0..depth);
        pack_lanes(level, rows, a_panel, A_STRIDE);
        for (index, from) in (0..block.columns).step_by(PANEL).enumerate() {
            let columns = PANEL.min(block.columns - from);
            let place = out.at(first, from);
            let last = place.start + (count - 1) * out.row_stride + columns - 1;
            let tile = Tile {
                depth,
                a: a_panel.as_ptr(),
                b: block.panels[index * panel_len..].as_ptr(),
                c: place.buffer.pointer(place.start, last),
                c_row: out.row_stride,
                columns,
                accumulate: block.accumulate,
            };
            // SAFETY: A is a packed panel of `depth` lines, B has as many by the assertions, C lies inside its buffer and is exclusively ours
            // by the promise of `Out::new`.
            unsafe { tile::run(level, count, &tile) };
        }
    }
}

/// A product with a packed B on the calling thread, of the first `n` columns and the first
/// `a.columns()` lines of B. `a_panel` has [`PRODUCT_SCRATCH`] elements or more.
pub(crate) fn multiply_packed(
    level: Level,
    out: Out<'_>,
    a: View<'_>,
    (b, n): (Packed<'_>, usize),
    accumulate: bool,
    a_panel: &mut [f32],
) {
    assert!(n <= b.columns && a.columns() <= b.depth, "the packed matrix is large enough");
    let panels = b.columns.div_ceil(PANEL);
    for from in (0..a.columns()).step_by(DEPTH) {
        let block = Block {
            panels: &b.data[from * panels * PANEL..],
            packed_depth: DEPTH.min(b.depth - from),
            columns: n,
            accumulate: accumulate || from > 0,
        };
        let a = a.part(0..a.rows(), from..a.columns().min(from + DEPTH));
        run_block(level, out, a, &block, a_panel);
    }
}

/// A product on the calling thread. `scratch` has [`PRODUCT_SCRATCH`] elements or more.
pub(crate) fn multiply(
    level: Level,
    out: Out<'_>,
    a: View<'_>,
    b: View<'_>,
    accumulate: bool,
    scratch: &mut [f32],
) {
    assert_eq!(a.columns(), b.rows(), "the inner sizes of a product agree");
    let (a_panel, b_block) = scratch.split_at_mut(A_PANEL);
    let (k, n) = (b.rows(), b.columns());
    // Stretches of equal length: a short one at the end would wait for C more than it computes.
    let step = k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1);
    let most = BLOCK / step / PANEL * PANEL;
    let width = n.div_ceil(n.div_ceil(most).max(1)).next_multiple_of(PANEL).max(PANEL);
    for left in (0..n).step_by(width) {
        let columns = left..n.min(left + width);
        for from in (0..k).step_by(step) {
            let depth = from..k.min(from + step);
            pack_block(level, b.part(depth.clone(), columns.clone()), b_block);
            let block = Block {
                panels: b_block,
                packed_depth: depth.len(),
                columns: columns.len(),
                accumulate: accumulate || from > 0,
            };
            run_block(level, out.at(0, left), a.part(0..a.rows(), depth), &block, a_panel);
        }
    }
}

/// A product on all threads of a device, into a dense `[m, n]` buffer.
pub(crate) fn product(
    device: &Device,
    out: &mut [f32],
    a: View<'_>,
    b: View<'_>,
    accumulate: bool,
) {
    let (m, n, k) = (a.rows(), b.columns(), a.columns());
    assert_eq!(out.len(), m * n, "the result has a place for every element");
    let level = device.level();
    let (row_tasks, column_tasks) = split(device.threads(), level, (m, n, k));
    let shared = SharedMut::new(out);
    device.each(row_tasks * column_tasks, |task, scratch| {
        let rows = stretch(m, row_tasks, task / column_tasks, tile::rows(level));
        let columns = stretch(n, column_tasks, task % column_tasks, PANEL);
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        // SAFETY: tasks write disjoint blocks of rows and columns.
        let out = unsafe { Out::new(shared, rows.start * n + columns.start, n) };
        let (a, b) = (a.part(rows, 0..k), b.part(0..k, columns));
        multiply(level, out, a, b, accumulate, scratch.room(PRODUCT_SCRATCH));
    });
}

/// Into how many stretches rows and columns are cut. More than one task a thread, so that a
/// thread that is held up does not hold up all; the longer side first, for it is packed less often.
fn split(threads: usize, level: Level, (m, n, k): (usize, usize, usize)) -> (usize, usize) {
    if threads == 1 {
        return (1, 1);
    }
    let wanted = (2 * threads).min(m * n * k / SMALL).max(1);
    let most_rows = (m / (4 * tile::rows(level))).max(1);
    let most_columns = (n / (2 * PANEL)).max(1);
    if m >= n {
        let rows = wanted.min(most_rows);
        (rows, wanted.div_ceil(rows).min(most_columns))
    } else {
        let columns = wanted.min(most_columns);
        (wanted.div_ceil(columns).min(most_rows), columns)
    }
}

/// The `index`-th of `parts` stretches of `0..len`, each a multiple of `unit` but the last.
fn stretch(len: usize, parts: usize, index: usize, unit: usize) -> Range<usize> {
    let size = len.div_ceil(parts).next_multiple_of(unit);
    (index * size).min(len)..((index + 1) * size).min(len)
}
