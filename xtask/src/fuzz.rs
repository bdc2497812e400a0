//! `cargo xtask fuzz`: hands every reader of files what libFuzzer makes up.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use clap::Parser;

use crate::table::{Row, Table};
use crate::workspace::Workspace;
use crate::{Result, command, grouped, no_faults};

/// Hands every reader of files what libFuzzer makes of the corpus, and fails if one panics, takes longer than it may, or
/// asks for more memory than it may.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The targets to run; all by default.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
}

/// Every target has a folder of this name in the corpus.
const CORPUS: &str = "xtask/fuzz/corpus";

/// Coverage of every branch and comparison, as libFuzzer expects it. All of it is stable: no nightly compiler is needed.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "--cfg=fuzzing",
];

/// The seconds that one file may take. The fuzzer counts whole seconds, and its coverage makes readers slower.
const SECONDS: u32 = 2;

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let mut targets = Vec::new();
    for entry in fs::read_dir(workspace.root.join(CORPUS))? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    if let Some(name) = arguments.target.iter().find(|name| !targets.contains(name)) {
        return Err(format!("there is no target `{name}`; the targets are {}", targets.join(", ")).into());
    }
    targets.retain(|name| arguments.target.is_empty() || arguments.target.contains(name));
    let program = build(&workspace)?;
    // One target on each core.
    let width = thread::available_parallelism().map_or(1, usize::from);
    let (mut table, mut faults) =
        (Table { title: "target".into(), head: &["executions", "findings"], ..Table::default() }, Vec::new());
    for together in targets.chunks(width) {
        let fuzz =
            |name: &String| fuzz(&workspace, &program, name, arguments.minutes).map_err(|error| error.to_string());
        let runs: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = together.iter().map(|name| scope.spawn(move || fuzz(name))).collect();
            running
                .into_iter()
                .map(|run| run.join().unwrap_or_else(|_| Err("its thread has panicked".into())))
                .collect()
        });
        for (name, run) in together.iter().zip(runs) {
            let Run { executions, finding } = run?;
            let findings = usize::from(finding.is_some()).to_string();
            table.rows.push(Row { cells: vec![name.clone(), grouped(executions), findings], bar: None });
            faults.extend(finding.map(|finding| format!("{name}: {finding}")));
        }
    }
    println!("\n{table}");
    no_faults(&faults)
}

/// Builds the program, whose target directory is its own: its flags would have everything built again.
fn build(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let target = workspace.target.join("fuzz");
    let host = command::output(Command::new("rustc").args(["--print", "host-tuple"]), "")?;
    let mut cargo = command::cargo();
    // With a target named, build scripts and macros are built without the flags.
    cargo.args(["build", "--release", "--quiet", "--locked", "--target", host.trim()]);
    cargo.current_dir(workspace.root.join("xtask/fuzz")).env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    command::run(&mut cargo)?;
    Ok(target.join(host.trim()).join("release/downhill-fuzz"))
}

struct Run {
    executions: u64,
    finding: Option<String>,
}

fn fuzz(workspace: &Workspace, program: &Path, name: &str, minutes: f64) -> Result<Run> {
    let folder = workspace.target.join("fuzz/corpus").join(name);
    fs::create_dir_all(&folder)?;
    let seeds = workspace.root.join(CORPUS).join(name);
    let mut fuzzer = Command::new(program);
    // New files go to the first folder.
    fuzzer.arg(&folder).arg(&seeds).env("DOWNHILL_FUZZ", name).stdin(Stdio::null());
    fuzzer.arg(format!("-artifact_prefix={}/finding-", folder.display()));
    fuzzer.arg(format!("-max_total_time={}", (60.0 * minutes).ceil()));
    fuzzer.arg(format!("-timeout={SECONDS}")).arg("-print_final_stats=1").arg("-close_fd_mask=1");
    let output = fuzzer.output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let executions = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let executions = executions.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
    if output.status.success() {
        return Ok(Run { executions, finding: None });
    }
    let shown = |line: &&str| {
        ["panicked at", "ERROR:", "Test unit written", "asked for"].iter().any(|part| line.contains(part))
    };
    let finding = log.lines().filter(shown).collect::<Vec<_>>().join("; ");
    Ok(Run {
        executions,
        finding: Some(if finding.is_empty() { format!("it ended with {}", output.status) } else { finding }),
    })
}
