use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use super::window::{Window, Windows};
use super::{image, plane, sequence};
use crate::{Backward, Extent, Forward, Layer, Pair, Signature};

/// The largest number of each window along a sequence: yᵢ = maxₖ x[s i + d k − p], k < kernel.
///
/// dyᵢ/dx is 1 for the number that was chosen and 0 for the others, so that dJ/dx gathers dy where it came from.
/// Of equals the first is chosen; what is not a number is always chosen, so that it goes through.
/// Padding is never chosen.
///
/// # Shapes
/// x is (batch, channels, length), y is (batch, channels, windows) with
/// windows = ⌊(length + 2p − d (kernel − 1) − 1) / s⌋ + 1, rounded up with
/// [`ceil_mode`](MaxPool1d::ceil_mode) where the last window still begins before the end.
///
/// # Errors
/// Building a network returns an error for a kernel, stride or dilation of 0, a padding of more than half the kernel, a
/// window that holds nothing but padding, or one that is longer than the padded input; with
/// [`ceil_mode`](MaxPool1d::ceil_mode), longer by a stride or more.
///
/// The stride is the kernel by default, as in PyTorch and Keras; in ONNX it is 1.
///
/// Derivation: `docs/derivations/layers/max-pool1d.md`.
///
/// ```
/// use downhill_layers::{Layer, MaxPool1d};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = MaxPool1d::new(2).bind::<f64>([1, 4], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 3.0, 5.0, 5.0]])?, array![[3.0, 5.0]]);
/// assert_eq!(pool.backward([[1.0, 2.0]])?, array![[0.0, 1.0, 2.0, 0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MaxPool1d {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    ceil_mode: bool,
}

/// The largest number of each window of an image: yᵢⱼ = max x[s i + d k − p, s' j + d' l − p'], k, l < kernel.
///
/// dyᵢⱼ/dx is 1 for the number that was chosen and 0 for the others, so that dJ/dx gathers dy where it came from.
/// Of equals the first is chosen, row by row; what is not a number is always chosen, so that it goes through.
/// Padding is never chosen.
///
/// # Shapes
/// x is (batch, channels, rows, columns), y is (batch, channels, windows down, windows across), each as for
/// [`MaxPool1d`].
///
/// # Errors
/// Returns the errors of [`MaxPool1d`].
///
/// The stride is the kernel by default, as in PyTorch and Keras; in ONNX it is 1.
///
/// Derivation: `docs/derivations/layers/max-pool2d.md`.
///
/// ```
/// use downhill_layers::{Layer, MaxPool2d};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = MaxPool2d::new(2).bind::<f64>([1, 2, 4], Seed(0))?;
/// let x = array![[1.0, 2.0, 5.0, 5.0, 4.0, 3.0, 0.0, 5.0]];
/// assert_eq!(pool.forward(&x)?, array![[4.0, 5.0]]);
/// assert_eq!(pool.backward([[1.0, 2.0]])?, array![[0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MaxPool2d {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    ceil_mode: bool,
}

impl MaxPool1d {
    /// Creates a pool of windows of `kernel` numbers, side by side.
    #[must_use]
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: kernel, padding: 0, dilation: 1, ceil_mode: false }
    }

    setters! {
        /// Sets the distance s from one window to the next.
        stride: usize;
        /// Sets the distance p by which the windows reach over either end.
        padding: usize;
        /// Sets the distance d from one number of a window to the next.
        dilation: usize;
        /// Lets a last window hang over the end, so that the number of windows is rounded up, not down.
        ceil_mode() ceil_mode = true;
    }

    fn windows(&self) -> [Window; 2] {
        let Self { kernel, stride, padding, dilation, ceil_mode } = *self;
        [Window::ONE, Window { kernel, stride, padding, dilation, ceil_mode }]
    }
}

impl MaxPool2d {
    /// Creates a pool of windows of `kernel` rows and columns, side by side.
    #[must_use]
    pub fn new(kernel: impl Into<Pair>) -> Self {
        let Pair(kernel) = kernel.into();
        Self { kernel, stride: kernel, padding: [0; 2], dilation: [1; 2], ceil_mode: false }
    }

