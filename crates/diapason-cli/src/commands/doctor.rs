//! `diapason doctor`: what this machine offers.

use super::Session;
use crate::args::DoctorArgs;
use diapason_data::{Status, Suite};
use serde_json::json;

/// Prints CPU features, memory, devices and the data found.
pub(crate) fn doctor(session: &Session<'_>, args: &DoctorArgs) -> anyhow::Result<()> {
    let features = cpu_features();
    let memory = total_memory_bytes();
    let suite = Suite::embedded()?;
    let ready = suite
        .tasks()
        .iter()
        .filter(|task| matches!(suite.check(task, args.data.as_deref()), Status::Ready { .. }))
        .count();
    let tasks = suite.tasks().len();
    if args.json {
        let value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            "threads": session.device.threads(),
            "cpu_features": features,
            "memory_bytes": memory,
            "devices": ["cpu"],
            "multiplies_bf16": session.device.multiplies_bf16(),
            "tasks": {"ready": ready, "all": tasks},
        });
        return Ok(session.console.data(&serde_json::to_string_pretty(&value)?)?);
    }
    let memory = memory.map_or("unknown".to_owned(), |bytes| {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    });
    let precisions = if session.device.multiplies_bf16() {
        "f32, and bf16 by its own instructions"
    } else {
        "f32; bf16 has its results, not its speed"
    };
    let data =
        args.data.as_ref().map_or("no data folder".to_owned(), |path| path.display().to_string());
    session.console.data(&format!(
        "diapason {} on {}-{}\nthreads   {}\nfeatures  {}\nmemory    {memory}\ndevices   cpu ({precisions})\n\
         tasks     {ready} of {tasks} can be built ({data})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        session.device.threads(),
        if features.is_empty() { "baseline".to_owned() } else { features.join(" ") },
    ))?;
    if args.data.is_none() {
        session.console.say("hint: `--data DIR` counts the tasks whose files are there");
    }
    Ok(())
}

fn cpu_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bw", std::arch::is_x86_feature_detected!("avx512bw")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ];
        found.extend(known.iter().filter(|(_, present)| *present).map(|(name, _)| *name));
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        found.push("neon");
    }
    found
}

/// Physical memory where the system says it in a file.
fn total_memory_bytes() -> Option<u64> {
    memory_bytes("MemTotal:")
}

/// Memory that a program may still take, likewise.
pub(crate) fn available_memory_bytes() -> Option<u64> {
    memory_bytes("MemAvailable:")
}

fn memory_bytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
