//! Rows of a corpus, one at a time.

use anyhow::Context as _;
use diapason_data::read_episodes;
use diapason_flow::episode_to_json;
use diapason_markers::Example;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};

/// The rows of a file as lines of JSON.
///
/// JSON lines are read one at a time. Parquet is read as episodes, all at once, and its rows come
/// in the native shape.
pub(crate) struct Rows {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    line: usize,
    read_bytes: u64,
    total_bytes: u64,
}

impl Rows {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let parquet = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        let (reader, total_bytes): (Box<dyn BufRead>, u64) = if parquet {
            let mut lines = String::new();
            for episode in read_episodes(path)? {
                lines.push_str(&episode_to_json(&episode).to_string());
                lines.push('\n');
            }
            let total = lines.len() as u64;
            (Box::new(Cursor::new(lines)), total)
        } else {
            let cannot = || format!("cannot read `{}`", path.display());
            let file = File::open(path).with_context(cannot)?;
            let total = file.metadata().with_context(cannot)?.len();
            (Box::new(BufReader::with_capacity(1 << 20, file)), total)
        };
        Ok(Rows { path: path.to_owned(), reader, line: 0, read_bytes: 0, total_bytes })
    }

    /// The next line that is not blank, with its number from 1; `None` at the end.
    pub(crate) fn next_row(&mut self) -> anyhow::Result<Option<(usize, String)>> {
        loop {
            let mut text = String::new();
            let read = self.reader.read_line(&mut text).with_context(|| {
                format!("cannot read `{}`, line {}", self.path.display(), self.line + 1)
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.read_bytes += read as u64;
            let row = text.trim_start_matches('\u{feff}').trim();
            if !row.is_empty() {
                return Ok(Some((self.line, row.to_owned())));
            }
        }
    }

    /// Reads a line as JSON.
    pub(crate) fn parse(&self, line: usize, text: &str) -> anyhow::Result<Value> {
        parse(&self.path, line, text)
    }

    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }
}

pub(crate) fn parse(path: &Path, line: usize, text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).with_context(|| {
        let place = format!("`{}`, line {line}", path.display());
        format!("{place} is not JSON\n\nhint: every line must be one JSON object")
    })
}

/// The outputs of a row that have one value of a marker, as examples of it.
pub(crate) fn labelled(row: &Value, marker: &str) -> Vec<Example> {
    let label = |place: &Value| place["markers"][marker].as_str().map(str::to_owned);
    let text = |place: &Value, key: &str| place[key].as_str().unwrap_or_default().to_owned();
    let Some(messages) = row.get("messages").and_then(Value::as_array) else {
        let Some(label) = label(row) else { return Vec::new() };
        let output = if row.get("completion").is_some() { "completion" } else { "text" };
        return vec![Example { input: text(row, "prompt"), output: text(row, output), label }];
    };
    let mut input = String::new();
    let mut examples = Vec::new();
    for message in messages {
        match message["role"].as_str() {
            Some("input" | "user") => input = text(message, "content"),
            Some("output" | "assistant") => {
                let input = std::mem::take(&mut input);
                let output = text(message, "content");
                examples.extend(label(message).map(|label| Example { input, output, label }));
            }
            _ => {}
        }
    }
    examples
}
