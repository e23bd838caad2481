//! TensorBoard event files: scalars only.
//!
//! A file is a list of TFRecords, `length u64 | masked crc u32 | bytes | masked crc u32`, each
//! holding one protobuf `Event` (tensorflow/core/util/event.proto). TensorBoard merges the files
//! of a folder by name; a file of a resumed run opens with a session start, at which TensorBoard
//! forgets what earlier files say about that step and later ones.

use crate::crc::Crc32c;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// An open event file.
pub(crate) struct EventFile {
    file: File,
}

impl EventFile {
    /// Creates `events.out.tfevents.<first step>.diapason` in a folder, which must exist. Wall
    /// times are seconds since 1970.
    pub(crate) fn create(folder: &Path, first_step: u64, wall_time: f64) -> io::Result<Self> {
        // TensorBoard reads files in the order of their names, so the number is padded.
        let name = format!("events.out.tfevents.{first_step:010}.diapason");
        let mut events = EventFile { file: File::create(folder.join(name))? };
        events.file.write_all(&record(&version(wall_time)))?;
        events.file.write_all(&record(&session_start(first_step, wall_time)))?;
        Ok(events)
    }

    /// Appends the scalars of a step in one write.
    pub(crate) fn scalars(
        &mut self,
        step: u64,
        wall_time: f64,
        values: &[(&str, f64)],
    ) -> io::Result<()> {
        self.file.write_all(&record(&scalars(step, wall_time, values)))
    }
}

fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(&length));
    record.extend(content);
    record.extend(masked(content));
    record
}

/// The checksum as TFRecord stores it, so that a file of records can itself be checksummed.
fn masked(bytes: &[u8]) -> [u8; 4] {
    Crc32c::of(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// `Event { wall_time, file_version }`.
fn version(wall_time: f64) -> Vec<u8> {
    let mut event = event(0, wall_time);
    bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time, step, session_log { status: START } }`.
fn session_start(step: u64, wall_time: f64) -> Vec<u8> {
    let mut event = event(step, wall_time);
    bytes(&mut event, 7, &[0x08, 1]);
    event
}

/// `Event { wall_time, step, summary { value { tag, simple_value }… } }`.
fn scalars(step: u64, wall_time: f64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in values {
        let mut value = Vec::new();
        bytes(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((*number as f32).to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = event(step, wall_time);
    bytes(&mut event, 5, &summary);
    event
}

/// The fields every event has: `wall_time` and, unless it is the default 0, `step`.
fn event(step: u64, wall_time: f64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(wall_time.to_le_bytes());
    if step > 0 {
        event.push(2 << 3);
        varint(&mut event, step);
    }
    event
}

/// A length-delimited field.
fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_bytes_that_tensorboard_writes() {
        // From tensorboard 2.21: `Event(wall_time=1.5, …).SerializeToString()`.
        let version_bytes = b"\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0dbrain.Event:2";
        assert_eq!(version(1.5), version_bytes);
        let start = b"\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x3a\x02\x08\x01";
        assert_eq!(session_start(300, 1.5), start);
        let loss = b"\x09\0\0\0\0\0\0\xf8\x3f\x10\x07\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f";
        assert_eq!(scalars(7, 1.5, &[("loss", 0.5)]), loss);
    }

    #[test]
    fn records_are_framed_as_tfrecord() {
        // From tensorboard 2.21: `RecordWriter(f).write(b"abc")`.
        let framed = b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0eabc\x6e\x57\xf1\x21";
        assert_eq!(record(b"abc"), framed);
    }

    #[test]
    fn lengths_beyond_one_byte_are_varints() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        varint(&mut out, u64::MAX);
        assert_eq!(out[..2], [0xac, 0x02]);
        assert_eq!(out[2..], [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
