//! Artifact folders: complete or absent, and always saying how they were made.
//!
//! A folder is an artifact when it holds a readable `stamp.json`, which is written last. Every
//! file is written to a temporary name, synced and renamed, so an interrupted run leaves either
//! the old file or the new one. What is in a folder without a stamp is work in progress that the
//! same stage may resume.

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A short content hash: 16 hexadecimal digits of a SHA-256.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl Fingerprint {
    /// The fingerprint of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let head = hash.iter().take(8).fold(0u64, |head, byte| head << 8 | u64::from(*byte));
        Fingerprint(format!("{head:016x}"))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How an artifact was made.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// Hash of everything below: equal fingerprints mean equal content.
    pub fingerprint: Fingerprint,
    /// What it is: `episodes`, `model`, `evaluation`, `report`.
    pub kind: String,
    /// Fingerprints of the artifacts it was made from.
    pub parents: Vec<Fingerprint>,
    /// The resolved settings of the stage.
    pub settings: serde_json::Value,
    /// The seed of the run.
    pub seed: u64,
    /// Version of diapason.
    pub version: String,
}

impl Stamp {
    /// A stamp with its fingerprint computed.
    pub fn new(
        kind: &str,
        parents: Vec<Fingerprint>,
        settings: serde_json::Value,
        seed: u64,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let content = serde_json::json!([kind, parents, settings, seed, version]);
        Stamp {
            fingerprint: Fingerprint::of(content.to_string().as_bytes()),
            kind: kind.to_owned(),
            parents,
            settings,
            seed,
            version,
        }
    }
}

/// What can go wrong with an artifact folder.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Reading or writing failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `write`, `read`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder holds something else.
    #[error(
        "`{}` holds {found} with other settings\n\nhint: give another folder, or remove it to make it again",
        path.display()
    )]
    Other {
        /// The folder.
        path: PathBuf,
        /// What its stamp says.
        found: String,
    },
    /// The stamp cannot be read.
    #[error(
        "`{}` is damaged: {problem}\n\nhint: remove the folder to make it again",
        path.display()
    )]
    Damaged {
        /// The stamp file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// A folder being made, or finished.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    stamp: Stamp,
}

impl Artifact {
    /// Opens a folder for a stage. Returns the folder and whether it is already complete.
    ///
    /// # Errors
    /// [`ArtifactError::Other`] if the folder is a finished artifact with another fingerprint, or
    /// unfinished work of another stage: nothing of the user's is ever overwritten.
    pub fn open(path: &Path, stamp: Stamp) -> Result<(Self, bool), ArtifactError> {
        fs::create_dir_all(path).map_err(|source| io_error("create", path, source))?;
        let artifact = Artifact { path: path.to_owned(), stamp };
        if let Some(found) = Self::stamp_at(path)? {
            return if found.fingerprint == artifact.stamp.fingerprint {
                Ok((artifact, true))
            } else {
                let found = format!("a finished {} ({})", found.kind, found.fingerprint);
                Err(ArtifactError::Other { path: path.to_owned(), found })
            };
        }
        let begun = path.join("begun.json");
        if let Some(found) = read_stamp(&begun)? {
            if found.fingerprint != artifact.stamp.fingerprint {
                let found = format!("an unfinished {} ({})", found.kind, found.fingerprint);
                return Err(ArtifactError::Other { path: path.to_owned(), found });
            }
        } else {
            artifact.write_json("begun.json", &artifact.stamp)?;
        }
        Ok((artifact, false))
    }

    /// The stamp of a finished artifact, `None` if the folder is not one.
    pub fn stamp_at(path: &Path) -> Result<Option<Stamp>, ArtifactError> {
        read_stamp(&path.join("stamp.json"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stamp it has, or will have.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Writes a file of the folder atomically.
    pub fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), ArtifactError> {
        let path = self.path.join(name);
        write_atomically(&path, content).map_err(|source| io_error("write", &path, source))
    }

    /// Writes a value as indented JSON.
    pub fn write_json(
        &self,
        name: &str,
        value: &impl serde::Serialize,
    ) -> Result<(), ArtifactError> {
        self.write(name, |out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Declares the folder complete: writes the stamp, last of all.
    pub fn finish(self) -> Result<Stamp, ArtifactError> {
        self.write_json("stamp.json", &self.stamp)?;
        let begun = self.path.join("begun.json");
        match fs::remove_file(&begun) {
            Ok(()) => Ok(self.stamp),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(self.stamp),
            Err(source) => Err(io_error("remove", &begun, source)),
        }
    }
}

/// Writes a file under a temporary name beside it, syncs it and renames it into place.
///
/// # Errors
/// The system's; the target is then untouched and the temporary file is removed.
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
        content(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one worth reporting; a leftover temporary file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn read_stamp(path: &Path) -> Result<Option<Stamp>, ArtifactError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path, source)),
    };
    serde_json::from_str(&text).map(Some).map_err(|problem| ArtifactError::Damaged {
        path: path.to_owned(),
        problem: problem.to_string(),
    })
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seed: u64) -> Stamp {
        Stamp::new("model", vec![], serde_json::json!({"width": 8}), seed)
    }

    #[test]
    fn a_folder_is_complete_only_after_finish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base");
        let (artifact, complete) = Artifact::open(&path, stamp(1)).unwrap();
        assert!(!complete);
        artifact.write("weights", |out| out.write_all(b"w")).unwrap();
        assert_eq!(Artifact::stamp_at(&path).unwrap(), None);
        let (artifact, complete) = Artifact::open(&path, stamp(1)).unwrap();
        assert!(!complete, "an interrupted stage resumes");
        artifact.finish().unwrap();
        assert!(Artifact::open(&path, stamp(1)).unwrap().1);
    }

    #[test]
    fn other_work_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base");
        let (begun, _) = Artifact::open(&path, stamp(1)).unwrap();
        assert!(matches!(Artifact::open(&path, stamp(2)), Err(ArtifactError::Other { .. })));
        begun.finish().unwrap();
        assert!(matches!(Artifact::open(&path, stamp(2)), Err(ArtifactError::Other { .. })));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
