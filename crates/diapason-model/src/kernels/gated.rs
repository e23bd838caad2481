//! The gated activation of the MLP, `a(gate) · up`, forward and backward.
//!
//! Both activations are `x · σ(t(x))`: SiLU with t(x) = x, GELU in its tanh form with
//! t(x) = √(8/π)·(x + 0.044715·x³), because (1 + tanh(t/2)) / 2 = σ(t).

use super::exp::exp;
use super::{SharedMut, vectorised};
use crate::{Activation, Device};

/// √(8/π)
const GELU_LINEAR: f32 = 1.595_769_2;
/// 0.044715 · √(8/π)
const GELU_CUBIC: f32 = 0.071_354_814;

/// `out [N, M] = a(gate) · up` of `gate_up [N, 2M]`.
pub(crate) fn gated(
    device: &Device,
    out: &mut [f32],
    gate_up: &[f32],
    width: usize,
    activation: Activation,
) {
    let rows = match activation {
        Activation::Silu => silu_rows,
        Activation::GeluTanh => gelu_rows,
    };
    let shared = SharedMut::new(out);
    device.each_range(gate_up.len() / (2 * width), 8, |part, _| {
        // SAFETY: tasks have disjoint rows.
        let out = unsafe { shared.slice(part.start * width, part.len() * width) };
        let gate_up = &gate_up[part.start * 2 * width..part.end * 2 * width];
        rows(device.level(), out, gate_up, width);
    });
}

vectorised! {
    fn silu_rows(out: &mut [f32], gate_up: &[f32], width: usize) -> () {
        gated_rows(out, gate_up, width, |x| x);
    }
}

vectorised! {
    fn gelu_rows(out: &mut [f32], gate_up: &[f32], width: usize) -> () {
        gated_rows(out, gate_up, width, |x| x * (GELU_LINEAR + GELU_CUBIC * x * x));
    }
}

#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn gated_rows(out: &mut [f32], gate_up: &[f32], width: usize, t: impl Fn(f32) -> f32) {
    for (out, both) in out.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
        let (gate, up) = both.split_at(width);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp(-t(*gate))) * up;
        }
    }
}

/// Takes the gradient of [`gated`]'s result in `hidden [N, M]`, turns `gate_up [N, 2M]` into its
/// gradient, and leaves the result itself in `hidden`: the backward pass needs it once more.
pub(crate) fn gated_backward(
    device: &Device,
    gate_up: &mut [f32],
    hidden: &mut [f32],
    width: usize,
    activation: Activation,
) {
    let backward_row = match activation {
        Activation::Silu => silu_backward_row,
        Activation::GeluTanh => gelu_backward_row,
    };
    let rows = hidden.len() / width;
    let (gate_up, hidden) = (SharedMut::new(gate_up), SharedMut::new(hidden));
    device.each_range(rows, 8, |rows, _| {
        for row in rows {
            // SAFETY: tasks have disjoint rows.
            let both = unsafe { gate_up.slice(row * 2 * width, 2 * width) };
            // SAFETY: as above.
            let hidden = unsafe { hidden.slice(row * width, width) };
            let (gate, up) = both.split_at_mut(width);
            backward_row(device.level(), gate, up, hidden);
        }
    });
}

vectorised! {
    fn silu_backward_row(gate: &mut [f32], up: &mut [f32], hidden: &mut [f32]) -> () {
        gated_backward_row(gate, up, hidden, |x| (x, 1.0));
    }
}

vectorised! {
    fn gelu_backward_row(gate: &mut [f32], up: &mut [f32], hidden: &mut [f32]) -> () {
        gated_backward_row(gate, up, hidden, |x| {
            let cubic = GELU_CUBIC * x * x;
            (x * (GELU_LINEAR + cubic), GELU_LINEAR + 3.0 * cubic)
        });
    }
}

/// One row at a time, so that the three buffers are known not to overlap. `t` gives its value and
/// its slope.
#[expect(clippy::inline_always, reason = "it must take on its callers' target features")]
#[inline(always)]
fn gated_backward_row(
    gate: &mut [f32],
    up: &mut [f32],
    hidden: &mut [f32],
    t: impl Fn(f32) -> (f32, f32),
) {
    for ((gate, up), hidden) in gate.iter_mut().zip(up).zip(hidden) {
        let (t, t_slope) = t(*gate);
        let sigmoid = 1.0 / (1.0 + exp(-t));
        let active = *gate * sigmoid;
        let slope = sigmoid * (1.0 + *gate * (1.0 - sigmoid) * t_slope);
        let (d_out, result) = (*hidden, active * *up);
        *gate = d_out * *up * slope;
        *up = d_out * active;
        *hidden = result;
    }
}
