//! Numbers and texts as the page shows them.

use diapason_flow::Estimate;

pub(crate) use diapason_flow::escape_html as escape;

/// [`escape`], but lines stay lines: for preformatted blocks.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// A place of an axis: whole numbers stay whole.
pub(crate) fn place(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { number(value) }
}

/// The first `limit` characters, with an ellipsis if there are more.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    let mut characters = text.chars();
    let short: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() { short.trim_end().to_owned() + "…" } else { short }
}

/// Three significant digits: `0.0123`, `1.23`, `12.3`, `1 230`, `1.2e-7`.
pub(crate) fn number(value: f64) -> String {
    with_digits(value, decimals(value))
}

/// A value and its interval, all to the same place: `0.0120 [0.0100, 0.0150]`.
pub(crate) fn interval(value: f64, ci95: [f64; 2]) -> String {
    let [value, low, high] = together(value, ci95);
    format!("{value}\u{a0}[{low},\u{a0}{high}]")
}

/// A figure as value and interval; one unit has no interval.
pub(crate) fn figure(estimate: &Estimate) -> (String, String) {
    if estimate.n < 2 {
        return (number(estimate.value), "one unit".to_owned());
    }
    let [value, low, high] = together(estimate.value, estimate.ci95);
    (value, format!("[{low}, {high}]"))
}

/// A p-value: three decimals, or `< 0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Whole numbers in groups of three.
pub(crate) fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202F}');
        }
        grouped.push(digit);
    }
    grouped
}

/// All to the place that gives the value three digits; a value lost inside its interval takes the
/// place of the interval's larger bound.
fn together(value: f64, [low, high]: [f64; 2]) -> [String; 3] {
    let largest = value.abs().max(low.abs()).max(high.abs());
    let leading = if value.abs() >= 0.1 * largest { value } else { largest };
    [value, low, high].map(|value| with_digits(value, decimals(leading)))
}

/// Decimals that show three significant digits of a value; `None` where only powers of ten help.
fn decimals(value: f64) -> Option<usize> {
    let size = value.abs();
    if size == 0.0 {
        return Some(0);
    }
    let place = 2 - size.log10().floor() as i32;
    // Rounding may carry into the next power of ten: 0.9996 is 1.00.
    let rounded = (size * 10f64.powi(place)).round() / 10f64.powi(place);
    let place = 2 - rounded.log10().floor() as i32;
    if place > 6 { None } else { Some(place.max(0) as usize) }
}

fn with_digits(value: f64, decimals: Option<usize>) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    let text = match decimals {
        None => return format!("{sign}{size:.1e}"),
        Some(0) if size >= 1000.0 => whole(size.round() as u64),
        Some(decimals) => format!("{size:.decimals$}"),
    };
    if text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        format!("{sign}{text}")
    } else {
        text
    }
}

/// The parts one after the other.
pub(crate) fn concat(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.012345, "0.0123"),
            (-0.5, "−0.500"),
            (0.9996, "1.00"),
            (1.0, "1.00"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1\u{202F}235"),
            (1.23e-7, "1.2e-7"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(interval(0.012, [0.0101, 0.0149]), "0.0120\u{a0}[0.0101,\u{a0}0.0149]");
        assert_eq!(interval(-0.0001, [-0.2, 0.1]), "0.000\u{a0}[−0.200,\u{a0}0.100]");
        assert_eq!(p_value(0.0005), "&lt; 0.001");
        assert_eq!(whole(1234567), "1\u{202F}234\u{202F}567");
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 3), "abc…");
        assert_eq!(shortened("abc", 3), "abc");
    }
}
