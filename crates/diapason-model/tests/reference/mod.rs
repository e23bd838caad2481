//! The decoder's slow, clear twin: double precision, one token after another, plain loops.

use diapason_flow::Pack;
use diapason_model::{Arch, Layout};

/// Logits `[V]` of every token of one sequence.
pub(crate) fn logits(arch: &Arch, weights: &[f64], ids: &[u32]) -> Vec<Vec<f64>> {
    let layout = Layout::of(arch);
    let (e, group) = (arch.head_width, arch.heads / arch.kv_heads);
    let mut rows: Vec<Vec<f64>> = ids
        .iter()
        .map(|id| line(&weights[layout.embed.clone()], *id as usize, arch.width))
        .collect();
    for layer in &layout.layers {
        let mut queries = Vec::new();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (position, row) in rows.iter_mut().enumerate() {
            let normed = norm(row, &weights[layer.input_norm.clone()], arch);
            let qkv = times(&weights[layer.qkv.clone()], &normed);
            let mut heads = qkv.chunks_exact(e).map(<[f64]>::to_vec);
            let rotated = |head: Vec<f64>| rotate(&head, position, arch);
            queries.push(heads.by_ref().take(arch.heads).map(rotated).collect::<Vec<_>>());
            keys.push(heads.by_ref().take(arch.kv_heads).map(rotated).collect::<Vec<_>>());
            values.push(heads.collect::<Vec<_>>());
            let mut attended = Vec::new();
            for head in 0..arch.heads {
                let scale = 1.0 / (e as f64).sqrt();
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|key| scale * dot(&queries[position][head], &key[head / group]))
                    .collect();
                let weights = softmax(&scores);
                attended.extend((0..e).map(|column| -> f64 {
                    let seen = weights.iter().zip(&values);
                    seen.map(|(weight, value)| weight * value[head / group][column]).sum()
                }));
            }
            add(row, &times(&weights[layer.o.clone()], &attended));
        }
        for row in &mut rows {
            let normed = norm(row, &weights[layer.post_norm.clone()], arch);
            let gate_up = times(&weights[layer.gate_up.clone()], &normed);
            let (gate, up) = gate_up.split_at(arch.mlp_width);
            let hidden: Vec<f64> =
                gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
            add(row, &times(&weights[layer.down.clone()], &hidden));
        }
    }
    let weight = &weights[layout.final_norm.clone()];
    let head = &weights[layout.head.clone()];
    rows.iter().map(|row| times(head, &norm(row, weight, arch))).collect()
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
    row.iter().zip(weight).map(|(value, weight)| value * inverse * weight).collect()
}

fn rotate(head: &[f64], position: usize, arch: &Arch) -> Vec<f64> {
    let half = head.len() / 2;
    let mut out = head.to_vec();
    for i in 0..half {
        let frequency = f64::from(arch.rope_theta).powf(-(2.0 * i as f64) / head.len() as f64);
        let (sine, cosine) = (position as f64 * frequency).sin_cos();
        out[i] = head[i] * cosine - head[i + half] * sine;
        out[i + half] = head[i + half] * cosine + head[i] * sine;
    }
    out
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / sum).collect()
}
