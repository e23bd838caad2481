//! What weights are held as: f32, or bfloat16, the upper half of an f32, in half the memory.
//!
//! Reading a half is exact. Writing one rounds at random to one of its two neighbours, so that the
//! value written is right on average: an update of less than half a step of bfloat16, as most are,
//! would otherwise never change anything.

use super::bytes::scattered;
use super::pack::View;
use super::way::{Operands, Way};
use super::{Level, vectorised};
use crate::weights::{Numbers, wide};
use std::ops::Range;

/// Halves that are opened at once, on the stack.
const OPENED: usize = 256;

/// A number as weights are held.
pub(crate) trait Number: Copy + Send + Sync {
    /// The view of what they are.
    fn either(view: View<'_, Self>) -> Numbers<View<'_>, View<'_, u16>>;

    /// How products of a way read copies of them that are packed once and kept.
    fn kept(way: Way) -> Way;

    /// Their values, exactly, into `values` of the same length.
    fn copy(level: Level, numbers: &[Self], values: &mut [f32]);

    /// Lets `change` change values as f32, stretch by stretch of at most 256 where they must be
    /// opened; `change` gets the places of a stretch. What is written is rounded by `rounding`.
    fn change(
        values: &mut [Self],
        rounding: Rounding,
        change: impl FnMut(Range<usize>, &mut [f32]),
    );
}

/// How values that were changed are rounded to halves: by random bits that are a function of the
/// seed and of the place of a value in the weights alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    pub level: Level,
    /// Of this step of this run.
    pub seed: u64,
    /// Place of the first value in the weights.
    pub place: usize,
}

impl Number for f32 {
    fn either(view: View<'_, Self>) -> Numbers<View<'_>, View<'_, u16>> {
        Numbers::F32(view)
    }

    fn kept(way: Way) -> Way {
        way
    }

    fn copy(_: Level, numbers: &[Self], values: &mut [f32]) {
        values.copy_from_slice(numbers);
    }

    fn change(values: &mut [Self], _: Rounding, mut change: impl FnMut(Range<usize>, &mut [f32])) {
        change(0..values.len(), values);
    }
}

/// A bfloat16.
impl Number for u16 {
    fn either(view: View<'_, Self>) -> Numbers<View<'_>, View<'_, u16>> {
        Numbers::Bf16(view)
    }

    fn kept(way: Way) -> Way {
        match way.operands {
            Operands::F32 => Way { operands: Operands::Halves, ..way },
            _ => way,
        }
    }

    fn copy(level: Level, numbers: &[Self], values: &mut [f32]) {
        widen(level, numbers, values);
    }

    fn change(
        values: &mut [Self],
        rounding: Rounding,
        mut change: impl FnMut(Range<usize>, &mut [f32]),
    ) {
        let (len, mut room) = (values.len(), [0.0; OPENED]);
        for from in (0..len).step_by(OPENED) {
            let places = from..len.min(from + OPENED);
            let (halves, opened) = (&mut values[places.clone()], &mut room[..places.len()]);
            widen(rounding.level, halves, opened);
            change(places, opened);
            // Places beyond 2^32 share their bits with those before.
            round_at_random(rounding.level, opened, halves, (rounding.seed, rounding.place + from));
        }
    }
}

vectorised! {
    /// The values of bfloat16.
    pub(super) fn widen(halves: &[u16], values: &mut [f32]) -> () {
        for (value, half) in values.iter_mut().zip(halves) {
            *value = wide(*half);
        }
    }
}

vectorised! {
    /// Each value to one of the two halves around it, to the nearer with the greater probability:
    /// what is cut off is the probability of the one further from 0.
    fn round_at_random(values: &[f32], halves: &mut [u16], draw: (u64, usize)) -> () {
        let ((seed, place), mut index) = (draw, 0);
        for (half, value) in halves.iter_mut().zip(values) {
            let bits = value.to_bits();
            let chance = chance(seed, (place as u32).wrapping_add(index));
            // What is no number stays none, and infinity has nothing to cut off.
            let rounded = bits.wrapping_add(chance) >> 16;
            let found = if value.is_nan() { bits >> 16 | 0x40 } else { rounded };
            *half = found as u16;
            index = index.wrapping_add(1);
        }
    }
}

