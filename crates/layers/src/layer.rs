use std::fmt::Debug;

use downhill_tensor::{BuildError, Scalar, Seed, Shape};

use crate::{Arrays, ArraysMut, Backward, Bound, Forward, Signature};

/// A differentiable function y = f(x; θ) and its chain rule, written once for every precision.
///
/// A layer owns no weights: it is a description, and pure functions that read their slice of θ.
/// The three methods without a default are the whole contract.
///
/// ```
/// use downhill_layers::{Backward, Forward, Layer, Signature, single_input};
/// use downhill_tensor::{BuildError, Scalar, Shape, elementwise};
///
/// /// y = x²
/// #[derive(Clone, Debug)]
/// struct Square;
///
/// impl Layer for Square {
///     fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
///         Ok(Signature::new("Square", single_input("Square", inputs)?))
///     }
///     fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
///         elementwise::map(pass.x[0].slice(), pass.y.slice(), |x| x * x);
///     }
///     fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
///         // dy/dx = 2x
///         if let Some(dx) = pass.dx.get(0) {
///             let two = T::from_f64(2.0);
///             elementwise::zip_map(pass.x[0].slice(), pass.dy.slice(), dx.slice(), |x, dy| two * x * dy);
///         }
///     }
/// }
/// ```
///
/// What the forward pass keeps for the backward pass is declared by name, shape and extent, and read by index; so is
/// scratch space. It is there in every pass, also if only a prediction is made.
///
/// ```
/// use downhill_layers::{Backward, Extent, Forward, Layer, Signature, single_input};
/// use downhill_tensor::{BuildError, Scalar, Seed, Shape, elementwise};
///
/// /// y = eˣ, with its slope kept, so that the backward pass needs neither x nor y.
/// #[derive(Clone, Debug)]
/// struct Exp;
///
/// impl Layer for Exp {
///     fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
///         let x = single_input("Exp", inputs)?;
///         Ok(Signature::new("Exp", x)
///             .saves("slope", x, Extent::PerExample)
///             .backward_without_x()
///             .backward_without_y())
///     }
///     fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
///         let [slope] = pass.saved.vectors();
///         elementwise::map(pass.x[0].slice(), slope, |x| x.exp());
///         pass.y.slice().copy_from_slice(slope);
///     }
///     fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
///         if let Some(dx) = pass.dx.get(0) {
///             elementwise::zip_map(pass.saved.vector(0), pass.dy.slice(), dx.slice(), |slope, dy| slope * dy);
///         }
///     }
/// }
///
/// let mut exp = Exp.bind::<f64>([2], Seed(1))?;
/// let y = exp.forward([[0.0, 1.0]])?;
/// assert_eq!(exp.backward([[1.0, 1.0]])?, y);
/// # Ok::<(), BuildError>(())
/// ```
pub trait Layer: Debug + Send + Sync {
    /// Declares what the layer makes of inputs of these per-example shapes: the output's shape, the parameters,
    /// the arrays that it keeps for `backward`, and what the memory plan may assume.
    ///
    /// This is the only fallible method: after it, sizes are known to fit.
    ///
    /// # Errors
    /// Returns an error if the inputs do not fit the layer, or a setting of the layer lies outside its range.
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError>;

    /// Overwrites all of y, and in `saved` whatever local derivatives can't be computed from x and y.
    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>);

    /// Applies the chain rule: from dJ/dy to dJ/dx (for those inputs that ask) and dJ/dθ.
    ///
    /// Overwrites all it is asked for. If a sum is needed (fan-out, shared weights, micro-batches), the caller adds.
    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>);

    /// Updates the running statistics from what a training pass has saved. Few layers have any.
    fn absorb<T: Scalar>(&self, saved: Arrays<'_, T>, statistics: &mut ArraysMut<'_, T>) {
        let _ = (saved, statistics);
    }

    passes! {
        #[doc(hidden)]
        #[inline]
        [self] [&self]
    }

    /// Binds this layer to inputs of one shape, with its own parameters and buffers.
    ///
    /// # Errors
    /// Returns the errors of [`signature`](Layer::signature).
    fn bind<T: Scalar>(self, input: impl Into<Shape>, seed: Seed) -> Result<Bound<Self, T>, BuildError>
    where
        Self: Sized,
    {
        Bound::new(self, &[input.into()], seed)
    }
}
