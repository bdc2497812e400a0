use std::ops::Range;

use downhill_tensor::reduce::Totals;
use downhill_tensor::{BuildError, Init, Kernel, Over, RunsMut, Scalar, Shape, Sweep, parallel_runs, vectorized};

use crate::Extent::{PerBatch, PerExample};
use crate::{Backward, Forward, Layer, Parameter, Signature, single_input};

/// Looks up a vector for each whole number: `yᵢ = W[xᵢ]`, a row of a learnt table.
///
/// It is the affine map of one-hot vectors without the product. dy/dW is 1 for the row that was looked up, so that
///
/// ```text
/// dJ/dW[v] = Σ over all i with xᵢ = v of dyᵢ        dJ/dx = 0
/// ```
///
/// summed in the order of the batch, in blocks of 256, whatever the number of threads. What rounding takes from the
/// sums of blocks is added too, so that a row that is looked up a million times keeps its digits.
///
/// # Shapes
/// x is (batch, ...), such as (batch, steps), and holds whole numbers from 0 to vocabulary − 1; y has one axis more:
/// (batch, ..., width). W is (vocabulary, width).
///
/// # Padding
/// The row that [`padding`](Embedding::padding) names starts at 0 and gets no gradient, so that it stays 0.
///
/// # Errors
/// An empty table, one of more than 2²⁴ rows (beyond which an `f32` can't tell whole numbers apart), a padding row
/// that is not in the table, and an input of six axes are errors when the network is built.
/// A number that is not in the table is refused when a pass begins.
///
/// # Start
/// N(0, 1), as in PyTorch; Keras starts at U(±0.05).
///
/// Derivation: `docs/derivations/layers/embedding.md`.
///
/// ```
/// use downhill_layers::{Embedding, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut embedding = Embedding::new(3, 2).bind::<f64>([2], Seed(1))?;
/// embedding.set("weight", [[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])?;
/// assert_eq!(embedding.forward([[2.0, 0.0]])?, array![[2.0, 2.1, 0.0, 0.1]]);
/// embedding.backward([[1.0, 2.0, 3.0, 4.0]])?;
/// assert_eq!(embedding.gradient("weight")?, array![[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]].into_dyn());
/// assert!(embedding.forward([[3.0, 0.0]]).is_err());
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Embedding {
    vocabulary: usize,
    width: usize,
    padding: Option<usize>,
    init: Init,
}

impl Embedding {
    /// Creates a table of `vocabulary` vectors of `width` numbers.
    #[must_use]
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self { vocabulary, width, padding: None, init: Init::Normal { mean: 0.0, std: 1.0 } }
    }

    setters! {
        /// Sets the row for padding, which does not learn.
        padding(row: usize) padding = Some(row);
        /// Starts the table as `init` says.
        init: Init;
    }
}

/// Beyond this an `f32` does not hold every whole number.
const MOST_ROWS: usize = 1 << 24;

impl Layer for Embedding {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Embedding", inputs)?;
        let Self { vocabulary, width, padding, init } = *self;
        if vocabulary == 0 || width == 0 || vocabulary > MOST_ROWS {
            return refuse!(
                "Embedding",
                "a table of {vocabulary} vectors of {width} numbers is not possible; it needs from 1 to {MOST_ROWS} \
                 vectors of at least 1 number"
            );
        }
        if let Some(row) = padding.filter(|&row| row >= vocabulary) {
            return refuse!(
                "Embedding",
                "row {row} is to be the padding, but the table has {vocabulary} rows, counted from 0"
            );
        }
        init.check()?;
        let Some(output) = Shape::new(&[x.axes(), &[width]].concat()) else {
            return refuse!("Embedding", "examples of shape {x} can't have one axis of {width} more");
        };
        let Some(weight) = Shape::new(&[vocabulary, width]) else {
            return refuse!("Embedding", "a table of {vocabulary} vectors of {width} numbers is too large");
        };
        let weight = Parameter::new("weight", weight, init).fans(vocabulary, width);
        let weight = match padding {
            Some(row) => weight.constant(row * width..(row + 1) * width, 0.0),
            None => weight,
        };
        Ok(Signature::new("Embedding", output)
            .parameter(weight)
            .whole_numbers(0, 0, vocabulary - 1)
            .backward_scratch("first", [vocabulary], PerBatch)
            .backward_scratch("next", x, PerExample)
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (x, y) = (pass.x[0].slice(), pass.y.slice());
        let (width, work) = (self.width, y.len());
        parallel_runs(Over(LookUp { weight: pass.params.vector(0), width }, (x, RunsMut::new(y, width))), work);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        if let Some(dx) = pass.dx.get(0) {
            dx.slice().fill(T::ZERO);
        }
        let (x, dy, dw) = (pass.x[0].slice(), pass.dy.slice(), pass.dparams.vector(0));
        let [first, next] = pass.scratch.vectors();
        self.collect(x, dy, dw, [first, next], MOST_PLACES);
    }
}

/// The places of more lookups can't be counted in an `f32`.
const MOST_PLACES: usize = 1 << 24;

impl Embedding {
    /// dJ/dW of lookups, some columns at a time.
    fn collect<T: Scalar>(&self, x: &[T], dy: &[T], dw: &mut [T], [first, next]: [&mut [T]; 2], most: usize) {
        let Self { vocabulary, width, padding, .. } = *self;
        for start in (0..x.len().max(1)).step_by(most) {
            let end = x.len().min(start + most);
            let (x, dy) = (&x[start..end], &dy[start * width..end * width]);
            // From the last to the first: so the lists run forwards.
            first.fill(T::ZERO);
            for (place, (&x, next)) in x.iter().zip(&mut *next).enumerate().rev() {
                let first = &mut first[row(x)];
                (*next, *first) = (*first, T::from_f64((place + 1) as f64));
            }
            let lookups = Lookups { next: &next[..x.len()], dy, width };
            let collect = Collect { lookups, first: &*first, padding, fresh: start == 0 };
            let work = dw.len() + dy.len();
            parallel_runs(Over(collect, (0..vocabulary, RunsMut::new(&mut *dw, width))), work);
        }
    }
}

