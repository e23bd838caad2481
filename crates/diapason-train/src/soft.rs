//! Soft targets: all options of a known distribution instead of the one that was drawn.
//!
//! The options leave the sequence as branches at the token that predicts them. What is before them
//! is computed once; each option learns with its probability as its weight, so that the gradient
//! is the expectation of what drawn options would give, and its variance zero:
//!
//! ```text
//! … draw one: │ red ⏎      weight p(red)
//!             │ blue ⏎     weight p(blue)
//! ```

use crate::TrainError;
use diapason_flow::{Pack, Tokens};
use std::borrow::Cow;

/// A distribution over what follows a sequence's token `from - 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftTarget {
    /// First token of the drawn output, at least 1. Everything that bears loss from here on is the
    /// draw that the options stand in for.
    pub from: usize,
    /// Options as they would stand from there, terminators included, and their probabilities.
    pub options: Vec<(Vec<u32>, f64)>,
}

impl SoftTarget {
    /// What is wrong with it on a sequence of these tokens.
    pub(crate) fn problem(&self, tokens: &Tokens, vocabulary: usize) -> Option<String> {
        let total: f64 = self.options.iter().map(|(_, probability)| probability).sum();
        let unknown = |id: &&u32| **id as usize >= vocabulary;
        if self.from == 0 || self.from >= tokens.len() {
            Some(format!("it begins at token {} of {}", self.from, tokens.len()))
        } else if self.options.iter().any(|(ids, _)| ids.is_empty()) {
            Some("an option has no token".to_owned())
        } else if let Some(id) = self.options.iter().flat_map(|(ids, _)| ids).find(unknown) {
            Some(format!("an option holds token {id} of a vocabulary of {vocabulary}"))
        } else if self.options.iter().any(|(_, probability)| !(0.0..=1.0).contains(probability))
            || (total - 1.0).abs() > 1e-6
        {
            Some(format!("its probabilities sum to {total}, or one is outside 0..=1"))
        } else {
            None
        }
    }

    /// Options that can be drawn.
    fn possible(&self) -> impl Iterator<Item = (&[u32], f64)> {
        let options = self.options.iter().filter(|(_, probability)| *probability > 0.0);
        options.map(|(ids, probability)| (ids.as_slice(), *probability))
    }
}

/// What is trained on as one: tokens, and perhaps options that stand in for their end.
pub(crate) struct Piece<'a> {
    pub(crate) task: &'a str,
    pub(crate) tokens: Cow<'a, Tokens>,
    /// A target and the share of the loss that its options bear.
    pub(crate) soft: Option<(&'a SoftTarget, f64)>,
}

impl<'a> Piece<'a> {
    /// A whole sequence, with its options if their share is positive and they fit: positions in
    /// `limit` tokens, the piece in `budget`.
    pub(crate) fn whole(
        task: &'a str,
        tokens: &'a Tokens,
        (target, share): (Option<&'a SoftTarget>, f64),
        (limit, budget): (usize, usize),
    ) -> Self {
        let plain = Piece { task, tokens: Cow::Borrowed(tokens), soft: None };
        let Some(target) = target.filter(|_| share > 0.0) else { return plain };
        let longest = target.possible().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let soft = Piece { soft: Some((target, share)), ..plain };
        if target.from + longest <= limit && soft.len() <= budget {
            soft
        } else {
            Piece { soft: None, ..soft }
        }
    }

    /// Tokens of the trunk: nobody needs a draw that bears no loss.
    fn trunk(&self) -> &[u32] {
        match self.soft {
            Some((target, share)) if share >= 1.0 => &self.tokens.ids()[..target.from],
            _ => self.tokens.ids(),
        }
    }

    /// Tokens to compute.
    pub(crate) fn len(&self) -> usize {
        let branches = self.soft.iter().flat_map(|(target, _)| target.possible());
        self.trunk().len() + branches.map(|(ids, _)| 1 + ids.len()).sum::<usize>()
    }

    /// Tokens that bear loss, at most.
    pub(crate) fn targets(&self) -> usize {
        if self.soft.is_some() { self.len() } else { self.tokens.learned() }
    }

    /// Loss weight of a trunk token as a target.
    fn weight(&self, index: usize) -> f64 {
        let left = match self.soft {
            Some((target, share)) if index >= target.from => 1.0 - share,
            _ => 1.0,
        };
        if self.tokens.learn()[index] { left } else { 0.0 }
    }

    /// Sum of the loss weights: the expected number of targets.
    pub(crate) fn learned(&self) -> f64 {
        let trunk: f64 = (1..self.trunk().len()).map(|index| self.weight(index)).sum();
        let soft = self.soft.iter().flat_map(|(target, share)| {
            target.possible().map(move |(ids, probability)| share * probability * ids.len() as f64)
        });
        trunk + soft.sum::<f64>()
    }

    /// Appends the piece to a pack; `unit` multiplies its loss weights.
    pub(crate) fn lay(&self, pack: &mut Pack, unit: f32) {
        pack.push_weighted(self.trunk(), |index| self.weight(index) as f32 * unit);
        let Some((target, share)) = self.soft else { return };
        let at = target.from - 1;
        for (ids, probability) in target.possible() {
            let branch = [&self.tokens.ids()[at..=at], ids].concat();
            let weight = (share * probability) as f32 * unit;
            pack.push_branch(at, &branch, |_| weight);
        }
    }
}

/// Refuses a target that does not fit its sequence.
pub(crate) fn check(
    (index, task): (usize, &str),
    target: &SoftTarget,
    tokens: &Tokens,
    vocabulary: usize,
) -> Result<(), TrainError> {
    match target.problem(tokens, vocabulary) {
        Some(problem) => Err(TrainError::SoftTarget { index, task: task.to_owned(), problem }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