    setters! {
        /// Sets the distance s from one window to the next.
        stride(stride: impl Into<Pair>) stride = stride.into().0;
        /// Sets the distance p by which the windows reach over the edges.
        padding(padding: impl Into<Pair>) padding = padding.into().0;
        /// Sets the distance d from one number of a window to the next.
        dilation(dilation: impl Into<Pair>) dilation = dilation.into().0;
        /// Lets a last window hang over the end, so that the number of windows is rounded up, not down.
        ceil_mode() ceil_mode = true;
    }

    fn windows(&self) -> [Window; 2] {
        let Self { kernel, stride, padding, dilation, ceil_mode } = *self;
        [0, 1].map(|axis| Window {
            kernel: kernel[axis],
            stride: stride[axis],
            padding: padding[axis],
            dilation: dilation[axis],
            ceil_mode,
        })
    }
}

impl Layer for MaxPool1d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, length] = sequence("MaxPool1d", inputs)?;
        let [_, window] = self.windows();
        let windows = window.count("MaxPool1d", length)?;
        signature("MaxPool1d", [channels, windows], self.kernel)
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        forward(self.windows(), pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        backward(self.windows(), pass);
    }
}

impl Layer for MaxPool2d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, rows, columns] = image("MaxPool2d", inputs)?;
        let [down, across] = self.windows();
        let (down, across) = (down.count("MaxPool2d", rows)?, across.count("MaxPool2d", columns)?);
        signature("MaxPool2d", [channels, down, across], self.kernel[0].saturating_mul(self.kernel[1]))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        forward(self.windows(), pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        backward(self.windows(), pass);
    }
}

/// Up to here `f32` holds every whole number.
const LARGEST_KERNEL: usize = 1 << 24;

/// Saves which place of its kernel each window has chosen, so that the backward pass reads neither x nor y and searches
/// nothing.
fn signature(layer: &'static str, output: impl Into<Shape>, kernel: usize) -> Result<Signature, BuildError> {
    if kernel > LARGEST_KERNEL {
        return refuse!(layer, "a window may hold 2^24 numbers at most, but holds {kernel}");
    }
    let output = output.into();
    Ok(Signature::new(layer, output)
        .saves("chosen", output, Extent::PerExample)
        .backward_without_x()
        .backward_without_y())
}

/// The windows over rows and over columns.
#[derive(Clone, Copy)]
struct Largest {
    down: Windows,
    across: Windows,
}

impl Largest {
    fn new([down, across]: [Window; 2], input: Shape, output: Shape) -> Self {
        let ([rows, columns], [y_rows, y_columns]) = (plane(input), plane(output));
        Self { down: down.over(rows, y_rows), across: across.over(columns, y_columns) }
    }

    /// The numbers of a channel of x, and of one of y.
    fn planes(self) -> (usize, usize) {
        (self.down.input() * self.across.input(), self.down.count() * self.across.count())
    }

    fn are_pairs(self) -> bool {
        self.down.are_pairs() && self.across.are_pairs()
    }
}

fn forward<T: Scalar>(windows: [Window; 2], pass: &mut Forward<'_, T>) {
    let x = pass.x[0];
    let largest = Largest::new(windows, x.shape(), pass.y.shape());
    let (inputs, outputs) = largest.planes();
    let work = pass.y.slice().len() * largest.down.kernel() * largest.across.kernel();
    let (x, y) = (Runs::new(x.slice(), inputs), RunsMut::new(pass.y.slice(), outputs));
    parallel_runs(Over(largest, (x, y, RunsMut::new(pass.saved.vector(0), outputs))), work);
}

