//! The same work done by other libraries, in rounds that alternate between them.
//!
//! Each side is a separate process that has set everything up and waits: a round asks one after the other to repeat
//! the work for a while. `benches/peers/common.py` tells the dialogue.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::measurement::{Time, median};
use crate::table::{Bar, Row, Table, significant, threads, time};
use crate::workspace::Workspace;
use crate::{Result, command, peers};

/// The name of our side.
const OURS: &str = "downhill";

/// The time for which a side is left alone before its turn, for the threads of the one before wait busily for a while.
const REST: Duration = Duration::from_millis(100);

/// The relative difference within which the numbers of two libraries agree that do the same work.
fn tolerance(workload: &str) -> f64 {
    if workload.contains("f64") { 1e-9 } else { 1e-4 }
}

/// One workload on a number of threads, by all sides that can do it; the fastest first.
#[derive(Clone, Debug)]
pub(super) struct Contest {
    pub(super) name: String,
    pub(super) threads: usize,
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `PyTorch fused`
    pub(super) peer: String,
    /// `PyTorch 2.15.0`
    pub(super) library: String,
    pub(super) time: Time,
    /// The losses of the first steps, or what else shows that the work is the same.
    pub(super) values: Vec<f64>,
    /// Whether they are those of the first entry.
    pub(super) agrees: bool,
}

impl Entry {
    pub(super) fn is_ours(&self) -> bool {
        self.peer == OURS
    }
}

impl Contest {
    pub(super) fn label(&self) -> String {
        format!("{}, {}", self.name, threads(self.threads))
    }

    /// The fastest of the others that does the same work, and how many times as fast we are.
    pub(super) fn best_peer(&self) -> Option<(&Entry, f64)> {
        let ours = self.entries.iter().find(|entry| entry.is_ours())?;
        let best = self.entries.iter().find(|entry| !entry.is_ours() && entry.agrees)?;
        Some((best, best.time.median / ours.time.median))
    }

    pub(super) fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            json!({
                "peer": entry.peer,
                "library": entry.library,
                "time": entry.time.json(),
                "values": entry.values,
                "agrees": entry.agrees,
            })
        };
        let best = self.best_peer().map(
            |(best, ratio)| json!({ "peer": best.peer, "speed": { "value": ratio, "unit": "times the best peer's" } }),
        );
        json!({
            "name": self.name,
            "threads": self.threads,
            "entries": self.entries.iter().map(entry).collect::<Vec<_>>(),
            "best": best,
        })
    }
}

/// The settings of a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) count: usize,
    pub(super) seconds: f64,
}

impl Rounds {
    /// Few and short ones, or as many as a comparison should have.
    pub(super) fn new(quick: bool) -> Self {
        if quick { Self { count: 5, seconds: 0.05 } } else { Self { count: 9, seconds: 0.25 } }
    }
}

/// Runs every workload that matches `filter`, on one thread and on all, and prints each as it ends.
pub(super) fn run(workspace: &Workspace, filter: Option<&str>, rounds: Rounds) -> Result<Vec<Contest>> {
    let ours = contestant(workspace)?;
    let listed = list(&ours, filter)?;
    let sides = sides(workspace, &ours);
    let folder = workspace.target.join("bench");
    std::fs::create_dir_all(&folder)?;
    let onnx = folder.join("network.onnx");
    let all = std::thread::available_parallelism().map_or(1, Into::into);
    let mut contests = Vec::new();
    for name in listed.lines() {
        if name.starts_with("model/") {
            // One file, which all runtimes read.
            command::run(Command::new(&ours).args(["--onnx", name]).arg(&onnx))?;
        }
        for threads in if all > 1 { vec![1, all] } else { vec![1] } {
            if let Some(contest) = contest(&sides, name, threads, rounds, Some(&onnx))? {
                println!("{}\n", table(&contest));
                contests.push(contest);
            }
        }
    }
    println!("{}", summary(&contests));
    Ok(contests)
}

/// Builds the program that is our side.
pub(super) fn contestant(workspace: &Workspace) -> Result<PathBuf> {
    command::run(
        command::cargo()
            .args(["build", "--quiet", "--profile", "bench", "-p", "downhill-benches", "--bin", "contestant"])
            .current_dir(&workspace.root),
    )?;
    Ok(workspace.target.join("release").join(format!("contestant{}", std::env::consts::EXE_SUFFIX)))
}

