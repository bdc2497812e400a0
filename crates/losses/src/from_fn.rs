use std::fmt;

use downhill_tensor::Scalar;

use crate::PointwiseLoss;

/// A pointwise loss from a closure; made by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

/// Makes a loss from a closure that returns the term ℓ(y, t) of one number and its slope dℓ/dy.
///
/// The value is the mean over the batch and all features.
/// The closure computes in `f64` whatever the precision of the predictions;
/// a custom [`PointwiseLoss`] computes in theirs, and is vectorised.
///
/// ```
/// use downhill_losses::{Loss, Target, from_fn};
/// use downhill_tensor::Batch;
///
/// // ℓ = (y − t)⁴
/// let quartic = from_fn(|y, t| ((y - t).powi(4), 4.0 * (y - t).powi(3)));
/// let y = Batch::new(&[1.0_f32, 2.0], 2, [1])?;
/// assert_eq!(quartic.value(y, Target::Values(&[0.0, 0.0]))?, 8.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn from_fn<F: Fn(f64, f64) -> (f64, f64) + Copy + Send + Sync>(term_and_slope: F) -> FromFn<F> {
    FromFn(term_and_slope)
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F: Fn(f64, f64) -> (f64, f64) + Copy + Send + Sync> PointwiseLoss for FromFn<F> {
    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (term, slope) = (self.0)(y.to_f64(), target.to_f64());
        (T::from_f64(term), T::from_f64(slope))
    }
}
