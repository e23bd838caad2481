//! Episodes on disk: JSON lines, or Parquet with the same columns.
//!
//! In Parquet `messages` is a list of structs; `goal` and `markers` are JSON texts, because their
//! shape differs from row to row. What others write in the shapes of
//! [`diapason_flow::episode_from_json`] is read from either.

mod rows;

use crate::table::parquet::each_row;
use crate::{BuildSettings, DataError, Suite, Task};
use diapason_flow::{Episode, Streams, episode_from_json, episode_to_json, write_atomically};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use rows::{Columns, ParquetRows, RowWriter, write_rows};

/// Rows of one Parquet row group.
const GROUP_ROWS: usize = 10_000;

const SCHEMA: &str = "message episode {
    required binary task (UTF8);
    required binary unit (UTF8);
    required group messages (LIST) { repeated group list { required group element {
        required binary role (UTF8);
        required binary content (UTF8);
        optional binary markers (UTF8);
        optional double optimal_nats;
    } } }
    optional binary goal (UTF8);
    required boolean exchangeable;
}";

/// Reads a file of episodes: Parquet by its extension, JSON lines otherwise.
///
/// A row without `task` belongs to the task named by the file's stem, one without `unit` is a
/// unit of its own.
///
/// # Errors
/// With the file and the line or row.
pub fn read_episodes(path: &Path) -> Result<Vec<Episode>, DataError> {
    let task = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut episodes = Vec::new();
    let mut take = |line: usize, row: &Value| {
        let unit = format!("row {line}");
        let episode = episode_from_json(row, (&task, &unit))
            .map_err(|source| DataError::Episode { path: path.to_owned(), line, source })?;
        episodes.push(episode);
        Ok(())
    };
    if is_parquet(path) {
        each_row(path, |row, value| take(row as usize, &unwrapped(value)))?;
        return Ok(episodes);
    }
    let io_error = |source| DataError::Io { action: "read", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io_error)?;
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(io_error)?;
        let text = line.strip_prefix('\u{feff}').unwrap_or(&line);
        if text.trim().is_empty() {
            continue;
        }
        let row = serde_json::from_str(text).map_err(|problem| DataError::Row {
            path: path.to_owned(),
            row: index as u64 + 1,
            column: String::new(),
            problem: problem.to_string(),
            hint: "every line must be one JSON object".into(),
        })?;
        take(index + 1, &row)?;
    }
    Ok(episodes)
}

/// Writes episodes atomically: Parquet if the extension says so, JSON lines otherwise.
pub fn write_episodes(path: &Path, episodes: &[Episode]) -> Result<(), DataError> {
    let write = |out: &mut dyn Write| {
        if is_parquet(path) {
            let mut writer = ParquetWriter::new()?;
            episodes.chunks(GROUP_ROWS).try_for_each(|rows| writer.group(out, rows))?;
            writer.finish(out)
        } else {
            episodes.iter().try_for_each(|episode| out.write_all(&line(episode)))
        }
    };
    write_atomically(path, write).map_err(|source| write_error(path, source))
}

/// What a file of episodes holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of episodes.
    pub episodes: usize,
    /// Their turns.
    pub turns: usize,
}

impl Suite {
    /// Builds a task into a file, as [`write_episodes`] would write what [`Suite::build`] gives, with
    /// no more of it in memory than a batch.
    ///
    /// # Errors
    /// Those of `build`, or of writing; the file is then as it was before.
    pub fn build_file(
        &self,
        task: &Task,
        data: Option<&Path>,
        settings: (&BuildSettings, &Streams),
        path: &Path,
    ) -> Result<Written, DataError> {
        let mut written = Written::default();
        let mut mistake = None;
        let result = write_atomically(path, |out| {
            let from = (task, data, settings);
            let built = if is_parquet(path) {
                self.write_groups(from, path, out)
            } else {
                self.write_lines(from, path, out)
            };
            // Only errors of the system fit through here.
            written = built.map_err(|problem| {
                mistake = Some(problem);
                io::Error::other("the task cannot be built")
            })?;
            Ok(())
        });
        match (result, mistake) {
            (Ok(()), _) => Ok(written),
            (Err(_), Some(mistake)) => Err(mistake),
            (Err(source), None) => Err(write_error(path, source)),
        }
    }

