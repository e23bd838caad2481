//! Rotary position embedding (Su et al. 2021) in the half-split form of Hugging Face.

use super::{SharedMut, vectorised};
use crate::{Arch, Device, RopeScaling};

/// Cosines and sines of every position and frequency.
pub(crate) struct Rope {
    /// `[positions, E / 2]`
    cosines: Vec<f32>,
    /// `[positions, E / 2]`
    sines: Vec<f32>,
    head_width: usize,
}

/// The tables of a model: one, or two where windowed layers have a base of their own.
pub(crate) struct Ropes {
    tables: Vec<Rope>,
}

impl Ropes {
    /// The tables of the first `positions` positions.
    pub(crate) fn new(arch: &Arch, positions: usize) -> Self {
        let mut tables = vec![Rope::new(
            &scaled(frequencies(arch.rope_theta, arch.head_width), arch.variant.rope_scaling),
            positions,
        )];
        let window = arch.variant.window.as_ref();
        if let Some(theta) = window.and_then(|window| window.rope_theta) {
            tables.push(Rope::new(&frequencies(theta, arch.head_width), positions));
        }
        Ropes { tables }
    }

    /// Elements of all tables.
    pub(crate) fn elements(arch: &Arch, positions: usize) -> usize {
        let window = arch.variant.window.as_ref();
        let tables = 1 + usize::from(window.is_some_and(|window| window.rope_theta.is_some()));
        tables * positions * arch.head_width
    }

    /// The table of a layer that looks through a window, or of one that does not.
    pub(crate) fn of(&self, windowed: bool) -> &Rope {
        let own = self.tables.get(1).filter(|_| windowed);
        own.unwrap_or(&self.tables[0])
    }
}

/// Radians a token of every pair of a head, `[E / 2]`.
fn frequencies(theta: f32, head_width: usize) -> Vec<f32> {
    let exponent = |i: usize| (2 * i) as f32 / head_width as f32;
    (0..head_width / 2).map(|i| 1.0 / theta.powf(exponent(i))).collect()
}

/// Frequencies after scaling, in the arithmetic of the reference implementation.
fn scaled(mut frequencies: Vec<f32>, scaling: RopeScaling) -> Vec<f32> {
    match scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => {
            for frequency in &mut frequencies {
                *frequency /= factor;
            }
        }
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor: low,
            high_frequency_factor: high,
            original_context,
        } => {
            let context = original_context as f32;
            for frequency in &mut frequencies {
                let wave = std::f32::consts::TAU / *frequency;
                if wave > context / low {
                    *frequency /= factor;
                } else if wave >= context / high {
                    let kept = (context / wave - low) / (high - low);
                    *frequency = (1.0 - kept) * *frequency / factor + kept * *frequency;
                }
            }
        }
    }
    frequencies
}

impl Rope {
    /// The table of some frequencies. Angles are rounded to f32 as in the reference
    /// implementation, so that long contexts agree with it.
    fn new(frequencies: &[f32], positions: usize) -> Self {
        let half = frequencies.len();
        let mut cosines = Vec::with_capacity(positions * half);
        let mut sines = Vec::with_capacity(positions * half);
        for position in 0..positions {
            for frequency in frequencies {
                let angle = f64::from(position as f32 * frequency);
                cosines.push(angle.cos() as f32);
                sines.push(angle.sin() as f32);
            }
        }
        Rope { cosines, sines, head_width: 2 * half }
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
