//! Attention of new rows over a tree of cached keys and values.
//!
//! Rows are in the order of a walk through the tree, so that the rows below a node are
//! neighbours. What many keys share is read once for all of its rows; nodes of few keys are joined
//! with those above and below them, for a tile computes 32 columns whatever there is. All heads that
//! share keys are rows of one product. Scores and sums run over absolute positions, stretch after
//! stretch, as they would run over one sequence: the bits are those of [`super::attend`] on that
//! sequence.

use super::apart::{ApartRow, Panels, multiply_apart};
use super::attention::{Heads, TILE, rooms, score_stride};
use super::exp::softmax_row;
use super::pack::{View, pack_panels};
use super::product::packed_len;
use super::tile::PANEL;
use super::{Level, SharedMut};
use crate::Device;
use std::ops::Range;

/// Keys from which on a node is read once for all rows below it.
const LONG: usize = PANEL;

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

/// What new rows see through a window, in the order in which it is computed.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// Position of each row, `[R]`.
    positions: Vec<u32>,
    tiles: Vec<Tile>,
}

/// What some rows see.
#[derive(Debug)]
struct Tile {
    rows: Range<usize>,
    /// Every row's in the order of their positions.
    stretches: Vec<Stretch>,
}

/// Keys that follow each other.
#[derive(Debug)]
struct Stretch {
    /// Rows that may see them.
    rows: Range<usize>,
    /// Position of the first.
    start: usize,
    slots: Vec<u32>,
    /// Whether no row sees anything before it.
    begins: bool,
}

impl Outlook {
    /// What rows at positions see of nodes, every one of which comes after its parent, in layers with
    /// such heads.
    pub(crate) fn of(heads: Heads, nodes: &[Visible<'_>], positions: &[u32]) -> Self {
        let count = positions.len();
        let rows = (0..count).step_by(TILE).map(|first| first..count.min(first + TILE));
        let tiles = rows.map(|rows| Tile::of(heads, nodes, positions, rows)).collect();
        Outlook { positions: positions.to_vec(), tiles }
    }
}

impl Tile {
    fn of(heads: Heads, nodes: &[Visible<'_>], positions: &[u32], rows: Range<usize>) -> Self {
        let sights: Vec<Stretch> =
            nodes.iter().filter_map(|node| sight(heads, node, positions, &rows)).collect();
        let mut stretches = Vec::new();
        for (index, sight) in sights.iter().enumerate().filter(|(_, sight)| sight.is_long()) {
            stretches.extend(Stretch::joined(&sights[..index], &sight.rows));
            stretches.push(Stretch {
                slots: sight.slots.clone(),
                rows: sight.rows.clone(),
                ..*sight
            });
        }
        // Between two cuts, all rows see the same nodes.
        let mut cuts: Vec<usize> =
            sights.iter().flat_map(|sight| [sight.rows.start, sight.rows.end]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let last = cuts.windows(2).map(|cut| Stretch::joined(&sights, &(cut[0]..cut[1])));
        stretches.extend(last.flatten());
        Tile { rows, stretches }
    }
}

/// What rows of a tile see of one node.
fn sight(
    heads: Heads,
    node: &Visible<'_>,
    positions: &[u32],
    tile: &Range<usize>,
) -> Option<Stretch> {
    let rows = node.rows.start.max(tile.start)..node.rows.end.min(tile.end);
    let positions = positions.get(rows.clone())?;
    let (nearest, furthest) = (*positions.iter().min()?, *positions.iter().max()?);
    let first = heads.first_seen(nearest as usize);
    let start = first.max(node.start);
    let end = (furthest as usize + 1).min(node.start + node.slots.len());
    let slots = node.slots.get(start - node.start..end.saturating_sub(node.start))?;
    let begins = node.start <= first;
    (!slots.is_empty()).then(|| Stretch { rows, start, slots: slots.to_vec(), begins })
}

impl Stretch {
    fn is_long(&self) -> bool {
        self.slots.len() >= LONG
    }

    /// What is short of what all of some rows see, after the last that is long.
    fn joined(sights: &[Stretch], rows: &Range<usize>) -> Option<Stretch> {
        let seen = |sight: &&Stretch| sight.rows.start <= rows.start && rows.end <= sight.rows.end;
        let path: Vec<&Stretch> = sights.iter().filter(seen).collect();
        let after = path.iter().rposition(|sight| sight.is_long()).map_or(0, |long| long + 1);
        // Nothing before it is seen.
        let begins = path[after..].iter().rposition(|sight| sight.begins).unwrap_or(0);
        let path = &path[after + begins..];
        let first = path.first()?;
        let slots = path.iter().flat_map(|sight| &sight.slots).copied().collect();
        Some(Stretch { rows: rows.clone(), start: first.start, slots, begins: first.begins })
    }
}

/// New rows and what they read.
pub(crate) struct Reading<'a> {
    /// `[R, (H + 2K)·E]`, rotated; only the queries are read.
    pub qkv: &'a [f32],
    /// What they see.
    pub outlook: &'a Outlook,
    /// Keys of this layer, `[slots, K·E]`.
    pub keys: &'a [f32],
    /// Values of this layer, `[slots, K·E]`.
    pub values: &'a [f32],
}

/// Writes `out [R, H·E]`.
pub(crate) fn attend_cached(device: &Device, heads: Heads, out: &mut [f32], reading: &Reading<'_>) {
    let out = SharedMut::new(out);
    device.each(reading.outlook.tiles.len() * heads.keys, |task, scratch| {
        let Tile { rows, stretches } = &reading.outlook.tiles[task / heads.keys];
        let kv_head = task % heads.keys;
        let tile = CachedTile { level: device.level(), heads, kv_head, rows, stretches, reading };
        let [gathered, packed, scores] = rooms(scratch.room(tile.room()), tile.sizes());
        tile.scores(scores, gathered, packed);
        tile.softmax(scores);
        tile.results(out, scores, gathered);
    });
}

/// One query of a row.
struct Query {
    row: usize,
    head: usize,
    /// Its line of scores.
    line: usize,
    /// Keys of a stretch that it sees.
    seen: usize,
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
    rows: &'a Range<usize>,
    stretches: &'a [Stretch],
    reading: &'a Reading<'a>,
}

impl CachedTile<'_> {
    /// Position of each row.
    fn positions(&self) -> &[u32] {
        &self.reading.outlook.positions[self.rows.clone()]
    }

