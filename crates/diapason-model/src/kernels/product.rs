//! Matrix products: blocked and packed around [`super::tile`], split over threads.
//!
//! `C [m, n] = S + A [m, k] · B [k, n]`, of sums that begin at zero, at what C holds, or at another
//! matrix. A task packs a block of B that stays in the second cache
//! and runs all its rows of A over it; A is packed for the first block and kept for the others. How
//! the work is split has no influence on the result.

use super::SharedMut;
use super::number::Number;
use super::pack::{View, fetch_part, pack_panels};
use super::pairs::round;
use super::tile::{self, A_STRIDE, PANEL, Tile};
use super::way::Way;
use crate::Device;
use std::ops::Range;

/// Longest stretch of k in a packed block, in words ([`Way::words`]): a panel of A and the next
/// lines of a panel of B stay in the first cache.
const DEPTH: usize = 288;
/// Most words of a packed block of B: three quarters of a second cache of one MiB.
const BLOCK: usize = 3 << 16;
/// Most elements of a packed panel of A: two lines a word.
const A_PANEL: usize = 2 * A_STRIDE * DEPTH;
/// Panels of A that are packed at once where their columns lie together in memory.
const GROUP: usize = 8;
/// Room for packed panels of A: they are read one after the other, so it may exceed the cache.
const LEFT: usize = 40 * A_PANEL;
/// Scratch elements that [`multiply`] needs.
pub(crate) const PRODUCT_SCRATCH: usize = LEFT + BLOCK;
/// Most words of a B that is packed once for all tasks.
pub(crate) const SHARED: usize = 1 << 22;
/// Multiplications below which a product is not split further.
const SMALL: usize = 1 << 18;

/// Where the sums of a product begin.
#[derive(Clone, Copy)]
pub(crate) enum Begin<'a> {
    Zero,
    /// At what the result holds.
    Result,
    /// At another matrix, which lies like the whole result.
    At(&'a [f32]),
}

impl From<bool> for Begin<'_> {
    /// Whether the product is added to the result.
    fn from(accumulate: bool) -> Self {
        if accumulate { Begin::Result } else { Begin::Zero }
    }
}

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

/// Words of a packed matrix of n columns of `words` words, [`Way::words`] of its lines.
pub(crate) fn packed_len(words: usize, n: usize) -> usize {
    words * n.next_multiple_of(PANEL)
}

/// Equal stretches of at most [`DEPTH`] words of a sum over k, in numbers: a short one at the end
/// would wait for C more than it computes.
fn depth_step(way: Way, k: usize) -> usize {
    let words = way.words(k);
    words.div_ceil(words.div_ceil(DEPTH).max(1)).max(1) * way.per_word()
}

/// A whole B, packed once and used for many A.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    data: &'a [f32],
    way: Way,
    depth: usize,
    columns: usize,
}

impl<'a> Packed<'a> {
    /// Packs `b [k, n]` into the front of `target`, at least [`packed_len`] words.
    pub(crate) fn of(way: impl Into<Way>, b: View<'_>, target: &'a mut [f32]) -> Self {
        let (way, depth, columns) = (way.into(), b.rows(), b.columns());
        let (step, line) = (depth_step(way, depth), columns.next_multiple_of(PANEL));
        for from in (0..depth).step_by(step) {
            let block = b.part(from..depth.min(from + step), 0..columns);
            let target = &mut target[way.words(from) * line..];
            pack_panels(way, block.transposed(), target, (PANEL, PANEL));
        }
        Packed { data: target, way, depth, columns }
    }

    /// What was packed into `data` before: a `[k, n]` matrix.
    pub(crate) fn kept(way: Way, data: &'a [f32], (depth, columns): (usize, usize)) -> Self {
        assert!(data.len() >= packed_len(way.words(depth), columns), "all of it was packed");
        Packed { data, way, depth, columns }
    }

