//! Weights read and written a part of a tensor at a time.

use super::{Mapped, Precision};
use crate::{Arch, ModelError, SpecialIds, TensorSpec};
use diapason_flow::write_atomically;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Elements that are converted at once.
const PART: usize = 1 << 16;

/// A checkpoint folder whose tensors stay on disk until they are asked for.
pub(crate) struct Shelf {
    pub(crate) dir: PathBuf,
    pub(crate) arch: Arch,
    pub(crate) ids: SpecialIds,
    pub(crate) layout: crate::Layout,
    files: Vec<(PathBuf, File)>,
    /// Where each tensor of the layout begins: file, byte, type.
    places: Vec<(usize, u64, Precision)>,
    /// Bytes read last.
    bytes: Vec<u8>,
}

impl Shelf {
    /// Opens a Hugging Face folder and checks every tensor against its config.
    ///
    /// # Errors
    /// Those of [`crate::Model::load`].
    pub(crate) fn open(dir: &Path) -> Result<Self, ModelError> {
        let mapped = Mapped::open(dir)?;
        let starts: Vec<*const u8> = mapped.maps.iter().map(|(_, map)| map.as_ptr()).collect();
        let place = |found: super::Found<'_>| {
            let offset = found.bytes.as_ptr() as usize - starts[found.file] as usize;
            (found.file, offset as u64, found.precision)
        };
        let places = mapped.tensors()?.into_iter().map(place).collect();
        let mut files = Vec::new();
        for (path, _) in &mapped.maps {
            // Read rather than mapped: pages of a map stay in memory as long as there is room.
            let file = File::open(path).map_err(|source| ModelError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            files.push((path.clone(), file));
        }
        let ids = SpecialIds::load(dir)?;
        let Mapped { dir, arch, layout, .. } = mapped;
        Ok(Shelf { dir, arch, ids, layout, files, places, bytes: Vec::new() })
    }

    /// Element type of every tensor of the layout.
    pub(crate) fn precisions(&self) -> Vec<Precision> {
        self.places.iter().map(|(_, _, precision)| *precision).collect()
    }

    /// Reads elements of a tensor of the layout.
    ///
    /// # Errors
    /// The system's, with the file.
    pub(crate) fn read(
        &mut self,
        tensor: usize,
        part: &Range<usize>,
        values: &mut [f32],
    ) -> Result<(), ModelError> {
        let (file, start, precision) = self.places[tensor];
        let (path, file) = &mut self.files[file];
        let from = start + (part.start * precision.bytes()) as u64;
        self.bytes.resize(part.len() * precision.bytes(), 0);
        let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut self.bytes));
        let error = |source| ModelError::Io { action: "read", path: path.clone(), source };
        read.map_err(error)?;
        precision.read(&self.bytes, values);
        Ok(())
    }
}

/// Writes a safetensors file, its tensors in the order given. `part(tensor, elements, values)`
/// fills the values of a stretch of at most [`PART`] elements.
///
/// # Errors
/// The system's, with the path, and those of `part`; nothing is written then.
pub(crate) fn write_tensors(
    path: &Path,
    specs: &[(&TensorSpec, Precision)],
    mut part: impl FnMut(usize, Range<usize>, &mut [f32]) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    write_atomically(path, |out| {
        let header = header(specs)?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let (mut values, mut bytes) = (vec![0.0; PART], Vec::with_capacity(4 * PART));
        for (index, (spec, precision)) in specs.iter().enumerate() {
            let len = spec.range.len();
            for from in (0..len).step_by(PART) {
                let elements = from..len.min(from + PART);
                let values = &mut values[..elements.len()];
                part(index, elements, values).map_err(io::Error::other)?;
                bytes.clear();
                precision.write(values, &mut bytes);
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    })
    .map_err(|source| ModelError::Io { action: "write", path: path.to_owned(), source })
}

/// The header: names, types, shapes and places. Padded with spaces so that the data begins at a
/// multiple of 8 bytes.
fn header(specs: &[(&TensorSpec, Precision)]) -> io::Result<Vec<u8>> {
    let mut end = 0;
    let tensors = specs.iter().map(|(spec, precision)| {
        let start = end;
        end += spec.range.len() * precision.bytes();
        let (dtype, shape) = (precision.dtype(), spec.shape.clone());
        (spec.name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), tensors.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
