use std::error::Error;
use std::fmt;

use downhill_layers::{Inputs, Mode};
use downhill_losses::{Call, Loss, Target, TargetError, Total};
use downhill_optim::{EvaluationError, Objective, Segment};
use downhill_tensor::{BuildError, Scalar, ShapeError};

use crate::passes::{BackwardObserver, Onlooker};
use crate::step::{Counted, Ready};
use crate::{Network, Purpose, Workspace};

/// Why a pass with a loss could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassError {
    /// The inputs, the workspace or a setting do not fit the network.
    Build(BuildError),
    /// The targets do not fit the predictions.
    Target(TargetError),
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::Target(error) => error.fmt(f),
        }
    }
}

impl Error for PassError {}

impl From<ShapeError> for PassError {
    fn from(error: ShapeError) -> Self {
        Self::Build(error.into())
    }
}

impl From<BuildError> for PassError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<TargetError> for PassError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl<T: Scalar> Network<T> {
    /// Computes J(θ) for one batch: forward, then the loss.
    ///
    /// # Errors
    /// Returns an error if inputs or targets do not fit.
    pub fn value<'x>(
        &self,
        theta: &[T],
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        workspace: &'x mut Workspace<T>,
        mode: Mode,
    ) -> Result<T, PassError> {
        let y = self.forward(theta, x, workspace, mode)?;
        Ok(loss.value(y, target)?)
    }

    /// Computes J(θ) for one batch, and dJ/dθ in the workspace: forward, the loss, backward.
    ///
    /// # Errors
    /// Returns an error if inputs or targets do not fit, or the workspace is only for prediction.
    pub fn value_and_gradient<'x>(
        &self,
        theta: &[T],
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
    ) -> Result<T, PassError> {
        Ok(T::from_f64(self.total_and_gradient(theta, &x.into(), target, None, loss, workspace, mode, None)?.value()))
    }

    /// Computes J(θ) as a sum and a divisor, and dJ/dθ in the workspace.
    #[expect(clippy::too_many_arguments, reason = "the doors before this one have fewer")]
    pub(crate) fn total_and_gradient(
        &self,
        theta: &[T],
        x: &Inputs<'_, T>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
        mut observer: Option<&mut dyn BackwardObserver<T>>,
    ) -> Result<Total, PassError> {
        let onlooker = match &mut observer {
            Some(observer) => Onlooker::Training(&mut **observer),
            None => Onlooker::Nobody,
        };
        self.run_forward(theta, x, workspace, mode, onlooker)?;
        let total = self.in_step(workspace.examples, || match workspace.loss_slots() {
            Some((y, mut dy)) => Call { y, target, weights, dy: Some(dy.slice()) }.evaluate(loss),
            None => Call { y: workspace.prediction(), target, weights, dy: None }.evaluate(loss),
        })?;
        if let Some(observer) = &mut observer {
            let mut slots = workspace.loss_slots();
            let dy = match &mut slots {
                Some((_, dy)) => dy.slice(),
                None => &mut [],
            };
            if observer.loss(total, dy).is_break() {
                workspace.ready = Ready::Nothing;
                return Ok(total);
            }
        }
        self.run_backward(theta, x, workspace, observer)?;
        workspace.ready = Ready::Gradient(Counted::of(total));
        Ok(total)
    }
}

/// A network with a loss over some data, as the function J(θ) that it is: any minimiser takes it.
///
/// ```
/// use downhill_layers::Affine;
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_network::{Network, NetworkObjective};
/// use downhill_optim::Objective;
/// use downhill_tensor::{Batch, Seed};
///
/// let network = Network::<f64>::build([1], Affine::new(1), Seed(3))?;
/// let x = Batch::new(&[1.0, 2.0], 2, [1])?;
/// let mut objective = NetworkObjective::new(&network, x, Target::Values(&[3.0, 5.0]), MeanSquaredError::new());
/// let mut gradient = [0.0; 2];
/// let value = objective.value_and_gradient(&[2.0, 1.0], &mut gradient)?; // y = 2x + 1 fits exactly
/// assert_eq!((value, gradient), (0.0, [0.0, 0.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NetworkObjective<'a, T, L> {
    network: &'a Network<T>,
    x: Inputs<'a, T>,
    target: Target<'a, T>,
    loss: L,
    mode: Mode,
    weights: Option<&'a [T]>,
    workspace: Workspace<T>,
}

impl<'a, T: Scalar, L: Loss> NetworkObjective<'a, T, L> {
    /// Creates J(θ) = loss(network(x; θ), target), over all of the data at once.
    #[must_use]
    pub fn new(network: &'a Network<T>, x: impl Into<Inputs<'a, T>>, target: Target<'a, T>, loss: L) -> Self {
        let workspace = network.workspace(Purpose::Training);
        Self { network, x: x.into(), target, loss, mode: Mode::Training { step: 0 }, weights: None, workspace }
    }

    /// Gives each example or target a weight: see [`Loss::evaluate_weighted`].
    #[must_use]
    pub fn weights(mut self, weights: &'a [T]) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Sets the mode of the passes: by default all are training passes of step 0, so that what is random in them
    /// is the same each time.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

impl<T: Scalar, L: Loss> Objective<T> for NetworkObjective<'_, T, L> {
    fn value_and_gradient(&mut self, theta: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        let Self { network, x, target, loss, mode, weights, workspace } = self;
        let total = network.total_and_gradient(theta, x, *target, *weights, loss, workspace, *mode, None);
        let total = total.map_err(EvaluationError::because)?;
        let got = gradient.len();
        if got != workspace.gradient().len() {
            let (what, expected) = ("the gradient".into(), workspace.gradient().len());
            return Err(EvaluationError::because(ShapeError::Length { what, expected, got }));
        }
        gradient.copy_from_slice(workspace.gradient());
        Ok(T::from_f64(total.value()))
    }

    fn value(&mut self, theta: &[T]) -> Result<T, EvaluationError> {
        let Self { network, x, target, loss, mode, weights, workspace } = self;
        network.run_forward(theta, x, workspace, *mode, Onlooker::Nobody).map_err(EvaluationError::because)?;
        let call = Call { y: workspace.prediction(), target: *target, weights: *weights, dy: None };
        let total = call.evaluate(loss).map_err(EvaluationError::because)?;
        Ok(T::from_f64(total.value()))
    }

    fn segments(&self) -> &[Segment] {
        self.network.segments()
    }
}
