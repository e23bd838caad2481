//! The memory that a plan says against the peak of the process: every run in a process of its own, for
//! the peak is the process's, and the allocator keeps pages of earlier runs. A plan is within a tenth
//! of it.

#![cfg(target_os = "linux")]

use diapason_flow::{Streams, Tokens};
use diapason_model::{
    Activations, Arch, Device, LoraSettings, Model, MomentPrecision, Variant, WeightPrecision,
};
use diapason_train::{Control, Event, Sequence, TrainSettings, train};
use std::process::Command;

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

/// Settings of one run.
type Run = (&'static str, fn() -> TrainSettings);

const RUNS: [Run; 5] = [
    ("f32-weights", base),
    ("bf16-weights", || TrainSettings {
        weights: WeightPrecision::Bf16,
        moments: MomentPrecision::Bytes,
        ..base()
    }),
    ("recomputed", || TrainSettings {
        activations: Activations::Recomputed,
        moments: MomentPrecision::Bytes,
        ..base()
    }),
    ("frozen", || TrainSettings {
        freeze: ["embed", "layers.0.", "mlp"].map(str::to_owned).to_vec(),
        ..base()
    }),
    ("adapter", || TrainSettings {
        lora: Some(LoraSettings { dropout: 0.1, ..LoraSettings::default() }),
        ..base()
    }),
];

/// Starts itself once for each run, whose name stands where a test to skip would.
#[test]
fn a_plan_is_near_the_peak() {
    if let Some(asked) = std::env::args().skip_while(|argument| argument != "--skip").nth(1) {
        let (_, settings) = RUNS.iter().find(|(name, _)| *name == asked).expect("a run");
        println!("{}", planned_and_peak(&settings()));
        return;
    }
    for (name, _) in RUNS {
        let program = std::env::current_exe().expect("the test has a path");
        let made = Command::new(program)
            .args(["--exact", "a_plan_is_near_the_peak", "--nocapture", "--skip", name])
            .output()
            .expect("the test starts again");
        let said = String::from_utf8_lossy(&made.stdout);
        let failed = String::from_utf8_lossy(&made.stderr);
        let planned = said.lines().find(|line| line.contains("planned"));
        assert!(made.status.success() && planned.is_some(), "{name}: {said}{failed}");
        println!("{name}: {}", planned.unwrap_or_default());
    }
}

fn base() -> TrainSettings {
    TrainSettings {
        micro_batch_tokens: 1024,
        max_sequence_tokens: 512,
        tokens_per_step: 1024,
        max_steps: Some(1),
        checkpoint_every_steps: 0,
        ..TrainSettings::default()
    }
}

/// Trains a step in this process and holds the plan against its peak.
fn planned_and_peak(settings: &TrainSettings) -> String {
    let sequences: Vec<Sequence> = (0..8)
        .map(|number| {
            let mut tokens = Tokens::default();
            for index in 0..500_u32 {
                tokens.push((index * 31 + number * 977) % 20_000, index % 3 == 1, Some(0));
            }
            Sequence { task: "toy".to_owned(), tokens, soft: None }
        })
        .collect();
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
    train(&mut model, &device, &sequences, &[], settings, folder.path(), &mut observer)
        .expect("it fits");
    let peak = status("VmHWM:") - before;
    let ratio = planned as f64 / peak as f64;
    assert!((0.9..1.1).contains(&ratio), "{planned} for {peak}: {settings:?}");
    format!("planned {} MiB, peak {} MiB, {ratio:.3}", planned >> 20, peak >> 20)
}
