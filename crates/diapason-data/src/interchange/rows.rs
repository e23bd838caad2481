//! Rows of any columns as Parquet: read one at a time, written a group at a time.
//!
//! A column is what all of its values are: texts, flags, whole numbers or numbers; messages of the
//! interchange shape are a list of structs; everything else is JSON text, marked as such. Reading
//! gives the rows back, except that a column of whole and other numbers has only the latter, and
//! that a key whose value is null is left out.

use super::{Column, GROUP_ROWS, Sink, unwrapped, write_error};
use crate::DataError;
use crate::table::parquet;
use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::FileReader as _;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::record::reader::RowIter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::Type;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of JSON that close a row group before it has all its rows.
const GROUP_BYTES: usize = 64 << 20;

/// Messages as the interchange has them.
const MESSAGES: &str = "message rows { optional group messages (LIST) { repeated group list {
    required group element {
        required binary role (UTF8);
        required binary content (UTF8);
        optional binary markers (JSON);
        optional double optimal_nats;
    } } } }";

/// What all values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Whole,
    Real,
    Messages,
    Json,
}

impl Kind {
    fn of(name: &str, value: &Value) -> Self {
        match value {
            Value::String(_) => Kind::Text,
            Value::Bool(_) => Kind::Flag,
            Value::Number(number) if number.is_i64() => Kind::Whole,
            Value::Number(number) if number.is_f64() => Kind::Real,
            Value::Array(list) if name == "messages" && list.iter().all(is_message) => {
                Kind::Messages
            }
            _ => Kind::Json,
        }
    }

    fn and(self, other: Kind) -> Kind {
        match (self, other) {
            (one, same) if one == same => one,
            (Kind::Whole, Kind::Real) | (Kind::Real, Kind::Whole) => Kind::Real,
            _ => Kind::Json,
        }
    }
}

fn is_message(message: &Value) -> bool {
    let Some(message) = message.as_object() else { return false };
    let known = |(key, value): (&String, &Value)| match key.as_str() {
        "role" | "content" => value.is_string(),
        "markers" => value.is_object(),
        "optimal_nats" => value.is_f64(),
        _ => false,
    };
    message.contains_key("role") && message.contains_key("content") && message.iter().all(known)
}

/// The columns that some rows have, in the order in which they are first seen.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<(String, Kind)>);

impl Columns {
    /// Looks at a row. What is no object has no columns.
    pub fn see(&mut self, row: &Value) {
        for (name, value) in row.as_object().into_iter().flatten() {
            if value.is_null() {
                continue;
            }
            let kind = Kind::of(name, value);
            match self.0.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = known.and(kind),
                None => self.0.push((name.clone(), kind)),
            }
        }
    }

    fn schema(&self) -> Result<Type, ParquetError> {
        let field = |(name, kind): &(String, Kind)| {
            let (physical, logical) = match kind {
                Kind::Messages => {
                    return parse_message_type(MESSAGES).map(|all| all.get_fields()[0].clone());
                }
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
                Kind::Flag => (Physical::BOOLEAN, None),
                Kind::Whole => (Physical::INT64, None),
                Kind::Real => (Physical::DOUBLE, None),
            };
            let builder = Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical);
            builder.build().map(Arc::new)
        };
        let fields = self.0.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        Type::group_type_builder("rows").with_fields(fields).build()
    }
}

/// A Parquet file of rows in the making; what is in memory is a group of rows.
pub struct RowWriter<'a> {
    columns: Columns,
    file: SerializedFileWriter<Sink>,
    sink: Sink,
    out: &'a mut dyn Write,
    waiting: Vec<Value>,
    waiting_bytes: usize,
}

