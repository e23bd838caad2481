//! Causal attention with grouped heads inside the segments of a pack, forward and backward.
//!
//! Branches of a segment are rows of it like others, with scores for each other that are hidden:
//! they cost a little more than they need, and the products stay whole.
//!
//! `qkv` rows are `[H·E | K·E | K·E]` with q and k already rotated. A task is one segment and one
//! key/value head: it packs keys and values once and runs tiles of query rows over them. No score
//! outlives its tile; the backward pass makes them again from the logarithms of their sums.

use super::exp::{softmax_again, softmax_row};
use super::pack::View;
use super::product::{Out, PRODUCT_SCRATCH, Packed, multiply, multiply_packed, packed_len};
use super::reduce::sum_pairs;
use super::{Level, SharedMut, vectorised};
use crate::{Arch, Device};
use std::ops::Range;

/// Query rows of a tile: a multiple of the rows of every level's product tile but one.
pub(super) const TILE: usize = 56;

/// H, K and E, and what the heads of a layer look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// H, query heads.
    pub queries: usize,
    /// K, key/value heads.
    pub keys: usize,
    /// E, width of a head.
    pub width: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Tokens that a token sees, itself included; `usize::MAX` where it sees all earlier ones.
    pub window: usize,
}

impl Heads {
    /// Those of a layer.
    pub(crate) fn of(arch: &Arch, layer: usize) -> Self {
        let window = arch.variant.window.as_ref().filter(|window| window.layers[layer]);
        Heads {
            queries: arch.heads,
            keys: arch.kv_heads,
            width: arch.head_width,
            scale: 1.0 / arch.variant.query_scalar.unwrap_or(arch.head_width as f32).sqrt(),
            window: window.map_or(usize::MAX, |window| window.tokens),
        }
    }

    /// Whether the layer looks through a window.
    pub(crate) fn windowed(self) -> bool {
        self.window < usize::MAX
    }

    /// The first position that the token at a position sees.
    pub(super) fn first_seen(self, position: usize) -> usize {
        (position + 1).saturating_sub(self.window)
    }

    /// Heads of a row that are rotated by position: queries and keys.
    pub(crate) fn rotated(self) -> usize {
        self.queries + self.keys
    }

    /// Columns of a `qkv` row.
    pub(crate) fn row_width(self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    /// Columns of the result.
    pub(crate) fn out_width(self) -> usize {
        self.queries * self.width
    }

    /// The query heads that share a key/value head.
    pub(super) fn group(self, kv_head: usize) -> Range<usize> {
        let size = self.queries / self.keys;
        kv_head * size..(kv_head + 1) * size
    }

    fn columns(self, head: usize) -> Range<usize> {
        head * self.width..(head + 1) * self.width
    }

    fn key_columns(self, kv_head: usize) -> Range<usize> {
        self.columns(self.queries + kv_head)
    }

    fn value_columns(self, kv_head: usize) -> Range<usize> {
        self.columns(self.queries + self.keys + kv_head)
    }
}

/// What the tokens of a pack see.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// Segments with tokens.
    pub segments: &'a [Range<usize>],
    /// `[N]`
    pub positions: &'a [u32],
    /// Offset in its segment at which the branch of each token begins, `[N]`; 0 on the trunk.
    pub branches: &'a [u32],
}

/// Keys that a row sees: those from `first` to itself but for a gap.
struct Seen {
    first: usize,
    /// Between trunk and branch; empty on the trunk.
    gap: Range<usize>,
}

/// Distance between rows of scores: whole vectors, and not a power of two.
pub(super) fn score_stride(keys: usize) -> usize {
    keys.next_multiple_of(32) + 16
}

