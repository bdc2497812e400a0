use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target};
use downhill_network::{Network, Purpose};
use downhill_optim::Objective;
use downhill_tensor::Batch;

use crate::{GradcheckError, Report, differentiate};

/// Compares dJ/dθ and dJ/dx of a whole network with a loss with finite differences of J, in f64.
///
/// Where parameters are frozen the derivative must be 0.
/// A network of another precision is checked as `network.cast::<f64>()`. With many parameters this takes long:
/// every one costs six passes.
///
/// # Errors
/// Where inputs or targets do not fit.
pub fn check_network(
    network: &Network<f64>,
    x: Batch<'_, f64>,
    target: Target<'_, f64>,
    loss: &impl Loss,
) -> Result<Report, GradcheckError> {
    let mode = Mode::Training { step: 0 };
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let theta = network.parameters();
    network.value_and_gradient(theta, x, target, loss, &mut workspace, mode)?;
    let explicit = workspace.gradient().to_vec();
    let explicit_x = workspace.input_gradient(0).map(|dx| dx.slice().to_vec()).unwrap_or_default();
    let mut predicting = network.workspace(Purpose::Prediction);
    let mut value = |theta: &[f64], x: Inputs<'_, f64>| {
        network.value(theta, x, target, loss, &mut predicting, mode).unwrap_or(f64::NAN)
    };
    let mut report = Report::new("network");
    let mut numeric = differentiate(theta, |theta| value(theta, x.into()));
    for frozen in network.segments().iter().filter(|segment| segment.frozen) {
        numeric[frozen.range.clone()].fill(Some(0.0));
    }
    report.compare("dJ/dtheta", &explicit, &numeric);
    let numeric_x = differentiate(x.slice(), |moved| {
        Batch::new(moved, x.examples(), x.shape()).map_or(f64::NAN, |x| value(theta, x.into()))
    });
    report.compare("dJ/dx", &explicit_x, &numeric_x);
    Ok(report)
}

/// Compares the gradient of any objective with finite differences of its value, in f64.
///
/// ```
/// use downhill_gradcheck::{TOLERANCE, check_objective};
/// let mut bowl = |x: &[f64], g: &mut [f64]| {
///     g.copy_from_slice(&[2.0 * x[0], 6.0 * x[1]]);
///     x[0] * x[0] + 3.0 * x[1] * x[1]
/// };
/// let report = check_objective("bowl", &mut bowl, &[1.0, -2.0])?;
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Where the objective can't be evaluated at x.
pub fn check_objective(name: &str, objective: &mut impl Objective<f64>, x: &[f64]) -> Result<Report, GradcheckError> {
    let mut report = Report::new(name);
    let mut explicit = vec![f64::NAN; x.len()];
    objective.value_and_gradient(x, &mut explicit)?;
    let numeric = differentiate(x, |x| objective.value(x).unwrap_or(f64::NAN));
    report.compare("gradient", &explicit, &numeric);
    Ok(report)
}
