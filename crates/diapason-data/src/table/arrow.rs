//! Arrow IPC: files, of which Feather is another name, and streams, in which data sets of hubs are
//! cached. Rows come by way of JSON, as those of Parquet do; a category is its text.
//!
//! Truncated files are errors, and so is most damage. What is left: the reader believes the lengths
//! in a file, and one that damage made huge ends the program for want of memory.

use super::{Filler, input, json};
use crate::DataError;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTemporalType, Date32Type, Date64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What a file begins with; a stream begins otherwise.
const MAGIC: &[u8] = b"ARROW1";

/// What a file of the first version of Feather begins with.
const FIRST_FEATHER: &[u8] = b"FEA1";

/// Reads the file that the filler has entered.
pub(super) fn read(filler: &mut Filler<'_>, bytes: &mut dyn BufRead) -> Result<(), DataError> {
    let path = filler.path.clone();
    let failed = |source| input::io_error(&path, source);
    let head = bytes.fill_buf().map_err(failed)?;
    if head.starts_with(FIRST_FEATHER) {
        let problem = "it is of the first version of Feather".to_owned();
        return Err(filler.format("Arrow", problem, "write it again with a newer version"));
    }
    if !head.starts_with(MAGIC) {
        let stream = guarded(filler, || StreamReader::try_new(bytes, None))?;
        return batches(filler, stream);
    }
    // A file is read from its end: where it stands, or all at once out of an archive.
    if begins_as_file(&path) {
        let file = BufReader::new(File::open(&path).map_err(failed)?);
        let file = guarded(filler, || FileReader::try_new(file, None))?;
        return batches(filler, file);
    }
    let mut whole = Vec::new();
    bytes.read_to_end(&mut whole).map_err(failed)?;
    let file = guarded(filler, || FileReader::try_new(Cursor::new(whole), None))?;
    batches(filler, file)
}

fn begins_as_file(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == MAGIC
}

/// Calls the reader, which panics on some damage: on lengths that lie outside of their message.
fn guarded<Made>(
    filler: &Filler<'_>,
    read: impl FnOnce() -> Result<Made, ArrowError>,
) -> Result<Made, DataError> {
    let problem = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(problem)) => problem.to_string(),
        Err(_) => "its lengths do not fit one another".to_owned(),
    };
    let hint = "the file may be truncated or damaged; fetch it again";
    Err(filler.format("Arrow", problem, hint))
}

fn batches(
    filler: &mut Filler<'_>,
    mut batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<(), DataError> {
    let mut row = 0;
    while let Some(batch) = guarded(filler, || batches.next().transpose())? {
        let schema = batch.schema();
        for index in 0..batch.num_rows() {
            row += 1;
            let mut object = Map::new();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let cell = cell(column, index).map_err(|kind| {
                    let problem = format!("the type {kind} is not read here");
                    filler.cell(row, field.name().clone(), problem, "write it as text or numbers")
                })?;
                object.insert(field.name().clone(), cell);
            }
            json::insert(filler, None, Value::Object(object), row)?;
        }
    }
    Ok(())
}

/// The value of a row as JSON, or the type that has none.
fn cell(array: &dyn Array, row: usize) -> Result<Value, DataType> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number::<Int8Type>(array, row).into(),
        DataType::Int16 => number::<Int16Type>(array, row).into(),
        DataType::Int32 => number::<Int32Type>(array, row).into(),
        DataType::Int64 => number::<Int64Type>(array, row).into(),
        DataType::UInt8 => number::<UInt8Type>(array, row).into(),
        DataType::UInt16 => number::<UInt16Type>(array, row).into(),
        DataType::UInt32 => number::<UInt32Type>(array, row).into(),
        DataType::UInt64 => number::<UInt64Type>(array, row).into(),
        // What is no number in JSON is missing, as it is in a data frame.
        DataType::Float16 => f64::from(number::<Float16Type>(array, row)).into(),
        DataType::Float32 => f64::from(number::<Float32Type>(array, row)).into(),
        DataType::Float64 => number::<Float64Type>(array, row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().value_as_string(row).into()
        }
        DataType::Decimal256(..) => {
            array.as_primitive::<Decimal256Type>().value_as_string(row).into()
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => moment(array, row)?,
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let cells =
                columns.map(|(field, column)| Ok((field.name().clone(), cell(column, row)?)));
            Value::Object(cells.collect::<Result<_, DataType>>()?)
        }
        DataType::Dictionary(key, _) => category(array, key, row)?,
        other => return Err(other.clone()),
    })
}

fn number<Kind: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Kind::Native {
    array.as_primitive::<Kind>().value(row)
}

fn list(items: &dyn Array) -> Result<Value, DataType> {
    (0..items.len()).map(|item| cell(items, item)).collect()
}

/// A day, or a moment with the offset of its zone where it has one: such are kept in UTC.
fn moment(array: &dyn Array, row: usize) -> Result<Value, DataType> {
    fn text<Kind>(array: &dyn Array, row: usize) -> Option<String>
    where
        Kind: ArrowTemporalType,
        i64: From<Kind::Native>,
    {
        let moment = array.as_primitive::<Kind>().value_as_datetime(row)?;
        Some(moment.to_string())
    }
    let text = match array.data_type() {
        DataType::Date32 => text::<Date32Type>(array, row),
        DataType::Date64 => text::<Date64Type>(array, row),
        DataType::Timestamp(TimeUnit::Second, _) => text::<TimestampSecondType>(array, row),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            text::<TimestampMillisecondType>(array, row)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            text::<TimestampMicrosecondType>(array, row)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => text::<TimestampNanosecondType>(array, row),
        other => return Err(other.clone()),
    };
    // A number of days that no calendar has is no day.
    let Some(text) = text else { return Ok(Value::Null) };
    Ok(match array.data_type() {
        DataType::Timestamp(_, Some(_)) => format!("{text}+00:00").into(),
        DataType::Timestamp(_, None) => text.into(),
        _ => text.split(' ').next().unwrap_or_default().into(),
    })
}

/// The value that a key stands for.
fn category(array: &dyn Array, key: &DataType, row: usize) -> Result<Value, DataType> {
    macro_rules! value_of {
        ($($key:ident => $kind:ty),*) => {
            match key {
                $(DataType::$key => {
                    let dictionary = array.as_dictionary::<$kind>();
                    let place = dictionary.key(row);
                    place.map_or(Ok(Value::Null), |place| cell(dictionary.values(), place))
                })*
                other => Err(other.clone()),
            }
        };
    }
    value_of!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
              UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type)
}
