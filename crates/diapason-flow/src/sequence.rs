//! One sequence as text spans and as token ids, and many sequences as one pack.

use std::ops::Range;

/// The part of an episode that a span renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The description of the process.
    Description,
    /// The input of a turn.
    Input,
    /// The output of a turn.
    Output,
}

/// A stretch of rendered text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text exactly as it is tokenised.
    pub text: String,
    /// `true` for template text, in which special-token strings are tokens; `false` for data, in
    /// which they are plain text.
    pub template: bool,
    /// Whether its tokens bear loss.
    pub learn: bool,
    /// What it renders; `None` for what belongs to no part (a begin-of-text token).
    pub role: Option<Role>,
    /// The number of the turn it belongs to, from 0; `None` for the description.
    pub turn: Option<u32>,
}

/// A rendered episode: its text in spans, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// The spans in order.
    pub spans: Vec<Span>,
}

impl Marked {
    /// The whole text.
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }

    /// Whether any span bears loss.
    pub fn learns(&self) -> bool {
        self.spans.iter().any(|span| span.learn && !span.text.is_empty())
    }
}

/// A tokenised sequence of T tokens: ids, learn flags and turn numbers of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    learn: Vec<bool>,
    turn: Vec<Option<u32>>,
}

impl Tokens {
    /// Appends one token. `learn`: it is a target, predicted from the tokens before it.
    pub fn push(&mut self, id: u32, learn: bool, turn: Option<u32>) {
        self.ids.push(id);
        self.learn.push(learn);
        self.turn.push(turn);
    }

    /// Appends tokens of one turn, all targets or none, except that the first of a sequence never is.
    pub fn extend(&mut self, ids: &[u32], learn: bool, turn: Option<u32>) {
        let end = self.ids.len() + ids.len();
        if self.ids.is_empty() && !ids.is_empty() {
            self.learn.push(false);
        }
        self.ids.extend_from_slice(ids);
        self.learn.resize(end, learn);
        self.turn.resize(end, turn);
    }

    /// Appends a range of another sequence; without `learn` none of it is a target.
    pub fn append(&mut self, other: &Tokens, range: Range<usize>, learn: bool) {
        self.ids.extend_from_slice(&other.ids[range.clone()]);
        if learn {
            self.learn.extend_from_slice(&other.learn[range.clone()]);
        } else {
            self.learn.resize(self.ids.len(), false);
        }
        self.turn.extend_from_slice(&other.turn[range]);
    }

    /// Token ids, `[T]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether each token is a target, `[T]`.
    pub fn learn(&self) -> &[bool] {
        &self.learn
    }

    /// The turn each token belongs to, `[T]`; `None` before the first turn.
    pub fn turn(&self) -> &[Option<u32>] {
        &self.turn
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of targets that a model can be trained on (the first token has no predecessor).
    pub fn learned(&self) -> usize {
        self.learn.iter().skip(1).filter(|learn| **learn).count()
    }

    /// The first `len` tokens.
    pub fn truncated(&self, len: usize) -> Tokens {
        let len = len.min(self.len());
        Tokens {
            ids: self.ids[..len].to_vec(),
            learn: self.learn[..len].to_vec(),
            turn: self.turn[..len].to_vec(),
        }
    }
}

/// Sequences laid end to end, `[N]` tokens in all, no padding.
///
/// A segment is a trunk and perhaps branches that leave it. A token attends to the earlier tokens
/// of its own segment only: on the trunk to all of them, on a branch to the trunk up to where the
/// branch leaves it and to the branch itself. So what many continuations share is computed once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pack {
    ids: Vec<u32>,
    learn: Vec<f32>,
    position: Vec<u32>,
    /// Offset in its segment at which the branch of each token begins; 0 on the trunk.
    branch: Vec<u32>,
    /// Start of each segment, and the end of the last: `[segments + 1]`.
    starts: Vec<usize>,
}

impl Pack {
    /// An empty pack.
    pub fn new() -> Self {
        Pack { starts: vec![0], ..Pack::default() }
    }

    /// Appends a sequence as a segment of its own, every target with weight one.
    pub fn push(&mut self, tokens: &Tokens) {
        self.push_weighted(tokens.ids(), |index| f32::from(u8::from(tokens.learn()[index])));
    }

