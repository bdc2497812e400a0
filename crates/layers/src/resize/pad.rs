use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use crate::errors::{shape_of, wrong_rank};
use crate::{Backward, Forward, Layer, Signature, single_input};

/// The numbers beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PadMode {
    /// This number.
    Constant(#[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))] f64),
    /// The number as far within, the edge itself not repeated: `c b | a b c | b a`.
    Reflect,
    /// The number at the edge: `a a | a b c | c c`.
    Replicate,
    /// The number at the other end: `b c | a b c | a b`.
    Circular,
}

/// Puts numbers before and after the last axis, or the last two; zeros, unless another mode is chosen.
///
/// y is x within; beyond, it is a constant or a copy of a number of x. So dJ/dx is the sum of dy over all its copies.
///
/// # Shapes
/// x is (batch, ..., columns) or (batch, ..., rows, columns), y has each axis longer by what stands at its two ends.
///
/// # Errors
/// Building a network returns an error for too few axes, or an empty one; reflections of as much as an axis holds, or
/// circles of more.
///
/// PyTorch has a layer for each mode and number of axes, and lists the last axis first: left, right, top, bottom.
///
/// Derivation: `docs/derivations/layers/pad.md`.
///
/// ```
/// use downhill_layers::{Layer, Pad, PadMode};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pad = Pad::new([2, 1]).mode(PadMode::Reflect).bind::<f64>([3], Seed(0))?;
/// assert_eq!(pad.forward([[1.0, 2.0, 3.0]])?, array![[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]);
/// let dx = pad.backward([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])?;
/// assert_eq!(dx, array![[1.0, 3.0, 2.0]]); // how often each stands there
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pad {
    rows: [usize; 2],
    columns: [usize; 2],
    mode: PadMode,
}

impl Pad {
    /// Creates padding of zeros before and after the last axis: `[left, right]`.
    #[must_use]
    pub fn new(columns: [usize; 2]) -> Self {
        Self { rows: [0; 2], columns, mode: PadMode::Constant(0.0) }
    }

    setters! {
        /// Sets the number of rows before and after the second-last axis: `[top, bottom]`.
        rows: [usize; 2];
        /// Sets the numbers beyond the edges.
        mode: PadMode;
    }

    /// The axes of planes of this shape.
    fn plane<T: Scalar>(&self, input: Shape) -> Plane<T> {
        let axes = input.axes();
        let edges = |length, [before, behind]: [usize; 2]| Edges { length, before, behind, mode: self.mode };
        // Where no rows are padded, they need not be there.
        let rows = if self.rows == [0; 2] { 1 } else { axes[axes.len() - 2] };
        Plane {
            down: edges(rows, self.rows),
            across: edges(axes[axes.len() - 1], self.columns),
            constant: if let PadMode::Constant(constant) = self.mode { T::from_f64(constant) } else { T::ZERO },
        }
    }

    /// The length of an axis with the numbers added at its ends.
    fn padded(&self, length: usize, [before, behind]: [usize; 2]) -> Result<usize, BuildError> {
        let most = match self.mode {
            _ if length == 0 => return refuse!("Pad", "an axis of 0 holds nothing to put numbers around"),
            PadMode::Constant(_) | PadMode::Replicate => usize::MAX,
            PadMode::Reflect => length - 1,
            PadMode::Circular => length,
        };
        if before > most || behind > most {
            return refuse!(
                "Pad",
                "{:?} can give an axis of {length} at most {most} numbers at either end, but is asked for {before} and \
                 {behind}",
                self.mode
            );
        }
        match before.checked_add(length).and_then(|sum| sum.checked_add(behind)) {
            Some(padded) => Ok(padded),
            None => refuse!("Pad", "{before} and {behind} are too many numbers to put around an axis of {length}"),
        }
    }
}

