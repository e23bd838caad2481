//! Logits `[V]` → one drawn token: temperature, top-k, top-p, min-p, in this order.

use crate::constrain::Walk;
use crate::rank::rank;
use diapason_flow::{Sampling, Stream};
use diapason_model::{largest_logit, sum_weights, weigh_logits};
use rand::Rng;

/// Weights of a stretch of tokens are summed together, so that a draw skips most of them.
const BLOCK: usize = 256;
/// How many of the likeliest tokens are looked at first when only some are kept.
const FIRST_LOOK: usize = 256;

/// Draws tokens; holds the buffers that a draw needs.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    /// `exp((logit - max) / temperature)`, `[V]`; the largest is 1.
    weights: Vec<f32>,
    /// Token ids, the likeliest in front as far as they are ranked.
    ranked: Vec<u32>,
    /// Logits with biases and without what is forbidden, `[V]`.
    changed: Vec<f32>,
}

impl Chooser {
    /// Draws one token that a walk allows, with the request's biases.
    ///
    /// # Errors
    /// If nothing is allowed, or the walk cannot go on.
    pub(crate) fn choose_within(
        &mut self,
        logits: &[f32],
        sampling: &Sampling,
        walk: &mut Walk,
        stream: &mut Stream,
    ) -> Result<u32, String> {
        if matches!(walk, Walk::Free) && sampling.bias.is_empty() {
            return Ok(self.choose(logits, sampling, stream));
        }
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        changed.extend_from_slice(logits);
        for (id, bias) in &sampling.bias {
            changed[*id as usize] += bias;
        }
        walk.forbid(&mut changed)?;
        if largest_logit(&changed) == f32::NEG_INFINITY {
            return Err("its constraint and biases leave no token to draw".to_owned());
        }
        let id = self.choose(&changed, sampling, stream);
        self.changed = changed;
        walk.advance(id)?;
        Ok(id)
    }

    /// Draws one token. Greedy choice takes nothing from the stream, any other draw one number.
    /// `logits` hold no not-a-number.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        sampling: &Sampling,
        stream: &mut Stream,
    ) -> u32 {
        if sampling.temperature == 0.0 {
            let max = largest_logit(logits);
            let place = logits.iter().position(|logit| *logit == max);
            return place.unwrap_or_default() as u32;
        }
        self.weigh(logits, sampling.temperature);
        let uniform = (stream.next_u64() >> 11) as f64 * 2f64.powi(-53);
        if sampling.top_k == 0 && sampling.top_p >= 1.0 && sampling.min_p <= 0.0 {
            self.among_all(uniform)
        } else {
            let (kept, mass) = self.filter(logits, sampling);
            self.among_ranked(kept, mass, uniform)
        }
    }

    fn weigh(&mut self, logits: &[f32], temperature: f32) {
        self.weights.resize(logits.len(), 0.0);
        weigh_logits(logits, temperature, &mut self.weights);
    }

    /// Inverts the distribution function over all tokens in the order of their ids.
    fn among_all(&self, uniform: f64) -> u32 {
        let blocks: Vec<f64> = self.weights.chunks(BLOCK).map(sum_weights).collect();
        let mut left = uniform * blocks.iter().sum::<f64>();
        let mut chosen = 0;
        for (number, block) in self.weights.chunks(BLOCK).enumerate() {
            if left >= blocks[number] && number + 1 < blocks.len() {
                left -= blocks[number];
                continue;
            }
            for (offset, weight) in block.iter().enumerate() {
                // Rounding may leave a little at the end; it belongs to the last possible token.
                if *weight > 0.0 {
                    chosen = number * BLOCK + offset;
                    left -= f64::from(*weight);
                    if left < 0.0 {
                        break;
                    }
                }
            }
            break;
        }
        chosen as u32
    }

    /// Ranks the tokens that pass all filters. Returns their number, at least one, and mass.
    ///
    /// Each filter keeps a beginning of the ranking, so together they keep the shortest one.
    fn filter(&mut self, logits: &[f32], sampling: &Sampling) -> (usize, f64) {
        let vocabulary = logits.len();
        self.ranked.clear();
        self.ranked.extend(0..vocabulary as u32);
        let limit = if sampling.top_k == 0 { vocabulary } else { sampling.top_k.min(vocabulary) };
        let total = if limit == vocabulary {
            sum_weights(&self.weights)
        } else {
            rank(logits, &mut self.ranked, limit);
            self.ranked[..limit].iter().map(|id| f64::from(self.weights[*id as usize])).sum()
        };
        let enough =
            if sampling.top_p < 1.0 { f64::from(sampling.top_p) * total } else { f64::INFINITY };
        let mut look = FIRST_LOOK;
        loop {
            look = look.min(limit);
            rank(logits, &mut self.ranked, look);
            let mut mass = 0.0;
            for (place, id) in self.ranked[..look].iter().enumerate() {
                let weight = self.weights[*id as usize];
                if place > 0 && (weight < sampling.min_p || weight == 0.0) {
                    return (place, mass);
                }
                mass += f64::from(weight);
                if mass >= enough {
                    return (place + 1, mass);
                }
            }
            if look == limit {
                return (limit, mass);
            }
            look *= 8;
        }
    }

    fn among_ranked(&self, kept: usize, mass: f64, uniform: f64) -> u32 {
        let mut left = uniform * mass;
        for id in &self.ranked[..kept] {
            left -= f64::from(self.weights[*id as usize]);
            if left < 0.0 {
                return *id;
            }
        }
        self.ranked[kept - 1]
    }
}

#[cfg(test)]
mod tests;