/// Attention of every segment. Writes `out [N, H·E]` and `log_sums [H, N]`.
pub(crate) fn attend(
    device: &Device,
    heads: Heads,
    (out, log_sums): (&mut [f32], &mut [f32]),
    qkv: &[f32],
    sight: Sight<'_>,
) {
    let tokens = qkv.len() / heads.row_width();
    let (out, log_sums) = (SharedMut::new(out), SharedMut::new(log_sums));
    device.each(sight.segments.len() * heads.keys, |task, scratch| {
        let (segment, kv_head) = (&sight.segments[task / heads.keys], task % heads.keys);
        let job = Job { level: device.level(), heads, qkv, sight, segment, kv_head };
        let [panel, keys, values, scores] = rooms(scratch.room(job.forward_room()), job.sizes());
        let keys = Packed::of(job.level, job.rows(heads.key_columns(kv_head)).transposed(), keys);
        let values = Packed::of(job.level, job.rows(heads.value_columns(kv_head)), values);
        for head in heads.group(kv_head) {
            // SAFETY: tasks have disjoint segments or heads.
            let sums = unsafe { log_sums.slice(head * tokens + segment.start, segment.len()) };
            for rows in job.tiles() {
                job.scores(head, &rows, keys, scores, panel);
                job.softmax(&rows, scores, &mut sums[rows.clone()]);
                let start = (segment.start + rows.start) * heads.out_width();
                let start = start + heads.columns(head).start;
                // SAFETY: as above.
                let out = unsafe { Out::new(out, start, heads.out_width()) };
                let weights = job.score_view(&rows, scores);
                multiply_packed(out, weights, (values, 0..heads.width), false, panel);
            }
        }
    });
}

/// What the backward pass of [`attend`] reads.
#[derive(Clone, Copy)]
pub(crate) struct Attended<'a> {
    /// The input, `[N, (H + 2K)·E]`.
    pub qkv: &'a [f32],
    /// The result, `[N, H·E]`.
    pub out: &'a [f32],
    /// `[H, N]`
    pub log_sums: &'a [f32],
    /// Gradient of the result, `[N, H·E]`.
    pub d_out: &'a [f32],
}

/// Writes the gradient of `qkv`.
pub(crate) fn attend_backward(
    device: &Device,
    heads: Heads,
    d_qkv: &mut [f32],
    given: Attended<'_>,
    sight: Sight<'_>,
) {
    let d_qkv = SharedMut::new(d_qkv);
    device.each(sight.segments.len() * heads.keys, |task, scratch| {
        let (segment, kv_head) = (&sight.segments[task / heads.keys], task % heads.keys);
        let job = Job { level: device.level(), heads, qkv: given.qkv, sight, segment, kv_head };
        job.backward(d_qkv, given, scratch.room(job.backward_room()));
    });
}

/// One segment and one key/value head.
struct Job<'a> {
    level: Level,
    heads: Heads,
    qkv: &'a [f32],
    sight: Sight<'a>,
    segment: &'a Range<usize>,
    kv_head: usize,
}

