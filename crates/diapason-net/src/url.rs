//! Addresses: just enough to follow a redirect and to know who gets a token.

use crate::error::NetError;
use std::fmt::Write as _;

/// An `http` or `https` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    secure: bool,
    /// Host and port as written, in lower case.
    authority: String,
    /// From the first slash on, with the query.
    rest: String,
}

impl Url {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// Other schemes, no host, or a user name in it.
    pub(crate) fn parse(text: &str) -> Result<Self, NetError> {
        let wrong = |problem, hint| {
            let url = text.split(['?', '#']).next().unwrap_or_default().to_owned();
            NetError::Address { url, problem, hint }
        };
        let (scheme, after) = text.split_once("://").unwrap_or(("", text));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("is no web address", "it begins with https://")),
        };
        let after = after.split('#').next().unwrap_or_default();
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        if authority.contains('@') {
            return Err(wrong("holds a user name", "give a key by its own option"));
        }
        if authority.is_empty() || text.contains(char::is_whitespace) {
            return Err(wrong("is no web address", "it reads https://host/path"));
        }
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let authority = authority.to_ascii_lowercase();
        Ok(Url { secure, authority, rest: format!("{slash}{rest}") })
    }

    /// Where a `Location` leads from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self, NetError> {
        if location.contains("://") {
            return Url::parse(location);
        }
        if let Some(other) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{other}", self.scheme()));
        }
        if location.starts_with('/') {
            return Url::parse(&format!("{}://{}{location}", self.scheme(), self.authority));
        }
        let path = self.rest.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Url::parse(&format!("{}://{}{folder}/{location}", self.scheme(), self.authority))
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Whether both are answered by the same server over the same kind of connection.
    pub(crate) fn same_server(&self, other: &Url) -> bool {
        self.secure == other.secure && self.authority == other.authority
    }

    /// Whether what is sent cannot be read on the way: encrypted, or never leaving this machine.
    pub(crate) fn is_private(&self) -> bool {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        };
        let loopback = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        self.secure || loopback || matches!(host, "localhost" | "[::1]")
    }

    /// As it is requested.
    pub(crate) fn text(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.rest)
    }

    /// As it is shown: without the query, which may hold a signature.
    pub(crate) fn shown(&self) -> String {
        let path = self.rest.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme(), self.authority)
    }
}

/// A path with everything escaped that has a meaning of its own in an address.
pub(crate) fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_followed_from_where_they_stand() {
        let from = Url::parse("https://Example.org:8443/a/b?x=1#top").unwrap();
        for (location, to) in [
            ("https://other.org/c?sig=1", "https://other.org/c?sig=1"),
            ("//other.org", "https://other.org/"),
            ("/c", "https://example.org:8443/c"),
            ("c?d", "https://example.org:8443/a/c?d"),
        ] {
            assert_eq!(from.join(location).unwrap().text(), to);
        }
        assert_eq!(from.shown(), "https://example.org:8443/a/b");
        assert!(from.join("ftp://x").is_err());
    }

    #[test]
    fn only_encrypted_and_local_connections_are_private() {
        let private = |text: &str| Url::parse(text).unwrap().is_private();
        assert!(
            private("https://x.org")
                && private("http://127.0.0.1:80")
                && private("http://[::1]:9/")
        );
        assert!(private("http://localhost:11434/v1"));
        assert!(
            !private("http://x.org")
                && !private("http://127.0.0.1.x.org")
                && !private("http://192.168.1.2")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["x.org", "file:///etc/passwd", "https://", "https://a:b@x.org", "https://x y"]
        {
            assert!(matches!(Url::parse(text), Err(NetError::Address { .. })), "{text}");
        }
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escaped("a b/ü#?.csv"), "a%20b/%C3%BC%23%3F.csv");
    }
}
