//! Layers that turn places in a table into vectors, and that tell steps of a sequence apart.

#[expect(clippy::module_inception, reason = "a file bears the name of its layer")]
mod embedding;
mod learnt_positions;
mod rotary_positions;
mod sinusoidal_positions;

use downhill_tensor::{BuildError, Scalar, Shape};

use crate::errors::wrong_rank;
use crate::single_input;

pub use embedding::Embedding;
pub use learnt_positions::LearntPositions;
pub use rotary_positions::RotaryPositions;
pub use sinusoidal_positions::SinusoidalPositions;

/// base^(−2 pair / width): by how much the angle of this pair of features grows from one step to the next.
///
/// Angles are always computed as `f64`: at step 10000 an `f32` has lost three digits of them.
#[inline(always)]
fn frequency(pair: usize, width: usize, log_base: f64) -> f64 {
    Scalar::exp(-log_base * (2 * pair) as f64 / width as f64)
}

/// The only input of a layer of (steps, features).
fn sequence(by: &'static str, inputs: &[Shape]) -> Result<Shape, BuildError> {
    let x = single_input(by, inputs)?;
    if x.rank() == 2 { Ok(x) } else { Err(wrong_rank(by, x, "examples of steps and features", "")) }
}

/// Checks the base of the frequencies.
fn check_base(by: &'static str, base: f64) -> Result<(), BuildError> {
    if base > 0.0 && base.is_finite() {
        return Ok(());
    }
    refuse!(by, "the base of the frequencies must be a finite number above 0, but is {base}")
}
