//! The width of text, by estimate, and numbers as people write them.
//!
//! No font is looked at, so that a picture is the same bytes on every machine.

/// The estimated width of text in pixels: rather too wide than too narrow for the fonts of [`FONTS`].
pub(crate) fn width(text: &str, size: f64) -> f64 {
    size * text.chars().map(em).sum::<f64>()
}

/// The fonts that text asks for, which have Latin letters and Hangul on all systems. Those of Hangul come last: their
/// signs, such as ∂, are as wide as a syllable.
pub(crate) const FONTS: &str = "Noto Sans, Segoe UI, Helvetica Neue, Arial, DejaVu Sans, Noto Sans KR, \
                                Noto Sans CJK KR, Malgun Gothic, Apple SD Gothic Neo, sans-serif";

/// The width of a character in units of the font's size.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.30,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | ' ' | '/' | '-' => 0.39,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        '⁰' | '¹' | '²' | '³' | '⁴' | '⁵' | '⁶' | '⁷' | '⁸' | '⁹' | '⁻' => 0.42,
        'A'..='Z' => 0.70,
        '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7FF}' | '\u{FF00}'..='\u{FFEF}' => 1.0,
        '0'..='9' | '−' | '+' | '×' | '=' => 0.60,
        _ => 0.59,
    }
}

/// Cuts text to a width, with an ellipsis if something is cut.
pub(crate) fn fitted(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while !kept.is_empty() && width(&kept.iter().chain(&['…']).collect::<String>(), size) > most {
        kept.pop();
    }
    kept.into_iter().chain(['…']).collect()
}

/// A number to some significant digits, without zeros at its end: 0.0123, 1,240, 3.1×10⁻⁷.
pub(crate) fn number(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !x.is_finite() {
        return if x.is_nan() {
            "NaN"
        } else if x > 0.0 {
            "∞"
        } else {
            "−∞"
        }
        .to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{x:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..=5).contains(&exponent) {
        let mantissa = trimmed(mantissa).replace('-', "−");
        let power = format!("10{}", superscript(exponent));
        return match mantissa.as_str() {
            "1" => power,
            "−1" => format!("−{power}"),
            _ => format!("{mantissa}×{power}"),
        };
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{x:.decimals$}")).replace('-', "−")
}

/// A number with this many decimals, as labels along an axis have them.
pub(crate) fn fixed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}").replace('-', "−");
    // No negative zero.
    if text.chars().all(|c| matches!(c, '−' | '0' | '.')) { text.replace('−', "") } else { text }
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A whole number with commas: 12,400.
pub(crate) fn grouped(x: usize) -> String {
    let digits = x.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A whole number as an exponent.
pub(crate) fn superscript(number: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
}

/// A count with its share: 98.3 %.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let all = [
            (0.0, "0"),
            (-0.5, "−0.5"),
            (0.012345, "0.0123"),
            (1234.5, "1234"),
            (1e-7, "10⁻⁷"),
            (-1e9, "−10⁹"),
            (3.14e-7, "3.14×10⁻⁷"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (x, text) in all {
            assert_eq!(number(x, 3), text);
        }
        assert_eq!((fixed(-0.0, 1), fixed(-1.5, 1), fixed(2.0, 0)), ("0.0".into(), "−1.5".into(), "2".into()));
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(superscript(-10), "⁻¹⁰");
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(fitted("species", 12.0, 100.0), "species");
        let cut = fitted("a long name of a class", 12.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 60.0, "{cut}");
        assert_eq!(fitted("word", 12.0, 0.0), "…");
        assert!(width("학습률", 12.0) == 36.0);
    }
}
