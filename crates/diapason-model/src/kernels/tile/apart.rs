//! Tiles of rows that stay where they are: for sums so short that packing A would take longer.
//!
//! Each element is the chain of [`super`]: the bits are those of a packed tile.

use super::{Level, PANEL};

/// One row of a tile.
#[derive(Clone, Copy)]
pub(in super::super) struct Row {
    /// A[r, ·]
    pub a: *const f32,
    /// C[r, ·]
    pub c: *mut f32,
}

/// What the rows of a tile share.
#[derive(Clone, Copy)]
pub(in super::super) struct Shared {
    /// Length of the sum.
    pub steps: usize,
    /// `B[k, j]` at `b + k·b_step + j`.
    pub b: *const f32,
    /// Distance between lines of B.
    pub b_step: usize,
    /// Columns that exist, 1..=32.
    pub columns: usize,
    /// Whether the chains begin at what C holds.
    pub accumulate: bool,
}

/// Computes a tile of rows, at most [`super::rows`].
///
/// # Safety
/// A and B must be readable and C writable at the places the fields describe.
pub(in super::super) unsafe fn run(level: Level, rows: &[Row], shared: &Shared) {
    match level {
        Level::Baseline => {
            by_rows!(rows.len(); 1 2 3 4 => |R| baseline::<R>(rows, shared));
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            by_rows!(rows.len(); 1 2 3 4 5 6 => |R| avx2::<R>(rows, shared));
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            by_rows!(rows.len(); 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => |R| avx512::<R>(rows, shared));
        }
    }
}

/// SAFETY of the body: places promised by the caller of [`run`].
unsafe fn baseline<const R: usize>(rows: &[Row], shared: &Shared) {
    for Row { a, c } in rows.iter().take(R) {
        for j in 0..shared.columns {
            // SAFETY: see above.
            unsafe {
                let mut sum = if shared.accumulate { *c.add(j) } else { 0.0 };
                for k in 0..shared.steps {
                    sum += *a.add(k) * *shared.b.add(k * shared.b_step + j);
                }
                *c.add(j) = sum;
            }
        }
    }
}

/// SAFETY of the body: places promised by the caller of [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(rows: &[Row], shared: &Shared) {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_maskload_ps, _mm256_set1_ps,
    };
    /// Ones, then zeros: a mask of n lanes begins n before the zeros.
    const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let mask = |first: usize| {
        let lanes = shared.columns.saturating_sub(first).min(8);
        // SAFETY: inside the masks, for there are at most 8 lanes; any alignment will do.
        unsafe { _mm256_loadu_si256(MASKS.as_ptr().wrapping_add(8 - lanes).cast()) }
    };
    let a: [*const f32; R] = std::array::from_fn(|r| rows[r].a);
    let begin = |r: usize| shared.accumulate.then_some(rows[r].c.cast_const());
    eight_lanes!(R, shared.columns, (begin, |r: usize| rows[r].c), |from, sums| {
        // Lines of B may end where their columns do.
        let masks = [mask(from), mask(from + 8)];
        let mut b = shared.b.wrapping_add(from);
        for k in 0..shared.steps {
            let low = _mm256_maskload_ps(b, masks[0]);
            let high = _mm256_maskload_ps(b.wrapping_add(8), masks[1]);
            for (sum, a) in sums.iter_mut().zip(a) {
                let value = _mm256_set1_ps(*a.add(k));
                sum[0] = _mm256_fmadd_ps(value, low, sum[0]);
                sum[1] = _mm256_fmadd_ps(value, high, sum[1]);
            }
            b = b.wrapping_add(shared.b_step);
        }
    });
}

/// SAFETY of the body: places promised by the caller of [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize>(rows: &[Row], shared: &Shared) {
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps,
        _mm512_setzero_ps,
    };
    let all = u32::MAX >> (PANEL - shared.columns);
    let masks = [all as u16, (all >> 16) as u16];
    let a: [*const f32; R] = std::array::from_fn(|r| rows[r].a);
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    // SAFETY: see above; masked lanes are not touched.
    unsafe {
        if shared.accumulate {
            for (sum, row) in sums.iter_mut().zip(rows) {
                sum[0] = _mm512_maskz_loadu_ps(masks[0], row.c);
                sum[1] = _mm512_maskz_loadu_ps(masks[1], row.c.wrapping_add(16));
            }
        }
        let mut b = shared.b;
        for k in 0..shared.steps {
            let low = _mm512_maskz_loadu_ps(masks[0], b);
            let high = _mm512_maskz_loadu_ps(masks[1], b.wrapping_add(16));
            for (sum, a) in sums.iter_mut().zip(a) {
                let value = _mm512_set1_ps(*a.add(k));
                sum[0] = _mm512_fmadd_ps(value, low, sum[0]);
                sum[1] = _mm512_fmadd_ps(value, high, sum[1]);
            }
            b = b.wrapping_add(shared.b_step);
        }
        for (sum, row) in sums.iter().zip(rows) {
            _mm512_mask_storeu_ps(row.c, masks[0], sum[0]);
            _mm512_mask_storeu_ps(row.c.wrapping_add(16), masks[1], sum[1]);
        }
    }
}
