//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod command;
mod counts;
mod data;
mod docs;
mod figures;
mod golden;
mod gradcheck;
mod minimize;
mod npm;
mod peers;
mod python;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// What a task gives; an error is told to a person, and never matched on.
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
    Bench(bench::Arguments),
    Ci(ci::Arguments),
    Counts(counts::Arguments),
    Data(data::Arguments),
    Docs(docs::Arguments),
    Figures(figures::Arguments),
    Golden(golden::Arguments),
    Gradcheck(gradcheck::Arguments),
    Minimize(minimize::Arguments),
    Peers(peers::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Some(Task::Bench(arguments)) => bench::run(&arguments),
        Some(Task::Ci(arguments)) => ci::run(&arguments),
        Some(Task::Counts(arguments)) => counts::run(&arguments),
        Some(Task::Data(arguments)) => data::run(&arguments),
        Some(Task::Docs(arguments)) => docs::run(&arguments),
        Some(Task::Figures(arguments)) => figures::run(&arguments),
        Some(Task::Golden(arguments)) => golden::run(&arguments),
        Some(Task::Gradcheck(arguments)) => gradcheck::run(&arguments),
        Some(Task::Minimize(arguments)) => minimize::run(&arguments),
        Some(Task::Peers(arguments)) => peers::run(&arguments),
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
