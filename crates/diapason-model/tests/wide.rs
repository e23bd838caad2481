//! Gradients at the shapes of quickstart: several tiles of attention, whole vectors everywhere.

#[expect(dead_code, reason = "the twin's own gradient is too slow at this size")]
mod reference;

use diapason_flow::{Pack, Streams};
use diapason_model::{Arch, Device, Model, Workspace};
use rand::RngExt;

#[test]
fn gradients_of_whole_tiles_are_those_of_the_twin() {
    let arch = Arch {
        family: "llama".to_owned(),
        width: 64,
        layers: 2,
        heads: 2,
        kv_heads: 2,
        head_width: 32,
        mlp_width: 96,
        vocabulary: 70,
        context: 300,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tied: true,
    };
    let model = Model::random(arch, &Streams::new(5)).unwrap();
    let model = Model::new(model.arch, model.weights.iter().map(|w| w * 4.0).collect()).unwrap();
    let mut stream = Streams::new(5).stream("ids", 1);
    let mut pack = Pack::new();
    for length in [61, 20, 118] {
        let ids: Vec<u32> = (0..length).map(|_| stream.random_range(0..70)).collect();
        pack.push_weighted(&ids, |at| [1.0, 0.0, 0.0][at % 3]);
    }
    let mut workspace = Workspace::new(&model.arch, pack.len());
    let mut gradients = vec![0.0; model.layout.len];
    let device = Device::cpu(2);
    let loss =
        model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut gradients).unwrap();
    let weights: Vec<f64> = model.weights.iter().map(|w| f64::from(*w)).collect();
    let expected = reference::nats(&model.arch, &weights, &pack);
    assert!((loss.nats - expected).abs() < 1e-3, "{} for {expected}", loss.nats);
    // The derivative along the gradient itself is its squared length.
    for spec in &model.layout.tensors {
        let gradient = &gradients[spec.range.clone()];
        let size: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let step = 1e-4 / size.max(1e-9);
        let moved = |sign: f64| {
            let mut weights = weights.clone();
            for (weight, gradient) in weights[spec.range.clone()].iter_mut().zip(gradient) {
                *weight += sign * step * f64::from(*gradient);
            }
            reference::nats(&model.arch, &weights, &pack)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        let relative = (slope / (size * size) - 1.0).abs();
        assert!(relative < 1e-3, "{}: {relative:e}", spec.name);
    }
}
