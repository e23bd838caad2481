//! The only door to the network.
//!
//! ```text
//! Hub, GitHub ─list→ [Remote { path, url, bytes, checksum }] ─download→ a verified file in place
//! Question ─Chat::ask→ Reply ─put→ Ledger                    what was paid for is never lost
//! ```
//!
//! * [`Client`]: one connection pool, its proxy, time limits and patience; reads no environment.
//! * [`download`](Client::download): resumes, checks, renames.
//! * [`Hub`], [`GitHub`]: what a repository holds at one commit.
//! * [`Chat`]: one question to an endpoint that speaks `/v1/chat/completions`.
//! * [`Ledger`]: answers by key in a file that survives being killed.
//!
//! Nothing here prints, reads the clock of the day or knows what it carries.

mod chat;
mod checksum;
mod client;
mod download;
mod error;
mod ledger;
mod repository;
mod retry;
mod url;

pub use chat::{Chat, Message, Question, Reply};
pub use checksum::Checksum;
pub use client::{Client, ClientSettings, Token};
pub use download::{Download, Known};
pub use error::NetError;
pub use ledger::{Ledger, LedgerError};
pub use repository::{GitHub, Hub, Listing, Remote};
pub use retry::{Event, Observe, Retry};
