//! Explanations of a forward and a backward pass, number by number.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod equations;
mod explanation;
mod expression;
mod format;
mod formulas;
mod losses;
mod make;
mod markdown;
mod number;
mod optimizers;
mod origin;
mod printed;
mod settings;
mod text;

use downhill_layers::Inputs;
use downhill_losses::{Loss, Target};
use downhill_network::{Network, PassError};
use downhill_tensor::Scalar;

pub use explanation::{
    Array, Edge, Explanation, Inner, Local, LocalDerivative, LossStep, Matrix, Memory, Node, Norms, Parameter, Reader,
    Step, Targets, Update,
};
pub use expression::{Expression, Function, Symbol};
pub use number::{Number, Variable};
pub use origin::{Origin, Source};
pub use settings::Settings;

/// Networks that explain their passes.
///
/// ```
/// use downhill_explain::{Explain, Number};
/// use downhill_layers::{Affine, Sigmoid};
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::{Batch, Seed};
///
/// let mut network = Network::<f64>::build([1], sequential![Affine::new(1), Sigmoid], Seed(1))?;
/// network.parameters_mut().copy_from_slice(&[0.8, -2.0]);
/// let x = Batch::new(&[1.5], 1, [1])?;
/// let explanation = network.explain(x, Target::Values(&[1.0]), &MeanSquaredError::new())?;
///
/// let weight = Number::ParameterGradient { parameter: 0, index: 0 };
/// let origin = explanation.origin(weight).ok_or("a network with a weight has its gradient")?;
/// assert_eq!(origin.to_string(), "dJ/dw = x · dJ/dy = 1.5 · (−0.295184) = −0.442777");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Explain<T: Scalar> {
    /// Goes forward and back over one batch, and returns all numbers with how they came about: by the default
    /// [`Settings`], so without an update.
    ///
    /// # Errors
    /// Returns an error if inputs or targets do not fit.
    fn explain<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
    ) -> Result<Explanation, PassError> {
        self.explain_with(x, target, loss, Settings::new())
    }

    /// Explains as [`explain`](Explain::explain) does, with settings: an update, the mode, how much is shown.
    ///
    /// # Errors
    /// Returns an error if inputs or targets do not fit, or a setting of the optimizer is not valid.
    fn explain_with<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        settings: Settings<'_, T>,
    ) -> Result<Explanation, PassError>;
}

impl<T: Scalar> Explain<T> for Network<T> {
    fn explain_with<'x>(
        &self,
        x: impl Into<Inputs<'x, T>>,
        target: Target<'_, T>,
        loss: &impl Loss,
        settings: Settings<'_, T>,
    ) -> Result<Explanation, PassError> {
        make::explain(self, &x.into(), target, loss, settings)
    }
}
