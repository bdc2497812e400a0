use std::io;
use std::path::PathBuf;

use downhill_tensor::BuildError;
use downhill_train::TrainError;
use thiserror::Error;

/// An error of a plot or a report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A file's ending names no format.
    #[error("{} names no format of pictures: let it end in .svg or, with the feature `png`, in .png", .path.display())]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("{} can't be written: {cause}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// A PNG could not be drawn.
    #[error("the PNG can't be drawn: {cause}")]
    Png {
        /// The cause.
        cause: String,
    },
    /// The data can't be drawn.
    #[error("{what} can't be drawn: {reason}")]
    Data {
        /// What was to be drawn.
        what: &'static str,
        /// What is wrong with the data, and what to do.
        reason: String,
    },
    /// A network could not be run.
    #[error(transparent)]
    Network(#[from] BuildError),
    /// A network could not be judged.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A model could not answer.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Model(#[from] downhill_model::ModelError),
    /// A table could not be read.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Table(#[from] downhill_data::DataError),
}

impl PlotError {
    pub(crate) fn data(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Data { what, reason: reason.into() }
    }
}
