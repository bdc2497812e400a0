use std::fmt::Debug;

use downhill_tensor::Scalar;

use super::Recurrent;

/// One step of a recurrent layer, for one hidden unit: what [`Recurrent`](crate::Recurrent) repeats over units,
/// examples, steps, directions and layers.
///
/// A layer with a cell makes `GATES` sums for each hidden unit, x W + b from the step's input and h W + b from the last
/// step's output, each with weights of its own. The cell turns them and the last state into the next state:
///
/// ```text
/// state(t) = forward(x(t) W_ih + b_ih, state(t−1)₀ W_hh + b_hh, state(t−1))
/// ```
///
/// The first of the `STATE` numbers of the state is h, which is the output; an LSTM has a second one.
/// `KEPT` numbers go from `forward` to `backward`: whatever the local derivatives are made of; at least `GATES`,
/// because the layer puts x W + b there first.
///
/// Write both methods as plain scalar code without branches and mark them `#[inline(always)]`: the loops over units
/// are then vectorised.
///
/// ```
/// use downhill_layers::{Cell, CellGradient, Layer, Recurrent};
/// use downhill_tensor::{Scalar, Seed};
/// use ndarray::array;
///
/// /// A leaky integrator: h(t) = h(t−1)/2 + tanh(a)/2, where a = x W + b + h W + b.
/// #[derive(Clone, Debug)]
/// struct Leaky;
///
/// impl Cell<1, 1, 1> for Leaky {
///     const NAME: &'static str = "Leaky";
///
///     #[inline(always)]
///     fn forward<T: Scalar>(&self, [x]: [T; 1], [from_h]: [T; 1], [h]: [T; 1]) -> ([T; 1], [T; 1]) {
///         let y = (x + from_h).tanh();
///         ([(h + y) / T::from_f64(2.0)], [y])
///     }
///
///     #[inline(always)]
///     fn backward<T: Scalar>(&self, [y]: [T; 1], [dh]: [T; 1]) -> CellGradient<T, 1, 1> {
///         let half = dh / T::from_f64(2.0);
///         let da = half * (T::ONE - y * y);
///         CellGradient { from_x: [da], from_h: [da], state: [half] }
///     }
/// }
///
/// let mut leaky = Recurrent::from_cell(Leaky, 1).no_bias().bind::<f64>([2, 1], Seed(1))?;
/// leaky.set("weight_ih_l0", [1.0])?;
/// leaky.set("weight_hh_l0", [0.0])?;
/// let y = leaky.forward([[1.0, 0.0]])?;
/// assert_eq!(y, array![[1f64.tanh() / 2.0, 1f64.tanh() / 4.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub trait Cell<const GATES: usize, const STATE: usize, const KEPT: usize>: Debug + Send + Sync {
    /// The layer's name, such as `Lstm`.
    const NAME: &'static str;

    /// Whether the derivatives with respect to x W + b and to h W + b may differ.
    /// If the cell only adds the two, they are equal, and one array holds both.
    const SEPARATE_GRADIENTS: bool = false;

    /// The gate whose part of `bias_ih` starts from a constant, and the constant: it goes beyond how all weights start.
    fn constant_bias(&self) -> Option<(usize, f64)> {
        None
    }

    /// The state after the step, and what `backward` needs.
    fn forward<T: Scalar>(&self, from_x: [T; GATES], from_h: [T; GATES], state: [T; STATE]) -> ([T; STATE], [T; KEPT]);

    /// The chain rule at this step: from dJ/d(state after) to dJ/d(all that `forward` was given).
    fn backward<T: Scalar>(&self, kept: [T; KEPT], state: [T; STATE]) -> CellGradient<T, GATES, STATE>;

    passes! {
        #[doc(hidden)]
        #[inline]
        [layer] [layer: &Recurrent<Self, GATES, STATE, KEPT>]
    }
}

/// The gradients that a [`Cell`] computes from dJ/d(state after the step).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellGradient<T, const GATES: usize, const STATE: usize> {
    /// dJ/d(x W + b), gate by gate.
    pub from_x: [T; GATES],
    /// dJ/d(h W + b), gate by gate; not read unless [`SEPARATE_GRADIENTS`](Cell::SEPARATE_GRADIENTS), since it is then
    /// equal to `from_x`.
    pub from_h: [T; GATES],
    /// dJ/d(state before the step), apart from what comes through h W + b.
    pub state: [T; STATE],
}
