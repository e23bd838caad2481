//! Copies of operands in the order in which the innermost loop reads them.

use super::Level;
use super::number::{Number, widen};
use super::pairs::{self, pack_pairs};
use super::way::{Operands, Way};
use crate::weights::Numbers;

/// A read-only matrix anywhere in a buffer.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Copy> View<'a, T> {
    /// Element `(r, c)` is at `data[r·row_stride + c·column_stride]`.
    pub(crate) fn new(
        data: &'a [T],
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Self {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(last < data.len(), "a view lies inside its buffer");
        }
        View { data, rows, columns, row_stride, column_stride }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn transposed(self) -> Self {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Where its first element is; one of an empty view is not to be read.
    pub(super) fn start(&self) -> *const T {
        self.data.as_ptr()
    }

    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(super) fn column_stride(&self) -> usize {
        self.column_stride
    }

    pub(super) fn at(&self, row: usize, column: usize) -> T {
        self.data[row * self.row_stride + column * self.column_stride]
    }

    /// The rows of a range and the columns of another.
    pub(crate) fn part(
        self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "a part lies inside");
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        let data = self.data.get(start..).unwrap_or_default();
        View { data, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Whether the elements of a column, and not those of a row, are neighbours in memory.
    pub(super) fn lies_by_columns(&self) -> bool {
        self.row_stride == 1 && self.column_stride != 1
    }

    /// One column; the rows must be neighbours.
    pub(super) fn column(&self, column: usize) -> &'a [T] {
        assert!(self.row_stride == 1 && column < self.columns, "a column is a slice");
        &self.data[column * self.column_stride..][..self.rows]
    }

    /// One row; the columns must be neighbours.
    pub(crate) fn row(&self, row: usize) -> &'a [T] {
        assert!(self.column_stride == 1 && row < self.rows, "a row is a slice");
        &self.data[row * self.row_stride..][..self.columns]
    }
}

/// Most lanes that one vector holds.
pub(super) const LANES: usize = 16;

/// Packs the rows of a view as lanes of panels of `per` rows: row r and word w of its columns go to
/// `target[(r / per · words + w) · stride + r % per]`. Lanes that have no row hold anything: no
/// result depends on them. Panels of halves hold the bfloat16 themselves: that of row r and column c
/// is number `c · per + r % per` of its panel.
pub(super) fn pack_panels<T: Number>(
    way: Way,
    view: View<'_, T>,
    target: &mut [f32],
    (per, stride): (usize, usize),
) {
    let words = way.words(view.columns);
    if words == 0 || view.rows == 0 {
        return;
    }
    let panels = view.rows.div_ceil(per);
    let room = per.next_multiple_of(LANES) <= stride && panels * words * stride <= target.len();
    assert!(room, "panels have room for whole vectors");
    if way.operands == Operands::Halves {
        let Numbers::Bf16(view) = T::either(view) else {
            unreachable!("only bfloat16 are kept as halves");
        };
        return pack_halves(view, target, (words, per));
    }
    #[cfg(target_arch = "x86_64")]
    if way == Way::from(Level::Avx512)
        && let Numbers::F32(view) = T::either(view)
        && view.lies_by_columns()
    {
        // SAFETY: the level was detected; the view lies inside its buffer, and the target has
        // room for whole vectors of every panel by the assertion.
        return unsafe { copy_avx512(view, target.as_mut_ptr(), (per, stride)) };
    }
    #[cfg(target_arch = "x86_64")]
    if way.operands == (Operands::Bf16 { dots: true })
        && view.row_stride.min(view.column_stride) == 1
    {
        return match T::either(view) {
            // SAFETY: the way has the instructions, and the target room by the assertion.
            Numbers::F32(view) => unsafe { pairs::avx512::pack(view, target, (per, stride)) },
            // SAFETY: as above.
            Numbers::Bf16(view) => unsafe { pairs::avx512::pack(view, target, (per, stride)) },
        };
    }
    for (panel, first) in (0..view.rows).step_by(per).enumerate() {
        for from in (first..view.rows.min(first + per)).step_by(LANES) {
            let end = view.rows.min(first + per).min(from + LANES);
            let target = &mut target[panel * words * stride + from - first..];
            let rows = view.part(from..end, 0..view.columns);
            match T::either(rows) {
                Numbers::F32(rows) => pack_rows(way, rows, target, stride),
                Numbers::Bf16(rows) => pack_widened(way, rows, target, stride),
            }
        }
    }
}

/// Packs at most [`LANES`] rows as lanes of words.
fn pack_rows(way: Way, rows: View<'_>, target: &mut [f32], stride: usize) {
    if way.per_word() == 1 {
        pack_lanes(way.level, rows, target, stride);
    } else {
        pack_pairs(way.level, rows, target, stride);
    }
}

