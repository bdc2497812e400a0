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
use crate::output::{printable, styled};
use crate::session::{Ranks, Session};

/// Runs the program on its arguments, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    alone(&Cli::parse())
}

/// Runs the program as [`run`] does; with `--mpi`, `launch` calls its argument as one of several processes, and says
/// how this one ends.
#[must_use]
pub fn run_on_ranks(launch: impl FnOnce(&dyn Fn(&dyn Ranks) -> Result<(), String>) -> ExitCode) -> ExitCode {
    let cli = Cli::parse();
    let Command::Train(args) = &cli.command else { return alone(&cli) };
    if !args.mpi {
        return alone(&cli);
    }
    launch(&|ranks| {
        let session = Session::new().ranks(ranks);
        let mut out: Box<dyn Write> = if session.is_first() { Box::new(io::stdout()) } else { Box::new(io::sink()) };
        if !cli.json {
            out = Box::new(anstream::StripStream::new(out));
        }
        let result = train::train(args, &cli, session, &mut out).and_then(|()| Ok(out.flush()?));
        result.map_err(|error| said(&error))
    })
}

/// The sentence of an error, which may quote what a table or a file holds.
fn said(error: &CliError) -> String {
    error.to_string().split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn alone(cli: &Cli) -> ExitCode {
    let is_report = !matches!(cli.command, Command::Predict(_) | Command::Completions { .. } | Command::Man);
    // Data leaves as it is; a report has styles, which are taken out unless a terminal shows it.
    let mut out: Box<dyn Write> = match is_report && !cli.json {
        true => Box::new(anstream::AutoStream::auto(io::stdout().lock())),
        false => Box::new(io::stdout().lock()),
    };
    let result = command(cli, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has read enough of it.
        Err(CliError::Stream(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let word = styled(anstyle::AnsiColor::Red.on_default().bold(), "error:");
            // There is no one left to tell if this fails.
            let _ = writeln!(anstream::AutoStream::auto(io::stderr()), "{word} {}", said(&error));
            error.exit_code()
        }
    }
}

fn command(cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    match &cli.command {
        Command::Train(args) if args.mpi => Err(CliError::NoMpi),
        Command::Train(args) => train::train(args, cli, Session::new(), out),
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
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_options_section(out)?;
    for sub in command.get_subcommands() {
        writeln!(out, ".SH \"DOWNHILL {}\"", sub.get_name().to_uppercase())?;
        let page = clap_mangen::Man::new(sub.clone().bin_name(format!("downhill {}", sub.get_name())));
        let mut section = Vec::new();
        page.render_description_section(&mut section)?;
        page.render_synopsis_section(&mut section)?;
        page.render_options_section(&mut section)?;
        page.render_extra_section(&mut section)?;
        // What is a section of a page of its own stands a step lower here.
        out.write_all(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes())?;
    }
    page.render_extra_section(out)?;
    Ok(page.render_version_section(out)?)
}
