//! `cargo xtask bench`: runs the criterion suites, compares the measurements with what the machine can do, with an
//! earlier run, and with other libraries.

mod building;
mod contest;
mod measurement;
mod report;
mod runs;
mod verdict;
mod wasm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

use self::building::Cost;
use self::contest::{Contest, Rounds};
use self::measurement::{Ceilings, Measurement, PROGRAMS};
use self::runs::WholeRuns;
use self::verdict::Change;
use crate::table::{Table, threads};
use crate::workspace::Workspace;
use crate::{Result, command};

/// Measures products, layers, training steps, predictions and optimizers, and says how near they come to what the
/// machine can do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measures in under a minute, less exactly.
    #[arg(long)]
    quick: bool,
    /// Only benchmarks whose name (such as `step/784-256-128-10, Adam, batch 32`) matches this regular expression.
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
    /// Measures everything this many times, and counts what differs between them as uncertainty.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Keeps the run under this name, to compare later ones with it.
    #[arg(long, value_name = "NAME")]
    save: Option<String>,
    /// Says of each line whether it is faster or slower than in the run of this name, or within noise.
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// Has the same work done by other libraries too, in turn; `cargo xtask peers` installs them.
    #[arg(long)]
    peers: bool,
    /// Measures training in headless Chromium and nothing else: the playground's module, next to the native build and to
    /// TensorFlow.js in the same browser.
    #[arg(long, conflicts_with_all = ["rounds", "save", "against", "peers", "build"])]
    wasm: bool,
    /// Builds a program that trains a small network too, from nothing and in development; with `--peers` those of other
    /// Rust libraries as well, which takes minutes.
    #[arg(long)]
    build: bool,
    /// Writes the run as JSON too: a name, values and units for each line.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that is known after a run.
#[derive(Debug)]
struct Run {
    machine: Machine,
    ceilings: Ceilings,
    measured: Vec<Measurement>,
    /// The memory that is asked for, as the suite `memory` reports it.
    memory: Vec<Value>,
    runs: WholeRuns,
    comparison: Option<Comparison>,
    contests: Vec<Contest>,
    builds: Vec<Cost>,
}

/// What has changed since the run of this name.
#[derive(Debug)]
struct Comparison {
    name: String,
    changes: Vec<Change>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let machine = Machine::here(&workspace.root);
    let folder = workspace.target.join("bench");
    if arguments.wasm {
        return in_browser(arguments, &workspace, &machine, &folder);
    }
    // A run that can't be compared with is an error before anything is measured.
    let before = match &arguments.against {
        Some(name) => {
            let measured = read_saved(&saved(&folder, name)?, &machine)?;
            Some((name, Ceilings::of(&measured)?, measured))
        }
        None => None,
    };
    let keep = arguments.save.as_ref().map(|name| saved(&folder, name)).transpose()?;

    let rounds = (0..arguments.rounds).map(|_| measure(arguments, &workspace)).collect::<Result<_>>()?;
    let measured = measurement::merge(rounds);
    let ceilings = Ceilings::of(&measured)?;
    println!("{}", machine.description);
    for table in measurement::tables(&measured, &ceilings) {
        println!("\n{table}");
    }
    println!("\nThe share is of the machine's own multiply-add rate, or of its memory bandwidth, in the same run.");
    let comparison = before.map(|(name, then, before)| Comparison {
        name: name.clone(),
        changes: verdict::compare(&before, &measured, [&then, &ceilings]),
    });
    if let Some(comparison) = &comparison {
        println!("\n{}", verdict::table(&comparison.name, &comparison.changes));
    }
    let memory = if arguments.filter.is_some() { Vec::new() } else { memory(&workspace)? };
    let runs = runs::measure(&workspace, arguments.filter.as_deref(), arguments.quick)?;
    for table in runs.tables() {
        println!("\n{table}");
    }
    let contests = if arguments.peers {
        println!();
        contest::run(&workspace, arguments.filter.as_deref(), Rounds::new(arguments.quick))?
    } else {
        Vec::new()
    };
    let mut builds = Vec::new();
    if arguments.build {
        builds.extend(building::run(&workspace, arguments.peers)?);
        builds.extend(building::develop(&workspace)?);
        println!("\n{}", building::table(&builds));
    }
    let run = Run { machine, ceilings, measured, memory, runs, comparison, contests, builds };

