//! The only place that prints: data to stdout, progress and logs to stderr.

use crate::args::LogFormat;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where words for the user go.
#[derive(Debug)]
pub(crate) struct Console {
    style: Style,
    colour: bool,
    started: Instant,
    bar: ProgressBar,
    last_plain: std::cell::Cell<Option<Instant>>,
}

/// How progress is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Not at all.
    Quiet,
    /// One JSON object a line.
    Json,
    /// Plain lines now and then.
    Lines,
    /// A bar that moves.
    Bar,
}

/// On a pipe or in a file, a progress line is written this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

impl Console {
    /// The console of this process.
    pub(crate) fn new(quiet: bool, format: LogFormat, no_colour: bool) -> Self {
        let style = match format {
            _ if quiet => Style::Quiet,
            LogFormat::Json => Style::Json,
            LogFormat::Text if io::stderr().is_terminal() => Style::Bar,
            LogFormat::Text => Style::Lines,
        };
        let target = match style {
            Style::Bar => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        bar.set_style(
            ProgressStyle::with_template("  {bar:24} {pos}/{len} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Console {
            style,
            colour: io::stdout().is_terminal() && !no_colour,
            started: Instant::now(),
            bar,
            last_plain: std::cell::Cell::new(None),
        }
    }

    /// Whether text on stdout may be coloured.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// One line about what is going on.
    pub(crate) fn say(&self, text: &str) {
        if self.style == Style::Quiet {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let line = if self.style == Style::Json {
            serde_json::json!({"seconds": seconds, "message": text}).to_string()
        } else {
            text.to_owned()
        };
        self.bar.suspend(|| err(&line));
    }

    /// How far a stage has come. On a terminal a bar, elsewhere a plain line now and then.
    pub(crate) fn progress(&self, done: u64, of: u64, text: &str) {
        if self.style == Style::Quiet {
            return;
        }
        if self.style == Style::Bar {
            self.bar.set_length(of);
            self.bar.set_position(done);
            self.bar.set_message(text.to_owned());
            return;
        }
        let due = self.last_plain.get().is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
        if due || done == of {
            self.last_plain.set(Some(Instant::now()));
            if self.style == Style::Json {
                let seconds = self.started.elapsed().as_secs_f64();
                let line = serde_json::json!(
                    {"seconds": seconds, "done": done, "of": of, "message": text});
                err(&line.to_string());
            } else {
                err(&format!("  {done}/{of} {text}"));
            }
        }
    }

    /// The stage is over; its bar goes.
    pub(crate) fn clear(&self) {
        self.bar.set_position(0);
        self.bar.set_length(0);
        self.bar.set_message(String::new());
        if self.style == Style::Bar {
            // Redrawn by the next progress call; nothing to keep of the last one.
            self.bar.reset();
        }
        self.last_plain.set(None);
    }

    /// An error, whatever the verbosity.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut text = format!("error: {error}");
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Library errors often repeat their source in their own message.
            if !text.contains(&cause) {
                text.push_str("\n  because: ");
                text.push_str(&cause);
            }
        }
        self.bar.finish_and_clear();
        err(&text);
    }

    /// One line of data.
    #[expect(clippy::unused_self, reason = "only whoever holds the console may print")]
    pub(crate) fn data(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")
    }
}

/// A closed stderr is no reason to stop working.
fn err(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
