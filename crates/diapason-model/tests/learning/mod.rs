//! Models, packs and the comparison with the twin, for the tests of plain Llama and of the families.

use crate::reference;
use diapason_flow::{Pack, Streams};
use diapason_model::{Arch, Device, Layout, Model, PackLoss, Workspace};
use rand::{Rng, RngExt};

pub(crate) fn model(arch: &Arch) -> Model {
    let mut stream = Streams::new(5).stream("weights", 0);
    let len = Layout::of(arch).len;
    let weights: Vec<f32> = (0..len).map(|_| stream.random_range(-0.6..0.6_f32)).collect();
    Model::new(arch.clone(), weights).expect("as many weights as the layout has")
}

pub(crate) fn ids(count: usize, index: u64) -> Vec<u32> {
    let mut stream = Streams::new(5).stream("ids", index);
    (0..count).map(|_| stream.next_u32() % 23).collect()
}

/// Segments of these lengths; targets of weight 1, 0.5 and 0.
pub(crate) fn pack(lengths: &[usize]) -> Pack {
    let mut pack = Pack::new();
    for (index, length) in lengths.iter().enumerate() {
        pack.push_weighted(&ids(*length, index as u64), |at| [1.0, 0.5, 0.0][at % 3]);
    }
    pack
}

pub(crate) fn learn(model: &Model, pack: &Pack, threads: usize) -> (PackLoss, Vec<f32>) {
    let mut workspace = Workspace::new(&model.arch, pack.len() + 3);
    let mut gradients = vec![0.0; model.layout.len];
    let device = Device::cpu(threads);
    let loss = model.loss_and_gradients(&device, pack, 1.0, &mut workspace, &mut gradients);
    (loss.expect("the pack fits"), gradients)
}

fn in_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Loss and every gradient against the twin's; `bound` is the relative error of a tensor.
pub(crate) fn assert_gradients(model: &Model, pack: &Pack, bound: f64) {
    let arch = &model.arch;
    let (loss, gradients) = learn(model, pack, 2);
    let weights = in_f64(&model.weights.all().wide());
    let expected = reference::nats(arch, &weights, pack);
    assert!((loss.nats - expected).abs() < 1e-4, "{} for {expected}: {arch:?}", loss.nats);
    let expected = reference::gradient(arch, &weights, pack);
    for spec in &model.layout.tensors {
        let (found, expected) = (&gradients[spec.range.clone()], &expected[spec.range.clone()]);
        let pairs = found.iter().zip(expected);
        let error: f64 = pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
        let size: f64 = expected.iter().map(|b| b * b).sum();
        assert!(size > 0.0, "{} has a gradient", spec.name);
        let relative = (error / size).sqrt();
        assert!(relative < bound, "{} of {}: {relative:e}", spec.name, arch.family);
    }
}

/// Slopes of the twin's loss along the gradient of each tensor and along a random direction: at
/// shapes with several tiles, whole vectors and blocks, where single differences would take hours.
/// `bound` is the largest error for a gradient of a norm.
pub(crate) fn assert_slopes(model: &Model, pack: &Pack, bound: impl Fn(f64) -> f64) {
    let arch = &model.arch;
    let (loss, gradients) = learn(model, pack, 2);
    let weights = in_f64(&model.weights.all().wide());
    let expected = reference::nats(arch, &weights, pack);
    assert!((loss.nats / expected - 1.0).abs() < 1e-6, "{} for {expected}", loss.nats);
    let mut stream = Streams::new(5).stream("directions", 0);
    for spec in &model.layout.tensors {
        let gradient = in_f64(&gradients[spec.range.clone()]);
        let random = gradient.iter().map(|_| stream.random_range(-1.0..1.0)).collect();
        for direction in [gradient.clone(), random] {
            let size = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            let [above, below] = [1e-4, -1e-4].map(|step| {
                let mut weights = weights.clone();
                for (weight, x) in weights[spec.range.clone()].iter_mut().zip(&direction) {
                    *weight += step * x / size;
                }
                reference::nats(arch, &weights, pack)
            });
            let slope = (above - below) / 2e-4;
            let found: f64 = gradient.iter().zip(&direction).map(|(g, x)| g * x / size).sum();
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(
                (slope - found).abs() < bound(norm),
                "{} of {}: {found} for {slope}",
                spec.name,
                arch.family
            );
        }
    }
}

/// Bits of the logits of every token of a sequence in one pack of its own.
pub(crate) fn whole(model: &Model, ids: &[u32]) -> Vec<Vec<u32>> {
    let mut pack = Pack::new();
    pack.push_weighted(ids, |_| 1.0);
    let mut workspace = Workspace::forward_only(&model.arch, ids.len());
    let rows: Vec<usize> = (0..ids.len()).collect();
    let mut all = Vec::new();
    let mut each = |_: usize, logits: &[f32]| all.push(bits(logits));
    let done = model.logits(&Device::cpu(1), &pack, &rows, &mut workspace, &mut each);
    done.expect("the pack fits");
    all
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
