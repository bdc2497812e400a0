//! Loss functions with their derivatives.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::fmt::Debug;

use downhill_tensor::{Batch, BatchMut, Scalar};

mod binary_cross_entropy;
mod binary_cross_entropy_with_logits;
mod binary_focal;
mod classes;
mod cosine_embedding;
mod ctc;
mod dice;
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
mod multi_label_margin;
mod multi_label_soft_margin;
mod multi_margin;
mod negative_log_likelihood;
mod pointwise;
mod poisson_nll;
mod quantile;
mod reduction;
mod smooth_l1;
mod soft_margin;
mod softmax;
mod softmax_cross_entropy;
mod softmax_focal;
mod sums;
mod target;
#[cfg(test)]
mod testing;
mod triplet_margin;
mod weighted;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use binary_cross_entropy_with_logits::BinaryCrossEntropyWithLogits;
pub use binary_focal::BinaryFocal;
pub use classes::ClassAxis;
pub use cosine_embedding::CosineEmbedding;
pub use ctc::Ctc;
pub use dice::Dice;
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
pub use multi_label_margin::MultiLabelMargin;
pub use multi_label_soft_margin::MultiLabelSoftMargin;
pub use multi_margin::MultiMargin;
pub use negative_log_likelihood::NegativeLogLikelihood;
pub use pointwise::PointwiseLoss;
pub use poisson_nll::PoissonNll;
pub use quantile::Quantile;
pub use reduction::Reduction;
pub use smooth_l1::SmoothL1;
pub use soft_margin::SoftMargin;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use softmax_focal::SoftmaxFocal;
pub use target::{Target, TargetError};
pub use triplet_margin::TripletMargin;
pub use weighted::{Weighted, per_example};

/// A scalar measure J of how far predictions lie from their targets, with its local derivative dJ/dy.
///
/// `y` is (batch, ...); the value is the mean over the batch unless the loss says otherwise.
/// No method allocates, and the order of every sum depends on the sizes alone, never on the number of threads.
///
/// A loss that compares each number with its own target is simpler to write as a [`PointwiseLoss`].
pub trait Loss: Debug + Send + Sync {
    /// J(y, target).
    ///
    /// # Errors
    /// Where the targets do not fit the predictions, or a setting lies outside its range.
    fn value<T: Scalar>(&self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<T, TargetError>;

    /// The same value; also overwrites all of `dy` with dJ/dy.
    ///
    /// # Errors
    /// As for [`value`](Loss::value), and where `dy` has another length than `y`; `dy` is then unspecified.
    fn value_and_gradient<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: BatchMut<'_, T>,
    ) -> Result<T, TargetError>;
}

/// Implements [`Loss`] by the method `evaluate`, which takes the gradient as an option.
macro_rules! loss_from_evaluate {
    ($loss:ty) => {
        impl $crate::Loss for $loss {
            fn value<T: downhill_tensor::Scalar>(
                &self,
                y: downhill_tensor::Batch<'_, T>,
                target: $crate::Target<'_, T>,
            ) -> Result<T, $crate::TargetError> {
                self.evaluate(y, target, None)
            }

            fn value_and_gradient<T: downhill_tensor::Scalar>(
                &self,
                y: downhill_tensor::Batch<'_, T>,
                target: $crate::Target<'_, T>,
                mut dy: downhill_tensor::BatchMut<'_, T>,
            ) -> Result<T, $crate::TargetError> {
                self.evaluate(y, target, Some(dy.slice()))
            }
        }
    };
}

use loss_from_evaluate;
