use std::ops::Range;

use downhill_tensor::{BuildError, Over, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use super::{check_base, frequency};
use crate::Extent::PerBatch;
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Tells steps apart by turning pairs of features: at the position p, pair i of a width d turns by
/// θ = p · base^(−2i/d).
///
/// ```text
/// a' = a cos θ − b sin θ        da = da' cos θ + db' sin θ
/// b' = b cos θ + a sin θ        db = db' cos θ − da' sin θ
/// ```
///
/// Dot products of queries and keys that are both turned depend on the distance of their positions alone.
/// Nothing is learnt. Angles are computed as `f64` in either precision.
///
/// # Pairs
/// The features a and b of pair i are i and i + d/2, as in GPT-NeoX, Llama and their kin;
/// [`interleaved`](RotaryPositions::interleaved) makes them 2i and 2i + 1, as in the paper and GPT-J.
/// Weights trained with one do not fit the other.
///
/// # Shapes
/// x and y are (batch, steps, width) or (batch, steps, heads, width).
///
/// # Errors
/// Building a network returns an error for another number of axes, an odd width, and a base that is not a finite number
/// above 0.
///
/// Source: Su et al. 2021 (arXiv 2104.09864), with its base of 10000.
/// Derivation: `docs/derivations/layers/rotary-positions.md`.
///
/// ```
/// use downhill_layers::{Layer, RotaryPositions};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut positions = RotaryPositions::new().bind::<f64>([2, 2], Seed(1))?;
/// let y = positions.forward([[1.0, 0.0, 1.0, 0.0]])?;
/// assert_eq!(y, array![[1.0, 0.0, 1f64.cos(), 1f64.sin()]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RotaryPositions {
    base: f64,
    interleaved: bool,
}

impl Default for RotaryPositions {
    fn default() -> Self {
        Self { base: 10_000.0, interleaved: false }
    }
}

impl RotaryPositions {
    /// Creates positions with the base 10000 and pairs of features half a width apart.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the base; longer contexts are trained with larger ones.
        base: f64;
        /// Pairs neighbouring features.
        interleaved() interleaved = true;
    }

    /// Refuses a width that has no pairs, and a base that has no powers.
    pub(crate) fn check(self, by: &'static str, width: usize) -> Result<(), BuildError> {
        if width % 2 == 1 {
            return refuse!(by, "features turn in pairs, so that their number must be even, but it is {width}");
        }
        check_base(by, self.base)
    }

    /// Overwrites the cosines and then the sines of each step.
    ///
    /// # Shapes
    /// table: (steps, width)
    pub(crate) fn fill<T: Scalar>(self, table: &mut [T], width: usize) {
        let steps = table.len() / width.max(1);
        let sweep = Table { log_base: self.base.ln(), width };
        parallel_runs(Over(sweep, (0..steps, RunsMut::new(table, width))), 16 * steps * width);
    }

    /// Turns all pairs of y, forward or back, by the angles whose cosines and sines are in `table`:
    /// those of the first `turned` numbers of each step.
    ///
    /// # Shapes
    /// y: (batch, steps, row); table: (at least as many steps, width)
    pub(crate) fn turn<T: Scalar>(
        self,
        table: &[T],
        width: usize,
        y: &mut [T],
        [steps, row, turned]: [usize; 3],
        back: bool,
    ) {
        let work = 2 * y.len();
        let turn = Turn { table, width, row, turned, interleaved: self.interleaved, back };
        parallel_runs(Over(turn, (RunsMut::new(y, steps * row),)), work);
    }
}

impl Layer for RotaryPositions {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("RotaryPositions", inputs)?;
        let (&[steps, width] | &[steps, _, width]) = x.axes() else {
            return Err(wrong_rank("RotaryPositions", x, "examples of steps, perhaps heads, and features", ""));
        };
        self.check("RotaryPositions", width)?;
        Ok(Signature::new("RotaryPositions", x)
            .saves("cosines_and_sines", [steps, width], PerBatch)
            .in_place()
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let (width, sizes) = sizes(pass.y.shape());
        let table = pass.saved.vector(0);
        self.fill(table, width);
        self.turn(table, width, pass.y.slice(), sizes, false);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
        let (width, sizes) = sizes(pass.y.shape());
        if let Some(dx) = pass.dx.get(0) {
            self.turn(pass.saved.vector(0), width, dx.slice(), sizes, true);
        }
    }
}

/// The width of a head; and the number of steps, and twice the numbers of one step, of all heads: all are turned.
fn sizes(shape: Shape) -> (usize, [usize; 3]) {
    let row = shape.len() / shape[0].max(1);
    (shape[shape.rank() - 1], [shape[0], row, row])
}

#[derive(Clone, Copy)]
struct Table {
    log_base: f64,
    width: usize,
}

impl<T: Scalar> Sweep<(Range<usize>, RunsMut<'_, T>)> for Table {
    #[inline(always)]
    fn sweep(self, (steps, rows): (Range<usize>, RunsMut<'_, T>)) {
        for (step, row) in steps.zip(rows.iter_mut()) {
            let (cosines, sines) = row.split_at_mut(self.width / 2);
            for (pair, (cosine, sine)) in cosines.iter_mut().zip(sines).enumerate() {
                let angle = step as f64 * frequency(pair, self.width, self.log_base);
                *cosine = T::from_f64(Scalar::cos(angle));
                *sine = T::from_f64(Scalar::sin(angle));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Turn<'a, T> {
    /// The cosines and then the sines of each step.
    table: &'a [T],
    width: usize,
    /// The numbers of one step, of all heads.
    row: usize,
    /// The number of them that are turned.
    turned: usize,
    interleaved: bool,
    back: bool,
}

impl<T: Scalar> Sweep<(RunsMut<'_, T>,)> for Turn<'_, T> {
    #[inline(always)]
    fn sweep(self, (examples,): (RunsMut<'_, T>,)) {
        let Self { table, width, row, turned, interleaved, back } = self;
        let sign = if back { -T::ONE } else { T::ONE };
        for example in examples.iter_mut() {
            for (step, angles) in example.chunks_exact_mut(row).zip(table.chunks_exact(width)) {
                let (cosines, sines) = angles.split_at(width / 2);
                let angles = || cosines.iter().zip(sines).map(|(&cosine, &sine)| (cosine, sign * sine));
                for head in step[..turned].chunks_exact_mut(width) {
                    if interleaved {
                        for (pair, (cosine, sine)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles()) {
                            let [a, b] = *pair;
                            *pair = [a * cosine - b * sine, b * cosine + a * sine];
                        }
                    } else {
                        let (first, second) = head.split_at_mut(width / 2);
                        for ((first, second), (cosine, sine)) in first.iter_mut().zip(second).zip(angles()) {
                            let (a, b) = (*first, *second);
                            *first = a * cosine - b * sine;
                            *second = b * cosine + a * sine;
                        }
                    }
                }
            }
        }
    }
}
