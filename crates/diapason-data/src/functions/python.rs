//! The `repr` of Python data read as JSON, without running any of it.
//!
//! | Python | JSON |
//! |---|---|
//! | `None`, `nan`, `inf` | `null` |
//! | `True`, `False`, numbers, strings, `b'bytes'` | the same; bytes as Latin-1 text |
//! | lists, tuples, sets | lists |
//! | dicts | objects; keys that are no strings as they print |
//! | `defaultdict(<class 'list'>, {...})`, `OrderedDict([...])`, `Counter({...})` | objects |
//! | `np.float64(0.5)`, `array([...], dtype=float32)` and other wrappers of one value | that value |

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
const DEEPEST: usize = 128;

/// What is wrong with a literal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: {problem}")]
pub struct LiteralError {
    /// Number of the character, from 1.
    pub at: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads one literal; blanks around it are allowed.
pub fn parse(text: &str) -> Result<Value, LiteralError> {
    let mut reader = Reader { letters: text.chars().collect(), at: 0 };
    let value = reader.value(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(value),
        Some(letter) => Err(reader.wrong(format!("{letter:?} follows the value"))),
    }
}

struct Reader {
    letters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Skips blanks and then this character, if it comes.
    fn take(&mut self, letter: char) -> bool {
        self.blanks();
        let found = self.peek() == Some(letter);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, letter: char) -> Result<(), LiteralError> {
        if self.take(letter) { Ok(()) } else { Err(self.wrong(format!("expected {letter:?}"))) }
    }

    fn wrong(&self, problem: impl Into<String>) -> LiteralError {
        LiteralError { at: self.at + 1, problem: problem.into() }
    }

    fn value(&mut self, depth: usize) -> Result<Value, LiteralError> {
        if depth > DEEPEST {
            return Err(self.wrong("nested too deep"));
        }
        self.blanks();
        match self.peek() {
            None => Err(self.wrong("the text ends where a value should stand")),
            Some('[') => self.list('[', ']', depth).map(|(items, _)| Value::Array(items)),
            Some('(') => {
                let (mut items, comma) = self.list('(', ')', depth)?;
                // `(x)` is x in brackets, `(x,)` a tuple.
                if items.len() == 1 && !comma {
                    return Ok(items.remove(0));
                }
                Ok(Value::Array(items))
            }
            Some('{') => self.braces(depth),
            Some('<') => self.type_name(),
            Some('\'' | '"') => self.strings(false),
            Some(letter) if letter.is_ascii_digit() || "+-.".contains(letter) => self.number(),
            Some(letter) if letter.is_alphabetic() || letter == '_' => self.named(depth),
            Some(letter) => Err(self.wrong(format!("no value begins with {letter:?}"))),
        }
    }

    /// Values between brackets, and whether a comma ends them.
    fn list(
        &mut self,
        open: char,
        close: char,
        depth: usize,
    ) -> Result<(Vec<Value>, bool), LiteralError> {
        self.expect(open)?;
        let mut items = Vec::new();
        loop {
            if self.take(close) {
                return Ok((items, true));
            }
            items.push(self.value(depth + 1)?);
            if !self.take(',') {
                self.expect(close)?;
                return Ok((items, false));
            }
        }
    }

    /// A dict or a set.
    fn braces(&mut self, depth: usize) -> Result<Value, LiteralError> {
        self.expect('{')?;
        let mut object = Map::new();
        let mut items = Vec::new();
        while !self.take('}') {
            let first = self.value(depth + 1)?;
            if self.take(':') {
                if !items.is_empty() {
                    return Err(self.wrong("a set with a key"));
                }
                object.insert(key_text(&first), self.value(depth + 1)?);
            } else if object.is_empty() {
                items.push(first);
            } else {
                return Err(self.wrong("expected ':'"));
            }
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(if items.is_empty() { Value::Object(object) } else { Value::Array(items) })
    }

    /// `<class 'list'>`: nothing that JSON can hold.
    fn type_name(&mut self) -> Result<Value, LiteralError> {
        let begin = self.at;
        while let Some(letter) = self.peek() {
            self.at += 1;
            if letter == '>' {
                return Ok(Value::Null);
            }
        }
        self.at = begin;
        Err(self.wrong("'<' is never closed"))
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let begin = self.at;
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            let sign = "+-".contains(letter) && (text.is_empty() || text.ends_with(['e', 'E']));
            if !(sign || letter.is_ascii_alphanumeric() || letter == '.') {
                break;
            }
            text.push(letter);
            self.at += 1;
        }
        if let Ok(integer) = text.parse::<i64>() {
            return Ok(integer.into());
        }
        if let Ok(real) = text.parse::<f64>() {
            return Ok(Number::from_f64(real).map_or(Value::Null, Value::Number));
        }
        self.at = begin;
        Err(self.wrong(format!("{text:?} is no number")))
    }

