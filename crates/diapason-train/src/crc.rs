//! CRC-32C (Castagnoli): the checksum of TFRecord files, used for checkpoints too.

use diapason_model::{Numbers, WeightsRef};
use std::convert::Infallible;

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[k][b]`: the checksum of byte `b` followed by `k` zero bytes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 255) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Gives the little-endian bytes of weights to `each`, at most `size` at once.
pub(crate) fn each_bytes<E>(
    weights: WeightsRef<'_>,
    size: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes = Vec::with_capacity(size);
    for from in (0..weights.len()).step_by(size / 4) {
        bytes.clear();
        match weights.part(from..weights.len().min(from + size / 4)) {
            Numbers::F32(part) => bytes.extend(part.iter().flat_map(|value| value.to_le_bytes())),
            Numbers::Bf16(part) => bytes.extend(part.iter().flat_map(|half| half.to_le_bytes())),
        }
        each(&bytes)?;
    }
    Ok(())
}

/// A checksum in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Crc32c(u32::MAX)
    }

    /// Adds bytes, eight at a time (slicing by eight).
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut crc = self.0;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word) ^ u64::from(crc);
            crc = 0;
            for (place, byte) in word.to_le_bytes().into_iter().enumerate() {
                crc ^= TABLES[7 - place][byte as usize];
            }
        }
        for byte in rest {
            crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(*byte)) & 255) as usize];
        }
        self.0 = crc;
    }

    pub(crate) fn finish(self) -> u32 {
        !self.0
    }

    /// The checksum of some weights, as their little-endian bytes.
    pub(crate) fn of_values(weights: WeightsRef<'_>) -> u32 {
        let mut crc = Crc32c::new();
        let Ok(()) = each_bytes(weights, 1 << 14, |bytes| {
            crc.update(bytes);
            Ok::<(), Infallible>(())
        });
        crc.finish()
    }

    /// The checksum of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> u32 {
        let mut crc = Crc32c::new();
        crc.update(bytes);
        crc.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as in the definition.
    fn reference(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn published_vectors() {
        assert_eq!(Crc32c::of(b"123456789"), 0xE306_9283);
        // RFC 3720, B.4.
        assert_eq!(Crc32c::of(&[0; 32]), 0x8A91_36AA);
        assert_eq!(Crc32c::of(&[255; 32]), 0x62A8_AB43);
    }

    #[test]
    fn values_are_their_bytes() {
        let values: Vec<f32> = (0..10_000).map(|index| index as f32 / 7.0).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(Crc32c::of_values(Numbers::F32(&values)), reference(&bytes));
        let halves: Vec<u16> = (0..10_000).collect();
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        assert_eq!(Crc32c::of_values(Numbers::Bf16(&halves)), reference(&bytes));
    }

    #[test]
    fn slicing_equals_the_definition_however_the_bytes_arrive() {
        let bytes: Vec<u8> = (0..100u32).map(|index| (index * 37 + 11) as u8).collect();
        for length in 0..bytes.len() {
            assert_eq!(Crc32c::of(&bytes[..length]), reference(&bytes[..length]));
            let mut parts = Crc32c::new();
            parts.update(&bytes[..length]);
            parts.update(&bytes[length..]);
            assert_eq!(parts.finish(), reference(&bytes));
        }
    }
}
