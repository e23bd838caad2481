//! CSV and TSV records.

use super::{Filler, TableSpec, input};
use crate::DataError;
use rusqlite::types::Value;
use std::io::BufRead;

/// Reads the file that the filler has entered.
pub(super) fn read(
    filler: &mut Filler<'_>,
    spec: &TableSpec,
    bytes: &mut dyn BufRead,
    tabs: bool,
) -> Result<(), DataError> {
    let delimiter = spec.delimiter.unwrap_or(if tabs { '\t' } else { ',' });
    let Ok(delimiter) = u8::try_from(delimiter) else {
        let problem = format!("the delimiter {delimiter:?} is more than one byte");
        return Err(filler.format("CSV", problem, "use a comma, a semicolon or a tab"));
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(spec.quotes)
        .from_reader(input::without_mark(bytes));
    let mut names: Vec<String> = Vec::new();
    let mut positions: Vec<usize> = Vec::new();
    let mut record = ::csv::ByteRecord::new();
    for row in 1.. {
        let more =
            reader.read_byte_record(&mut record).map_err(|problem| match problem.into_kind() {
                ::csv::ErrorKind::Io(source) => input::io_error_at(&filler.path, row, source),
                other => filler.row(row, format!("{other:?}"), "is it CSV at all?"),
            })?;
        if !more {
            break;
        }
        let header = row == 1 && spec.header;
        let mut cells = Vec::with_capacity(record.len());
        for (column, cell) in record.iter().enumerate() {
            cells.push(spec.encoding.text(cell).map_err(|byte| {
                let problem = format!("byte {byte} is not UTF-8");
                let column = names.get(column).cloned().unwrap_or((column + 1).to_string());
                filler.cell(row, column, problem, "set encoding = \"latin-1\" if the file is")
            })?);
        }
        if row == 1 {
            names = column_names(&cells, spec);
            positions = filler.columns(names.iter().map(String::as_str), row)?;
        }
        if cells.len() != names.len() {
            let problem = format!("{} cells for {} columns", cells.len(), names.len());
            let hint = "a quote may be missing, or the delimiter, `header` or `columns` be wrong";
            return Err(filler.row(row, problem, hint));
        }
        if !header {
            let cell = |cell: String| if cell.is_empty() { Value::Null } else { Value::Text(cell) };
            filler.insert(row, &positions, cells.into_iter().map(cell).collect())?;
        }
    }
    Ok(())
}

/// The names of the columns: of the spec, of the header, or `column_1` and so on.
fn column_names(first: &[String], spec: &TableSpec) -> Vec<String> {
    if !spec.columns.is_empty() {
        return spec.columns.clone();
    }
    let name = |(index, cell): (usize, &String)| {
        if spec.header && !cell.trim().is_empty() {
            cell.clone()
        } else {
            format!("column_{}", index + 1)
        }
    };
    first.iter().enumerate().map(name).collect()
}
