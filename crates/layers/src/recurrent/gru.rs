use downhill_tensor::Scalar;

use super::{Cell, CellGradient, Recurrent};

/// The gated recurrent unit: one gate decides how much of h is kept, another how much of it the new candidate sees.
///
/// With u = x W_ih + b_ih and v = h(t−1) W_hh + b_hh, each cut into three parts for the gates r, z, n,
///
/// ```text
/// r = σ(u_r + v_r)    z = σ(u_z + v_z)    n = tanh(u_n + r v_n)
/// h(t) = (1 − z) n + z h(t−1)
/// ```
///
/// At one step, dJ/dh being what arrives from the output and from the step after,
///
/// ```text
/// du_n = dh (1 − z) (1 − n²)             dv_n = du_n r
/// du_r = dv_r = du_n v_n r (1 − r)
/// du_z = dv_z = dh (h(t−1) − n) z (1 − z)
/// dh(t−1) = dh z + dv W_hhᵀ
/// dx = du W_ihᵀ    dW_ih = Σₜ xᵀ du    dW_hh = Σₜ h(t−1)ᵀ dv    db_ih = Σₜ du    db_hh = Σₜ dv
/// ```
///
/// [`Recurrent`] tells the shapes, the settings, the errors and the parameters' names; weights lie (in, 3·hidden).
/// The order of the gates, and the reset gate after the product, are those of PyTorch (and of Keras with
/// `reset_after`); in the original paper r scales h before the product, so that its numbers differ.
///
/// Source: Cho et al. 2014 (arXiv 1406.1078).
/// Derivation: `docs/derivations/layers/gru.md`.
///
/// ```
/// use downhill_layers::{Gru, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // One unit, one number a step; every weight and bias is 0 but that of x in n.
/// let mut gru = Gru::new(1).no_bias().bind::<f64>([2, 1], Seed(1))?;
/// gru.set("weight_ih_l0", [0.0, 0.0, 1.0])?;
/// gru.set("weight_hh_l0", [0.0; 3])?;
/// let y = gru.forward([[1.0, 0.0]])?;
/// let h = 1f64.tanh() / 2.0; // z = ½
/// assert_eq!(y, array![[h, h / 2.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub type Gru = Recurrent<GruCell, 3, 1, 5>;

/// The cell of a [`Gru`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GruCell;

impl Cell<3, 1, 5> for GruCell {
    compiled!([layer] [layer: &Recurrent<Self, 3, 1, 5>]);

    const NAME: &'static str = "Gru";
    // n scales what comes from h by r.
    const SEPARATE_GRADIENTS: bool = true;

    #[inline(always)]
    fn forward<T: Scalar>(&self, u: [T; 3], v: [T; 3], [h]: [T; 1]) -> ([T; 1], [T; 5]) {
        let r = (u[0] + v[0]).sigmoid();
        let z = (u[1] + v[1]).sigmoid();
        let n = (u[2] + r * v[2]).tanh();
        let rest = h - n;
        // (1 − z) n + z h
        ([n + z * rest], [r, z, n, v[2], rest])
    }

    #[inline(always)]
    fn backward<T: Scalar>(&self, [r, z, n, v_n, rest]: [T; 5], [dh]: [T; 1]) -> CellGradient<T, 3, 1> {
        let du_n = dh * (T::ONE - z) * (T::ONE - n * n);
        let du_z = dh * rest * z * (T::ONE - z);
        let du_r = du_n * v_n * r * (T::ONE - r);
        CellGradient { from_x: [du_r, du_z, du_n], from_h: [du_r, du_z, du_n * r], state: [dh * z] }
    }
}
