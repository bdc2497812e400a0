//! One file for each command that takes more than a line.

mod convert;
mod evaluate;
mod export;
mod inspect;
mod predict;
mod train;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::CliError;
use crate::args::{Cli, Command};
use crate::output::styled;

/// Runs the program on its arguments, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    let result = command(&cli, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has read enough of it.
        Err(CliError::Stream(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let word = styled(anstyle::AnsiColor::Red.on_default().bold(), "error:");
            // There is no one left to tell if this fails.
            let _ = writeln!(anstream::AutoStream::auto(io::stderr()), "{word} {error}");
            error.exit_code()
        }
    }
}

fn command(cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    match &cli.command {
        Command::Train(args) => train::train(args, cli, out),
        Command::Evaluate(args) => evaluate::evaluate(args, cli, out),
        Command::Predict(args) => predict::predict(args, cli, out),
        Command::Inspect(args) => inspect::inspect(args, cli, out),
        Command::Export(args) => export::export(args, cli, out),
        Command::Convert(args) => convert::convert(args, cli, out),
        Command::Completions { shell } => {
            // The generator writes to memory, since it panics where it can't write.
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "downhill", &mut text);
            Ok(out.write_all(&text)?)
        }
        Command::Man => man(out),
    }
}

/// Writes the page of the program, with a section for each command.
fn man(out: &mut dyn Write) -> Result<(), CliError> {
    let command = Cli::command();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for sub in command.get_subcommands() {
        let page = clap_mangen::Man::new(sub.clone());
        writeln!(out, ".SH \"DOWNHILL {}\"", sub.get_name().to_uppercase())?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
        page.render_extra_section(out)?;
    }
    Ok(())
}
