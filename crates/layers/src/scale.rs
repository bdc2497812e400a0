use downhill_tensor::{BuildError, Init, Scalar, Shape, elementwise, reduce};

use crate::{Backward, Forward, Layer, Parameter, Signature, single_input};

/// Multiplies everything by one learnt factor: y = s x.
///
/// ```text
/// dJ/ds = Σ dy x        dJ/dx = s dy
/// ```
///
/// At the end of a residual branch with a start of 0 it makes a deep network begin as the identity
/// (Bachlechner et al. 2020, arXiv 2003.04887).
///
/// # Shapes
/// y has the shape of x; s, the parameter `weight`, is one number.
///
/// # Errors
/// Building a network returns an error for a start that is not finite.
///
/// Derivation: `docs/derivations/layers/scale.md`.
///
/// ```
/// use downhill_layers::{Layer, Scale};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut scale = Scale::new(2.0).bind::<f64>([2], Seed(0))?;
/// assert_eq!(scale.forward([[1.0, -3.0]])?, array![[2.0, -6.0]]);
/// assert_eq!(scale.backward([[1.0, 1.0]])?, array![[2.0, 2.0]]);
/// assert_eq!(scale.gradient("weight")?.sum(), -2.0);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scale {
    start: f64,
}

impl Scale {
    /// Creates a factor that starts at this number.
    #[must_use]
    pub fn new(start: f64) -> Self {
        Self { start }
    }
}

impl Layer for Scale {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Scale", inputs)?;
        let start = Init::Constant(self.start);
        start.check()?;
        Ok(Signature::new("Scale", x).parameter(Parameter::new("weight", [], start)).backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let s = pass.params.vector(0)[0];
        elementwise::map(pass.x[0].slice(), pass.y.slice(), |x| s * x);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
        pass.dparams.vector(0)[0] = reduce::zip_sum(dy, x, |dy, x| dy * x);
        if let Some(dx) = pass.dx.get(0) {
            let s = pass.params.vector(0)[0];
            elementwise::map(dy, dx.slice(), |dy| s * dy);
        }
    }
}
