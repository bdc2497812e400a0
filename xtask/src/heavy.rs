//! The tasks of another program, `xtask/heavy`, so that this one is built soon: they run the library, or read what rustdoc
//! says of it.

use std::ffi::OsString;

use crate::{Result, command, workspace};

/// The arguments of such a task, `--help` included: only that program knows them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The task's own; `--help` behind its name lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) rest: Vec<OsString>,
}

/// Builds the program and has it run the task.
pub(crate) fn run(task: &str, arguments: &[OsString]) -> Result {
    let mut cargo = command::cargo();
    cargo.args(["run", "--quiet", "--package", "xtask-heavy", "--", task]).args(arguments);
    command::run(cargo.current_dir(workspace::root()))
}
