//! `cargo xtask interop`: files that other libraries read as we write them, and that we read as they write them.
//!
//! Each part runs our side, `xtask/heavy` or a test, and the other side, a script, over one folder.

use std::path::Path;
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Result, command, heavy, python};

/// The pinned packages, a line `name==version` for each.
pub(crate) const REQUIREMENTS: &str = "xtask/interop/requirements.txt";

/// Those of parts that run PyTorch.
const PYTORCH: &str = "xtask/golden/requirements.txt";

/// One side's work on the folder of a part.
#[derive(Clone, Copy)]
enum Side {
    /// The part of this name of the task `interop` of `xtask/heavy`.
    Ours(&'static str),
    /// The tests of a program of tests with this name, which find the folder in `INTEROP_FOLDER`.
    Test { package: &'static str, program: &'static str, name: &'static str },
    /// This script with these arguments before the folder.
    Theirs(&'static str, &'static [&'static str]),
}

/// A name, and what runs in this order.
struct Part {
    name: &'static str,
    requirements: &'static str,
    sides: &'static [Side],
}

const PARTS: &[Part] = &[
    Part {
        name: "guide",
        requirements: PYTORCH,
        sides: &[
            Side::Theirs("docs/guide/peers/names.py", &[]),
            Side::Theirs("docs/guide/peers/with_pytorch.py", &[]),
            Side::Theirs("docs/guide/peers/with_keras.py", &[]),
            Side::Theirs("docs/guide/peers/with_scikit_learn.py", &[]),
            Side::Test { package: "downhill-guide", program: "bridges", name: "both_sides_assert_the_same_numbers" },
        ],
    },
    Part {
        name: "onnx-export",
        requirements: REQUIREMENTS,
        sides: &[Side::Ours("onnx-export"), Side::Theirs("xtask/interop/onnx_export.py", &[])],
    },
    Part {
        name: "onnx-import",
        requirements: PYTORCH,
        sides: &[Side::Theirs("xtask/golden/onnx_import.py", &[]), formats("onnx_import::models_of_other_frameworks")],
    },
    Part {
        name: "state-dict",
        requirements: PYTORCH,
        sides: &[
            formats("state::what_is_saved_is_loaded_again"),
            Side::Theirs("xtask/golden/interop_state_dict.py", &["--check"]),
            formats("state::state_dicts"),
        ],
    },
    Part {
        name: "tensorboard",
        requirements: REQUIREMENTS,
        sides: &[
            Side::Test {
                package: "downhill-log",
                program: "logs",
                name: "tensorboard::a_reader_finds_what_was_logged",
            },
            Side::Theirs("xtask/interop/tensorboard_events.py", &[]),
        ],
    },
];

/// Tests of `downhill-formats`.
const fn formats(name: &'static str) -> Side {
    Side::Test { package: "downhill-formats", program: "formats", name }
}

/// Compares with other libraries through files: ONNX Runtime, PyTorch and TensorBoard read what we write, and we what they
/// and others write.
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
    for part in parts {
        println!("{}:", part.name);
        let environment = if part.requirements == PYTORCH { "golden-venv" } else { "interop-venv" };
        let python = python::environment(&root.join(part.requirements), &target.join(environment))?;
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
            Side::Test { package, program, name } => {
                let mut cargo = command::cargo();
                cargo.args(["test", "--quiet", "--package", package, "--all-features", "--test", program, name]);
                command::run(cargo.current_dir(root).env("INTEROP_FOLDER", folder))?;
            }
            Side::Theirs(script, arguments) => {
                command::run(Command::new(python).arg(root.join(script)).args(*arguments).arg(folder))?;
            }
        }
    }
    Ok(())
}
