//! Plain text: a row a line, or a row a file.

use super::{Filler, TableSpec, input};
use crate::DataError;
use rusqlite::types::Value;
use std::io::BufRead;

/// Calls back with every line, its number from 1 and without its line end.
pub(super) fn each_line(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
    mut take: impl FnMut(&mut Filler<'_>, u64, String) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut bytes = input::without_mark(bytes);
    let mut line = Vec::new();
    for row in 1.. {
        line.clear();
        let count = bytes
            .read_until(b'\n', &mut line)
            .map_err(|source| input::io_error_at(&filler.path, row, source))?;
        if count == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = spec.encoding.text(text).map_err(|byte| filler.not_utf8(row, byte))?;
        take(filler, row, text)?;
    }
    Ok(())
}

/// Every line a row of the column `line`.
pub(super) fn read_lines(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
) -> Result<(), DataError> {
    each_line(filler, spec, bytes, |filler, row, line| {
        let positions = filler.columns(["line"], row)?;
        filler.insert(row, &positions, vec![Value::Text(line)])
    })
}

/// The whole file a row of the column `text`.
pub(super) fn read_whole(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
) -> Result<(), DataError> {
    let text = whole(filler, spec, bytes)?;
    let positions = filler.columns(["text"], 1)?;
    filler.insert(1, &positions, vec![Value::Text(text)])
}

/// The text of a whole file.
pub(super) fn whole(
    filler: &Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
) -> Result<String, DataError> {
    let bytes = input::bytes(&filler.path, bytes)?;
    spec.encoding.text(&bytes).map_err(|byte| {
        let lines = bytes[..byte - 1].split(|byte| *byte == b'\n');
        let (row, before) = lines.fold((0, 0), |(row, _), line| (row + 1, line.len()));
        filler.not_utf8(row, before + 1)
    })
}
