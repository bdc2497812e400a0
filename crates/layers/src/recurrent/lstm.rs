use downhill_tensor::Scalar;

use super::{Cell, CellGradient, Recurrent};

/// Long short-term memory: gates decide what a cell c takes in, what it forgets and what it shows.
///
/// With a = x W_ih + b_ih + h(t−1) W_hh + b_hh, cut into four parts for the gates i, f, g, o,
///
/// ```text
/// i = σ(a_i)    f = σ(a_f)    g = tanh(a_g)    o = σ(a_o)
/// c(t) = f c(t−1) + i g
/// h(t) = o tanh(c(t))
/// ```
///
/// At one step, dJ/dh and dJ/dc being what arrives from the output and from the step after,
///
/// ```text
/// dc ← dc + dh o (1 − tanh²c)
/// da_i = dc g i (1 − i)         da_f = dc c(t−1) f (1 − f)
/// da_g = dc i (1 − g²)          da_o = dh tanh(c) o (1 − o)
/// dc(t−1) = dc f                dh(t−1) = da W_hhᵀ
/// dx = da W_ihᵀ                 dW_ih = Σₜ xᵀ da    dW_hh = Σₜ h(t−1)ᵀ da    db_ih = db_hh = Σₜ da
/// ```
///
/// If f is near 1, dc goes through many steps undiminished: that is what the memory is for.
///
/// [`Recurrent`] tells the shapes, the settings, the errors and the parameters' names; weights lie (in, 4·hidden).
/// The order of the gates and the two biases are PyTorch's. Keras has i, f, c, o and one bias, ONNX i, o, f, c.
///
/// Source: Hochreiter and Schmidhuber 1997; the forget gate is that of Gers, Schmidhuber and Cummins 2000.
/// Derivation: `docs/derivations/layers/lstm.md`.
///
/// ```
/// use downhill_layers::{Layer, Lstm};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // One unit, one number a step; every weight and bias is 0 but that of x in g.
/// let mut lstm = Lstm::new(1).no_bias().bind::<f64>([2, 1], Seed(1))?;
/// lstm.set("weight_ih_l0", [0.0, 0.0, 1.0, 0.0])?;
/// lstm.set("weight_hh_l0", [0.0; 4])?;
/// let y = lstm.forward([[1.0, 0.0]])?;
/// // c is tanh(1)/2 and then half of that, since f = ½; o = ½ too.
/// let c = 1f64.tanh() / 2.0;
/// assert!((y - array![[c.tanh() / 2.0, (c / 2.0).tanh() / 2.0]]).iter().all(|off| off.abs() < 1e-15));
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub type Lstm = Recurrent<LstmCell, 4, 2, 6>;

impl Lstm {
    /// Starts the forget gate's part of `bias_ih` from `value`, in all layers and directions, instead of uniformly in
    /// ±1/√hidden as all else does.
    ///
    /// f = σ(a_f) is about ½ in a network that has just started, so that a memory has faded to a thousandth after ten
    /// steps. With 1, the usual choice, f starts from about 0.73, and long spans are learnt more easily.
    ///
    /// The sum of both biases counts, and `bias_hh` starts as ever. Keras does this with 1 by default
    /// (`unit_forget_bias`), PyTorch not.
    ///
    /// Source: Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba and Sutskever 2015.
    ///
    /// ```
    /// use downhill_layers::{Layer, Lstm};
    /// use downhill_tensor::Seed;
    ///
    /// let lstm = Lstm::new(2).forget_bias(1.0).bind::<f64>([5, 3], Seed(1))?;
    /// let bias = lstm.parameter("bias_ih_l0")?; // the gates i, f, g, o
    /// assert_eq!([bias[[2]], bias[[3]]], [1.0, 1.0]);
    /// # Ok::<(), downhill_tensor::BuildError>(())
    /// ```
    ///
    /// A value that is not finite, and a layer [`no_bias`](Recurrent::no_bias), are errors of the signature.
    #[must_use]
    pub fn forget_bias(mut self, value: f64) -> Self {
        self.cell.forget_bias = Some(value);
        self
    }
}

/// The cell of an [`Lstm`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LstmCell {
    /// The number that the forget gate's bias starts from, if it is set.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    forget_bias: Option<f64>,
}

/// The place of the forget gate among the four.
const FORGET: usize = 1;

impl Cell<4, 2, 6> for LstmCell {
    compiled!([layer] [layer: &Recurrent<Self, 4, 2, 6>]);

    const NAME: &'static str = "Lstm";

    fn constant_bias(&self) -> Option<(usize, f64)> {
        self.forget_bias.map(|value| (FORGET, value))
    }

    #[inline(always)]
    fn forward<T: Scalar>(&self, x: [T; 4], h: [T; 4], [_, c]: [T; 2]) -> ([T; 2], [T; 6]) {
        let i = (x[0] + h[0]).sigmoid();
        let f = (x[1] + h[1]).sigmoid();
        let g = (x[2] + h[2]).tanh();
        let o = (x[3] + h[3]).sigmoid();
        let next = f * c + i * g;
        let shown = next.tanh();
        ([o * shown, next], [i, f, g, o, c, shown])
    }

    #[inline(always)]
    fn backward<T: Scalar>(&self, [i, f, g, o, c, shown]: [T; 6], [dh, dc]: [T; 2]) -> CellGradient<T, 4, 2> {
        // h = o tanh(c(t)); dJ/dc comes from there and from the step after.
        let dc = dc + dh * o * (T::ONE - shown * shown);
        // c(t) = f c + i g, and each gate's own slope.
        let da_i = dc * g * i * (T::ONE - i);
        let da_f = dc * c * f * (T::ONE - f);
        let da_g = dc * i * (T::ONE - g * g);
        let da_o = dh * shown * o * (T::ONE - o);
        let da = [da_i, da_f, da_g, da_o];
        // All of h(t−1) comes through the gates.
        CellGradient { from_x: da, from_h: da, state: [T::ZERO, dc * f] }
    }
}
