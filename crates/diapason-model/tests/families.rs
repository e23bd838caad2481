//! Every family against Hugging Face transformers: `tests/golden/model/README.md`.

mod files;

use diapason_flow::Pack;
use diapason_model::{
    Cache, Device, Feed, Model, ProductPrecision, RopeScaling, SpecialIds, Variant, Want,
    WeightPrecision, Workspace,
};
use files::{floats, folder, largest_difference, norm, pack, read};
use safetensors::SafeTensors;
use std::path::PathBuf;

const NAMES: [&str; 6] = ["llama3", "smol", "qwen2", "qwen2_window", "qwen3", "gemma3"];

fn family(name: &str) -> PathBuf {
    folder().join("families").join(name)
}

fn expected(name: &str) -> Vec<u8> {
    read(&format!("families/{name}/expected.safetensors"))
}

/// Logits of all tokens of a pack, `[N, V]`.
fn logits(model: &Model, device: &Device, pack: &Pack) -> Vec<f32> {
    let mut workspace = Workspace::forward_only(&model.arch, pack.len());
    let rows: Vec<usize> = (0..pack.len()).collect();
    let mut logits = Vec::new();
    let mut each = |_: usize, row: &[f32]| logits.extend_from_slice(row);
    model.logits(device, pack, &rows, &mut workspace, &mut each).expect("the pack fits");
    logits
}

fn bf16(threads: usize) -> Device {
    Device::cpu(threads).with_products(ProductPrecision::Bf16)
}

#[test]
fn every_golden_has_what_it_is_for() {
    let variant = |name: &str| -> Variant { Model::load(&family(name)).unwrap().arch.variant };
    let windowed = |name: &str| variant(name).window.map(|window| (window.tokens, window.layers));
    assert!(matches!(variant("llama3").rope_scaling, RopeScaling::Llama3 { .. }));
    assert_eq!(variant("smol").rope_scaling, RopeScaling::Linear { factor: 2.5 });
    assert!(variant("qwen2").qkv_bias && windowed("qwen2").is_none());
    assert_eq!(windowed("qwen2_window"), Some((5, vec![false, true, true])));
    assert!(variant("qwen3").head_norms && !variant("qwen3").qkv_bias);
    let gemma = variant("gemma3");
    assert_eq!(windowed("gemma3"), Some((5, vec![true, true, false])));
    assert_eq!(gemma.window.and_then(|window| window.rope_theta), Some(20.0));
    assert_eq!((gemma.query_scalar, gemma.embedding_scale), (Some(10.0), Some(4.0)));
    assert_eq!(gemma.rope_scaling, RopeScaling::Linear { factor: 4.0 });
    let tied = NAMES.map(|name| Model::load(&family(name)).unwrap().arch.tied);
    assert_eq!(tied, [false, true, true, false, false, true]);
}

