//! The tables on the terminal.

use std::fmt::Write as _;

use super::measurement::{Ceilings, Measurement};
use super::verdict::{Change, LEAST, Verdict};

/// A line for each workload, its columns once for one thread and once for all.
pub(super) fn measured(measured: &[Measurement], ceilings: &Ceilings) -> String {
    let mut text = String::new();
    let mut threads: Vec<usize> = measured.iter().map(|line| line.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let width = width(measured.iter().map(Measurement::label));
    let mut suite = "";
    let mut name = "";
    for line in measured {
        if line.suite() != suite {
            suite = line.suite();
            let _ = write!(text, "\n\n{suite:<width$}");
            for count in &threads {
                let count = format!("{count} thread{}", if *count == 1 { "" } else { "s" });
                let _ = write!(text, " │ {count:>10} {:>11} {:>14} {:>6}", "samples", "rate", "share");
            }
        }
        if line.name != name {
            name = &line.name;
            let _ = write!(text, "\n{:<width$}", line.label());
            for count in &threads {
                let same = measured.iter().find(|other| other.name == line.name && other.threads == *count);
                let _ = match same {
                    Some(line) => write!(text, " │ {}", columns(line, ceilings)),
                    None => write!(text, " │ {:>44}", "–"),
                };
            }
        }
    }
    text.trim_start().to_owned()
}

fn columns(line: &Measurement, ceilings: &Ceilings) -> String {
    format!(
        "{:>10} {:>11} {:>6} {:<7} {:>4.0} %",
        time(line.time.median),
        line.samples().map_or_else(String::new, |samples| format!("{}/s", count(samples))),
        significant(line.rate() / 1e9),
        line.unit(),
        100.0 * ceilings.share(line),
    )
}

/// A line for each change, and how many there are of each kind.
pub(super) fn changes(changes: &[Change], name: &str) -> String {
    let mut text = String::new();
    let width = width(changes.iter().map(|change| change.after.name.as_str()));
    let _ =
        writeln!(text, "{:<width$} threads {:>10} {:>10}  speed  verdict", format!("against {name}"), "then", "now");
    for change in changes {
        let _ = writeln!(
            text,
            "{:<width$} {:>7} {:>10} {:>10} {:>6.2}  {}",
            change.after.name,
            change.after.threads,
            time(change.before.median),
            time(change.after.time.median),
            change.ratio,
            change.verdict
        );
    }
    let of = |verdict| changes.iter().filter(|change| change.verdict == verdict).count();
    let (faster, slower) = (of(Verdict::Faster), of(Verdict::Slower));
    let _ = write!(
        text,
        "\n{faster} faster, {slower} slower, {} within noise: a change is one beyond both intervals (95 %), \
         {:.0} %, and what the machine itself has moved.",
        of(Verdict::WithinNoise),
        100.0 * (LEAST - 1.0),
    );
    text
}

pub(super) fn width<'a>(labels: impl Iterator<Item = &'a str>) -> usize {
    labels.map(|label| label.chars().count()).max().unwrap_or(0).max(20)
}

/// Seconds in the unit that suits them.
pub(super) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", significant(value))
}

/// A large number with its thousands, millions or billions named.
pub(super) fn count(number: f64) -> String {
    let (value, unit) = match number {
        n if n < 1e3 => (n, ""),
        n if n < 1e6 => (n / 1e3, " k"),
        n if n < 1e9 => (n / 1e6, " M"),
        n => (n / 1e9, " G"),
    };
    format!("{}{unit}", significant(value))
}

/// Three digits that mean something.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measurement::tests::measurement;
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit_that_suits() {
        assert_eq!([time(1.234e-7), time(9.8e-5), time(0.0123), time(2.0)], ["123 ns", "98.0 µs", "12.3 ms", "2.00 s"]);
        assert_eq!([count(12.0), count(10_200.0), count(3.5e6)], ["12.0", "10.2 k", "3.50 M"]);
    }

    #[test]
    fn one_and_all_threads_stand_in_one_line() {
        let lines = [
            measurement("ceiling/multiply-add f32", 1, [1e-3; 3]),
            measurement("ceiling/multiply-add f32", 2, [5e-4; 3]),
            measurement("step/a, batch 16", 1, [2e-3; 3]),
            measurement("step/a, batch 16", 2, [1e-3; 3]),
            measurement("step/b", 1, [1e-3; 3]),
        ];
        let text = measured(&lines, &Ceilings::of(&lines).unwrap());
        let row = text.lines().find(|line| line.starts_with("a, batch 16")).unwrap();
        for part in ["2.00 ms", "8.00 k/s", "3.00 GFLOP/s", "50 % │", "1.00 ms", "16.0 k/s"] {
            assert!(row.contains(part), "{part} in {text}");
        }
        assert!(text.lines().last().unwrap().ends_with('–'), "{text}");
    }
}
