//! The program `downhill`; the library next to it has all that it does.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    downhill_cli::run()
}
