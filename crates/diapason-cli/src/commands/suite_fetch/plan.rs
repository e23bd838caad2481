//! What fetching a source would do, before it is done.

use super::{Servers, Session, folder_of, watch};
use anyhow::{Context as _, bail};
use diapason_data::{Origin, OriginFile, Repository, Source};
use diapason_net::{Checksum, Known, Listing, NetError, Remote, Token};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Whether a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No.
    Missing,
    /// Yes.
    Present,
    /// One of its name is, with another content.
    Different,
}

/// One file.
#[derive(Debug)]
pub(super) struct Item {
    /// Path below the source's folder.
    pub path: String,
    pub url: String,
    pub known: Known,
    pub target: PathBuf,
    pub state: State,
}

/// All files of a source, or what to do by hand.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub source: &'a Source,
    /// Where the files are from, in words.
    from: String,
    /// The commit they are of, where there is one.
    commit: Option<String>,
    pub items: Vec<Item>,
    pub token: Option<Token>,
    /// Page of a hub on which conditions are accepted.
    page: Option<String>,
}

/// Finds out what there is to fetch; lists repositories, and fetches nothing.
pub(super) fn plan<'a>(
    session: &Session<'_>,
    servers: &Servers,
    source: &'a Source,
    data: &Path,
    revision: Option<&str>,
) -> anyhow::Result<Plan<'a>> {
    let folder = folder_of(source, data);
    let mut plan = Plan {
        source,
        from: source.locator.clone(),
        commit: None,
        items: Vec::new(),
        token: None,
        page: None,
    };
    let wanted = |repository: &Repository| {
        revision.map_or_else(|| repository.revision.clone(), str::to_owned)
    };
    match &source.origin {
        Origin::None | Origin::ByHand { .. } => {}
        Origin::Files(files) => {
            for file in files {
                plan.items.push(item(&folder, &file.path, file.url.clone(), known(file))?);
            }
        }
        Origin::Hub(repository) => {
            let page = servers.hub.page(&repository.name);
            plan.from.clone_from(&page);
            plan.page = repository.gated.then_some(page);
            plan.token.clone_from(&servers.hub.token);
            let observe = &mut watch(session, &source.name);
            let revision = wanted(repository);
            let listing = servers
                .hub
                .files(&servers.client, &repository.name, &revision, observe)
                .map_err(|error| plan.explained(error))?;
            plan.take(&folder, repository, listing)?;
        }
        Origin::GitHub(repository) => {
            plan.from = format!("https://github.com/{}", repository.name);
            let github = &servers.github;
            // A commit and known files need no listing.
            if !repository.files.is_empty() && revision.is_none() {
                for file in &repository.files {
                    let path = format!("{}{}", repository.root, file.path);
                    let url = github.raw(&repository.name, &repository.revision, &path);
                    plan.items.push(item(&folder, &file.path, url, known(file))?);
                }
                plan.commit = Some(repository.revision.clone());
            } else {
                let observe = &mut watch(session, &source.name);
                let revision = wanted(repository);
                let listing =
                    github.files(&servers.client, &repository.name, &revision, observe)?;
                plan.take(&folder, repository, listing)?;
            }
        }
    }
    plan.ask_lengths(session, servers)?;
    Ok(plan)
}

