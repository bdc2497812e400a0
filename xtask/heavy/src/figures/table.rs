//! Tables and numbers as Markdown, for the chapters to include.

/// A table, with columns of numbers to the right.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let is_number = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || c == '−');
    let rule = (0..N).map(|column| if rows.iter().all(|row| is_number(&row[column])) { "---:" } else { "---" });
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&header) + &line(&rule.collect::<Vec<_>>());
    for row in &rows {
        table += &line(&row.each_ref().map(String::as_str));
    }
    table
}

/// Writes a number with `count` significant digits: 0.0123, 12.3, 1.23 · 10⁻⁵.
pub(super) fn digits(number: f64, count: usize) -> String {
    let scientific = format!("{number:.*e}", count - 1);
    // Rounded first: 0.99996 has one digit more before the point than it seems.
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let plain = if number == 0.0 {
        "0".to_owned()
    } else if (-4..5).contains(&exponent) {
        let after = (count as i32 - 1 - exponent).max(0) as usize;
        format!("{:.after$}", scientific.parse().unwrap_or(number))
    } else {
        format!("{mantissa} · 10{}", superscript(exponent))
    };
    plain.replace('-', "−")
}

/// An exponent, as in 10⁻³.
fn superscript(number: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + (digit as u32 - '0' as u32)).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
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
        assert_eq!(digits(0.000_012_34, 2), "1.2 · 10⁻⁵");
        assert_eq!(digits(-250_000.0, 1), "−2 · 10⁵");
        assert_eq!(digits(0.0, 3), "0");
    }

    #[test]
    fn a_table_is_markdown() {
        let rows = [["a", "1"], ["b", "−2"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["name", "count"], rows), "| name | count |\n| --- | ---: |\n| a | 1 |\n| b | −2 |\n");
    }
}
