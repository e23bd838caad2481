//! Seeded, named random streams: no global generator, no order of calls to keep.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// One random stream. The same bytes on every platform.
pub type Stream = ChaCha8Rng;

/// All random streams of a run, derived from one seed.
///
/// A stream is identified by a name and an index, so the draws of item 7 do not depend on whether
/// item 6 was computed, or on which thread.
///
/// ```
/// use diapason_flow::Streams;
/// use rand::Rng;
/// let streams = Streams::new(17);
/// let first = streams.stream("shuffle", 0).next_u64();
/// assert_eq!(first, Streams::new(17).stream("shuffle", 0).next_u64());
/// assert_ne!(first, streams.stream("shuffle", 1).next_u64());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The streams of a seed.
    pub fn new(seed: u64) -> Self {
        Streams { key: Sha256::digest(seed.to_le_bytes()).into() }
    }

    /// The streams of a part of the run: `streams.within("data").stream("urn", 3)`.
    pub fn within(&self, name: &str) -> Self {
        Streams { key: self.derive(name, u64::MAX) }
    }

    /// The stream with this name and index.
    pub fn stream(&self, name: &str, index: u64) -> Stream {
        ChaCha8Rng::from_seed(self.derive(name, index))
    }

    fn derive(&self, name: &str, index: u64) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(index.to_le_bytes());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_pinned_across_versions() {
        // A change of these values changes every published figure: bump the version and say so.
        assert_eq!(Streams::new(0).stream("pin", 0).next_u64(), PINNED.0);
        assert_eq!(Streams::new(0).within("part").stream("pin", 7).next_u64(), PINNED.1);
    }
    const PINNED: (u64, u64) = (528730835821309288, 2688844511500621273);

    #[test]
    fn name_index_and_part_all_matter() {
        let streams = Streams::new(1);
        let mut seen = std::collections::HashSet::new();
        for part in ["a", "b"] {
            for name in ["x", "y"] {
                for index in 0..3 {
                    assert!(seen.insert(streams.within(part).stream(name, index).next_u64()));
                }
            }
        }
    }
}
