//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod command;
mod counts;
mod data;
mod docs;
mod english;
mod golden;
mod heavy;
mod interop;
mod npm;
mod peers;
mod promises;
mod python;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// The result of a task; an error is read by a person, and never matched on.
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Writes the public interface of every crate to `docs/api`, or checks that it has not changed.
    Api(heavy::Arguments),
    Bench(bench::Arguments),
    Ci(ci::Arguments),
    Counts(counts::Arguments),
    Data(data::Arguments),
    Docs(docs::Arguments),
    English(english::Arguments),
    /// Draws the guide's figures and writes its tables, each from a run made for it.
    Figures(heavy::Arguments),
    Golden(golden::Arguments),
    /// Checks the derivatives of every layer, block and loss against finite differences.
    Gradcheck(heavy::Arguments),
    Interop(interop::Arguments),
    /// Minimises the 18 problems by several methods and checks what L-BFGS must reach.
    Minimize(heavy::Arguments),
    Peers(peers::Arguments),
    Promises(promises::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Some(Task::Api(arguments)) => heavy::api(&arguments.rest),
        Some(Task::Bench(arguments)) => bench::run(&arguments),
        Some(Task::Ci(arguments)) => ci::run(&arguments),
        Some(Task::Counts(arguments)) => counts::run(&arguments),
        Some(Task::Data(arguments)) => data::run(&arguments),
        Some(Task::Docs(arguments)) => docs::run(&arguments),
        Some(Task::English(arguments)) => english::run(&arguments),
        Some(Task::Figures(arguments)) => heavy::run("figures", &arguments.rest),
        Some(Task::Golden(arguments)) => golden::run(&arguments),
        Some(Task::Gradcheck(arguments)) => heavy::run("gradcheck", &arguments.rest),
        Some(Task::Interop(arguments)) => interop::run(&arguments),
        Some(Task::Minimize(arguments)) => heavy::run("minimize", &arguments.rest),
        Some(Task::Peers(arguments)) => peers::run(&arguments),
        Some(Task::Promises(arguments)) => promises::run(&arguments),
        None => Arguments::command().print_help().map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
