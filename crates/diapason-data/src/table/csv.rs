//! CSV and TSV records.

use super::{Filler, TableSpec};
use crate::DataError;
use rusqlite::types::Value;

/// Reads the file that the filler has entered.
pub(super) fn read(filler: &mut Filler<'_>, spec: &TableSpec, tabs: bool) -> Result<(), DataError> {
    let text = spec.text(&filler.path)?;
    let delimiter = spec.delimiter.unwrap_or(if tabs { '\t' } else { ',' });
    let Ok(delimiter) = u8::try_from(delimiter) else {
        let problem = format!("the delimiter {delimiter:?} is more than one byte");
        return Err(filler.format("CSV", problem, "use a comma, a semicolon or a tab"));
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut positions: Vec<usize> = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let row = index as u64 + 1;
        let record =
            record.map_err(|problem| filler.row(row, problem.to_string(), "is it CSV at all?"))?;
        if index == 0 {
            positions = filler.columns(names(&record, spec).iter().map(String::as_str), row)?;
            if spec.header {
                continue;
            }
        }
        if record.len() != positions.len() {
            let problem = format!("{} cells for {} columns", record.len(), positions.len());
            let hint = "a quote may be missing, or the delimiter or `header` may be wrong";
            return Err(filler.row(row, problem, hint));
        }
        let cell = |cell: &str| match cell {
            "" => Value::Null,
            text => Value::Text(text.to_owned()),
        };
        filler.insert(&positions, record.iter().map(cell).collect())?;
    }
    Ok(())
}

/// The names of the columns: of the spec, of the header, or `column_1` and so on.
fn names(first: &::csv::StringRecord, spec: &TableSpec) -> Vec<String> {
    if !spec.columns.is_empty() {
        return spec.columns.clone();
    }
    let name = |(index, cell): (usize, &str)| {
        if spec.header && !cell.trim().is_empty() {
            cell.to_owned()
        } else {
            format!("column_{}", index + 1)
        }
    };
    first.iter().enumerate().map(name).collect()
}
