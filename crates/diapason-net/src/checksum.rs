//! Checksums as they are published: SHA-256 of a file, or the name git gives its content.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What identifies the content of a file. Digits are hexadecimal, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256 of the bytes.
    Sha256(String),
    /// SHA-1 of `blob <length>\0` and the bytes: a file's name inside git.
    GitBlob(String),
}

impl Checksum {
    /// The checksum of the same kind of a file of ours.
    ///
    /// # Errors
    /// The system's.
    pub fn of_file(&self, path: &Path) -> io::Result<Checksum> {
        let mut file = File::open(path)?;
        match self {
            Checksum::Sha256(_) => Ok(Checksum::Sha256(digest(Sha256::new(), &mut file)?)),
            Checksum::GitBlob(_) => {
                let header = format!("blob {}\0", file.metadata()?.len());
                let hash = Sha1::new().chain_update(header);
                Ok(Checksum::GitBlob(digest(hash, &mut file)?))
            }
        }
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Checksum::Sha256(digits) => write!(formatter, "SHA-256 {digits}"),
            Checksum::GitBlob(digits) => write!(formatter, "git blob {digits}"),
        }
    }
}

fn digest(mut hash: impl Digest, file: &mut File) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(read) => read,
            Err(again) if again.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(hash.finalize().iter().fold(String::new(), |mut digits, byte| {
                // Writing to a String cannot fail.
                let _ = write!(digits, "{byte:02x}");
                digits
            }));
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_agree_with_the_tools_that_make_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "hello\n").unwrap();
        // `sha256sum` and `git hash-object` of the same file.
        for checksum in [
            Checksum::Sha256(
                "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into(),
            ),
            Checksum::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".into()),
        ] {
            assert_eq!(checksum.of_file(&path).unwrap(), checksum);
        }
    }
}
