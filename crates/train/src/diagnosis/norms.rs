/// The norms of a step: those of each layer's output and its gradient, and of each parameter, its gradient and its change.
///
/// All are Euclidean. Those of layers are over the examples of the batch, the first one of a step that
/// [accumulates](crate::Trainer::accumulate) several; gradients are those of the pass, before penalty and clipping.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Norms {
    /// The step, counted from 0.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The layers, in the order in which they run.
    pub layers: Vec<LayerNorms>,
    /// The parameters, in their order in θ.
    pub parameters: Vec<ParameterNorms>,
}

/// The norms of one layer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LayerNorms {
    /// The place of the layer in the network, such as `2.norm`; empty for a layer outside any chain.
    pub layer: String,
    /// The kind of the layer, such as `Affine`.
    pub kind: &'static str,
    /// ‖y‖.
    pub activations: f64,
    /// ‖dJ/dy‖; `None` if the backward pass does not come to this layer.
    pub gradients: Option<f64>,
}

/// The norms of one parameter.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ParameterNorms {
    /// The name, such as `2.weight`.
    pub name: String,
    /// ‖θ‖ before the step.
    pub values: f64,
    /// ‖dJ/dθ‖.
    pub gradient: f64,
    /// ‖Δθ‖.
    pub change: f64,
    /// Whether it counts where the length of a step is judged: a weight, no bias, that is not frozen.
    pub(crate) is_weight: bool,
}

impl ParameterNorms {
    /// ‖Δθ‖/‖θ‖, about 10⁻³ if the learning rate is a usual one; infinite for parameters that were 0.
    #[must_use]
    pub fn relative_change(&self) -> f64 {
        self.change / self.values
    }
}

impl Norms {
    /// ‖dJ/dθ‖ of all parameters.
    #[must_use]
    pub fn gradient(&self) -> f64 {
        whole(self.parameters.iter().map(|parameter| parameter.gradient))
    }

    /// ‖θ‖ of all parameters, before the step.
    #[must_use]
    pub fn values(&self) -> f64 {
        whole(self.parameters.iter().map(|parameter| parameter.values))
    }

    /// ‖Δθ‖ over all weights: parameters of two axes or more that are not frozen.
    #[must_use]
    pub fn change(&self) -> f64 {
        whole(self.weights().map(|weight| weight.change))
    }

    /// ‖Δθ‖/‖θ‖ over all weights; `None` without any that are not 0.
    #[must_use]
    pub fn relative_change(&self) -> Option<f64> {
        let values = whole(self.weights().map(|weight| weight.values));
        (values > 0.0).then(|| self.change() / values)
    }

    fn weights(&self) -> impl Iterator<Item = &ParameterNorms> {
        self.parameters.iter().filter(|parameter| parameter.is_weight)
    }
}

/// The norm of vectors of these norms, one after another.
fn whole(norms: impl Iterator<Item = f64>) -> f64 {
    norms.fold(0.0, f64::hypot)
}
