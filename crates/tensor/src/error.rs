use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::Shape;

/// Why sizes do not fit together.
///
/// Every variant carries the values it speaks of and prints as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// A layer was given an input of the wrong rank.
    Rank {
        /// What complains, as `Affine`.
        by: &'static str,
        /// What it takes, as `a vector per example`.
        expected: &'static str,
        /// The shape it was given.
        got: Shape,
        /// What usually helps, as `put Flatten before it`; may be empty.
        hint: &'static str,
    },
    /// Two shapes that must be equal differ.
    Mismatch {
        /// What the shapes belong to, as `the two inputs of Add`.
        what: Cow<'static, str>,
        /// The first shape, or the one that was expected.
        expected: Shape,
        /// The other shape.
        got: Shape,
    },
    /// A slice or an axis holds another number of elements than its shape says.
    Length {
        /// What was counted, as `the batch`.
        what: Cow<'static, str>,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// A layer was given another number of inputs than it takes.
    Inputs {
        /// What complains.
        by: &'static str,
        /// What it takes, as `exactly one input`.
        expected: &'static str,
        /// How many it was given.
        got: usize,
    },
    /// A setting lies outside its range.
    Setting {
        /// What complains.
        by: &'static str,
        /// The whole sentence: the value, the range, what to do.
        reason: String,
    },
    /// One of the above, at a named place of a network.
    At {
        /// The dotted name of the place, as `2.0`.
        place: String,
        /// What went wrong there.
        source: Box<ShapeError>,
    },
}

impl ShapeError {
    /// The same error, said to have happened at `place`.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), source: Box::new(self) }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank { by, expected, got, hint } => {
                write!(f, "{by} takes {expected}, but was given the shape {got}")?;
                if hint.is_empty() { Ok(()) } else { write!(f, "; {hint}") }
            }
            Self::Mismatch { what, expected, got } => {
                write!(f, "{what} must have equal shapes, but one is {expected} and the other is {got}")
            }
            Self::Length { what, expected, got } => {
                write!(f, "{what} should hold {expected} elements, but holds {got}")
            }
            Self::Inputs { by, expected, got } => {
                write!(f, "{by} takes {expected}, but was given {got}")
            }
            Self::Setting { by, reason } => write!(f, "{by}: {reason}"),
            Self::At { place, source } => write!(f, "layer `{place}`: {source}"),
        }
    }
}

impl Error for ShapeError {}
