//! The tasks that run the library, and so wait for its build: `cargo xtask` starts this program when one is asked for,
//! and lists them without it.
#![forbid(unsafe_code)]

mod figures;
mod gradcheck;
mod interop;
mod minimize;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// The result of a task; an error is read by a person, and never matched on.
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Figures(figures::Arguments),
    Gradcheck(gradcheck::Arguments),
    Interop(interop::Arguments),
    Minimize(minimize::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Figures(arguments) => figures::run(&arguments),
        Task::Gradcheck(arguments) => gradcheck::run(&arguments),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Minimize(arguments) => minimize::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    // As Cargo runs it; what was compiled in could be another checkout's that shares the target directory.
    let heavy = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&heavy).join("../..")
}
