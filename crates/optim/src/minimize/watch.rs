use downhill_tensor::Scalar;

/// The number of iterations in a row that may lead to no better point.
const IDLE_ITERATIONS: u32 = 20;

/// The gradient is probed once this many more evaluations have gone into steps that do not fit their gradients than into
/// others.
const DOUBTFUL_EVALUATIONS: u64 = 24;

/// The number of trials in which a search may find a step within rounding.
const EASY_TRIALS: u64 = 5;

/// A watch for runs that lead nowhere, and for values that do not fit the gradients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The lowest value and the smallest ‖∇f‖∞ of all iterates, and how many since have had neither.
    lowest: f64,
    flattest: f64,
    idle: u32,
    /// The share by which a change may differ from the one that the gradients state.
    share: f64,
    /// The surplus of evaluations that have gone into steps that do not fit, and the surplus at which the gradient is probed.
    doubtful: u64,
    patience: u64,
}

impl Watch {
    pub(super) fn new(share: f64) -> Self {
        let (lowest, flattest) = (f64::INFINITY, f64::INFINITY);
        Self { lowest, flattest, idle: 0, share, doubtful: 0, patience: DOUBTFUL_EVALUATIONS }
    }

    /// Returns whether steps no longer lead anywhere: a search may take a step along which rounding hides whether the value
    /// falls, but not for ever.
    pub(super) fn is_stuck(&mut self, value: f64, gradient_norm: f64) -> bool {
        let is_better = value < self.lowest || gradient_norm < self.flattest;
        self.idle = if is_better { 0 } else { self.idle + 1 };
        (self.lowest, self.flattest) = (self.lowest.min(value), self.flattest.min(gradient_norm));
        self.idle >= IDLE_ITERATIONS
    }

    /// Returns whether it is time to probe the gradient, after a step between points of these values, along which the mean of
    /// the slopes at both ends stated another change; it took `trials` evaluations, after `vain` evaluations without a step.
    pub(super) fn is_doubtful<T: Scalar>(
        &mut self,
        [vain, trials]: [u64; 2],
        [before, after]: [f64; 2],
        stated: f64,
    ) -> bool {
        let change = after - before;
        self.doubtful += vain;
        if (change - stated).abs() <= 64.0 * T::EPSILON.to_f64() * before.abs().max(after.abs()) {
            // Rounding alone may explain the difference, but not that such a step takes long to find.
            self.doubtful += trials.saturating_sub(EASY_TRIALS);
        } else if fits(change, stated, self.share) {
            self.doubtful = self.doubtful.saturating_sub(trials);
        } else {
            self.doubtful += trials;
        }
        if self.doubtful < self.patience {
            return false;
        }
        // If the probe finds nothing wrong, the next one may wait.
        (self.doubtful, self.patience) = (0, self.patience.saturating_mul(2));
        true
    }
}

/// Returns whether two changes of the value, or two slopes, differ by no more than this share of the larger.
pub(super) fn fits(measured: f64, stated: f64, share: f64) -> bool {
    (measured - stated).abs() <= share * measured.abs().max(stated.abs())
}

/// The share for a function alone, which is that of a factor of 4: a gradient that is twice or half the right one leads
/// to the same minimum.
pub(super) const LENIENT: f64 = 0.75;

/// The share for a function with a penalty, whose sum has its minimum elsewhere if the gradient is twice the right one.
pub(super) const STRICT: f64 = 0.4;
