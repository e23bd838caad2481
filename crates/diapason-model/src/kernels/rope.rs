//! Rotary position embedding (Su et al. 2021) in the half-split form of Hugging Face.

use super::{SharedMut, vectorised};
use crate::{Arch, Device};

/// Cosines and sines of every position and frequency.
pub(crate) struct Rope {
    /// `[positions, E / 2]`
    cosines: Vec<f32>,
    /// `[positions, E / 2]`
    sines: Vec<f32>,
    head_width: usize,
}

impl Rope {
    /// The table of the first `positions` positions. Angles are rounded to f32 as in the reference
    /// implementation, so that long contexts agree with it.
    pub(crate) fn new(arch: &Arch, positions: usize) -> Self {
        let half = arch.head_width / 2;
        let mut cosines = Vec::with_capacity(positions * half);
        let mut sines = Vec::with_capacity(positions * half);
        let frequencies: Vec<f32> = (0..half)
            .map(|i| 1.0 / arch.rope_theta.powf((2 * i) as f32 / arch.head_width as f32))
            .collect();
        for position in 0..positions {
            for frequency in &frequencies {
                let angle = f64::from(position as f32 * frequency);
                cosines.push(angle.cos() as f32);
                sines.push(angle.sin() as f32);
            }
        }
        Rope { cosines, sines, head_width: arch.head_width }
    }

    /// Rotates the first `heads` heads of each row of `rows [N, width]` by its position; backwards
    /// with `inverse`, which is also the gradient.
    pub(crate) fn rotate(
        &self,
        device: &Device,
        rows: &mut [f32],
        positions: &[u32],
        heads: usize,
        inverse: bool,
    ) {
        let width = rows.len() / positions.len().max(1);
        let half = self.head_width / 2;
        let sign = if inverse { -1.0 } else { 1.0 };
        let shared = SharedMut::new(rows);
        device.each_range(positions.len(), 32, |range, _| {
            for row in range {
                // SAFETY: tasks have disjoint rows.
                let row_values = unsafe { shared.slice(row * width, heads * self.head_width) };
                let start = positions[row] as usize * half;
                let cosines = &self.cosines[start..start + half];
                let sines = &self.sines[start..start + half];
                rotate_row(device.level(), row_values, cosines, sines, sign);
            }
        });
    }
}

vectorised! {
    fn rotate_row(row: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) -> () {
        let half = cosines.len();
        for head in row.chunks_exact_mut(2 * half) {
            let (left, right) = head.split_at_mut(half);
            let angles = cosines.iter().zip(sines);
            for ((left, right), (cosine, sine)) in left.iter_mut().zip(right).zip(angles) {
                let sine = sine * sign;
                let (a, b) = (*left, *right);
                *left = a * cosine - b * sine;
                *right = b * cosine + a * sine;
            }
        }
    }
}
