//! Layers that make one value of several: of several inputs, or of all along an axis.

mod add;
mod concat;
mod mean;
mod multiply;
mod over_axis;
mod sum;

use downhill_tensor::{Shape, ShapeError};

use crate::MAX_INPUTS;
use crate::signature::countable;

pub use add::Add;
pub use concat::Concat;
pub use mean::Mean;
pub use multiply::Multiply;
pub use sum::Sum;

/// The first input of one to eight, and the others.
fn one_or_more<'a>(by: &'static str, inputs: &'a [Shape]) -> Result<(Shape, &'a [Shape]), ShapeError> {
    let [first, others @ ..] = inputs else {
        return Err(ShapeError::Inputs { by, expected: "at least one input", got: 0 });
    };
    if inputs.len() > MAX_INPUTS {
        return Err(ShapeError::Inputs { by, expected: "at most eight inputs", got: inputs.len() });
    }
    Ok((*first, others))
}

/// The shape that all inputs have.
fn alike(by: &'static str, what: &'static str, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    let (first, others) = one_or_more(by, inputs)?;
    countable(by, first)?;
    match others.iter().find(|other| **other != first) {
        Some(other) => Err(ShapeError::Mismatch { what: what.into(), expected: first, got: *other }),
        None => Ok(first),
    }
}
