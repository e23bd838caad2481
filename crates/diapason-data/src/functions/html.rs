//! HTML fragments as plain text, for surveys and forums that store their texts so.
//!
//! Tags vanish; those that end a line or a block give a line break. Entities of XML, `&nbsp;` and
//! numbered ones are decoded, once. A `<` that opens no tag stays.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Tags and comments; the first group is the name of one that breaks the line.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    let breaking = "p|br|div|li|ul|ol|tr|table|blockquote|h[1-6]|hr";
    compiled(&format!(r"(?is)</?({breaking})\b[^<>]*>|</?[a-z][^<>]*>|<!--.*?-->"))
});
static ENTITY: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"&(amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});"));
static BLANKS: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"[ \t\r\u{a0}]*\n[\s\u{a0}]*\n\s*|\r\n"));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this file")
}

/// The text of a fragment, without blanks around it and with at most one empty line in a row.
pub fn plain(html: &str) -> String {
    let text =
        TAG.replace_all(html, |tag: &Captures<'_>| if tag.get(1).is_some() { "\n" } else { "" });
    let text = ENTITY.replace_all(&text, |entity: &Captures<'_>| decoded(&entity[1]));
    let text =
        BLANKS.replace_all(
            &text,
            |blanks: &Captures<'_>| {
                if blanks[0].matches('\n').count() > 1 { "\n\n" } else { "\n" }
            },
        );
    text.trim().to_owned()
}

fn decoded(name: &str) -> String {
    let code = match name {
        "amp" => return "&".into(),
        "lt" => return "<".into(),
        "gt" => return ">".into(),
        "quot" => return "\"".into(),
        "apos" => return "'".into(),
        "nbsp" => return " ".into(),
        number => match number[1..].strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number[1..].parse(),
        },
    };
    code.ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_entities_are_decoded_once() {
        let cases = [
            (
                "<h3>Why?</h3>\n<p>Because <em>so</em>.</p>\r\n<p>End</p>",
                "Why?\n\nBecause so.\n\nEnd",
            ),
            ("one<br /><br />two<br>three", "one\n\ntwo\nthree"),
            ("a &lt; b &amp;amp; c&nbsp;&#39;d&#x2019;", "a < b &amp; c 'd\u{2019}"),
            ("1 < 2 and x<y, <!-- gone -->it&s", "1 < 2 and x<y, it&s"),
            ("<p class='x'>kept</p>", "kept"),
        ];
        for (html, text) in cases {
            assert_eq!(plain(html), text, "{html}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[<>&;#xa-p/! \\n\\r0-9\"'-]{0,60}") {
            let plain = plain(&text);
            proptest::prop_assert!(plain.len() <= text.len() + 3);
        }
    }
}
