//! Tables and numbers as Markdown, for the chapters to include.

/// A table whose first column is text and whose others are numbers.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: String = (0..N).map(|column| if column == 0 { "---|" } else { "---:|" }).collect();
    let mut table = line(&header.map(str::to_owned)) + "|" + &rule + "\n";
    rows.into_iter().for_each(|row| table += &line(&row));
    table
}

/// A number with so many digits that count: 0.0123, 12.3, 1,230.
pub(super) fn digits(number: f64, count: usize) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    // Rounded first: 0.99996 has one digit more before the point than it seems.
    let rounded: f64 = format!("{number:.*e}", count - 1).parse().unwrap_or(number);
    let before = rounded.abs().log10().floor() as i32 + 1;
    let after = (count as i32 - before).max(0) as usize;
    signed(&format!("{rounded:.after$}"))
}

/// A number as a power of ten: 1.2 · 10⁻⁵.
pub(super) fn power(number: f64, count: usize) -> String {
    let scientific = format!("{number:.*e}", count - 1);
    match scientific.split_once('e') {
        Some((digits, exponent)) => {
            let raised = exponent.parse().map_or_else(|_| exponent.to_owned(), superscript);
            signed(&format!("{digits} · 10{raised}"))
        }
        None => scientific,
    }
}

/// A count with its thousands apart: 12,345.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// An exponent, as in 10⁻³.
pub(super) fn superscript(number: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + (digit as u32 - '0' as u32)).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
}

fn signed(number: &str) -> String {
    number.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(digits(0.012_345, 3), "0.0123");
        assert_eq!(digits(-12.345, 3), "−12.3");
        assert_eq!(digits(0.999_96, 3), "1.00");
        assert_eq!(digits(98_765.0, 3), "98800");
        assert_eq!(power(0.000_012_34, 2), "1.2 · 10⁻⁵");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
    }

    #[test]
    fn a_table_is_markdown() {
        let rows = [["a", "1"], ["b", "2"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["name", "count"], rows), "| name | count |\n|---|---:|\n| a | 1 |\n| b | 2 |\n");
    }
}
