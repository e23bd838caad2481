//! Speed of products, of training steps and of decoding on this machine, in one run:
//! `cargo run --release --example speed [threads] [small|large|products] [bf16]`.
#![expect(clippy::print_stdout, reason = "a report for people")]

use diapason_flow::Pack;
use diapason_model::{
    AdamW, AdamWSettings, Arch, Cache, Device, Feed, Layout, Model, MomentPrecision,
    ProductPrecision, Variant, Want, Workspace, global_norm, product_gflops,
};
use std::time::Instant;

/// The shape of the quickstart.
fn small() -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 160,
        layers: 5,
        heads: 5,
        kv_heads: 5,
        head_width: 32,
        mlp_width: 448,
        vocabulary: 768,
        context: 1024,
        norm_epsilon: 1e-5,
        rope_theta: 10000.0,
        tied: true,
        variant: Variant::default(),
    }
}

/// SmolLM2-135M.
fn large() -> Arch {
    Arch {
        width: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_width: 64,
        mlp_width: 1536,
        vocabulary: 49152,
        ..small()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let which = arguments.next().unwrap_or_default();
    let bf16 = arguments.next().is_some_and(|precision| precision == "bf16");
    let precision = if bf16 { ProductPrecision::Bf16 } else { ProductPrecision::F32 };
    let device = Device::cpu(threads).with_products(precision);
    println!("{} threads, {precision:?}", device.threads());
    if which == "products" {
        return products(&device);
    }
    if which != "large" {
        train(&device, &small(), 51, 80, 20);
        decode(&device, &small());
    }
    if which != "small" {
        train(&device, &large(), 4, 512, 3);
    }
}

/// Rates in both precisions by turns: forward, towards the input, towards the weights.
fn products(device: &Device) {
    for (m, n, k) in [(2048, 3072, 576), (2048, 576, 3072), (3072, 576, 2048), (1, 1536, 576)] {
        let rates = [ProductPrecision::F32, ProductPrecision::Bf16]
            .map(|precision| product_gflops(&device.with_products(precision), (m, n, k)));
        println!("{m} x {n} x {k}: f32 {:.1}, bf16 {:.1} GFLOP/s", rates[0], rates[1]);
    }
}

/// Multiplications of a step, forward and backward, every token learning.
fn multiplications(arch: &Arch, segments: usize, length: usize) -> f64 {
    let layout = Layout::of(arch);
    let matrices = layout.len - if arch.tied { 0 } else { layout.embed.len() };
    let attention = arch.layers * arch.heads * arch.head_width * length * length;
    let tokens = (segments * length) as f64;
    3.0 * tokens * matrices as f64 + 3.5 * (segments * attention) as f64
}

fn model(arch: &Arch) -> Model {
    let len = Layout::of(arch).len;
    let weights: Vec<f32> =
        (0..len).map(|i| ((i * 7919 % 2003) as f32 / 1001.5 - 1.0) * 0.03).collect();
    Model::new(arch.clone(), weights).expect("the shapes are possible")
}

fn train(device: &Device, arch: &Arch, segments: usize, length: usize, steps: usize) {
    let mut model = model(arch);
    let mut pack = Pack::new();
    for segment in 0..segments {
        let ids: Vec<u32> =
            (0..length).map(|i| ((segment * 31 + i * i * 17) % arch.vocabulary) as u32).collect();
        pack.push_weighted(&ids, |_| 1.0);
    }
    let mut workspace = Workspace::new(arch, pack.len());
    let mut gradients = vec![0.0; model.layout.len];
    let mut optimiser =
        AdamW::new(AdamWSettings::default(), &model.layout.tensors, MomentPrecision::F32);
    let mut best = f64::INFINITY;
    for step in 0..=steps {
        let start = Instant::now();
        gradients.fill(0.0);
        let scale = (1.0 / pack.learned()) as f32;
        let loss = model
            .loss_and_gradients(device, &pack, scale, &mut workspace, &mut gradients)
            .expect("the pack fits");
        let passes = start.elapsed().as_secs_f64();
        let norm = global_norm(device, &gradients);
        let clip = (1.0 / norm).min(1.0) as f32;
        let layout = model.layout.clone();
        optimiser.step(device, &layout.tensors, &mut model.weights, &gradients, 1e-4, clip);
        let seconds = start.elapsed().as_secs_f64();
        if step == 0 || step == steps {
            let mean = loss.nats / loss.learned;
            println!("step {step}: loss {mean:.4}, passes {passes:.4} s, all {seconds:.4} s");
        }
        best = best.min(seconds);
    }
    let flops = 2.0 * multiplications(arch, segments, length);
    println!(
        "width {}, {} tokens: best step {best:.4} s, {:.0} tokens/s, {:.0} GFLOP/s",
        arch.width,
        pack.len(),
        pack.len() as f64 / best,
        flops / best * 1e-9
    );
}

fn decode(device: &Device, arch: &Arch) {
    let model = model(arch);
    let mut cache = Cache::new(arch, 100 * 64 + 128);
    let mut workspace = Workspace::forward_only(arch, 256);
    let prompt: Vec<u32> = (0..100).collect();
    let start = Instant::now();
    let root = cache.branch(None).expect("a root needs no parent");
    let feed = [Feed { node: root, ids: &prompt, want: Want::Last, adapter: None }];
    model.extend(device, &mut cache, &feed, &mut workspace, &mut |_, _, _, _| {}).expect("fits");
    let nodes: Vec<_> =
        (0..100).map(|_| cache.branch(Some(root)).expect("the root is held")).collect();
    for _ in 0..32 {
        let feeds: Vec<Feed<'_>> = nodes
            .iter()
            .map(|node| Feed { node: *node, ids: &[7], want: Want::Last, adapter: None })
            .collect();
        let mut sink = 0.0;
        model
            .extend(device, &mut cache, &feeds, &mut workspace, &mut |_, _, row, _| sink += row[0])
            .expect("fits");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("100 draws of 32 tokens: {seconds:.4} s, {:.0} tokens/s", 3200.0 / seconds);
}