/// The row of the table that a number names; [`Signature::check_batch`] has seen to it that there is one.
#[inline(always)]
fn row<T: Scalar>(x: T) -> usize {
    x.to_f64() as usize
}

#[derive(Clone, Copy)]
struct LookUp<'a, T> {
    weight: &'a [T],
    width: usize,
}

impl<T: Scalar> Sweep<(&[T], RunsMut<'_, T>)> for LookUp<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, y): (&[T], RunsMut<'_, T>)) {
        for (&x, y) in x.iter().zip(y.iter_mut()) {
            y.copy_from_slice(&self.weight[row(x) * self.width..][..self.width]);
        }
    }
}

/// At most this many lookups of a row are added in turn.
const IN_TURN: usize = 256;

/// The places of a row's lookups in the batch, as lists: after each place, counted from 1, the next, and 0 at the end.
#[derive(Clone, Copy)]
struct Lookups<'a, T> {
    next: &'a [T],
    dy: &'a [T],
    width: usize,
}

impl<'a, T: Scalar> Lookups<'a, T> {
    /// Calls `add` with dy at `place` and those after it, in turn; gives the place that is left.
    #[inline(always)]
    fn in_turn(self, mut place: T, mut add: impl FnMut(&'a [T])) -> T {
        let mut left = IN_TURN;
        while place != T::ZERO && left > 0 {
            let index = place.to_f64() as usize - 1;
            add(&self.dy[index * self.width..][..self.width]);
            place = self.next[index];
            left -= 1;
        }
        place
    }
}

/// Each thread has rows of the table, and takes what belongs to them.
#[derive(Clone, Copy)]
struct Collect<'a, T> {
    lookups: Lookups<'a, T>,
    /// The first place of each row.
    first: &'a [T],
    padding: Option<usize>,
    /// Whether these are the first lookups, so that dw holds nothing yet.
    fresh: bool,
}

impl<T: Scalar> Sweep<(Range<usize>, RunsMut<'_, T>)> for Collect<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, dw): (Range<usize>, RunsMut<'_, T>)) {
        for (row, dw) in own.zip(dw.iter_mut()) {
            if self.fresh {
                dw.fill(T::ZERO);
            }
            let first = if self.padding == Some(row) { T::ZERO } else { self.first[row] };
            let place = self.lookups.in_turn(first, |dy| {
                for (dw, &dy) in dw.iter_mut().zip(dy) {
                    *dw += dy;
                }
            });
            if place != T::ZERO {
                go_on(self.lookups, place, dw);
            }
        }
    }
}

/// Apart, so that it doesn't change how the usual case is compiled.
#[cold]
#[inline(never)]
fn go_on<T: Scalar>(lookups: Lookups<'_, T>, place: T, dw: &mut [T]) {
    vectorized(GoOn { lookups, place, dw });
}

/// The lookups of one row from a place on; dw has the others.
struct GoOn<'a, T> {
    lookups: Lookups<'a, T>,
    place: T,
    dw: &'a mut [T],
}

impl<T: Scalar> Kernel for GoOn<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        /// This many columns stay in registers.
        const LANES: usize = 32;
        for (strip, dw) in self.dw.chunks_mut(LANES).enumerate() {
            let mut totals = Totals::<T, LANES, 1>::ZERO;
            let mut sums = [T::ZERO; LANES];
            sums[..dw.len()].copy_from_slice(dw);
            totals.add([sums]);
            let mut place = self.place;
            while place != T::ZERO {
                let mut sums = [T::ZERO; LANES];
                place = self.lookups.in_turn(place, |dy| {
                    for (sum, &dy) in sums[..dw.len()].iter_mut().zip(&dy[strip * LANES..]) {
                        *sum += dy;
                    }
                });
                totals.add([sums]);
            }
            let [sums] = totals.value();
            dw.copy_from_slice(&sums[..dw.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_that_are_too_many_to_be_counted_are_taken_in_parts() {
        let (embedding, count) = (Embedding::new(5, 3).padding(2), 2000);
        let x: Vec<f32> = (0..count).map(|i| [0.0, 3.0, 0.0, 2.0, 1.0][i % 5]).collect();
        let dy: Vec<f32> = (0..3 * count).map(|i| (i % 8) as f32).collect();
        let on = |most| {
            let (mut dw, mut next) = ([f32::NAN; 15], vec![f32::NAN; count]);
            embedding.collect(&x, &dy, &mut dw, [&mut [f32::NAN; 5], &mut next], most);
            dw
        };
        // Whole numbers are summed exactly.
        let mut expected = [0.0; 15];
        for (&x, dy) in x.iter().zip(dy.chunks(3)).filter(|&(&x, _)| x != 2.0) {
            (0..3).for_each(|j| expected[3 * x as usize + j] += dy[j]);
        }
        for most in [MOST_PLACES, count, 1999, 700, 7] {
            assert_eq!(on(most), expected, "{most} at a time");
        }
        let mut dw = [f32::NAN; 15];
        embedding.collect(&[], &[], &mut dw, [&mut [f32::NAN; 5], &mut []], MOST_PLACES);
        assert_eq!(dw, [0.0; 15]);
    }
}
