//! Annotation of a corpus in bounded memory, on all cores, resumable.
//!
//! The corpus is cut into parts of a fixed number of rows. A part is annotated in memory and
//! written whole into the folder `OUT.parts`, so a run that was killed resumes behind its last
//! part and ends with the bytes it would have had. When all parts are there they become one file,
//! with the quality buckets that only the whole corpus can tell, and the folder goes.

use super::endpoint::Endpoint;
use super::join::join;
use super::rows::{Rows, parse};
use super::{Session, read, read_taxonomy};
use crate::args::AnnotateArgs;
use anyhow::{Context as _, bail};
use diapason_flow::{Artifact, Fingerprint, Stamp, write_atomically};
use diapason_markers::{Annotator, Provenance, annotate_row_with};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of the head and of the tail of the corpus that tell it from another.
const SAMPLED_BYTES: u64 = 1 << 20;

/// Annotates `input` into `out`.
pub(super) fn annotate(session: &Session<'_>, args: &AnnotateArgs) -> anyhow::Result<()> {
    let (Some(input), Some(out)) = (&args.input, &args.out) else {
        bail!("nothing to annotate\n\nhint: give a corpus and `--out`");
    };
    let work = Work::new(session, args, (input, out))?;
    let stamp_path = beside(out, ".stamp.json");
    if out.exists() {
        let found = std::fs::read_to_string(&stamp_path).ok();
        let found = found.and_then(|text| serde_json::from_str::<Stamp>(&text).ok());
        if found.is_some_and(|found| found.fingerprint == work.stamp.fingerprint) {
            session.console.say(&format!("{} was finished before", out.display()));
            return Ok(());
        }
        bail!(
            "`{}` exists\n\nhint: give another file, or remove it to make it again",
            out.display()
        );
    }
    if let Some(endpoint) = &work.endpoint {
        endpoint.agree(session, &args.endpoint, input, &work.provenance)?;
    }
    let (parts, _) = Artifact::open(&beside(out, ".parts"), work.stamp.clone())?;
    let Some((count, rows)) = work.parts(session, &parts)? else {
        session.console.say("stopped; the same command resumes");
        return Ok(());
    };
    let paths: Vec<PathBuf> = (0..count).map(|part| parts.path().join(part_name(part))).collect();
    join(&paths, out)?;
    let stamp = serde_json::to_string_pretty(&work.stamp)? + "\n";
    write_atomically(&stamp_path, |file| file.write_all(stamp.as_bytes()))?;
    std::fs::remove_dir_all(parts.path())
        .with_context(|| format!("cannot remove `{}`", parts.path().display()))?;
    if let Some(endpoint) = &work.endpoint {
        session.console.say(&endpoint.summary());
    }
    session.console.say(&format!("{rows} rows in {}", out.display()));
    Ok(())
}

pub(super) fn beside(out: &Path, end: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(end);
    out.with_file_name(name)
}

fn part_name(part: usize) -> String {
    format!("part-{part:06}.jsonl")
}

/// What annotates, and what it is applied to.
struct Work<'a> {
    input: &'a Path,
    annotator: Annotator,
    provenance: Provenance,
    endpoint: Option<Endpoint>,
    part_rows: usize,
    threads: usize,
    stamp: Stamp,
}

