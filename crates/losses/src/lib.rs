//! Loss functions with their derivatives.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

use std::fmt::Debug;

use downhill_tensor::{Batch, BatchMut, Scalar};
pub use downhill_tensor::{Outputs, Target};

mod binary_cross_entropy;
mod binary_cross_entropy_with_logits;
mod binary_focal;
mod call;
mod classes;
mod cosine_embedding;
mod ctc;
mod dice;
mod domain;
mod dyn_loss;
mod examples;
mod from_fn;
mod gaussian_nll;
mod hinge;
mod hinge_embedding;
mod huber;
mod kl_divergence;
mod log_cosh;
mod margin_ranking;
mod mean_absolute_error;
mod mean_squared_error;
mod meaning;
mod multi_label_margin;
mod multi_label_soft_margin;
mod multi_margin;
mod multi_task;
mod negative_log_likelihood;
mod pointwise;
mod poisson_nll;
#[cfg(test)]
mod properties;
mod quantile;
mod reduction;
mod scratch;
mod smooth_l1;
mod soft_margin;
mod softmax;
mod softmax_cross_entropy;
mod softmax_focal;
mod sums;
mod target;
#[cfg(test)]
mod testing;
mod total;
mod triplet_margin;
mod weighted;
mod weights;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use binary_cross_entropy_with_logits::BinaryCrossEntropyWithLogits;
pub use binary_focal::BinaryFocal;
#[doc(hidden)]
pub use call::Call;
pub use classes::ClassAxis;
pub use cosine_embedding::CosineEmbedding;
pub use ctc::Ctc;
pub use dice::Dice;
pub use dyn_loss::DynLoss;
pub use from_fn::{FromFn, from_fn};
pub use gaussian_nll::GaussianNll;
pub use hinge::Hinge;
pub use hinge_embedding::HingeEmbedding;
pub use huber::Huber;
pub use kl_divergence::KlDivergence;
pub use log_cosh::LogCosh;
pub use margin_ranking::MarginRanking;
pub use mean_absolute_error::MeanAbsoluteError;
pub use mean_squared_error::MeanSquaredError;
pub use meaning::Meaning;
pub use multi_label_margin::MultiLabelMargin;
pub use multi_label_soft_margin::MultiLabelSoftMargin;
pub use multi_margin::MultiMargin;
pub use multi_task::MultiTask;
pub use negative_log_likelihood::NegativeLogLikelihood;
pub use pointwise::PointwiseLoss;
pub use poisson_nll::PoissonNll;
pub use quantile::Quantile;
pub use reduction::Reduction;
pub use smooth_l1::SmoothL1;
pub use soft_margin::SoftMargin;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use softmax_focal::SoftmaxFocal;
pub use target::TargetError;
pub use total::Total;
pub use triplet_margin::TripletMargin;
pub use weighted::{Weighted, per_example};

/// A scalar measure J of how far predictions lie from their targets, with its local derivative dJ/dy.
///
/// `y` is (batch, ...); the value is the mean over the batch unless the loss says otherwise. One method is required.
/// No loss of this crate allocates, and the order of every sum depends on the sizes alone, whatever the number of
/// threads.
///
/// A loss that compares each number with its own target is simpler to write as a [`PointwiseLoss`].
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
    /// J(y, target) as a sum of terms and its divisor; also overwrites all of `dy` with dJ/dy, if it is given.
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

    /// The same with a weight for each example: $`J = \sum_i w_i s_i / \sum_i w_i d_i`$, with the sums $`s_i`$ and
    /// divisors $`d_i`$ that the loss gives each example alone. An example of weight 0 is not read.
    ///
    /// Losses whose terms belong to single numbers or positions also take a weight for each of these: a mask.
    /// What then has a weight of 0 is not read; under `Reduction::BatchMean` an example counts by its mean weight.
    ///
    /// # Errors
    /// As for [`evaluate`](Loss::evaluate), and returns an error if there are more or fewer weights, or one is negative
    /// or not finite.
    fn evaluate_weighted<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        weights: &[T],
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        weighted::by_example(self, y, target, weights, dy)
    }

    /// How the loss reads predictions and targets; it does not say unless overridden.
    fn meaning(&self) -> Meaning {
        Meaning::default()
    }

    /// J(y, target).
    ///
    /// # Errors
    /// As for [`evaluate`](Loss::evaluate).
    fn value<T: Scalar>(&self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<T, TargetError> {
        Ok(T::from_f64(Call { y, target, weights: None, dy: None }.evaluate(self)?.value()))
    }

    /// The same value; also overwrites all of `dy` with dJ/dy.
    ///
    /// # Errors
    /// As for [`evaluate`](Loss::evaluate).
    fn value_and_gradient<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: BatchMut<'_, T>,
    ) -> Result<T, TargetError> {
        Ok(T::from_f64(Call { y, target, weights: None, dy: Some(dy.slice()) }.evaluate(self)?.value()))
    }

    /// Both ways to evaluate, for `f32`: compiled with this crate for its own losses, if in development it is optimised
    /// and what uses it may not be.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError> {
        call.of(self)
    }

    /// The same for `f64`.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError> {
        call.of(self)
    }
}
