//! Text on the pages that rooms write.

/// Text as it may stand anywhere in HTML, attributes included. Line ends and tabs show as signs,
/// other control characters as the sign of what cannot be shown.
pub fn escape_html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('⏎'),
            '\t' => safe.push('⇥'),
            control if control.is_control() => safe.push('\u{FFFD}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_an_attribute_or_hides() {
        let hostile = "<b a='\"'>&\n\u{7}";
        assert_eq!(escape_html(hostile), "&lt;b a=&#39;&quot;&#39;&gt;&amp;⏎\u{FFFD}");
    }
}
