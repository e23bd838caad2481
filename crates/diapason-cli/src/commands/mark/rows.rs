//! Rows of a corpus, one at a time.

use anyhow::Context as _;
use diapason_data::ParquetRows;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The rows of a file as lines of JSON, read one at a time: JSON lines, or Parquet by its extension.
pub(crate) struct Rows {
    path: PathBuf,
    reader: Reader,
    line: usize,
    read_bytes: u64,
    total_bytes: u64,
}

enum Reader {
    Lines(BufReader<File>),
    Parquet(Box<ParquetRows>),
}

pub(crate) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet"))
}

impl Rows {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot read `{}`", path.display());
        let file = File::open(path).with_context(cannot)?;
        let total_bytes = file.metadata().with_context(cannot)?.len();
        let reader = if is_parquet(path) {
            Reader::Parquet(Box::new(ParquetRows::open(path)?))
        } else {
            Reader::Lines(BufReader::with_capacity(1 << 20, file))
        };
        Ok(Rows { path: path.to_owned(), reader, line: 0, read_bytes: 0, total_bytes })
    }

    /// The next row that is not blank, with its number from 1; `None` at the end.
    pub(crate) fn next_row(&mut self) -> anyhow::Result<Option<(usize, String)>> {
        let reader = match &mut self.reader {
            Reader::Lines(reader) => reader,
            Reader::Parquet(rows) => {
                let Some(row) = rows.next() else { return Ok(None) };
                self.line += 1;
                // Of its bytes nobody knows which have been read: those of as many rows, then.
                self.read_bytes = self.total_bytes * self.line as u64 / rows.total().max(1);
                return Ok(Some((self.line, row?.to_string())));
            }
        };
        loop {
            let mut text = String::new();
            let read = reader.read_line(&mut text).with_context(|| {
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
