//! Measures of predictions in numbers that people understand.
//!
//! A metric takes one batch after another and then gives its value; it has no derivative and needs none.

use std::fmt::Debug;

use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

mod accuracy;
mod average;
mod brier_score;
mod calibrated_log_loss;
mod calibration_error;
mod confusion_matrix;
mod f_score;
mod in_units;
mod log_loss;
mod multi_label;
mod ranking;
mod reading;
mod regression;
mod retrieval;
mod sum;

pub use accuracy::{Accuracy, TopKAccuracy};
pub use average::Average;
pub use brier_score::BrierScore;
pub use calibrated_log_loss::CalibratedLogLoss;
pub use calibration_error::{ExpectedCalibrationError, ReliabilityBin};
pub use confusion_matrix::{BalancedAccuracy, CohenKappa, ConfusionMatrix, Disagreement, MatthewsCorrelation};
pub use f_score::{F1, FBeta, Precision, Recall};
pub use in_units::InUnits;
pub use log_loss::LogLoss;
pub use multi_label::{HammingLoss, SubsetAccuracy};
pub use ranking::{AveragePrecision, RocAuc};
pub(crate) use reading::Reading;
pub use regression::{MeanAbsoluteError, PinballLoss, RSquared, RootMeanSquaredError};
pub use retrieval::{MeanReciprocalRank, Ndcg};
pub(crate) use sum::Sum;

/// A measure of predictions, taken batch by batch.
pub trait Metric<T: Scalar>: Debug + Send {
    /// The name in tables and histories, such as `accuracy`.
    fn name(&self) -> String;

    /// Whether a larger value is a better one.
    fn larger_is_better(&self) -> bool;

    /// Forgets all batches, and reads the next ones by `meaning`, as the network's last layer and its loss do.
    fn start(&mut self, meaning: Meaning);

    /// Takes a batch into account, with a weight for each example or for each target if there are any.
    ///
    /// # Errors
    /// Returns an error if the targets do not fit the predictions, or are of a kind that the metric can't judge by.
    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError>;

    /// The value over all batches since the last start; not a number if there were none.
    fn value(&self) -> f64;
}

/// A borrowed metric.
impl<T: Scalar, M: Metric<T> + ?Sized> Metric<T> for &mut M {
    fn name(&self) -> String {
        (**self).name()
    }

    fn larger_is_better(&self) -> bool {
        (**self).larger_is_better()
    }

    fn start(&mut self, meaning: Meaning) {
        (**self).start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        (**self).update(y, target, weights)
    }

    fn value(&self) -> f64 {
        (**self).value()
    }
}

/// A metric that is chosen at run time.
impl<T: Scalar, M: Metric<T> + ?Sized> Metric<T> for Box<M> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn larger_is_better(&self) -> bool {
        (**self).larger_is_better()
    }

    fn start(&mut self, meaning: Meaning) {
        (**self).start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        (**self).update(y, target, weights)
    }

    fn value(&self) -> f64 {
        (**self).value()
    }
}
