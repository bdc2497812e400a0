use std::fmt::Debug;

use downhill_tensor::{Batch, BatchMut, Scalar};

use crate::{Call, Meaning, Target, TargetError, Total, weighted};

/// A scalar measure J of how far predictions lie from their targets, with its derivative dJ/dy.
///
/// `y` is (batch, ...); the value is the mean over the batch unless the loss says otherwise. One method is required.
/// No loss of this crate allocates, and the order of every sum depends on the sizes alone, whatever the number of
/// threads.
///
/// A loss that compares each number with its own target is simpler to write as a [`PointwiseLoss`](crate::PointwiseLoss).
///
/// ```
/// use downhill_losses::{Loss, Target, TargetError, Total};
/// use downhill_tensor::{Batch, Scalar};
///
/// /// J = Σ (largest y of an example)² / examples, whatever the targets.
/// #[derive(Debug)]
/// struct LargestSquared;
///
/// impl Loss for LargestSquared {
///     fn evaluate<T: Scalar>(
///         &self,
///         y: Batch<'_, T>,
///         _: Target<'_, T>,
///         mut dy: Option<&mut [T]>,
///     ) -> Result<Total, TargetError> {
///         let (examples, width) = (y.examples(), y.shape().len());
///         if let Some(dy) = &dy
///             && dy.len() != examples * width
///         {
///             return Err(TargetError::gradient(examples * width, dy.len()));
///         }
///         let mut sum = 0.0;
///         for example in 0..examples {
///             let row = y.example(example);
///             let largest = (0..width).max_by(|&a, &b| row[a].to_f64().total_cmp(&row[b].to_f64())).unwrap_or(0);
///             sum += row[largest].to_f64().powi(2);
///             if let Some(dy) = &mut dy {
///                 dy[example * width..][..width].fill(T::ZERO);
///                 dy[example * width + largest] = T::from_f64(2.0 / examples as f64) * row[largest];
///             }
///         }
///         Ok(Total::mean(sum, examples as f64))
///     }
/// }
///
/// let y = Batch::new(&[1.0, 3.0, 2.0, 0.0], 2, [2])?;
/// assert_eq!(LargestSquared.value(y, Target::Values(&[]))?, 6.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Loss: Debug + Send + Sync {
    /// Computes J(y, target) as a sum of terms and its divisor; with `dy`, also overwrites all of it with dJ/dy.
    ///
    /// The gradient is that of the value: it includes the divisor, and is 0 if no term counts.
    ///
    /// # Errors
    /// Returns an error if the targets do not fit the predictions, a target or a setting lies outside its range,
    /// or `dy` has another length than `y`; `dy` is then unspecified.
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError>;

    /// Computes J with a weight for each example: $`J = \sum_i w_i s_i / \sum_i w_i d_i`$, with the sum $`s_i`$ and the
    /// divisor $`d_i`$ of each example by itself. An example of weight 0 is not read.
    ///
    /// Losses whose terms belong to single numbers or positions also take a weight for each of these: a mask.
    /// Numbers and positions of weight 0 are then not read; under `Reduction::BatchMean` an example counts by its mean
    /// weight.
    ///
    /// # Errors
    /// Returns the errors of [`evaluate`](Loss::evaluate), and an error if there are more or fewer weights, or one is
    /// negative or not finite.
    fn evaluate_weighted<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        weights: &[T],
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        weighted::by_example(self, y, target, weights, dy)
    }

    /// Tells how the loss reads predictions and targets; says nothing unless overridden.
    fn meaning(&self) -> Meaning {
        Meaning::default()
    }

    /// Computes J(y, target).
    ///
    /// # Errors
    /// Returns the errors of [`evaluate`](Loss::evaluate).
    fn value<T: Scalar>(&self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<T, TargetError> {
        Ok(T::from_f64(Call { y, target, weights: None, dy: None }.evaluate(self)?.value()))
    }

    /// Computes J(y, target), and overwrites all of `dy` with dJ/dy.
    ///
    /// # Errors
    /// Returns the errors of [`evaluate`](Loss::evaluate).
    fn value_and_gradient<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: BatchMut<'_, T>,
    ) -> Result<T, TargetError> {
        Ok(T::from_f64(Call { y, target, weights: None, dy: Some(dy.slice()) }.evaluate(self)?.value()))
    }

    /// Evaluates a call in `f32`, with weights or without.
    ///
    /// For the losses of this crate it is compiled here, so that it is optimised even if the program that uses it is
    /// not.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError> {
        call.of(self)
    }

    /// Evaluates a call in `f64`, with weights or without.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError> {
        call.of(self)
    }
}
