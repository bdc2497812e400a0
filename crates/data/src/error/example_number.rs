use std::fmt;

/// The place of a number in an example, or in a row of a matrix; every place is counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExampleNumber {
    /// A number of an input.
    Input {
        /// Which input, the first of all being 0.
        input: usize,
        /// The place of the number in it.
        place: usize,
        /// The name of the feature, if it has one.
        name: Option<String>,
    },
    /// A number of the target.
    Target {
        /// Its place in the target.
        place: usize,
    },
    /// A column of a matrix.
    Feature {
        /// The column.
        place: usize,
    },
}

impl fmt::Display for ExampleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { input: 0, place, name: Some(name) } => write!(f, "input {place} (`{name}`)"),
            Self::Input { input: 0, place, .. } => write!(f, "input {place}"),
            Self::Input { input, place, .. } => write!(f, "input {input}, number {place}"),
            Self::Target { place } => write!(f, "target {place}"),
            Self::Feature { place } => write!(f, "feature {place}"),
        }
    }
}
