//! A reading of code that suits every language a little: words, numbers, texts, operators.

/// Operators of more than one character, longest first.
#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "<?php", "..<", "===", "!==", ">>=", "<$>", "#!", ":=", "=>", "->", "<-", "::", "==", "!=", "<=",
    ">=", "&&", "||", "++", "--", "<<", ">>", "??", "|>",
];

/// Tokens in order; `^` stands at the start of every line that holds any.
///
/// What a comment says in plain words misleads and is left out where a line begins with one.
pub(super) fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut fresh = true;
    while let Some(letter) = rest.chars().next() {
        if letter == '\n' {
            fresh = true;
            rest = &rest[1..];
            continue;
        }
        if letter.is_whitespace() {
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        if fresh {
            fresh = false;
            if is_comment(rest) {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            found.push("^");
        }
        let (token, length) = next(rest, letter);
        found.push(token);
        rest = &rest[length..];
    }
    found
}

fn is_comment(line: &str) -> bool {
    let hash = line.strip_prefix('#');
    line.starts_with("//")
        || line.starts_with("/*")
        || line.starts_with("* ")
        || line.starts_with("-- ")
        || hash.is_some_and(|after| after.starts_with([' ', '#']))
}

/// The token at the head of a text, as cues spell it, and its length in bytes.
fn next(rest: &str, letter: char) -> (&str, usize) {
    if letter.is_alphabetic() || letter == '_' {
        let end = word_end(rest);
        return (&rest[..end], end);
    }
    if letter.is_ascii_digit() {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '.');
        let end = end.unwrap_or(rest.len());
        return (&rest[..end], end);
    }
    if let Some(length) = quoted(rest, letter) {
        return ("S", length);
    }
    if letter == '$' && rest[1..].starts_with(|letter: char| letter.is_alphabetic()) {
        let end = 1 + word_end(&rest[1..]);
        return (if &rest[..end] == "$this" { "$this" } else { "$v" }, end);
    }
    if letter == '#' && rest[1..].starts_with(|letter: char| letter.is_alphabetic()) {
        let end = 1 + word_end(&rest[1..]);
        return (&rest[..end], end);
    }
    let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
    let length = operator.map_or(letter.len_utf8(), |operator| operator.len());
    (&rest[..length], length)
}

fn word_end(text: &str) -> usize {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    end.unwrap_or(text.len())
}

/// Length of a text in quotes; `None` where a quote opens none (an apostrophe, a lifetime).
fn quoted(rest: &str, quote: char) -> Option<usize> {
    if let Some(body) = rest.strip_prefix("\"\"\"") {
        return Some(body.find("\"\"\"").map_or(rest.len(), |end| end + 6));
    }
    if !matches!(quote, '"' | '\'' | '`') {
        return None;
    }
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            '\n' if quote != '`' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_words_texts_and_operators_are_tokens() {
        let code = "// a note\nlet x1 = 'a'; // b\n  $this->f($y, 3.5);\n#include <stdio.h>";
        assert_eq!(
            tokens(code).join(" "),
            "^ let x1 = S ; / / b ^ $this -> f ( $v , 3.5 ) ; ^ #include < stdio . h >"
        );
    }

    #[test]
    fn any_text_ends() {
        for text in ["", "'", "\"\"\"", "`\n", "#", "$", "é'é", "'\\", "\u{0}\u{1F600}"] {
            tokens(text);
        }
        assert_eq!(tokens("&'a str"), ["^", "&", "'", "a", "str"]);
    }
}
