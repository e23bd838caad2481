//! Ids of pieces that were met before, by their bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Longest piece that is remembered, in bytes: longer ones hardly ever come again.
pub(crate) const LONGEST_BYTES: usize = 64;

/// Pieces that are remembered at most: some 20 MiB.
const MOST_PIECES: usize = 1 << 18;

/// Bytes that, with their number, fill a short key.
const SHORT_BYTES: usize = 15;

/// A table from pieces to ids.
#[derive(Debug, Default)]
pub(crate) struct PieceTable {
    short: HashMap<u128, Found, BuildHasherDefault<Mixer>>,
    long: HashMap<Box<[u8]>, Found, BuildHasherDefault<Mixer>>,
    /// Ids of the pieces that have several.
    ids: Vec<u32>,
}

/// Where the ids of a piece are.
#[derive(Clone, Copy, Debug)]
enum Found {
    One(u32),
    /// Place and number in `ids`.
    Several(u32, u32),
}

impl PieceTable {
    /// Appends the ids of the piece `text[start..end]`; false if it is not known.
    pub(crate) fn append(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        ids: &mut Vec<u32>,
    ) -> bool {
        let found = if end - start <= SHORT_BYTES {
            self.short.get(&key(text, start, end))
        } else {
            self.long.get(&text[start..end])
        };
        match found {
            Some(Found::One(id)) => ids.push(*id),
            Some(Found::Several(place, count)) => {
                let place = *place as usize;
                ids.extend_from_slice(&self.ids[place..place + *count as usize]);
            }
            None => return false,
        }
        true
    }

    /// Remembers a piece. A full table begins anew.
    pub(crate) fn insert(&mut self, piece: &[u8], ids: &[u32]) {
        if piece.len() > LONGEST_BYTES {
            return;
        }
        if self.short.len() + self.long.len() >= MOST_PIECES {
            *self = Self::default();
        }
        let found = match ids {
            [id] => Found::One(*id),
            _ => {
                self.ids.extend_from_slice(ids);
                Found::Several((self.ids.len() - ids.len()) as u32, ids.len() as u32)
            }
        };
        if piece.len() <= SHORT_BYTES {
            self.short.insert(key(piece, 0, piece.len()), found);
        } else {
            self.long.insert(piece.into(), found);
        }
    }
}

/// Up to 15 bytes, and above them their number.
fn key(text: &[u8], start: usize, end: usize) -> u128 {
    let length = end - start;
    // One load where the text goes on: pieces are many, and most are a few bytes.
    let bytes = match text.get(start..start + 16).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => u128::from_le_bytes(bytes) & ((1 << (8 * length)) - 1),
        None => text[start..end].iter().rev().fold(0, |key, byte| key << 8 | u128::from(*byte)),
    };
    bytes | (length as u128) << 120
}

/// A hash of a few multiplications; what it spreads badly costs time and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_u64(&mut self, value: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ value ^ ODD) * u128::from(ODD);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            self.write_u64(part.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_inserted_is_found_wherever_it_stands(
            pieces in proptest::collection::hash_map(
                proptest::collection::vec(0u8..3, 1..70), proptest::collection::vec(any::<u32>(), 0..5), 1..40),
            around in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut table = PieceTable::default();
            for (piece, ids) in &pieces {
                table.insert(piece, ids);
            }
            for (piece, ids) in &pieces {
                let text = [&around[..], piece, &around[..]].concat();
                let (start, mut found) = (around.len(), vec![7]);
                let known = table.append(&text, (start, start + piece.len()), &mut found);
                prop_assert_eq!(known, piece.len() <= LONGEST_BYTES);
                prop_assert_eq!(&found[1..], if known { &ids[..] } else { &[] });
            }
        }
    }

    #[test]
    fn a_full_table_begins_anew() {
        let mut table = PieceTable::default();
        for number in 0..=MOST_PIECES as u32 {
            table.insert(&number.to_le_bytes(), &[number, number]);
        }
        assert_eq!((table.short.len(), table.ids.len()), (1, 2));
        let mut ids = Vec::new();
        assert!(!table.append(&0u32.to_le_bytes(), (0, 4), &mut ids));
        assert!(table.append(&(MOST_PIECES as u32).to_le_bytes(), (0, 4), &mut ids));
        assert_eq!(ids, [MOST_PIECES as u32; 2]);
    }
}
