//! `cargo xtask interop`: files that other libraries read as we write them, and that we read as they write them.
//!
//! Each part runs our side, `xtask/heavy`, and the other side, a script in `xtask/interop`, over one folder.

use std::path::Path;
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Result, command, heavy, python};

/// The pinned packages, a line `name==version` for each.
const REQUIREMENTS: &str = "xtask/interop/requirements.txt";

/// One side's work on the folder of a part.
#[derive(Clone, Copy)]
enum Side {
    /// The part of this name of the task `interop` of `xtask/heavy`.
    Ours(&'static str),
    /// This script.
    Theirs(&'static str),
}

/// A name, and what runs in this order.
struct Part {
    name: &'static str,
    sides: &'static [Side],
}

const PARTS: &[Part] =
    &[Part { name: "onnx-export", sides: &[Side::Ours("onnx-export"), Side::Theirs("onnx_export.py")] }];

/// Compares with other libraries through files: ONNX Runtime runs what we export.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The one part to run, such as `onnx-export`; all without it.
    pub(crate) name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let wanted = |part: &&Part| arguments.name.as_ref().is_none_or(|name| name == part.name);
    let parts: Vec<&Part> = PARTS.iter().filter(wanted).collect();
    if parts.is_empty() {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!("there is no such part; there are {}", names.join(", ")).into());
    }
    let root = workspace::root();
    let target = Workspace::load()?.target;
    let python = python::environment(&root.join(REQUIREMENTS), &target.join("interop-venv"))?;
    for part in parts {
        println!("{}:", part.name);
        run_part(part, &root, &target.join("interop").join(part.name), &python)?;
    }
    Ok(())
}

fn run_part(part: &Part, root: &Path, folder: &Path, python: &Path) -> Result {
    if folder.exists() {
        // What an earlier run has left is no answer.
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for side in part.sides {
        match side {
            Side::Ours(name) => heavy::run("interop", &[(*name).into(), folder.into()])?,
            Side::Theirs(script) => {
                command::run(Command::new(python).arg(root.join("xtask/interop").join(script)).arg(folder))?;
            }
        }
    }
    Ok(())
}
