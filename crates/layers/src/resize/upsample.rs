use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use crate::errors::shape_of;
use crate::pooling::image;
use crate::{Backward, Forward, Layer, Pair, Signature};

/// The way in which numbers between those of an image are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Interpolation {
    /// The number at ⌊i s⌋ in rows and in columns, where s is the size of x over that of y.
    #[default]
    Nearest,
    /// Along straight lines between the neighbours of (i + ½) s − ½: numbers stand in the middle of pixels.
    Bilinear,
    /// Along straight lines between the neighbours of i s with s = (size of x − 1) / (size of y − 1):
    /// the corners of x stand at the corners of y.
    BilinearAlignedCorners,
}

/// Makes images larger, or smaller, by interpolation: the nearest number, unless another interpolation is set.
///
/// Each number of y is a mean of up to four of x with weights w, yᵢ = Σⱼ wᵢⱼ xⱼ, so that dxⱼ = Σᵢ wᵢⱼ dyᵢ.
///
/// # Shapes
/// x is (batch, channels, rows, columns), y is (batch, channels, ⌊f rows⌋, ⌊f' columns⌋), or of the size that is named.
///
/// # Errors
/// Building a network returns an error for factors that are not positive and finite, and axes of 0.
///
/// The numbers are PyTorch's: s is 1/f where a factor is named, not the size of x over that of y, and `Nearest` is its
/// `nearest`, which agrees with OpenCV, and not its `nearest-exact`, which looks from the middle of pixels as
/// `tf.image.resize` does.
///
/// Derivation: `docs/derivations/layers/upsample.md`.
///
/// ```
/// use downhill_layers::{Interpolation, Layer, Upsample};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut nearest = Upsample::new([1.0, 2.0]).bind::<f64>([1, 1, 2], Seed(0))?;
/// assert_eq!(nearest.forward([[1.0, 3.0]])?, array![[1.0, 1.0, 3.0, 3.0]]);
/// assert_eq!(nearest.backward([[1.0, 2.0, 3.0, 4.0]])?, array![[3.0, 7.0]]);
///
/// let lines = Upsample::to_size([1, 3]).interpolation(Interpolation::BilinearAlignedCorners);
/// let mut lines = lines.bind::<f64>([1, 1, 2], Seed(0))?;
/// assert_eq!(lines.forward([[1.0, 3.0]])?, array![[1.0, 2.0, 3.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Upsample {
    target: OutputSize,
    interpolation: Interpolation,
}

/// The size of the output: (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum OutputSize {
    Factor([f64; 2]),
    Size([usize; 2]),
}

impl Upsample {
    /// Creates a layer that scales by this factor, whole or not, for both axes or for rows and columns.
    #[must_use]
    pub fn new(factor: impl Into<Pair<f64>>) -> Self {
        Self { target: OutputSize::Factor(factor.into().0), interpolation: Interpolation::default() }
    }

    /// Creates a layer that scales to this number of rows and columns.
    #[must_use]
    pub fn to_size(size: impl Into<Pair>) -> Self {
        Self { target: OutputSize::Size(size.into().0), interpolation: Interpolation::default() }
    }

    setters! {
        /// Sets how numbers between those of x are computed.
        interpolation: Interpolation;
    }

    /// The length in y of an axis of this length in x.
    fn length(&self, axis: usize, input: usize) -> Result<usize, BuildError> {
        let length = match self.target {
            OutputSize::Size(size) => size[axis],
            OutputSize::Factor(factor) if factor[axis] > 0.0 && factor[axis].is_finite() => {
                (input as f64 * factor[axis]).floor() as usize
            }
            OutputSize::Factor(factor) => {
                return refuse!("Upsample", "factors must be positive and finite, but these are {factor:?}");
            }
        };
        if input == 0 || length == 0 {
            return refuse!("Upsample", "an axis of {input} can't become one of {length}; both must be at least 1");
        }
        Ok(length)
    }

    /// The two axes, once they are known to fit.
    fn axes(&self, input: Shape, output: Shape) -> [Axis; 2] {
        [0, 1].map(|axis| {
            let (input, output) = (input[axis + 1], output[axis + 1]);
            let step = match (self.interpolation, self.target) {
                (Interpolation::BilinearAlignedCorners, _) if output == 1 => 0.0,
                (Interpolation::BilinearAlignedCorners, _) => (input - 1) as f64 / (output - 1) as f64,
                (_, OutputSize::Factor(factor)) => 1.0 / factor[axis],
                (_, OutputSize::Size(_)) => input as f64 / output as f64,
            };
            Axis { input, output, step, aligned: self.interpolation == Interpolation::BilinearAlignedCorners }
        })
    }
}

