//! Every family against Hugging Face transformers: `tests/golden/model/README.md`.

mod files;

use diapason_flow::Pack;
use diapason_model::{
    Cache, Device, Feed, Model, RopeScaling, SpecialIds, Variant, Want, Workspace,
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
fn logits(model: &Model, pack: &Pack) -> Vec<f32> {
    let mut workspace = Workspace::forward_only(&model.arch, pack.len());
    let rows: Vec<usize> = (0..pack.len()).collect();
    let mut logits = Vec::new();
    let mut each = |_: usize, row: &[f32]| logits.extend_from_slice(row);
    model.logits(&Device::cpu(2), pack, &rows, &mut workspace, &mut each).expect("the pack fits");
    logits
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
        let difference = largest_difference(&logits(&model, &pack), &expected) / largest;
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
                let mut each = |_: usize, _: usize, row: &[f32]| found.extend_from_slice(row);
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
