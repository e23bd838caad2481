//! The innermost loop of every matrix product: a small tile of C kept in registers.
//!
//! `C[r, j] (+)= Σ_k A[r, k] · B[k, j]` for `r < R` and `j < 32`. Each element is one chain of
//! fused multiply-adds in the order of k, which starts at zero or at a given number. So neither the
//! number of rows, nor blocking over k, nor edges, nor threads can change a bit of it. Of operands
//! in bfloat16 a word holds two k: the chain takes the later of them first, as AVX-512 BF16 does.

/// Calls a tile of as many rows as there are.
macro_rules! by_rows {
    ($count:expr; $($rows:literal)* => |$name:ident| $call:expr) => {
        match $count {
            $($rows => {
                const $name: usize = $rows;
                // SAFETY: the caller's promise; the level was detected.
                unsafe { $call }
            })*
            _ => unreachable!("a tile has at most `rows(level)` rows"),
        }
    };
}

/// The columns of a tile of 8 lanes, 16 at a time: `$begin` says where the chains of a row begin, if
/// they begin anywhere, and `$c` where they end; `$multiply` adds to `$sums` what stands from column
/// `$from` on. What is narrower than 16 goes through a copy, for storing masked is slow.
#[cfg(target_arch = "x86_64")]
macro_rules! eight_lanes {
    ($rows:ident, $columns:expr, ($begin:expr, $c:expr), |$from:ident, $sums:ident| $multiply:block) => {{
        use std::arch::x86_64::{_mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};
        for $from in (0..$columns).step_by(16) {
            let columns = 16.min($columns - $from);
            let mut $sums = [[_mm256_setzero_ps(); 2]; $rows];
            // SAFETY: places promised by the caller; a copy is large enough.
            unsafe {
                for (r, sum) in $sums.iter_mut().enumerate() {
                    let Some(begin) = $begin(r) else { break };
                    let (mut begin, mut edge): (*const f32, _) = (begin.add($from), [0.0; 16]);
                    if columns < 16 {
                        std::ptr::copy_nonoverlapping(begin, edge.as_mut_ptr(), columns);
                        begin = edge.as_ptr();
                    }
                    *sum = [0, 8].map(|j| _mm256_loadu_ps(begin.add(j)));
                }
                $multiply
                for (r, sum) in $sums.iter().enumerate() {
                    let (c, mut edge): (*mut f32, _) = ($c(r).add($from), [0.0; 16]);
                    let place = if columns < 16 { edge.as_mut_ptr() } else { c };
                    _mm256_storeu_ps(place, sum[0]);
                    _mm256_storeu_ps(place.add(8), sum[1]);
                    if columns < 16 {
                        std::ptr::copy_nonoverlapping(edge.as_ptr(), c, columns);
                    }
                }
            }
        }
    }};
}

pub(super) mod apart;
mod pairs;

use super::Level;
use super::pairs::unpacked;
use super::way::{Operands, Way};

/// Columns of a packed panel of B.
pub(super) const PANEL: usize = 32;
/// Distance between successive k of a packed panel of A.
pub(super) const A_STRIDE: usize = 16;

/// Operands of one tile.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Length of the sum: [`Way::steps`].
    pub steps: usize,
    /// A packed panel: line k of row r at `a + 16·k + r`, [`Way::lines`] of them.
    pub a: *const f32,
    /// A packed panel: word k of column j at `b + 32·k + j`; of halves, line k at `b + 16·k`.
    pub b: *const f32,
    /// `C[r, j]` at `c + r·c_row + j`.
    pub c: *mut f32,
    /// Distance between rows of C.
    pub c_row: usize,
    /// Columns of C that exist, 1..=32.
    pub columns: usize,
    /// Where the chains begin, laid out like C; at zero if null.
    pub begin: *const f32,
}

impl Tile {
    /// Where the chains of a row begin, unless at zero.
    fn begin_of(&self, row: usize) -> Option<*const f32> {
        (!self.begin.is_null()).then(|| self.begin.wrapping_add(row * self.c_row))
    }

    /// Where the results of a row are.
    fn row_of(&self, row: usize) -> *mut f32 {
        self.c.wrapping_add(row * self.c_row)
    }
}

/// Most rows of a tile.
pub(super) fn rows(level: Level) -> usize {
    match level {
        Level::Baseline => 4,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 6,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 14,
    }
}

