//! What the tasks share, those of `xtask` and those of `xtask/heavy`.
#![forbid(unsafe_code)]

pub mod command;
pub mod workspace;

use std::error::Error;
use std::process::ExitCode;

/// The result of a task; an error is read by a person, and never matched on.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Fails with a line for each fault, if there are any.
pub fn no_faults(faults: &[String]) -> Result {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// Says what went wrong with a task, if anything did, and ends the program accordingly.
pub fn exit(done: Result) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A count with its thousands apart: 12,345.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_an_error_with_a_line_for_each() {
        no_faults(&[]).unwrap();
        assert_eq!(no_faults(&["a".into(), "b".into()]).unwrap_err().to_string(), "a\nb");
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!([grouped(1_234_567), grouped(123)], ["1,234,567", "123"]);
    }
}
