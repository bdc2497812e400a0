//! Measurements: read from criterion's files or from an earlier run's, and written again.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::Result;
use crate::table::{Bar, Row, Table, count, significant, time};
use crate::workspace::files;

/// The programs that measure, in the order in which they run; the ceilings are the first.
pub(super) const PROGRAMS: [&str; 4] = ["ceilings", "layers", "workloads", "optimizers"];

/// The suites, in the order in which they are shown, with the titles of their tables.
const SUITES: [(&str, &str); 7] = [
    ("ceiling", "ceilings"),
    ("product", "products"),
    ("layer", "layers"),
    ("step", "steps"),
    ("inference", "inference"),
    ("model", "models"),
    ("optimizer", "optimizers"),
];

/// One line: what was measured, and how much work it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measurement {
    /// `suite/what`
    pub(super) name: String,
    pub(super) threads: usize,
    pub(super) time: Time,
    pub(super) work: Work,
}

/// Seconds a call: the median, and the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) median: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Time {
    pub(super) fn json(self) -> Value {
        json!({ "value": self.median * 1e6, "lower": self.lower * 1e6, "upper": self.upper * 1e6, "unit": "µs" })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Work {
    Operations(f64),
    Bytes(f64),
}

impl Measurement {
    pub(super) fn suite(&self) -> &str {
        self.name.split_once('/').map_or("", |(suite, _)| suite)
    }

    /// The name without its suite.
    pub(super) fn label(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, label)| label)
    }

    /// Work a second.
    pub(super) fn rate(&self) -> f64 {
        match self.work {
            Work::Operations(work) | Work::Bytes(work) => work / self.time.median,
        }
    }

    pub(super) fn unit(&self) -> &'static str {
        match self.work {
            Work::Operations(_) => "GFLOP/s",
            Work::Bytes(_) => "GB/s",
        }
    }

    /// Examples a second, where the examples of a batch are what is worked through.
    pub(super) fn samples(&self) -> Option<f64> {
        let counted = ["step", "inference", "model"].contains(&self.suite());
        let examples = if counted { batch(&self.name)? } else { return None };
        Some(examples as f64 / self.time.median)
    }

    pub(super) fn json(&self, ceilings: &Ceilings) -> Value {
        let mut line = json!({
            "name": self.name,
            "threads": self.threads,
            "time": self.time.json(),
            "rate": { "value": self.rate() / 1e9, "unit": self.unit() },
            "share": { "value": ceilings.share(self), "unit": "of the ceiling" },
        });
        if let Some(samples) = self.samples() {
            line["samples"] = json!({ "value": samples, "unit": "1/s" });
        }
        line
    }

    /// Reads what [`json`](Self::json) has written.
    pub(super) fn from_json(line: &Value) -> Option<Self> {
        let time = |key| Some(line["time"][key].as_f64()? * 1e-6);
        let time = Time { median: time("value")?, lower: time("lower")?, upper: time("upper")? };
        let work = line["rate"]["value"].as_f64()? * 1e9 * time.median;
        Some(Self {
            name: line["name"].as_str()?.to_owned(),
            threads: usize::try_from(line["threads"].as_u64()?).ok()?,
            time,
            work: match line["rate"]["unit"].as_str()? {
                "GB/s" => Work::Bytes(work),
                _ => Work::Operations(work),
            },
        })
    }
}

/// The size of the batch that a name ends in, or has before another comma.
fn batch(name: &str) -> Option<usize> {
    name.split(", ").find_map(|part| part.strip_prefix("batch ")?.parse().ok())
}