    fn write_lines(
        &self,
        (task, data, settings): Ingredients<'_>,
        path: &Path,
        out: &mut dyn Write,
    ) -> Result<Written, DataError> {
        let mut turns = 0;
        let map = |episode: Episode| (episode.turns.len(), line(&episode));
        let episodes = self.each(task, data, settings, &map, &mut |batch| {
            turns += batch.iter().map(|(turns, _)| turns).sum::<usize>();
            let written = batch.iter().try_for_each(|(_, line)| out.write_all(line));
            written.map_err(|source| write_error(path, source))
        })?;
        Ok(Written { episodes, turns })
    }

    fn write_groups(
        &self,
        (task, data, settings): Ingredients<'_>,
        path: &Path,
        out: &mut dyn Write,
    ) -> Result<Written, DataError> {
        let io_error = |source| write_error(path, source);
        let mut writer = ParquetWriter::new().map_err(io_error)?;
        let mut waiting: Vec<Episode> = Vec::new();
        let mut turns = 0;
        let episodes = self.each(task, data, settings, &|episode| episode, &mut |batch| {
            turns += batch.iter().map(|episode| episode.turns.len()).sum::<usize>();
            waiting.extend(batch);
            while waiting.len() >= GROUP_ROWS {
                let rest = waiting.split_off(GROUP_ROWS);
                writer.group(out, &waiting).map_err(io_error)?;
                waiting = rest;
            }
            Ok(())
        })?;
        if !waiting.is_empty() {
            writer.group(out, &waiting).map_err(io_error)?;
        }
        writer.finish(out).map_err(io_error)?;
        Ok(Written { episodes, turns })
    }
}

/// What a task is built from.
type Ingredients<'a> = (&'a Task, Option<&'a Path>, (&'a BuildSettings, &'a Streams));

fn write_error(path: &Path, source: io::Error) -> DataError {
    DataError::Io { action: "write", path: path.to_owned(), source }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// An episode as a line of JSON with its line end.
fn line(episode: &Episode) -> Vec<u8> {
    let mut line = episode_to_json(episode).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A Parquet row with its JSON texts read.
fn unwrapped(mut row: Value) -> Value {
    let read = |value: &mut Value| {
        if let Some(nested) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            *value = nested;
        }
    };
    if let Some(goal) = row.get_mut("goal") {
        read(goal);
    }
    if let Some(markers) = row.get_mut("markers") {
        read(markers);
    }
    let messages = row.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten() {
        if let Some(markers) = message.get_mut("markers") {
            read(markers);
        }
    }
    row
}

/// A column in the making: values with their definition and repetition levels.
struct Column<T> {
    values: Vec<T>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl<T> Column<T> {
    fn new() -> Self {
        Column { values: Vec::new(), definition: Vec::new(), repetition: Vec::new() }
    }

    /// Adds a value at `level`, or nothing one level below where there is none.
    fn push(&mut self, value: Option<T>, level: i16, repetition: i16) {
        self.definition.push(level - i16::from(value.is_none()));
        self.repetition.push(repetition);
        self.values.extend(value);
    }

    fn write<D: DataType<T = T>>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, Sink>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("the schema has fewer columns".into()));
        };
        column.typed::<D>().write_batch(
            &self.values,
            Some(&self.definition),
            Some(&self.repetition),
        )?;
        column.close()
    }
}

/// Bytes on their way to a file, shared with a writer that wants to own where it writes.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn drain(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A Parquet file in the making, of which no more than a group of rows is in memory.
struct ParquetWriter {
    file: SerializedFileWriter<Sink>,
    sink: Sink,
}

impl ParquetWriter {
    fn new() -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(io::Error::other)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let sink = Sink::default();
        let file = SerializedFileWriter::new(sink.clone(), schema, Arc::new(properties))
            .map_err(io::Error::other)?;
        Ok(ParquetWriter { file, sink })
    }

    fn group(&mut self, out: &mut dyn Write, rows: &[Episode]) -> io::Result<()> {
        write_group(&mut self.file, rows).map_err(io::Error::other)?;
        out.write_all(&self.sink.drain())
    }

    fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        self.file.close().map_err(io::Error::other)?;
        out.write_all(&self.sink.drain())
    }
}

