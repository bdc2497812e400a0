//! Whole runs: how long the trainer takes, with what may look on, next to a hand-written loop over the same batches.

use std::process::Stdio;

use serde_json::{Value, json};

use super::measurement::median;
use crate::table::{Bar, Row, Table, threads, time};
use crate::workspace::Workspace;
use crate::{Result, command};

/// What the suite `runs` has printed.
#[derive(Debug, Default)]
pub(super) struct WholeRuns {
    /// The seconds in which a number goes from one core to another and back.
    round_trip: Option<f64>,
    ways: Vec<Way>,
}

/// One way of doing a run.
#[derive(Clone, Debug, PartialEq)]
struct Way {
    run: String,
    threads: usize,
    name: String,
    steps: f64,
    /// The median of the rounds.
    seconds: f64,
    /// How many times as long as the first way it took: the median, the smallest and the largest of the rounds.
    ratio: [f64; 3],
}

/// Runs the suite, whose rounds alternate between the ways.
pub(super) fn measure(workspace: &Workspace, filter: Option<&str>, quick: bool) -> Result<WholeRuns> {
    let mut bench = command::cargo();
    bench.args(["bench", "--quiet", "-p", "downhill-benches", "--bench", "runs", "--"]).args(filter);
    bench.current_dir(&workspace.root).stderr(Stdio::inherit());
    if quick {
        bench.env("DOWNHILL_BENCH_QUICK", "1");
    }
    WholeRuns::parse(&command::output(&mut bench, "")?)
}

impl WholeRuns {
    fn parse(printed: &str) -> Result<Self> {
        let mut runs = Self::default();
        for line in printed.lines() {
            let line: Value = serde_json::from_str(line)?;
            match line.get("round_trip") {
                Some(seconds) => runs.round_trip = seconds.as_f64(),
                None => runs.ways.push(Way::parse(&line).ok_or_else(|| format!("this is no run: {line}"))?),
            }
        }
        Ok(runs)
    }

    /// The round trip, and a table for each run on each number of threads.
    pub(super) fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        if let Some(seconds) = self.round_trip {
            tables.push(Table {
                title: "From one core to another and back".into(),
                head: &["time"],
                rows: vec![Row { cells: vec!["a number".into(), time(seconds)], bar: None }],
                note: "Two threads gain little by a small step if this is not far below the step's time: cores that \
                       share a cache take 50 to 150 ns, others several times that."
                    .into(),
            });
        }
        let same = |a: &Way, b: &Way| a.run == b.run && a.threads == b.threads;
        for ways in self.ways.chunk_by(same) {
            let longest = ways.iter().map(|way| way.seconds).fold(0.0, f64::max);
            let row = |way: &Way| {
                let [middle, least, most] = way.ratio;
                let ratio = format!("{middle:.3}");
                let cells = vec![
                    way.name.clone(),
                    time(way.seconds),
                    time(way.seconds / way.steps),
                    ratio,
                    format!("{least:.3} to {most:.3}"),
                ];
                Row { cells, bar: Some(Bar { from: 0.0, to: way.seconds / longest, whisker: None, class: "one" }) }
            };
            tables.push(Table {
                title: format!("{}, {}", ways[0].run, threads(ways[0].threads)),
                head: &["time", "for each step", "times the first", "in all rounds"],
                rows: ways.iter().map(row).collect(),
                ..Table::default()
            });
        }
        tables
    }

    pub(super) fn json(&self) -> Value {
        let way = |way: &Way| {
            let [middle, least, most] = way.ratio;
            json!({
                "name": way.run, "threads": way.threads, "way": way.name,
                "time": { "value": way.seconds, "unit": "s" },
                "ratio": { "value": middle, "lower": least, "upper": most, "unit": "times the first way's" },
            })
        };
        let round_trip = self.round_trip.map(|seconds| json!({ "value": seconds, "unit": "s" }));
        json!({ "round_trip": round_trip, "ways": self.ways.iter().map(way).collect::<Vec<_>>() })
    }
}

impl Way {
    fn parse(line: &Value) -> Option<Self> {
        let numbers = |key: &str| -> Option<Vec<f64>> { line[key].as_array()?.iter().map(Value::as_f64).collect() };
        let (seconds, first) = (numbers("seconds")?, numbers("first")?);
        let mut ratios: Vec<f64> = seconds.iter().zip(&first).map(|(seconds, first)| seconds / first).collect();
        ratios.sort_by(f64::total_cmp);
        Some(Self {
            run: line["name"].as_str()?.to_owned(),
            threads: line["threads"].as_u64()? as usize,
            name: line["way"].as_str()?.to_owned(),
            steps: line["steps"].as_f64()?,
            seconds: median(seconds),
            ratio: [median(ratios.iter().copied()), *ratios.first()?, *ratios.last()?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let printed = r#"{"round_trip":7.2e-8}
{"name":"run/a","steps":10,"threads":1,"way":"steps","seconds":[1.0,2.0,4.0],"first":[1.0,2.0,4.0]}
{"name":"run/a","steps":10,"threads":1,"way":"fit","seconds":[1.1,2.0,4.8],"first":[1.0,2.0,4.0]}"#;
        let runs = WholeRuns::parse(printed).unwrap();
        let [trip, run] = &runs.tables()[..] else { panic!("{runs:?}") };
        assert_eq!(trip.rows[0].cells, ["a number", "72.0 ns"]);
        assert_eq!(run.title, "run/a, 1 thread");
        assert_eq!(run.rows[1].cells, ["fit", "2.00 s", "200 ms", "1.100", "1.000 to 1.200"]);
        assert_eq!(runs.json()["ways"][0]["ratio"]["value"], 1.0);
        assert!(WholeRuns::parse(r#"{"name":"run/a"}"#).is_err());
    }
}
