//! Parquet rows, by way of JSON: nested columns become JSON text.

use super::{Filler, json};
use crate::DataError;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use std::fs::File;
use std::path::Path;

/// Reads the file that the filler has entered.
pub(super) fn read(filler: &mut Filler<'_>) -> Result<(), DataError> {
    let path = filler.path.clone();
    each_row(&path, |row, value| json::insert(filler, None, value, row))
}

/// Gives every row of a Parquet file as a JSON object, with its number from 1.
pub(crate) fn each_row(
    path: &Path,
    mut take: impl FnMut(u64, Value) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let rows = open(path)?;
    let rows = rows.get_row_iter(None).map_err(|problem| damaged(path, &problem))?;
    for (index, row) in rows.enumerate() {
        let row = row.map_err(|problem| damaged(path, &problem))?;
        take(index as u64 + 1, row.to_json_value())?;
    }
    Ok(())
}

/// Opens a Parquet file.
pub(crate) fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    SerializedFileReader::new(file).map_err(|problem| damaged(path, &problem))
}

/// What is wrong with a file that is no whole Parquet.
pub(crate) fn damaged(path: &Path, problem: &ParquetError) -> DataError {
    DataError::Format {
        path: path.to_owned(),
        format: "Parquet",
        problem: problem.to_string(),
        hint: "the file may be truncated or damaged; fetch it again".into(),
    }
}
