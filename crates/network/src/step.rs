//! A training step of a hand-written loop.

use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target, Total};
use downhill_optim::Optimizer;
use downhill_tensor::{BuildError, Scalar, elementwise, threads};

use crate::{BackwardObserver, Network, PassError, Workspace};

/// Gradients of several micro-batches, waiting for one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ready {
    /// No backward pass since the last step.
    #[default]
    Nothing,
    /// dJ/dθ of one batch, whose statistics wait to be absorbed.
    Gradient(Counted),
    /// The mean of dJ/dθ over micro-batches, whose statistics have been absorbed.
    Mean(Counted),
    /// The sum of dJ/dθ over micro-batches, each times its divisor; their total stands next to it.
    Sum,
}

/// Whether a batch has anything to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Something,
    Nothing,
    /// Its loss is not a finite number, so that its gradient would spoil the parameters.
    NotFinite,
}

impl Counted {
    pub(crate) fn of(total: Total) -> Self {
        match total {
            total if total.is_empty() => Self::Nothing,
            total if !total.value().is_finite() => Self::NotFinite,
            _ => Self::Something,
        }
    }
}

impl<T: Scalar> Network<T> {
    /// Makes one step of `optimizer` against the gradient in the workspace: θ ← θ − step(g). Also updates the running
    /// statistics from the training pass.
    ///
    /// The optimizer learns first how θ is divided, so that frozen parameters stay as they are and groups get their
    /// treatment. A loop is then:
    ///
    /// ```
    /// use downhill_layers::{Affine, Mode, Tanh};
    /// use downhill_losses::{MeanSquaredError, Target};
    /// use downhill_network::{Network, Purpose, sequential};
    /// use downhill_optim::Adam;
    /// use downhill_tensor::{Batch, Seed};
    ///
    /// let mut network = Network::<f64>::build([1], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(1))?;
    /// let (mut optimizer, mut workspace) = (Adam::new(0.05), network.workspace(Purpose::Training));
    /// let (x, target) = (Batch::new(&[-1.0, 0.0, 1.0], 3, [1])?, Target::Values(&[1.0, 0.0, 1.0]));
    /// let mut last = f64::INFINITY;
    /// for step in 0..300 {
    ///     last = network.backpropagate(x, target, &MeanSquaredError::new(), &mut workspace, Mode::Training { step })?.value();
    ///     network.step(&mut optimizer, &mut workspace)?;
    /// }
    /// assert!(last < 1e-3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Gradients of several micro-batches that [`accumulate`](Network::accumulate) has summed become one step of their
    /// mean. A gradient from a batch in which no target counts moves nothing.
    ///
    /// # Errors
    /// Returns an error if there was no backward pass since the last step, if its loss is not a finite number, if the
    /// workspace belongs to another network ([a clone](Network::clone) takes it), or if a setting of the optimizer lies
    /// outside its range. The network and the optimizer are then as before; a gradient of a loss that is not finite is
    /// dropped.
    pub fn step<O: Optimizer<T> + ?Sized>(
        &mut self,
        optimizer: &mut O,
        workspace: &mut Workspace<T>,
    ) -> Result<(), BuildError> {
        self.check_workspace(workspace)?;
        if !workspace.purpose().learns() {
            let reason = "the workspace holds no dJ/dθ; make one with Purpose::Training";
            return Err(BuildError::Purpose { by: "Network::step", reason });
        }
        let counted = match workspace.ready {
            Ready::Nothing => return Err(BuildError::NoGradient),
            Ready::Gradient(counted) | Ready::Mean(counted) => counted,
            Ready::Sum => Counted::of(workspace.accumulated_total),
        };
        if counted == Counted::NotFinite {
            workspace.ready = Ready::Nothing;
            return Err(BuildError::LossNotFinite);
        }
        let refuse = |reason| BuildError::Setting { by: "Network::step", reason };
        optimizer.check().map_err(|error| refuse(error.to_string()))?;
        if counted == Counted::Something {
            optimizer.bind(self.segments());
            let is_shared = self.shares_update(workspace.examples);
            let mut update = || {
                workspace.average();
                optimizer.step(self.parameters_mut(), workspace.gradient());
            };
            if is_shared {
                update()
            } else {
                threads::alone(update)
            }
            if matches!(workspace.ready, Ready::Gradient(_)) {
                self.absorb_statistics(workspace)?;
            }
        }
        workspace.ready = Ready::Nothing;
        Ok(())
    }

