//! What a repository of files holds at one commit: data hubs that speak the protocol of Hugging
//! Face, and GitHub. A name such as `main` is resolved to its commit first, so that everything
//! fetched is of one state.

use crate::checksum::Checksum;
use crate::client::{Call, Client, Method, Response, Token};
use crate::download::Known;
use crate::error::NetError;
use crate::retry::Observe;
use crate::url::{Url, escaped};
use serde_json::Value;

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its path in the repository, with `/`.
    pub path: String,
    /// Where it is fetched from.
    pub url: String,
    /// Its length and checksum.
    pub known: Known,
}

/// All files of a repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// Its files, in the order of their paths.
    pub files: Vec<Remote>,
}

/// A hub of data sets: `https://huggingface.co`, or a mirror of it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// A read token, for data sets that are gated or private.
    pub token: Option<Token>,
}

/// GitHub, or a server that stands for it.
#[derive(Clone, Debug)]
pub struct GitHub {
    /// Address of the programming interface: `https://api.github.com`.
    pub api: String,
    /// Address of raw files: `https://raw.githubusercontent.com`.
    pub raw: String,
    /// For the programming interface, which without one allows few calls an hour.
    pub token: Option<Token>,
}

impl Hub {
    /// The files of a data set (`owner/name`) at a branch, tag or commit.
    ///
    /// # Errors
    /// [`NetError::Denied`] for data sets that the token does not open, and as any call.
    pub fn files(
        &self,
        client: &Client,
        name: &str,
        revision: &str,
        observe: &mut Observe<'_>,
    ) -> Result<Listing, NetError> {
        let api = format!("{}/api/datasets/{name}", self.endpoint);
        let token = self.token.as_ref();
        let page = format!("{api}/revision/{}", escaped_whole(revision));
        let commit = client.commit(revision, &page, token, observe)?;
        let mut files = Vec::new();
        let mut next = Some(format!("{api}/tree/{commit}?recursive=true"));
        while let Some(page) = next {
            let (entries, response) = client.get(&page, token, observe)?;
            let Some(entries) = entries.as_array() else {
                return Err(response.answer("its list of files is none".to_owned()));
            };
            for entry in entries.iter().filter(|entry| entry["type"] == "file") {
                let Some(path) = entry["path"].as_str() else { continue };
                let url =
                    format!("{}/datasets/{name}/resolve/{commit}/{}", self.endpoint, escaped(path));
                files.push(Remote { path: path.to_owned(), url, known: known_of_hub(entry) });
            }
            next = next_page(&response)?;
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Listing { commit, files })
    }

    /// The address of the page on which conditions are accepted.
    pub fn page(&self, name: &str) -> String {
        format!("{}/datasets/{name}", self.endpoint)
    }
}

impl GitHub {
    /// The files of a repository (`owner/name`) at a branch, tag or commit.
    ///
    /// # Errors
    /// [`NetError::Answer`] for a repository too large to be listed, and as any call.
    pub fn files(
        &self,
        client: &Client,
        name: &str,
        revision: &str,
        observe: &mut Observe<'_>,
    ) -> Result<Listing, NetError> {
        let api = format!("{}/repos/{name}", self.api);
        let token = self.token.as_ref();
        let page = format!("{api}/commits/{}", escaped_whole(revision));
        let commit = client.commit(revision, &page, token, observe)?;
        let page = format!("{api}/git/trees/{commit}?recursive=1");
        let (tree, response) = client.get(&page, token, observe)?;
        let Some(entries) = tree["tree"].as_array().filter(|_| tree["truncated"] != true) else {
            return Err(response.answer("does not list all files of the repository".to_owned()));
        };
        let mut files = Vec::new();
        for entry in entries.iter().filter(|entry| entry["type"] == "blob") {
            let Some(path) = entry["path"].as_str() else { continue };
            let checksum = entry["sha"].as_str().map(|sha| Checksum::GitBlob(sha.to_owned()));
            let known = Known { bytes: entry["size"].as_u64(), checksum };
            files.push(Remote { path: path.to_owned(), url: self.raw(name, &commit, path), known });
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Listing { commit, files })
    }

    /// The address of one file at a commit, which needs no listing.
    pub fn raw(&self, name: &str, commit: &str, path: &str) -> String {
        format!("{}/{name}/{commit}/{}", self.raw, escaped(path))
    }
}

impl Client {
    /// The commit of a branch, tag or commit; `page` is asked unless it is one already.
    fn commit(
        &self,
        revision: &str,
        page: &str,
        token: Option<&Token>,
        observe: &mut Observe<'_>,
    ) -> Result<String, NetError> {
        if is_commit(revision) {
            return Ok(revision.to_owned());
        }
        commit_of(&self.get(page, token, observe)?.0, page)
    }

    fn get(
        &self,
        url: &str,
        token: Option<&Token>,
        observe: &mut Observe<'_>,
    ) -> Result<(Value, Response), NetError> {
        let url = Url::parse(url)?;
        let headers = vec![("accept", "application/json".to_owned())];
        let call = Call { method: Method::Get, url: &url, token, headers, within: None };
        self.retry.run(observe, |_| self.json(&call))
    }
}

/// Large files go by the SHA-256 of their content, small ones by their name in git.
fn known_of_hub(entry: &Value) -> Known {
    let large = entry["lfs"]["oid"]
        .as_str()
        .map(|oid| Checksum::Sha256(oid.strip_prefix("sha256:").unwrap_or(oid).to_owned()));
    let small = || entry["oid"].as_str().map(|oid| Checksum::GitBlob(oid.to_owned()));
    let bytes = entry["lfs"]["size"].as_u64().or_else(|| entry["size"].as_u64());
    Known { bytes, checksum: large.or_else(small) }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn commit_of(answer: &Value, url: &str) -> Result<String, NetError> {
    let commit = answer["sha"].as_str().filter(|sha| is_commit(sha)).map(str::to_owned);
    commit.ok_or_else(|| NetError::Answer {
        url: url.to_owned(),
        problem: "does not say which commit that is".to_owned(),
    })
}

/// A revision as one part of a path: `refs/pr/1` is one name.
fn escaped_whole(revision: &str) -> String {
    escaped(revision).replace('/', "%2F")
}

/// The next page of a listing, as the `Link` header gives it (RFC 8288).
fn next_page(response: &Response) -> Result<Option<String>, NetError> {
    let Some(links) = response.header("link") else { return Ok(None) };
    for link in links.split(',') {
        let Some((target, attributes)) = link.split_once('>') else { continue };
        if !attributes.contains("rel=\"next\"") {
            continue;
        }
        let target = target.trim().trim_start_matches('<');
        let next = response.url.join(target)?;
        // A token would follow the link.
        if !next.same_server(&response.url) {
            return Err(response.answer(format!("continues on another server, {}", next.shown())));
        }
        return Ok(Some(next.text()));
    }
    Ok(None)
}