/// Reads what criterion has written below `folder` since `start`.
pub(super) fn read(folder: &Path, start: SystemTime) -> Result<Vec<Measurement>> {
    let mut measured = Vec::new();
    for path in files(folder, "json")? {
        let fresh = fs::metadata(&path)?.modified()? >= start;
        if !fresh || !path.ends_with("new/benchmark.json") {
            continue;
        }
        let about: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let estimates: Value = serde_json::from_str(&fs::read_to_string(path.with_file_name("estimates.json"))?)?;
        measured.push(of_criterion(&about, &estimates).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    sort(&mut measured);
    Ok(measured)
}

/// One benchmark as criterion describes it, with what it has estimated.
fn of_criterion(about: &Value, estimates: &Value) -> std::result::Result<Measurement, String> {
    let text = about["full_id"].as_str().ok_or("it has no name")?;
    let (name, threads) = text.rsplit_once('/').ok_or_else(|| format!("`{text}` names no number of threads"))?;
    let threads = threads.split(' ').next().and_then(|count| count.parse().ok());
    let median = &estimates["median"];
    let nanoseconds = |value: &Value| value.as_f64().ok_or_else(|| format!("`{text}` has no median with its interval"));
    let interval = &median["confidence_interval"];
    let work = &about["throughput"];
    Ok(Measurement {
        name: name.to_owned(),
        threads: threads.ok_or_else(|| format!("`{text}` names no number of threads"))?,
        time: Time {
            median: nanoseconds(&median["point_estimate"])? * 1e-9,
            lower: nanoseconds(&interval["lower_bound"])? * 1e-9,
            upper: nanoseconds(&interval["upper_bound"])? * 1e-9,
        },
        work: match (work["Elements"].as_f64(), work["Bytes"].as_f64()) {
            (Some(operations), _) => Work::Operations(operations),
            (None, Some(bytes)) => Work::Bytes(bytes),
            (None, None) => return Err(format!("`{text}` does not say how much work it is")),
        },
    })
}

/// In the order of the suites, each by its names with numbers in numbers' order.
fn sort(measured: &mut [Measurement]) {
    let place = |measurement: &Measurement| SUITES.iter().position(|(suite, _)| *suite == measurement.suite());
    measured.sort_by(|a, b| {
        let key = |m: &Measurement| (place(m), without_batch(&m.name), batch(&m.name), m.threads);
        key(a).cmp(&key(b))
    });
}

/// The name with its batch cut out: sizes of one workload stand together.
fn without_batch(name: &str) -> String {
    name.split(", ").filter(|part| !part.starts_with("batch ")).collect::<Vec<_>>().join(", ")
}

/// Several rounds as one: of each line the median of the medians, and an interval that holds all intervals.
///
/// What another program did to the machine in one round is then seen as what it is: uncertainty.
pub(super) fn merge(rounds: Vec<Vec<Measurement>>) -> Vec<Measurement> {
    let mut merged: Vec<Measurement> = Vec::new();
    for measurement in rounds.first().into_iter().flatten() {
        let same = |other: &&Measurement| (&other.name, other.threads) == (&measurement.name, measurement.threads);
        let times: Vec<Time> = rounds.iter().flatten().filter(same).map(|other| other.time).collect();
        merged.push(Measurement {
            time: Time {
                median: median(times.iter().map(|time| time.median)),
                lower: times.iter().map(|time| time.lower).fold(f64::INFINITY, f64::min),
                upper: times.iter().map(|time| time.upper).fold(0.0, f64::max),
            },
            ..measurement.clone()
        });
    }
    merged
}

/// The middle number, or the mean of the two in the middle; of none, not a number.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match (numbers.get(half), numbers.len() % 2) {
        (None, _) => f64::NAN,
        (Some(middle), 1) => *middle,
        (Some(middle), _) => (numbers[half - 1] + middle) / 2.0,
    }
}

/// The best that this machine did in the same run.
#[derive(Clone, Debug)]
pub(super) struct Ceilings(Vec<Measurement>);

impl Ceilings {
    pub(super) fn of(measured: &[Measurement]) -> Result<Self> {
        let ceilings: Vec<_> = measured.iter().filter(|m| m.suite() == "ceiling").cloned().collect();
        if ceilings.is_empty() {
            return Err("the machine's ceilings were not measured".into());
        }
        Ok(Self(ceilings))
    }

    /// The ceiling of the same kind of work, in the same precision, on as many threads.
    fn above(&self, measurement: &Measurement) -> Option<&Measurement> {
        let double = |name: &str| name.contains("f64");
        self.0.iter().find(|ceiling| {
            let kind = match (ceiling.work, measurement.work) {
                (Work::Operations(_), Work::Operations(_)) => double(&ceiling.name) == double(&measurement.name),
                (Work::Bytes(_), Work::Bytes(_)) => true,
                _ => false,
            };
            kind && ceiling.threads == measurement.threads
        })
    }

    /// The rate as a part of what the machine can do.
    pub(super) fn share(&self, measurement: &Measurement) -> f64 {
        self.above(measurement).map_or(f64::NAN, |ceiling| measurement.rate() / ceiling.rate())
    }

    /// The factor by which the machine itself has moved from another run to this, as a factor of at least 1.
    pub(super) fn drift(&self, before: &Self, measurement: &Measurement) -> f64 {
        match (self.above(measurement), before.above(measurement)) {
            (Some(now), Some(then)) => (now.rate() / then.rate()).max(then.rate() / now.rate()),
            _ => 1.0,
        }
    }
}

