//! Printing and parsing of `<MARKER_LIST> <name> value </name> … </MARKER_LIST>`.
//!
//! The delimiters are plain text, so a hostile value could close its own element or the list.
//! `&`, `<`, `>` and line ends are therefore printed as character references, in names also
//! whitespace and `/`, and a marker called `MARKER_LIST` loses its first letter to one. What is
//! printed is always one line and always reads back as it was; what a model writes may be
//! malformed and is read as far as it goes.

use diapason_flow::{MarkerValue, Markers};

/// Stands between a list and the text beside it.
pub const SEPARATOR: &str = "\n";

const NAME: &str = "MARKER_LIST";
/// How a list begins.
pub(crate) const OPEN: &str = "<MARKER_LIST>";
/// How a list ends behind its last element.
pub(crate) const END: &str = " </MARKER_LIST>";
const CLOSE: &str = "</MARKER_LIST>";

/// Prints a list on one line; empty markers print as an empty text.
///
/// A marker with several values prints as several elements of one name, one without any as none.
/// Hence [`MarkerValue::Many`] of one value reads back as [`MarkerValue::One`].
pub fn print_list(markers: &Markers) -> String {
    print_in_order(markers.iter())
}

/// Prints a list of markers in the order in which they come.
pub(crate) fn print_in_order<'a>(
    markers: impl Iterator<Item = (&'a str, &'a MarkerValue)>,
) -> String {
    let mut list = String::new();
    for (name, value) in markers {
        for value in value.values() {
            list += &opening(name);
            list += &closing(name, value);
        }
    }
    if list.is_empty() { list } else { [OPEN, &list, END].concat() }
}

/// How an element begins behind what stands before it: ` <name>`.
pub(crate) fn opening(name: &str) -> String {
    format!(" <{}>", escape_name(name))
}

/// How an element that was opened goes on: ` value </name>`.
pub(crate) fn closing(name: &str, value: &str) -> String {
    format!(" {} </{}>", escape(value, is_delimiter), escape_name(name))
}

/// A text taken apart into its marker list and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<'text> {
    /// The markers; empty if the text begins with no list.
    pub markers: Markers,
    /// What follows the list and its separator; the whole text if there is no list, nothing if the
    /// list never ends.
    pub text: &'text str,
    /// Whether the list ends, which is also so when there is none.
    pub closed: bool,
}

/// Takes a leading marker list off a completion.
///
/// Total: whatever does not read as an element (`<name> value </name>`) is skipped up to the next
/// `<`. Whitespace before the list is dropped, and after it one newline or one space.
pub fn split_list(text: &str) -> Split<'_> {
    let Some(body) = text.trim_start().strip_prefix(OPEN) else {
        return Split { markers: Markers::default(), text, closed: true };
    };
    let Some((body, rest)) = body.split_once(CLOSE) else {
        return Split { markers: read_elements(body), text: "", closed: false };
    };
    let text = rest.strip_prefix(['\n', ' ']).unwrap_or(rest);
    Split { markers: read_elements(body), text, closed: true }
}

/// Reads every byte a bounded number of times, whatever a model wrote.
fn read_elements(mut body: &str) -> Markers {
    let mut markers = Markers::default();
    while let Some((_, rest)) = body.split_once('<') {
        body = rest;
        let Some(end) = body.find(['<', '>']) else { break };
        let (name, rest) = body.split_at(end);
        let Some((value, rest)) = rest.strip_prefix('>').and_then(|rest| rest.split_once('<'))
        else {
            continue;
        };
        // A value holds no `<` of its own: one here that does not close means a lost element.
        let closed = rest.strip_prefix('/').and_then(|rest| rest.strip_prefix(name));
        let Some(rest) = closed.and_then(|rest| rest.strip_prefix('>')) else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        let value = value.strip_suffix(' ').unwrap_or(value);
        markers.add(unescape(name), unescape(value));
        body = rest;
    }
    markers
}

fn is_delimiter(character: char) -> bool {
    matches!(character, '&' | '<' | '>' | '\n' | '\r')
}

fn escape_name(name: &str) -> String {
    if name == NAME {
        // An element of this name would look like the list itself.
        return format!("&#{};{}", u32::from('M'), &NAME[1..]);
    }
    escape(name, |character| {
        is_delimiter(character) || character == '/' || character.is_whitespace()
    })
}

fn escape(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if special(character) => {
                escaped.extend(["&#", &u32::from(character).to_string(), ";"]);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Undoes [`escape`]; a reference that it does not know stays as it stands.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest.find(';').and_then(|end| Some((end, referent(&rest[1..end])?)));
        let (end, character) = reference.unwrap_or((0, '&'));
        plain.push(character);
        rest = &rest[end + 1..];
    }
    plain + rest
}

fn referent(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::markers;
    use proptest::prelude::*;

    /// Texts made of the very strings that could break the list.
    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just(OPEN.to_owned()),
            Just(CLOSE.to_owned()),
            Just(NAME.to_owned()),
            Just("</a>".to_owned()),
            Just("&amp;".to_owned()),
            Just("&#60;".to_owned()),
            "[<>&;/# \n\ra]{0,6}",
            ".{0,4}",
        ];
        proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_list_reads_back_and_leaves_the_text_alone(
            pairs in proptest::collection::vec((hostile(), proptest::collection::vec(hostile(), 1..3)), 1..4),
            text in hostile(),
        ) {
            let pairs: Vec<(&str, Vec<&str>)> = pairs
                .iter()
                .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
                .collect();
            let pairs: Vec<(&str, &[&str])> =
                pairs.iter().map(|(name, values)| (*name, values.as_slice())).collect();
            let markers = markers(&pairs);
            let list = print_list(&markers);
            prop_assert!(!list.contains('\n'));
            let whole = format!("{list}{SEPARATOR}{text}");
            prop_assert_eq!(split_list(&whole), Split { markers, text: &text, closed: true });
        }

        #[test]
        fn any_text_at_all_is_read_without_panic(text in hostile(), body in hostile()) {
            let whole = format!("{OPEN}{body}");
            split_list(&text);
            prop_assert!(split_list(&whole).text.len() <= body.len());
        }
    }

    #[test]
    fn several_values_print_as_several_elements() {
        let list = print_list(&markers(&[("format", &["JSON", "Markdown"]), ("lang", &["Greek"])]));
        assert_eq!(
            list,
            "<MARKER_LIST> <format> JSON </format> <format> Markdown </format> \
             <lang> Greek </lang> </MARKER_LIST>"
        );
    }

    #[test]
    fn no_markers_print_as_nothing_and_a_text_without_a_list_is_untouched() {
        assert_eq!(print_list(&Markers::default()), "");
        assert_eq!(print_list(&markers(&[("lang", &[])])), "");
        let split = split_list("  plain </MARKER_LIST>");
        assert_eq!((split.text, split.closed), ("  plain </MARKER_LIST>", true));
    }

    #[test]
    fn a_malformed_list_is_read_as_far_as_it_goes() {
        let split = split_list("<MARKER_LIST> <a> 1 <b> 2 </b> junk <c>3</c> </MARKER_LIST> text");
        assert_eq!(split.markers, markers(&[("b", &["2"]), ("c", &["3"])]));
        assert_eq!((split.text, split.closed), ("text", true));
        let endless = split_list("<MARKER_LIST> <a> 1 </a> <b> 2");
        assert_eq!(endless.markers, markers(&[("a", &["1"])]));
        assert_eq!((endless.text, endless.closed), ("", false));
    }
}
