//! `cargo xtask onnx-conformance`: the ONNX project's own test cases, as far as our layers cover their operators.

use std::ffi::OsString;
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Result, command, heavy, interop, python};

/// Reads and runs the ONNX project's own test cases: those of its nodes, and its stored models of PyTorch.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Runs the cases that an earlier run has written, and needs no Python.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Only cases whose name contains this.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Prints why each of the other cases can't be read.
    #[arg(long)]
    pub(crate) reasons: bool,
}

/// The node cases and the stored models that pass at least.
const LEAST: [&str; 2] = ["430", "100"];

pub(crate) fn run(arguments: &Arguments) -> Result {
    let root = workspace::root();
    let target = Workspace::load()?.target;
    let folder = target.join("onnx-cases");
    if !arguments.keep {
        let python = python::environment(&root.join(interop::REQUIREMENTS), &target.join("interop-venv"))?;
        let script = root.join("xtask/interop/onnx_cases.py");
        command::run(Command::new(&python).args(["-W", "ignore"]).arg(script).arg(&folder))?;
    }
    let mut rest = vec![OsString::from(&folder)];
    match &arguments.name {
        Some(name) => rest.extend(["--name".into(), name.into()]),
        None => rest.extend(["--least", LEAST[0], LEAST[1]].map(OsString::from)),
    }
    if arguments.reasons {
        rest.push("--reasons".into());
    }
    heavy::run("onnx-conformance", &rest)
}
