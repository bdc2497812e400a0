use downhill_tensor::{BuildError, Scalar, Shape};

use super::average::{self, EVEN};
use super::{image, sequence};
use crate::{Backward, Forward, Layer, Pair, Signature};

/// The means of as many windows as the output is long: window i holds x[⌊i n/m⌋] up to x[⌈(i + 1) n/m⌉ − 1].
///
/// dyᵢ/dx is 1 over the length of window i, for each number that it holds.
/// Windows overlap by one number where the length n of x is no multiple of the length m of y.
///
/// # Shapes
/// x is (batch, channels, n), y is (batch, channels, m).
///
/// # Errors
/// Building a network returns an error for a length of 0, of x or of y.
///
/// Windows lie as in PyTorch.
///
/// Derivation: `docs/derivations/layers/adaptive-average-pool1d.md`.
///
/// ```
/// use downhill_layers::{AdaptiveAveragePool1d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = AdaptiveAveragePool1d::new(2).bind::<f64>([1, 3], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 3.0, 5.0]])?, array![[2.0, 4.0]]);
/// assert_eq!(pool.backward([[2.0, 4.0]])?, array![[1.0, 3.0, 2.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdaptiveAveragePool1d {
    output: usize,
}

/// The means of as many windows as the output has rows and columns, each axis as in
/// [`AdaptiveAveragePool1d`].
///
/// dyᵢⱼ/dx is 1 over the area of window (i, j), for each number that it holds.
///
/// # Shapes
/// x is (batch, channels, rows, columns), y is (batch, channels, output rows, output columns).
///
/// # Errors
/// Building a network returns an error for an axis of length 0, of x or of y.
///
/// Windows lie as in PyTorch.
///
/// Derivation: `docs/derivations/layers/adaptive-average-pool2d.md`.
///
/// ```
/// use downhill_layers::{AdaptiveAveragePool2d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = AdaptiveAveragePool2d::new([1, 2]).bind::<f64>([1, 2, 2], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 2.0, 3.0, 6.0]])?, array![[2.0, 4.0]]);
/// assert_eq!(pool.backward([[2.0, 4.0]])?, array![[1.0, 2.0, 1.0, 2.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdaptiveAveragePool2d {
    output: [usize; 2],
}

impl AdaptiveAveragePool1d {
    /// Creates a pool to `output` numbers for each channel.
    #[must_use]
    pub fn new(output: usize) -> Self {
        Self { output }
    }
}

impl AdaptiveAveragePool2d {
    /// Creates a pool to `output` rows and columns for each channel.
    #[must_use]
    pub fn new(output: impl Into<Pair>) -> Self {
        Self { output: output.into().0 }
    }
}

fn check(layer: &'static str, input: usize, output: usize) -> Result<usize, BuildError> {
    if input > 0 && output > 0 {
        return Ok(output);
    }
    refuse!(layer, "an axis of {input} can't be averaged to one of {output}; both must be at least 1")
}

impl Layer for AdaptiveAveragePool1d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, length] = sequence("AdaptiveAveragePool1d", inputs)?;
        let length = check("AdaptiveAveragePool1d", length, self.output)?;
        signature("AdaptiveAveragePool1d", &[channels, length])
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        average::forward(EVEN, pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        average::backward(EVEN, pass);
    }
}

impl Layer for AdaptiveAveragePool2d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, rows, columns] = image("AdaptiveAveragePool2d", inputs)?;
        let down = check("AdaptiveAveragePool2d", rows, self.output[0])?;
        let across = check("AdaptiveAveragePool2d", columns, self.output[1])?;
        signature("AdaptiveAveragePool2d", &[channels, down, across])
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        average::forward(EVEN, pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        average::backward(EVEN, pass);
    }
}

fn signature(layer: &'static str, output: &[usize]) -> Result<Signature, BuildError> {
    let Some(output) = Shape::new(output) else {
        return refuse!(layer, "the output {output:?} has too many elements");
    };
    Ok(Signature::new(layer, output).backward_without_x().backward_without_y())
}
