//! A soup of large models in little memory. Alone in its process: the peak is the process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use diapason_flow::Streams;
use diapason_model::{Arch, Blend, Model, SpecialIds, Variant};
use std::fs;

/// Peak and present resident memory in KiB.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (line("VmHWM:"), line("VmRSS:"))
}

#[test]
fn the_peak_is_a_fraction_of_one_model() {
    let arch = Arch {
        family: "llama".to_owned(),
        width: 128,
        layers: 2,
        heads: 4,
        kv_heads: 4,
        head_width: 32,
        mlp_width: 4096,
        vocabulary: 40_000,
        context: 32,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: Variant::default(),
    };
    let dir = tempfile::tempdir().unwrap();
    let paths = [1, 2].map(|seed| dir.path().join(seed.to_string()));
    let mut model_kib = 0;
    for (seed, path) in paths.iter().enumerate() {
        let model = Model::random(arch.clone(), &Streams::new(seed as u64)).unwrap();
        model.save(path, &SpecialIds::default()).unwrap();
        model_kib = model.weights.len() as u64 * 4 / 1024;
    }
    // Sets the peak to what is resident now; without the right to, nothing can be measured.
    if fs::write("/proc/self/clear_refs", "5").is_err() {
        return;
    }
    let (_, before) = resident();
    let [a, b] = &paths;
    let out = dir.path().join("out");
    Blend::soup(&[(a.clone(), 1.0), (b.clone(), 1.0)], None).unwrap().write(&out).unwrap();
    Blend::transplant(a, b, &[0, 39_999], None).unwrap().write(&out).unwrap();
    let (peak, _) = resident();
    let grown = peak.saturating_sub(before);
    println!("models of {model_kib} KiB, peak {grown} KiB above the process before");
    assert!(model_kib > 32_000 && grown < model_kib / 4, "{grown} KiB for {model_kib}");
}