/// Columns in the order of [`SCHEMA`].
fn write_group(
    file: &mut SerializedFileWriter<Sink>,
    episodes: &[Episode],
) -> Result<(), ParquetError> {
    let text = |value: &Value| value.as_str().map(ByteArray::from);
    let json =
        |value: &Value| (!value.is_null()).then(|| ByteArray::from(value.to_string().into_bytes()));
    let rows: Vec<Value> = episodes.iter().map(episode_to_json).collect();
    let mut group = file.next_row_group()?;
    for name in ["task", "unit"] {
        flat(&rows, 0, |row| text(&row[name])).write::<ByteArrayType>(&mut group)?;
    }
    for name in ["role", "content"] {
        nested(&rows, 1, |message| text(&message[name])).write::<ByteArrayType>(&mut group)?;
    }
    nested(&rows, 2, |message| json(&message["markers"])).write::<ByteArrayType>(&mut group)?;
    nested(&rows, 2, |message| message["optimal_nats"].as_f64()).write::<DoubleType>(&mut group)?;
    flat(&rows, 1, |row| json(&row["goal"])).write::<ByteArrayType>(&mut group)?;
    flat(&rows, 0, |row| Some(row["exchangeable"].as_bool().unwrap_or(true)))
        .write::<BoolType>(&mut group)?;
    group.close()?;
    Ok(())
}

/// A column outside the list; `level` is 0 where it is required, 1 where it is optional.
fn flat<T>(rows: &[Value], level: i16, value: impl Fn(&Value) -> Option<T>) -> Column<T> {
    let mut column = Column::new();
    for row in rows {
        column.push(value(row), level, 0);
    }
    column
}

/// A column of the messages; `level` is 1 where it is required, 2 where it is optional.
fn nested<T>(rows: &[Value], level: i16, value: impl Fn(&Value) -> Option<T>) -> Column<T> {
    let mut column = Column::new();
    for row in rows {
        let messages = row["messages"].as_array().map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            column.push(None, 1, 0);
        }
        for (index, message) in messages.iter().enumerate() {
            column.push(value(message), level, i16::from(index > 0));
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::{Check, Goal, Query, Turn};

    fn episodes() -> Vec<Episode> {
        let mut urn = Episode::new("align/urn", "urn 1");
        urn.description = Some("Ein Würfel\nmit \"Augen\"".into());
        let goal = Goal::Choices { options: vec!["a".into(), "b".into()], probs: vec![0.3, 0.7] };
        urn.query = Some(Query { input: Some("Which?".into()), goal });
        let mut draws = Episode::new("steer/coin", "coin 2");
        for (index, output) in ["heads", "tails", ""].into_iter().enumerate() {
            let mut turn = Turn { output: output.into(), ..Turn::default() };
            turn.optimal_nats = (index == 1).then_some(0.693);
            if index == 0 {
                turn.markers.set("lang", "en");
            }
            draws.turns.push(turn);
        }
        draws.exchangeable = false;
        let mut bare = Episode::new("cover/primes", "examples");
        bare.query = Some(Query { input: None, goal: Goal::Valid(Check::Prime { max: 99 }) });
        vec![urn, draws, bare]
    }

    #[test]
    fn both_formats_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["e.jsonl", "e.parquet"] {
            let path = folder.path().join(name);
            write_episodes(&path, &episodes()).unwrap();
            assert_eq!(read_episodes(&path).unwrap(), episodes(), "{name}");
        }
    }

    #[test]
    fn many_row_groups_keep_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.parquet");
        let many: Vec<Episode> =
            (0..GROUP_ROWS + 7).map(|index| Episode::new("t", index.to_string())).collect();
        write_episodes(&path, &many).unwrap();
        assert_eq!(read_episodes(&path).unwrap(), many);
    }

    #[test]
    fn other_shapes_are_read_and_mistakes_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.jsonl");
        let good = "\u{feff}{\"prompt\": \"p\", \"completion\": \"c\"}\n\n{\"text\": \"t\"}\n";
        std::fs::write(&path, good).unwrap();
        let read = read_episodes(&path).unwrap();
        assert_eq!((read[0].task.as_str(), read[1].unit.as_str()), ("chat", "row 3"));
        std::fs::write(&path, format!("{good}{{\"body\": 1}}\n")).unwrap();
        let error = read_episodes(&path).unwrap_err().to_string();
        assert!(error.contains("chat.jsonl`, line 4: no `messages`"), "{error}");
        std::fs::write(&path, "{\"text\": ").unwrap();
        assert!(read_episodes(&path).unwrap_err().to_string().contains("row 1"));
    }
}
