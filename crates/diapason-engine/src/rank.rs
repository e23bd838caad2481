//! Tokens in the order of their logits.

use std::cmp::Ordering;

/// The order of tokens from likeliest to least likely; ties go to the lower id.
pub(crate) fn likelier(logits: &[f32], a: u32, b: u32) -> Ordering {
    logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
}

/// Brings the `count` likeliest of `ids` to its front, in order, without sorting the others.
pub(crate) fn rank(logits: &[f32], ids: &mut [u32], count: usize) {
    let count = count.min(ids.len());
    if 0 < count && count < ids.len() {
        ids.select_nth_unstable_by(count - 1, |a, b| likelier(logits, *a, *b));
    }
    ids[..count].sort_unstable_by(|a, b| likelier(logits, *a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranking_equals_sorting() {
        let logits: Vec<f32> = (0..97).map(|i| (i * 31 % 17) as f32).collect();
        let mut sorted: Vec<u32> = (0..97).collect();
        sorted.sort_by(|a, b| likelier(&logits, *a, *b));
        for count in [0, 1, 5, 96, 97, 200] {
            let mut ids: Vec<u32> = (0..97).collect();
            rank(&logits, &mut ids, count);
            assert_eq!(ids[..count.min(97)], sorted[..count.min(97)]);
        }
    }
}
