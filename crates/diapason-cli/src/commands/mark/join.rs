//! The parts of an annotated corpus become one file, of JSON lines or Parquet, with the quality
//! buckets that only the whole corpus can tell.

use super::rows::is_parquet;
use anyhow::Context as _;
use diapason_data::{Columns, RowWriter};
use diapason_flow::{Markers, write_atomically};
use diapason_markers::{Quartiles, markers_of_row};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Joins parts into one file and adds quality buckets where there are qualities.
pub(super) fn join(parts: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    let (mut scores, mut columns) = (Vec::new(), Columns::default());
    each_line(parts, |line| {
        if is_parquet(out) {
            columns.see(&serde_json::from_str(line)?);
        }
        if may_have_quality(line) {
            let markers = markers_of_row(&serde_json::from_str(line)?)?;
            scores.extend(markers.iter().filter_map(score));
        }
        Ok(())
    })?;
    let quartiles = Quartiles::of(scores);
    let mut failure = None;
    let written = write_atomically(out, |file| {
        let written = if is_parquet(out) {
            write_parquet(parts, &quartiles, columns, file)
        } else {
            write_lines(parts, &quartiles, file)
        };
        written.map_err(|error| {
            failure = Some(error);
            io::Error::other("the parts cannot be joined")
        })
    });
    match failure {
        Some(error) => Err(error),
        None => written.with_context(|| format!("cannot write `{}`", out.display())),
    }
}

/// Most corpora have no qualities, and looking for the word is cheaper than reading JSON.
fn may_have_quality(line: &str) -> bool {
    line.contains("\"quality\"")
}

fn write_lines(
    parts: &[PathBuf],
    quartiles: &Quartiles,
    file: &mut dyn Write,
) -> anyhow::Result<()> {
    each_line(parts, |line| {
        if quartiles.is_empty() || !may_have_quality(line) {
            return Ok(file.write_all(line.as_bytes())?);
        }
        let mut row: Value = serde_json::from_str(line)?;
        add_buckets(&mut row, quartiles);
        Ok(writeln!(file, "{row}")?)
    })
}

fn write_parquet(
    parts: &[PathBuf],
    quartiles: &Quartiles,
    columns: Columns,
    file: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut writer = RowWriter::new(columns, file)?;
    each_line(parts, |line| {
        let mut row: Value = serde_json::from_str(line)?;
        if !quartiles.is_empty() {
            add_buckets(&mut row, quartiles);
        }
        Ok(writer.push(row, line.len())?)
    })?;
    Ok(writer.finish()?)
}

fn each_line(
    parts: &[PathBuf],
    mut take: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for path in parts {
        let cannot = || format!("cannot read `{}`", path.display());
        let mut reader = BufReader::new(File::open(path).with_context(cannot)?);
        let mut line = String::new();
        while reader.read_line(&mut line).with_context(cannot)? > 0 {
            take(&line).with_context(cannot)?;
            line.clear();
        }
    }
    Ok(())
}

/// Language and score; the language is empty where there is none.
fn score(markers: &Markers) -> Option<(String, f64)> {
    let first = |name: &str| markers.0.get(name).and_then(|value| value.values().first());
    let score = first("quality")?.parse().ok()?;
    Some((first("lang").cloned().unwrap_or_default(), score))
}

fn add_buckets(row: &mut Value, quartiles: &Quartiles) {
    let add = |place: &mut Value| {
        let Some(markers) = place.get_mut("markers") else { return };
        let Ok(read) = serde_json::from_value::<Markers>(markers.clone()) else { return };
        let bucket = score(&read).and_then(|(lang, score)| quartiles.bucket(&lang, score));
        if let Some(bucket) = bucket
            && markers.get("quality_bucket").is_none()
        {
            let mut read = read;
            read.set("quality_bucket", bucket);
            *markers = json!(read);
        }
    };
    match row.get_mut("messages").and_then(Value::as_array_mut) {
        Some(messages) => messages.iter_mut().for_each(add),
        None => add(row),
    }
}
