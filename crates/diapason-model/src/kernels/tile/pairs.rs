//! Tiles of operands in bfloat16: every word of B is two numbers along the sum.
//!
//! A product of two bfloat16 is exact in f32, so only sums round. Where the processor has no
//! instruction for pairs, two fused operations stand for it, in the order that the instruction is
//! documented to have; it also takes subnormal numbers for zero. A then lies in lines of rounded
//! numbers, not of words, since they are taken apart for every panel of B.

use super::super::pairs::unpacked;
use super::{A_STRIDE, PANEL, Tile};

/// SAFETY of the body: places promised by the caller of [`super::run`].
pub(super) unsafe fn baseline<const R: usize>(tile: &Tile) {
    for j in 0..tile.columns {
        for r in 0..R {
            // SAFETY: see above.
            unsafe {
                let c = tile.c.add(r * tile.c_row + j);
                let begin = tile.begin.wrapping_add(r * tile.c_row + j);
                let mut sum = if tile.begin.is_null() { 0.0 } else { *begin };
                for k in 0..tile.steps {
                    let a = [2 * k, 2 * k + 1].map(|line| *tile.a.add(line * A_STRIDE + r));
                    let b = unpacked((*tile.b.add(k * PANEL + j)).to_bits());
                    sum += a[1] * b[1];
                    sum += a[0] * b[0];
                }
                *c = sum;
            }
        }
    }
}

/// SAFETY of the body: places promised by the caller of [`super::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<const R: usize>(tile: &Tile) {
    use std::arch::x86_64::{
        _mm256_and_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_si256,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32,
    };
    let later = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    eight_lanes!(R, tile.columns, (|r| tile.begin_of(r), |r| tile.row_of(r)), |from, sums| {
        let (mut a, mut b) = (tile.a, tile.b.add(from));
        for _ in 0..tile.steps {
            let words = [0, 8].map(|j| _mm256_loadu_si256(b.add(j).cast()));
            let half = words.map(|word| _mm256_castsi256_ps(_mm256_and_si256(word, later)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let value = _mm256_set1_ps(*a.add(A_STRIDE + r));
                sum[0] = _mm256_fmadd_ps(value, half[0], sum[0]);
                sum[1] = _mm256_fmadd_ps(value, half[1], sum[1]);
            }
            let half = words.map(|word| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(word)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let value = _mm256_set1_ps(*a.add(r));
                sum[0] = _mm256_fmadd_ps(value, half[0], sum[0]);
                sum[1] = _mm256_fmadd_ps(value, half[1], sum[1]);
            }
            a = a.wrapping_add(2 * A_STRIDE);
            b = b.wrapping_add(PANEL);
        }
    });
}

/// The loop of both tiles of 16 lanes: `$multiply` takes a sum, a place of A and a vector of words
/// of B; a word of B goes with `$lines` lines of A.
#[cfg(target_arch = "x86_64")]
macro_rules! sixteen_lanes {
    ($tile:ident, $rows:ident, $lines:literal, $multiply:expr) => {{
        use std::arch::x86_64::{
            _MM_HINT_T0, _mm_prefetch, _mm512_loadu_si512, _mm512_mask_storeu_ps,
            _mm512_maskz_loadu_ps, _mm512_setzero_ps,
        };
        /// Words of the panel fetched before they are read: it lives in the second cache.
        const AHEAD: usize = 16 * PANEL;
        let all = u32::MAX >> (32 - $tile.columns as u32);
        let (low_mask, high_mask) = (all as u16, (all >> 16) as u16);
        let mut sums = [[_mm512_setzero_ps(); 2]; $rows];
        // SAFETY: promised by the caller; masked lanes are not touched.
        unsafe {
            if !$tile.begin.is_null() {
                for (r, sum) in sums.iter_mut().enumerate() {
                    let begin = $tile.begin.add(r * $tile.c_row);
                    sum[0] = _mm512_maskz_loadu_ps(low_mask, begin);
                    sum[1] = _mm512_maskz_loadu_ps(high_mask, begin.wrapping_add(16));
                }
            }
            let (mut a, mut b) = ($tile.a, $tile.b);
            for _ in 0..$tile.steps {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD + 16).cast());
                let words = [0, 16].map(|j| _mm512_loadu_si512(b.add(j).cast()));
                for (r, sum) in sums.iter_mut().enumerate() {
                    sum[0] = $multiply(sum[0], a.add(r), words[0]);
                    sum[1] = $multiply(sum[1], a.add(r), words[1]);
                }
                a = a.wrapping_add($lines * A_STRIDE);
                b = b.wrapping_add(PANEL);
            }
            for (r, sum) in sums.iter().enumerate() {
                let c = $tile.c.add(r * $tile.c_row);
                _mm512_mask_storeu_ps(c, low_mask, sum[0]);
                _mm512_mask_storeu_ps(c.wrapping_add(16), high_mask, sum[1]);
            }
        }
    }};
}

/// SAFETY of the body: places promised by the caller of [`super::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn avx512_dots<const R: usize>(tile: &Tile) {
    use std::arch::x86_64::{__m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi32};
    // SAFETY: 64 bytes either way.
    let words = |bits: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) };
    sixteen_lanes!(tile, R, 1, |sum, a: *const f32, b| {
        _mm512_dpbf16_ps(sum, words(_mm512_set1_epi32(*a.cast::<i32>())), words(b))
    });
}

/// SAFETY of the body: places promised by the caller of [`super::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn avx512<const R: usize>(tile: &Tile) {
    use std::arch::x86_64::{
        _mm512_and_si512, _mm512_castsi512_ps, _mm512_fmadd_ps, _mm512_set1_epi32, _mm512_set1_ps,
        _mm512_slli_epi32,
    };
    let mask = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let later = |word| _mm512_castsi512_ps(_mm512_and_si512(word, mask));
    let earlier = |word| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(word));
    sixteen_lanes!(tile, R, 2, |sum, a: *const f32, b| {
        let sum = _mm512_fmadd_ps(_mm512_set1_ps(*a.add(A_STRIDE)), later(b), sum);
        _mm512_fmadd_ps(_mm512_set1_ps(*a), earlier(b), sum)
    });
}
