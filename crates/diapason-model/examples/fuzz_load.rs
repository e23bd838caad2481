//! Damages checkpoints and loads them for a while; ends with an error at the first panic.
//! `cargo run -p diapason-model --release --example fuzz_load -- --seconds 600 [--seed 1]`
#![expect(clippy::print_stdout, reason = "a report for people")]

#[path = "../tests/mutation/mod.rs"]
mod mutation;

use diapason_flow::Streams;
use mutation::{Tally, Victims, peak_bytes};
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| -> Result<u64, Box<dyn Error>> {
        match arguments.iter().position(|argument| argument == name) {
            Some(at) => Ok(arguments.get(at + 1).ok_or("a number is missing")?.parse()?),
            None => Ok(default),
        }
    };
    let (seconds, seed) = (number("--seconds", 60)?, number("--seed", 1)?);
    let folder = tempfile::tempdir()?;
    let victims = Victims::new(folder.path())?;
    let (streams, mut tally) = (Streams::new(seed), Tally::default());
    let (start, before) = (Instant::now(), peak_bytes());
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        victims.attack(&streams, round, &mut tally);
        round += 1;
    }
    let Tally { loaded, refused } = tally;
    println!("{round} damaged checkpoints in {seconds} s: {refused} refused, {loaded} loaded");
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        println!("virtual memory grew by at most {} MiB", (after - before) >> 20);
    }
    Ok(())
}