/// Computes a tile of `count` rows, at most [`rows`].
///
/// # Safety
/// The operands must be readable and C writable at the places the fields describe.
pub(super) unsafe fn run(way: Way, count: usize, tile: &Tile) {
    match (way.level, way.operands) {
        (Level::Baseline, Operands::F32) => {
            by_rows!(count; 1 2 3 4 => |R| baseline::<R, false>(tile));
        }
        (Level::Baseline, Operands::Halves) => {
            by_rows!(count; 1 2 3 4 => |R| baseline::<R, true>(tile));
        }
        (Level::Baseline, _) => {
            by_rows!(count; 1 2 3 4 => |R| pairs::baseline::<R>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Operands::F32) => {
            by_rows!(count; 1 2 3 4 5 6 => |R| avx2::<R, false>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Operands::Halves) => {
            by_rows!(count; 1 2 3 4 5 6 => |R| avx2::<R, true>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, _) => {
            by_rows!(count; 1 2 3 4 5 6 => |R| pairs::avx2::<R>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Operands::F32) => {
            by_rows!(count; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => |R| avx512::<R, false>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Operands::Halves) => {
            by_rows!(count; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => |R| avx512::<R, true>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Operands::Bf16 { dots: true }) => {
            by_rows!(count; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => |R| pairs::avx512_dots::<R>(tile));
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, _) => {
            by_rows!(count; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => |R| pairs::avx512::<R>(tile));
        }
    }
}

/// Words of a line of a packed panel of B.
const fn line(halves: bool) -> usize {
    if halves { PANEL / 2 } else { PANEL }
}

/// SAFETY of the body: places promised by the caller of [`run`].
unsafe fn baseline<const R: usize, const HALVES: bool>(tile: &Tile) {
    const WIDTH: usize = 8;
    for from in (0..tile.columns).step_by(WIDTH) {
        let columns = WIDTH.min(tile.columns - from);
        let mut sums = [[0.0_f32; WIDTH]; R];
        // SAFETY: see above; only existing columns of C are touched.
        unsafe {
            if !tile.begin.is_null() {
                for (r, sum) in sums.iter_mut().enumerate() {
                    for (j, value) in sum.iter_mut().enumerate().take(columns) {
                        *value = *tile.begin.add(r * tile.c_row + from + j);
                    }
                }
            }
            for k in 0..tile.steps {
                let b: [f32; WIDTH] = if HALVES {
                    let words: &[f32; WIDTH / 2] = &*tile.b.add(k * line(HALVES) + from / 2).cast();
                    std::array::from_fn(|j| unpacked(words[j / 2].to_bits())[j % 2])
                } else {
                    *tile.b.add(k * line(HALVES) + from).cast()
                };
                for (r, sum) in sums.iter_mut().enumerate() {
                    let a = *tile.a.add(k * A_STRIDE + r);
                    for (value, b) in sum.iter_mut().zip(&b) {
                        *value += a * b;
                    }
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                for (j, value) in sum.iter().enumerate().take(columns) {
                    *tile.c.add(r * tile.c_row + from + j) = *value;
                }
            }
        }
    }
}

/// SAFETY of the body: places promised by the caller of [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize, const HALVES: bool>(tile: &Tile) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_set1_ps, _mm256_slli_epi32,
    };
    // SAFETY: eight numbers of a line of B, at a place in numbers.
    let load = |line: *const f32, place: usize| unsafe {
        if HALVES {
            let halves = _mm_loadu_si128(line.cast::<u16>().add(place).cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        } else {
            _mm256_loadu_ps(line.add(place))
        }
    };
    eight_lanes!(R, tile.columns, (|r| tile.begin_of(r), |r| tile.row_of(r)), |from, sums| {
        let (mut a, mut b) = (tile.a, tile.b);
        for _ in 0..tile.steps {
            let (low, high) = (load(b, from), load(b, from + 8));
            for (r, sum) in sums.iter_mut().enumerate() {
                let value = _mm256_set1_ps(*a.add(r));
                sum[0] = _mm256_fmadd_ps(value, low, sum[0]);
                sum[1] = _mm256_fmadd_ps(value, high, sum[1]);
            }
            a = a.wrapping_add(A_STRIDE);
            b = b.wrapping_add(line(HALVES));
        }
    });
}

/// SAFETY of the body: places promised by the caller of [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize, const HALVES: bool>(tile: &Tile) {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32,
    };
    /// Elements of the panel fetched before they are read: it lives in the second cache.
    const AHEAD: usize = 16 * PANEL;
    // SAFETY: sixteen numbers of a line of B, at a place in numbers.
    let load = |line: *const f32, place: usize| unsafe {
        if HALVES {
            let halves = _mm256_loadu_si256(line.cast::<u16>().add(place).cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        } else {
            _mm512_loadu_ps(line.add(place))
        }
    };
    let all = u32::MAX >> (32 - tile.columns as u32);
    let (low_mask, high_mask) = (all as u16, (all >> 16) as u16);
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    // SAFETY: see above; masked lanes are not touched.
    unsafe {
        if !tile.begin.is_null() {
            for (r, sum) in sums.iter_mut().enumerate() {
                let begin = tile.begin.add(r * tile.c_row);
                sum[0] = _mm512_maskz_loadu_ps(low_mask, begin);
                sum[1] = _mm512_maskz_loadu_ps(high_mask, begin.wrapping_add(16));
                _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(PANEL).cast());
                _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(PANEL + 16).cast());
            }
        }
        let (mut a, mut b) = (tile.a, tile.b);
        for _ in 0..tile.steps {
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD).cast());
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD + 16).cast());
            let (low, high) = (load(b, 0), load(b, 16));
            for (r, sum) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_ps(*a.add(r));
                sum[0] = _mm512_fmadd_ps(value, low, sum[0]);
                sum[1] = _mm512_fmadd_ps(value, high, sum[1]);
            }
            a = a.wrapping_add(A_STRIDE);
            b = b.wrapping_add(line(HALVES));
        }
        for (r, sum) in sums.iter().enumerate() {
            let c = tile.c.add(r * tile.c_row);
            _mm512_mask_storeu_ps(c, low_mask, sum[0]);
            _mm512_mask_storeu_ps(c.wrapping_add(16), high_mask, sum[1]);
        }
    }
}
