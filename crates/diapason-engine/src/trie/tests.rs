use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Reads a whole trie with logits that are a function of the prefix; returns the prefixes read.
fn read(trie: &mut Trie) -> Vec<Vec<u32>> {
    let mut prefixes: Vec<Vec<u32>> = Vec::new();
    let logits = logits_after(&[]);
    trie.score_first(&LogSoftmax::of(&logits).unwrap(), &logits);
    let mut ends: Vec<Vec<u32>> = Vec::new();
    for segment in 0..trie.segments.len() {
        let above = trie.segments[segment].parent;
        let mut prefix = above.map_or(Vec::new(), |above| ends[above].clone());
        for (index, id) in trie.unread(segment, usize::MAX).into_iter().enumerate() {
            prefix.push(id);
            let logits = logits_after(&prefix);
            trie.score(segment, index, &LogSoftmax::of(&logits).unwrap(), &logits);
            prefixes.push(prefix.clone());
            trie.segments[segment].fed += 1;
        }
        ends.push(prefix);
    }
    assert!(trie.is_done());
    prefixes
}

fn logits_after(prefix: &[u32]) -> Vec<f32> {
    let mix = |hash: u32, id: u32| (hash ^ id).wrapping_mul(2_654_435_761).rotate_left(7);
    (0..4).map(|id| (mix(prefix.iter().copied().fold(9, mix), id) % 97) as f32 * 0.05).collect()
}

/// The slow twin: every option by itself.
fn plain_score(option: &[u32]) -> f64 {
    let score = |place: usize| {
        let logits = logits_after(&option[..place]);
        let softmax = LogSoftmax::of(&logits).unwrap();
        f64::from(softmax.logprob(logits[option[place] as usize]))
    };
    (0..option.len()).map(score).sum()
}

fn proper_prefixes(options: &[Vec<u32>]) -> BTreeSet<Vec<u32>> {
    let prefixes = options.iter().flat_map(|option| (1..option.len()).map(|end| &option[..end]));
    prefixes.map(<[u32]>::to_vec).collect()
}

proptest! {
    #[test]
    fn every_distinct_prefix_is_read_once_and_scores_equal_those_alone(
        options in prop::collection::vec(prop::collection::vec(0_u32..4, 1..6), 1..20)
    ) {
        let waves = waves(&options, usize::MAX);
        prop_assert_eq!(waves.len(), 1);
        let mut trie = Trie::new(&options, &waves[0].options);
        let prefixes = read(&mut trie);
        let distinct: BTreeSet<_> = prefixes.iter().cloned().collect();
        prop_assert_eq!(prefixes.len(), distinct.len());
        prop_assert_eq!(prefixes.len(), waves[0].tokens);
        prop_assert_eq!(distinct, proper_prefixes(&options));
        let mut seen = vec![false; options.len()];
        for (option, score) in trie.scores() {
            prop_assert_eq!(score.tokens, options[option].len());
            prop_assert_eq!(score.logprob_nats, plain_score(&options[option]));
            seen[option] = true;
        }
        prop_assert!(seen.into_iter().all(|seen| seen));
    }

    #[test]
    fn waves_keep_to_their_room_and_hold_every_option_once(
        options in prop::collection::vec(prop::collection::vec(0_u32..3, 1..6), 1..20),
        room in 4_usize..12,
    ) {
        let waves = waves(&options, room);
        let mut all: Vec<usize> = waves.iter().flat_map(|wave| wave.options.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..options.len()).collect::<Vec<_>>());
        for wave in waves {
            prop_assert!(wave.tokens <= room);
            let mut trie = Trie::new(&options, &wave.options);
            prop_assert_eq!(read(&mut trie).len(), wave.tokens);
        }
    }
}

#[test]
fn a_chain_is_one_segment_and_a_fork_begins_others() {
    let options = vec![vec![1, 2, 3, 0], vec![1, 2, 3, 1], vec![1, 2, 0, 0, 0], vec![2]];
    let wave = &waves(&options, 100)[0];
    let trie = Trie::new(&options, &wave.options);
    let shape: Vec<_> = trie.segments.iter().map(|part| (part.parent, part.nodes.len())).collect();
    assert_eq!(shape.len(), 3);
    assert_eq!(shape[0], (None, 2));
    assert!(shape[1..].contains(&(Some(0), 1)) && shape[1..].contains(&(Some(0), 2)));
}
