use std::fmt::Debug;

use downhill_tensor::{BuildError, Outputs, Over, Scalar, Shape, Sweep, elementwise::GRAIN, parallel};

use crate::{Backward, Forward, Layer, Signature, single_input};

/// A scalar function with its local derivative.
///
/// Every activation is a [`Layer`]; the chain rule dx = dy · f'(x) is written once, for all of them.
/// Write `value` and `slope` as plain scalar code without branches and mark them `#[inline(always)]`:
/// the loops over them are then vectorised for whatever machine the program meets.
///
/// ```
/// use downhill_layers::{Activation, Layer};
/// use downhill_tensor::{Scalar, Seed};
/// use ndarray::array;
///
/// /// y = x / (1 + x²)
/// #[derive(Clone, Copy, Debug)]
/// struct Bump;
///
/// impl Activation for Bump {
///     fn name(&self) -> &'static str {
///         "Bump"
///     }
///     #[inline(always)]
///     fn value<T: Scalar>(&self, x: T) -> T {
///         x / (T::ONE + x * x)
///     }
///     #[inline(always)]
///     fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
///         let square = x * x;
///         (T::ONE - square) / ((T::ONE + square) * (T::ONE + square))
///     }
/// }
///
/// let mut bump = Bump.bind::<f64>([2], Seed(0))?;
/// assert_eq!(bump.forward([[1.0, 0.0]])?, array![[0.5, 0.0]]);
/// assert_eq!(bump.backward([[3.0, 3.0]])?, array![[0.0, 3.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub trait Activation: Copy + Debug + Send + Sync {
    /// The name that summaries and errors use, such as `Relu`.
    fn name(&self) -> &'static str;

    /// f(x).
    fn value<T: Scalar>(&self, x: T) -> T;

    /// dy/dx at x, where y = f(x), from whichever of the two is cheaper.
    /// States the value taken at a kink.
    fn slope<T: Scalar>(&self, x: T, y: T) -> T;

    /// Whether [`slope`](Activation::slope) reads x.
    /// If it does not, the layer runs over its input's buffer, and x may be anything.
    fn slope_reads_x(&self) -> bool {
        true
    }

    /// The meaning of a network's outputs if f comes last, such as the probabilities of a sigmoid; `None` if it only
    /// shapes them.
    fn outputs(&self) -> Option<Outputs> {
        None
    }

    /// Checks the activation's settings.
    ///
    /// # Errors
    /// Returns an error if one lies outside its range.
    fn check(&self) -> Result<(), BuildError> {
        Ok(())
    }

    passes! {
        #[doc(hidden)]
        #[inline]
        [self] [&self]
    }
}

impl<A: Activation> Layer for A {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        self.check()?;
        let mut signature = Signature::new(self.name(), single_input(self.name(), inputs)?);
        if let Some(outputs) = self.outputs() {
            signature = signature.outputs(outputs);
        }
        Ok(if self.slope_reads_x() { signature } else { signature.in_place() })
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let y = pass.y.slice();
        match pass.x.get(0) {
            Some(x) => parallel(Over(Value(*self), (x.slice(), y)), GRAIN),
            None => parallel(Over(Value(*self), (y,)), GRAIN),
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        // dx = dy · f'(x)
        let y = pass.y.slice();
        let dy = pass.dy.slice();
        let Some(dx) = pass.dx.get(0) else { return };
        let dx = dx.slice();
        match pass.x.get(0) {
            Some(x) if self.slope_reads_x() => {
                parallel(Over(Chain(*self), (x.slice(), y, dy, dx)), GRAIN);
            }
            // The slope does not read x, so y may stand in its place.
            _ if dy.is_empty() => parallel(Over(ChainInPlace(*self), (y, dx)), GRAIN),
            _ => parallel(Over(Chain(*self), (y, y, dy, dx)), GRAIN),
        }
    }

    passes! {
        #[doc(hidden)]
        #[inline]
        [self] [&self] Activation
    }
}

// They hold the activation itself, so that its settings stay in registers and a choice between two formulas is made
// once and not for each number.

#[derive(Clone, Copy)]
struct Value<A>(A);

#[derive(Clone, Copy)]
struct Chain<A>(A);

#[derive(Clone, Copy)]
struct ChainInPlace<A>(A);

impl<A: Activation, T: Scalar> Sweep<(&[T], &mut [T])> for Value<A> {
    #[inline(always)]
    fn sweep(self, (x, y): (&[T], &mut [T])) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = self.0.value(x);
        }
    }
}

impl<A: Activation, T: Scalar> Sweep<(&mut [T],)> for Value<A> {
    #[inline(always)]
    fn sweep(self, (y,): (&mut [T],)) {
        for y in y {
            *y = self.0.value(*y);
        }
    }
}

impl<A: Activation, T: Scalar> Sweep<(&[T], &[T], &[T], &mut [T])> for Chain<A> {
    #[inline(always)]
    fn sweep(self, (x, y, dy, dx): (&[T], &[T], &[T], &mut [T])) {
        for (dx, ((&x, &y), &dy)) in dx.iter_mut().zip(x.iter().zip(y).zip(dy)) {
            *dx = dy * self.0.slope(x, y);
        }
    }
}

impl<A: Activation, T: Scalar> Sweep<(&[T], &mut [T])> for ChainInPlace<A> {
    #[inline(always)]
    fn sweep(self, (y, dx): (&[T], &mut [T])) {
        for (dx, &y) in dx.iter_mut().zip(y) {
            // The slope does not read x, so y may stand in its place.
            *dx *= self.0.slope(y, y);
        }
    }
}
