use downhill_losses::{Loss, Target};
use downhill_network::PassError;
use downhill_tensor::{Batch, BatchMut};

use crate::{GradcheckError, Report, differentiate};

/// Compares a loss's explicit derivative dJ/dy with finite differences of its value, in f64.
///
/// Choose predictions that lie away from kinks. A [`Weighted`](downhill_losses::Weighted) loss is checked with its
/// weights. The report has the name of the loss's type.
///
/// dy starts as not-a-number, so that a part which is not overwritten is found; and the value that comes with the
/// gradient must be the value alone, to the bit.
///
/// ```
/// use downhill_gradcheck::{TOLERANCE, check_loss};
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_tensor::Batch;
/// let y = Batch::new(&[0.5, 1.5], 2, [1]).map_err(downhill_network::PassError::from)?;
/// let report = check_loss(&MeanSquaredError::new(), y, Target::Values(&[1.0, 0.0]))?;
/// assert_eq!(report.name, "MeanSquaredError");
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Returns an error if the targets do not fit the predictions.
pub fn check_loss<L: Loss>(loss: &L, y: Batch<'_, f64>, target: Target<'_, f64>) -> Result<Report, GradcheckError> {
    let mut report = Report::new(name::<L>());
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

/// The name of a type, without its path and type parameters.
fn name<L>() -> &'static str {
    let path = std::any::type_name::<L>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use downhill_losses::{MeanSquaredError, TargetError, Total, Weighted};
    use downhill_tensor::Scalar;

    use super::*;
    use crate::TOLERANCE;

    /// J = Σ y², with a mistake in its gradient or next to it.
    #[derive(Debug)]
    enum Wrong {
        Factor,
        NotOverwritten,
        AnotherValueWithGradient,
    }

    impl Loss for Wrong {
        fn evaluate<T: Scalar>(
            &self,
            y: Batch<'_, T>,
            _: Target<'_, T>,
            dy: Option<&mut [T]>,
        ) -> Result<Total, TargetError> {
            let mut sum: f64 = y.slice().iter().map(|y| y.to_f64() * y.to_f64()).sum();
            if let Some(dy) = dy {
                let factor = if matches!(self, Self::Factor) { 2.000_001 } else { 2.0 };
                dy.iter_mut().zip(y.slice()).for_each(|(dy, &y)| *dy = T::from_f64(factor) * y);
                match self {
                    Self::NotOverwritten => dy[0] = T::from_f64(f64::NAN),
                    Self::AnotherValueWithGradient => sum += 1e-15,
                    Self::Factor => {}
                }
            }
            Ok(Total::mean(sum, 1.0))
        }
    }

    #[test]
    fn wrong_losses_are_found() {
        let y = Batch::new(&[0.5, -1.5], 2, [1]).unwrap();
        for wrong in [Wrong::Factor, Wrong::NotOverwritten, Wrong::AnotherValueWithGradient] {
            let report = check_loss(&wrong, y, Target::Values(&[])).unwrap();
            assert!(!report.passes(TOLERANCE), "{wrong:?}: {report}");
            assert!(report.to_string().starts_with("Wrong: "), "{report}");
        }
    }

    #[test]
    fn a_report_has_the_name_of_the_loss_without_its_parameters() {
        let (y, loss) = (Batch::new(&[0.5, -1.5], 2, [1]).unwrap(), MeanSquaredError::new());
        let weighted = Weighted::new(&loss, &[1.0, 3.0]);
        let report = check_loss(&weighted, y, Target::Values(&[0.0, 0.0])).unwrap();
        assert!(report.passes(TOLERANCE), "{report}");
        assert_eq!(report.name, "Weighted");
    }
}
