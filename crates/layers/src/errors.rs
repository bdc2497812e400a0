//! The checks that several layers make of their inputs and settings, and the errors of those that fail.

use std::borrow::Cow;

use downhill_tensor::{BuildError, Shape, ShapeError};

/// `Err` of settings or sizes that the layer can't work with: `refuse!(layer, "format", arguments)`.
macro_rules! refuse {
    ($by:expr, $($reason:tt)+) => {
        Err(downhill_tensor::BuildError::Setting { by: $by, reason: format!($($reason)+) })
    };
}

/// The error of an example with too few axes, or too many.
pub(crate) fn wrong_rank(by: &'static str, got: Shape, expected: &'static str, hint: &'static str) -> BuildError {
    ShapeError::Rank { by, expected, got, hint }.into()
}

/// The number of channels, which are the first axis of an example.
pub(crate) fn channels(by: &'static str, x: Shape) -> Result<usize, BuildError> {
    let channels = x.axes().first().copied();
    channels.ok_or_else(|| wrong_rank(by, x, "examples whose first axis is the channels", ""))
}

/// The length of an axis of an example, if it has that axis.
pub(crate) fn length_of(axis: usize, by: &'static str, x: Shape) -> Result<usize, BuildError> {
    match x.axes().get(axis) {
        Some(&length) => Ok(length),
        None => refuse!(by, "there is no axis {axis} in examples of shape {x}; axes are counted from 0"),
    }
}

/// The shape with these axes, if its elements can be counted.
pub(crate) fn shape_of(axes: &[usize], by: &'static str) -> Result<Shape, BuildError> {
    match Shape::new(axes) {
        Some(shape) => Ok(shape),
        None => refuse!(by, "the shape {axes:?} has too many elements"),
    }
}

/// Checks that an input holds one number for each example, as the lengths of sequences do.
pub(crate) fn check_lengths(what: impl Into<Cow<'static, str>>, got: Shape) -> Result<(), ShapeError> {
    let expected = Shape::from([1]);
    if got == expected { Ok(()) } else { Err(ShapeError::Mismatch { what: what.into(), expected, got }) }
}
