//! Accuracy and speed of the measured annotators on labelled text.
//!
//! `cargo run --release -p diapason-markers --example annotators -- languages.tsv code.jsonl words.tsv`
//! with the files that `benches/peers/markers.py data` writes. One core; the figures of
//! docs/measurements/2026-11-20-markers.md.
#![expect(clippy::print_stdout, reason = "it is a program that prints a table")]

use diapason_flow::Markers;
use diapason_markers::{Annotator, CodeDetector, Counter, Detector, Taxonomy};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

/// Where a text comes from, its label, the text.
struct Labelled {
    source: String,
    label: String,
    text: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [languages, code, words] = files.as_slice() else {
        return Err("give languages.tsv, code.jsonl and words.tsv".into());
    };
    let languages = tsv(languages)?;
    let detector = Detector::new();
    compare("language", &languages, |text| {
        detector.detect(text).map_or("", |found| found.language).to_owned()
    });
    let mut programs = Vec::new();
    for line in std::fs::read_to_string(code)?.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        programs.push(Labelled {
            source: text("source"),
            label: text("label"),
            text: text("text"),
        });
    }
    let detector = CodeDetector::new();
    compare("code in a fence", &programs, |text| {
        detector.classify(text).map_or("", |(language, _)| language).to_owned()
    });
    compare("code or not, bare", &programs, |text| {
        detector.detect(text).first().copied().unwrap_or("none").to_owned()
    });
    counts(&tsv(words)?)?;
    let annotator = Annotator::new(Taxonomy::built_in());
    let (marked, speed) =
        timed(&languages, |row| annotator.annotate(None, &row.text, &Markers::default()));
    let bytes: usize = languages.iter().map(|row| row.text.len()).sum();
    let mean = bytes as f64 / languages.len() as f64;
    println!("\nall annotators: {speed:.0} texts/s of {mean:.0} bytes, one core");
    marked.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

fn tsv(path: &str) -> Result<Vec<Labelled>, Box<dyn Error>> {
    let row = |line: &str| {
        let mut cells = line.splitn(3, '\t').map(str::to_owned);
        let mut cell = || cells.next().unwrap_or_default();
        Labelled { source: cell(), label: cell(), text: cell() }
    };
    Ok(std::fs::read_to_string(path)?.lines().map(row).collect())
}

/// Answers, and texts a second by the median of batches: a busy machine takes the core away from
/// few of them.
fn timed<T, R>(rows: &[T], mut answer: impl FnMut(&T) -> R) -> (Vec<R>, f64) {
    const BATCH: usize = 50;
    let mut seconds = Vec::new();
    let mut answers = Vec::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        let start = Instant::now();
        answers.extend(batch.iter().map(&mut answer));
        seconds.push(start.elapsed().as_secs_f64() / batch.len() as f64);
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::INFINITY);
    (answers, 1.0 / median)
}

/// Prints the share of right answers by source and by label, and the frequent confusions.
fn compare(title: &str, rows: &[Labelled], predict: impl Fn(&str) -> String) {
    let (found, speed) = timed(rows, |row| predict(&row.text));
    println!("\n{title}: {} texts, {speed:.0} texts/s", rows.len());
    let mut confused: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for by_source in [true, false] {
        let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (row, found) in rows.iter().zip(&found) {
            let group = groups.entry(if by_source { &row.source } else { &row.label }).or_default();
            group.0 += usize::from(*found == row.label);
            group.1 += 1;
            if *found != row.label && by_source {
                *confused.entry((&row.label, found)).or_default() += 1;
            }
        }
        let share = |(name, (right, of)): (&&str, &(usize, usize))| {
            format!("{name} {:.2}", 100.0 * *right as f64 / *of as f64)
        };
        println!("  {}", groups.iter().map(share).collect::<Vec<_>>().join(", "));
    }
    let mut confused: Vec<_> = confused.into_iter().collect();
    confused.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let print =
        |((label, found), count): &((&str, &str), usize)| format!("{label} → {found} {count}");
    println!("  {}", confused.iter().take(16).map(print).collect::<Vec<_>>().join(", "));
}

/// Compares word counts with those of treebanks: the label is the true number.
fn counts(rows: &[Labelled]) -> Result<(), Box<dyn Error>> {
    let counter = Counter::new();
    println!("\nwords: language, counted/true, mean relative error of a sentence, sentences/s");
    let mut groups: BTreeMap<&str, Vec<&Labelled>> = BTreeMap::new();
    for row in rows {
        groups.entry(&row.source).or_default().push(row);
    }
    for (language, rows) in groups {
        let (found, speed) = timed(&rows, |row| counter.words(&row.text));
        let (mut counted, mut truth, mut error) = (0.0, 0.0, 0.0);
        for (row, found) in rows.iter().zip(found) {
            let (found, expected) = (found as f64, row.label.parse::<f64>()?);
            counted += found;
            truth += expected;
            error += (found - expected).abs() / expected.max(1.0);
        }
        let mean = 100.0 * error / rows.len() as f64;
        println!("  {language}: {:.3}, {mean:.1} %, {speed:.0}/s", counted / truth);
    }
    Ok(())
}
