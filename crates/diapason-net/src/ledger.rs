//! Answers that were paid for, in a file that survives being killed at any moment.
//!
//! One JSON object a line, `{"key": …, "value": …}`, appended and synced before the answer is
//! used. Only the places of the answers are held in memory. A line that was cut short, which only
//! the last can be, is dropped when the file is opened again; its answer was never used.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line that is none of ours, in the middle.
    #[error(
        "`{}`, line {line}: {problem}\n\nhint: is this another file? Remove the line to go on without it",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Another process has it.
    #[error("`{}` is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

/// Answers by key. Shared by threads; of one process at a time.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    file: File,
    places: Places,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    value: Value,
}

impl Ledger {
    /// Opens a ledger, new where there is none, and reads what it holds.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed = |action| {
            let path = path.to_owned();
            move |source| LedgerError::Io { action, path, source }
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed("create"))?;
        }
        let file = OpenOptions::new().create(true).append(true).read(true).open(path);
        let mut file = file.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let (places, whole) = read(&mut file, path)?;
        file.set_len(whole).map_err(failed("repair"))?;
        Ok(Ledger { path: path.to_owned(), inside: Mutex::new(Inside { file, places }) })
    }

    /// The answer to a key.
    ///
    /// # Errors
    /// [`LedgerError::Io`].
    pub fn get(&self, key: &str) -> Result<Option<Value>, LedgerError> {
        let failed = |source| LedgerError::Io { action: "read", path: self.path.clone(), source };
        let mut inside = self.lock();
        let Some((offset, length)) = inside.places.get(key).copied() else { return Ok(None) };
        let mut text = vec![0; length];
        inside.file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        inside.file.read_exact(&mut text).map_err(failed)?;
        drop(inside);
        let line: Line = serde_json::from_slice(&text).map_err(|problem| failed(problem.into()))?;
        Ok(Some(line.value))
    }

    /// Whether there is an answer to a key.
    pub fn has(&self, key: &str) -> bool {
        self.lock().places.contains_key(key)
    }

    /// Keeps an answer. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; the answer is then not kept.
    pub fn put(&self, key: &str, value: Value) -> Result<(), LedgerError> {
        let line = Line { key: key.to_owned(), value };
        let failed = |source| LedgerError::Io { action: "write", path: self.path.clone(), source };
        let mut text = serde_json::to_vec(&line).map_err(|problem| failed(problem.into()))?;
        text.push(b'\n');
        let mut inside = self.lock();
        let before = inside.file.metadata().map_err(failed)?.len();
        let written = inside.file.write_all(&text).and_then(|()| inside.file.sync_data());
        if let Err(source) = written {
            // A disk that is full takes half a line; the next one must not follow it.
            let _ = inside.file.set_len(before);
            return Err(failed(source));
        }
        inside.places.insert(line.key, (before, text.len()));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        // A panic elsewhere leaves either the old map or the new one.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Key → offset and length of its line.
type Places = HashMap<String, (u64, usize)>;

/// The places of all whole lines, and how many bytes these are.
fn read(file: &mut File, path: &Path) -> Result<(Places, u64), LedgerError> {
    let failed = |source| LedgerError::Io { action: "read", path: path.to_owned(), source };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut places, mut whole, mut line) = (Places::new(), 0, 0);
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text).map_err(failed)?;
        if length == 0 || text.last() != Some(&b'\n') {
            return Ok((places, whole));
        }
        line += 1;
        let read: Line = serde_json::from_slice(&text).map_err(|problem| LedgerError::Damaged {
            path: path.to_owned(),
            line,
            problem: problem.to_string(),
        })?;
        places.insert(read.key, (whole, length));
        whole += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(path: &Path) {
        let ledger = Ledger::open(path).unwrap();
        for index in 0..3 {
            ledger.put(&index.to_string(), json!({"said": index})).unwrap();
        }
    }

    #[test]
    fn cut_anywhere_it_holds_every_whole_line_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ledger.jsonl");
        filled(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let lines = String::from_utf8_lossy(&whole[..length]).matches('\n').count();
            let ledger = Ledger::open(&path).unwrap();
            let held = (0..3).filter(|index| ledger.has(&index.to_string())).count();
            assert_eq!(held, lines, "cut at byte {length}");
            ledger.put("more", json!("ü\n")).unwrap();
            drop(ledger);
            assert_eq!(Ledger::open(&path).unwrap().get("more").unwrap(), Some(json!("ü\n")));
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        filled(&path);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.insert_str(text.find('\n').unwrap() + 1, "not ours\n");
        std::fs::write(&path, &text).unwrap();
        let error = Ledger::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let first = Ledger::open(&path).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Locked { .. })));
        drop(first);
        assert!(Ledger::open(&path).is_ok());
    }
}