    println!();
    for path in [keep, arguments.json.clone()].into_iter().flatten() {
        write(&path, &(serde_json::to_string_pretty(&run.json())? + "\n"))?;
    }
    write(&folder.join("report.html"), &report::html(&run.machine, &run.tables()))
}

/// What `--wasm` measures.
fn in_browser(arguments: &Arguments, workspace: &Workspace, machine: &Machine, folder: &Path) -> Result {
    println!("{}\n", machine.description);
    let contests = wasm::run(workspace, arguments.filter.as_deref(), Rounds::new(arguments.quick))?;
    println!();
    if let Some(path) = &arguments.json {
        let contests: Vec<Value> = contests.iter().map(Contest::json).collect();
        let run = json!({ "machine": machine.description, "commit": machine.commit, "browser": contests });
        write(path, &(serde_json::to_string_pretty(&run)? + "\n"))?;
    }
    let tables: Vec<Table> =
        std::iter::once(wasm::summary(&contests)).chain(contests.iter().map(contest::table)).collect();
    write(&folder.join("report.html"), &report::html(machine, &tables))
}

/// All suites once.
fn measure(arguments: &Arguments, workspace: &Workspace) -> Result<Vec<Measurement>> {
    let start = SystemTime::now();
    let mut bench = command::cargo();
    // Not quiet: the first run compiles for minutes, and should be seen to do so.
    bench.args(["bench", "-p", "downhill-benches"]).current_dir(&workspace.root);
    bench.args(PROGRAMS.iter().flat_map(|program| ["--bench", program]));
    if arguments.quick {
        bench.env("DOWNHILL_BENCH_QUICK", "1");
    }
    bench.arg("--");
    if let Some(filter) = &arguments.filter {
        // Without the ceilings there would be nothing to compare with.
        bench.arg(format!("^ceiling/|{filter}"));
    }
    // Criterion's own report is left out: the table below is what the task shows.
    command::run(bench.arg("--noplot").stdout(Stdio::null()))?;
    measurement::read(&workspace.target.join("criterion"), start)
}

/// The output of the suite `memory`: the most that is asked for at once, next to the most that may be.
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

fn write(path: &Path, text: &str) -> Result {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

impl Run {
    /// All tables, those that say what has changed first.
    fn tables(&self) -> Vec<Table> {
        let changes = self.comparison.iter().map(|comparison| verdict::table(&comparison.name, &comparison.changes));
        let mut tables: Vec<Table> = changes.collect();
        if !self.contests.is_empty() {
            tables.push(contest::summary(&self.contests));
            tables.extend(self.contests.iter().map(contest::table));
        }
        if !self.builds.is_empty() {
            tables.push(building::table(&self.builds));
        }
        tables.extend(measurement::tables(&self.measured, &self.ceilings));
        tables.extend(self.runs.tables());
        tables
    }

    fn json(&self) -> Value {
        let mut lines: Vec<Value> = self.measured.iter().map(|line| line.json(&self.ceilings)).collect();
        for change in self.comparison.iter().flat_map(|comparison| &comparison.changes) {
            let same = |line: &&mut Value| {
                line["name"] == json!(change.after.name) && line["threads"] == json!(change.after.threads)
            };
            if let Some(line) = lines.iter_mut().find(same) {
                line["speed"] = json!({ "value": change.ratio, "unit": "times the earlier run's" });
                line["verdict"] = json!(change.verdict.to_string());
            }
        }
        json!({
            "machine": self.machine.description,
            "commit": self.machine.commit,
            "compiler": self.machine.compiler,
            "against": self.comparison.as_ref().map(|comparison| &comparison.name),
            "measured": lines,
            "memory": self.memory,
            "runs": self.runs.json(),
            "peers": self.contests.iter().map(Contest::json).collect::<Vec<_>>(),
            "builds": self.builds.iter().map(Cost::json).collect::<Vec<_>>(),
        })
    }
}

/// The path of the run of this name.
fn saved(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(format!("`{name}` can't name a run; use letters, digits, `-`, `_` and `.`").into());
    }
    Ok(folder.join("saved").join(format!("{name}.json")))
}

