//! One file: resumed where an earlier try stopped, checked, and only then given its name.
//!
//! The bytes go to `NAME.part`. Where no checksum is known, `NAME.part.etag` says which version of
//! the file these bytes are of, so that no two versions are ever joined.

use crate::checksum::Checksum;
use crate::client::{Call, Client, Method, Response, Token};
use crate::error::NetError;
use crate::retry::{Event, Observe};
use crate::url::Url;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is known of a file before it is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its length in bytes.
    pub bytes: Option<u64>,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// One file to fetch.
#[derive(Clone, Debug)]
pub struct Download {
    /// Where from.
    pub url: String,
    /// For the server of `url`, and no other.
    pub token: Option<Token>,
    /// What it must be.
    pub known: Known,
    /// Where to.
    pub target: PathBuf,
}

impl Known {
    /// What is wrong with a file of ours: what it is, and what it should be.
    ///
    /// # Errors
    /// The system's.
    pub fn difference(&self, path: &Path) -> io::Result<Option<(String, String)>> {
        let length = fs::metadata(path)?.len();
        if let Some(bytes) = self.bytes
            && bytes != length
        {
            return Ok(Some((format!("{length} bytes"), format!("{bytes} bytes"))));
        }
        let Some(expected) = &self.checksum else { return Ok(None) };
        let found = expected.of_file(path)?;
        Ok((found != *expected).then(|| (found.to_string(), expected.to_string())))
    }
}

impl Client {
    /// Fetches a file. What is there of an earlier try is kept and continued.
    ///
    /// # Errors
    /// [`NetError::Mismatch`] if the bytes are not those expected, which are then removed;
    /// otherwise what came of an interrupted try stays for the next.
    pub fn download(&self, download: &Download, observe: &mut Observe<'_>) -> Result<(), NetError> {
        let url = Url::parse(&download.url)?;
        if !url.is_private() && download.known.checksum.is_none() {
            return Err(NetError::Address {
                url: url.shown(),
                problem: "is not encrypted, and there is no checksum",
                hint: "use https, or state the checksum",
            });
        }
        let mut part = Part::open(&download.target)?;
        let mut resumed = part.length()? > 0;
        loop {
            self.complete(download, &url, &mut part, observe)?;
            let different = download.known.difference(&part.path);
            match different.map_err(NetError::io("read", &part.path))? {
                None => return part.finish(&download.target),
                Some((found, expected)) => {
                    part.restart()?;
                    // Bytes of an earlier try may be the wrong ones; fresh bytes are the server's.
                    if !std::mem::take(&mut resumed) {
                        part.remove()?;
                        let hint = "the file was changed where it lives, or on the way";
                        return Err(NetError::Mismatch { url: url.shown(), found, expected, hint });
                    }
                }
            }
        }
    }

    /// Calls until the server has given all its bytes. Progress renews the patience.
    fn complete(
        &self,
        download: &Download,
        url: &Url,
        part: &mut Part,
        observe: &mut Observe<'_>,
    ) -> Result<(), NetError> {
        loop {
            let before = part.length()?;
            let done = self.retry.run(observe, |observe| {
                match self.stream(download, url, part, observe) {
                    // Some bytes came: the failures before do not count.
                    Err(error) if error.is_transient() && part.length()? > before => Ok(false),
                    other => other.map(|()| true),
                }
            })?;
            if done {
                return Ok(());
            }
        }
    }

    /// One call: from where the part ends to the end of the file.
    fn stream(
        &self,
        download: &Download,
        url: &Url,
        part: &mut Part,
        observe: &mut Observe<'_>,
    ) -> Result<(), NetError> {
        let mut from = part.length()?;
        if from > 0 && download.known.bytes == Some(from) {
            return Ok(());
        }
        let mut headers = Vec::new();
        let version = part.version();
        match &version {
            _ if from == 0 => {}
            Some(version) => headers.push(("if-range", version.clone())),
            None if download.known.checksum.is_none() => from = part.restart()?,
            None => {}
        }
        if from > 0 {
            headers.push(("range", format!("bytes={from}-")));
        }
        let token = download.token.as_ref();
        let call = Call { method: Method::Get, url, token, headers, within: None };
        let response = self.send(&call)?;
        if response.status == 416 {
            if response.header("content-range") == Some(&format!("bytes */{from}")) {
                return Ok(());
            }
            part.restart()?;
            return Err(interrupted(url, "has fewer bytes than an earlier try brought".to_owned()));
        }
        if from > 0 && (response.status != 206 || range_start(&response) != Some(from)) {
            if response.status == 206 {
                return Err(response.answer(format!("does not continue at byte {from}")));
            }
            from = part.restart()?;
        }
        refuse_page(&response, download)?;
        if download.known.checksum.is_none() && from == 0 {
            part.set_version(response.header("etag"))?;
        }
        part.append(response, from, download.known.bytes, observe)
    }