impl<'a> RowWriter<'a> {
    /// A file of rows that have these columns.
    ///
    /// # Errors
    /// Of writing.
    pub fn new(columns: Columns, out: &'a mut dyn Write) -> io::Result<Self> {
        let schema = Arc::new(columns.schema().map_err(io::Error::other)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let sink = Sink::default();
        let file = SerializedFileWriter::new(sink.clone(), schema, Arc::new(properties))
            .map_err(io::Error::other)?;
        Ok(RowWriter { columns, file, sink, out, waiting: Vec::new(), waiting_bytes: 0 })
    }

    /// Adds a row, `bytes` long as JSON.
    ///
    /// # Errors
    /// Of writing.
    pub fn push(&mut self, row: Value, bytes: usize) -> io::Result<()> {
        self.waiting.push(row);
        self.waiting_bytes += bytes;
        if self.waiting.len() >= GROUP_ROWS || self.waiting_bytes >= GROUP_BYTES {
            self.group()?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.group()?;
        self.file.close().map_err(io::Error::other)?;
        self.out.write_all(&self.sink.drain())
    }

    fn group(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        write_group(&mut self.file, &self.columns, &rows).map_err(io::Error::other)?;
        self.out.write_all(&self.sink.drain())
    }
}

type Group<'a> = SerializedRowGroupWriter<'a, Sink>;

fn write_group(
    file: &mut SerializedFileWriter<Sink>,
    columns: &Columns,
    rows: &[Value],
) -> Result<(), ParquetError> {
    let text = |value: &Value| value.as_str().map(ByteArray::from);
    let json = |value: &Value| ByteArray::from(value.to_string().into_bytes());
    let told = |value: &Value| (!value.is_null()).then(|| json(value));
    let mut group = file.next_row_group()?;
    for (name, kind) in &columns.0 {
        match kind {
            Kind::Text => flat::<ByteArrayType>(&mut group, rows, |row| text(&row[name])),
            Kind::Json => flat::<ByteArrayType>(&mut group, rows, |row| told(&row[name])),
            Kind::Flag => flat::<BoolType>(&mut group, rows, |row| row[name].as_bool()),
            Kind::Whole => flat::<Int64Type>(&mut group, rows, |row| row[name].as_i64()),
            Kind::Real => flat::<DoubleType>(&mut group, rows, |row| row[name].as_f64()),
            Kind::Messages => {
                for part in ["role", "content"] {
                    nested::<ByteArrayType>(&mut group, rows, 2, |message| text(&message[part]))?;
                }
                nested::<ByteArrayType>(&mut group, rows, 3, |message| told(&message["markers"]))?;
                nested::<DoubleType>(&mut group, rows, 3, |message| {
                    message["optimal_nats"].as_f64()
                })
            }
        }?;
    }
    group.close()?;
    Ok(())
}

fn flat<D: DataType>(
    group: &mut Group<'_>,
    rows: &[Value],
    value: impl Fn(&Value) -> Option<D::T>,
) -> Result<(), ParquetError> {
    let mut column = Column::new();
    for row in rows {
        column.push(value(row), 1, 0);
    }
    column.write::<D>(group)
}

/// A column of the messages; `level` is 2 where it is required, 3 where it is optional.
fn nested<D: DataType>(
    group: &mut Group<'_>,
    rows: &[Value],
    level: i16,
    value: impl Fn(&Value) -> Option<D::T>,
) -> Result<(), ParquetError> {
    let mut column = Column::new();
    for row in rows {
        let Some(messages) = row["messages"].as_array() else {
            column.push(None, 1, 0);
            continue;
        };
        if messages.is_empty() {
            column.push(None, 2, 0);
        }
        for (index, message) in messages.iter().enumerate() {
            column.push(value(message), level, i16::from(index > 0));
        }
    }
    column.write::<D>(group)
}

/// The rows of a Parquet file as JSON objects, one at a time.
pub struct ParquetRows {
    path: PathBuf,
    rows: RowIter<'static>,
    /// Columns whose texts are JSON.
    json: Vec<String>,
    total: u64,
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// What is no Parquet.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let reader = parquet::open(path)?;
        let file = reader.metadata().file_metadata();
        let fields = file.schema().get_fields();
        let is_json = |field: &&Arc<Type>| {
            field.get_basic_info().logical_type_ref() == Some(&LogicalType::Json)
        };
        let json = fields.iter().filter(is_json).map(|field| field.name().to_owned()).collect();
        let total = u64::try_from(file.num_rows()).unwrap_or(0);
        Ok(ParquetRows { path: path.to_owned(), rows: reader.into_iter(), json, total })
    }

    /// Number of rows.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn object(&self, row: Value) -> Value {
        let Value::Object(row) = row else { return row };
        let read = |(name, value): (String, Value)| {
            let text = value.as_str().filter(|_| self.json.contains(&name));
            let value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value);
            (!value.is_null()).then_some((name, value))
        };
        let mut row = unwrapped(Value::Object(row.into_iter().filter_map(read).collect()));
        let messages = row.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
        for message in messages.filter_map(Value::as_object_mut) {
            let kept = std::mem::take(message).into_iter().filter(|(_, value)| !value.is_null());
            *message = kept.collect::<Map<_, _>>();
        }
        row
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Value, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        let row = row.map_err(|problem| parquet::damaged(&self.path, &problem));
        Some(row.map(|row| self.object(row.to_json_value())))
    }
}

/// Writes rows to a file atomically, for those that are in memory already.
///
/// # Errors
/// Of writing.
pub fn write_rows(path: &Path, rows: &[Value]) -> Result<(), DataError> {
    let mut columns = Columns::default();
    for row in rows {
        columns.see(row);
    }
    diapason_flow::write_atomically(path, |out| {
        let mut writer = RowWriter::new(columns, out)?;
        rows.iter().try_for_each(|row| writer.push(row.clone(), 0))?;
        writer.finish()
    })
    .map_err(|source| write_error(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_of_mixed_shapes_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut rows = vec![
            json!({"id": 1, "prompt": "p", "completion": "c\u{0}", "markers": {"lang": "French"}}),
            json!({"messages": [{"role": "user", "content": "u"},
                {"role": "assistant", "content": "a", "markers": {"format": ["JSON", "XML"]}}],
                "id": 2, "score": 0.5, "right": true}),
            json!({"messages": [], "extra": [1, "two"], "odd name.of \"it\"": "x"}),
            json!({"text": "ж", "extra": {"a": null}, "score": 2.5}),
        ];
        rows.extend((0..GROUP_ROWS as i64 + 3).map(|id| json!({"id": id, "text": "t"})));
        write_rows(&path, &rows).unwrap();
        let read = ParquetRows::open(&path).unwrap();
        assert_eq!(read.total(), rows.len() as u64);
        let read: Vec<Value> = read.map(Result::unwrap).collect();
        assert_eq!(read, rows);
    }

    #[test]
    fn what_columns_do_not_share_is_json() {
        let mut columns = Columns::default();
        for row in [
            json!({"a": 1, "b": 1, "c": "x", "messages": [{"role": "r", "content": "c"}]}),
            json!({"a": 2.5, "b": "x", "c": null, "messages": [{"role": "r", "content": "c", "name": "n"}]}),
        ] {
            columns.see(&row);
        }
        let kinds: Vec<Kind> = columns.0.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [Kind::Real, Kind::Json, Kind::Text, Kind::Json]);
    }
}
