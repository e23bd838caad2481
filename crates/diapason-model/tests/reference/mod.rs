//! The decoder's slow, clear twin: double precision, one token after another, plain loops.

use diapason_flow::Pack;
use diapason_model::{Activation, Arch, LayerLayout, Layout, RopeScaling, Window};
use std::ops::Range;

/// Logits `[V]` of every token of one sequence.
pub(crate) fn logits(arch: &Arch, weights: &[f64], ids: &[u32]) -> Vec<Vec<f64>> {
    let layout = Layout::of(arch);
    let table = &weights[layout.embed.clone()];
    let factor = f64::from(arch.variant.embedding_scale.unwrap_or(1.0));
    let embed = |id: &u32| -> Vec<f64> {
        line(table, *id as usize, arch.width).iter().map(|value| value * factor).collect()
    };
    let mut rows: Vec<Vec<f64>> = ids.iter().map(embed).collect();
    for (index, layer) in layout.layers.iter().enumerate() {
        attention(arch, (index, layer), weights, &mut rows);
        for row in &mut rows {
            let normed = norm(row, &weights[layer.middle_norm.clone()], arch);
            let gate_up = times(&weights[layer.gate_up.clone()], &normed);
            let (gate, up) = gate_up.split_at(arch.mlp_width);
            let hidden: Vec<f64> =
                gate.iter().zip(up).map(|(gate, up)| activated(*gate, arch) * up).collect();
            let branch = times(&weights[layer.down.clone()], &hidden);
            add(row, &normed_branch(branch, layer.mlp_norm.as_ref(), weights, arch));
        }
    }
    let weight = &weights[layout.final_norm.clone()];
    let head = &weights[layout.head.clone()];
    rows.iter().map(|row| times(head, &norm(row, weight, arch))).collect()
}

/// One layer's attention, added to every row.
fn attention(
    arch: &Arch,
    (index, layer): (usize, &LayerLayout),
    weights: &[f64],
    rows: &mut [Vec<f64>],
) {
    let (e, group) = (arch.head_width, arch.heads / arch.kv_heads);
    let window = arch.variant.window.as_ref().filter(|window| window.layers[index]);
    let scalar = arch.variant.query_scalar.map_or(e as f64, f64::from);
    let mut keys: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut values: Vec<Vec<Vec<f64>>> = Vec::new();
    for (position, row) in rows.iter_mut().enumerate() {
        let normed = norm(row, &weights[layer.input_norm.clone()], arch);
        let mut qkv = times(&weights[layer.qkv.clone()], &normed);
        if let Some(bias) = &layer.qkv_bias {
            add(&mut qkv, &weights[bias.clone()]);
        }
        let mut heads = qkv.chunks_exact(e).map(<[f64]>::to_vec);
        let turned = |head: Vec<f64>, kind: usize| {
            let head = match &layer.head_norms {
                Some(norms) => norm(&head, &weights[norms[kind].clone()], arch),
                None => head,
            };
            rotate(&head, position, arch, window)
        };
        let queries: Vec<_> = heads.by_ref().take(arch.heads).map(|head| turned(head, 0)).collect();
        keys.push(heads.by_ref().take(arch.kv_heads).map(|head| turned(head, 1)).collect());
        values.push(heads.collect());
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window.tokens));
        let mut attended = Vec::new();
        for (head, query) in queries.iter().enumerate() {
            let score = |key: &Vec<Vec<f64>>| dot(query, &key[head / group]) / scalar.sqrt();
            let weights = softmax(&keys[first..].iter().map(score).collect::<Vec<_>>());
            attended.extend((0..e).map(|column| -> f64 {
                let seen = weights.iter().zip(&values[first..]);
                seen.map(|(weight, value)| weight * value[head / group][column]).sum()
            }));
        }
        let branch = times(&weights[layer.o.clone()], &attended);
        add(row, &normed_branch(branch, layer.attention_norm.as_ref(), weights, arch));
    }
}

fn normed_branch(
    branch: Vec<f64>,
    by: Option<&Range<usize>>,
    weights: &[f64],
    arch: &Arch,
) -> Vec<f64> {
    match by {
        Some(range) => norm(&branch, &weights[range.clone()], arch),
        None => branch,
    }
}

fn activated(x: f64, arch: &Arch) -> f64 {
    match arch.variant.activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
    }
}

/// Σ weight · -ln p over the targets of a pack.
pub(crate) fn nats(arch: &Arch, weights: &[f64], pack: &Pack) -> f64 {
    let mut total = 0.0;
    for segment in pack.segments() {
        let logits = logits(arch, weights, &pack.ids()[segment.clone()]);
        for (row, target) in segment.clone().zip(segment.start + 1..segment.end) {
            let p = softmax(&logits[row - segment.start]);
            let weight = f64::from(pack.learn()[target]);
            total -= weight * p[pack.ids()[target] as usize].ln();
        }
    }
    total
}

/// The gradient of [`nats`], by central differences.
pub(crate) fn gradient(arch: &Arch, weights: &[f64], pack: &Pack) -> Vec<f64> {
    let step = 1e-5;
    let mut weights = weights.to_vec();
    (0..weights.len())
        .map(|index| {
            let middle = weights[index];
            let [above, below] = [middle + step, middle - step].map(|value| {
                weights[index] = value;
                nats(arch, &weights, pack)
            });
            weights[index] = middle;
            (above - below) / (2.0 * step)
        })
        .collect()
}

fn line(table: &[f64], row: usize, width: usize) -> Vec<f64> {
    table[row * width..(row + 1) * width].to_vec()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `matrix [out, in] · vector [in]`
fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}

fn add(row: &mut [f64], more: &[f64]) {
    row.iter_mut().zip(more).for_each(|(value, more)| *value += more);
}

fn norm(row: &[f64], weight: &[f64], arch: &Arch) -> Vec<f64> {
    let mean = dot(row, row) / row.len() as f64;
    let inverse = 1.0 / (mean + f64::from(arch.norm_epsilon)).sqrt();
    let offset = f64::from(arch.variant.norm_offset);
    row.iter().zip(weight).map(|(value, weight)| value * inverse * (offset + weight)).collect()
}

fn rotate(head: &[f64], position: usize, arch: &Arch, window: Option<&Window>) -> Vec<f64> {
    let half = head.len() / 2;
    let mut out = head.to_vec();
    let own = window.and_then(|window| window.rope_theta);
    let theta = f64::from(own.unwrap_or(arch.rope_theta));
    for i in 0..half {
        let mut frequency = theta.powf(-(2.0 * i as f64) / head.len() as f64);
        if own.is_none() {
            frequency = scaled(frequency, arch.variant.rope_scaling);
        }
        let (sine, cosine) = (position as f64 * frequency).sin_cos();
        out[i] = head[i] * cosine - head[i + half] * sine;
        out[i + half] = head[i + half] * cosine + head[i] * sine;
    }
    out
}

fn scaled(frequency: f64, scaling: RopeScaling) -> f64 {
    match scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / f64::from(factor),
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_context,
        } => {
            // How many whole turns fit the old context, as a share of the way from low to high.
            let turns = original_context as f64 * frequency / std::f64::consts::TAU;
            let (low, high) = (f64::from(low_frequency_factor), f64::from(high_frequency_factor));
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / f64::from(factor))
        }
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / sum).collect()
}
