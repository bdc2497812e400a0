//! The tasks that wait for the library's build or for many crates: `cargo xtask` starts this program when one is asked for,
//! and lists them without it.
#![forbid(unsafe_code)]

mod api;
mod crash;
mod determinism;
mod figures;
mod gradcheck;
mod interop;
mod minimize;
mod onnx_conformance;
mod seeds;

use std::process::ExitCode;

use clap::Parser;
use xtask::{Result, command, grouped, no_faults, workspace};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Api(api::Arguments),
    Crash(crash::Arguments),
    #[command(hide = true)]
    CrashWorker(crash::worker::Arguments),
    Determinism(determinism::Arguments),
    Figures(figures::Arguments),
    Gradcheck(gradcheck::Arguments),
    Interop(interop::Arguments),
    Minimize(minimize::Arguments),
    OnnxConformance(onnx_conformance::Arguments),
    Seeds(seeds::Arguments),
}

fn main() -> ExitCode {
    xtask::exit(match Task::parse() {
        Task::Api(arguments) => api::run(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::CrashWorker(arguments) => crash::worker::run(&arguments),
        Task::Determinism(arguments) => determinism::run(&arguments),
        Task::Figures(arguments) => figures::run(&arguments),
        Task::Gradcheck(arguments) => gradcheck::run(&arguments),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Minimize(arguments) => minimize::run(&arguments),
        Task::OnnxConformance(arguments) => onnx_conformance::run(&arguments),
        Task::Seeds(arguments) => seeds::run(&arguments),
    })
}
