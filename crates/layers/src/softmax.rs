use downhill_tensor::{BuildError, Outputs, Scalar, Shape, elementwise, softmax};

use crate::{Backward, Forward, Layer, Signature, single_input};

/// Probabilities from scores: yᵢ = exp(xᵢ) / Σⱼ exp(xⱼ), over the last axis.
///
/// dyᵢ/dxⱼ = yᵢ (δᵢⱼ − yⱼ), so that dxᵢ = yᵢ (dyᵢ − Σⱼ dyⱼ yⱼ).
///
/// A network that is trained with softmax cross-entropy ends without this layer: the loss takes the scores.
///
/// # Shapes
/// y has the shape of x.
///
/// Derivation: `docs/derivations/layers/softmax.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Softmax;

/// Probabilities from costs: yᵢ = exp(−xᵢ) / Σⱼ exp(−xⱼ), over the last axis. The smallest has the largest share.
///
/// dyᵢ/dxⱼ = −yᵢ (δᵢⱼ − yⱼ), so that dxᵢ = −yᵢ (dyᵢ − Σⱼ dyⱼ yⱼ).
///
/// # Shapes
/// y has the shape of x.
///
/// Derivation: `docs/derivations/layers/softmin.md`.
///
/// ```
/// use downhill_layers::{Layer, Softmin};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut softmin = Softmin.bind::<f64>([3], Seed(0))?;
/// assert_eq!(softmin.forward([[2.0, 2.0, 1e9]])?, array![[0.5, 0.5, 0.0]]);
/// assert_eq!(softmin.backward([[4.0, 0.0, 0.0]])?, array![[-1.0, 1.0, 0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Softmin;

/// Logarithms of probabilities from scores: yᵢ = xᵢ − ln Σⱼ exp(xⱼ), over the last axis.
///
/// dyᵢ/dxⱼ = δᵢⱼ − exp(yⱼ), so that dxᵢ = dyᵢ − exp(yᵢ) Σⱼ dyⱼ.
///
/// # Shapes
/// y has the shape of x.
///
/// Derivation: `docs/derivations/layers/log-softmax.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogSoftmax;

/// The length of the last axis.
fn classes(shape: Shape) -> usize {
    shape.axes().last().copied().unwrap_or(1)
}

impl Layer for Softmax {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Softmax", single_input("Softmax", inputs)?).outputs(Outputs::ClassProbabilities).in_place())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        softmax::softmax_in_place(pass.y.slice(), classes);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        if let Some(dx) = pass.dx.get(0) {
            softmax::softmax_backward_in_place(pass.y.slice(), dx.slice(), classes);
        }
    }
}

impl Layer for Softmin {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Softmin", single_input("Softmin", inputs)?).outputs(Outputs::ClassProbabilities).in_place())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        elementwise::map_in_place(pass.y.slice(), |x| -x);
        softmax::softmax_in_place(pass.y.slice(), classes);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        if let Some(dx) = pass.dx.get(0) {
            softmax::softmax_backward_in_place(pass.y.slice(), dx.slice(), classes);
            elementwise::map_in_place(dx.slice(), |dx| -dx);
        }
    }
}

impl Layer for LogSoftmax {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("LogSoftmax", single_input("LogSoftmax", inputs)?)
            .outputs(Outputs::ClassLogProbabilities)
            .in_place())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        softmax::log_softmax_in_place(pass.y.slice(), classes);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
        let classes = classes(pass.y.shape());
        if let Some(dx) = pass.dx.get(0) {
            softmax::log_softmax_backward_in_place(pass.y.slice(), dx.slice(), classes);
        }
    }
}
