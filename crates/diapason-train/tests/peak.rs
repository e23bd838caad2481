//! The memory that a plan says against the peak of the process: alone in its program, for the peak
//! is the process's.
//!
//! A plan is within a tenth of it, but for frozen tensors, where it counts up to a quarter too much:
//! room of the backward pass that such a run has but does not touch.

#![cfg(target_os = "linux")]

use diapason_flow::{Streams, Tokens};
use diapason_model::{
    Activations, Arch, Device, LoraSettings, Model, MomentPrecision, Variant, WeightPrecision,
};
use diapason_train::{Control, Event, Sequence, TrainSettings, train};

fn arch() -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 256,
        layers: 12,
        heads: 4,
        kv_heads: 2,
        head_width: 64,
        mlp_width: 768,
        vocabulary: 20_000,
        context: 1024,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: Variant::default(),
    }
}

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = text.lines().find(|line| line.starts_with(name)).expect("a line of it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn a_plan_is_near_the_peak() {
    let sequences: Vec<Sequence> = (0..8)
        .map(|number| {
            let mut tokens = Tokens::default();
            for index in 0..500_u32 {
                tokens.push((index * 31 + number * 977) % 20_000, index % 3 == 1, Some(0));
            }
            Sequence { task: "toy".to_owned(), tokens, soft: None }
        })
        .collect();
    let base = TrainSettings {
        micro_batch_tokens: 1024,
        max_sequence_tokens: 512,
        tokens_per_step: 1024,
        max_steps: Some(1),
        checkpoint_every_steps: 0,
        ..TrainSettings::default()
    };
    let freeze = vec!["embed".to_owned(), "layers.0.".to_owned(), "mlp".to_owned()];
    // The one with the smallest buffers first: what the allocator keeps of other runs would hide them.
    let runs = [
        TrainSettings {
            weights: WeightPrecision::Bf16,
            moments: MomentPrecision::Bytes,
            ..base.clone()
        },
        base.clone(),
        TrainSettings {
            activations: Activations::Recomputed,
            moments: MomentPrecision::Bytes,
            ..base.clone()
        },
        TrainSettings { freeze, ..base.clone() },
        TrainSettings {
            lora: Some(LoraSettings { dropout: 0.1, ..LoraSettings::default() }),
            ..base
        },
    ];
    for settings in runs {
        // Sets the peak back to what is in use now.
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux takes it");
        let before = status("VmRSS:");
        let mut planned = 0;
        let mut observer = |event: &Event| {
            if let Event::Planned(plan) = event {
                planned = plan.memory.total_bytes();
            }
            Control::Continue
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut model = Model::random(arch(), &Streams::new(1)).expect("the shape is possible");
        let device = Device::cpu(2);
        train(&mut model, &device, &sequences, &[], &settings, folder.path(), &mut observer)
            .expect("it fits");
        let peak = status("VmHWM:") - before;
        let ratio = planned as f64 / peak as f64;
        println!("planned {} MiB, peak {} MiB, {ratio:.3}", planned >> 20, peak >> 20);
        let most = if settings.freeze.is_empty() { 1.1 } else { 1.25 };
        assert!((0.9..most).contains(&ratio), "{planned} for {peak}: {settings:?}");
    }
}
