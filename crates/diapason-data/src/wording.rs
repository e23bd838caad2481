//! Descriptions as wordings with `{variables}`.

use crate::DataError;
use crate::spec::Place;

/// One wording: text and variables in turn.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pieces: Vec<Piece>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Wording {
    /// Reads `Moods of {name}.`; `{{` and `}}` are braces.
    pub(crate) fn parse(source: &str, place: Place) -> Result<Self, DataError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut letters = source.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.peek() == Some(&letter) => {
                    letters.next();
                    text.push(letter);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match letters.next() {
                            Some('}') => break,
                            Some(letter) => name.push(letter),
                            None => return Err(unbalanced(source, &place)),
                        }
                    }
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(Piece::Variable(name));
                }
                '}' => return Err(unbalanced(source, &place)),
                _ => text.push(letter),
            }
        }
        pieces.push(Piece::Text(text));
        Ok(Wording { pieces, place })
    }

    /// Names of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Fails on a variable that is not among the known ones.
    pub(crate) fn check<'name>(
        &self,
        known: impl Iterator<Item = &'name str> + Clone,
    ) -> Result<(), DataError> {
        match self.variables().find(|name| !known.clone().any(|known| known == *name)) {
            Some(name) => Err(self.place.unknown("variable", name, known)),
            None => Ok(()),
        }
    }

    /// The text with its variables filled in; `None` if one of them has no value.
    pub(crate) fn fill<'value>(
        &self,
        value: impl Fn(&str) -> Option<&'value str>,
    ) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(name) => text.push_str(value(name)?),
            }
        }
        Some(text)
    }
}

fn unbalanced(source: &str, place: &Place) -> DataError {
    let problem = format!("unbalanced brace in the description {source:?}");
    place.wrong(problem, "write {{ and }} for braces that are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(text: &str) -> Result<Wording, DataError> {
        Wording::parse(text, Place::at("t.toml", "", 0))
    }

    #[test]
    fn variables_are_filled_and_a_missing_one_drops_the_wording() {
        let words = wording("{{a}} of {who}, {what}").unwrap();
        let fill = |what: Option<&'static str>| {
            words.fill(move |name| if name == "who" { Some("Ann") } else { what })
        };
        assert_eq!(fill(Some("votes")).as_deref(), Some("{a} of Ann, votes"));
        assert_eq!(fill(None), None);
    }

    #[test]
    fn mistakes_name_the_place() {
        assert!(wording("{open").unwrap_err().to_string().starts_with("t.toml:1: unbalanced"));
        assert!(wording("shut}").is_err());
        let words = wording("{topik}").unwrap();
        let error = words.check(["topic", "unit"].into_iter()).unwrap_err().to_string();
        assert!(error.contains("did you mean `topic`?"), "{error}");
    }
}
