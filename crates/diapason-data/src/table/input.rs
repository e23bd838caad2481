//! Where the bytes of a table come from: plain, gzip and bzip2 files, and members of zip archives.

use super::{TableSpec, matches};
use crate::DataError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Gives the bytes of a file, or of each member of an archive that the spec wants, with the path
/// by which errors name them: `archive.zip/member.csv`.
pub(super) fn each(
    spec: &TableSpec,
    path: &Path,
    mut take: impl FnMut(&Path, &mut dyn BufRead) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let file = BufReader::new(File::open(path).map_err(|source| io_error(path, source))?);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "zip" => members(spec, path, file, take),
        "gz" => take(path, &mut BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        "bz2" => take(path, &mut BufReader::new(bzip2::bufread::MultiBzDecoder::new(file))),
        _ => take(path, &mut { file }),
    }
}

fn members(
    spec: &TableSpec,
    path: &Path,
    file: BufReader<File>,
    mut take: impl FnMut(&Path, &mut dyn BufRead) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut archive = ZipArchive::new(file).map_err(|problem| zip_error(path, &problem))?;
    let mut wanted: Vec<(String, usize)> = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(|problem| zip_error(path, &problem))?;
        let name = member.name().map_err(|problem| zip_error(path, &problem))?;
        if !name.ends_with('/') && matches(&spec.member, &name) {
            wanted.push((name.into_owned(), index));
        }
    }
    if wanted.is_empty() {
        let problem = format!("no member matches `{}`", spec.member);
        return Err(DataError::Format {
            path: path.to_owned(),
            format: "the archive that its source describes",
            problem,
            hint: "set member to a pattern of names in the archive".into(),
        });
    }
    wanted.sort();
    for (name, index) in wanted {
        let path = path.join(name);
        let opened = match &spec.password {
            Some(password) => archive.by_index_decrypt(index, password.as_bytes()),
            None => archive.by_index(index),
        };
        let member = opened.map_err(|problem| zip_error(&path, &problem))?;
        take(&path, &mut BufReader::new(member))?;
    }
    Ok(())
}

/// All bytes, without a byte-order mark.
pub(super) fn bytes(path: &Path, read: &mut dyn BufRead) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    without_mark(read).read_to_end(&mut bytes).map_err(|source| io_error(path, source))?;
    Ok(bytes)
}

/// The same bytes without a byte-order mark.
pub(super) fn without_mark(read: &mut dyn BufRead) -> impl BufRead {
    let mut head = Vec::new();
    // An error shows again when the rest is read.
    let _ = read.take(3).read_to_end(&mut head);
    if head == b"\xEF\xBB\xBF" {
        head.clear();
    }
    io::Cursor::new(head).chain(read)
}

/// A failure of the system, or of a decoder on bytes that are broken or end too early.
pub(super) fn io_error(path: &Path, source: io::Error) -> DataError {
    if source.raw_os_error().is_some() {
        return DataError::Io { action: "read", path: path.to_owned(), source };
    }
    DataError::Format {
        path: path.to_owned(),
        format: "whole",
        problem: source.to_string(),
        hint: "the file may be truncated or damaged; fetch it again".into(),
    }
}

/// The same where the rows before `row` could be read.
pub(super) fn io_error_at(path: &Path, row: u64, source: io::Error) -> DataError {
    match io_error(path, source) {
        DataError::Format { path, format, problem, hint } => {
            let problem = format!("{problem}, after {} whole rows", row.saturating_sub(1));
            DataError::Format { path, format, problem, hint }
        }
        other => other,
    }
}

fn zip_error(path: &Path, problem: &ZipError) -> DataError {
    let hint = match problem {
        ZipError::InvalidPassword => "set password to the one that its makers published",
        ZipError::UnsupportedArchive(text) if text.contains("assword") => {
            "set password to the one that its makers published"
        }
        _ => "the file may be truncated or damaged; fetch it again",
    };
    DataError::Format {
        path: path.to_owned(),
        format: "a zip archive that can be read",
        problem: problem.to_string(),
        hint: hint.into(),
    }
}
