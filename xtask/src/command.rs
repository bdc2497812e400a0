//! Running other programs.
//!
//! `std::process` is enough: nothing here is piped from one program into the next.
//! `xshell` or `duct` would only add to what `cargo xtask` builds before its first line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// Cargo, the same one that runs this task.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Says what is run, runs it with its output shown, and fails unless it succeeds.
pub fn run(command: &mut Command) -> Result {
    let line = line(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})").into()) }
}

/// What the command, fed `input`, writes on its standard output; its errors are shown.
pub fn output(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    // Taken, and so closed at the end of the block: the child then sees the end of its input.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("`{}` failed ({})", line(command), output.status).into())
    }
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            // Cargo's own separator of encoded flags is not printable.
            let _ = write!(line, "{}='{}' ", name.display(), value.to_string_lossy().replace('\x1f', " "));
        }
    }
    // Cargo names itself by its full path.
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    for word in std::iter::once(program).chain(command.get_args()) {
        let word = word.to_string_lossy();
        let quote = if word.contains([' ', '\n', '(', '$', '"']) { "'" } else { "" };
        let _ = write!(line, "{quote}{word}{quote} ");
    }
    line.trim_end().to_owned()
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    let program = command.get_program().display();
    format!("`{program}` could not be started ({error}); is it installed and on the PATH?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named() {
        let error = run(cargo().arg("no-such-subcommand").stderr(Stdio::null())).unwrap_err();
        assert!(error.to_string().contains("no-such-subcommand` failed"), "{error}");
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("`no-such-program` could not be started"), "{error}");
    }

    #[test]
    fn a_command_is_printed_as_typed() {
        let mut command = Command::new("a");
        command.args(["b", "c d"]).env("FLAGS", "-x\x1f-y");
        assert_eq!(line(&command), "FLAGS='-x -y' a b 'c d'");
    }
}
