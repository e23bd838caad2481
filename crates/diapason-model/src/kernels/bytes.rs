//! AdamW over moments of one byte: blocks with a scale of their own, codes on a power law.
//!
//! After "8-bit Optimizers via Block-wise Quantization" (Dettmers et al., arXiv 2110.02861), with
//! two differences. Codes stand for `scale · (code / most)^p`, which needs no table: p = 2 with a
//! sign for the first moment, p = 4 for the second, so that both cover the same decades. And
//! values are rounded to one of their two neighbours at random, right on average: a moment that
//! changes by less than a step of its code in each update would otherwise never change. The random
//! bits are a function of step and place.

use super::elementwise::AdamWConstants;
use super::number::{Number, Rounding};
use super::{SharedMut, vectorised};
use crate::Device;

/// Elements that share a scale.
pub(crate) const BLOCK: usize = 256;
/// Blocks that one task takes.
const BLOCKS: usize = 128;
/// Largest code of a first moment, on either side of 0, and of a second moment.
const FIRST: f32 = 127.0;
const SECOND: f32 = 255.0;

/// Bytes of a block: codes of first moments, of second moments, and the scale of either as f32.
pub(crate) const BLOCK_BYTES: usize = 2 * BLOCK + 8;

/// A block of both moments. All zeros stand for moments of 0.
pub(crate) type MomentBlock = [u8; BLOCK_BYTES];

/// One update of a tensor, whose first element is `place` of all weights; `blocks` are
/// `⌈len / 256⌉`.
pub(crate) fn adamw_update_bytes<T: Number>(
    device: &Device,
    (weights, gradients): (&mut [T], &[f32]),
    blocks: &mut [MomentBlock],
    constants: AdamWConstants,
    (step, place): (u64, usize),
) {
    let len = weights.len();
    let equal = gradients.len() == len && blocks.len() == len.div_ceil(BLOCK);
    assert!(equal, "the buffers of the optimiser agree in length");
    let (count, weights, blocks) = (blocks.len(), SharedMut::new(weights), SharedMut::new(blocks));
    device.each(count.div_ceil(BLOCKS), |task, _| {
        for number in task * BLOCKS..count.min((task + 1) * BLOCKS) {
            let part = number * BLOCK..len.min((number + 1) * BLOCK);
            // SAFETY: tasks have disjoint blocks, and a block its own elements.
            let (w, block) =
                unsafe { (weights.slice(part.start, part.len()), &mut blocks.slice(number, 1)[0]) };
            let seed = mix(step.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (place + part.start) as u64);
            let (level, draw) = (device.level(), constants.draw);
            let rounding = Rounding { level, seed: draw, place: place + part.start };
            T::change(w, rounding, |places, w| {
                let gradients = &gradients[part.start + places.start..][..places.len()];
                update_block(level, w, gradients, block, (constants, seed as u32));
            });
        }
    });
}

/// Scatters the bits of a number (the finaliser of splitmix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// 32 random bits for a place.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
pub(super) fn scattered(seed: u32, place: u32) -> u32 {
    let mut x = seed ^ place.wrapping_mul(0x9e37_79b9);
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A number in `0.0..1.0` for a place of a block.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn chance(seed: u32, place: u32) -> f32 {
    (scattered(seed, place) >> 8) as f32 / 16_777_216.0
}

vectorised! {
    fn update_block(
        weights: &mut [f32],
        gradients: &[f32],
        block: &mut MomentBlock,
        constants: (AdamWConstants, u32),
    ) -> () {
        let (c, seed) = constants;
        let (first, rest) = block.split_at_mut(BLOCK);
        let (second, scales) = rest.split_at_mut(BLOCK);
        let scale = |at: usize| {
            f32::from_le_bytes([scales[at], scales[at + 1], scales[at + 2], scales[at + 3]])
        };
        let before = (scale(0), scale(4));
        let (mut m, mut v) = ([0.0_f32; BLOCK], [0.0_f32; BLOCK]);
        let mut most = (0.0_f32, 0.0_f32);
        let state = m.iter_mut().zip(&mut v).zip(first.iter().zip(second.iter()));
        for (((m, v), (m_code, v_code)), (w, g)) in state.zip(weights.iter_mut().zip(gradients)) {
            let share = f32::from(*m_code) - 128.0;
            let first_moment = before.0 * (share * share.abs()) / (FIRST * FIRST);
            let share = f32::from(*v_code) / SECOND;
            let square = share * share;
            let g = g * c.scale;
            *m = c.beta1 * first_moment + (1.0 - c.beta1) * g;
            *v = c.beta2 * (before.1 * square * square) + (1.0 - c.beta2) * g * g;
            let root = v.sqrt() / c.root_bias + c.epsilon;
            *w = *w * c.keep - c.rate * *m / root;
            let size = m.abs();
            most.0 = if size > most.0 { size } else { most.0 };
            most.1 = if *v > most.1 { *v } else { most.1 };
        }
        scales[..4].copy_from_slice(&most.0.to_le_bytes());
        scales[4..].copy_from_slice(&most.1.to_le_bytes());
        // Of a block of zeros, every code is that of 0.
        let per_first = if most.0 > 0.0 { FIRST * FIRST / most.0 } else { 0.0 };
        let per_second = if most.1 > 0.0 { 1.0 / most.1 } else { 0.0 };
        let state = m.iter().zip(&v).zip(first.iter_mut().zip(second.iter_mut()));
        for (place, ((m, v), (m_code, v_code))) in state.enumerate() {
            let square = m.abs() * per_first;
            let low = (square.sqrt() as i32 as f32).min(FIRST);
            let above = (square - low * low) / (2.0 * low + 1.0);
            let up = if above > chance(seed, place as u32) { 1.0 } else { 0.0 };
            let code = (low + up).min(FIRST);
            *m_code = (128.0 + if *m < 0.0 { -code } else { code }) as i32 as u8;
            let share = v * per_second;
            let low = ((share.sqrt().sqrt() * SECOND) as i32 as f32).min(SECOND);
            let squares = [low, low + 1.0].map(|code| (code / SECOND) * (code / SECOND));
            let [below, beyond] = squares.map(|square| square * square);
            let above = (share - below) / (beyond - below);
            let up = if above > chance(!seed, place as u32) { 1.0 } else { 0.0 };
            // A second moment that became 0 under a first that is not would divide by nothing.
            let least = if *v > 0.0 { 1.0 } else { 0.0 };
            *v_code = (low + up).clamp(least, SECOND) as i32 as u8;
        }
    }
}
