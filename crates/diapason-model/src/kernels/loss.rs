//! Softmax cross-entropy over rows of logits `[R, V]`.

use super::exp::exp;
use super::reduce::{map_sum, max, sum_pairs};
use super::{SharedMut, vectorised};
use crate::Device;

/// One target: its token id and its loss weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    pub id: u32,
    pub weight: f32,
}

/// `nats[r] = -ln softmax(logits[r])[target]`, unweighted. With `scale`, the logits become
/// their gradient: `scale · weight · (softmax - one-hot)`.
pub(crate) fn cross_entropy(
    device: &Device,
    nats: &mut [f32],
    logits: &mut [f32],
    targets: &[Target],
    scale: Option<f32>,
) {
    let width = logits.len() / targets.len().max(1);
    assert_eq!(nats.len(), targets.len(), "one loss a row");
    let (nats, logits) = (SharedMut::new(nats), SharedMut::new(logits));
    device.each_range(targets.len(), 4, |rows, _| {
        for row in rows {
            // SAFETY: tasks have disjoint rows.
            let (loss, logits) = unsafe { (nats.slice(row, 1), logits.slice(row * width, width)) };
            let target = targets[row];
            loss[0] = match scale {
                Some(scale) => gradient_row(device.level(), logits, target, scale),
                None => loss_row(device.level(), logits, target),
            };
        }
    });
}

vectorised! {
    fn loss_row(logits: &mut [f32], target: Target) -> f32 {
        let top = max(logits);
        let chosen = logits[target.id as usize];
        let sum = sum_pairs(logits, logits, |x, _| exp(x - top));
        sum.ln() + (top - chosen)
    }
}

vectorised! {
    fn gradient_row(logits: &mut [f32], target: Target, scale: f32) -> f32 {
        let top = max(logits);
        let chosen = logits[target.id as usize];
        let sum = map_sum(logits, |x| exp(x - top));
        let weight = scale * target.weight;
        let factor = weight / sum;
        for x in &mut *logits {
            *x *= factor;
        }
        logits[target.id as usize] -= weight;
        sum.ln() + (top - chosen)
    }
}
