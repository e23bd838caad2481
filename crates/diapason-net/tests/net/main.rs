//! Everything that goes over the network, against a server of our own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chat;
mod download;
mod repository;
mod server;

use diapason_net::{Client, ClientSettings, Event, Retry};
use std::ops::ControlFlow;
use std::time::Duration;

/// A client that loses its patience within a second or two.
fn client() -> Client {
    let retry =
        Retry { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_secs(2) };
    let stall = Duration::from_millis(500);
    Client::new(&ClientSettings { retry, stall, ..ClientSettings::default() }).unwrap()
}

fn quiet(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