    /// A constant, a prefixed string or a call.
    fn named(&mut self, depth: usize) -> Result<Value, LiteralError> {
        let begin = self.at;
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| is_of_name(*letter)) {
            name.push(letter);
            self.at += 1;
        }
        let prefix = matches!(name.as_str(), "b" | "B" | "u" | "U");
        match (name.as_str(), self.peek()) {
            (_, Some('\'' | '"')) if prefix => self.strings(name.eq_ignore_ascii_case("b")),
            ("None" | "nan" | "NaN" | "inf" | "NaT", _) => Ok(Value::Null),
            ("True", _) => Ok(Value::Bool(true)),
            ("False", _) => Ok(Value::Bool(false)),
            (_, Some('(')) => self.call(&name, depth),
            _ => {
                self.at = begin;
                Err(self.wrong(format!("unknown name {name:?}")))
            }
        }
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Value, LiteralError> {
        let begin = self.at;
        self.expect('(')?;
        let mut arguments = Vec::new();
        while !self.take(')') {
            if self.keyword() {
                self.option(depth)?;
            } else {
                arguments.push(self.value(depth + 1)?);
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        let kind = name.rsplit('.').next().unwrap_or(name);
        let wanted = usize::from(kind == "defaultdict");
        if arguments.len() > wanted + 1 {
            self.at = begin;
            return Err(self.wrong(format!("`{name}` with {} values", arguments.len())));
        }
        let mapping = matches!(kind, "defaultdict" | "dict" | "OrderedDict" | "Counter");
        match arguments.into_iter().nth(wanted) {
            Some(Value::Array(pairs)) if mapping => self.pairs(pairs),
            Some(value) => Ok(value),
            None if mapping => Ok(Value::Object(Map::new())),
            None if matches!(kind, "set" | "frozenset" | "list" | "tuple") => {
                Ok(Value::Array(Vec::new()))
            }
            None => Err(self.wrong(format!("`{name}` without a value"))),
        }
    }

    /// Whether `name=` comes next, which is then skipped.
    fn keyword(&mut self) -> bool {
        self.blanks();
        let rest = &self.letters[self.at..];
        let name = rest.iter().take_while(|letter| is_of_name(**letter)).count();
        let found = name > 0 && rest.get(name) == Some(&'=');
        self.at += if found { name + 1 } else { 0 };
        found
    }

    /// The value of a keyword, which is dropped: a literal or a bare name such as `float32`.
    fn option(&mut self, depth: usize) -> Result<(), LiteralError> {
        self.blanks();
        let begin = self.at;
        while self.peek().is_some_and(is_of_name) {
            self.at += 1;
        }
        if self.at > begin && matches!(self.peek(), Some(',' | ')')) {
            return Ok(());
        }
        self.at = begin;
        self.value(depth + 1).map(|_| ())
    }

    fn pairs(&self, pairs: Vec<Value>) -> Result<Value, LiteralError> {
        let mut object = Map::new();
        for pair in pairs {
            match pair {
                Value::Array(mut pair) if pair.len() == 2 => {
                    let value = pair.remove(1);
                    object.insert(key_text(&pair[0]), value);
                }
                other => return Err(self.wrong(format!("{other} is no pair of key and value"))),
            }
        }
        Ok(Value::Object(object))
    }

    /// One string, or several that stand side by side.
    fn strings(&mut self, bytes: bool) -> Result<Value, LiteralError> {
        let mut text = String::new();
        while let Some(quote @ ('\'' | '"')) = self.peek() {
            self.at += 1;
            loop {
                let Some(letter) = self.peek() else {
                    return Err(self.wrong("a string is never closed"));
                };
                self.at += 1;
                match letter {
                    _ if letter == quote => break,
                    '\\' => self.escape(bytes, &mut text)?,
                    _ => text.push(letter),
                }
            }
            self.blanks();
        }
        Ok(Value::String(text))
    }

    fn escape(&mut self, bytes: bool, text: &mut String) -> Result<(), LiteralError> {
        let Some(letter) = self.peek() else {
            return Err(self.wrong("a string is never closed"));
        };
        self.at += 1;
        let plain = match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' => letter,
            '\n' => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                self.code(8, 1, 3)?
            }
            'x' => self.code(16, 2, 2)?,
            'u' if !bytes => self.code(16, 4, 4)?,
            'U' if !bytes => self.code(16, 8, 8)?,
            // Python keeps the backslash of an escape that it does not know.
            _ => {
                text.push('\\');
                letter
            }
        };
        text.push(plain);
        Ok(())
    }

