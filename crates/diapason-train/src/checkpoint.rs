//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! ```text
//! checkpoints/step-000120/model.safetensors     weights, as they are held
//!                         first.safetensors     AdamW's first moment, under the weights' names
//!                         second.safetensors    AdamW's second moment
//!                         moments.safetensors   both instead, where they are blocks of bytes
//!                         state.json            step, whose run it is, checksums; written last
//! ```
//!
//! The position in the data follows from the step: the plan is a function of settings and data.
//! A folder is filled under a temporary name, synced and renamed, so a checkpoint is there
//! completely or not at all; checksums guard against what happens to it later.

use crate::crc::{Crc32c, each_bytes};
use crate::{Event, TrainError};
use diapason_flow::Fingerprint;
use diapason_model::{
    MomentPrecision, Moments, Numbers, TensorSpec, WeightPrecision, WeightsMut, WeightsRef,
};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const MODEL: &str = "model.safetensors";
/// Both moments in f32.
const MOMENTS: [&str; 2] = ["first.safetensors", "second.safetensors"];
/// Both moments in blocks of bytes.
const BLOCKS: &str = "moments.safetensors";
const STATE: &str = "state.json";
/// End of the name of a folder that is being filled.
const PARTIAL: &str = ".partial";
/// Bytes that are converted and checksummed at once.
const CHUNK_BYTES: usize = 1 << 18;

/// What trains (the weights, or an adapter), and its moments.
pub(crate) type Buffers<'a> = (WeightsRef<'a>, &'a Moments);

/// What a checkpoint must agree with to be resumed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Identity {
    /// Settings that the weights depend on.
    pub(crate) settings: Fingerprint,
    /// The sequences.
    pub(crate) data: Fingerprint,
    /// Shape and weights before the first step.
    pub(crate) model: Fingerprint,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct State {
    step: u64,
    identity: Identity,
    files: BTreeMap<String, FileState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct FileState {
    bytes: u64,
    crc32c: u32,
}

/// A checkpoint that was found whole.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) step: u64,
}

impl Found {
    /// Reads the checkpoint into the buffers.
    pub(crate) fn load(
        &self,
        tensors: &[TensorSpec],
        weights: WeightsMut<'_>,
        moments: &mut Moments,
    ) -> Result<(), TrainError> {
        let read = |name: &str, header: &[u8], buffer: BufferMut<'_>| {
            let path = self.path.join(name);
            read_buffer(&path, header, buffer).map_err(TrainError::io("read", &path))
        };
        let of_weights = header(tensors, weights.precision());
        read(MODEL, &of_weights, BufferMut::Numbers(weights))?;
        let header = header(tensors, WeightPrecision::F32);
        match moments {
            Moments::F32(buffers) => {
                for (name, buffer) in MOMENTS.into_iter().zip(buffers) {
                    read(name, &header, BufferMut::Numbers(Numbers::F32(buffer)))?;
                }
                Ok(())
            }
            Moments::Bytes(blocks) => {
                let header = block_header(tensors);
                read(BLOCKS, &header, BufferMut::Bytes(blocks.as_flattened_mut()))
            }
        }
    }
}

/// The checkpoints of a run.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    identity: Identity,
}

impl Checkpoints {
    /// The checkpoints under `<folder>/checkpoints`, of which the newest `keep` stay.
    pub(crate) fn new(folder: &Path, keep: usize, identity: Identity) -> Self {
        Checkpoints { folder: folder.join("checkpoints"), keep, identity }
    }

    /// The newest whole checkpoint. Each that is damaged is reported to `skipped`.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if it belongs to another run.
    pub(crate) fn newest(
        &self,
        skipped: &mut dyn FnMut(Event),
    ) -> Result<Option<Found>, TrainError> {
        for (step, path) in self.list()?.into_iter().rev() {
            match verify(&path) {
                Ok(state) => {
                    self.check_identity(&path, &state.identity)?;
                    return Ok(Some(Found { path, step }));
                }
                Err(problem) => skipped(Event::CheckpointSkipped { path, problem }),
            }
        }
        Ok(None)
    }

    fn check_identity(&self, path: &Path, found: &Identity) -> Result<(), TrainError> {
        let (ours, path) = (&self.identity, path.to_owned());
        let parts = [
            (&ours.settings, &found.settings, "settings"),
            (&ours.data, &found.data, "data"),
            (&ours.model, &found.model, "initial weights"),
        ];
        match parts.into_iter().find(|(ours, found, _)| ours != found) {
            Some((_, _, differs)) => Err(TrainError::OtherRun { path, differs }),
            None => Ok(()),
        }
    }