/// The names of the workloads that match `filter`, a line for each.
pub(super) fn list(contestant: &Path, filter: Option<&str>) -> Result<String> {
    command::output(Command::new(contestant).arg("--list").args(filter), "")
}

/// A participant: the name of a side, and how it is called.
fn sides(workspace: &Workspace, ours: &Path) -> Vec<(&'static str, Vec<PathBuf>)> {
    let mut sides = vec![(OURS, vec![ours.to_owned()])];
    let scripts = workspace.root.join("benches/peers");
    let python = peers::python(workspace);
    let rust = peers::rust(workspace);
    for (name, script) in peers::SCRIPTS {
        sides.push((name, vec![python.clone(), scripts.join(script)]));
    }
    for name in peers::CRATES {
        sides.push((name, vec![rust.clone(), name.into()]));
    }
    sides.retain(|(name, call)| {
        let there = call[0].exists();
        if !there {
            println!("{name} is missing; `cargo xtask peers` installs it");
        }
        there
    });
    println!();
    sides
}

/// One workload by all sides that can do it; `onnx` is the file of its network, which some of them read.
pub(super) fn contest(
    sides: &[(&str, Vec<PathBuf>)],
    name: &str,
    threads: usize,
    rounds: Rounds,
    onnx: Option<&Path>,
) -> Result<Option<Contest>> {
    let mut started = Vec::new();
    for (side, call) in sides {
        match Side::start(call, name, threads, onnx) {
            Ok(side) => started.push(side),
            Err(error) => println!("{side} can't do {name}: {error}"),
        }
    }
    let mut turns: Vec<(usize, usize)> = Vec::new();
    for (index, side) in started.iter().enumerate() {
        turns.extend((0..side.variants.len()).map(|variant| (index, variant)));
    }
    let mut times = vec![Vec::new(); turns.len()];
    for round in 0..rounds.count {
        // Each round begins with another, so that no side always runs after the same one.
        for turn in (0..turns.len()).map(|turn| (turn + round) % turns.len()) {
            let (side, variant) = turns[turn];
            std::thread::sleep(REST);
            times[turn].push(started[side].repeat(variant, rounds.seconds)?);
        }
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (&(side, variant), times) in turns.iter().zip(&times) {
        let variant = &started[side].variants[variant];
        let text = |key: &str| variant[key].as_str().unwrap_or("?").to_owned();
        let values: Vec<f64> = variant["values"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let agrees = entries.first().is_none_or(|first| agree(&first.values, &values, tolerance(name)));
        entries.push(Entry { peer: text("peer"), library: text("library"), time: interval(times), values, agrees });
    }
    entries.sort_by(|a, b| a.time.median.total_cmp(&b.time.median));
    Ok((!entries.is_empty()).then(|| Contest { name: name.to_owned(), threads, entries }))
}

/// Whether both did the same work.
fn agree(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * a.abs().max(b.abs());
    !a.is_empty() && a.len() == b.len() && a.iter().zip(b).all(near)
}

/// The median of the rounds, and the interval between two of their ordered times that holds it with at least 93 %:
/// for five to eight rounds the whole range, from nine on (96 %) without the extremes.
fn interval(times: &[f64]) -> Time {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let left_out = usize::from(sorted.len() >= 9);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    Time {
        median: median(sorted.iter().copied()),
        lower: at(left_out),
        upper: at((sorted.len() - 1).saturating_sub(left_out)),
    }
}

/// A process that waits to be asked.
struct Side {
    process: Child,
    /// Closed when there are no more.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    variants: Vec<Value>,
}

impl Side {
    fn start(call: &[PathBuf], name: &str, threads: usize, onnx: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(&call[0]);
        command.args(&call[1..]).args([name, &threads.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        command.envs(onnx.map(|file| ("DOWNHILL_ONNX", file)));
        let mut process = command.spawn()?;
        let (requests, answers) = process.stdin.take().zip(process.stdout.take()).ok_or("it has no pipes")?;
        let mut side =
            Self { process, requests: Some(requests), answers: BufReader::new(answers), variants: Vec::new() };
        let told: Value = serde_json::from_str(&side.answer()?)?;
        side.variants = told["variants"].as_array().cloned().ok_or("it does not say what it can do")?;
        Ok(side)
    }

    /// The seconds of one call.
    fn repeat(&mut self, variant: usize, seconds: f64) -> Result<f64> {
        let mut requests = self.requests.as_ref().ok_or("it is asked no more")?;
        writeln!(requests, "{variant} {seconds}")?;
        requests.flush()?;
        let answer = self.answer()?;
        answer.trim().parse().map_err(|_| format!("`{}` is no time", answer.trim()).into())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("it ended early; what it wrote above says why".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Whoever waits for a request ends when there can be none, and ends what it has started, such as a browser.
        self.requests = None;
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line for each side of a contest.
pub(super) fn table(contest: &Contest) -> Table {
    let ours = contest.entries.iter().find(|entry| entry.is_ours());
    let slowest = contest.entries.iter().map(|entry| entry.time.median).fold(0.0, f64::max);
    let row = |entry: &Entry| {
        let ratio = ours.map_or_else(String::new, |ours| significant(entry.time.median / ours.time.median));
        let values: Vec<String> = entry.values.iter().map(|value| format!("{value:.6}")).collect();
        let (work, class) = match (entry.agrees, entry.is_ours()) {
            (false, _) => ("OTHER", "bad"),
            (true, true) => ("same", "one"),
            (true, false) => ("same", "other"),
        };
        let (peer, library, time) = (entry.peer.clone(), entry.library.clone(), time(entry.time.median));
        let cells = vec![peer, time, ratio, library, work.into(), values.join(" ")];
        Row { cells, bar: Some(Bar { from: 0.0, to: entry.time.median / slowest, whisker: None, class }) }
    };
    Table {
        title: contest.label(),
        head: &["time", "times ours", "library", "work", "values"],
        rows: contest.entries.iter().map(row).collect(),
        ..Table::default()
    }
}

/// Ours next to the best of the others, a line for each workload.
pub(super) fn summary(contests: &[Contest]) -> Table {
    let row = |contest: &Contest| {
        let cells = match contest.best_peer() {
            Some((best, ratio)) => {
                let (ours, theirs) = (time(best.time.median / ratio), time(best.time.median));
                vec![contest.label(), ours, theirs, format!("{ratio:.2}"), best.peer.clone()]
            }
            None => vec![contest.label(), "nothing to compare".into()],
        };
        Row { cells, bar: None }
    };
    Table {
        title: "Next to other libraries".into(),
        head: &["downhill", "best peer", "times as fast", "best peer is"],
        rows: contests.iter().map(row).collect(),
        note: "The same shapes, start and data on every side; rounds in turn, and their medians.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(peer: &str, seconds: f64, agrees: bool) -> Entry {
        let time = Time { median: seconds, lower: seconds, upper: seconds };
        Entry { peer: peer.into(), library: "x".into(), time, values: vec![1.0], agrees }
    }

    #[test]
    fn the_best_peer_does_the_same_work() {
        let entries = vec![entry("cheat", 1.0, false), entry(OURS, 2.0, true), entry("fair", 3.0, true)];
        let contest = Contest { name: "step/a".into(), threads: 1, entries };
        let (best, ratio) = contest.best_peer().unwrap();
        assert_eq!((best.peer.as_str(), ratio), ("fair", 1.5));
        assert_eq!(contest.json()["best"]["speed"]["value"], 1.5);
        assert_eq!(table(&contest).rows[0].cells, ["cheat", "1.00 s", "0.50", "x", "OTHER", "1.000000"]);
        assert_eq!(summary(&[contest]).rows[0].cells, ["step/a, 1 thread", "2.00 s", "3.00 s", "1.50", "fair"]);
    }

    #[test]
    fn without_us_there_is_no_ratio() {
        let contest = Contest { name: "step/a".into(), threads: 2, entries: vec![entry("fair", 3.0, true)] };
        assert!(contest.best_peer().is_none());
        assert_eq!(contest.json()["best"], Value::Null);
        assert_eq!(summary(&[contest]).rows[0].cells[1], "nothing to compare");
    }

    #[test]
    fn values_agree_relatively_and_all_of_them() {
        assert!(agree(&[1000.0, 1.0], &[1000.05, 1.0], 1e-4));
        assert!(!agree(&[1000.0, 1.0], &[1000.0, 1.001], 1e-4));
        assert!(!agree(&[1.0], &[1.0, 2.0], 1e-4));
        assert!(!agree(&[], &[], 1e-4));
        assert!(!agree(&[f64::NAN], &[f64::NAN], 1e-4));
    }

    #[test]
    fn an_interval_leaves_the_extremes_out_where_enough_remains() {
        let nine: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(interval(&nine), Time { median: 5.0, lower: 2.0, upper: 8.0 });
        assert_eq!(interval(&nine[..5]), Time { median: 3.0, lower: 1.0, upper: 5.0 });
    }
}