    /// A code point of `least..=most` digits. Lone surrogates become the replacement character.
    fn code(&mut self, radix: u32, least: usize, most: usize) -> Result<char, LiteralError> {
        let mut code = 0u32;
        let mut digits = 0;
        while digits < most
            && let Some(digit) = self.peek().and_then(|letter| letter.to_digit(radix))
        {
            code = code.wrapping_mul(radix).wrapping_add(digit);
            digits += 1;
            self.at += 1;
        }
        if digits < least {
            return Err(self.wrong(format!("an escape of {least} digits ends after {digits}")));
        }
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '.'
}

fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn python_data_becomes_json() {
        let cases = [
            ("[1, -2.5, 1e-3, None, True, nan]", json!([1, -2.5, 0.001, null, true, null])),
            (
                r#"['it\'s', "say \"hi\"", 'caf\xe9', '\u4e2d\n']"#,
                json!(["it's", "say \"hi\"", "café", "中\n"]),
            ),
            ("('a',)", json!(["a"])),
            ("('a')", json!("a")),
            ("{'a': 1, 2: (), None: {3, 4}}", json!({"a": 1, "2": [], "None": [3, 4]})),
            ("{}", json!({})),
            ("set()", json!([])),
            (
                "defaultdict(<class 'list'>, {'France': [np.float64(0.5), 0.5]})",
                json!({"France": [0.5, 0.5]}),
            ),
            ("OrderedDict([('b', 1), ('a', 2)])", json!({"b": 1, "a": 2})),
            ("array([0.5, nan], dtype=float32)", json!([0.5, null])),
            ("b'caf\\xe9' ", json!("café")),
            ("'a' 'b'", json!("ab")),
            (r"'\d'", json!("\\d")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_fails_where_it_goes_wrong() {
        for (text, at) in [
            ("", 1),
            ("[1, 2", 6),
            ("'open", 6),
            ("__import__('os').system('true')", 17),
            ("lambda: 0", 1),
            ("1 + 1", 3),
            ("{'a': 1, 'b'}", 13),
            ("point(1, 2)", 6),
            ("12x", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().at, at, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().problem.contains("deep"));
    }

    /// Prints JSON as Python does.
    fn repr(value: &Value) -> String {
        match value {
            Value::Null => "None".into(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => {
                let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
                format!("'{escaped}'")
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", "))
            }
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| {
                    format!("{}: {}", repr(&Value::String(key.clone())), repr(value))
                };
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1e12..1e12f64).prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                proptest::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_repr_reads_back(value in values()) {
            prop_assert_eq!(parse(&repr(&value)).unwrap(), value);
        }

        #[test]
        fn nothing_panics(text in any::<String>(), likely in "[\\[\\](){}<>'\"\\\\,:=xuN0-9a-e. +-]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&likely);
        }
    }
}
