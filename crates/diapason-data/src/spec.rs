//! Reading the suite's TOML files with a place for every mistake.

use crate::DataError;
use crate::error::nearest;
use serde::de::DeserializeOwned;

/// A line of a suite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: String,
    pub line: usize,
    /// Whether the value opens with `"""` and a line break, which belongs to the syntax.
    opens_block: bool,
}

impl Place {
    /// The line of a byte offset.
    pub(crate) fn at(file: &str, text: &str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset);
        let line = 1 + text[..offset].matches('\n').count();
        let rest = &text.as_bytes()[offset..];
        let opens_block = [b"\"\"\"\n".as_slice(), b"\"\"\"\r\n", b"'''\n", b"'''\r\n"]
            .iter()
            .any(|opening| rest.starts_with(opening));
        Place { file: file.to_owned(), line, opens_block }
    }

    /// The first line of the value itself: one below `"""`.
    pub(crate) fn of_content(mut self) -> Self {
        self.line += usize::from(std::mem::take(&mut self.opens_block));
        self
    }

    /// A mistake here.
    pub(crate) fn wrong(&self, problem: String, hint: impl Into<String>) -> DataError {
        DataError::Suite { file: self.file.clone(), line: self.line, problem, hint: hint.into() }
    }

    /// A name that nothing has, with the nearest that something has.
    pub(crate) fn unknown<'name>(
        &self,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'name str>,
    ) -> DataError {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("there is no {what} at all"),
            None => format!("known are {}", known.join(", ")),
        };
        self.wrong(format!("unknown {what} `{name}`"), hint)
    }
}

/// Reads a TOML text.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DataError> {
    toml::from_str(text).map_err(|problem| {
        let offset = problem.span().map_or(0, |span| span.start);
        Place::at(file, text, offset).wrong(problem.message().to_owned(), key_hint(&problem))
    })
}

/// For an unknown key or value: the nearest of those that serde expected.
pub(crate) fn key_hint(problem: &toml::de::Error) -> String {
    let quoted: Vec<&str> = problem.message().split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((name, known)) if problem.message().starts_with("unknown") => {
            nearest(name, known.iter().copied())
                .map(|near| format!("did you mean `{near}`?"))
                .unwrap_or_default()
        }
        _ => String::new(),
    }
}
