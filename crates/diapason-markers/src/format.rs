//! Output formats by the shape of a text. A text can have several.

use crate::code::blocks;

/// The formats of a completion, in the order of the taxonomy.
pub fn formats(text: &str) -> Vec<&'static str> {
    let text = text.trim();
    let lines: Vec<&str> = prose_lines(text);
    let rules: [(&str, bool); 8] = [
        ("MCQAnswer", is_choice(text)),
        ("ChainOfThought", is_reasoning(&lines)),
        ("XML", is_xml(bare(text))),
        ("JSON", is_json(bare(text))),
        ("Enumeration", is_enumeration(&lines)),
        ("Tabular", is_table(&lines)),
        ("Markdown", is_markdown(text, &lines)),
        ("Latex", is_latex(text)),
    ];
    rules.into_iter().filter_map(|(format, holds)| holds.then_some(format)).collect()
}

/// Lines outside code fences, without blank ones.
fn prose_lines(text: &str) -> Vec<&str> {
    let outside = blocks(text).into_iter().filter(|block| block.label.is_none());
    let lines = outside.flat_map(|block| block.body.lines());
    lines.map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// The body of the only fence where the text is nothing but one.
fn bare(text: &str) -> &str {
    match blocks(text).as_slice() {
        [only] if only.label.is_some() => only.body.trim(),
        _ => text,
    }
}

/// One letter, perhaps in brackets or after "answer", perhaps with the option it stands for.
fn is_choice(text: &str) -> bool {
    if text.contains('\n') || text.len() > 200 {
        return false;
    }
    // In ASCII the length stays, so that positions agree.
    let lower = text.to_ascii_lowercase();
    let rest = ["the correct answer is", "the answer is", "correct answer:", "answer:"]
        .iter()
        .find_map(|lead| lower.strip_prefix(lead))
        .map_or(text, |rest| &text[text.len() - rest.len()..]);
    let rest = rest.trim();
    let inner = rest.strip_prefix('(').unwrap_or(rest);
    let mut letters = inner.chars();
    let option = letters.next().is_some_and(|letter| matches!(letter, 'A'..='E' | 'a'..='e'));
    let after = letters.as_str();
    let bracketed = inner.len() < rest.len();
    option
        && (after.is_empty()
            || after == "."
            || (bracketed && after.starts_with(')'))
            || after.starts_with(") ")
            || after.starts_with(". ")
            || after.starts_with(": ")
            || after == ")")
}

fn is_reasoning(lines: &[&str]) -> bool {
    let starts = |line: &str, leads: &[&str]| {
        let line = line.trim_start_matches(['*', '#', ' ', '-']).to_lowercase();
        leads.iter().any(|lead| line.starts_with(lead))
    };
    let steps = lines.iter().filter(|line| {
        starts(line, STEPS)
            && line.chars().take(24).any(|letter| letter.is_numeric() || "一二三".contains(letter))
    });
    let concluded = lines.len() >= 2 && lines.last().is_some_and(|line| starts(line, CONCLUSIONS));
    let announced = lines.first().is_some_and(|line| {
        let line = line.to_lowercase();
        ANNOUNCED.iter().any(|words| line.contains(words))
    });
    steps.count() >= 2 || concluded || (announced && lines.len() >= 2)
}

const STEPS: &[&str] = &[
    "step ",
    "étape ",
    "paso ",
    "passo ",
    "schritt ",
    "passaggio ",
    "шаг ",
    "krok ",
    "adım ",
    "stap ",
    "bước ",
    "langkah ",
    "pasul ",
    "步骤",
    "第一步",
    "第二步",
    "ステップ",
    "단계",
    "الخطوة",
    "चरण",
];
const CONCLUSIONS: &[&str] = &[
    "####",
    "therefore,",
    "so the answer",
    "the answer is",
    "thus,",
    "hence,",
    "final answer",
    "la respuesta es",
    "la réponse est",
    "die antwort ist",
    "a resposta é",
    "la risposta è",
    "ответ:",
    "答案是",
    "所以答案",
    "因此",
    "したがって",
    "答えは",
    "따라서",
];
const ANNOUNCED: &[&str] = &[
    "step by step",
    "step-by-step",
    "étape par étape",
    "paso a paso",
    "schritt für schritt",
    "passo a passo",
    "passo dopo passo",
    "шаг за шагом",
    "krok po kroku",
    "adım adım",
    "stap voor stap",
    "từng bước",
    "langkah demi langkah",
    "一步一步",
    "逐步",
    "一歩ずつ",
    "단계별",
];

fn is_json(text: &str) -> bool {
    let shaped = (text.starts_with('{') && text.ends_with('}'))
        || (text.starts_with('[') && text.ends_with(']'));
    shaped && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A tag at the start whose closing twin ends the text.
fn is_xml(text: &str) -> bool {
    let body = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest.trim_start()),
        None => text,
    };
    if body.to_lowercase().starts_with("<!doctype html") {
        return true;
    }
    let Some(rest) = body.strip_prefix('<') else { return false };
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && !"_-:.".contains(letter));
    let name = &rest[..end.unwrap_or(rest.len())];
    !name.is_empty() && (body.ends_with(&format!("</{name}>")) || body.ends_with("/>"))
}

