//! What the environment says of the network: proxies and keys. Nothing below the binary reads it.

use super::Session;
use anyhow::Context as _;
use diapason_net::{Client, ClientSettings, Event, Token};
use std::ops::ControlFlow;

/// The value of an environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The key in an environment variable.
pub(crate) fn key(name: &str) -> Option<Token> {
    variable(name).as_deref().and_then(Token::new)
}

/// A client that goes through the proxy of the environment.
pub(crate) fn client() -> anyhow::Result<Client> {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
    let proxy = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
    let no_proxy = first(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let no_proxy = no_proxy.split(',').map(|host| host.trim().to_owned());
    let no_proxy = no_proxy.filter(|host| !host.is_empty()).collect();
    Client::new(&ClientSettings { proxy, no_proxy, ..ClientSettings::default() })
        .context("cannot use the proxy of the environment")
}

/// Tells the console what a call does, and the call when Ctrl-C was pressed.
pub(crate) fn watch<'a>(
    session: &'a Session<'_>,
    what: &'a str,
) -> impl FnMut(&Event) -> ControlFlow<()> + 'a {
    let mut waiting = (String::new(), 0);
    move |event| {
        match event {
            Event::Bytes { done, of } => {
                session.console.progress(*done, of.unwrap_or(0), &format!("bytes, {what}"));
            }
            Event::Waiting { seconds, reason } => {
                // Said when a wait begins, not ten times a second while it lasts.
                if waiting.0 != *reason || waiting.1 < *seconds {
                    session.console.say(&format!("{reason}; waiting {seconds} s"));
                }
                waiting = (reason.clone(), *seconds);
            }
        }
        if session.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
