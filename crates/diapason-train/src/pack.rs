//! Cutting long sequences at turn borders, and laying sequences end to end.
//!
//! A sequence is a prefix (begin-of-text and description: tokens without a turn) and turns. One
//! that is too long becomes several pieces, each a valid shorter episode:
//!
//! ```text
//! [prefix][turn 0][turn 1] | [prefix][turn 2][turn 3] | …
//! ```
//!
//! Every target is learned once: a repeated prefix bears no loss. Where the first turn of a
//! sequence bears no loss (without a description nothing predicts it), a continuation begins with
//! the turn before it as context, without loss.

use diapason_flow::{Pack, Tokens};
use std::borrow::Cow;
use std::ops::Range;

/// The pieces of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Pieces of at most the limit, each with something to learn, in order.
    pub(crate) pieces: Vec<Tokens>,
    /// Turns that fit no piece.
    pub(crate) dropped_turns: usize,
}

/// Cuts a sequence into pieces of at most `limit` tokens.
///
/// A turn that does not fit behind the prefix is dropped, and nothing is laid across the gap.
/// Pieces in which nothing is learned are left out.
pub(crate) fn cut(tokens: &Tokens, limit: usize) -> Cut {
    let turns = turns(tokens);
    let prefix = 0..turns.first().map_or(tokens.len(), |turn| turn.start);
    let mut cutter = Cutter {
        tokens,
        limit,
        first_turn_learns: turns.first().is_some_and(|turn| learns(tokens, turn)),
        prefix,
        open: None,
        last: None,
        cut: Cut::default(),
    };
    for turn in turns {
        cutter.turn(turn);
    }
    cutter.close();
    cutter.cut
}

/// Sequences cut to `limit` tokens and laid end to end, in order, into packs of at most `limit`
/// tokens, every target with weight one. What has nothing to learn is left out.
pub fn pack_in_order(sequences: &[Tokens], limit: usize) -> Vec<Pack> {
    let pieces = pieces(sequences, limit);
    let runs = runs(pieces.iter().map(|piece| piece.len()), limit);
    let lay_run = |run: Range<usize>| lay(pieces[run].iter().map(AsRef::as_ref), |_| 1.0);
    runs.into_iter().map(lay_run).collect()
}

/// Sequences of at most `limit` tokens, in order, longer ones cut at turn borders. What has nothing to
/// learn is left out.
pub fn pieces(sequences: &[Tokens], limit: usize) -> Vec<Cow<'_, Tokens>> {
    let mut pieces: Vec<Cow<'_, Tokens>> = Vec::with_capacity(sequences.len());
    for tokens in sequences.iter().filter(|tokens| tokens.learned() > 0) {
        if tokens.len() <= limit {
            pieces.push(Cow::Borrowed(tokens));
        } else {
            pieces.extend(cut(tokens, limit).pieces.into_iter().map(Cow::Owned));
        }
    }
    pieces
}

struct Cutter<'a> {
    tokens: &'a Tokens,
    limit: usize,
    prefix: Range<usize>,
    first_turn_learns: bool,
    /// The piece that is being filled.
    open: Option<Tokens>,
    /// The turn before the next one, unless it was dropped.
    last: Option<Range<usize>>,
    cut: Cut,
}

impl Cutter<'_> {
    fn turn(&mut self, turn: Range<usize>) {
        if let Some(open) = &mut self.open
            && open.len() + turn.len() <= self.limit
        {
            open.append(self.tokens, turn.clone(), true);
            self.last = Some(turn);
            return;
        }
        self.close();
        self.open = self.begin(turn.clone());
        self.last = self.open.is_some().then_some(turn.clone());
        self.cut.dropped_turns += usize::from(self.open.is_none());
    }

    /// A new piece that begins with this turn, `None` if it does not fit.
    fn begin(&self, turn: Range<usize>) -> Option<Tokens> {
        let needed = self.prefix.len() + turn.len();
        if needed > self.limit {
            return None;
        }
        let context = self
            .last
            .clone()
            .filter(|last| !self.first_turn_learns && needed + last.len() <= self.limit);
        let mut piece = Tokens::default();
        piece.append(self.tokens, self.prefix.clone(), self.cut.pieces.is_empty());
        let predicted = self.first_turn_learns || context.is_some();
        if let Some(context) = context {
            piece.append(self.tokens, context, false);
        }
        piece.append(self.tokens, turn, predicted);
        Some(piece)
    }

    fn close(&mut self) {
        self.cut.pieces.extend(self.open.take().filter(|piece| piece.learned() > 0));
    }
}

/// Token ranges of the turns. Tokens without a turn after the first turn belong to the turn before.
fn turns(tokens: &Tokens) -> Vec<Range<usize>> {
    let mut turns: Vec<Range<usize>> = Vec::new();
    let mut current = None;
    for (index, turn) in tokens.turn().iter().enumerate() {
        if turn.is_some() && *turn != current {
            current = *turn;
            turns.push(index..index + 1);
        } else if let Some(last) = turns.last_mut() {
            last.end = index + 1;
        }
    }
    turns
}

/// Whether a range holds a target; the first token of a sequence is none.
fn learns(tokens: &Tokens, range: &Range<usize>) -> bool {
    range.clone().skip(usize::from(range.start == 0)).any(|index| tokens.learn()[index])
}

/// Splits a list of lengths, in order, into runs of at most `budget` tokens, at least one each.
pub(crate) fn runs(lengths: impl Iterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut filled = 0;
    for (index, length) in lengths.enumerate() {
        match runs.last_mut() {
            Some(run) if filled + length <= budget => {
                run.end = index + 1;
                filled += length;
            }
            _ => {
                runs.push(index..index + 1);
                filled = length;
            }
        }
    }
    runs
}

/// Lays sequences end to end, each a segment of its own; `weight` is the loss weight of a
/// sequence's targets.
pub(crate) fn lay<'a>(
    sequences: impl Iterator<Item = &'a Tokens>,
    weight: impl Fn(&Tokens) -> f32,
) -> Pack {
    let mut pack = Pack::new();
    for tokens in sequences {
        let weight = weight(tokens);
        let weight_of = |index: usize| if tokens.learn()[index] { weight } else { 0.0 };
        pack.push_weighted(tokens.ids(), weight_of);
    }
    pack
}

#[cfg(test)]
mod tests;
