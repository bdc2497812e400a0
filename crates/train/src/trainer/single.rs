//! Steps outside a run: one batch at a time.

use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target, Total};
use downhill_network::{Network, PassError, Purpose, Workspace};
use downhill_optim::Optimizer;
use downhill_tensor::{Batch, Scalar};

use super::Trainer;
use super::update::NotFinite;
use crate::divergence::find_place;
use crate::error::Kept;
use crate::{Cause, DataRole, Divergence, Place, TrainError};

impl<T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'_, T, L, O> {
    /// Takes one step by one batch, and returns its loss: for data that come as a stream, or a loop of the caller's own.
    ///
    /// Steps are counted on from one call to the next, so that the optimizer remembers and a schedule over steps goes on;
    /// [`fit`](Trainer::fit) starts anew. Clipping and penalty are as in a run; epochs, validation, callbacks, averages and
    /// early stopping are not part of it, and neither are [`accumulate`](Trainer::accumulate) and
    /// [`exchange`](Trainer::exchange). The calling thread does the
    /// work; within [`Threads::run`](downhill_tensor::threads::Threads::run) others share it.
    ///
    /// ```
    /// use downhill_layers::Affine;
    /// use downhill_losses::{MeanSquaredError, Target};
    /// use downhill_network::Network;
    /// use downhill_optim::Sgd;
    /// use downhill_tensor::{Batch, Seed};
    /// use downhill_train::Trainer;
    ///
    /// let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1))?;
    /// let mut trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1));
    /// for _ in 0..300 {
    ///     let (x, y) = ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0]);
    ///     trainer.partial_fit(&mut network, Batch::new(&x, 3, [1])?, Target::Values(&y))?;
    /// }
    /// assert!((network.predict_one(&[3.0])?[0] - 7.0).abs() < 0.01);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if a setting is not valid, if the batch does not fit the network or the loss, if no target counts,
    /// or if the loss or the gradient is not finite. No step is taken then.
    pub fn partial_fit<'x>(
        &mut self,
        network: &mut Network<T>,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
    ) -> Result<f64, TrainError> {
        let x = x.into();
        network.set_meaning(self.loss.meaning());
        self.single_step(network, &x, |trainer, network, workspace, mode| {
            let total = network.backpropagate(x, target, &trainer.loss, workspace, mode);
            let total = total.map_err(|error| TrainError::from(error).of(DataRole::Training))?;
            if total.is_empty() { Err(TrainError::NothingCounts { data: DataRole::Training }) } else { Ok(total) }
        })
    }

    /// Takes one step by a derivative of the caller's own: `derive` sees the predictions y, writes dJ/dy for each of their
    /// numbers, and returns J. Reinforcement learning does so, in whose loss an action's return appears.
    ///
    /// ```
    /// use downhill_layers::{Affine, Softmax};
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::{Network, sequential};
    /// use downhill_optim::Sgd;
    /// use downhill_tensor::{Batch, Seed};
    /// use downhill_train::Trainer;
    ///
    /// // The policy gradient of an action with this return: J = −R ln y[action].
    /// let (action, gain) = (1, 2.0);
    /// let mut policy = Network::<f64>::build([2], sequential![Affine::new(3), Softmax], Seed(1))?;
    /// let mut trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1));
    /// let state = [0.5, -1.0];
    /// let before = policy.predict_one(&state)?[action];
    /// trainer.partial_fit_with(&mut policy, Batch::new(&state, 1, [2])?, |y, dy| {
    ///     let y = y.slice();
    ///     dy[action] = -gain / y[action];
    ///     -gain * y[action].ln()
    /// })?;
    /// assert!(policy.predict_one(&state)?[action] > before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// dJ/dy is 0 at first. The trainer's own loss is not used.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid, if the inputs do not fit the network, or if J or the gradient is not
    /// finite. No step is taken then.
    pub fn partial_fit_with<'x>(
        &mut self,
        network: &mut Network<T>,
        x: impl Into<Inputs<'x, T>>,
        derive: impl FnOnce(Batch<'_, T>, &mut [T]) -> f64,
    ) -> Result<f64, TrainError> {
        let x = x.into();
        self.single_step(network, &x, |_, network, workspace, mode| {
            network.forward(network.parameters(), x, workspace, mode).map_err(PassError::from)?;
            let mut loss = f64::NAN;
            if let Some((y, mut dy)) = workspace.loss_slots() {
                dy.slice().fill(T::ZERO);
                loss = derive(y, dy.slice());
            }
            network.backward(network.parameters(), x, workspace).map_err(PassError::from)?;
            Ok(Total::sum(loss, 1.0))
        })
    }

    fn single_step(
        &mut self,
        network: &mut Network<T>,
        x: &Inputs<'_, T>,
        pass: impl FnOnce(&Self, &Network<T>, &mut Workspace<T>, Mode) -> Result<Total, TrainError>,
    ) -> Result<f64, TrainError> {
        self.check_settings()?;
        let mut workspace = match self.single.take() {
            Some(workspace) if network.owns(&workspace) => workspace,
            _ => network.workspace(Purpose::Training),
        };
        if let Some(penalty) = &mut self.penalty {
            penalty.bind(network.segments());
        }
        let step = self.clock.steps;
        self.rates.before_step(&mut self.optimizer, step, self.clock.epochs);
        let total = pass(self, network, &mut workspace, Mode::Training { step })?;
        let learning_rate = self.optimizer.learning_rate();
        let updated = if total.value().is_finite() {
            self.update(network, &mut workspace, total, None)?
        } else {
            Err(NotFinite { loss: total.value() })
        };
        let result = match updated {
            Ok(updated) => Ok(updated.loss),
            Err(NotFinite { loss }) => {
                let place =
                    find_place(network, *x, Some(workspace.gradient()), &mut network.workspace(Purpose::Prediction))?;
                let cause = match &place {
                    // Earlier steps, whose batches are gone, may be to blame as well.
                    _ if step > 0 => Cause::Unknown,
                    Place::Parameter(parameter) => Cause::Start { parameter: parameter.clone() },
                    _ => Cause::Batch,
                };
                let epoch = self.clock.epochs + 1;
                let kept = Kept::Step;
                Err(Divergence { step, epoch, loss, place, learning_rate, cause, findings: None, kept }.into())
            }
        };
        self.single = Some(workspace);
        result
    }
}
