//! `cargo xtask bench`: runs the criterion suites, and sets what they measured beside what the machine can do.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::workspace::{Workspace, files};
use crate::{Result, command};

/// Measures products, layers, training steps and optimizers, and compares them with the machine's own ceilings.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measures in under a minute, less exactly.
    #[arg(long)]
    quick: bool,
    /// Writes the table as JSON too: a name, values and units for each line.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    /// Only benchmarks whose name matches this regular expression.
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
}

/// The suites, in the order in which they run; the ceilings are the first.
const SUITES: [&str; 5] = ["ceilings", "products", "layers", "steps", "optimizers"];

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let start = SystemTime::now();
    for suite in SUITES {
        let mut bench = command::cargo();
        bench.args(["bench", "--quiet", "-p", "downhill-benches", "--bench", suite, "--"]).current_dir(&workspace.root);
        if arguments.quick {
            bench.env("DOWNHILL_BENCH_QUICK", "1");
        }
        if let (Some(filter), true) = (&arguments.filter, suite != "ceilings") {
            bench.arg(filter);
        }
        // Criterion's own report goes to the error stream's side: the table below is what the task shows.
        command::run(bench.arg("--noplot").stdout(std::process::Stdio::null()))?;
    }
    let measured = read(&workspace.target.join("criterion"), start)?;
    let ceilings = Ceilings::of(&measured)?;
    print(&measured, &ceilings);
    let memory = if arguments.filter.is_some() { Vec::new() } else { memory(&workspace)? };
    if let Some(path) = &arguments.json {
        let times = measured.iter().map(|measurement| measurement.json(&ceilings));
        let lines: Vec<Value> = times.chain(memory).collect();
        fs::write(path, serde_json::to_string_pretty(&lines)? + "\n")?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}

/// What the suite `memory` prints: how much is asked for at once, beside the most that may be.
fn memory(workspace: &Workspace) -> Result<Vec<Value>> {
    let mut bench = command::cargo();
    bench.args(["bench", "--quiet", "-p", "downhill-benches", "--bench", "memory"]).current_dir(&workspace.root);
    let printed = command::output(&mut bench, "")?;
    let lines = printed.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Value>, _>>()?;
    println!();
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        println!("memory: {} asks for {} of at most {} {}", text("name"), line["asked"], line["limit"], text("unit"));
        if line["asked"].as_f64() > line["limit"].as_f64() {
            return Err(format!("{} asks for more memory than it may", line["name"]).into());
        }
    }
    Ok(lines)
}

/// One line: what was measured, and how much work it was.
#[derive(Debug)]
struct Measurement {
    name: String,
    threads: usize,
    /// Seconds a call: the median, and how far it may be off.
    seconds: f64,
    deviation: f64,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Operations(f64),
    Bytes(f64),
}

impl Measurement {
    /// Work a second, in its unit.
    fn rate(&self) -> f64 {
        match self.work {
            Work::Operations(work) | Work::Bytes(work) => work / self.seconds,
        }
    }

    fn unit(&self) -> &'static str {
        match self.work {
            Work::Operations(_) => "GFLOP/s",
            Work::Bytes(_) => "GB/s",
        }
    }

    fn json(&self, ceilings: &Ceilings) -> Value {
        json!({
            "name": self.name,
            "threads": self.threads,
            "time": { "value": self.seconds * 1e6, "deviation": self.deviation * 1e6, "unit": "µs" },
            "rate": { "value": self.rate() / 1e9, "unit": self.unit() },
            "share": { "value": self.rate() / ceilings.of_kind(self), "unit": "of the ceiling" },
        })
    }
}

/// What criterion has written since `start`.
fn read(folder: &Path, start: SystemTime) -> Result<Vec<Measurement>> {
    let mut measured = Vec::new();
    for path in files(folder, "json")? {
        let fresh = fs::metadata(&path)?.modified()? >= start;
        if !fresh || !path.ends_with("new/benchmark.json") {
            continue;
        }
        let about: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let estimates: Value = serde_json::from_str(&fs::read_to_string(path.with_file_name("estimates.json"))?)?;
        let number = |value: &Value| value.as_f64().ok_or_else(|| format!("{} holds no number", path.display()));
        let text = about["full_id"].as_str().ok_or_else(|| format!("{} has no name", path.display()))?;
        let (name, threads) = text.rsplit_once('/').ok_or_else(|| format!("`{text}` names no number of threads"))?;
        let work = &about["throughput"];
        measured.push(Measurement {
            name: name.to_owned(),
            threads: threads.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(1),
            seconds: number(&estimates["median"]["point_estimate"])? * 1e-9,
            deviation: number(&estimates["median"]["standard_error"])? * 1e-9,
            work: match work["Elements"].as_f64() {
                Some(operations) => Work::Operations(operations),
                None => Work::Bytes(number(&work["Bytes"])?),
            },
        });
    }
    // In the order of the suites, each as criterion names its parts.
    let place =
        |name: &str| ["ceiling", "product", "layer", "step", "optimizer"].iter().position(|s| name.starts_with(s));
    measured.sort_by(|a, b| (place(&a.name), &a.name, a.threads).cmp(&(place(&b.name), &b.name, b.threads)));
    Ok(measured)
}

/// The best that this machine did in the same run, by number of threads.
#[derive(Debug)]
struct Ceilings {
    operations: Vec<(usize, f64)>,
    bytes: Vec<(usize, f64)>,
}

impl Ceilings {
    fn of(measured: &[Measurement]) -> Result<Self> {
        let rates = |kind: fn(&Work) -> bool| -> Vec<(usize, f64)> {
            let ceilings = measured.iter().filter(|m| m.name.starts_with("ceiling") && kind(&m.work));
            ceilings.map(|m| (m.threads, m.rate())).collect()
        };
        let operations = rates(|work| matches!(work, Work::Operations(_)));
        let bytes = rates(|work| matches!(work, Work::Bytes(_)));
        if operations.is_empty() || bytes.is_empty() {
            return Err("the machine's ceilings were not measured".into());
        }
        Ok(Self { operations, bytes })
    }

    fn of_kind(&self, measurement: &Measurement) -> f64 {
        let rates = match measurement.work {
            Work::Operations(_) => &self.operations,
            Work::Bytes(_) => &self.bytes,
        };
        rates.iter().find(|(threads, _)| *threads == measurement.threads).map_or(f64::NAN, |(_, rate)| *rate)
    }
}

fn print(measured: &[Measurement], ceilings: &Ceilings) {
    println!("{:<55} {:>7} {:>14} {:>16} {:>8}", "name", "threads", "time", "rate", "share");
    for measurement in measured {
        let share = 100.0 * measurement.rate() / ceilings.of_kind(measurement);
        println!(
            "{:<55} {:>7} {:>11.2} µs {:>8.1} {:<7} {:>6.0} %",
            measurement.name,
            measurement.threads,
            measurement.seconds * 1e6,
            measurement.rate() / 1e9,
            measurement.unit(),
            share
        );
    }
    println!("\nThe share is of the machine's own multiply-add rate, or of its memory bandwidth, in the same run.");
}
