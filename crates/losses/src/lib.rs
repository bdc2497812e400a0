//! Loss functions with their derivatives.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

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
mod loss;
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
pub use loss::Loss;
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