/// A table for each suite, and in it a line for each workload and number of threads.
pub(super) fn tables(measured: &[Measurement], ceilings: &Ceilings) -> Vec<Table> {
    let row = |line: &Measurement| {
        let share = ceilings.share(line);
        let at = |seconds: f64| share * line.time.median / seconds;
        let class = if line.threads == 1 { "one" } else { "all" };
        Row {
            cells: vec![
                line.label().to_owned(),
                line.threads.to_string(),
                time(line.time.median),
                line.samples().map_or_else(String::new, |samples| format!("{}/s", count(samples))),
                format!("{} {}", significant(line.rate() / 1e9), line.unit()),
                format!("{:.0} %", 100.0 * share),
            ],
            bar: Some(Bar { from: 0.0, to: share, whisker: Some([at(line.time.upper), at(line.time.lower)]), class }),
        }
    };
    let table = |(suite, title): (&str, &str)| Table {
        title: title.into(),
        head: &["threads", "time", "samples", "rate", "share of the ceiling"],
        rows: measured.iter().filter(|line| line.suite() == suite).map(row).collect(),
        ..Table::default()
    };
    SUITES.into_iter().map(table).filter(|table| !table.rows.is_empty()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn measurement(name: &str, threads: usize, [lower, median, upper]: [f64; 3]) -> Measurement {
        Measurement { name: name.to_owned(), threads, time: Time { median, lower, upper }, work: Work::Operations(6e6) }
    }

    fn criterion(id: &str, throughput: Value) -> std::result::Result<Measurement, String> {
        let median = json!({
            "point_estimate": 2e3, "standard_error": 5.0,
            "confidence_interval": { "confidence_level": 0.95, "lower_bound": 1.9e3, "upper_bound": 2.2e3 },
        });
        of_criterion(&json!({ "full_id": id, "throughput": throughput }), &json!({ "median": median }))
    }

    #[test]
    fn criterions_files_are_read() {
        let line = criterion("step/2-16-16-1, descent, batch 16/2 threads", json!({ "Elements": 4000 })).unwrap();
        assert_eq!((line.suite(), line.label(), line.threads), ("step", "2-16-16-1, descent, batch 16", 2));
        assert_eq!(line.work, Work::Operations(4000.0));
        assert!((line.rate() - 2e9).abs() < 1.0 && (line.samples().unwrap() - 8e6).abs() < 1.0, "{line:?}");
        assert!((line.time.lower - 1.9e-6).abs() < 1e-15 && (line.time.upper - 2.2e-6).abs() < 1e-15, "{line:?}");
        let line = criterion("optimizer/Adam, 10M parameters/1 thread", json!({ "Bytes": 28 })).unwrap();
        assert_eq!((line.work, line.samples()), (Work::Bytes(28.0), None));
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        let without = criterion("step/tiny", json!({ "Elements": 1 })).unwrap_err();
        assert_eq!(without, "`step/tiny` names no number of threads");
        let without = criterion("step/tiny/1 thread", Value::Null).unwrap_err();
        assert_eq!(without, "`step/tiny/1 thread` does not say how much work it is");
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let line = measurement("step/tiny, batch 16", 1, [1.5e-6, 2e-6, 2.5e-6]);
        let ceilings = Ceilings::of(&[measurement("ceiling/multiply-add f32", 1, [1e-6; 3])]).unwrap();
        let json = line.json(&ceilings);
        assert_eq!(json["share"]["value"], 0.5);
        let read = Measurement::from_json(&json).unwrap();
        assert_eq!((&read.name, read.threads), (&line.name, line.threads));
        assert!((read.time.median / line.time.median - 1.0).abs() < 1e-12);
        assert!((read.rate() / line.rate() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn rounds_are_merged_with_all_their_uncertainty() {
        let round = |times| vec![measurement("step/a", 1, times)];
        let merged = merge(vec![round([1.0, 2.0, 3.0]), round([4.0, 5.0, 6.0]), round([2.0, 2.5, 3.5])]);
        assert_eq!(merged, round([1.0, 2.5, 6.0]));
    }

    #[test]
    fn a_line_is_compared_with_the_ceiling_of_its_precision_and_threads() {
        let ceilings = Ceilings::of(&[
            measurement("ceiling/multiply-add f32", 1, [1.0; 3]),
            measurement("ceiling/multiply-add f32", 2, [0.5; 3]),
            measurement("ceiling/multiply-add f64", 1, [2.0; 3]),
        ]);
        let ceilings = ceilings.unwrap();
        let share = |name, threads| ceilings.share(&measurement(name, threads, [4.0; 3]));
        assert_eq!([share("step/a", 1), share("step/a", 2), share("step/a, f64", 1)], [0.25, 0.125, 0.5]);
        assert!(share("step/a, f64", 2).is_nan());
    }

    #[test]
    fn sizes_stand_in_the_order_of_numbers() {
        let mut lines =
            ["inference/b", "step/a, batch 32", "step/a, batch 1024", "step/a, batch 1", "product/y, batch 2, 3 to 4"]
                .map(|name| measurement(name, 1, [1.0; 3]));
        sort(&mut lines);
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        let steps = ["step/a, batch 1", "step/a, batch 32", "step/a, batch 1024"];
        assert_eq!(names, ["product/y, batch 2, 3 to 4", steps[0], steps[1], steps[2], "inference/b"]);
    }

    #[test]
    fn one_and_all_threads_stand_next_to_each_other() {
        let lines = [
            measurement("ceiling/multiply-add f32", 1, [1e-3; 3]),
            measurement("ceiling/multiply-add f32", 2, [5e-4; 3]),
            measurement("step/a, batch 16", 1, [2e-3; 3]),
            measurement("step/a, batch 16", 2, [1e-3; 3]),
        ];
        let tables = tables(&lines, &Ceilings::of(&lines).unwrap());
        let [_, steps] = tables.as_slice() else { panic!("{tables:?}") };
        assert_eq!(steps.rows[0].cells, ["a, batch 16", "1", "2.00 ms", "8.00 k/s", "3.00 GFLOP/s", "50 %"]);
        assert_eq!(steps.rows[1].cells[..4], ["a, batch 16", "2", "1.00 ms", "16.0 k/s"]);
    }
}
