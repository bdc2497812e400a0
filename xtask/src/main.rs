//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod bench;
mod browser;
mod ci;
mod counts;
mod data;
mod docs;
mod embedded;
mod english;
mod figures;
mod fuzz;
mod golden;
mod heavy;
mod interop;
mod mpi;
mod npm;
mod onnx_conformance;
mod peers;
mod playground;
mod promises;
mod python;
mod server;
mod table;
mod texts;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use xtask::{Result, command, grouped, no_faults, workspace};

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
    /// Kills training processes, breaks their files and disks, and checks that each goes on as if nothing had happened.
    Crash(heavy::Arguments),
    Data(data::Arguments),
    /// Checks that weights have the same bits on any number of threads, run again, resumed or unbroken.
    Determinism(heavy::Arguments),
    Docs(docs::Arguments),
    Embedded(embedded::Arguments),
    /// Checks that no text has a phrase that the project writes in another way.
    English,
    Figures(figures::Arguments),
    Fuzz(fuzz::Arguments),
    Golden(golden::Arguments),
    /// Checks the derivatives of every layer, block and loss against finite differences.
    Gradcheck(heavy::Arguments),
    Interop(interop::Arguments),
    /// Minimises the 18 problems by several methods and checks what L-BFGS must reach.
    Minimize(heavy::Arguments),
    Mpi(mpi::Arguments),
    OnnxConformance(onnx_conformance::Arguments),
    Peers(peers::Arguments),
    Playground(playground::Arguments),
    /// Checks that each sentence with a promise in it is held by a test that `docs/promises.md` names.
    Promises,
    /// Writes the files that fuzzing begins with, or checks that they are as they would be written.
    Seeds(heavy::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Some(Task::Api(arguments)) => heavy::run("api", &arguments.rest),
        Some(Task::Bench(arguments)) => bench::run(&arguments),
        Some(Task::Ci(arguments)) => ci::run(&arguments),
        Some(Task::Counts(arguments)) => counts::run(&arguments),
        Some(Task::Crash(arguments)) => heavy::run("crash", &arguments.rest),
        Some(Task::Data(arguments)) => data::run(&arguments),
        Some(Task::Determinism(arguments)) => heavy::run("determinism", &arguments.rest),
        Some(Task::Docs(arguments)) => docs::run(&arguments),
        Some(Task::Embedded(arguments)) => embedded::run(&arguments),
        Some(Task::English) => english::run(),
        Some(Task::Figures(arguments)) => figures::run(&arguments),
        Some(Task::Fuzz(arguments)) => fuzz::run(&arguments),
        Some(Task::Golden(arguments)) => golden::run(&arguments),
        Some(Task::Gradcheck(arguments)) => heavy::run("gradcheck", &arguments.rest),
        Some(Task::Interop(arguments)) => interop::run(&arguments),
        Some(Task::Minimize(arguments)) => heavy::run("minimize", &arguments.rest),
        Some(Task::Mpi(arguments)) => mpi::run(&arguments),
        Some(Task::OnnxConformance(arguments)) => onnx_conformance::run(&arguments),
        Some(Task::Peers(arguments)) => peers::run(&arguments),
        Some(Task::Playground(arguments)) => playground::run(&arguments),
        Some(Task::Promises) => promises::run(),
        Some(Task::Seeds(arguments)) => heavy::run("seeds", &arguments.rest),
        None => Arguments::command().print_help().map_err(Into::into),
    };
    xtask::exit(done)
}