    /// The same as [`Packed::of`] on all threads of a device.
    pub(crate) fn on<T: Number>(
        device: &Device,
        way: Way,
        b: View<'_, T>,
        target: &'a mut [f32],
    ) -> Self {
        let (depth, columns) = (b.rows(), b.columns());
        let (step, line) = (depth_step(way, depth), columns.next_multiple_of(PANEL));
        let blocks = depth.div_ceil(step);
        let parts = (2 * device.threads()).div_ceil(blocks);
        let shared = SharedMut::new(&mut *target);
        device.each(blocks * parts, |task, _| {
            let (from, part) = (task / parts * step, task % parts);
            let lines = from..depth.min(from + step);
            let columns = stretch(columns, parts, part, PANEL);
            let words = way.words(lines.len());
            let start = way.words(from) * line + columns.start * words;
            let len = columns.len().next_multiple_of(PANEL) * words;
            // SAFETY: tasks have disjoint blocks of lines, or panels.
            let target = unsafe { shared.slice(start, len) };
            let block = b.part(lines, columns).transposed();
            pack_panels(way, block, target, (PANEL, PANEL));
        });
        Packed { data: target, way, depth, columns }
    }
}

/// One packed block of B, some of the `packed_words` words of each panel of which are used.
struct Block<'a> {
    panels: &'a [f32],
    packed_words: usize,
    columns: usize,
    begin: Begin<'a>,
}

/// Packs rows of A as panels of `step` rows.
fn pack_left(way: Way, rows: View<'_>, panels: &mut [f32], step: usize) {
    if let Some(way) = way.of_left() {
        return pack_panels(way, rows, panels, (step, A_STRIDE));
    }
    let (depth, len) = (rows.columns(), way.lines(rows.columns()) * A_STRIDE);
    for (panel, first) in panels.chunks_exact_mut(len).zip((0..rows.rows()).step_by(step)) {
        let rows = rows.part(first..rows.rows().min(first + step), 0..depth);
        pack_panels(way.level.into(), rows, panel, (step, A_STRIDE));
        // What stands beside the zero at the end of a line of B must be a number.
        panel[depth * A_STRIDE..].fill(0.0);
        round(way.level, panel);
    }
}

/// How often rows of A run over blocks of B. A panel that is not kept is packed into the first cache
/// again and again, and pushes nothing out of the second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Only,
    First,
    Later,
}

impl Pass {
    /// Over the block of columns that begins at `left` of `columns`.
    fn over(columns: &Range<usize>, width: usize, left: usize) -> Self {
        match left {
            _ if columns.len() <= width => Pass::Only,
            _ if left == columns.start => Pass::First,
            _ => Pass::Later,
        }
    }
}