impl Layer for Pad {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Pad", inputs)?;
        let mut axes = x.axes().to_vec();
        let too_few_axes = |expected| wrong_rank("Pad", x, expected, "");
        let (columns, others) = axes.split_last_mut().ok_or_else(|| too_few_axes("at least one axis per example"))?;
        *columns = self.padded(*columns, self.columns)?;
        if self.rows != [0; 2] {
            let rows = others.last_mut().ok_or_else(|| too_few_axes("rows and columns per example"))?;
            *rows = self.padded(*rows, self.rows)?;
        }
        Ok(Signature::new("Pad", shape_of(&axes, "Pad")?).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let x = pass.x[0];
        let plane = self.plane::<T>(x.shape());
        let (x, y) = (Runs::new(x.slice(), plane.inputs()), pass.y.slice());
        let work = y.len();
        parallel_runs(Over(plane, (x, RunsMut::new(y, plane.outputs()))), work);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let Some(dx) = pass.dx.get(0) else { return };
        let plane = self.plane::<T>(dx.shape());
        let dy = pass.dy.slice();
        let parts = (Runs::new(dy, plane.outputs()), RunsMut::new(dx.slice(), plane.inputs()));
        parallel_runs(Over(Gather(plane), parts), dy.len());
    }
}

/// An axis and the numbers added at its ends.
#[derive(Clone, Copy)]
struct Edges {
    length: usize,
    before: usize,
    behind: usize,
    mode: PadMode,
}

impl Edges {
    fn padded(self) -> usize {
        self.before + self.length + self.behind
    }

    /// The place in x of the number at this place of y, if there is one.
    #[inline(always)]
    fn source(self, place: usize) -> Option<usize> {
        let Self { length, before, mode, .. } = self;
        if (before..before + length).contains(&place) {
            return Some(place - before);
        }
        // By how many places it lies before the first, or behind the last.
        let (first, beyond) =
            if place < before { (true, before - place) } else { (false, place - before - length + 1) };
        match mode {
            PadMode::Constant(_) => None,
            PadMode::Reflect => Some(if first { beyond } else { length - 1 - beyond }),
            PadMode::Replicate => Some(if first { 0 } else { length - 1 }),
            PadMode::Circular => Some(if first { length - beyond } else { beyond - 1 }),
        }
    }

    /// The places beyond the edges.
    #[inline(always)]
    fn beyond(self) -> impl Iterator<Item = usize> {
        (0..self.before).chain(self.before + self.length..self.padded())
    }
}

/// Rows and columns, padded; if no rows are, each row is its own plane.
#[derive(Clone, Copy)]
struct Plane<T> {
    down: Edges,
    across: Edges,
    constant: T,
}

/// The backward pass of a plane.
#[derive(Clone, Copy)]
struct Gather<T>(Plane<T>);

impl<T> Plane<T> {
    fn inputs(&self) -> usize {
        self.down.length * self.across.length
    }

    fn outputs(&self) -> usize {
        self.down.padded() * self.across.padded()
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Plane<T> {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self { down, across, constant } = self;
        for (x, y) in x.iter().zip(y.iter_mut()) {
            for (row, y) in y.chunks_exact_mut(across.padded()).enumerate() {
                let Some(row) = down.source(row) else {
                    y.fill(constant);
                    continue;
                };
                let x = &x[row * across.length..][..across.length];
                y[across.before..][..across.length].copy_from_slice(x);
                for place in across.beyond() {
                    y[place] = across.source(place).map_or(constant, |source| x[source]);
                }
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Gather<T> {
    #[inline(always)]
    fn sweep(self, (dy, dx): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self(Plane { down, across, .. }) = self;
        for (dy, dx) in dy.iter().zip(dx.iter_mut()) {
            dx.fill(T::ZERO);
            for (row, dy) in dy.chunks_exact(across.padded()).enumerate() {
                let Some(row) = down.source(row) else { continue };
                let dx = &mut dx[row * across.length..][..across.length];
                for (dx, &dy) in dx.iter_mut().zip(&dy[across.before..]) {
                    *dx += dy;
                }
                for place in across.beyond() {
                    if let Some(source) = across.source(place) {
                        dx[source] += dy[place];
                    }
                }
            }
        }
    }
}