impl Plan<'_> {
    /// The files of a listing that the tables of the source read.
    fn take(
        &mut self,
        folder: &Path,
        repository: &Repository,
        listing: Listing,
    ) -> anyhow::Result<()> {
        let inside: Vec<(&str, &Remote)> = listing
            .files
            .iter()
            .filter_map(|file| Some((file.path.strip_prefix(&repository.root)?, file)))
            .collect();
        let paths: Vec<&str> = inside.iter().map(|(path, _)| *path).collect();
        let wanted = self.source.reads(&paths);
        if wanted.is_empty() {
            let patterns: Vec<&str> = self.source.patterns().collect();
            bail!(
                "none of the {} files of {} at {} is one that is read: {}\n\n\
                 hint: its files may have new names; see its page, or try `--revision`",
                listing.files.len(),
                self.from,
                listing.commit,
                patterns.join(", ")
            );
        }
        for (path, file) in inside.into_iter().filter(|(path, _)| wanted.contains(path)) {
            self.items.push(item(folder, path, file.url.clone(), file.known.clone())?);
        }
        self.commit = Some(listing.commit);
        Ok(())
    }

    /// Sizes that nobody wrote down are asked of the server; one that does not say is let be.
    fn ask_lengths(&mut self, session: &Session<'_>, servers: &Servers) -> anyhow::Result<()> {
        let token = self.token.clone();
        let unknown = self.items.iter_mut().filter(|item| item.state == State::Missing);
        for item in unknown.filter(|item| item.known.bytes.is_none()) {
            let observe = &mut watch(session, &item.path);
            item.known.bytes = servers
                .client
                .length(&item.url, token.as_ref(), observe)
                .with_context(|| format!("cannot find `{}`", item.path))?;
        }
        Ok(())
    }

    /// A refusal with the page on which it can be lifted.
    pub(super) fn explained(&self, error: NetError) -> anyhow::Error {
        let denied = matches!(error, NetError::Denied { .. });
        let error = anyhow::Error::from(error);
        match &self.page {
            Some(page) if denied => {
                error.context(format!("its conditions are to be accepted on {page}"))
            }
            _ => error,
        }
    }

    fn bytes(&self, state: State) -> u64 {
        let items = self.items.iter().filter(|item| item.state == state);
        items.filter_map(|item| item.known.bytes).sum()
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let source = self.source;
        if let Origin::None = source.origin {
            return vec![format!("{}: nothing to fetch, {}", source.name, source.locator)];
        }
        if self.items.is_empty() {
            return by_hand(source);
        }
        let count = |state| self.items.iter().filter(|item| item.state == state).count();
        let commit = self.commit.as_ref().map(|commit| format!(" at {commit}")).unwrap_or_default();
        let mut lines = vec![
            format!(
                "{}: {} files to fetch, {} bytes; {} there already",
                source.name,
                count(State::Missing),
                self.bytes(State::Missing),
                count(State::Present)
            ),
            format!("  from {}{commit}", self.from),
            format!("  licence: {}", source.licence),
        ];
        for item in &self.items {
            let state = match item.state {
                State::Missing => "fetch  ",
                State::Present => "there  ",
                State::Different => "differs",
            };
            let bytes = item.known.bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
            lines.push(format!("  {state} {bytes:>12}  {}", item.path));
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                let state = match item.state {
                    State::Missing => "missing",
                    State::Present => "present",
                    State::Different => "different",
                };
                let checksum = item.known.checksum.as_ref().map(ToString::to_string);
                json!({"path": item.path, "url": item.url, "bytes": item.known.bytes,
                       "checksum": checksum, "state": state})
            })
            .collect();
        let steps = match &self.source.origin {
            Origin::ByHand { steps } => steps.as_slice(),
            _ => &[],
        };
        json!({"source": self.source.name, "licence": self.source.licence, "from": self.from,
               "commit": self.commit, "files": items, "steps": steps})
    }
}

/// What a person has to do.
fn by_hand(source: &Source) -> Vec<String> {
    let mut lines = vec![
        format!("{}: to be fetched by hand from {}", source.name, source.locator),
        format!("  licence: {}", source.licence),
    ];
    if let Origin::ByHand { steps } = &source.origin {
        let numbered = steps.iter().enumerate();
        lines.extend(numbered.map(|(index, step)| format!("  {}. {step}", index + 1)));
    }
    lines.push(format!("  diapason suite fetch {} --data DIR --from PATH", source.name));
    let mut patterns: Vec<&str> = source.patterns().collect();
    patterns.dedup();
    lines.push(format!("  puts in place what is called {}", patterns.join(", ")));
    lines
}

fn known(file: &OriginFile) -> Known {
    let checksum = file.sha256.clone().map(Checksum::Sha256);
    Known { bytes: file.bytes, checksum }
}

fn item(folder: &Path, path: &str, url: String, known: Known) -> anyhow::Result<Item> {
    let target = folder.join(path);
    let state = if target.exists() {
        let different = known.difference(&target);
        match different.with_context(|| format!("cannot read `{}`", target.display()))? {
            None => State::Present,
            Some(_) => State::Different,
        }
    } else {
        State::Missing
    };
    Ok(Item { path: path.to_owned(), url, known, target, state })
}