/// All rows of `a [m, depth]` over one packed block; in a later pass, `a_panels` are those of the first.
fn run_block(
    way: Way,
    out: Out<'_>,
    (a, pass): (View<'_>, Pass),
    block: &Block<'_>,
    a_panels: &mut [f32],
) {
    let (m, depth) = (a.rows(), a.columns());
    let (words, panel_len) = (way.words(depth), block.packed_words * PANEL);
    let a_panel_len = way.lines(depth) * A_STRIDE;
    assert!(words <= block.packed_words, "a block has all the words used");
    assert!(block.panels.len() >= block.columns.div_ceil(PANEL) * panel_len, "panels are whole");
    let step = tile::rows(way.level);
    let group = if a.lies_by_columns() { GROUP } else { 1 };
    let tiles = block.columns.div_ceil(PANEL);
    let kept = pass != Pass::Only && m.div_ceil(step) * a_panel_len <= a_panels.len();
    let packs = !(kept && pass == Pass::Later);
    for first in (0..m).step_by(step * group) {
        let rows = a.part(first..m.min(first + step * group), 0..depth);
        let place = if kept { first / step * a_panel_len } else { 0 };
        let a_panels = &mut a_panels[place..];
        if packs {
            pack_left(way, rows, a_panels, step);
        }
        let ahead = rows.rows() + first;
        let next = a.part(ahead..m.min(ahead + step), 0..depth);
        for (panel, first) in (first..ahead).step_by(step).enumerate() {
            let count = step.min(ahead - first);
            let panel = &a_panels[panel * a_panel_len..];
            for (index, from) in (0..block.columns).step_by(PANEL).enumerate() {
                if group == 1 && packs {
                    fetch_part(way.level, next, (index, tiles));
                }
                let columns = PANEL.min(block.columns - from);
                let place = out.at(first, from);
                let last = place.start + (count - 1) * out.row_stride + columns - 1;
                let c = place.buffer.pointer(place.start, last);
                let tile = Tile {
                    steps: way.steps(depth),
                    a: panel.as_ptr(),
                    b: block.panels[index * panel_len..].as_ptr(),
                    c,
                    begin: match block.begin {
                        Begin::Zero => std::ptr::null(),
                        Begin::Result => c,
                        Begin::At(rows) => rows[place.start..=last].as_ptr(),
                    },
                    c_row: out.row_stride,
                    columns,
                };
                // SAFETY: A is a packed panel of all its lines, B has as many by the assertions,
                // C lies inside its buffer and is exclusively ours by the promise of `Out::new`,
                // and the sums begin inside theirs.
                unsafe { tile::run(way, count, &tile) };
            }
        }
    }
}

/// A product with a packed B on the calling thread, of some columns, which begin at a panel, and
/// the first `a.columns()` lines of B. `scratch` has [`PRODUCT_SCRATCH`] elements or more.
pub(crate) fn multiply_packed<'a>(
    out: Out<'_>,
    a: View<'_>,
    (b, columns): (Packed<'_>, Range<usize>),
    begin: impl Into<Begin<'a>>,
    scratch: &mut [f32],
) {
    let begin = begin.into();
    assert!(
        columns.end <= b.columns && a.columns() <= b.depth,
        "the packed matrix is large enough"
    );
    assert!(columns.start % PANEL == 0, "columns begin at a panel");
    let way = b.way;
    let (step, line) = (depth_step(way, b.depth), b.columns.next_multiple_of(PANEL));
    let width = block_width(columns.len(), way.words(step));
    for from in (0..a.columns()).step_by(step) {
        let a = a.part(0..a.rows(), from..a.columns().min(from + step));
        for left in columns.clone().step_by(width) {
            let packed_words = way.words(step.min(b.depth - from));
            let block = Block {
                panels: &b.data[way.words(from) * line + left * packed_words..],
                packed_words,
                columns: width.min(columns.end - left),
                begin: if from > 0 { Begin::Result } else { begin },
            };
            let a = (a, Pass::over(&columns, width, left));
            run_block(way, out.at(0, left - columns.start), a, &block, scratch);
        }
    }
}

/// Columns of blocks of B that stay in the second cache, of equal widths.
fn block_width(n: usize, words: usize) -> usize {
    let most = BLOCK / words / PANEL * PANEL;
    n.div_ceil(n.div_ceil(most).max(1)).next_multiple_of(PANEL).max(PANEL)
}

/// A product on the calling thread. `scratch` has [`PRODUCT_SCRATCH`] elements or more.
pub(crate) fn multiply<'a, T: Number>(
    way: impl Into<Way>,
    out: Out<'_>,
    a: View<'_>,
    b: View<'_, T>,
    begin: impl Into<Begin<'a>>,
    scratch: &mut [f32],
) {
    let begin = begin.into();
    assert_eq!(a.columns(), b.rows(), "the inner sizes of a product agree");
    let (way, (k, n)) = (way.into(), (b.rows(), b.columns()));
    let (a_panels, b_block) = scratch.split_at_mut(LEFT);
    let step = depth_step(way, k);
    let width = block_width(n, way.words(step));
    for from in (0..k).step_by(step) {
        let depth = from..k.min(from + step);
        let a = a.part(0..a.rows(), depth.clone());
        for left in (0..n).step_by(width) {
            let columns = left..n.min(left + width);
            let lanes = b.part(depth.clone(), columns.clone()).transposed();
            pack_panels(way, lanes, b_block, (PANEL, PANEL));
            let block = Block {
                panels: b_block,
                packed_words: way.words(depth.len()),
                columns: columns.len(),
                begin: if from > 0 { Begin::Result } else { begin },
            };
            let a = (a, Pass::over(&(0..n), width, left));
            run_block(way, out.at(0, left), a, &block, a_panels);
        }
    }
}

