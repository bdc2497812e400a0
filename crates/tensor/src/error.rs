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
    /// A shape has more elements than can be counted.
    TooLarge {
        /// What has the shape, as `an input`.
        what: Cow<'static, str>,
        /// The shape.
        shape: Shape,
    },
    /// There is not enough memory.
    Memory {
        /// What needs it, as `the parameters of the network`.
        what: Cow<'static, str>,
        /// How many bytes it needs; `usize::MAX` if they can't be counted.
        bytes: usize,
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
                write!(f, "{what} must have equal shapes, but one is {expected} and the other is {got}")?;
                match expected.len() {
                    numbers if numbers == got.len() && expected != got => write!(
                        f,
                        "; both hold {numbers} numbers: reshape {got} to {expected} if the numbers lie in that order, or \
                         else put its axes in that order"
                    ),
                    _ => Ok(()),
                }
            }
            Self::Length { what, expected, got } => {
                write!(f, "{what} should hold {expected} elements, but holds {got}")
            }
            Self::Inputs { by, expected, got } => {
                write!(f, "{by} takes {expected}, but was given {got}")
            }
            Self::Setting { by, reason } => write!(f, "{by}: {reason}"),
            Self::TooLarge { what, shape } => write!(
                f,
                "{what} has the shape {shape}, which is too large: its axes, those of 0 counted as 1, must multiply \
                 to fewer than 2^{}",
                if usize::BITS == 64 { 40 } else { 28 }
            ),
            Self::Memory { what, bytes: usize::MAX } => {
                write!(f, "{what} would need more bytes than can be counted; take smaller sizes")
            }
            Self::Memory { what, bytes } => {
                write!(f, "{what} would need {bytes} bytes, which there are not; take smaller sizes")
            }
            Self::At { place, source } => write!(f, "layer `{place}`: {source}"),
        }
    }
}

impl Error for ShapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_equally_many_numbers_are_told_how_to_agree() {
        let mismatch = |expected: &[usize], got: &[usize]| {
            let [expected, got] = [expected, got].map(|axes| Shape::new(axes).unwrap());
            ShapeError::Mismatch { what: "both".into(), expected, got }.to_string()
        };
        let reshape = mismatch(&[1, 28, 28], &[784]);
        assert!(reshape.ends_with("both hold 784 numbers: reshape 784 to 1x28x28 if the numbers lie in that order, or else put its axes in that order"), "{reshape}");
        assert!(mismatch(&[2], &[3]).ends_with("one is 2 and the other is 3"));
    }

    #[test]
    fn memory_that_there_is_not_is_said_in_bytes() {
        let needs = |bytes| ShapeError::Memory { what: "the batch".into(), bytes }.to_string();
        assert_eq!(needs(1 << 38), "the batch would need 274877906944 bytes, which there are not; take smaller sizes");
        assert!(needs(usize::MAX).contains("more bytes than can be counted"));
    }
}