impl Layer for Upsample {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let [channels, rows, columns] = image("Upsample", inputs)?;
        let axes = [channels, self.length(0, rows)?, self.length(1, columns)?];
        Ok(Signature::new("Upsample", shape_of(&axes, "Upsample")?).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let x = pass.x[0];
        let [down, across] = self.axes(x.shape(), pass.y.shape());
        let y = pass.y.slice();
        let work = y.len();
        let parts = (Runs::new(x.slice(), down.input * across.input), RunsMut::new(y, down.output * across.output));
        match self.interpolation {
            Interpolation::Nearest => parallel_runs(Over(Nearest([down, across]), parts), work),
            _ => parallel_runs(Over(Bilinear([down, across]), parts), work),
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let Some(dx) = pass.dx.get(0) else { return };
        let [down, across] = self.axes(dx.shape(), pass.dy.shape());
        let dy = pass.dy.slice();
        let work = dy.len();
        let dy = Runs::new(dy, down.output * across.output);
        let parts = (dy, RunsMut::new(dx.slice(), down.input * across.input));
        match self.interpolation {
            Interpolation::Nearest => parallel_runs(Over(Back(Nearest([down, across])), parts), work),
            _ => parallel_runs(Over(Back(Bilinear([down, across])), parts), work),
        }
    }
}

/// The places in x that an axis of y is computed from.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    /// The distance in x from one number of y to the next.
    step: f64,
    aligned: bool,
}

impl Axis {
    #[inline(always)]
    fn nearest(self, place: usize) -> usize {
        // These two do not look at the factor, and the rest is in single precision: so it is in PyTorch.
        if self.output == self.input {
            place
        } else if self.output == 2 * self.input {
            place / 2
        } else {
            ((place as f32 * self.step as f32) as usize).min(self.input - 1)
        }
    }

    /// The two neighbours, and the weight of the second.
    #[inline(always)]
    fn neighbours(self, place: usize) -> (usize, usize, f64) {
        if self.output == self.input {
            return (place, place, 0.0);
        }
        let at = if self.aligned { self.step * place as f64 } else { self.step * (place as f64 + 0.5) - 0.5 };
        let at = at.max(0.0);
        let first = (at as usize).min(self.input - 1);
        (first, (first + 1).min(self.input - 1), (at - first as f64).min(1.0))
    }
}

/// Down the rows, and across them.
#[derive(Clone, Copy)]
struct Nearest([Axis; 2]);

#[derive(Clone, Copy)]
struct Bilinear([Axis; 2]);

/// The backward pass.
#[derive(Clone, Copy)]
struct Back<F>(F);

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Nearest {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self([down, across]) = self;
        for (x, y) in x.iter().zip(y.iter_mut()) {
            for row in 0..down.output {
                let source = down.nearest(row);
                let (above, y) = y.split_at_mut(row * across.output);
                let y = &mut y[..across.output];
                if row > 0 && down.nearest(row - 1) == source {
                    y.copy_from_slice(&above[(row - 1) * across.output..]);
                    continue;
                }
                let x = &x[source * across.input..][..across.input];
                for (place, y) in y.iter_mut().enumerate() {
                    *y = x[across.nearest(place)];
                }
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Back<Nearest> {
    #[inline(always)]
    fn sweep(self, (dy, dx): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self(Nearest([down, across])) = self;
        for (dy, dx) in dy.iter().zip(dx.iter_mut()) {
            dx.fill(T::ZERO);
            for (row, dy) in dy.chunks_exact(across.output).enumerate() {
                let dx = &mut dx[down.nearest(row) * across.input..][..across.input];
                for (place, &dy) in dy.iter().enumerate() {
                    dx[across.nearest(place)] += dy;
                }
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Bilinear {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self([down, across]) = self;
        for (x, y) in x.iter().zip(y.iter_mut()) {
            for (row, y) in y.chunks_exact_mut(across.output).enumerate() {
                let (above, below, v) = down.neighbours(row);
                let (above, below) = (&x[above * across.input..], &x[below * across.input..]);
                let v = T::from_f64(v);
                for (place, y) in y.iter_mut().enumerate() {
                    let (left, right, w) = across.neighbours(place);
                    let w = T::from_f64(w);
                    let above = (T::ONE - w) * above[left] + w * above[right];
                    let below = (T::ONE - w) * below[left] + w * below[right];
                    *y = (T::ONE - v) * above + v * below;
                }
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Back<Bilinear> {
    #[inline(always)]
    fn sweep(self, (dy, dx): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self(Bilinear([down, across])) = self;
        for (dy, dx) in dy.iter().zip(dx.iter_mut()) {
            dx.fill(T::ZERO);
            for (row, dy) in dy.chunks_exact(across.output).enumerate() {
                let (above, below, v) = down.neighbours(row);
                let v = T::from_f64(v);
                for (place, &dy) in dy.iter().enumerate() {
                    let (left, right, w) = across.neighbours(place);
                    let w = T::from_f64(w);
                    for (source, share) in [(above, (T::ONE - v) * dy), (below, v * dy)] {
                        dx[source * across.input + left] += (T::ONE - w) * share;
                        dx[source * across.input + right] += w * share;
                    }
                }
            }
        }
    }
}
