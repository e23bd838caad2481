//! Fuzzing of marker lists: random and mutated texts through the parser, random markers through
//! print and parse, and random choices through the writer, for a number of seconds.
//!
//! ```sh
//! cargo run --release -p diapason-markers --example fuzz_list -- 300 1
//! ```
//! Seconds and seed; the first broken property ends it with the text that broke it.
#![expect(clippy::print_stdout, reason = "it is a program that prints what it found")]

use diapason_flow::{Markers, Stream, Streams};
use diapason_markers::{Dropout, Order, Taxonomy, Trained, Writer, print_list, split_list};
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::time::{Duration, Instant};

/// What lists are made of, and what could break them.
const PARTS: &[&str] = &[
    "<MARKER_LIST>",
    "</MARKER_LIST>",
    "<MARKER_LIST",
    "MARKER_LIST>",
    "</",
    "<",
    ">",
    "/",
    " ",
    "<lang>",
    "</lang>",
    "lang",
    "French",
    "<length_tokens>",
    "12",
    "</length_tokens>",
    "&",
    "&amp;",
    "&lt;",
    "&#60;",
    "&#;",
    "&#xffffffff;",
    "&#1114112;",
    ";",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "é",
    "🦀",
    "a\u{301}",
    "\u{feff}",
    "task",
    "Rewrite",
    "-",
    "1e999",
    "\u{200b}",
];

fn text(parts: usize, stream: &mut Stream) -> String {
    (0..stream.random_range(0..=parts)).map(|_| *PARTS.choose(stream).unwrap_or(&"")).collect()
}

fn markers(most: usize, stream: &mut Stream) -> Markers {
    let mut markers = Markers::default();
    for _ in 0..stream.random_range(1..=most) {
        markers.add(text(3, stream), text(5, stream));
    }
    markers
}

/// Removes, doubles or swaps a stretch of a text.
fn mutated(text: &str, stream: &mut Stream) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut cut = || stream.random_range(0..=letters.len());
    let (a, b) = (cut(), cut());
    let (from, to) = (a.min(b), a.max(b));
    let part = |range: &[char]| range.iter().collect::<String>();
    let (head, middle, tail) =
        (part(&letters[..from]), part(&letters[from..to]), part(&letters[to..]));
    match stream.random_range(0..3) {
        0 => head + &tail,
        1 => [&*head, &*middle, &*middle, &*tail].concat(),
        _ => tail + &middle + &head,
    }
}

/// A list survives print and parse whatever follows it.
fn round_trip(stream: &mut Stream) -> Result<String, String> {
    let most = if stream.random_bool(0.01) { 2000 } else { 6 };
    let (markers, text) = (markers(most, stream), text(6, stream));
    let list = print_list(&markers);
    let whole = format!("{list}\n{text}");
    let split = split_list(&whole);
    if split.markers == markers && split.text == text && split.closed && !list.contains('\n') {
        Ok(whole)
    } else {
        Err(whole)
    }
}

/// Any text is read: no panic, nothing invented, and what was read prints and reads as itself.
fn anything(whole: &str) -> Result<(), String> {
    let split = split_list(whole);
    let taxonomy = Taxonomy::built_in();
    let parsed = taxonomy.parse(whole);
    let again = print_list(&split.markers);
    let typed = print_list(&parsed.markers.to_markers());
    let stable = split_list(&again).markers == split.markers
        && taxonomy.parse(&typed).problems.is_empty()
        && whole.ends_with(split.text);
    if stable { Ok(()) } else { Err(whole.to_owned()) }
}

/// Whatever is chosen, the written list is whole and says what was chosen.
fn written(stream: &mut Stream) -> Result<(), String> {
    let examples: Vec<Markers> =
        (0..stream.random_range(1..4)).map(|_| markers(6, stream)).collect();
    let order = if stream.random_bool(0.5) { Order::Fixed } else { Order::Shuffled };
    let dropout = Dropout { order, ..Dropout::default() };
    let trained = Trained::of(dropout, true, &examples);
    let fixed = if stream.random_bool(0.5) { markers(6, stream) } else { Markers::default() };
    let mut writer = Writer::new(&trained, &fixed);
    while let Some(step) = writer.step() {
        writer.take(stream.random_range(0..step.options.len()));
    }
    let split = split_list(writer.text());
    let kept = fixed.iter().all(|(name, value)| split.markers.0.get(name) == Some(value));
    if split.closed && split.markers == writer.markers() && kept {
        Ok(())
    } else {
        Err(format!("{} with {fixed:?} set, of {:?}", writer.text(), trained.values))
    }
}

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let wrong = |problem: std::num::ParseIntError| format!("seconds and seed: {problem}");
    let seconds = number(10).map_err(wrong)?;
    let streams = Streams::new(number(0).map_err(wrong)?);
    let (started, mut cases) = (Instant::now(), 0u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        let stream = &mut streams.stream("fuzz", cases);
        let broken = |property: &str, found: String| format!("case {cases}, {property}: {found}");
        let list = round_trip(stream).map_err(|found| broken("print and parse", found))?;
        for hostile in [mutated(&list, stream), text(40, stream)] {
            anything(&hostile).map_err(|found| broken("parse", found))?;
        }
        if cases.is_multiple_of(8) {
            written(stream).map_err(|found| broken("written list", found))?;
        }
        cases += 1;
    }
    println!("{cases} cases in {seconds} s, nothing broke");
    Ok(())
}
