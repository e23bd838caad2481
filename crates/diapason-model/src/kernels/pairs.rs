//! Rounding to bfloat16, and words of two rounded numbers.
//!
//! A matrix of such words is packed as a matrix of f32 is: packing moves bits and computes nothing.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;

use super::Level;
use super::pack::{LANES, View, pack_lanes};
use super::vectorised;

/// Words of a row that are made at once, on the stack.
const WORDS: usize = 64;

/// The bits of the nearest bfloat16, ties to even; what is not a number stays so.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
pub(crate) fn bf16_of(value: f32) -> u32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 { bits >> 16 | 0x40 } else { nearest }
}

/// Two numbers as a word, the bits of an f32 that nobody computes with.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn word(earlier: f32, later: f32) -> f32 {
    f32::from_bits(bf16_of(earlier) | bf16_of(later) << 16)
}

/// The two numbers of a word.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
pub(super) fn unpacked(word: u32) -> [f32; 2] {
    [f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)]
}

vectorised! {
    /// Numbers to the nearest bfloat16, in place.
    pub(super) fn round(values: &mut [f32]) -> () {
        for value in values {
            *value = f32::from_bits(bf16_of(*value) << 16);
        }
    }
}

vectorised! {
    /// Words of a row whose numbers are neighbours; behind the last number stands zero.
    fn words_of_row(row: &[f32], words: &mut [f32]) -> () {
        let (pairs, last) = row.as_chunks::<2>();
        for (target, [earlier, later]) in words.iter_mut().zip(pairs) {
            *target = word(*earlier, *later);
        }
        if let (Some(target), [earlier]) = (words.get_mut(pairs.len()), last) {
            *target = word(*earlier, 0.0);
        }
    }
}

vectorised! {
    /// Words of two lines of lanes.
    fn words_of_lines(lines: [&[f32]; 2], words: &mut [f32]) -> () {
        for ((target, earlier), later) in words.iter_mut().zip(lines[0]).zip(lines[1]) {
            *target = word(*earlier, *later);
        }
    }
}

/// Packs at most [`LANES`] rows of a view as lanes of words: word w of all rows goes to
/// `target[w · stride..]`.
pub(super) fn pack_pairs(level: Level, view: View<'_>, target: &mut [f32], stride: usize) {
    let (rows, depth) = (view.rows(), view.columns());
    if view.lies_by_columns() {
        let nothing = [0.0; LANES];
        for (k, target) in (0..depth).step_by(2).zip(target.chunks_mut(stride)) {
            let later = if k + 1 < depth { view.column(k + 1) } else { &nothing[..rows] };
            words_of_lines(level, [view.column(k), later], &mut target[..rows]);
        }
        return;
    }
    let mut words = [0.0; LANES * WORDS];
    for from in (0..depth).step_by(2 * WORDS) {
        let part = view.part(0..rows, from..depth.min(from + 2 * WORDS));
        let count = part.columns().div_ceil(2);
        for (row, words) in words.chunks_exact_mut(WORDS).take(rows).enumerate() {
            words_of_row(level, part.row(row), &mut words[..count]);
        }
        let words = View::new(&words, (rows, count), (WORDS, 1));
        pack_lanes(level, words, &mut target[from / 2 * stride..], stride);
    }
}
