use downhill_tensor::Scalar;

use super::{Cell, CellGradient, Recurrent};
use crate::{Activation, Relu, Tanh};

/// The plain recurrent layer of Elman: the next state is a nonlinear map of the input and the last one.
///
/// With f = tanh, or ReLU after [`relu`](Rnn::relu),
///
/// ```text
/// a = x W_ih + b_ih + h(t−1) W_hh + b_hh
/// h(t) = f(a)
/// ```
///
/// At one step, dJ/dh being what arrives from the output and from the step after,
///
/// ```text
/// da = dh f'(a)          dh(t−1) = da W_hhᵀ
/// dx = da W_ihᵀ          dW_ih = Σₜ xᵀ da    dW_hh = Σₜ h(t−1)ᵀ da    db_ih = db_hh = Σₜ da
/// ```
///
/// Every step multiplies dh by W_hhᵀ and a slope, so that over many steps it vanishes or explodes: clip the gradient's
/// norm, or take an [`Lstm`](crate::Lstm) or a [`Gru`](crate::Gru).
///
/// [`Recurrent`] tells the shapes, the settings, the errors and the parameters' names; weights lie (in, hidden).
/// Keras and Flux have one bias where PyTorch, and this, have two: their sum does what one does.
///
/// Source: Elman 1990.
/// Derivation: `docs/derivations/layers/rnn.md`.
///
/// ```
/// use downhill_layers::{Layer, Rnn};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // A sum over time that is kept above 0.
/// let mut rnn = Rnn::new(1).relu().no_bias().bind::<f64>([3, 1], Seed(1))?;
/// rnn.set("weight_ih_l0", [1.0])?;
/// rnn.set("weight_hh_l0", [1.0])?;
/// assert_eq!(rnn.forward([[1.0, -3.0, 2.0]])?, array![[1.0, 0.0, 2.0]]);
/// // The gradient goes back in time as far as the unit was active.
/// assert_eq!(rnn.backward([[0.0, 0.0, 1.0]])?, array![[0.0, 0.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub type Rnn = Recurrent<RnnCell, 1, 1, 1>;

/// The cell of an [`Rnn`]: its nonlinearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "nonlinearity"))]
#[non_exhaustive]
pub enum RnnCell {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// The rectified linear unit.
    Relu,
}

impl Rnn {
    setters! {
        /// Uses f = ReLU instead of tanh.
        relu() cell = RnnCell::Relu;
    }
}

impl Cell<1, 1, 1> for RnnCell {
    compiled!([layer] [layer: &Recurrent<Self, 1, 1, 1>]);

    const NAME: &'static str = "Rnn";

    #[inline(always)]
    fn forward<T: Scalar>(&self, [x]: [T; 1], [h]: [T; 1], _: [T; 1]) -> ([T; 1], [T; 1]) {
        let a = x + h;
        let h = match self {
            Self::Tanh => Tanh.value(a),
            Self::Relu => Relu.value(a),
        };
        ([h], [h])
    }

    #[inline(always)]
    fn backward<T: Scalar>(&self, [h]: [T; 1], [dh]: [T; 1]) -> CellGradient<T, 1, 1> {
        // Both slopes follow from h.
        let slope = match self {
            Self::Tanh => Tanh.slope(h, h),
            Self::Relu => Relu.slope(h, h),
        };
        let da = dh * slope;
        CellGradient { from_x: [da], from_h: [da], state: [T::ZERO] }
    }
}