    /// Whether threads may share the update after a pass over this many examples.
    fn shares_update(&self, examples: usize) -> bool {
        /// A longer gradient lies in memory that is equally far from all processors, even if one thread has computed it.
        const NEAR: usize = 512 * 1024;
        self.parameters().len() > NEAR || self.is_worth_sharing(examples)
    }

    /// Computes J(θ) for one batch as a sum of terms and its divisor, and dJ/dθ in the workspace, at the network's own
    /// parameters: forward, the loss, backward.
    ///
    /// # Errors
    /// Returns an error if inputs or targets do not fit, or the workspace is only for prediction.
    pub fn backpropagate<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
    ) -> Result<Total, PassError> {
        self.backpropagate_weighted(x, target, None, loss, workspace, mode)
    }

    /// Backpropagates with a weight for each example or target, if there are any: see [`Loss::evaluate_weighted`].
    ///
    /// # Errors
    /// Returns the errors of [`backpropagate`](Network::backpropagate), and an error if the weights do not fit.
    pub fn backpropagate_weighted<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
    ) -> Result<Total, PassError> {
        self.total_and_gradient(self.parameters(), &x.into(), target, weights, loss, workspace, mode, None)
    }

    /// Backpropagates as [`backpropagate_weighted`](Network::backpropagate_weighted) does, and shows `observer` the output
    /// of each layer, and dJ/dy and dJ/dθ as the pass goes back through the layers.
    ///
    /// # Errors
    /// Returns the errors of [`backpropagate_weighted`](Network::backpropagate_weighted).
    #[expect(
        clippy::too_many_arguments,
        reason = "weights and an observer are rare, so that neither has a door without the other"
    )]
    pub fn backpropagate_observed<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
        observer: &mut dyn BackwardObserver<T>,
    ) -> Result<Total, PassError> {
        self.total_and_gradient(self.parameters(), &x.into(), target, weights, loss, workspace, mode, Some(observer))
    }

    /// Backpropagates a micro-batch: its gradient is added to those since the last [`step`](Network::step), which then
    /// uses the gradient of them all, as of one large batch, within rounding. Running statistics are updated by each
    /// micro-batch alone.
    ///
    /// # Errors
    /// Returns the errors of [`backpropagate`](Network::backpropagate), and an error if the divisors of a
    /// loss's several parts have other proportions than in the micro-batches so far; these are then kept.
    pub fn accumulate<'x>(
        &mut self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
    ) -> Result<Total, PassError> {
        self.accumulate_weighted(x, target, None, loss, workspace, mode)
    }

    /// Accumulates with a weight for each example or target, if there are any.
    ///
    /// # Errors
    /// Returns the errors of [`backpropagate_weighted`](Network::backpropagate_weighted) and
    /// [`accumulate`](Network::accumulate).
    pub fn accumulate_weighted<'x>(
        &mut self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
    ) -> Result<Total, PassError> {
        self.add_batch(&x.into(), target, weights, loss, workspace, mode, None)
    }

    /// Accumulates as [`accumulate_weighted`](Network::accumulate_weighted) does, and shows `observer` the pass of this
    /// micro-batch.
    ///
    /// # Errors
    /// Returns the errors of [`accumulate_weighted`](Network::accumulate_weighted).
    #[expect(clippy::too_many_arguments, reason = "those of `backpropagate_observed`")]
    pub fn accumulate_observed<'x>(
        &mut self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
        observer: &mut dyn BackwardObserver<T>,
    ) -> Result<Total, PassError> {
        self.add_batch(&x.into(), target, weights, loss, workspace, mode, Some(observer))
    }

    #[expect(clippy::too_many_arguments, reason = "those of the doors before it")]
    fn add_batch(
        &mut self,
        x: &Inputs<'_, T>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        loss: &impl Loss,
        workspace: &mut Workspace<T>,
        mode: Mode,
        observer: Option<&mut dyn BackwardObserver<T>>,
    ) -> Result<Total, PassError> {
        let mut whole = match workspace.ready {
            Ready::Sum => workspace.accumulated_total,
            Ready::Nothing | Ready::Gradient(_) | Ready::Mean(_) => Total::default(),
        };
        let total = self.total_and_gradient(self.parameters(), x, target, weights, loss, workspace, mode, observer)?;
        let kept = if whole == Total::default() { Ready::Nothing } else { Ready::Sum };
        if workspace.ready == Ready::Nothing {
            // The observer has broken the pass off.
            workspace.ready = kept;
            return Ok(total);
        }
        if !total.is_in_proportion_to(whole) {
            workspace.ready = kept;
            let reason = "the parts of the loss are divided by numbers whose proportions change from one micro-batch to \
                          the next, so that their gradients do not add up; make one batch of them, or divide each part \
                          by the examples, with `Reduction::BatchMean`";
            return Err(BuildError::Setting { by: "Network::accumulate", reason: reason.into() }.into());
        }
        let first = whole == Total::default();
        if first {
            workspace.accumulated.resize(workspace.gradient.len(), T::ZERO);
            workspace.accumulated.fill(T::ZERO);
        }
        if !total.is_empty() {
            let factor = T::from_f64(total.divisor());
            let Workspace { gradient, accumulated, .. } = workspace;
            add_product(gradient, factor, accumulated);
            self.absorb_statistics(workspace)?;
        }
        whole += total;
        (workspace.accumulated_total, workspace.ready) = (whole, Ready::Sum);
        Ok(total)
    }
}