impl<'a> Work<'a> {
    fn new(
        session: &Session<'_>,
        args: &AnnotateArgs,
        (input, out): (&'a Path, &Path),
    ) -> anyhow::Result<Self> {
        let (taxonomy, additions) = read_taxonomy(&args.taxonomy)?;
        let rules = args.provenance.as_deref().map(read).transpose()?;
        let provenance = match &rules {
            Some(rules) => Provenance::read(rules, &taxonomy)?,
            None => Provenance::default(),
        };
        let endpoint = Endpoint::new(args, &taxonomy, out)?;
        let mut annotator = Annotator::new(taxonomy);
        let mut taggers = Vec::new();
        for place in &args.taggers {
            for tagger in super::taggers::read(place)? {
                taggers.push(Fingerprint::of(&tagger.to_bytes()));
                annotator = annotator.with_tagger(tagger)?;
            }
        }
        let mut settings = json!({
            "input": fingerprint(input)?, "taxonomy": additions, "provenance": rules,
            "taggers": taggers, "part_rows": args.part_rows,
        });
        if let Some(endpoint) = &endpoint {
            settings["endpoint"] = endpoint.settings();
        }
        Ok(Work {
            input,
            endpoint,
            annotator,
            provenance,
            part_rows: args.part_rows.max(1),
            threads: session.device.threads().max(1),
            stamp: Stamp::new("marked", Vec::new(), settings, 0),
        })
    }

    /// Makes the parts that are missing. Returns the number of parts and rows, `None` if stopped.
    fn parts(
        &self,
        session: &Session<'_>,
        parts: &Artifact,
    ) -> anyhow::Result<Option<(usize, usize)>> {
        let mut rows = Rows::open(self.input)?;
        let (mut part, mut done) = (0, 0);
        loop {
            let mut chunk = Vec::with_capacity(self.part_rows);
            while chunk.len() < self.part_rows {
                let Some(row) = rows.next_row()? else { break };
                chunk.push(row);
            }
            if chunk.is_empty() {
                session.console.clear();
                return Ok(Some((part, done)));
            }
            let name = part_name(part);
            if !parts.path().join(&name).exists() {
                if let Some(endpoint) = &self.endpoint
                    && !endpoint.tag(session, self.input, &chunk, &self.provenance)?
                {
                    return Ok(None);
                }
                let lines = self.annotate(&chunk)?;
                parts.write(&name, |out| {
                    lines.iter().try_for_each(|line| out.write_all(line.as_bytes()))
                })?;
            }
            part += 1;
            done += chunk.len();
            let text = format!("bytes annotated, {done} rows");
            session.console.progress(rows.read_bytes(), rows.total_bytes(), &text);
            if session.stopped() {
                return Ok(None);
            }
        }
    }

    /// Annotates rows on all threads; the order stays, and the first mistake in it is reported.
    fn annotate(&self, rows: &[(usize, String)]) -> anyhow::Result<Vec<String>> {
        let share = rows.len().div_ceil(self.threads).max(1);
        let shares = std::thread::scope(|scope| {
            let handles: Vec<_> = rows
                .chunks(share)
                .map(|rows| scope.spawn(move || self.annotate_share(rows)))
                .collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                Ok(lines) => lines,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            handles.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>()
        })?;
        Ok(shares.into_iter().flatten().collect())
    }

    fn annotate_share(&self, rows: &[(usize, String)]) -> anyhow::Result<Vec<String>> {
        rows.iter()
            .map(|(line, text)| {
                let mut row = parse(self.input, *line, text)?;
                let place = || format!("`{}`, line {line}", self.input.display());
                let tags = match &self.endpoint {
                    Some(endpoint) => endpoint.tags(&row, &self.provenance).with_context(place)?,
                    None => Vec::new(),
                };
                annotate_row_with(&mut row, &self.annotator, &self.provenance, &tags)
                    .with_context(place)?;
                Ok(row.to_string() + "\n")
            })
            .collect()
    }
}

/// Tells a corpus from another by its length, head and tail; reading all of a large file would
/// take longer than annotating what is missing of it.
fn fingerprint(path: &Path) -> anyhow::Result<Value> {
    let sample = || -> std::io::Result<Value> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(SAMPLED_BYTES).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(length.saturating_sub(SAMPLED_BYTES)))?;
        file.read_to_end(&mut bytes)?;
        Ok(json!({"bytes": length, "ends": Fingerprint::of(&bytes)}))
    };
    sample().with_context(|| format!("cannot read `{}`", path.display()))
}
