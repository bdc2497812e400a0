use downhill_tensor::Scalar;

use crate::precompiled::precompile;
use crate::{Chain, Precompiled, ScaleByRate, Stepper};

/// Plain gradient descent (Cauchy 1847). It keeps nothing between steps.
///
/// ```text
/// θ ← θ − γ g
/// ```
/// Derivation: `docs/derivations/optimizers/gradient-descent.md`.
///
/// ```
/// use downhill_optim::{GradientDescent, Optimizer};
/// let mut theta = [1.0_f32];
/// GradientDescent::new(0.1).step(&mut theta, &[2.0]);
/// assert_eq!(theta, [0.8]);
/// ```
pub type GradientDescent<T> = Stepper<Precompiled<Chain<ScaleByRate>>, T>;
precompile!(Chain<ScaleByRate>);

impl<T: Scalar> GradientDescent<T> {
    /// Creates the optimizer; it steps by γ times the gradient.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain(ScaleByRate), learning_rate)
    }
}
