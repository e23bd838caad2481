//! Element types of weights on disk, and their way from and to f32.

use crate::kernels::bf16_of;
use crate::weights::wide;
use safetensors::Dtype;

/// Element type of weights on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// IEEE 754 binary32: what the decoder computes in.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
}

impl Precision {
    /// All of them with the names that users and `config.json` give them.
    pub const ALL: [(Precision, &'static str, &'static str); 3] = [
        (Precision::F32, "f32", "float32"),
        (Precision::F16, "f16", "float16"),
        (Precision::Bf16, "bf16", "bfloat16"),
    ];

    /// That of a safetensors file; `None` if it is not read.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Precision::F32),
            Dtype::F16 => Some(Precision::F16),
            Dtype::BF16 => Some(Precision::Bf16),
            _ => None,
        }
    }

    pub(super) fn dtype(self) -> Dtype {
        match self {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
            Precision::Bf16 => Dtype::BF16,
        }
    }

    /// Bytes of an element.
    pub(super) fn bytes(self) -> usize {
        if self == Precision::F32 { 4 } else { 2 }
    }

    /// Its name in `config.json`.
    pub(super) fn config_name(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// Little-endian elements to f32, exactly. Bytes need no alignment.
    pub(crate) fn read(self, bytes: &[u8], target: &mut [f32]) {
        match self {
            Precision::Bf16 => {
                for (slot, pair) in target.iter_mut().zip(bytes.as_chunks().0) {
                    *slot = wide(u16::from_le_bytes(*pair));
                }
            }
            Precision::F16 => {
                for (slot, pair) in target.iter_mut().zip(bytes.as_chunks().0) {
                    *slot = half_to_f32(u16::from_le_bytes(*pair));
                }
            }
            Precision::F32 => {
                for (slot, four) in target.iter_mut().zip(bytes.as_chunks().0) {
                    *slot = f32::from_le_bytes(*four);
                }
            }
        }
    }

    /// Little-endian elements to the nearest bf16, ties to even.
    pub(crate) fn read_halves(self, bytes: &[u8], target: &mut [u16]) {
        if self == Precision::Bf16 {
            for (slot, pair) in target.iter_mut().zip(bytes.as_chunks().0) {
                *slot = u16::from_le_bytes(*pair);
            }
            return;
        }
        let mut values = [0.0; 256];
        let parts = bytes.chunks(values.len() * self.bytes());
        for (part, target) in parts.zip(target.chunks_mut(values.len())) {
            self.read(part, &mut values[..target.len()]);
            target.iter_mut().zip(&values).for_each(|(slot, value)| *slot = bf16_of(*value) as u16);
        }
    }

    /// Appends values as little-endian elements, rounded to the nearest, ties to even.
    pub(super) fn write(self, values: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Precision::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Precision::F16 => {
                bytes.extend(values.iter().flat_map(|value| f32_to_half(*value).to_le_bytes()));
            }
            Precision::Bf16 => {
                bytes
                    .extend(values.iter().flat_map(|value| (bf16_of(*value) as u16).to_le_bytes()));
            }
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(Self::ALL[*self as usize].1)
    }
}

/// IEEE 754 binary16 → binary32, exact for every value.
pub(super) fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: fraction · 2^-24, which f32 holds exactly.
        0 => (fraction as f32 * 2.0_f32.powi(-24)).to_bits(),
        // Infinity and not-a-number.
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The nearest binary16; beyond the largest, infinity.
fn f32_to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // Subnormal: whole multiples of 2^-24, which `round_ties_even` counts exactly.
        (f32::from_bits(magnitude) * 2.0_f32.powi(24)).round_ties_even() as u16
    } else {
        // A carry out of the fraction rightly raises the exponent, up to infinity.
        round_off(magnitude - (112 << 23), 13)
    };
    sign | half
}

/// The bits without the lowest `count`, rounded to the nearest, ties to even.
fn round_off(bits: u32, count: u32) -> u16 {
    let half_less = (1 << (count - 1)) - 1 + (bits >> count & 1);
    ((u64::from(bits) + u64::from(half_less)) >> count) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(precision: Precision, values: &[f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        precision.write(values, &mut bytes);
        assert_eq!(bytes.len(), values.len() * precision.bytes());
        let mut read = vec![0.0; values.len()];
        precision.read(&bytes, &mut read);
        read
    }

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for half in 0..=u16::MAX {
            let value = half_to_f32(half);
            if value.is_nan() {
                assert!(half_to_f32(f32_to_half(value)).is_nan());
            } else {
                assert_eq!(f32_to_half(value), half, "{value}");
            }
        }
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_ties_to_even() {
        for precision in [Precision::F16, Precision::Bf16] {
            let steps: i32 = if precision == Precision::F16 { 10 } else { 7 };
            let step = 2.0_f32.powi(-steps);
            let given = [1.0 + 0.49 * step, 1.0 + 0.51 * step, 1.0 + 0.5 * step, 1.0 + 1.5 * step];
            let expected = [1.0, 1.0 + step, 1.0, 1.0 + 2.0 * step];
            assert_eq!(written(precision, &given), expected, "{precision}");
            let negative = given.map(|value| -value);
            assert_eq!(written(precision, &negative), expected.map(|value| -value));
        }
        assert_eq!(
            written(Precision::F16, &[65519.0, 65520.0, -1e9, 3e-8]),
            [65504.0, f32::INFINITY, f32::NEG_INFINITY, 2.0_f32.powi(-24),]
        );
        assert_eq!(written(Precision::F16, &[2.0_f32.powi(-14) * 0.9999]), [2.0_f32.powi(-14)]);
        assert!(
            written(Precision::Bf16, &[f32::NAN, f32::from_bits(0x7f80_0001)])
                .iter()
                .all(|value| value.is_nan())
        );
        assert_eq!(written(Precision::F32, &[0.1, -0.0]), [0.1, 0.0]);
    }
}