fn backward<T: Scalar>(windows: [Window; 2], pass: &mut Backward<'_, T>) {
    let Some(dx) = pass.dx.get(0) else { return };
    let largest = Largest::new(windows, dx.shape(), pass.dy.shape());
    let (inputs, outputs) = largest.planes();
    let (chosen, dy, dx) = (pass.saved.vector(0), pass.dy.slice(), dx.slice());
    let work = dx.len() + chosen.len();
    let (chosen, dy) = (Runs::new(chosen, outputs), Runs::new(dy, outputs));
    parallel_runs(Over(largest, (chosen, dy, RunsMut::new(dx, inputs))), work);
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)> for Largest {
    #[inline(always)]
    fn sweep(self, (x, y, chosen): (Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)) {
        for ((x, y), chosen) in x.iter().zip(y.iter_mut()).zip(chosen.iter_mut()) {
            if self.are_pairs() {
                self.pairs(x, y, chosen);
            } else {
                self.windows(x, y, chosen);
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)> for Largest {
    #[inline(always)]
    fn sweep(self, (chosen, dy, dx): (Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)) {
        for ((chosen, dy), dx) in chosen.iter().zip(dy.iter()).zip(dx.iter_mut()) {
            if self.are_pairs() {
                self.pairs_backward(chosen, dy, dx);
            } else {
                self.windows_backward(chosen, dy, dx);
            }
        }
    }
}

/// One channel at a time.
impl Largest {
    // Plain loops: over an iterator that makes the windows first, the compiler gives up on vectors.
    #[inline(always)]
    fn pairs<T: Scalar>(self, x: &[T], y: &mut [T], chosen: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        let rows = x.chunks_exact(2 * width).zip(y.chunks_exact_mut(across));
        for ((x, y), chosen) in rows.zip(chosen.chunks_exact_mut(across)) {
            let (above, below) = two_rows(x);
            for ((y, chosen), (&[a, b], &[c, d])) in y.iter_mut().zip(chosen).zip(above.iter().zip(below)) {
                (*y, *chosen) = first_largest([a, b, c, d]);
            }
        }
    }

    #[inline(always)]
    fn windows<T: Scalar>(self, x: &[T], y: &mut [T], chosen: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        for (i, y) in y.chunks_exact_mut(across).enumerate() {
            for (j, y) in y.iter_mut().enumerate() {
                let (mut largest, mut place) = (-T::INFINITY, None);
                for k in self.down.taps(i) {
                    let row = &x[self.down.position(i, k) * width..][..width];
                    for l in self.across.taps(j) {
                        let x = row[self.across.position(j, l)];
                        if (x > largest) | x.is_nan() | place.is_none() {
                            (largest, place) = (x, Some(k * self.across.kernel() + l));
                        }
                    }
                }
                *y = largest;
                if let Some(place) = place {
                    chosen[i * across + j] = T::from_f64(place as f64);
                }
            }
        }
    }

    #[inline(always)]
    fn pairs_backward<T: Scalar>(self, chosen: &[T], dy: &[T], dx: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        let rows = chosen.chunks_exact(across).zip(dy.chunks_exact(across));
        let (whole, rest) = dx.split_at_mut(2 * width * self.down.count());
        rest.fill(T::ZERO);
        for ((chosen, dy), dx) in rows.zip(whole.chunks_exact_mut(2 * width)) {
            let (above, below) = dx.split_at_mut(width);
            let ((above, above_rest), (below, below_rest)) = (above.as_chunks_mut(), below.as_chunks_mut());
            above_rest.fill(T::ZERO);
            below_rest.fill(T::ZERO);
            for ((&chosen, &dy), (above, below)) in chosen.iter().zip(dy).zip(above.iter_mut().zip(below)) {
                let at = |place: f64| if chosen == T::from_f64(place) { dy } else { T::ZERO };
                (*above, *below) = ([at(0.0), at(1.0)], [at(2.0), at(3.0)]);
            }
        }
    }

    #[inline(always)]
    fn windows_backward<T: Scalar>(self, chosen: &[T], dy: &[T], dx: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        dx.fill(T::ZERO);
        for (i, (chosen, dy)) in chosen.chunks_exact(across).zip(dy.chunks_exact(across)).enumerate() {
            for (j, (&chosen, &dy)) in chosen.iter().zip(dy).enumerate() {
                let place = chosen.to_f64() as usize;
                let (k, l) = (place / self.across.kernel(), place % self.across.kernel());
                dx[self.down.position(i, k) * width + self.across.position(j, l)] += dy;
            }
        }
    }
}

/// The pairs of one row, and those of the row below.
#[inline(always)]
fn two_rows<T>(x: &[T]) -> (&[[T; 2]], &[[T; 2]]) {
    let (above, below) = x.split_at(x.len() / 2);
    (above.as_chunks().0, below.as_chunks().0)
}

/// The largest of a window of two by two, and its place: the first of equals, the last that is not a number.
#[inline(always)]
fn first_largest<T: Scalar>([a, b, c, d]: [T; 4]) -> (T, T) {
    let larger = |(largest, place): (T, T), (x, k): (T, f64)| {
        let wins = (x > largest) | x.is_nan();
        (if wins { x } else { largest }, if wins { T::from_f64(k) } else { place })
    };
    larger(larger(larger((a, T::ZERO), (b, 1.0)), (c, 2.0)), (d, 3.0))
}
