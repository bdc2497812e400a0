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
        /// The part that complains, such as `Affine`.
        by: &'static str,
        /// The inputs that it takes, such as `a vector per example`.
        expected: &'static str,
        /// The shape it was given.
        got: Shape,
        /// The advice that usually helps, such as `put Flatten before it`; may be empty.
        hint: &'static str,
    },
    /// Two shapes that must be equal differ.
    Mismatch {
        /// The things that have the shapes, such as `the two inputs of Add`.
        what: Cow<'static, str>,
        /// The first shape, or the one that was expected.
        expected: Shape,
        /// The other shape.
        got: Shape,
    },
    /// A slice or an axis holds another number of elements than its shape says.
    Length {
        /// The thing that was counted, such as `the batch`.
        what: Cow<'static, str>,
        /// The number that there should be.
        expected: usize,
        /// The number that there are.
        got: usize,
    },
    /// A layer was given another number of inputs than it takes.
    Inputs {
        /// The part that complains.
        by: &'static str,
        /// The inputs that it takes, such as `exactly one input`.
        expected: &'static str,
        /// The number of inputs that it was given.
        got: usize,
    },
    /// A shape has more elements than can be counted.
    TooLarge {
        /// The thing that has the shape, such as `an input`.
        what: Cow<'static, str>,
        /// The shape.
        shape: Shape,
    },
    /// There is not enough memory.
    Memory {
        /// The numbers that need it, such as `the parameters of the network`.
        what: Cow<'static, str>,
        /// The number of bytes that they need; `usize::MAX` if they can't be counted.
        bytes: usize,
    },
}

/// Why a layer, a network or a pass through it can't be made from what it was given.
///
/// Every variant carries the values it speaks of and prints as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Shapes or lengths do not fit, or there is not enough memory for them.
    Shape(ShapeError),
    /// A setting lies outside its range.
    Setting {
        /// The part that complains, such as `Dropout`.
        by: &'static str,
        /// The whole sentence: the value, the range, what to do.
        reason: String,
    },
    /// There is no parameter of this name.
    UnknownParameter {
        /// The part that was asked for it, such as `the network`.
        by: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Layers are wired in a way that makes no network.
    Wiring {
        /// The thing that is wired, such as `the graph`.
        by: &'static str,
        /// The whole sentence: what is wrong, what to do.
        reason: String,
    },
    /// A node belongs to another graph.
    OtherGraph {
        /// The role that the node was to have, such as `the output`.
        what: &'static str,
        /// The number of the node.
        node: usize,
    },
    /// A network was given more or fewer inputs than it has.
    InputCount {
        /// The number of the network's inputs.
        expected: usize,
        /// The number of inputs that it was given.
        got: usize,
    },
    /// An input holds a number that its layer does not take.
    Value {
        /// The layer, such as `Embedding`.
        by: &'static str,
        /// The input of the layer.
        input: usize,
        /// The place of the number in the batch.
        place: usize,
        /// The number.
        got: String,
        /// The smallest whole number that the layer takes there.
        least: usize,
        /// The largest whole number that the layer takes there.
        most: usize,
    },
    /// A batch is too small for the statistics of a training pass.
    TooFewExamples {
        /// The layer, such as `BatchNorm`.
        by: &'static str,
        /// The number of examples that it needs.
        least: usize,
        /// The number of examples in the batch.
        got: usize,
    },
    /// A workspace was made by another network.
    OtherNetwork,
    /// A workspace was made for another purpose.
    Purpose {
        /// The part that complains, such as `Network::step`.
        by: &'static str,
        /// The whole sentence: what the workspace lacks, what to do.
        reason: &'static str,
    },
    /// No backward pass has come before a step.
    NoGradient,
    /// The loss of the batch before a step is infinite or not a number.
    LossNotFinite,
    /// One of the above, at a named place of a network.
    At {
        /// The dotted name of the place, such as `2.0`.
        place: String,
        /// The error at that place.
        source: Box<BuildError>,
    },
}

impl BuildError {
    /// Names the place of the network at which the error happened.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), source: Box::new(self) }
    }
}

impl From<ShapeError> for BuildError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
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
        }
    }
}

impl Error for ShapeError {}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(f),
            Self::Setting { by, reason } | Self::Wiring { by, reason } => write!(f, "{by}: {reason}"),
            Self::UnknownParameter { by, name, known } => {
                write!(f, "{by}: there is no parameter `{name}`; there ")?;
                match &known[..] {
                    [] => f.write_str("are none"),
                    [one] => write!(f, "is `{one}`"),
                    known => write!(f, "are `{}`", known.join("`, `")),
                }
            }
            Self::OtherGraph { what, node } => write!(f, "the graph: {what}, node {node}, belongs to another graph"),
            Self::InputCount { expected, got } => {
                write!(f, "the network: the number of its inputs is {expected}, but it was given {got}")
            }
            Self::Value { by, input, place, got, least, most } => write!(
                f,
                "{by}: number {place} of input {input} is {got}, but only whole numbers from {least} to {most} are \
                 allowed there"
            ),
            Self::TooFewExamples { by, least, got } => write!(
                f,
                "{by}: a training pass needs at least {least} examples here, because the statistics of one value per \
                 channel are not defined, but the batch has {got}"
            ),
            Self::OtherNetwork => {
                f.write_str("the workspace: it was made by another network; make one with the `workspace` of this one")
            }
            Self::Purpose { by, reason } => write!(f, "{by}: {reason}"),
            Self::NoGradient => f.write_str(
                "Network::step: there is no gradient to step against; make a backward pass before each step",
            ),
            Self::LossNotFinite => f.write_str(
                "Network::step: the loss of the last batch is not a finite number, and a step against its gradient would \
                 spoil the parameters; look at the batch, the targets and the learning rate",
            ),
            Self::At { place, source } => write!(f, "layer `{place}`: {source}"),
        }
    }
}

impl Error for BuildError {}

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
    fn a_name_that_there_is_not_comes_with_those_that_there_are() {
        let unknown = |known: &[&str]| {
            let known = known.iter().map(|&name| name.to_owned()).collect();
            BuildError::UnknownParameter { by: "Affine", name: "wight".into(), known }.at("2").to_string()
        };
        let start = "layer `2`: Affine: there is no parameter `wight`; there ";
        assert_eq!(unknown(&[]), format!("{start}are none"));
        assert_eq!(unknown(&["weight"]), format!("{start}is `weight`"));
        assert_eq!(unknown(&["weight", "bias"]), format!("{start}are `weight`, `bias`"));
    }

    #[test]
    fn memory_that_there_is_not_is_said_in_bytes() {
        let needs = |bytes| ShapeError::Memory { what: "the batch".into(), bytes }.to_string();
        assert_eq!(needs(1 << 38), "the batch would need 274877906944 bytes, which there are not; take smaller sizes");
        assert!(needs(usize::MAX).contains("more bytes than can be counted"));
    }
}
