//! Properties of cutting and packing, on sequences whose ids are their own indices.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A prefix, then turns; each token says whether it bears loss.
#[derive(Clone, Debug)]
struct Shape {
    prefix: Vec<bool>,
    turns: Vec<Vec<bool>>,
}

impl Shape {
    fn tokens(&self) -> Tokens {
        let mut tokens = Tokens::default();
        for learn in &self.prefix {
            tokens.push(tokens.len() as u32, *learn, None);
        }
        for (turn, flags) in self.turns.iter().enumerate() {
            for learn in flags {
                tokens.push(tokens.len() as u32, *learn, Some(turn as u32));
            }
        }
        tokens
    }
}

fn shape(first_turn_learns: bool, prefix: Range<usize>) -> impl Strategy<Value = Shape> {
    let flags = |lengths: Range<usize>| prop::collection::vec(any::<bool>(), lengths);
    let turns = prop::collection::vec(flags(1..6), 0..10);
    (flags(prefix), turns).prop_map(move |(prefix, mut turns)| {
        if let Some(first) = turns.first_mut() {
            first.fill(false);
            *first.last_mut().expect("turns hold a token") = first_turn_learns;
        }
        Shape { prefix, turns }
    })
}

/// Ids of the targets.
fn targets(tokens: &Tokens) -> Vec<u32> {
    (1..tokens.len()).filter(|&index| tokens.learn()[index]).map(|i| tokens.ids()[i]).collect()
}

