//! Numbers and indices in text and in LaTeX.

/// A notation for mathematics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// Plain text with Unicode letters.
    Text,
    /// LaTeX, as KaTeX renders it.
    Latex,
}

impl Notation {
    /// What stands in text, or what stands in LaTeX.
    pub(crate) fn pick<A>(self, text: A, latex: A) -> A {
        if self == Self::Text { text } else { latex }
    }
}

/// The significant digits that are shown unless others are asked for.
pub(crate) const DIGITS: usize = 6;

/// A number with this many significant digits, without zeros at its end.
pub(crate) fn number(value: f64, digits: usize, notation: Notation) -> String {
    let (minus, infinity) = notation.pick(("−", "∞"), ("-", "\\infty"));
    let sign = if value.is_sign_negative() && value != 0.0 && !value.is_nan() { minus } else { "" };
    if value.is_nan() {
        return notation.pick("NaN", "\\mathrm{NaN}").to_owned();
    }
    if value.is_infinite() {
        return format!("{sign}{infinity}");
    }
    let digits = digits.clamp(1, 17);
    let scientific = format!("{:.*e}", digits - 1, value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-5..9).contains(&power) || value == 0.0 {
        let decimals = usize::try_from(digits as i32 - 1 - power).unwrap_or(0);
        return format!("{sign}{}", trimmed(&format!("{:.*}", decimals, value.abs())));
    }
    let (mantissa, power_sign) = (trimmed(mantissa), if power < 0 { minus } else { "" });
    match notation {
        Notation::Text => format!("{sign}{mantissa}e{power_sign}{}", power.abs()),
        Notation::Latex => format!("{sign}{mantissa} \\cdot 10^{{{power_sign}{}}}", power.abs()),
    }
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// Indices that count from 1, as a subscript; nothing for an array of one number.
///
/// Text has them side by side where that can't be misread, and in brackets elsewhere.
pub(crate) fn subscript(indices: &[usize], notation: Notation) -> String {
    let joined = |by: &str| indices.iter().map(usize::to_string).collect::<Vec<_>>().join(by);
    let close = indices.len() < 2 || indices.iter().all(|&index| index < 10);
    match (indices, notation) {
        ([], _) => String::new(),
        (_, Notation::Text) if close => joined("").chars().map(|digit| shifted(digit, '₀')).collect(),
        (_, Notation::Text) => format!("[{}]", joined(",")),
        (_, Notation::Latex) => format!("_{{{}}}", joined(if close { "" } else { "," })),
    }
}

/// The number of an example, as a superscript in parentheses.
pub(crate) fn example(index: usize, notation: Notation) -> String {
    match notation {
        Notation::Text => {
            let digits: String = index.to_string().chars().map(superscript).collect();
            format!("⁽{digits}⁾")
        }
        Notation::Latex => format!("^{{({index})}}"),
    }
}

/// A whole power as a superscript.
pub(crate) fn power(exponent: u32, notation: Notation) -> String {
    match notation {
        Notation::Text => exponent.to_string().chars().map(superscript).collect(),
        Notation::Latex => format!("^{{{exponent}}}"),
    }
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        _ => shifted(digit, '⁰'),
    }
}

/// The digit in the block of digits that begins with this zero.
fn shifted(digit: char, zero: char) -> char {
    digit.to_digit(10).and_then(|digit| char::from_u32(zero as u32 + digit)).unwrap_or(digit)
}

/// The indices of a place along axes.
pub(crate) fn unravel(mut place: usize, axes: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; axes.len()];
    for (index, &axis) in indices.iter_mut().zip(axes).rev() {
        (*index, place) = (place % axis.max(1), place / axis.max(1));
    }
    indices
}

/// The 1-based indices of a place in an array of these axes; none if there is one number only.
pub(crate) fn indices(place: usize, axes: &[usize]) -> Vec<usize> {
    match axes.iter().product() {
        1 => Vec::new(),
        _ => unravel(place, axes).into_iter().map(|index| index + 1).collect(),
    }
}

/// Text that LaTeX shows as it is.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped.push('/'),
            '^' | '~' => escaped.push('-'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_are_asked_for() {
        let text = |value, digits| number(value, digits, Notation::Text);
        assert_eq!(text(0.1, 6), "0.1");
        assert_eq!(text(-0.25, 17), "−0.25");
        assert_eq!(text(1.0 / 3.0, 4), "0.3333");
        assert_eq!(text(123_456_789.0, 4), "123456789");
        assert_eq!(text(-1.5e-9, 6), "−1.5e−9");
        assert_eq!(text(2e30, 6), "2e30");
        assert_eq!(text(0.999_999_9, 3), "1");
        assert_eq!(text(-0.0, 6), "0");
        assert_eq!((text(f64::NAN, 6), text(f64::NEG_INFINITY, 6)), ("NaN".into(), "−∞".into()));
        assert_eq!(number(-1.5e-9, 6, Notation::Latex), "-1.5 \\cdot 10^{-9}");
    }

    #[test]
    fn indices_count_from_one() {
        assert_eq!(indices(5, &[2, 3]), [2, 3]);
        assert_eq!(indices(0, &[1]), [0; 0]);
        assert_eq!(subscript(&[2, 1], Notation::Text), "₂₁");
        assert_eq!(subscript(&[12], Notation::Text), "₁₂");
        assert_eq!(subscript(&[12, 1], Notation::Text), "[12,1]");
        assert_eq!(subscript(&[12, 1], Notation::Latex), "_{12,1}");
        assert_eq!(example(12, Notation::Text), "⁽¹²⁾");
        assert_eq!(escaped("weight_hh"), "weight\\_hh");
    }
}
