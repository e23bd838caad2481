//! Damaged checkpoints are refused or loaded, never more than that.

mod mutation;

use diapason_flow::Streams;
use mutation::{Tally, Victims, peak_bytes};

/// Any reservation beyond this is one that a damaged file asked for: the checkpoints have a few
/// thousand weights.
const MOST_BYTES: u64 = 1 << 30;

#[test]
fn damaged_checkpoints_never_panic_and_never_take_memory() {
    let folder = tempfile::tempdir().unwrap();
    let victims = Victims::new(folder.path()).unwrap();
    let (streams, mut tally) = (Streams::new(17), Tally::default());
    victims.attack(&streams, u64::MAX, &mut tally);
    let before = peak_bytes();
    for round in 0..2000 {
        victims.attack(&streams, round, &mut tally);
    }
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        assert!(after - before < MOST_BYTES, "{} bytes more", after - before);
    }
    assert!(tally.refused > 500 && tally.loaded > 50, "both ends are met: {tally:?}");
}