    /// The length of a file by asking for its head; `None` where the server does not say.
    ///
    /// # Errors
    /// As any call.
    pub fn length(
        &self,
        url: &str,
        token: Option<&Token>,
        observe: &mut Observe<'_>,
    ) -> Result<Option<u64>, NetError> {
        let url = Url::parse(url)?;
        self.retry.run(observe, |_| {
            let call =
                Call { method: Method::Head, url: &url, token, headers: Vec::new(), within: None };
            let response = self.send(&call)?;
            Ok(response.header("content-length").and_then(|length| length.parse().ok()))
        })
    }
}

fn interrupted(url: &Url, problem: String) -> NetError {
    NetError::Transport { url: url.shown(), problem, transient: true }
}

fn range_start(response: &Response) -> Option<u64> {
    let range = response.header("content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}

/// A page to log in or to confirm something is no file.
fn refuse_page(response: &Response, download: &Download) -> Result<(), NetError> {
    let page = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let wanted = download.target.extension().is_some_and(|end| end == "html" || end == "htm");
    if page && !wanted && download.known.checksum.is_none() {
        return Err(NetError::Mismatch {
            url: response.url.shown(),
            found: "a web page".to_owned(),
            expected: "a file".to_owned(),
            hint: "open the address in a browser and see what it asks for",
        });
    }
    Ok(())
}

/// The unfinished file, locked.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(target: &Path) -> Result<Self, NetError> {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(NetError::io("create", folder))?;
        }
        let path = with_end(target, ".part");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(NetError::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Part { path, file }),
            Err(TryLockError::WouldBlock) => Err(NetError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(NetError::Io { action: "lock", path, source }),
        }
    }

    fn length(&self) -> Result<u64, NetError> {
        let length = self.file.metadata().map(|data| data.len());
        length.map_err(NetError::io("read", &self.path))
    }

    /// Throws away what is there.
    fn restart(&mut self) -> Result<u64, NetError> {
        self.file.set_len(0).map_err(NetError::io("write", &self.path))?;
        self.set_version(None)?;
        Ok(0)
    }

    /// The version that the server gave the bytes, if it gave a strong one.
    fn version(&self) -> Option<String> {
        fs::read_to_string(with_end(&self.path, ".etag")).ok()
    }

    fn set_version(&self, etag: Option<&str>) -> Result<(), NetError> {
        let path = with_end(&self.path, ".etag");
        let done = match etag.filter(|etag| !etag.starts_with("W/")) {
            Some(etag) => fs::write(&path, etag),
            None => absent(fs::remove_file(&path)),
        };
        done.map_err(NetError::io("write", &path))
    }

    /// Reads the body to its end behind byte `from`.
    fn append(
        &mut self,
        response: Response,
        from: u64,
        known: Option<u64>,
        observe: &mut Observe<'_>,
    ) -> Result<(), NetError> {
        let coming = response.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let of = coming.map(|coming| from + coming).or(known);
        let url = response.url;
        let mut body = response.body.into_reader();
        self.file.seek(SeekFrom::Start(from)).map_err(NetError::io("write", &self.path))?;
        let mut done = from;
        let mut buffer = vec![0; 1 << 16];
        loop {
            if observe(&Event::Bytes { done, of }).is_break() {
                return Err(NetError::Stopped);
            }
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(problem) => {
                    return Err(interrupted(&url, format!("after {done} bytes: {problem}")));
                }
            };
            self.file.write_all(&buffer[..read]).map_err(NetError::io("write", &self.path))?;
            done += read as u64;
        }
        match of {
            Some(of) if done < of => {
                Err(interrupted(&url, format!("ends after {done} of {of} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Syncs the bytes and gives them their name.
    fn finish(self, target: &Path) -> Result<(), NetError> {
        self.file.sync_all().map_err(NetError::io("write", &self.path))?;
        fs::rename(&self.path, target).map_err(NetError::io("rename", &self.path))?;
        self.set_version(None)
    }

    fn remove(self) -> Result<(), NetError> {
        fs::remove_file(&self.path).map_err(NetError::io("remove", &self.path))
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}
