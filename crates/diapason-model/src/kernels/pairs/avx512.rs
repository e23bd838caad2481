//! Words of two bfloat16 by the instruction that rounds 32 numbers at once.
//!
//! It takes subnormal numbers for zero, as the instruction that multiplies these words does: no
//! product tells them from words that are made number by number.

use super::super::pack::{LANES, View, transpose_16};
use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_castsi512_ps, _mm512_castsi512_si256,
    _mm512_cvtne2ps_pbh, _mm512_inserti64x4, _mm512_loadu_si512, _mm512_maskz_loadu_epi16,
    _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_setzero_ps, _mm512_storeu_ps,
};

/// Numbers that become words.
pub(in super::super) trait Source: Copy {
    /// The bfloat16 of the first `counts[0]` numbers at `places[0]`, at most 16, and behind their 16
    /// lanes those of `counts[1]` numbers at `places[1]`. Lanes without a number are zero.
    ///
    /// # Safety
    /// The machine has AVX-512 BF16 and BW, and the numbers are readable.
    unsafe fn rounded(places: [*const Self; 2], counts: [usize; 2]) -> __m512i;
}

/// A bit for each of the first `count` lanes.
fn mask(count: usize) -> u16 {
    ((1_u32 << count.min(LANES)) - 1) as u16
}

impl Source for f32 {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn rounded(places: [*const f32; 2], counts: [usize; 2]) -> __m512i {
        // SAFETY: promised by the caller; masked lanes are not read. A vector has 64 bytes of either kind.
        unsafe {
            let low = _mm512_maskz_loadu_ps(mask(counts[0]), places[0]);
            let high = _mm512_maskz_loadu_ps(mask(counts[1]), places[1]);
            std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
        }
    }
}

/// These are bfloat16 already.
impl Source for u16 {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn rounded(places: [*const u16; 2], counts: [usize; 2]) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let low = _mm512_maskz_loadu_epi16(mask(counts[0]).into(), places[0].cast());
            let high = _mm512_maskz_loadu_epi16(mask(counts[1]).into(), places[1].cast());
            _mm512_inserti64x4::<1>(low, _mm512_castsi512_si256(high))
        }
    }
}

/// Packs a view whose rows or whose columns are slices, as [`super::super::pack::pack_panels`] says.
///
/// # Safety
/// The machine has AVX-512 BF16 and BW; the target has room for whole vectors of every panel.
pub(in super::super) unsafe fn pack<T: Source>(
    view: View<'_, T>,
    target: &mut [f32],
    (per, stride): (usize, usize),
) {
    if view.lies_by_columns() {
        // SAFETY: promised by the caller.
        return unsafe { copy(view, target.as_mut_ptr(), (per, stride)) };
    }
    let words = view.columns().div_ceil(2);
    for (panel, first) in (0..view.rows()).step_by(per).enumerate() {
        let count = per.min(view.rows() - first);
        for from in (0..count).step_by(LANES) {
            let rows = view.part(first + from..first + count.min(from + LANES), 0..view.columns());
            let target = &mut target[panel * words * stride + from..];
            // SAFETY: promised by the caller.
            unsafe { transpose(rows, target.as_mut_ptr(), stride) };
        }
    }
}

/// All panels line by line, for the numbers of a line lie together in memory.
///
/// SAFETY: see [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn copy<T: Source>(view: View<'_, T>, target: *mut f32, (per, stride): (usize, usize)) {
    /// Lines between what is read and what is fetched: lines may lie pages apart.
    const AHEAD: usize = 8;
    /// Where the halves of a word stand among 16 earlier and 16 later ones.
    const PAIRS: [u16; 2 * LANES] = {
        let mut places = [0; 2 * LANES];
        let mut lane = 0;
        while lane < LANES {
            places[2 * lane] = lane as u16;
            places[2 * lane + 1] = (LANES + lane) as u16;
            lane += 1;
        }
        places
    };
    let (rows, depth) = (view.rows(), view.columns());
    let words = depth.div_ceil(2);
    let line = |k: usize| view.start().wrapping_add(k * view.column_stride());
    // SAFETY: an array of 64 bytes.
    let pairs = unsafe { _mm512_loadu_si512(PAIRS.as_ptr().cast()) };
    for word in 0..words {
        let lines = [line(2 * word), line(2 * word + 1)];
        let ahead = [line(2 * word + AHEAD), line(2 * word + 1 + AHEAD)];
        let has_later = 2 * word + 1 < depth;
        for (panel, first) in (0..rows).step_by(per).enumerate() {
            let target = target.wrapping_add((panel * words + word) * stride);
            let count = per.min(rows - first);
            for from in (0..count).step_by(LANES) {
                let counts = [count - from, if has_later { count - from } else { 0 }];
                // SAFETY: lanes that exist are inside the view; the rest is promised.
                unsafe {
                    for line in ahead {
                        _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(first + from).cast());
                    }
                    let places = lines.map(|line| line.wrapping_add(first + from));
                    let halves = T::rounded(places, counts);
                    let lanes = _mm512_permutexvar_epi16(pairs, halves);
                    _mm512_storeu_ps(target.add(from), _mm512_castsi512_ps(lanes));
                }
            }
        }
    }
}

/// Packs at most [`LANES`] rows whose columns are neighbours: word w of all rows goes to
/// `target[w · stride..]`.
///
/// SAFETY: see [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn transpose<T: Source>(view: View<'_, T>, target: *mut f32, stride: usize) {
    /// Numbers between what is read and what is fetched: 16 rows are too many for the machine to
    /// foresee by itself.
    const AHEAD: usize = 64;
    let depth = view.columns();
    for from in (0..depth).step_by(2 * LANES) {
        let count = (2 * LANES).min(depth - from);
        let counts = [count.min(LANES), count.saturating_sub(LANES)];
        let mut block = [_mm512_setzero_ps(); LANES];
        // SAFETY: only numbers of the view are read; beyond the last row, that row is read again;
        // only words that exist are written.
        unsafe {
            for (row, words) in block.iter_mut().enumerate() {
                let row = row.min(view.rows() - 1) * view.row_stride() + from;
                let row = view.start().wrapping_add(row);
                for part in 0..size_of::<T>() / 2 {
                    let line = row.wrapping_add(AHEAD + part * LANES);
                    _mm_prefetch::<_MM_HINT_T0>(line.cast());
                }
                let places = [row, row.wrapping_add(LANES)];
                *words = _mm512_castsi512_ps(T::rounded(places, counts));
            }
            let columns = transpose_16(&block);
            let target = target.wrapping_add(from / 2 * stride);
            for (word, lanes) in columns.iter().enumerate().take(count.div_ceil(2)) {
                _mm512_storeu_ps(target.wrapping_add(word * stride), *lanes);
            }
        }
    }
}