#[test]
fn logits_loss_and_every_gradient_are_those_of_transformers() {
    for name in NAMES {
        let bytes = expected(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (model, pack) = (Model::load(&family(name)).unwrap(), pack(&file));
        let expected = floats(&file, "logits");
        let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let difference =
            largest_difference(&logits(&model, &Device::cpu(2), &pack), &expected) / largest;
        assert!(difference < 1e-5, "{name}: logits differ by {difference:e} of {largest}");

        let mut workspace = Workspace::new(&model.arch, pack.len());
        let mut gradients = vec![0.0; model.layout.len];
        let scale = (1.0 / pack.learned()) as f32;
        let loss = model
            .loss_and_gradients(&Device::cpu(2), &pack, scale, &mut workspace, &mut gradients)
            .unwrap();
        let expected = f64::from(floats(&file, "loss_sum")[0]);
        assert!((loss.nats / expected - 1.0).abs() < 1e-5, "{name}: {} for {expected}", loss.nats);
        let stored = file.names().iter().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(stored, model.layout.tensors.len(), "{name}: one gradient a tensor");
        for spec in &model.layout.tensors {
            let expected = floats(&file, &format!("grad.{}", spec.name));
            let found = &gradients[spec.range.clone()];
            let error = norm(found.iter().zip(&expected).map(|(a, b)| a - b));
            let relative = error / norm(expected.iter().copied());
            assert!(relative < 1e-4, "{name}: {} differs by {relative:e}", spec.name);
        }
    }
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_transformers() {
    for name in NAMES {
        let bytes = expected(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (model, pack) = (Model::load(&family(name)).unwrap(), pack(&file));
        let (device, mut cache) = (Device::cpu(1), Cache::new(&model.arch, pack.len()));
        let mut workspace = Workspace::forward_only(&model.arch, 3);
        let mut found = Vec::new();
        for segment in pack.segments() {
            let node = cache.branch(None).unwrap();
            for ids in pack.ids()[segment].chunks(3) {
                let feed = [Feed { node, ids, want: Want::All, adapter: None }];
                let mut each =
                    |_: usize, _: usize, row: &[f32], _: Option<_>| found.extend_from_slice(row);
                model.extend(&device, &mut cache, &feed, &mut workspace, &mut each).unwrap();
            }
        }
        let expected = floats(&file, "logits");
        let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let difference = largest_difference(&found, &expected) / largest;
        assert!(difference < 1e-5, "{name}: logits differ by {difference:e} of {largest}");
    }
}

#[test]
fn what_is_saved_loads_to_the_same_shape_and_bits() {
    for name in NAMES {
        let dir = tempfile::tempdir().unwrap();
        let model = Model::load(&family(name)).unwrap();
        let ids = SpecialIds::load(&family(name)).unwrap();
        assert_eq!(ids, SpecialIds { begin: Some(1), end: vec![2], pad: Some(0) });
        model.save(dir.path(), &ids).unwrap();
        let again = Model::load(dir.path()).unwrap();
        assert_eq!(again.arch, model.arch, "{name}");
        assert_eq!(again.weights, model.weights, "{name}");
        assert_eq!(SpecialIds::load(dir.path()).unwrap(), ids);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn weights_held_in_bf16_give_every_bit_of_the_same_widened_and_survive_saving() {
    for name in NAMES {
        let Model { arch, weights, .. } = Model::load(&family(name)).unwrap();
        let halves = weights.held_in(WeightPrecision::Bf16);
        let wide = Model::new(arch.clone(), halves.clone().held_in(WeightPrecision::F32)).unwrap();
        let halves = Model::new(arch, halves).unwrap();
        let file = expected(name);
        let pack = pack(&SafeTensors::deserialize(&file).unwrap());
        for precision in [ProductPrecision::F32, ProductPrecision::Bf16] {
            let devices = [1, 2].map(|threads| Device::cpu(threads).with_products(precision));
            let expected = logits(&wide, &devices[0], &pack);
            for device in &devices {
                assert_eq!(bits(&logits(&halves, device, &pack)), bits(&expected), "{name}");
            }
            let [found, expected] = [&halves, &wide].map(|model| {
                let mut workspace = Workspace::new(&model.arch, pack.len());
                let mut gradients = vec![0.0; model.layout.len];
                let loss = model
                    .loss_and_gradients(&devices[1], &pack, 0.5, &mut workspace, &mut gradients)
                    .unwrap();
                (loss, bits(&gradients))
            });
            assert_eq!(found, expected, "{name}: loss and gradients");
        }
        let dir = tempfile::tempdir().unwrap();
        halves.save(dir.path(), &SpecialIds::default()).unwrap();
        let bytes = std::fs::metadata(dir.path().join("model.safetensors")).unwrap().len() as usize;
        assert!(bytes.abs_diff(halves.weights.bytes()) < 8192, "{name}: {bytes} bytes");
        let stored = Model::load_held(dir.path(), None).unwrap();
        assert_eq!(stored.weights, halves.weights, "{name}: nothing is lost");
        assert_eq!(Model::load(dir.path()).unwrap().weights, wide.weights, "{name}");
        let rounded = Model::load_held(&family(name), Some(WeightPrecision::Bf16)).unwrap();
        assert_eq!(rounded.weights, halves.weights, "{name}: rounded as it is read");
    }
}

fn relative(found: &[f32], exact: &[f32]) -> f64 {
    norm(found.iter().zip(exact).map(|(a, b)| a - b)) / norm(exact.iter().copied())
}

#[test]
fn bf16_errs_less_than_autocast_does_and_not_by_nothing() {
    let theirs: serde_json::Value = serde_json::from_slice(&read("families/bf16.json")).unwrap();
    for name in NAMES {
        let bytes = expected(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (model, pack) = (Model::load(&family(name)).unwrap(), pack(&file));
        let bound = |what: &str| theirs[name][what].as_f64().expect("a measured error");
        let found = logits(&model, &bf16(2), &pack);
        let error = relative(&found, &floats(&file, "logits"));
        println!("{name}: logits {error:.2e}, autocast {:.2e}", bound("logits"));
        assert!(error > 1e-4 && error <= bound("logits"), "{name}: logits err by {error:e}");

        let mut workspace = Workspace::new(&model.arch, pack.len());
        let mut gradients = vec![0.0; model.layout.len];
        let scale = (1.0 / pack.learned()) as f32;
        model.loss_and_gradients(&bf16(2), &pack, scale, &mut workspace, &mut gradients).unwrap();
        let tensors = &model.layout.tensors;
        let exact = tensors.iter().flat_map(|spec| floats(&file, &format!("grad.{}", spec.name)));
        let found = tensors.iter().flat_map(|spec| gradients[spec.range.clone()].to_vec());
        let (found, exact) = (found.collect::<Vec<_>>(), exact.collect::<Vec<_>>());
        let error = relative(&found, &exact);
        println!("{name}: gradient {error:.2e}, autocast {:.2e}", bound("gradient"));
        assert!(error > 1e-4 && error <= bound("gradient"), "{name}: gradient errs by {error:e}");
    }
}

#[test]
fn in_bf16_a_sequence_has_the_same_bits_alone_packed_or_read_through_a_cache_and_copies() {
    let cases = [
        (ProductPrecision::Bf16, WeightPrecision::F32),
        (ProductPrecision::Bf16, WeightPrecision::Bf16),
        (ProductPrecision::F32, WeightPrecision::Bf16),
    ];
    for ((precision, held), name) in cases.iter().flat_map(|case| NAMES.map(|name| (*case, name))) {
        let device = |threads| Device::cpu(threads).with_products(precision);
        let model = Model::load_held(&family(name), Some(held)).unwrap();
        let vocabulary = model.arch.vocabulary as u32;
        let sequences: Vec<Vec<u32>> = [9, 23, 14]
            .map(|len| (0..len).map(|at| (at * at + len) % vocabulary).collect())
            .to_vec();
        let mut together = Pack::new();
        for ids in &sequences {
            together.push_weighted(ids, |_| 1.0);
        }
        let packed = logits(&model, &device(1), &together);
        for threads in [2, 3] {
            let again = logits(&model, &device(threads), &together);
            assert_eq!(bits(&packed), bits(&again), "{name}: {threads} threads");
        }
        let device = device(2);
        let mut resident = Workspace::resident(&model, &device, 4, usize::MAX);
        assert!(2 * resident.packed_bytes() < 5 * model.weights.len() * size_of::<f32>());
        let mut cache = Cache::new(&model.arch, together.len());
        for (ids, segment) in sequences.iter().zip(together.segments()) {
            let of = segment.start * model.arch.vocabulary..segment.end * model.arch.vocabulary;
            let mut alone = Pack::new();
            alone.push_weighted(ids, |_| 1.0);
            let alone = logits(&model, &device, &alone);
            assert_eq!(bits(&alone), bits(&packed[of]), "{name}: alone and packed");
            let node = cache.branch(None).unwrap();
            let mut read = Vec::new();
            for ids in ids.chunks(4) {
                let feed = [Feed { node, ids, want: Want::All, adapter: None }];
                let mut each =
                    |_: usize, _: usize, row: &[f32], _: Option<_>| read.extend_from_slice(row);
                model.extend(&device, &mut cache, &feed, &mut resident, &mut each).unwrap();
            }
            assert_eq!(bits(&alone), bits(&read), "{name}: alone and through a cache");
        }
    }
}