/// 16 random bits for a place.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn chance(seed: u64, place: u32) -> u32 {
    // Two words of the seed: with one, a step would have the bits of another in another order.
    let first = scattered(seed as u32, place);
    (first ^ (seed >> 32) as u32).wrapping_mul(0x9e37_79b9) >> 16
}

/// The slow twin: rounds one value by the draw of its place.
#[cfg(test)]
pub(crate) fn rounded_plainly(value: f32, draw: u64, place: usize) -> u16 {
    let toward_zero = f32::from_bits(value.to_bits() & 0xffff_0000);
    let away = f32::from_bits((value.to_bits() & 0xffff_0000) + 0x1_0000);
    let (value, low, high) = (f64::from(value), f64::from(toward_zero), f64::from(away));
    let share = (value - low) / (high - low);
    let drawn = f64::from(chance(draw, place as u32)) / 65_536.0;
    // The draw is below the share with its probability: counted from the other end of 0..1.
    let up = 1.0 - drawn <= share;
    ((if up { away } else { toward_zero }).to_bits() >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::mix;

    fn rounded(values: &[f32], draw: u64, place: usize) -> Vec<u16> {
        let mut halves = vec![0; values.len()];
        round_at_random(Level::detect(), values, &mut halves, (draw, place));
        halves
    }

    #[test]
    fn rounding_is_that_of_the_plain_twin() {
        let values: Vec<f32> = (0..5000)
            .map(|index| {
                let size = 10.0_f32.powi(index % 11 - 7);
                (index as f32 * 0.7).sin() * size
            })
            .collect();
        for draw in [0, 1, u64::MAX, mix(77)] {
            let expected = values.iter().zip(900..).map(|(x, at)| rounded_plainly(*x, draw, at));
            assert_eq!(rounded(&values, draw, 900), expected.collect::<Vec<_>>(), "draw {draw}");
        }
    }

    #[test]
    fn halves_stay_and_what_is_no_number_stays_none() {
        for draw in 0..200 {
            let kept = [1.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.5, -2.0e38];
            let kept = kept.map(|value: f32| f32::from_bits(value.to_bits() & 0xffff_0000));
            let expected = kept.map(|value| (value.to_bits() >> 16) as u16);
            assert_eq!(rounded(&kept, draw, 0), expected);
            let none = [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)];
            assert!(rounded(&none, draw, 0).into_iter().all(|half| wide(half).is_nan()));
        }
    }

    /// How often values are rounded up, over many places of one step and over many steps at one
    /// place, and how often two neighbours both are. Each count is binomial if the bits are random:
    /// 96 of them lie within 4.9 deviations with a probability of more than 0.999.
    #[test]
    fn a_rounded_value_is_right_on_average() {
        let count = 40_000_u32;
        let within = |ups: usize, share: f64, what: &str| {
            let deviation = (share * (1.0 - share) * f64::from(count)).sqrt();
            let away = (ups as f64 - share * f64::from(count)) / deviation;
            assert!(away.abs() < 4.9, "{what} of share {share}: {away} deviations");
        };
        for case in 1..=32_u32 {
            let share = f64::from(case * 2000) / 65_536.0;
            let value = f32::from_bits(0x3f81_0000 + case * 2000);
            let up = |halves: &[u16]| halves.iter().filter(|half| **half == 0x3f82).count();
            let places = rounded(&vec![value; 2 * count as usize], mix(u64::from(case)), 0);
            within(up(&places[..count as usize]), share, "places");
            let pairs = places.as_chunks::<2>().0.iter();
            let both = pairs.filter(|pair| **pair == [0x3f82; 2]).count();
            within(both, share * share, "neighbours");
            let steps = (0..u64::from(count)).map(|step| rounded(&[value], mix(step), 12_345)[0]);
            within(up(&steps.collect::<Vec<_>>()), share, "steps");
        }
    }
}
