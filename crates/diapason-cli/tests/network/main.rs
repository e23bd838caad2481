//! The verbs that speak with other machines, against a server of our own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod coverage;
mod fetch;
mod judge;
#[path = "../../../diapason-net/tests/net/server.rs"]
mod server;
mod tagger;

use std::path::Path;

/// A path below a folder as an argument.
fn at(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