/// Whether a line is an item of a list, and whether a numbered one.
fn item(line: &str) -> bool {
    let bullet = ["- ", "* ", "• ", "– ", "· "].iter().any(|bullet| line.starts_with(bullet));
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let after = &line[digits..];
    let numbered = (1..=3).contains(&digits)
        && (after.starts_with(". ")
            || after.starts_with(") ")
            || after.starts_with('、')
            || after.starts_with(".**")
            || after.starts_with('．'));
    bullet || numbered
}

/// Three items or more, or two that are most of the text.
fn is_enumeration(lines: &[&str]) -> bool {
    let items = lines.iter().filter(|line| item(line.trim_start_matches("**"))).count();
    items >= 3 || (items == 2 && lines.len() <= 3)
}

/// A table of Markdown, or three lines with the same number of tabs or pipes.
fn is_table(lines: &[&str]) -> bool {
    let rule = |line: &str| {
        line.contains('|')
            && line.contains("--")
            && line.chars().all(|letter| "|-: ".contains(letter))
    };
    let columns = |separator: char| {
        lines.windows(3).any(|three| {
            let count = |line: &str| line.matches(separator).count();
            count(three[0]) >= 1 && three.iter().all(|line| count(line) == count(three[0]))
        })
    };
    lines.iter().any(|line| rule(line)) || columns('\t') || columns('|')
}

/// A heading, a fence, or two of the lesser signs.
fn is_markdown(text: &str, lines: &[&str]) -> bool {
    let heading = |line: &str| {
        let level = line.chars().take_while(|letter| *letter == '#').count();
        (1..=6).contains(&level) && line[level..].starts_with(' ')
    };
    let bold = text.matches("**").count() >= 2;
    let link = text.contains("](http") || text.contains("](/");
    let inline = text.matches('`').count() >= 2;
    let starred = lines.iter().filter(|line| line.starts_with("* ") || line.starts_with("- "));
    let quoted = lines.iter().any(|line| line.starts_with("> "));
    let lesser = [bold, link, inline, starred.count() >= 2, quoted];
    lines.iter().any(|line| heading(line))
        || blocks(text).iter().any(|block| block.label.is_some())
        || lesser.into_iter().filter(|holds| *holds).count() >= 2
        || text.matches("**").count() >= 4
}

fn is_latex(text: &str) -> bool {
    let strong =
        ["\\begin{", "\\frac{", "\\documentclass", "\\[", "\\(", "\\sqrt{", "\\sum_", "\\int_"];
    let paired = text.matches("$$").count() >= 2
        || (text.matches('$').count() >= 2 && (text.contains('^') || text.contains('\\')));
    strong.iter().any(|sign| text.contains(sign)) || paired && text.contains(['\\', '^', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_told_on_examples_of_ours() {
        for (text, expected) in [
            ("B", &["MCQAnswer"][..]),
            ("(C) The moon", &["MCQAnswer"]),
            ("Answer: d.", &["MCQAnswer"]),
            ("The answer is (A).", &["MCQAnswer"]),
            ("{\"a\": [1, 2]}", &["JSON"]),
            ("```json\n{\"a\": 1}\n```", &["JSON", "Markdown"]),
            ("<note to=\"me\"><b>x</b></note>", &["XML"]),
            ("<?xml version=\"1.0\"?>\n<a></a>", &["XML"]),
            ("1. plums\n2. pears\n3. figs", &["Enumeration"]),
            ("Ways:\n- walk\n- swim\n- fly", &["Enumeration"]),
            ("| a | b |\n|---|---|\n| 1 | 2 |", &["Tabular"]),
            ("a\tb\n1\t2\n3\t4", &["Tabular"]),
            ("# Title\n\nSome **bold** words.", &["Markdown"]),
            ("We have \\frac{1}{2} of it.", &["Latex"]),
            ("Euler: $e^{i\\pi} = -1$.", &["Latex"]),
            ("Two dogs and two cats.\n2 + 2 = 4\nTherefore, there are four.", &["ChainOfThought"]),
            ("Step 1: add.\nStep 2: halve.", &["ChainOfThought"]),
        ] {
            assert_eq!(formats(text), expected, "{text:?}");
        }
    }

    #[test]
    fn plain_prose_has_none() {
        for text in [
            "",
            "A dog barked at five.",
            "It costs $5 or $6.",
            "Be brave.",
            "{not json}",
            "a < b and b > c",
            "E",
            "Mail me: a_b@c.example",
            "İI\u{0}",
        ] {
            let found = formats(text);
            assert!(found.is_empty() || text == "E", "{text:?}: {found:?}");
        }
    }
}
