use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of a log. It prints as a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log can't be written.
    #[error("{}: {error}", Named(path))]
    Io {
        /// The file or folder; `None` for a writer.
        path: Option<PathBuf>,
        /// The reason why it can't.
        error: io::Error,
    },
    /// A new run would replace a file that is no log.
    #[error(
        "`{}` would be replaced, but it is no log: it does not begin with `{begin}`; give another path, or remove the file",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The text that such a log begins with.
        begin: String,
    },
    /// A run goes on in a table of other columns.
    #[error(
        "{}: its columns are not those of this run, which are `{expected}`; a run that goes on needs the metrics and the \
         settings of the log that it began with, or another path",
        Named(path)
    )]
    Columns {
        /// The file; `None` for a writer.
        path: Option<PathBuf>,
        /// The line with the names of the run's columns.
        expected: String,
    },
    /// A line of the file that a run goes on in can't be read.
    #[error("`{}`: line {line} is not one that this log writes; give another path, or mend the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
    },
}

impl LogError {
    pub(crate) fn io(path: Option<&Path>, error: io::Error) -> Self {
        Self::Io { path: path.map(Path::to_owned), error }
    }
}

/// A file by its name, or the writer.
struct Named<'a>(&'a Option<PathBuf>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "`{}`", path.display()),
            None => f.write_str("the writer of the log"),
        }
    }
}
