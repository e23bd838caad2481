//! Attention of new rows over a tree of cached keys and values.
//!
//! Rows are in the order of a walk through the tree, so that the rows below a node are
//! neighbours: what they share is packed once for all of them. Scores and sums run over absolute
//! positions, node after node, as they would run over one sequence: the bits are those of
//! [`super::attend`] on that sequence.

use super::attention::{Heads, TILE, rooms, score_stride};
use super::exp::softmax_row;
use super::pack::View;
use super::product::{Out, PRODUCT_SCRATCH, Packed, multiply_packed, packed_len};
use super::{Level, SharedMut};
use crate::Device;
use std::ops::Range;

/// A node with tokens, and the rows that may see it.
#[derive(Clone, Debug)]
pub(crate) struct Visible<'a> {
    /// New rows of this node and of all nodes below it.
    pub rows: Range<usize>,
    /// Position of its first token.
    pub start: usize,
    /// Where the keys and values of its tokens are.
    pub slots: &'a [u32],
}

/// New rows and what they see.
pub(crate) struct Reading<'a> {
    /// `[R, (H + 2K)·E]`, rotated; only the queries are read.
    pub qkv: &'a [f32],
    /// Position of each row, `[R]`.
    pub positions: &'a [u32],
    /// Nodes, every one after its parent.
    pub nodes: &'a [Visible<'a>],
    /// Keys of this layer, `[slots, K·E]`.
    pub keys: &'a [f32],
    /// Values of this layer, `[slots, K·E]`.
    pub values: &'a [f32],
}

/// Writes `out [R, H·E]`.
pub(crate) fn attend_cached(device: &Device, heads: Heads, out: &mut [f32], reading: &Reading<'_>) {
    let count = reading.positions.len();
    let out = SharedMut::new(out);
    device.each(count.div_ceil(TILE) * heads.keys, |task, scratch| {
        let first = task / heads.keys * TILE;
        let rows = first..count.min(first + TILE);
        let kv_head = task % heads.keys;
        let tile = CachedTile { level: device.level(), heads, kv_head, rows, reading };
        let [panel, gathered, packed, scores] = rooms(scratch.room(tile.room()), tile.sizes());
        tile.scores(scores, gathered, packed, panel);
        tile.softmax(scores);
        tile.results(out, scores, gathered, packed, panel);
    });
}

/// What rows of a tile see of one node.
struct Sight<'a> {
    rows: Range<usize>,
    /// Position of the first token in sight.
    start: usize,
    slots: &'a [u32],
    /// Whether no row sees anything before it.
    begins: bool,
}

/// A copy of known lengths, which is no call: rows are short, and a batch gathers very many.
fn copy_row(target: &mut [f32], source: &[f32]) {
    let ((parts, rest), (sources, source_rest)) =
        (target.as_chunks_mut::<16>(), source.as_chunks::<16>());
    for (part, source) in parts.iter_mut().zip(sources) {
        *part = *source;
    }
    rest.copy_from_slice(source_rest);
}

struct CachedTile<'a> {
    level: Level,
    heads: Heads,
    kv_head: usize,
    rows: Range<usize>,
    reading: &'a Reading<'a>,
}