    /// Appends a sequence; `weight(i)` is the loss weight of token `i` as a target. The first
    /// token of a segment is never a target.
    pub fn push_weighted(&mut self, ids: &[u32], weight: impl Fn(usize) -> f32) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.ids.extend_from_slice(ids);
        let weight = |index| if index == 0 { 0.0 } else { weight(index) };
        self.learn.extend((0..ids.len()).map(weight));
        self.position.extend(0..ids.len() as u32);
        self.branch.resize(self.ids.len(), 0);
        self.starts.push(self.ids.len());
    }

    /// Appends a branch to the last segment. It stands at position `at` of the trunk: it attends
    /// to the `at` trunk tokens before and to itself. Its first token, which is never a target,
    /// repeats the trunk token that predicts the continuation.
    ///
    /// # Panics
    /// If there is no segment, or its trunk ends before `at`.
    pub fn push_branch(&mut self, at: usize, ids: &[u32], weight: impl Fn(usize) -> f32) {
        let end = self.ids.len();
        let start = self.starts.iter().rev().nth(1).copied().unwrap_or(end);
        let trunk = self.branch[start..].iter().take_while(|branch| **branch == 0).count();
        assert!((1..=trunk).contains(&(at + 1)), "a branch at {at} leaves a trunk of {trunk}");
        for (index, id) in ids.iter().enumerate() {
            self.ids.push(*id);
            self.learn.push(if index == 0 { 0.0 } else { weight(index) });
            self.position.push((at + index) as u32);
            self.branch.push((end - start) as u32);
        }
        if let Some(last) = self.starts.last_mut() {
            *last = self.ids.len();
        }
    }

    /// Token ids, `[N]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Loss weight of each token as a target, `[N]`; 0 bears no loss.
    pub fn learn(&self) -> &[f32] {
        &self.learn
    }

    /// Position of each token, `[N]`: its number on the trunk, or on the path of trunk and branch.
    pub fn position(&self) -> &[u32] {
        &self.position
    }

    /// Offset in its segment at which the branch of each token begins, `[N]`; 0 on the trunk. The
    /// position of that first token is the number of trunk tokens that the branch sees.
    pub fn branch(&self) -> &[u32] {
        &self.branch
    }

    /// Token ranges of the segments, in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Number of tokens N.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Sum of the loss weights.
    pub fn learned(&self) -> f64 {
        self.learn.iter().map(|weight| f64::from(*weight)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_starts_every_segment_at_position_zero_without_loss_on_its_first_token() {
        let mut tokens = Tokens::default();
        for id in 1..=3 {
            tokens.push(id, true, Some(0));
        }
        let mut pack = Pack::new();
        pack.push(&tokens);
        pack.push(&tokens.truncated(2));
        assert_eq!(pack.ids(), [1, 2, 3, 1, 2]);
        assert_eq!(pack.position(), [0, 1, 2, 0, 1]);
        assert_eq!(pack.learn(), [0.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(pack.segments().collect::<Vec<_>>(), [0..3, 3..5]);
        assert_eq!(pack.learned(), 3.0);
        assert_eq!(tokens.learned(), 2);
    }

    #[test]
    fn stretches_are_appended_as_their_tokens_would_be() {
        let (mut whole, mut part) = (Tokens::default(), Tokens::default());
        whole.extend(&[], true, None);
        whole.extend(&[1, 2], true, None);
        whole.extend(&[3, 4], true, Some(0));
        whole.extend(&[5], false, Some(1));
        assert_eq!(whole.ids(), [1, 2, 3, 4, 5]);
        assert_eq!(whole.learn(), [false, true, true, true, false]);
        assert_eq!(whole.turn(), [None, None, Some(0), Some(0), Some(1)]);
        part.append(&whole, 1..3, false);
        part.append(&whole, 3..5, true);
        assert_eq!(part.ids(), [2, 3, 4, 5]);
        assert_eq!(part.learn(), [false, false, true, false]);
        assert_eq!(part.turn(), [None, Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn a_branch_continues_the_trunk_of_the_last_segment() {
        let mut pack = Pack::new();
        pack.push_weighted(&[9, 9], |_| 1.0);
        pack.push_weighted(&[1, 2, 3], |_| 1.0);
        pack.push_branch(2, &[3, 4, 5], |_| 0.25);
        pack.push_branch(0, &[1, 6], |_| 0.5);
        assert_eq!(pack.ids(), [9, 9, 1, 2, 3, 3, 4, 5, 1, 6]);
        assert_eq!(pack.position(), [0, 1, 0, 1, 2, 2, 3, 4, 0, 1]);
        assert_eq!(pack.branch(), [0, 0, 0, 0, 0, 3, 3, 3, 6, 6]);
        assert_eq!(pack.learn(), [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.25, 0.25, 0.0, 0.5]);
        assert_eq!(pack.segments().collect::<Vec<_>>(), [0..2, 2..10]);
    }
}