/// The same of bfloat16, which become f32 a stretch of columns at a time, on the stack.
fn pack_widened(way: Way, rows: View<'_, u16>, target: &mut [f32], stride: usize) {
    /// An even number: words begin at each stretch.
    const COLUMNS: usize = 64;
    let mut room = [0.0; LANES * COLUMNS];
    let count = rows.rows;
    for from in (0..rows.columns).step_by(COLUMNS) {
        let part = rows.part(0..count, from..rows.columns.min(from + COLUMNS));
        let shape = (count, part.columns);
        let wide = if part.lies_by_columns() {
            for (column, room) in room.chunks_exact_mut(LANES).take(part.columns).enumerate() {
                widen(way.level, part.column(column), &mut room[..count]);
            }
            View::new(&room, shape, (1, LANES))
        } else {
            for (row, room) in room.chunks_exact_mut(COLUMNS).take(count).enumerate() {
                widen(way.level, part.row(row), &mut room[..part.columns]);
            }
            View::new(&room, shape, (COLUMNS, 1))
        };
        pack_rows(way, wide, &mut target[way.words(from) * stride..], stride);
    }
}

/// Packs rows as panels of halves, of `words` words for each of `per` rows. Done once a model, so
/// plainly.
fn pack_halves(view: View<'_, u16>, target: &mut [f32], (words, per): (usize, usize)) {
    for (panel, first) in target.chunks_exact_mut(words * per).zip((0..view.rows).step_by(per)) {
        for (column, line) in panel.chunks_exact_mut(per / 2).enumerate().take(view.columns) {
            let half = |row: usize| {
                if row < view.rows { u32::from(view.at(row, column)) } else { 0 }
            };
            for (row, word) in (first..).step_by(2).zip(line) {
                *word = f32::from_bits(half(row) | half(row + 1) << 16);
            }
        }
    }
}

/// Packs at most [`LANES`] rows of a view as lanes: column k of all rows goes to
/// `target[k · stride..]`. It moves bits, whatever they stand for.
pub(super) fn pack_lanes(level: Level, view: View<'_>, target: &mut [f32], stride: usize) {
    let last = (view.columns.max(1) - 1) * stride;
    assert!(view.rows <= LANES && last + LANES <= target.len(), "lanes have room for a vector");
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected; the view lies inside its buffer, and the target has
        // room for a vector of every column by the assertion.
        Level::Avx512 if view.column_stride == 1 => unsafe {
            transpose_avx512(view, target.as_mut_ptr(), stride);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 if view.column_stride == 1 => unsafe {
            transpose_avx2(view, target.as_mut_ptr(), stride);
        },
        _ => pack_plainly(view, target, stride),
    }
}

/// Asks the second cache for one of `parts` parts of the rows that are packed next: they lie far
/// apart, and no machine foresees them. Done bit by bit while the panel before is computed with,
/// it hides the way to memory.
pub(super) fn fetch_part(level: Level, view: View<'_>, (part, parts): (usize, usize)) {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx512 {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        for column in (part * LANES..view.columns).step_by(parts * LANES) {
            for row in 0..view.rows {
                let place = view.data.as_ptr().wrapping_add(row * view.row_stride + column);
                // SAFETY: a prefetch reads nothing.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) };
            }
        }
    }
}

fn pack_plainly(view: View<'_>, target: &mut [f32], stride: usize) {
    for k in 0..view.columns {
        let lanes = &mut target[k * stride..k * stride + LANES];
        let source = &view.data[k * view.column_stride..];
        if let (1, Some(whole)) = (view.row_stride, source.first_chunk::<LANES>()) {
            // Rows beyond the view are lanes that hold anything; a copy of known length is no call.
            lanes.copy_from_slice(whole);
        } else {
            for (lane, value) in lanes.iter_mut().enumerate().take(view.rows) {
                *value = source[lane * view.row_stride];
            }
        }
    }
}

/// All panels line by line, for a line's elements lie together in memory.
///
/// SAFETY: see [`pack_panels`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn copy_avx512(view: View<'_>, target: *mut f32, (per, stride): (usize, usize)) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm512_maskz_loadu_ps, _mm512_storeu_ps};
    /// Lines between what is read and what is fetched: lines may lie pages apart.
    const AHEAD: usize = 8;
    for k in 0..view.columns {
        let source = view.data.as_ptr().wrapping_add(k * view.column_stride);
        let ahead = source.wrapping_add(AHEAD * view.column_stride);
        for (panel, first) in (0..view.rows).step_by(per).enumerate() {
            let target = target.wrapping_add((panel * view.columns + k) * stride);
            let count = per.min(view.rows - first);
            for from in (0..count).step_by(LANES) {
                let mask = (u32::MAX >> (32 - LANES.min(count - from) as u32)) as u16;
                // SAFETY: masked lanes are not read; the rest is promised.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(first + from).cast());
                    let lanes = _mm512_maskz_loadu_ps(mask, source.add(first + from));
                    _mm512_storeu_ps(target.add(from), lanes);
                }
            }
        }
    }
}

