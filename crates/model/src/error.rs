use std::path::{Path, PathBuf};

use downhill_data::DataError;
use downhill_formats::FormatError;
use downhill_network::{DescriptionError, PredictError};
use downhill_tensor::BuildError;

/// Why a model can't be made, saved, opened or asked.
///
/// A message says all that its cause says, so that `source()` is always `None`: the cause is a field of the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is none that can be read or written, or its numbers do not fit its network.
    #[error("{0}")]
    Format(FormatError),
    /// A row or a column is not as the model expects it.
    #[error("{0}")]
    Data(DataError),
    /// The network has no answer.
    #[error("{0}")]
    Predict(PredictError),
    /// A custom layer is not registered.
    #[error("{0}")]
    Description(DescriptionError),
    /// The error happened with this file.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: Box<ModelError>,
    },
    /// The file is a safetensors file, but holds no model.
    #[error(
        "this safetensors file holds no model, but {tensors} tensors alone; build the network in code and load them \
         with `downhill_formats::safetensors::load`"
    )]
    NoModel {
        /// How many tensors there are.
        tensors: usize,
    },
    /// The file is of a later version of the format.
    #[error(
        "this model file is of format {format}, written by downhill {library}, but at most format {known} can be read; \
         use that version of the library or a later one"
    )]
    Newer {
        /// The file's format.
        format: u64,
        /// The version of the library that wrote it.
        library: String,
        /// The latest format that this version reads.
        known: u64,
    },
    /// The description in the file can't be understood.
    #[error("the description in this model file can't be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Parts of a model do not fit each other.
    #[error("the model has {got} {what}, but its {of} asks for {expected}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// What says how many there should be.
        of: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// The model lacks a part, or has one that does not suit the rest.
    #[error("{part}: {reason}")]
    Part {
        /// The part, such as `the schema`.
        part: &'static str,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// The answers are of another kind than was asked for.
    #[error("there are no {wanted}: the model answers with {answers}")]
    Answer {
        /// What was asked for.
        wanted: &'static str,
        /// What there is.
        answers: &'static str,
    },
}

impl ModelError {
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            // It names its file already.
            Self::Format(error @ FormatError::File { .. }) => Self::Format(error),
            other => Self::File { path: path.to_owned(), cause: Box::new(other) },
        }
    }
}

impl From<FormatError> for ModelError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<DataError> for ModelError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<PredictError> for ModelError {
    fn from(error: PredictError) -> Self {
        Self::Predict(error)
    }
}

impl From<BuildError> for ModelError {
    fn from(error: BuildError) -> Self {
        Self::Predict(error.into())
    }
}

impl From<DescriptionError> for ModelError {
    fn from(error: DescriptionError) -> Self {
        Self::Description(error)
    }
}
