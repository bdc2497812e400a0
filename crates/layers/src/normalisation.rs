//! Layers that give numbers a mean of 0 and a variance of 1, or a mean square of 1.

mod batch_norm;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod rms_norm;

use downhill_tensor::normalise::NormGroups;
use downhill_tensor::{BuildError, Init, Scalar, Shape};

use crate::{Backward, Extent, Forward, Parameter, Signature};

pub use batch_norm::BatchNorm;
pub use group_norm::GroupNorm;
pub use instance_norm::InstanceNorm;
pub use layer_norm::LayerNorm;
pub use rms_norm::RmsNorm;

/// Checks what all normalisations ask of an ε and of an example.
fn check(by: &'static str, epsilon: f64, x: Shape) -> Result<(), BuildError> {
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return refuse!(by, "ε must be a finite number that is not negative, but is {epsilon}");
    }
    if x.len() == 0 {
        return refuse!(by, "an example of shape {x} holds nothing to normalise; each axis must be at least 1");
    }
    Ok(())
}

/// Adds the parameters that scale and shift what has been normalised: weight and bias.
fn affine(signature: Signature, shape: Shape, weight: bool, bias: bool) -> Signature {
    signature
        .parameter_if(weight, Parameter::new("weight", shape, Init::Ones))
        .parameter_if(bias, Parameter::new("bias", shape, Init::Zeros))
}

/// The shape of the last `axes` axes.
fn last_axes(by: &'static str, x: Shape, axes: usize) -> Result<Shape, BuildError> {
    let last = x.rank().checked_sub(axes).filter(|_| axes > 0).and_then(|first| Shape::new(&x.axes()[first..]));
    last.ok_or_else(|| BuildError::Setting {
        by,
        reason: format!(
            "it was told to normalise the last {axes} axes, but an example of shape {x} has {}; at least 1 is needed",
            x.rank()
        ),
    })
}

/// The passes of all normalisations within an example; `saved` holds the mean and 1/√(σ² + ε) of each group.
trait WithinExample {
    /// Whether there is a weight, and whether there is a bias.
    fn affine(&self) -> (bool, bool);

    /// The sizes, and ε.
    fn sizes<T: Scalar>(&self, x: Shape) -> NormGroups;

    /// The signature of a layer that normalises `groups` groups of each example, with parameters of this shape.
    fn signature(&self, name: &'static str, x: Shape, groups: usize, parameters: impl Into<Shape>) -> Signature {
        let signature = Signature::new(name, x).saves("moments", [groups, 2], Extent::PerExample).backward_without_y();
        let (weight, bias) = self.affine();
        affine(signature, parameters.into(), weight, bias)
    }

    fn normalise<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (weight, bias) = self.affine();
        let (weight, bias) = (weight.then(|| pass.params.vector(0)), bias.then(|| pass.params.vector(1)));
        let x = pass.x[0];
        self.sizes::<T>(x.shape()).forward(x.slice(), weight, bias, pass.saved.vector(0), pass.y.slice());
    }

    fn go_back<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
        let sizes = self.sizes::<T>(pass.x[0].shape());
        let (weight, bias) = self.affine();
        if weight {
            let (dweight, dbias) = pass.dparams.weight_and_bias(bias);
            sizes.backward_affine(x, dy, pass.saved.vector(0), dweight, dbias);
        }
        if let Some(dx) = pass.dx.get(0) {
            sizes.backward(x, dy, weight.then(|| pass.params.vector(0)), pass.saved.vector(0), dx.slice());
        }
    }
}
