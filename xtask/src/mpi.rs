//! `cargo xtask mpi`: training on several processes, which needs an MPI library.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::workspace::Workspace;
use crate::{Result, command, peers};

/// Runs the tests of `crates/mpi`: processes under `mpirun`, their bits, and how they end. Then compares 1, 2 and 4
/// processes with one, in bits and in time, and with PyTorch if `cargo xtask peers python` has installed it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// A part of the name of the tests to run, without a comparison; all without it.
    pub(crate) name: Option<String>,
    /// The number of processes that are killed at random moments.
    #[arg(long, default_value_t = 6)]
    pub(crate) kills: usize,
    /// Only the tests, as CI runs them.
    #[arg(long)]
    pub(crate) tests: bool,
    /// Only compares steps over slow links with what the model in `docs/scaling.md` says of them.
    #[arg(long, conflicts_with_all = ["name", "tests"])]
    pub(crate) model: bool,
    /// Only the comparison of speeds.
    #[arg(long, conflicts_with_all = ["name", "tests", "model"])]
    pub(crate) speed: bool,
    /// Only this network of a comparison: `mnist`, `wide` or `transformer`.
    #[arg(long, conflicts_with_all = ["name", "tests"])]
    pub(crate) task: Option<String>,
}

/// A program that is needed, how it is asked for its version, and the package of Debian that has it.
const NEEDED: [(&str, &str, &str); 2] = [("mpirun", "--version", "openmpi-bin"), ("mpicc", "-show", "libopenmpi-dev")];

pub(crate) fn run(arguments: &Arguments) -> Result {
    let answers = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let programs = NEEDED.iter().filter(|(program, argument, _)| !answers(program, argument));
    let mut missing: Vec<(&str, &str)> = programs.map(|&(program, _, package)| (program, package)).collect();
    if !has_libclang() {
        missing.push(("libclang", "libclang-dev"));
    }
    if !missing.is_empty() {
        let (names, packages): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
        let install = format!("apt-get install {}", packages.join(" "));
        return Err(format!("{} can't be found; on Debian, `{install}` installs it", names.join(", ")).into());
    }
    let workspace = Workspace::load()?;
    let folder = workspace.root.join("crates/mpi");
    // The sources are of another workspace, whose builds lie next to ours.
    let target = workspace.target.join("mpi");
    let cargo = |arguments: &[&str]| {
        let mut cargo = command::cargo();
        cargo.args(arguments).current_dir(&folder).env("CARGO_TARGET_DIR", &target);
        cargo
    };
    let compares_alone = arguments.model || arguments.speed || arguments.task.is_some();
    if !compares_alone {
        command::run(&mut cargo(&["fmt", "--check"]))?;
        let all = ["--features", "program"];
        command::run(cargo(&["clippy", "--all-targets"]).args(all).args(["--", "--deny", "warnings"]))?;
        command::run(cargo(&["test", "--lib"]).args(all))?;
        command::run(cargo(&["test", "--doc"]).args(all))?;
        command::run(cargo(&["build", "--examples"]).args(all))?;
        command::run(cargo(&["test", "--test", "program"]).args(all).arg("--").args(&arguments.name))?;
        let mut tests = cargo(&["test", "--test", "mpirun"]);
        command::run(
            tests.args(all).arg("--").args(&arguments.name).env("DOWNHILL_MPI_KILLS", arguments.kills.to_string()),
        )?;
    }
    if arguments.tests || arguments.name.is_some() {
        return Ok(());
    }
    let mnist = workspace.root.join("data/mnist");
    if !mnist.join("train-images-idx3-ubyte").exists() {
        return Err("MNIST is missing; `cargo xtask data mnist` fetches it".into());
    }
    let mut scaling = cargo(&["bench", "--quiet", "--bench", "scaling", "--", "--mnist"]);
    scaling.arg(mnist);
    for (flag, is_given) in [("--model", arguments.model), ("--speed", arguments.speed)] {
        scaling.args(is_given.then_some(flag));
    }
    if let Some(task) = &arguments.task {
        scaling.args(["--task", task]);
    }
    let python = peers::python(&workspace);
    if python.exists() {
        scaling.arg("--python").arg(python).arg("--script").arg(workspace.root.join("xtask/mpi/with_ddp.py"));
    } else if !arguments.model {
        println!("PyTorch is missing, so that there is no comparison with it; `cargo xtask peers python` installs it");
    }
    command::run(&mut scaling)
}

/// Whether the library that reads C headers is where Linux keeps it, or where the user says.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let holds = |folder: &Path| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.starts_with("libclang"))
    };
    let llvm = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    llvm.filter(|path| path.is_dir()).any(|path| holds(&path) || holds(&path.join("lib")))
        || holds(Path::new("/usr/lib64"))
}
