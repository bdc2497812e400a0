use std::ops::Range;

use downhill_tensor::{Init, Over, Runs, RunsMut, Scalar, Shape, ShapeError, Sweep, parallel_runs};

use crate::{Backward, Forward, Layer, Parameter, Signature, sole};

/// Looks up a vector for each whole number: `yᵢ = W[xᵢ]`, a row of a learnt table.
///
/// It is the affine map of one-hot vectors without the product. dy/dW is 1 for the row that was looked up, so that
///
/// ```text
/// dJ/dW[v] = Σ over all i with xᵢ = v of dyᵢ        dJ/dx = 0
/// ```
///
/// summed in the order of the batch, whatever the number of threads.
///
/// # Shapes
/// x is (batch, ...), such as (batch, steps), and holds whole numbers from 0 to vocabulary − 1; y has one axis more:
/// (batch, ..., width). W is (vocabulary, width).
///
/// # Padding
/// The row that [`with_padding`](Embedding::with_padding) names starts at 0 and gets no gradient, so that it stays 0.
///
/// # Errors
/// An empty table, one of more than 2²⁴ rows (beyond which an `f32` can't tell whole numbers apart), a padding row
/// that is not in the table, and an input of six axes are errors when the network is built.
/// A number that is not in the table is refused when a pass begins.
///
/// # Start
/// N(0, 1), as in PyTorch; Keras starts at U(±0.05).
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
/// # Ok::<(), downhill_tensor::ShapeError>(())
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
    /// A table of `vocabulary` vectors of `width` numbers.
    #[must_use]
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self { vocabulary, width, padding: None, init: Init::Normal { mean: 0.0, std: 1.0 } }
    }

    /// With a row for padding, which does not learn.
    #[must_use]
    pub fn with_padding(mut self, row: usize) -> Self {
        self.padding = Some(row);
        self
    }

    /// Starts the table as `init` says.
    #[must_use]
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }
}

/// Beyond this an `f32` does not hold every whole number.
const MOST_ROWS: usize = 1 << 24;

impl Layer for Embedding {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError> {
        let x = sole("Embedding", inputs)?;
        let refuse = |reason| Err(ShapeError::Setting { by: "Embedding", reason });
        let Self { vocabulary, width, padding, init } = *self;
        if vocabulary == 0 || width == 0 || vocabulary > MOST_ROWS {
            return refuse(format!(
                "a table of {vocabulary} vectors of {width} numbers is not possible; it needs from 1 to {MOST_ROWS} \
                 vectors of at least 1 number"
            ));
        }
        if let Some(row) = padding.filter(|&row| row >= vocabulary) {
            return refuse(format!(
                "row {row} is to be the padding, but the table has {vocabulary} rows, counted from 0"
            ));
        }
        init.check()?;
        let Some(output) = Shape::new(&[x.axes(), &[width]].concat()) else {
            return refuse(format!("examples of shape {x} can't have one axis of {width} more"));
        };
        let Some(weight) = Shape::new(&[vocabulary, width]) else {
            return refuse(format!("a table of {vocabulary} vectors of {width} numbers is too large"));
        };
        let weight = Parameter::new("weight", weight, init).fans(vocabulary, width);
        let weight = match padding {
            Some(row) => weight.with_constant(row * width..(row + 1) * width, 0.0),
            None => weight,
        };
        Ok(Signature::new("Embedding", output)
            .parameter(weight)
            .whole_numbers(0, 0, vocabulary - 1)
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
        let Self { vocabulary, width, padding, .. } = *self;
        let (x, dy, dw) = (pass.x[0].slice(), pass.dy.slice(), pass.dparams.vector(0));
        let work = dw.len() + dy.len();
        let collect = Collect { x, dy: Runs::new(dy, width), width, padding };
        parallel_runs(Over(collect, (0..vocabulary, RunsMut::new(dw, width))), work);
    }
}

/// The row of the table that a number names; [`Signature::admit`] has seen to it that there is one.
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

/// Each thread has rows of the table, goes over the whole batch, and takes what belongs to its own rows.
#[derive(Clone, Copy)]
struct Collect<'a, T> {
    x: &'a [T],
    dy: Runs<'a, T>,
    width: usize,
    padding: Option<usize>,
}

impl<T: Scalar> Sweep<(Range<usize>, RunsMut<'_, T>)> for Collect<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, dw): (Range<usize>, RunsMut<'_, T>)) {
        let dw = dw.into_slice();
        dw.fill(T::ZERO);
        for (&x, dy) in self.x.iter().zip(self.dy.iter()) {
            let row = row(x);
            if own.contains(&row) && self.padding != Some(row) {
                let dw = &mut dw[(row - own.start) * self.width..][..self.width];
                for (dw, &dy) in dw.iter_mut().zip(dy) {
                    *dw += dy;
                }
            }
        }
    }
}
