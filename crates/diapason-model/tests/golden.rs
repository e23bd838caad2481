//! The decoder against PyTorch and Hugging Face transformers: `tests/golden/model/README.md`.

mod files;

use diapason_flow::Pack;
use diapason_model::{
    AdamW, AdamWSettings, Adapter, Arch, Cache, Device, Feed, Layout, Model, MomentPrecision,
    Variant, Want, Workspace, global_norm,
};
use files::{floats, folder, integers, largest_difference, norm, pack, read};
use safetensors::SafeTensors;

/// The weights or gradients of all tensors, in the order of the layout.
fn flat(file: &SafeTensors<'_>, prefix: &str, layout: &Layout) -> Vec<f32> {
    layout
        .tensors
        .iter()
        .flat_map(|spec| floats(file, &format!("{prefix}.{}", spec.name)))
        .collect()
}

fn tiny(tied: bool) -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 32,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_width: 8,
        mlp_width: 48,
        vocabulary: 61,
        context: 64,
        norm_epsilon: 1e-5,
        rope_theta: 10000.0,
        tied,
        variant: Variant::default(),
    }
}

#[test]
fn logits_loss_and_every_gradient_are_those_of_pytorch() {
    for name in ["tiny_tied", "tiny_untied"] {
        let bytes = read(&format!("{name}.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let arch = tiny(name == "tiny_tied");
        let layout = Layout::of(&arch);
        let model = Model::new(arch.clone(), flat(&file, "weight", &layout)).unwrap();
        let (device, pack) = (Device::cpu(2), pack(&file));
        let mut workspace = Workspace::new(&arch, pack.len());

        let rows: Vec<usize> = (0..pack.len()).collect();
        let mut logits = Vec::new();
        let mut each = |_: usize, row: &[f32]| logits.extend_from_slice(row);
        model.logits(&device, &pack, &rows, &mut workspace, &mut each).unwrap();
        let difference = largest_difference(&logits, &floats(&file, "logits"));
        assert!(difference < 2e-5, "{name}: logits differ by {difference:e}");

        let mut gradients = vec![0.0; layout.len];
        let scale = (1.0 / pack.learned()) as f32;
        let loss = model
            .loss_and_gradients(&device, &pack, scale, &mut workspace, &mut gradients)
            .unwrap();
        let expected = f64::from(floats(&file, "loss_sum")[0]);
        assert!((loss.nats - expected).abs() < 1e-4, "{name}: {} for {expected}", loss.nats);
        assert_eq!(loss.learned, pack.learned());
        for spec in &layout.tensors {
            let expected = floats(&file, &format!("grad.{}", spec.name));
            let found = &gradients[spec.range.clone()];
            let error = norm(found.iter().zip(&expected).map(|(a, b)| a - b));
            let relative = error / norm(expected.iter().copied());
            assert!(relative < 2e-5, "{name}: {} differs by {relative:e}", spec.name);
        }
    }
}

#[test]
fn ten_steps_of_adamw_are_those_of_pytorch() {
    for name in ["tiny_tied", "tiny_untied"] {
        let bytes = read(&format!("{name}.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let golden: serde_json::Value =
            serde_json::from_slice(&read(&format!("{name}.json"))).unwrap();
        let training = &golden["training"];
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let arch = tiny(name == "tiny_tied");
        let layout = Layout::of(&arch);
        let mut model = Model::new(arch.clone(), flat(&file, "weight", &layout)).unwrap();
        let (device, pack) = (Device::cpu(2), pack(&file));
        let mut workspace = Workspace::new(&arch, pack.len());
        let settings = AdamWSettings {
            beta1: number(&training["betas"][0]) as f32,
            beta2: number(&training["betas"][1]) as f32,
            epsilon: number(&training["eps"]) as f32,
            weight_decay: number(&training["weight_decay"]) as f32,
        };
        let learning_rate = number(&training["lr"]) as f32;
        let mut optimiser = AdamW::new(settings, &layout.tensors, MomentPrecision::F32);
        let losses = training["losses"].as_array().unwrap();
        assert_eq!(losses.len(), 10);
        for (step, expected) in losses.iter().enumerate() {
            let mut gradients = vec![0.0; layout.len];
            let scale = (1.0 / pack.learned()) as f32;
            let loss = model
                .loss_and_gradients(&device, &pack, scale, &mut workspace, &mut gradients)
                .unwrap();
            let (mean, expected) = (loss.nats / loss.learned, number(expected));
            assert!((mean - expected).abs() < 4e-5, "{name} step {step}: {mean} for {expected}");
            let norm = global_norm(&device, &gradients);
            let expected = number(&training["grad_norms"][step]);
            assert!((norm / expected - 1.0).abs() < 1e-3, "{name} step {step}: norm {norm}");
            let clip = (1.0 / (norm + 1e-6)).min(1.0) as f32;
            let weights = &mut model.weights;
            optimiser.step(&device, &layout.tensors, weights, &gradients, learning_rate, clip);
        }
        assert_eq!(optimiser.step, 10);
    }
}

/// The weights are not in the repository: without them there is nothing to compare.
#[test]
fn logits_of_stories260k_are_those_of_transformers() {
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/models/stories260K/stories260K.bin"
    );
    let bytes = read("stories260k_logits.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (ids, expected) = (integers(&file, "ids"), floats(&file, "logits"));
    if !std::path::Path::new(weights).exists() {
        return;
    }
    let model = Model::load_llama2c(weights.as_ref()).unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    let (device, mut workspace) = (Device::cpu(2), Workspace::forward_only(&model.arch, 40));
    let mut cache = Cache::new(&model.arch, 40);
    let node = cache.branch(None).unwrap();
    let feed = [Feed { node, ids: &ids, want: Want::All, adapter: None }];
    let mut logits = Vec::new();
    let mut each = |_: usize, _: usize, row: &[f32], _: Option<_>| logits.extend_from_slice(row);
    model.extend(&device, &mut cache, &feed, &mut workspace, &mut each).unwrap();
    let difference = largest_difference(&logits, &expected);
    assert!(difference < 1e-4, "logits differ by {difference:e}");
}

/// Logits `[N, V]` of a sequence by itself.
fn logits(model: &Model, ids: &[u32]) -> Vec<f32> {
    let mut pack = Pack::new();
    pack.push_weighted(ids, |_| 0.0);
    let mut workspace = Workspace::forward_only(&model.arch, ids.len());
    let rows: Vec<usize> = (0..ids.len()).collect();
    let mut all = Vec::new();
    let mut each = |_: usize, logits: &[f32]| all.extend_from_slice(logits);
    let done = model.logits(&Device::cpu(2), &pack, &rows, &mut workspace, &mut each);
    done.expect("the pack fits");
    all
}

#[test]
fn an_adapter_of_peft_gives_its_logits_beside_the_base_and_merged() {
    let bytes = read("adapter/logits.safetensors");
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let ids: Vec<u32> = integers(&golden, "ids").iter().map(|id| *id as u32).collect();
    let (expected, plain) = (floats(&golden, "logits"), floats(&golden, "base_logits"));
    let mut model = Model::load(&folder().join("adapter/base")).unwrap();
    assert!(largest_difference(&logits(&model, &ids), &plain) < 2e-5);
    let adapter = Adapter::load(&folder().join("adapter/peft"), &model.arch).unwrap();
    let merged = model.merged(&Device::cpu(1), &adapter).unwrap();
    model.attach(adapter).unwrap();
    assert!(largest_difference(&plain, &expected) > 1.0, "the adapter changes much");
    let found = [&model, &merged].map(|model| largest_difference(&logits(model, &ids), &expected));
    println!("largest difference from PEFT: {:e} attached, {:e} merged", found[0], found[1]);
    assert!(found.iter().all(|difference| *difference < 1e-4), "{found:?}");
}