    /// Keys that the furthest row sees.
    fn keys(&self) -> usize {
        let positions = self.positions().iter();
        positions.max().map_or(0, |position| *position as usize + 1)
    }

    fn stride(&self) -> usize {
        score_stride(self.keys())
    }

    /// Gathered rows, packed keys, scores of all heads of the group.
    fn sizes(&self) -> [usize; 3] {
        let (keys, width) = (self.keys(), self.heads.width);
        let group = self.heads.group(self.kv_head).len();
        [keys * width, packed_len(width, keys), group * self.rows.len() * self.stride()]
    }

    fn room(&self) -> usize {
        self.sizes().iter().sum()
    }

    /// Rows of one head at some slots, `[slots, E]` at a distance: in place where the slots are
    /// neighbours.
    fn slots<'s>(
        &self,
        cache: &'s [f32],
        slots: &[u32],
        gathered: &'s mut [f32],
    ) -> (&'s [f32], usize) {
        let width = self.heads.width;
        let row = self.heads.keys * width;
        let column = self.kv_head * width;
        if slots.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            let first = slots.first().map_or(0, |slot| *slot as usize);
            return (&cache[first * row + column..], row);
        }
        for (target, slot) in gathered.chunks_exact_mut(width).zip(slots) {
            let start = *slot as usize * row + column;
            copy_row(target, &cache[start..start + width]);
        }
        (gathered, width)
    }

    /// Every query of the rows of a stretch. The heads of a row are neighbours: they see the same.
    fn queries(&self, stretch: &Stretch) -> impl Iterator<Item = Query> {
        let (start, count) = (stretch.start, stretch.slots.len());
        stretch.rows.clone().flat_map(move |row| {
            let position = self.reading.outlook.positions[row] as usize;
            let seen = (position + 1).saturating_sub(start).min(count);
            self.heads.group(self.kv_head).enumerate().map(move |(index, head)| {
                let line = index * self.rows.len() + row - self.rows.start;
                Query { row, head, line, seen }
            })
        })
    }

    fn scores(&self, scores: &mut [f32], gathered: &mut [f32], packed: &mut [f32]) {
        let (width, row_width) = (self.heads.width, self.heads.row_width());
        let shared = SharedMut::new(scores);
        for stretch in self.stretches {
            let (data, step) = self.slots(self.reading.keys, &stretch.slots, gathered);
            let keys = View::new(data, (stretch.slots.len(), width), (step, 1));
            pack_panels(self.level.into(), keys, packed, (PANEL, PANEL));
            let rows = self.queries(stretch).map(|query| ApartRow {
                a: query.row * row_width + query.head * width,
                c: query.line * self.stride() + stretch.start,
                steps: width,
                columns: query.seen,
            });
            let (queries, keys) = ((self.reading.qkv, rows), Panels::packed(packed, width));
            // SAFETY: the scores are this task's own.
            unsafe { multiply_apart(self.level, shared, queries, keys, false) };
        }
    }

    fn softmax(&self, scores: &mut [f32]) {
        let positions = self.positions().iter().cycle();
        for (line, position) in scores.chunks_exact_mut(self.stride()).zip(positions) {
            let (line, after) = line.split_at_mut(*position as usize + 1);
            let (before, seen) = line.split_at_mut(self.heads.first_seen(*position as usize));
            softmax_row(self.level, seen, self.heads.scale);
            before.fill(0.0);
            after.fill(0.0);
        }
    }

    fn results(&self, out: SharedMut<'_>, scores: &[f32], gathered: &mut [f32]) {
        let (width, out_width) = (self.heads.width, self.heads.out_width());
        for stretch in self.stretches {
            let (data, step) = self.slots(self.reading.values, &stretch.slots, gathered);
            let rows = self.queries(stretch).map(|query| ApartRow {
                a: query.line * self.stride() + stretch.start,
                c: query.row * out_width + query.head * width,
                steps: query.seen,
                columns: width,
            });
            let (weights, values) = ((scores, rows), Panels::in_place(data, step));
            // The first stretch starts the sums, the others go on with them.
            // SAFETY: tasks have disjoint rows or heads.
            unsafe { multiply_apart(self.level, out, weights, values, !stretch.begins) };
        }
    }
}
