use downhill_tensor::{BuildError, Scalar, Shape};

use super::average::{self, Layout};
use super::window::Window;
use super::{image, sequence};
use crate::{Backward, Forward, Layer, Pair, Signature};

/// The mean of each window along a sequence: yᵢ = (1/n) Σₖ x[s i + k − p], k < kernel.
///
/// dyᵢ/dx = 1/n for each number of the window, so that dJ/dx spreads dy evenly over it.
/// n is the kernel, of which no more counts than reaches the end of the padding; padding is zeros.
/// [`exclude_padding`](AveragePool1d::exclude_padding) makes n what a window holds of the input.
///
/// # Shapes
/// x is (batch, channels, length), y is (batch, channels, windows) with windows = ⌊(length + 2p − kernel) / s⌋ + 1,
/// rounded up with [`ceil_mode`](AveragePool1d::ceil_mode) where the last window still begins before the end.
///
/// # Errors
/// Building a network returns an error for a kernel or stride of 0, a padding of more than half the kernel, a window
/// longer than the padded input; with [`ceil_mode`](AveragePool1d::ceil_mode), one that is longer by a stride or more.
///
/// Padding counts by default as in PyTorch; in Keras and ONNX it does not.
///
/// Derivation: `docs/derivations/layers/average-pool1d.md`.
///
/// ```
/// use downhill_layers::{AveragePool1d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = AveragePool1d::new(2).bind::<f64>([1, 4], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 3.0, 5.0, 6.0]])?, array![[2.0, 5.5]]);
/// assert_eq!(pool.backward([[1.0, 2.0]])?, array![[0.5, 0.5, 1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AveragePool1d {
    kernel: usize,
    stride: usize,
    padding: usize,
    ceil_mode: bool,
    count_include_pad: bool,
}

/// The mean of each window of an image: yᵢⱼ = (1/n) Σₖₗ x[s i + k − p, s' j + l − p'], k, l < kernel.
///
/// dyᵢⱼ/dx = 1/n for each number of the window, so that dJ/dx spreads dy evenly over it.
/// n is the kernel's area, of which no more counts than reaches the end of the padding; padding is zeros.
/// [`exclude_padding`](AveragePool2d::exclude_padding) makes n what a window holds of the input.
///
/// # Shapes
/// x is (batch, channels, rows, columns), y is (batch, channels, windows down, windows across), each as for
/// [`AveragePool1d`].
///
/// # Errors
/// Returns the errors of [`AveragePool1d`].
///
/// Padding counts by default as in PyTorch; in Keras and ONNX it does not.
///
/// Derivation: `docs/derivations/layers/average-pool2d.md`.
///
/// ```
/// use downhill_layers::{AveragePool2d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = AveragePool2d::new(2).bind::<f64>([1, 2, 2], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 2.0, 3.0, 6.0]])?, array![[3.0]]);
/// assert_eq!(pool.backward([[4.0]])?, array![[1.0, 1.0, 1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AveragePool2d {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    ceil_mode: bool,
    count_include_pad: bool,
}

impl AveragePool1d {
    /// Creates a pool of windows of `kernel` numbers, side by side.
    #[must_use]
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: kernel, padding: 0, ceil_mode: false, count_include_pad: true }
    }

    setters! {
        /// Sets the distance s from one window to the next.
        stride: usize;
        /// Sets the number p of zeros before and after the sequence.
        padding: usize;
        /// Lets a last window hang over the end, so that the number of windows is rounded up, not down.
        ceil_mode() ceil_mode = true;
        /// Divides by the number of elements of the input in a window, without the padding.
        exclude_padding() count_include_pad = false;
    }

    fn windows(&self) -> [Window; 2] {
        let Self { kernel, stride, padding, ceil_mode, .. } = *self;
        [Window::ONE, Window { kernel, stride, padding, dilation: 1, ceil_mode }]
    }

    fn layouts(&self) -> [Layout; 2] {
        self.windows().map(|window| Layout::Sliding { window, counts_padding: self.count_include_pad })
    }
}

impl AveragePool2d {
    /// Creates a pool of windows of `kernel` rows and columns, side by side.
    #[must_use]
    pub fn new(kernel: impl Into<Pair>) -> Self {
        let Pair(kernel) = kernel.into();
        Self { kernel, stride: kernel, padding: [0; 2], ceil_mode: false, count_include_pad: true }
    }

    setters! {
        /// Sets the distance s from one window to the next.
        stride(stride: impl Into<Pair>) stride = stride.into().0;
        /// Sets the number p of rows and columns of zeros before and after the image.
        padding(padding: impl Into<Pair>) padding = padding.into().0;
        /// Lets a last window hang over the end, so that the number of windows is rounded up, not down.
        ceil_mode() ceil_mode = true;
        /// Divides by the number of elements of the input in a window, without the padding.
        exclude_padding() count_include_pad = false;
    }

    fn windows(&self) -> [Window; 2] {
        let Self { kernel, stride, padding, ceil_mode, .. } = *self;
        [0, 1].map(|axis| Window {
            kernel: kernel[axis],
            stride: stride[axis],
            padding: padding[axis],
            dilation: 1,
            ceil_mode,
        })
    }

    fn layouts(&self) -> [Layout; 2] {
        self.windows().map(|window| Layout::Sliding { window, counts_padding: self.count_include_pad })
    }
}

impl Layer for AveragePool1d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, length] = sequence("AveragePool1d", inputs)?;
        let [_, window] = self.windows();
        let output = [channels, window.count("AveragePool1d", length)?];
        Ok(Signature::new("AveragePool1d", output).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        average::forward(self.layouts(), pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        average::backward(self.layouts(), pass);
    }
}

impl Layer for AveragePool2d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, rows, columns] = image("AveragePool2d", inputs)?;
        let [down, across] = self.windows();
        let output = [channels, down.count("AveragePool2d", rows)?, across.count("AveragePool2d", columns)?];
        Ok(Signature::new("AveragePool2d", output).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        average::forward(self.layouts(), pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        average::backward(self.layouts(), pass);
    }
}