    /// Writes a checkpoint and removes those that are too old. Returns its folder.
    ///
    /// # Errors
    /// The system's, with the path. Earlier checkpoints are removed only after this one stands.
    pub(crate) fn write(
        &self,
        step: u64,
        tensors: &[TensorSpec],
        buffers: Buffers<'_>,
    ) -> Result<PathBuf, TrainError> {
        let path = self.folder.join(format!("step-{step:06}"));
        let partial = self.folder.join(format!("step-{step:06}{PARTIAL}"));
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(TrainError::io("create", &partial))?;
        let written = self.fill(&partial, step, tensors, buffers);
        if written.is_err() {
            // The first error is the one worth reporting; a leftover is removed by the next run.
            let _ = fs::remove_dir_all(&partial);
        }
        written?;
        // Only a damaged checkpoint can be in the way: a whole one would have been resumed.
        remove(&path)?;
        fs::rename(&partial, &path).map_err(TrainError::io("rename", &partial))?;
        sync(&self.folder)?;
        self.prune()?;
        Ok(path)
    }

    fn fill(
        &self,
        partial: &Path,
        step: u64,
        tensors: &[TensorSpec],
        buffers: Buffers<'_>,
    ) -> Result<(), TrainError> {
        let mut files = BTreeMap::new();
        let mut write = |name: &str, header: &[u8], buffer: Buffer<'_>| {
            let path = partial.join(name);
            let state =
                write_buffer(&path, header, buffer).map_err(TrainError::io("write", &path))?;
            files.insert(name.to_owned(), state);
            Ok::<(), TrainError>(())
        };
        let (weights, moments) = buffers;
        write(MODEL, &header(tensors, weights.precision()), Buffer::Numbers(weights))?;
        let header = header(tensors, WeightPrecision::F32);
        match moments {
            Moments::F32(buffers) => {
                for (name, buffer) in MOMENTS.into_iter().zip(buffers) {
                    write(name, &header, Buffer::Numbers(Numbers::F32(buffer)))?;
                }
            }
            Moments::Bytes(blocks) => {
                write(BLOCKS, &block_header(tensors), Buffer::Bytes(blocks.as_flattened()))?;
            }
        }
        let state = State { step, identity: self.identity.clone(), files };
        let path = partial.join(STATE);
        diapason_flow::write_atomically(&path, |out| {
            Ok(serde_json::to_writer_pretty(out, &state)?)
        })
        .map_err(TrainError::io("write", &path))?;
        sync(partial)
    }

    /// Removes all but the newest checkpoints, and what interrupted writes left.
    fn prune(&self) -> Result<(), TrainError> {
        let steps = self.list()?;
        let old = steps.len().saturating_sub(self.keep);
        for (_, path) in &steps[..old] {
            remove(path)?;
        }
        for path in self.entries()? {
            if path.extension().is_some_and(|end| end == &PARTIAL[1..]) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Steps and folders of all checkpoints, oldest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>, TrainError> {
        let step_of = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
        let paths = self.entries()?.into_iter();
        let mut steps: Vec<(u64, PathBuf)> =
            paths.filter_map(|path| Some((step_of(&path)?, path))).collect();
        steps.sort();
        Ok(steps)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(TrainError::io("read", &self.folder)(source)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<io::Result<_>>().map_err(TrainError::io("read", &self.folder))
    }
}

/// Reads the state and the checksums of all files, or says what is wrong.
fn verify(path: &Path) -> Result<State, String> {
    let text = fs::read(path.join(STATE)).map_err(|error| format!("{STATE}: {error}"))?;
    let state: State =
        serde_json::from_slice(&text).map_err(|error| format!("{STATE}: {error}"))?;
    let whole = state.files.contains_key(BLOCKS)
        || MOMENTS.iter().all(|name| state.files.contains_key(*name));
    if !whole || !state.files.contains_key(MODEL) {
        return Err(format!("{STATE} lacks a file"));
    }
    for (name, expected) in &state.files {
        let found = checksum(&path.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if found.bytes != expected.bytes {
            return Err(format!("{name} has {} bytes of {}", found.bytes, expected.bytes));
        }
        if found.crc32c != expected.crc32c {
            return Err(format!("{name} has another checksum than when it was written"));
        }
    }
    Ok(state)
}

fn checksum(path: &Path) -> io::Result<FileState> {
    let mut file = File::open(path)?;
    let (mut bytes, mut crc) = (0, Crc32c::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(FileState { bytes, crc32c: crc.finish() });
        }
        bytes += read as u64;
        crc.update(&chunk[..read]);
    }
}

/// The head of a safetensors file that holds one buffer: its length, then names, shapes and
/// offsets as JSON, padded so that the data is aligned.
fn header(tensors: &[TensorSpec], precision: WeightPrecision) -> Vec<u8> {
    let kind = if precision == WeightPrecision::F32 { "F32" } else { "BF16" };
    let entry = |spec: &TensorSpec| {
        let offsets = [spec.range.start, spec.range.end].map(|at| precision.bytes() * at);
        (kind, spec.shape.clone(), offsets)
    };
    head(tensors.iter().map(|spec| (spec.name.as_str(), entry(spec))))
}

/// The same for moments in blocks of bytes, `[blocks, bytes]` a tensor.
fn block_header(tensors: &[TensorSpec]) -> Vec<u8> {
    let mut end = 0;
    head(tensors.iter().map(|spec| {
        let bytes = Moments::bytes(MomentPrecision::Bytes, spec.range.len());
        let start = end;
        end += bytes;
        let block = Moments::bytes(MomentPrecision::Bytes, 1);
        (spec.name.as_str(), ("U8", vec![bytes / block, block], [start, end]))
    }))
}

/// Name, type, shape and offsets of tensors.
type Entry<'a> = (&'a str, (&'static str, Vec<usize>, [usize; 2]));

fn head<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<u8> {
    let entries = entries.map(|(name, (kind, shape, offsets))| {
        let entry = serde_json::json!({"dtype": kind, "shape": shape, "data_offsets": offsets});
        (name.to_owned(), entry)
    });
    let entries: serde_json::Map<_, _> = entries.collect();
    let mut json = serde_json::Value::Object(entries).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    header
}

/// What a file holds behind its head.
#[derive(Clone, Copy)]
enum Buffer<'a> {
    Numbers(WeightsRef<'a>),
    Bytes(&'a [u8]),
}

enum BufferMut<'a> {
    Numbers(WeightsMut<'a>),
    Bytes(&'a mut [u8]),
}

fn write_buffer(path: &Path, header: &[u8], buffer: Buffer<'_>) -> io::Result<FileState> {
    let mut file = File::create(path)?;
    let (mut crc, mut bytes) = (Crc32c::new(), 0);
    let mut write = |part: &[u8]| {
        crc.update(part);
        bytes += part.len() as u64;
        file.write_all(part)
    };
    write(header)?;
    match buffer {
        Buffer::Bytes(values) => write(values)?,
        Buffer::Numbers(values) => each_bytes(values, CHUNK_BYTES, write)?,
    }
    file.sync_all()?;
    Ok(FileState { bytes, crc32c: crc.finish() })
}

fn read_buffer(path: &Path, header: &[u8], buffer: BufferMut<'_>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut found = vec![0; header.len()];
    file.read_exact(&mut found)?;
    if found != header {
        return Err(io::Error::other("its tensors are not those of the model"));
    }
    match buffer {
        BufferMut::Bytes(values) => file.read_exact(values),
        BufferMut::Numbers(Numbers::F32(values)) => {
            read_numbers(&mut file, values, f32::from_le_bytes)
        }
        BufferMut::Numbers(Numbers::Bf16(halves)) => {
            read_numbers(&mut file, halves, u16::from_le_bytes)
        }
    }
}

/// Fills a buffer with numbers of N bytes.
fn read_numbers<T, const N: usize>(
    file: &mut File,
    buffer: &mut [T],
    number: impl Fn([u8; N]) -> T,
) -> io::Result<()> {
    let mut bytes = vec![0; CHUNK_BYTES];
    for chunk in buffer.chunks_mut(CHUNK_BYTES / N) {
        let bytes = &mut bytes[..N * chunk.len()];
        file.read_exact(bytes)?;
        for (value, bytes) in chunk.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *value = number(*bytes);
        }
    }
    Ok(())
}

/// Removes a folder that may be absent.
fn remove(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TrainError::io("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable. Only Unix opens folders as files.
fn sync(folder: &Path) -> Result<(), TrainError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(TrainError::io("write", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
