//! Whether two runs differ by more than noise.
//!
//! A line is called faster or slower only if
//! * the intervals of the two medians have no point in common, and
//! * the medians differ by more than [`LEAST`], and by more than the machine's own ceiling of that kind has moved
//!   from one run to the other.

use std::fmt;

use super::measurement::{Ceilings, Measurement, Time};
use crate::table::{Bar, Row, Table, time};

/// The least ratio of two medians that is called a change.
pub(super) const LEAST: f64 = 1.03;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Faster,
    Slower,
    WithinNoise,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::WithinNoise => "within noise",
        })
    }
}

impl Verdict {
    /// `drift` is how far the machine itself has moved, as a factor of at least 1.
    fn of(before: &Time, after: &Time, drift: f64) -> Self {
        let least = LEAST.max(drift);
        let ratio = speed(before, after);
        if after.upper < before.lower && ratio > least {
            Self::Faster
        } else if after.lower > before.upper && ratio < 1.0 / least {
            Self::Slower
        } else {
            Self::WithinNoise
        }
    }
}

/// The factor by which `after` is faster.
fn speed(before: &Time, after: &Time) -> f64 {
    before.median / after.median
}

/// One line of both runs.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) before: Time,
    pub(super) after: Measurement,
    /// The factor by which it is faster now.
    pub(super) ratio: f64,
    pub(super) verdict: Verdict,
}

/// The lines that both runs have; of the ceilings none, for they are the machine's and not the code's.
pub(super) fn compare(before: &[Measurement], after: &[Measurement], ceilings: [&Ceilings; 2]) -> Vec<Change> {
    let pair = |after: &Measurement| {
        let before = before.iter().find(|line| (&line.name, line.threads) == (&after.name, after.threads))?;
        let drift = ceilings[1].drift(ceilings[0], after);
        Some(Change {
            before: before.time,
            ratio: speed(&before.time, &after.time),
            verdict: Verdict::of(&before.time, &after.time, drift),
            after: after.clone(),
        })
    };
    after.iter().filter(|line| line.suite() != "ceiling").filter_map(pair).collect()
}

/// A line for each change, and how many there are of each kind.
pub(super) fn table(name: &str, changes: &[Change]) -> Table {
    let row = |change: &Change| {
        let class = match change.verdict {
            Verdict::Faster => "good",
            Verdict::Slower => "bad",
            Verdict::WithinNoise => "other",
        };
        // From the middle to the right if it is faster; a half and twice as fast are the ends.
        let end = (1.0 + change.ratio.log2()) / 2.0;
        Row {
            cells: vec![
                change.after.name.clone(),
                change.after.threads.to_string(),
                time(change.before.median),
                time(change.after.time.median),
                format!("{:.2}", change.ratio),
                change.verdict.to_string(),
            ],
            bar: Some(Bar { from: end.min(0.5), to: end.max(0.5), whisker: None, class }),
        }
    };
    let of = |verdict| changes.iter().filter(|change| change.verdict == verdict).count();
    Table {
        title: format!("Against {name}"),
        head: &["threads", "then", "now", "times as fast", "verdict"],
        rows: changes.iter().map(row).collect(),
        note: format!(
            "{} faster, {} slower, {} within noise: a change is one beyond both intervals (95 %), {:.0} %, and what the \
             machine itself has moved.",
            of(Verdict::Faster),
            of(Verdict::Slower),
            of(Verdict::WithinNoise),
            100.0 * (LEAST - 1.0),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measurement::tests::measurement;
    use super::*;

    #[test]
    fn a_change_is_beyond_the_intervals_the_least_effect_and_the_drift() {
        use Verdict::{Faster, Slower, WithinNoise};
        let before = Time { median: 100.0, lower: 98.0, upper: 101.0 };
        for ([lower, median, upper], drift, expected) in [
            ([89.0, 90.0, 91.0], 1.0, Faster),
            ([109.0, 110.0, 111.0], 1.0, Slower),
            // Intervals that touch, however far apart the medians.
            ([70.0, 80.0, 98.0], 1.0, WithinNoise),
            ([101.0, 150.0, 160.0], 1.0, WithinNoise),
            // A small effect, however narrow the intervals.
            ([97.4, 97.5, 97.6], 1.0, WithinNoise),
            ([102.4, 102.5, 102.6], 1.0, WithinNoise),
            // An effect no larger than the machine's own drift.
            ([109.0, 110.0, 111.0], 1.2, WithinNoise),
            ([129.0, 130.0, 131.0], 1.2, Slower),
        ] {
            assert_eq!(Verdict::of(&before, &Time { median, lower, upper }, drift), expected, "{median} {drift}");
        }
    }

    #[test]
    fn lines_are_paired_by_name_and_threads_and_ceilings_left_out() {
        let ceiling = |time| measurement("ceiling/multiply-add f32", 1, [time; 3]);
        let before = [ceiling(1.0), measurement("step/a", 1, [2.0; 3]), measurement("step/a", 2, [9.0; 3])];
        let after = [ceiling(1.1), measurement("step/a", 1, [1.0; 3]), measurement("step/new", 1, [1.0; 3])];
        let ceilings = [Ceilings::of(&before).unwrap(), Ceilings::of(&after).unwrap()];
        let changes = compare(&before, &after, [&ceilings[0], &ceilings[1]]);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.after.name.as_str(), change.ratio, change.verdict), ("step/a", 2.0, Verdict::Faster));
        let table = table("before", &changes);
        assert_eq!(table.rows[0].cells, ["step/a", "1", "2.00 s", "1.00 s", "2.00", "faster"]);
        assert!(table.note.starts_with("1 faster, 0 slower, 0 within noise"), "{table}");
    }
}