/// What an earlier run has measured, on this machine.
fn read_saved(path: &Path, machine: &Machine) -> Result<Vec<Measurement>> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} can't be read ({error}); `--save` writes such a run", path.display()))?;
    parse_saved(&text, machine).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn parse_saved(text: &str, machine: &Machine) -> Result<Vec<Measurement>> {
    let run: Value = serde_json::from_str(text)?;
    if run["machine"].as_str() != Some(&machine.description) {
        return Err(format!(
            "that run was made on {}, and this is {}: the verdict would be on the machines",
            run["machine"], machine.description
        )
        .into());
    }
    let lines = run["measured"].as_array().ok_or("it holds no measurements")?;
    let read = |line| Measurement::from_json(line).ok_or_else(|| format!("this is no measurement: {line}").into());
    lines.iter().map(read).collect()
}

/// The machine and the versions that a run was made with.
#[derive(Debug)]
struct Machine {
    description: String,
    commit: String,
    compiler: String,
}

impl Machine {
    fn here(root: &Path) -> Self {
        let first_line = |command: &mut Command| {
            let output = command.current_dir(root).stderr(Stdio::null()).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let commit = first_line(Command::new("git").args(["describe", "--always", "--dirty", "--exclude", "*"]));
        Self {
            description: description(),
            commit: commit.unwrap_or_else(unknown),
            compiler: first_line(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
        }
    }
}

/// The processor, what of it is used, and how many threads there are.
fn description() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let count = std::thread::available_parallelism().map_or(1, Into::into);
    format!("{model}, {}, {}", instruction_set(), threads(count))
}

/// The widest instruction set that the library's kernels find here.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
    }
    std::env::consts::ARCH
}

#[cfg(test)]
mod tests {
    use super::measurement::tests::measurement;
    use super::*;

    fn machine(description: &str) -> Machine {
        Machine { description: description.into(), commit: "c".into(), compiler: "r".into() }
    }

    fn a_run() -> Run {
        let measured =
            vec![measurement("ceiling/multiply-add f32", 1, [1.0; 3]), measurement("step/a", 1, [2.0, 3.0, 4.0])];
        let ceilings = Ceilings::of(&measured).unwrap();
        let changes = verdict::compare(&measured, &measured, [&ceilings, &ceilings]);
        Run {
            machine: machine("here"),
            ceilings,
            measured,
            memory: Vec::new(),
            runs: WholeRuns::default(),
            comparison: Some(Comparison { name: "before".into(), changes }),
            contests: Vec::new(),
            builds: Vec::new(),
        }
    }

    #[test]
    fn a_saved_run_is_read_again() {
        let json = a_run().json();
        assert_eq!(json["measured"][1]["verdict"], "within noise");
        assert_eq!(json["measured"][0]["verdict"], Value::Null);
        let saved = parse_saved(&json.to_string(), &machine("here")).unwrap();
        assert_eq!((saved.len(), saved[1].name.as_str()), (2, "step/a"));
    }

    #[test]
    fn the_report_holds_every_table_and_asks_for_nothing() {
        let mut run = a_run();
        run.machine = machine("a \"machine\"");
        run.builds = vec![Cost { name: "a <b>".into(), value: 4.2, unit: "s", wanted: Some(4.0) }];
        let page = report::html(&run.machine, &run.tables());
        for part in [
            "a &quot;machine&quot;",
            "33 %<td><svg",
            "Against before",
            "1.00<td>within noise",
            "a &lt;b&gt;<td>4.20 s<td>4.00",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        for part in ["<script", "http", "src=", "@import"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn machines_are_not_compared() {
        let error = parse_saved(&a_run().json().to_string(), &machine("there")).unwrap_err().to_string();
        assert!(error.contains("\"here\"") && error.contains("there"), "{error}");
        let error = parse_saved("{}", &machine("there")).unwrap_err().to_string();
        assert!(error.contains("null"), "{error}");
    }

    #[test]
    fn a_name_can_not_leave_the_folder() {
        assert!(saved(Path::new("bench"), "before-1.2").unwrap().ends_with("saved/before-1.2.json"));
        for name in ["", "../x", ".x", "a/b"] {
            saved(Path::new("bench"), name).unwrap_err();
        }
    }
}
