//! A rendering for people: learned spans stand out, control characters cannot act.

use diapason_flow::{Marked, Span};

const LEARNED: &str = "\x1b[1;32m";
const SCAFFOLD: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Prints the spans with those that bear loss marked.
///
/// `coloured`: learned text bold green, scaffolding dim, for a terminal. Otherwise runs of learned
/// spans stand in `⟦ ⟧`, and nothing else is added. Control characters of the text are printed as
/// escapes, so that data can neither colour the output nor move the cursor; so are the brackets.
pub fn paint(marked: &Marked, coloured: bool) -> String {
    let mut painted = String::new();
    let mut learning = false;
    for span in marked.spans.iter().filter(|span| !span.text.is_empty()) {
        let text = harmless(&span.text);
        if coloured {
            painted.push_str(&coloured_lines(span, &text));
            continue;
        }
        if span.learn != learning {
            painted.push(if span.learn { '⟦' } else { '⟧' });
            learning = span.learn;
        }
        painted.push_str(&text);
    }
    if learning {
        painted.push('⟧');
    }
    painted
}

/// Colours line by line, as pagers forget colours at line ends.
fn coloured_lines(span: &Span, text: &str) -> String {
    let colour = match (span.learn, span.template) {
        (true, _) => LEARNED,
        (false, true) => SCAFFOLD,
        (false, false) => return text.to_owned(),
    };
    let paint = |line: &str| match line {
        "" => String::new(),
        line => format!("{colour}{line}{RESET}"),
    };
    text.split('\n').map(paint).collect::<Vec<_>>().join("\n")
}

fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '⟦' | '⟧' => shown.extend(character.escape_unicode()),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, template: bool, learn: bool) -> Span {
        Span { text: text.into(), template, learn, role: None, turn: None }
    }

    #[test]
    fn learned_runs_are_bracketed_or_coloured_and_controls_are_shown() {
        let marked = Marked {
            spans: vec![
                span("<|output|>", true, false),
                span("a\x1b[31m\n⟧", false, true),
                span("<|end|>", true, true),
                span("b", false, false),
            ],
        };
        assert_eq!(paint(&marked, false), "<|output|>⟦a\\u{1b}[31m\n\\u{27e7}<|end|>⟧b");
        assert_eq!(
            paint(&marked, true),
            "\x1b[2m<|output|>\x1b[0m\x1b[1;32ma\\u{1b}[31m\x1b[0m\n\
             \x1b[1;32m\\u{27e7}\x1b[0m\x1b[1;32m<|end|>\x1b[0mb"
        );
        assert_eq!(paint(&Marked { spans: vec![span("x", false, true)] }, false), "⟦x⟧");
    }
}