/// What holds of every cut: whole turns that are neighbours behind the whole prefix, no longer
/// than the limit, and no target twice.
fn check_pieces(shape: &Shape, limit: usize) -> Result<BTreeSet<u32>, TestCaseError> {
    let tokens = shape.tokens();
    let all: BTreeSet<u32> = targets(&tokens).into_iter().collect();
    let mut kept = BTreeSet::new();
    for piece in cut(&tokens, limit).pieces {
        prop_assert!(piece.len() <= limit);
        prop_assert!(piece.learned() > 0);
        let (prefix, rest) = piece.ids().split_at(shape.prefix.len());
        prop_assert!(prefix.iter().copied().eq(0..shape.prefix.len() as u32));
        prop_assert!(rest.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {rest:?}");
        for turn in piece.turn().iter().flatten() {
            let held = piece.turn().iter().filter(|other| **other == Some(*turn)).count();
            prop_assert_eq!(held, shape.turns[*turn as usize].len(), "a torn turn");
        }
        for target in targets(&piece) {
            prop_assert!(all.contains(&target));
            prop_assert!(kept.insert(target), "{} is learned twice", target);
        }
    }
    Ok(kept)
}

#[test]
fn packs_in_order_hold_every_target_once() {
    let shape = Shape { prefix: vec![false; 3], turns: vec![vec![false, true, true]; 9] };
    let tokens = shape.tokens();
    let packs = pack_in_order(&[tokens.clone(), tokens.truncated(9), Tokens::default()], 12);
    assert!(packs.iter().all(|pack| pack.len() <= 12));
    let learned: f64 = packs.iter().map(Pack::learned).sum();
    assert_eq!(learned, (tokens.learned() + tokens.truncated(9).learned()) as f64);
    assert_eq!(packs.len(), 4, "three pieces of three turns, and the short one");
}

proptest! {
    #[test]
    fn every_target_of_a_turn_that_fits_is_learned_once(
        shape in shape(true, 1..5), limit in 2usize..24,
    ) {
        let kept = check_pieces(&shape, limit)?;
        let tokens = shape.tokens();
        let fits = |turn: usize| shape.prefix.len() + shape.turns[turn].len() <= limit;
        let expected = (1..tokens.len())
            .filter(|&index| tokens.learn()[index])
            .filter(|&index| match tokens.turn()[index] {
                Some(turn) => fits(turn as usize),
                None => !kept.is_empty(),
            })
            .map(|index| index as u32)
            .collect::<BTreeSet<u32>>();
        prop_assert_eq!(&kept, &expected);
        let dropped = (0..shape.turns.len()).filter(|&turn| !fits(turn)).count();
        prop_assert_eq!(cut(&tokens, limit).dropped_turns, dropped);
    }

    #[test]
    fn without_a_predictor_no_piece_learns_its_first_turn(
        shape in shape(false, 0..3), limit in 2usize..24,
    ) {
        check_pieces(&shape, limit)?;
        for piece in cut(&shape.tokens(), limit).pieces {
            let first = turns(&piece).into_iter().next();
            let silent = first.is_some_and(|turn| !learns(&piece, &turn));
            let prefix = shape.prefix.len();
            prop_assert!(silent || piece.len() == prefix, "{piece:?}");
        }
    }

    #[test]
    fn context_makes_room_for_every_target_when_two_turns_fit(
        shape in shape(false, 1..3), extra in 0usize..6,
    ) {
        prop_assume!(!shape.turns.is_empty());
        // 5 tokens a turn at most: any turn fits behind its neighbour.
        let kept = check_pieces(&shape, 10 + shape.prefix.len() + extra)?;
        prop_assert!(kept.into_iter().eq(targets(&shape.tokens())));
    }

    #[test]
    fn a_sequence_that_fits_stays_whole(shape in shape(true, 1..4), extra in 0usize..3) {
        let tokens = shape.tokens();
        let cut = cut(&tokens, tokens.len() + extra);
        prop_assert_eq!(cut.dropped_turns, 0);
        // Without turns there is nothing to open a piece with, and the prefix alone is dropped.
        let whole = tokens.learned() > 0 && !shape.turns.is_empty();
        prop_assert_eq!(cut.pieces, if whole { vec![tokens] } else { vec![] });
    }

    #[test]
    fn runs_are_maximal_and_lose_nothing(
        lengths in prop::collection::vec(1usize..9, 0..40), budget in 1usize..20,
    ) {
        let runs = runs(lengths.iter().copied(), budget);
        prop_assert!(runs.iter().cloned().flatten().eq(0..lengths.len()));
        let sum = |run: &Range<usize>| lengths[run.clone()].iter().sum::<usize>();
        for (number, run) in runs.iter().enumerate() {
            prop_assert!(sum(run) <= budget || run.len() == 1);
            if number + 1 < runs.len() {
                prop_assert!(sum(run) + lengths[run.end] > budget, "room was left");
            }
        }
    }

    #[test]
    fn no_segment_mixes_sequences(shapes in prop::collection::vec(shape(true, 1..3), 1..6)) {
        let sequences: Vec<Tokens> = shapes.iter().map(Shape::tokens).collect();
        let pack = lay(sequences.iter(), |_| 0.5);
        prop_assert_eq!(pack.segments().len(), sequences.len());
        prop_assert_eq!(pack.len(), sequences.iter().map(Tokens::len).sum::<usize>());
        for (segment, tokens) in pack.segments().zip(&sequences) {
            prop_assert_eq!(&pack.ids()[segment.clone()], tokens.ids());
            let weights = &pack.learn()[segment.clone()];
            let learned = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>();
            prop_assert_eq!(learned, 0.5 * tokens.learned() as f64);
            prop_assert!(pack.position()[segment].iter().copied().eq(0..tokens.len() as u32));
        }
    }
}

#[test]
fn a_continuation_repeats_the_description_without_loss() {
    let shape = Shape { prefix: vec![false, true], turns: vec![vec![false, true]; 3] };
    let pieces = cut(&shape.tokens(), 6).pieces;
    assert_eq!(pieces[0].ids(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(pieces[0].learn(), [false, true, false, true, false, true]);
    assert_eq!(pieces[1].ids(), [0, 1, 6, 7]);
    assert_eq!(pieces[1].learn(), [false, false, false, true]);
}

#[test]
fn without_a_description_a_continuation_begins_with_context() {
    let mut turns = vec![vec![true]; 5];
    turns[0] = vec![false];
    let pieces = cut(&Shape { prefix: vec![], turns }.tokens(), 3).pieces;
    let seen: Vec<_> = pieces.iter().map(|piece| (piece.ids(), targets(piece))).collect();
    assert_eq!(seen, [(&[0, 1, 2][..], vec![1, 2]), (&[2, 3, 4][..], vec![3, 4])]);
}
