use downhill_losses::{Loss, Target};
use downhill_network::PassError;
use downhill_tensor::{Batch, BatchMut};

use crate::{GradcheckError, Report, differentiate};

/// Compares a loss's explicit derivative dJ/dy with finite differences of its value, in f64.
///
/// dy starts as not-a-number, so that a part which is not overwritten is found; and the value that comes with the
/// gradient must be the value alone, to the bit.
///
/// ```
/// use downhill_gradcheck::{TOLERANCE, check_loss};
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_tensor::Batch;
/// let y = Batch::new(&[0.5, 1.5], 2, [1]).map_err(downhill_network::PassError::from)?;
/// let report = check_loss("MeanSquaredError", &MeanSquaredError::new(), y, Target::Values(&[1.0, 0.0]))?;
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Returns an error if the targets do not fit the predictions.
pub fn check_loss(
    name: &str,
    loss: &impl Loss,
    y: Batch<'_, f64>,
    target: Target<'_, f64>,
) -> Result<Report, GradcheckError> {
    let mut report = Report::new(name);
    let mut dy = vec![f64::NAN; y.slice().len()];
    let gradient = BatchMut::new(&mut dy, y.examples(), y.shape())?;
    let value = loss.value_and_gradient(y, target, gradient).map_err(PassError::from)?;
    let alone = loss.value(y, target).map_err(PassError::from)?;
    if value.to_bits() != alone.to_bits() {
        report.fail(format!("the value alone is {alone:e}, but with the gradient it is {value:e}"));
    }
    let numeric = differentiate(y.slice(), |moved| {
        let moved = Batch::new(moved, y.examples(), y.shape()).map_err(PassError::from);
        moved.and_then(|y| Ok(loss.value(y, target)?)).unwrap_or(f64::NAN)
    });
    report.compare("dJ/dy", &dy, &numeric);
    Ok(report)
}
