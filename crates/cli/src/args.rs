//! The arguments of the program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::settings::Settings;

const CODES: &str = "Exit codes: 0 if all went well, also if the reader of the output stopped reading; 1 if something failed, \
                     which is said on the standard error; 2 for arguments or settings that are not valid; 130 after \
                     Ctrl-C, unless a model was saved.";

/// Train a network on a table, judge it, ask it, and hand it to other runtimes
#[derive(Debug, Parser)]
#[command(name = "downhill", version, after_help = CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Write JSON for machines instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress on the standard error
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network on a CSV table and save it as one file
    #[command(
        after_help = "Finds out what each column holds, says so, judges a network on rows that it has not seen, and saves one \
                      that has learnt from all rows. Ctrl-C ends training after the step at hand and saves the network as it is, \
                      once there is one that is not for comparison alone; a second Ctrl-C ends the program at once.\n\n\
                      Examples:\n  \
                      downhill train --data penguins.csv --target species\n  \
                      downhill train --data houses.csv --target price --unit EUR --folds 5\n  \
                      downhill train --data visits.csv --config visits.toml --output visits.downhill --force\n\n\
                      A TOML file has the long names of flags as keys:\n  \
                      target = \"price\"\n  leave-out = [\"street\"]\n  hidden = [128, 64]\n  epochs = 100"
    )]
    Train(Box<Train>),
    /// Judge a model on a table that has the column it predicts
    #[command(after_help = "Examples:\n  \
                      downhill evaluate species.downhill --data later.csv\n  \
                      downhill evaluate species.downhill --data later.csv --report later.html")]
    Evaluate(Evaluate),
    /// Answer for every row of a table: CSV in, CSV out
    #[command(
        after_help = "The columns of the input are kept, and the prediction is appended. Rows are read and written part by \
                      part, so that a table of any size will do.\n\nExamples:\n  \
                      downhill predict species.downhill --data new.csv --output answers.csv\n  \
                      zcat new.csv.gz | downhill predict species.downhill --probabilities | head"
    )]
    Predict(Predict),
    /// Describe a model: its columns, layers and size, and the time that an answer takes
    #[command(after_help = "Example:\n  downhill inspect species.downhill")]
    Inspect(Inspect),
    /// Write a model for another runtime
    #[command(
        after_help = "An ONNX model and Rust source take the features in the units of the table, in the order that `inspect` \
                      shows, and answer with probabilities or with values in their units: scalers are part of them. \
                      `--bare` leaves the network as it was trained. safetensors and npz hold the network's numbers by \
                      PyTorch's names, which are always bare.\n\nExamples:\n  \
                      downhill export species.downhill species.onnx\n  \
                      downhill export species.downhill species.rs --int8"
    )]
    Export(Export),
    /// Convert numbers from one file to another, or put them into a model
    #[command(
        after_help = "From safetensors or npz to the other of the two, or into the network of a model, where every name and \
                      shape must fit. An ONNX file becomes a model of its own, or its numbers are taken.\n\nExamples:\n  \
                      downhill convert network.onnx network.downhill\n  \
                      downhill convert weights.safetensors weights.npz\n  \
                      downhill convert trained-on.safetensors new.downhill --model old.downhill"
    )]
    Convert(Convert),
    /// Write completions for a shell to the standard output
    #[command(
        after_help = "Example:\n  downhill completions bash > ~/.local/share/bash-completion/completions/downhill"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to the standard output
    #[command(after_help = "Example:\n  downhill man > ~/.local/share/man/man1/downhill.1")]
    Man,
}

#[derive(Args, Debug)]
pub(crate) struct Train {
    /// The table, a CSV file with a header; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// A TOML file of settings, which flags override
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The model's file [default: the target's name with the ending .downhill]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write a report with pictures as one HTML file, of the rows that are kept to judge by
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Replace the model's file and the report if they are there
    #[arg(long)]
    pub(crate) force: bool,
    /// Share each batch among the processes that `mpirun` or `srun` has started; for a program that is built with MPI
    #[arg(long)]
    pub(crate) mpi: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Args, Debug)]
pub(crate) struct Evaluate {
    /// The model's file
    pub(crate) model: PathBuf,
    /// The table; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Write a report with pictures too, as one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Replace the report if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// The character between cells: any in ASCII, or `tab`
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub(crate) delimiter: String,
}

#[derive(Args, Debug)]
pub(crate) struct Predict {
    /// The model's file
    pub(crate) model: PathBuf,
    /// The table; - for the standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) data: PathBuf,
    /// The file of the answers; - for the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replace the file of the answers if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Append the probability of each class too
    #[arg(long)]
    pub(crate) probabilities: bool,
    /// The character between cells, in and out: any in ASCII, or `tab`
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub(crate) delimiter: String,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The model's file
    pub(crate) model: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The model's file
    pub(crate) model: PathBuf,
    /// The file to write
    pub(crate) output: PathBuf,
    /// The format [default: by the ending of the file's name]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Leave scalers out, so that the network takes and gives what it did in training
    #[arg(long)]
    pub(crate) bare: bool,
    /// Keep the weights of Rust source as 8-bit numbers with a scale for each row
    #[arg(long)]
    pub(crate) int8: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Convert {
    /// The file to read: .onnx, .safetensors, .npz or .downhill
    pub(crate) input: PathBuf,
    /// The file to write: .safetensors, .npz or, with `--model` or from ONNX, .downhill
    pub(crate) output: PathBuf,
    /// The model whose network the numbers are for
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// A format that a model is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For ONNX Runtime and others
    Onnx,
    /// The network's numbers by PyTorch's names
    Safetensors,
    /// The network's numbers for NumPy
    Npz,
    /// A file of Rust source that depends on nothing
    Rust,
}
