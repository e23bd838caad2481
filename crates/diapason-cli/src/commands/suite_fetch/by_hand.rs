//! Files that a person downloaded: looked at, then put where the source reads them.

use super::{Session, folder_of};
use anyhow::{Context as _, bail};
use diapason_data::{Origin, Source, Status, Suite};
use diapason_flow::write_atomically;
use diapason_net::{Checksum, Known};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Puts in place what a source reads of a file or folder, and says which tasks can be built.
pub(super) fn take(
    session: &Session<'_>,
    suite: &Suite,
    source: &Source,
    data: &Path,
    from: &Path,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot read `{}`", from.display());
    let from = fs::canonicalize(from).with_context(cannot)?;
    let mut files = Vec::new();
    walk(&from, &mut files).with_context(cannot)?;
    let mut pairs: Vec<(PathBuf, String)> = Vec::new();
    for file in files {
        if let Some(place) = source.destination(&file) {
            pairs.push((file, place));
        }
    }
    if pairs.is_empty() {
        let patterns: Vec<&str> = source.patterns().collect();
        bail!(
            "`{}` holds nothing that `{}` reads\n\nhint: it reads {}",
            from.display(),
            source.name,
            patterns.join(", ")
        );
    }
    for (file, place) in &pairs {
        verify(source, file, place)?;
    }
    let folder = folder_of(source, data);
    for (file, place) in &pairs {
        put(session, file, &folder.join(place))?;
    }
    for task in suite.tasks().iter().filter(|task| task.source == source.name) {
        match suite.check(task, Some(data)) {
            Status::Broken { error } => {
                session.console.data(&format!("broken   {} {error}", task.name))?;
            }
            Status::Ready { episodes, .. } => {
                session.console.data(&format!("ready    {} {episodes} episodes", task.name))?;
            }
            Status::Missing { missing } => {
                let files: Vec<&str> = missing.iter().map(|file| file.file.as_str()).collect();
                session.console.data(&format!("missing  {} {}", task.name, files.join(", ")))?;
            }
        }
    }
    Ok(())
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.iter().try_for_each(|entry| walk(&entry.path(), files))
}

/// A checksum where one is published; in any case no page that a browser saved.
fn verify(source: &Source, file: &Path, place: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot read `{}`", file.display());
    let mut head = Vec::new();
    File::open(file).with_context(cannot)?.take(64).read_to_end(&mut head).with_context(cannot)?;
    let text = String::from_utf8_lossy(&head).trim_start().to_lowercase();
    if text.is_empty() || text.starts_with("<!doctype html") || text.starts_with("<html") {
        bail!(
            "`{}` is empty or a web page\n\nhint: download the file itself, not the page about it",
            file.display()
        );
    }
    let files = match &source.origin {
        Origin::Files(files) => files.as_slice(),
        Origin::GitHub(repository) => &repository.files,
        _ => &[],
    };
    let Some(published) = files.iter().find(|file| file.path == place) else { return Ok(()) };
    let checksum = published.sha256.clone().map(Checksum::Sha256);
    let known = Known { bytes: published.bytes, checksum };
    match known.difference(file).with_context(cannot)? {
        None => Ok(()),
        Some((found, expected)) => {
            bail!("`{}` is {found}, expected {expected}\n\nhint: download it again", file.display())
        }
    }
}

fn put(session: &Session<'_>, file: &Path, target: &Path) -> anyhow::Result<()> {
    if target.exists() {
        let digits = Checksum::Sha256(String::new());
        let same = digits.of_file(file)? == digits.of_file(target)?;
        if same {
            session.console.say(&format!("`{}` is there already", target.display()));
            return Ok(());
        }
        bail!(
            "`{}` is there with another content\n\nhint: remove it to put the new file in place",
            target.display()
        );
    }
    write_atomically(target, |out| {
        std::io::copy(&mut File::open(file)?, out)?;
        Ok(())
    })
    .with_context(|| format!("cannot write `{}`", target.display()))?;
    session.console.say(&format!("{} put in place", target.display()));
    Ok(())
}
