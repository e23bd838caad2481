//! The weights of a model: one flat buffer of f32, or of bfloat16 in half the memory.
//!
//! A bfloat16 is the upper half of an f32. Reading one is exact, so a model whose weights are halves
//! answers with the bits of the same model widened to f32.

use crate::kernels::bf16_of;
use std::borrow::Cow;
use std::ops::Range;

/// What weights are held in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum WeightPrecision {
    /// 4 bytes a weight.
    #[default]
    F32,
    /// 2 bytes a weight. The optimiser computes in f32 and rounds at random, so that a weight is
    /// right on average.
    Bf16,
}

impl WeightPrecision {
    /// Bytes of a weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// Numbers in one of two buffers: owned, borrowed, or borrowed to be changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers<F, H> {
    /// As f32.
    F32(F),
    /// As bfloat16, the bits of each.
    Bf16(H),
}

/// All weights of a model.
pub type Weights = Numbers<Vec<f32>, Vec<u16>>;
/// Weights to read.
pub type WeightsRef<'a> = Numbers<&'a [f32], &'a [u16]>;
/// Weights to change.
pub type WeightsMut<'a> = Numbers<&'a mut [f32], &'a mut [u16]>;

/// The same expression for numbers of either kind, under one name.
macro_rules! of_either {
    ($numbers:expr, |$name:ident| $body:expr) => {
        match $numbers {
            $crate::weights::Numbers::F32($name) => $body,
            $crate::weights::Numbers::Bf16($name) => $body,
        }
    };
}
pub(crate) use of_either;

/// The value of a bfloat16.
pub(crate) fn wide(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

impl<F, H> Numbers<F, H> {
    /// What they are held in.
    pub fn precision(&self) -> WeightPrecision {
        match self {
            Numbers::F32(_) => WeightPrecision::F32,
            Numbers::Bf16(_) => WeightPrecision::Bf16,
        }
    }
}

impl<'a> WeightsRef<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        of_either!(self, |numbers| numbers.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of them.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn part(self, range: Range<usize>) -> Self {
        match self {
            Numbers::F32(values) => Numbers::F32(&values[range]),
            Numbers::Bf16(halves) => Numbers::Bf16(&halves[range]),
        }
    }

    /// Their values, exactly; a copy only where they are no f32.
    pub fn wide(self) -> Cow<'a, [f32]> {
        match self {
            Numbers::F32(values) => Cow::Borrowed(values),
            Numbers::Bf16(halves) => halves.iter().copied().map(wide).collect(),
        }
    }

    /// Their values, exactly, into `target` of the same length.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_to(self, target: &mut [f32]) {
        assert_eq!(self.len(), target.len(), "there is a place for every number");
        match self {
            Numbers::F32(values) => target.copy_from_slice(values),
            Numbers::Bf16(halves) => {
                target.iter_mut().zip(halves).for_each(|(value, half)| *value = wide(*half));
            }
        }
    }

    /// The first that is infinite or no number.
    pub fn not_finite(self) -> Option<f32> {
        match self {
            Numbers::F32(values) => values.iter().copied().find(|value| !value.is_finite()),
            Numbers::Bf16(halves) => {
                halves.iter().copied().map(wide).find(|value| !value.is_finite())
            }
        }
    }
}

impl Weights {
    /// All of them, to read.
    pub fn all(&self) -> WeightsRef<'_> {
        match self {
            Numbers::F32(values) => Numbers::F32(values),
            Numbers::Bf16(halves) => Numbers::Bf16(halves),
        }
    }

    /// Some of them, to read.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn part(&self, range: Range<usize>) -> WeightsRef<'_> {
        self.all().part(range)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.precision().bytes() * self.len()
    }

    /// All of them, to change.
    pub fn all_mut(&mut self) -> WeightsMut<'_> {
        match self {
            Numbers::F32(values) => Numbers::F32(values),
            Numbers::Bf16(halves) => Numbers::Bf16(halves),
        }
    }

    /// All of them as f32, to change; from then on they are held so.
    pub fn wide_mut(&mut self) -> &mut Vec<f32> {
        if let Numbers::Bf16(halves) = self {
            *self = Numbers::F32(halves.iter().copied().map(wide).collect());
        }
        match self {
            Numbers::F32(values) => values,
            Numbers::Bf16(_) => unreachable!("they are held as f32"),
        }
    }

    /// The same in another precision: halves are widened exactly, f32 are rounded to the nearest
    /// half, ties to even.
    pub fn held_in(self, precision: WeightPrecision) -> Self {
        match (self, precision) {
            (Numbers::F32(values), WeightPrecision::Bf16) => {
                Numbers::Bf16(values.into_iter().map(|value| bf16_of(value) as u16).collect())
            }
            (mut weights @ Numbers::Bf16(_), WeightPrecision::F32) => {
                weights.wide_mut();
                weights
            }
            (weights, _) => weights,
        }
    }

    /// Copies some of them to another place, which begins at `to`.
    ///
    /// # Panics
    /// If either lies beyond the end.
    pub fn copy_within(&mut self, range: Range<usize>, to: usize) {
        of_either!(self, |numbers| numbers.copy_within(range, to));
    }

    /// Where they lie.
    pub(crate) fn address(&self) -> *const u8 {
        of_either!(self, |numbers| numbers.as_ptr().cast())
    }
}

impl Default for Weights {
    fn default() -> Self {
        Numbers::F32(Vec::new())
    }
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Numbers::F32(values)
    }
}

impl<'a> From<&'a mut Weights> for WeightsMut<'a> {
    fn from(weights: &'a mut Weights) -> Self {
        weights.all_mut()
    }
}

impl<'a> From<&'a mut [f32]> for WeightsMut<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        Numbers::F32(values)
    }
}

impl<'a> From<&'a mut Vec<f32>> for WeightsMut<'a> {
    fn from(values: &'a mut Vec<f32>) -> Self {
        Numbers::F32(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_exactly_and_written_to_the_nearest() {
        let step = 2.0_f32.powi(-7);
        let given = vec![1.0, -1.0 - 0.4 * step, 1.0 + 0.5 * step, 1.0 + 1.5 * step, -0.0];
        let expected = [1.0, -1.0, 1.0, 1.0 + 2.0 * step, -0.0];
        let mut weights = Weights::from(given).held_in(WeightPrecision::Bf16);
        assert_eq!((weights.precision(), weights.bytes()), (WeightPrecision::Bf16, 10));
        assert_eq!(*weights.all().wide(), expected);
        let mut copied = [0.0; 2];
        weights.part(2..4).copy_to(&mut copied);
        assert_eq!(copied, expected[2..4]);
        assert_eq!(weights.all().not_finite(), None);
        weights.copy_within(3..4, 0);
        let wide = weights.clone().held_in(WeightPrecision::F32);
        assert_eq!(wide.part(0..1).wide()[0], expected[3]);
        assert_eq!(wide.held_in(WeightPrecision::Bf16), weights, "there and back");
        weights.wide_mut()[1] = f32::NEG_INFINITY;
        assert_eq!(
            weights.held_in(WeightPrecision::Bf16).all().not_finite(),
            Some(f32::NEG_INFINITY)
        );
    }
}