impl Job<'_> {
    fn len(&self) -> usize {
        self.segment.len()
    }

    /// Scratch of a product, packed keys, packed values, scores.
    fn sizes(&self) -> [usize; 4] {
        let (keys, width) = (self.len(), self.heads.width);
        let scores = TILE * score_stride(keys);
        [PRODUCT_SCRATCH, packed_len(width, keys), packed_len(keys, width), scores]
    }

    fn forward_room(&self) -> usize {
        self.sizes().iter().sum()
    }

    /// Also transposed values, gradients of scores, and row sums.
    fn backward_sizes(&self) -> [usize; 7] {
        let [product, across, down, scores] = self.sizes();
        [product, across, down, scores, across, scores, TILE]
    }

    fn backward_room(&self) -> usize {
        self.backward_sizes().iter().sum()
    }

    /// Some columns of the segment's rows.
    fn rows(&self, columns: Range<usize>) -> View<'_> {
        let width = self.heads.row_width();
        let all = View::new(self.qkv, (self.qkv.len() / width, width), (width, 1));
        all.part(self.segment.clone(), columns)
    }

    /// Stretches of rows within the segment.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let len = self.len();
        (0..len).step_by(TILE).map(move |from| from..len.min(from + TILE))
    }

    /// Raw scores of a tile against all keys up to its last row.
    fn scores(
        &self,
        head: usize,
        rows: &Range<usize>,
        keys: Packed<'_>,
        scores: &mut [f32],
        panel: &mut [f32],
    ) {
        let queries = self.rows(self.heads.columns(head));
        let queries = queries.part(rows.clone(), 0..self.heads.width);
        let out = Out::own(scores, score_stride(self.len()));
        multiply_packed(out, queries, (keys, 0..rows.end), false, panel);
    }

    fn score_view<'s>(&self, rows: &Range<usize>, scores: &'s [f32]) -> View<'s> {
        View::new(scores, (rows.len(), rows.end), (score_stride(self.len()), 1))
    }

    /// The keys that a row of the segment sees.
    fn seen(&self, row: usize) -> Seen {
        let token = |offset: usize| self.segment.start + offset;
        let first = self.heads.first_seen(self.sight.positions[token(row)] as usize);
        let branch = self.sight.branches[token(row)] as usize;
        if branch == 0 {
            return Seen { first, gap: 0..0 };
        }
        let trunk = self.sight.positions[token(branch)] as usize;
        if first < trunk {
            Seen { first, gap: trunk..branch }
        } else {
            Seen { first: branch + first - trunk, gap: 0..0 }
        }
    }

    /// A line of scores before, from the first to the last, and after the keys that its row sees,
    /// and the part of the middle that it does not.
    fn parts<'s>(&self, row: usize, line: &'s mut [f32]) -> ([&'s mut [f32]; 3], Range<usize>) {
        let Seen { first, gap } = self.seen(row);
        let (line, after) = line.split_at_mut(row + 1);
        let (before, seen) = line.split_at_mut(first);
        let gap = gap.start.saturating_sub(first)..gap.end.saturating_sub(first);
        ([before, seen, after], gap)
    }

    /// Softmax of each row over the keys it may see, zero beyond.
    fn softmax(&self, rows: &Range<usize>, scores: &mut [f32], log_sums: &mut [f32]) {
        let lines = scores.chunks_exact_mut(score_stride(self.len()));
        for ((row, line), log_sum) in rows.clone().zip(lines).zip(log_sums) {
            let ([before, seen, after], gap) = self.parts(row, &mut line[..rows.end]);
            seen[gap.clone()].fill(f32::NEG_INFINITY);
            *log_sum = softmax_row(self.level, seen, self.heads.scale);
            for hidden in [before, &mut seen[gap], after] {
                hidden.fill(0.0);
            }
        }
    }

    fn backward(&self, d_qkv: SharedMut<'_>, given: Attended<'_>, scratch: &mut [f32]) {
        let (heads, level, width) = (self.heads, self.level, self.heads.width);
        let [product, across, down, scores, across_values, d_scores, _] =
            rooms(scratch, self.backward_sizes());
        let keys = self.rows(heads.key_columns(self.kv_head));
        let values = self.rows(heads.value_columns(self.kv_head));
        let keys_across = Packed::of(level, keys.transposed(), across);
        let keys_down = Packed::of(level, keys, down);
        let values_across = Packed::of(level, values.transposed(), across_values);
        let stride = score_stride(self.len());
        let place = |row: usize, columns: Range<usize>| {
            let start = (self.segment.start + row) * heads.row_width() + columns.start;
            // SAFETY: tasks have disjoint segments or heads.
            unsafe { Out::new(d_qkv, start, heads.row_width()) }
        };
        let d_keys = place(0, heads.key_columns(self.kv_head));
        let d_values = place(0, heads.value_columns(self.kv_head));
        // The first product writes the rows that its tile sees; later tiles reach further down.
        self.clear_key_gradients(d_qkv);
        let results = View::new(given.out, self.out_shape(given.out), (heads.out_width(), 1));
        let d_results = View::new(given.d_out, self.out_shape(given.out), (heads.out_width(), 1));
        let tokens = given.out.len() / heads.out_width();
        for head in heads.group(self.kv_head) {
            let sums = &given.log_sums[head * tokens + self.segment.start..][..self.len()];
            for rows in self.tiles() {
                let inside = self.segment.start + rows.start..self.segment.start + rows.end;
                let d_out = d_results.part(inside.clone(), heads.columns(head));
                let out = results.part(inside, heads.columns(head));
                self.scores(head, &rows, keys_across, scores, product);
                let target = Out::own(d_scores, stride);
                multiply_packed(target, d_out, (values_across, 0..rows.end), false, product);
                self.score_gradients(&rows, (scores, d_scores), sums, (out, d_out));
                let d_view = self.score_view(&rows, d_scores);
                let d_queries = place(rows.start, heads.columns(head));
                multiply_packed(d_queries, d_view, (keys_down, 0..width), false, product);
                let queries = self.rows(heads.columns(head)).part(rows.clone(), 0..width);
                multiply(level, d_keys, d_view.transposed(), queries, true, product);
                let weights = self.score_view(&rows, scores).transposed();
                multiply(level, d_values, weights, d_out, true, product);
            }
        }
    }

    fn out_shape(&self, out: &[f32]) -> (usize, usize) {
        let width = self.heads.out_width();
        (out.len() / width, width)
    }

    fn clear_key_gradients(&self, d_qkv: SharedMut<'_>) {
        let heads = self.heads;
        for row in self.segment.clone() {
            let columns = [heads.key_columns(self.kv_head), heads.value_columns(self.kv_head)];
            for columns in columns {
                let start = row * heads.row_width() + columns.start;
                // SAFETY: tasks have disjoint segments or heads.
                unsafe { d_qkv.slice(start, columns.len()) }.fill(0.0);
            }
        }
    }

    /// Turns raw scores into weights, and gradients of weights into gradients of raw scores:
    /// `dS = scale · P · (dP - Σ dO·O)`.
    fn score_gradients(
        &self,
        rows: &Range<usize>,
        (scores, d_scores): (&mut [f32], &mut [f32]),
        log_sums: &[f32],
        (out, d_out): (View<'_>, View<'_>),
    ) {
        let stride = score_stride(self.len());
        let lines = scores.chunks_exact_mut(stride).zip(d_scores.chunks_exact_mut(stride));
        for ((index, row), (line, d_line)) in rows.clone().enumerate().zip(lines) {
            let ([before, seen, after], gap) = self.parts(row, &mut line[..rows.end]);
            let ([d_before, d_seen, d_after], _) = self.parts(row, &mut d_line[..rows.end]);
            softmax_again(self.level, seen, self.heads.scale, log_sums[row]);
            let (out, d_out) = (out.row(index), d_out.row(index));
            score_gradient_row(self.level, d_seen, seen, out, d_out, self.heads.scale);
            let (hidden, d_hidden) = (&mut seen[gap.clone()], &mut d_seen[gap]);
            for hidden in [before, hidden, after, d_before, d_hidden, d_after] {
                hidden.fill(0.0);
            }
        }
    }
}

vectorised! {
    fn score_gradient_row(
        d_scores: &mut [f32],
        weights: &[f32],
        out: &[f32],
        d_out: &[f32],
        scale: f32
    ) -> () {
        let shared = sum_pairs(out, d_out, |a, b| a * b);
        for (d_score, weight) in d_scores.iter_mut().zip(weights) {
            *d_score = (*d_score - shared) * weight * scale;
        }
    }
}

/// Cuts a buffer into rooms of the given sizes.
pub(super) fn rooms<const COUNT: usize>(
    buffer: &mut [f32],
    sizes: [usize; COUNT],
) -> [&mut [f32]; COUNT] {
    let mut rest = buffer;
    sizes.map(|size| {
        let (room, after) = std::mem::take(&mut rest).split_at_mut(size);
        rest = after;
        room
    })
}
