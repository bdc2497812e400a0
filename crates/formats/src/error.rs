use std::fmt;
use std::io;
#[cfg(any(feature = "safetensors", feature = "npz", feature = "onnx"))]
use std::path::Path;
use std::path::PathBuf;

use downhill_tensor::BuildError;

/// Why a file can't be read or written.
///
/// Every variant carries the values it speaks of and prints as a sentence that says what to do.
/// A message says all that its cause says, so that `source()` is always `None`: the cause is a field of the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(io::Error),
    /// The error happened with this file.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: Box<FormatError>,
    },
    /// The bytes are not of the format, or damaged.
    #[error("this is no valid {format} file: {reason}")]
    Malformed {
        /// The format, such as `safetensors`.
        format: &'static str,
        /// What is wrong, where.
        reason: String,
    },
    /// A tensor can't be read or written.
    #[error("tensor `{name}` {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// The rest of the sentence: what is wrong, and what to do.
        reason: String,
    },
    /// Names, shapes or types do not fit the network, which is unchanged.
    #[error("{0}")]
    Misfit(Misfit),
    /// A layer can't be written in the format.
    #[error("{layer} `{place}` can't be written as {format}: {reason}")]
    Layer {
        /// The format, such as `ONNX`.
        format: &'static str,
        /// The layer's dotted name in the network.
        place: String,
        /// The kind of layer, such as `Conv2d`.
        layer: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A setting does not fit the network, or settings don't fit together.
    #[error("{by} can't be made: {reason}")]
    Setting {
        /// What was asked for, such as `the ONNX export`.
        by: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// A node of a graph can't be read as layers.
    #[error("node `{node}` ({operator}) can't be read: {reason}")]
    Node {
        /// The node's name, or its place in the graph.
        node: String,
        /// Its operator, such as `Conv`.
        operator: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The file describes a network that can't be built, or asks for memory that there isn't.
    #[error("the file describes a network that can't be built: {0}")]
    Build(BuildError),
}

impl FormatError {
    /// Names the file that the error happened with.
    #[cfg(any(feature = "safetensors", feature = "npz", feature = "onnx"))]
    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::File { path: path.to_owned(), cause: Box::new(self) }
    }
}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<BuildError> for FormatError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<Misfit> for FormatError {
    fn from(misfit: Misfit) -> Self {
        Self::Misfit(misfit)
    }
}

/// All names, shapes and types in which a file and a network differ, at once.
///
/// Names are those of the file, or those that it would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misfit {
    /// What the network has and the file lacks.
    pub missing: Vec<String>,
    /// What the file has and the network lacks.
    pub left_over: Vec<String>,
    /// What both have in other shapes: the name, the network's shape, the file's shape.
    pub other_shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// What the file has in another type of numbers: the name, the network's type, the file's type.
    pub other_types: Vec<(String, String, String)>,
    /// What is one parameter in the network and has two names in the file, with different numbers: both names.
    pub different: Vec<(String, String)>,
}

impl Misfit {
    /// Returns whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file does not fit the network: ")?;
        let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("it lacks {}", list(&self.missing)));
        }
        if !self.left_over.is_empty() {
            parts.push(format!("it holds {}, which the network does not have", list(&self.left_over)));
        }
        for (name, network, file) in &self.other_shapes {
            parts.push(format!("`{name}` has the shape {network:?} in the network and {file:?} in the file"));
        }
        for (name, network, file) in &self.other_types {
            parts.push(format!("`{name}` is made of {network} in the network and of {file} in the file"));
        }
        for (name, other) in &self.different {
            parts.push(format!("`{name}` and `{other}` are one parameter in the network and differ in the file"));
        }
        f.write_str(&parts.join("; "))?;
        if self.other_types.is_empty() {
            return Ok(());
        }
        f.write_str("; `Load::convert` takes numbers of other precisions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn a_message_says_its_cause_once() {
        for error in [FormatError::from(io::Error::other("the disk is on fire")), Misfit::default().into()] {
            let cause = error.to_string();
            let error = error.in_file(Path::new("model"));
            assert_eq!(error.to_string(), format!("model: {cause}"));
            assert!(error.source().is_none());
        }
    }
}