impl<T: Scalar> Workspace<T> {
    /// Takes a gradient from elsewhere for the next [`step`](Network::step), such as the mean over several processes, and
    /// returns the place to write it, which holds that of the last pass. `total` is the loss that it is the gradient of.
    ///
    /// The step leaves the running statistics alone: see [`Network::absorb_statistics`].
    pub fn replace_gradient(&mut self, total: Total) -> &mut [T] {
        self.ready = Ready::Mean(Counted::of(total));
        &mut self.gradient
    }

    /// Turns the gradients that [`Network::accumulate`] has added up into the gradient of them all, and returns it to
    /// be clipped or looked at before the step. [`Network::step`] does the same by itself. Without such gradients
    /// nothing changes.
    pub fn average(&mut self) -> &mut [T] {
        if self.ready == Ready::Sum {
            let total = self.accumulated_total;
            let scale = T::from_f64(if total.is_sum() { 1.0 } else { total.scale() });
            product(&self.accumulated, scale, &mut self.gradient);
            self.ready = Ready::Mean(Counted::of(total));
        }
        &mut self.gradient
    }
}

downhill_tensor::compiled! {
    /// sum ← sum + factor · g.
    fn add_product<T: Scalar>(g: &[T], factor: T, sum: &mut [T]) {
        elementwise::update(g, sum, |g, sum| sum + factor * g);
    }

    /// y ← factor · x.
    fn product<T: Scalar>(x: &[T], factor: T, y: &mut [T]) {
        elementwise::map(x, y, |x| x * factor);
    }
}

#[cfg(test)]
mod tests {
    use downhill_layers::{Affine, Embedding};
    use downhill_tensor::Seed;

    use crate::Network;

    #[test]
    fn the_update_after_a_small_pass_is_shared_only_if_the_gradient_is_long() {
        let affine = Network::<f32>::build([100], Affine::new(200), Seed(1)).unwrap();
        assert!(!affine.shares_update(50) && affine.shares_update(100));
        let table = Network::<f32>::build([8], Embedding::new(200_000, 4), Seed(1)).unwrap();
        assert!(!table.is_worth_sharing(1) && table.shares_update(1));
    }
}