/// Eight rows at a time; a target of one vector may be written in whole, so the second eight follow
/// the first.
///
/// SAFETY: see [`pack_lanes`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_avx2(view: View<'_>, target: *mut f32, stride: usize) {
    use std::arch::x86_64::{_mm256_loadu_ps, _mm256_storeu_ps};
    let whole = view.columns / 8 * 8;
    for first in (0..view.rows).step_by(8) {
        for from in (0..whole).step_by(8) {
            // SAFETY: whole columns lie inside; beyond the last row, that row is read again.
            unsafe {
                let rows = std::array::from_fn(|row| {
                    let row = (first + row).min(view.rows - 1);
                    _mm256_loadu_ps(view.data.as_ptr().add(row * view.row_stride + from))
                });
                let target = target.add(from * stride + first);
                for (k, lanes) in transpose_8(rows).into_iter().enumerate() {
                    _mm256_storeu_ps(target.add(k * stride), lanes);
                }
            }
        }
        for k in whole..view.columns {
            for row in first..view.rows.min(first + 8) {
                // SAFETY: inside the view and the room for its lanes.
                unsafe { *target.add(k * stride + row) = view.data[row * view.row_stride + k] };
            }
        }
    }
}

/// The transpose of an 8 × 8 block: pairs, then quadruples, then halves.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn transpose_8(rows: [std::arch::x86_64::__m256; 8]) -> [std::arch::x86_64::__m256; 8] {
    use std::arch::x86_64::{
        _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    let mut fours = rows;
    for half in [0, 4] {
        let low = [0, 2].map(|i| _mm256_unpacklo_ps(rows[half + i], rows[half + i + 1]));
        let high = [0, 2].map(|i| _mm256_unpackhi_ps(rows[half + i], rows[half + i + 1]));
        fours[half] = _mm256_shuffle_ps::<0x44>(low[0], low[1]);
        fours[half + 1] = _mm256_shuffle_ps::<0xee>(low[0], low[1]);
        fours[half + 2] = _mm256_shuffle_ps::<0x44>(high[0], high[1]);
        fours[half + 3] = _mm256_shuffle_ps::<0xee>(high[0], high[1]);
    }
    let mut columns = fours;
    for k in 0..4 {
        columns[k] = _mm256_permute2f128_ps::<0x20>(fours[k], fours[4 + k]);
        columns[4 + k] = _mm256_permute2f128_ps::<0x31>(fours[k], fours[4 + k]);
    }
    columns
}

/// SAFETY: see [`pack_lanes`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn transpose_avx512(view: View<'_>, target: *mut f32, stride: usize) {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_prefetch, _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    /// Elements between what is read and what is fetched: 16 rows are too many for the machine
    /// to foresee by itself.
    const AHEAD: usize = 64;
    let depth = view.columns;
    for from in (0..depth).step_by(16) {
        let count = 16.min(depth - from);
        let mask = (u32::MAX >> (32 - count as u32)) as u16;
        let mut block = [_mm512_setzero_ps(); 16];
        // SAFETY: masked lanes are not read; beyond the last row, that row is read again; only
        // `count` lines of the target are written.
        unsafe {
            let source = view.data.as_ptr().add(from);
            for (row, value) in block.iter_mut().enumerate() {
                let row = source.add(row.min(view.rows - 1) * view.row_stride);
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(AHEAD).cast());
                *value = _mm512_maskz_loadu_ps(mask, row);
            }
            let columns = transpose_16(&block);
            let target = target.add(from * stride);
            if count == 16 {
                for (k, value) in columns.iter().enumerate() {
                    _mm512_storeu_ps(target.add(k * stride), *value);
                }
            } else {
                for (k, value) in columns.iter().enumerate().take(count) {
                    _mm512_storeu_ps(target.add(k * stride), *value);
                }
            }
        }
    }
}

/// The transpose of a 16 × 16 block: pairs, then quadruples, then 128-bit lanes twice.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transpose_16(
    rows: &[std::arch::x86_64::__m512; 16],
) -> [std::arch::x86_64::__m512; 16] {
    use std::arch::x86_64::{
        _mm512_castpd_ps, _mm512_castps_pd, _mm512_setzero_ps, _mm512_shuffle_f32x4,
        _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };
    let low = |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let high =
        |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let mut pairs = *rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for j in 0..4 {
        fours[4 * j] = low(pairs[4 * j], pairs[4 * j + 2]);
        fours[4 * j + 1] = high(pairs[4 * j], pairs[4 * j + 2]);
        fours[4 * j + 2] = low(pairs[4 * j + 1], pairs[4 * j + 3]);
        fours[4 * j + 3] = high(pairs[4 * j + 1], pairs[4 * j + 3]);
    }
    let mut columns = [_mm512_setzero_ps(); 16];
    for c in 0..4 {
        let even_low = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]);
        let odd_low = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]);
        let even_high = _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]);
        let odd_high = _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]);
        columns[c] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
        columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
        columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
        columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
    }
    columns
}
