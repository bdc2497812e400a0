use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use downhill_data::DataError;
use downhill_formats::FormatError;
use downhill_model::ModelError;
use downhill_plot::PlotError;
use downhill_tensor::BuildError;
use downhill_train::TrainError;

/// Why a command did not do what it was asked for: a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// A table can't be read, or does not fit.
    #[error("{0}")]
    Data(DataError),
    /// A model can't be made, opened or asked.
    #[error("{0}")]
    Model(ModelError),
    /// A network can't be written in another format.
    #[error("{0}")]
    Format(FormatError),
    /// Training failed.
    #[error("{0}")]
    Train(TrainError),
    /// A network can't be built.
    #[error("{0}")]
    Build(BuildError),
    /// A report can't be made.
    #[error("{0}")]
    Plot(PlotError),
    /// A file can't be read.
    #[error("`{}` can't be read: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file can't be written.
    #[error("`{}` can't be written: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Reading or writing a stream failed.
    #[error("{0}")]
    Stream(io::Error),
    /// A file is there already.
    #[error("`{}` is there already; add `--force` to replace it, or name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is to be read and written at once.
    #[error("`{}` can't be written while it is read; name another file", path.display())]
    OverInput {
        /// The file.
        path: PathBuf,
    },
    /// What is written is a file.
    #[error("`-` is the standard output, which takes the answers of `predict` alone; name a file")]
    NotStream,
    /// The column of the predictions is there already.
    #[error("the table has a column `{column}` already, the one to append; rename it or take it out")]
    AnswerColumn {
        /// The column.
        column: String,
    },
    /// A file of settings is not valid.
    #[error("`{}` holds settings that can't be read: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// A setting is not valid.
    #[error("`--{setting} {value}` is not valid: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        reason: &'static str,
    },
    /// Weights of 8 bits were asked for in a format that has none.
    #[error("`--int8` is not valid here: only Rust source has weights of 8 bits")]
    Int8,
    /// No target was named.
    #[error("say which column to predict with `--target COLUMN`; the columns are {}", listed(available))]
    NoTarget {
        /// The columns there are.
        available: Vec<String>,
    },
    /// The target was listed as an input too.
    #[error("column `{column}` is the target and can't be an input too; take it out of the list")]
    TargetAsInput {
        /// The column.
        column: String,
    },
    /// A column is listed as two kinds.
    #[error("column `{column}` is listed as two kinds; keep it in one list")]
    TwoKinds {
        /// The column.
        column: String,
    },
    /// The target holds one value or none.
    #[error("{}", constant(column, value.as_deref()))]
    ConstantTarget {
        /// The column.
        column: String,
        /// The only value.
        value: Option<String>,
    },
    /// A target holds texts and is to be predicted as a number.
    #[error(
        "column `{column}` holds `{text}` on line {line}, which is no number, so that it can't be predicted as one; correct \
         it, or name it as missing by `--missing`"
    )]
    NotNumbers {
        /// The column.
        column: String,
        /// The first text that is no number.
        text: String,
        /// Its line.
        line: u64,
    },
    /// The table has the target alone.
    #[error("`{target}` is the only column, so that there is nothing to learn from; add another")]
    NoOtherColumn {
        /// The target.
        target: String,
    },
    /// All columns are left out.
    #[error("no column is left to learn from ({}); `--numeric`, `--categorical` or `--dates` keep one", reasons.join("; "))]
    NothingToLearnFrom {
        /// Why each is left out.
        reasons: Vec<String>,
    },
    /// Ctrl-C was pressed while there was nothing to save.
    #[error("interrupted while recipes or folds were compared, so that there is no network to save yet")]
    Interrupted,
    /// Processes are to share the work, in a program that can't reach others.
    #[error(
        "`--mpi` needs a program that is built with MPI, which this one is not: with an MPI library installed, \
         `cargo install --path crates/mpi --features program` builds one, also called `downhill`"
    )]
    NoMpi,
    /// Several processes are to read one stream.
    #[error("`--data -` is not valid with `--mpi`, since each process reads the table; name a file that all can read")]
    StreamOnRanks,
    /// There are too few rows to learn from and to judge by.
    #[error("{rows} rows that have a target are too few to learn from; at least {least} are needed")]
    TooFewRows {
        /// The rows there are.
        rows: usize,
        /// The rows that are needed.
        least: usize,
    },
    /// What was asked for needs a model with columns.
    #[error("the model knows no columns, so that it can't read a table; it answers arrays of numbers from a program")]
    NoColumns,
    /// A model answers several questions at once.
    #[error("the model answers several independent questions, which are not judged together; judge it from a program")]
    SeveralQuestions,
    /// A scaler is not next to layers that can take it in.
    #[error("{what} can't become part of the network, since it is not next to affine layers alone; {advice}")]
    Fold {
        /// The scaler.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A scaler is no change of units, which weights could take in.
    #[error(
        "a power scaler can't become part of the network, since it is no multiple of its input and a shift; {advice}"
    )]
    Curve {
        /// What to do.
        advice: &'static str,
    },
    /// Numbers alone make no model.
    #[error("a model is more than its numbers; name the model whose network they are for by `--model`")]
    NoBase,
    /// A model is to be written to a file of another format.
    #[error("`--model` makes a model, but `{}` does not end in .downhill; rename the file, or use `downhill export`", path.display())]
    NotModel {
        /// The file.
        path: PathBuf,
    },
    /// What a file holds is not told by its name.
    #[error("the name of `{}` does not tell its format; end it in {known}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The endings that are known, or what else to do.
        known: &'static str,
    },
}

impl CliError {
    pub(crate) fn read(path: &Path, cause: io::Error) -> Self {
        Self::Read { path: path.to_owned(), cause }
    }

    /// 2 for arguments and settings that are not valid, 130 after Ctrl-C, and 1 for whatever else fails.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Settings { .. }
            | Self::Setting { .. }
            | Self::NoTarget { .. }
            | Self::TargetAsInput { .. }
            | Self::TwoKinds { .. }
            | Self::NotStream
            | Self::Int8
            | Self::NoMpi
            | Self::StreamOnRanks
            | Self::NoBase
            | Self::NotModel { .. }
            | Self::UnknownFormat { .. } => 2,
            Self::Interrupted => 130,
            _ => 1,
        })
    }

    pub(crate) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Write { path: path.to_owned(), cause }
    }
}

fn constant(column: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!(
            "column `{column}` always holds `{value}`, so that there is nothing to learn; choose another target"
        ),
        None => format!("column `{column}` holds nothing, so that there is nothing to learn; choose another target"),
    }
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

macro_rules! from {
    ($($variant:ident($error:ty)),+) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(
    Data(DataError),
    Model(ModelError),
    Format(FormatError),
    Train(TrainError),
    Build(BuildError),
    Plot(PlotError),
    Stream(io::Error)
);