/// A product on all threads of a device, in its way, into a dense `[m, n]` buffer.
pub(crate) fn product<'a, T: Number>(
    device: &Device,
    out: &mut [f32],
    a: View<'_>,
    b: View<'_, T>,
    begin: impl Into<Begin<'a>>,
) {
    let begin = begin.into();
    let (n, k, way) = (b.columns(), b.rows(), device.way());
    let packed_len = packed_len(way.words(k), n);
    let repeated = split(device, (a.rows(), n, k)).0 > 1 && packed_len <= SHARED;
    let mut room = if repeated { device.try_shared() } else { None };
    if let Some(room) = &mut room {
        let packed = Packed::on(device, way, b, room.room(packed_len));
        return product_packed(device, out, a, packed, begin);
    }
    on_tasks(device, out, a, (k, n), |out, a, columns, scratch| {
        multiply(way, out, a, b.part(0..k, columns), begin, scratch);
    });
}

/// The same with a B that was packed before, in the way in which it was.
pub(crate) fn product_packed<'a>(
    device: &Device,
    out: &mut [f32],
    a: View<'_>,
    b: Packed<'_>,
    begin: impl Into<Begin<'a>>,
) {
    let begin = begin.into();
    on_tasks(device, out, a, (b.depth, b.columns), |out, a, columns, scratch| {
        multiply_packed(out, a, (b, columns), begin, scratch);
    });
}

/// Splits a product of A and a `[k, n]` matrix over all threads: `multiply` gets rows of A, columns
/// of the result, and where they go.
fn on_tasks(
    device: &Device,
    out: &mut [f32],
    a: View<'_>,
    (k, n): (usize, usize),
    multiply: impl Fn(Out<'_>, View<'_>, Range<usize>, &mut [f32]) + Sync,
) {
    let m = a.rows();
    assert_eq!(out.len(), m * n, "the result has a place for every element");
    assert_eq!(a.columns(), k, "the inner sizes of a product agree");
    let (row_tasks, column_tasks) = split(device, (m, n, k));
    let shared = SharedMut::new(out);
    device.each(row_tasks * column_tasks, |index, scratch| {
        let rows = stretch(m, row_tasks, index / column_tasks, tile::rows(device.level()));
        let columns = stretch(n, column_tasks, index % column_tasks, PANEL);
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        // SAFETY: tasks write disjoint blocks of rows and columns.
        let out = unsafe { Out::new(shared, rows.start * n + columns.start, n) };
        multiply(out, a.part(rows, 0..k), columns, scratch.room(PRODUCT_SCRATCH));
    });
}

/// Into how many stretches rows and columns are cut. More than one task a thread, so that a
/// thread that is held up does not hold up all; the longer side first, for it is packed less often.
fn split(device: &Device, (m, n, k): (usize, usize, usize)) -> (usize, usize) {
    let (threads, level) = (device.threads(), device.level());
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

/// The `index`-th of `parts` stretches of `0..len`, each a multiple of `unit` but the last: they
/// differ by one unit at most, for who has done the shorter waits for the longer.
fn stretch(len: usize, parts: usize, index: usize, unit: usize) -> Range<usize> {
    let units = len.div_ceil(unit);
    let place = |index: usize| (index * units / parts * unit).min(len);
    place(index)..place(index + 1)
}