impl CachedTile<'_> {
    /// Keys that the furthest row sees.
    fn keys(&self) -> usize {
        let positions = &self.reading.positions[self.rows.clone()];
        positions.iter().max().map_or(0, |position| *position as usize + 1)
    }

    fn stride(&self) -> usize {
        score_stride(self.keys())
    }

    /// Scratch of a product, gathered rows, packed rows, scores of all heads of the group.
    fn sizes(&self) -> [usize; 4] {
        let (keys, width) = (self.keys(), self.heads.width);
        let packed = packed_len(width, keys).max(packed_len(keys, width));
        let group = self.heads.group(self.kv_head).len();
        [PRODUCT_SCRATCH, keys * width, packed, group * self.rows.len() * self.stride()]
    }

    fn room(&self) -> usize {
        self.sizes().iter().sum()
    }

    /// Every node that rows of the tile see, after those above it.
    fn nodes(&self) -> impl Iterator<Item = Sight<'_>> {
        self.reading.nodes.iter().filter_map(|node| {
            let rows = node.rows.start.max(self.rows.start)..node.rows.end.min(self.rows.end);
            let positions = self.reading.positions.get(rows.clone())?;
            let (nearest, furthest) = (*positions.iter().min()?, *positions.iter().max()?);
            let first = self.heads.first_seen(nearest as usize);
            let start = first.max(node.start);
            let end = (furthest as usize + 1).min(node.start + node.slots.len());
            let slots = node.slots.get(start - node.start..end.saturating_sub(node.start))?;
            let begins = node.start <= first;
            (!slots.is_empty()).then_some(Sight { rows, start, slots, begins })
        })
    }

    /// Rows of one head at some slots: in place where the slots are neighbours.
    fn slots<'s>(&self, cache: &'s [f32], slots: &[u32], gathered: &'s mut [f32]) -> View<'s> {
        let width = self.heads.width;
        let row = self.heads.keys * width;
        let column = self.kv_head * width;
        if slots.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            let first = slots.first().map_or(0, |slot| *slot as usize);
            return View::new(&cache[first * row + column..], (slots.len(), width), (row, 1));
        }
        for (target, slot) in gathered.chunks_exact_mut(width).zip(slots) {
            let start = *slot as usize * row + column;
            copy_row(target, &cache[start..start + width]);
        }
        View::new(gathered, (slots.len(), width), (width, 1))
    }

    fn scores(
        &self,
        scores: &mut [f32],
        gathered: &mut [f32],
        packed: &mut [f32],
        panel: &mut [f32],
    ) {
        let (width, row_width) = (self.heads.width, self.heads.row_width());
        let shape = (self.reading.positions.len(), row_width);
        let queries = View::new(self.reading.qkv, shape, (row_width, 1));
        let shared = SharedMut::new(scores);
        for Sight { rows, start, slots, .. } in self.nodes() {
            let view = self.slots(self.reading.keys, slots, gathered);
            let packed = Packed::of(self.level, view.transposed(), packed);
            for (index, head) in self.heads.group(self.kv_head).enumerate() {
                let line = index * self.rows.len() + rows.start - self.rows.start;
                // SAFETY: the scores are this task's own.
                let out = unsafe { Out::new(shared, line * self.stride() + start, self.stride()) };
                let queries = queries.part(rows.clone(), head * width..(head + 1) * width);
                multiply_packed(out, queries, (packed, 0..slots.len()), false, panel);
            }
        }
    }

    fn softmax(&self, scores: &mut [f32]) {
        let positions = self.reading.positions[self.rows.clone()].iter().cycle();
        for (line, position) in scores.chunks_exact_mut(self.stride()).zip(positions) {
            let (line, after) = line.split_at_mut(*position as usize + 1);
            let (before, seen) = line.split_at_mut(self.heads.first_seen(*position as usize));
            softmax_row(self.level, seen, self.heads.scale);
            before.fill(0.0);
            after.fill(0.0);
        }
    }

    fn results(
        &self,
        out: SharedMut<'_>,
        scores: &[f32],
        gathered: &mut [f32],
        packed: &mut [f32],
        panel: &mut [f32],
    ) {
        let (width, out_width) = (self.heads.width, self.heads.out_width());
        let lines = (scores.len() / self.stride(), self.stride());
        let weights = View::new(scores, lines, (self.stride(), 1));
        for Sight { rows, start, slots, begins } in self.nodes() {
            let view = self.slots(self.reading.values, slots, gathered);
            let packed = Packed::of(self.level, view, packed);
            for (index, head) in self.heads.group(self.kv_head).enumerate() {
                let line = index * self.rows.len() + rows.start - self.rows.start;
                let columns = start..start + slots.len();
                let weights = weights.part(line..line + rows.len(), columns);
                // SAFETY: tasks have disjoint rows or heads.
                let out =
                    unsafe { Out::new(out, rows.start * out_width + head * width, out_width) };
                // The first node in sight starts the sums, the others go on with them.
                multiply_packed(out, weights, (packed, 0..width), !begins, panel);
            }
        }
    }
}
