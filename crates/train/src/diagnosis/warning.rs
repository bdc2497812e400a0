use std::fmt;

/// A warning of a run with [`Trainer::diagnose`](crate::Trainer::diagnose), and when it came. Each kind is said once.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Warned {
    /// The number of steps that had been taken.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The warning.
    pub warning: Warning,
}

impl fmt::Display for Warned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} steps, in epoch {}: {}", self.step, self.epoch, self.warning)
    }
}

/// Something in a run that is likely to be wrong, with its numbers. It prints as whole sentences that say what to do.
///
/// Norms are Euclidean, over all examples of a batch.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub enum Warning {
    /// Gradients that become much smaller in the backward pass, so that layers in front hardly learn.
    VanishingGradients {
        /// The layer of the smallest gradient.
        layer: String,
        /// ‖dJ/dy‖ of that layer.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        norm: f64,
        /// The last layer.
        last_layer: String,
        /// ‖dJ/dy‖ of the last layer.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        last_norm: f64,
    },
    /// Gradients that are much larger than the parameters.
    ExplodingGradients {
        /// The parameter of the largest gradient, such as `2.weight`.
        parameter: String,
        /// ‖dJ/dθ‖ of that parameter.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        norm: f64,
        /// ‖dJ/dθ‖ of all parameters.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        whole: f64,
        /// ‖θ‖ of all parameters.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        parameters: f64,
    },
    /// Units of a rectifier that were 0 for every example seen, so that no gradient passes through them.
    DeadUnits {
        /// The layer with the largest share of them.
        layer: String,
        /// Their number. A channel of a convolution is one unit.
        dead: usize,
        /// The number of units of the layer.
        units: usize,
        /// The number of examples seen.
        examples: usize,
        /// The number of other layers that have too many of them.
        others: usize,
    },
    /// Activations at the flat ends of a sigmoid or of tanh, where the slope is close to 0.
    SaturatedActivations {
        /// The layer with the largest share of them.
        layer: String,
        /// The kind of the layer, `Sigmoid` or `Tanh`.
        kind: String,
        /// The share of saturated outputs, from 0 to 1.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        share: f64,
        /// The number of other layers that are saturated.
        others: usize,
    },
    /// Steps so long that the loss rises instead of falling.
    RateTooHigh {
        /// The learning rate.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        learning_rate: f64,
        /// The loss at the start.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        first_loss: f64,
        /// The median loss of the last steps.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        loss: f64,
        /// The median of ‖Δθ‖/‖θ‖ over the weights.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        update: f64,
    },
    /// Steps so short that the loss hardly falls, although they all go the same way.
    RateTooLow {
        /// The learning rate.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        learning_rate: f64,
        /// The loss at the start.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        first_loss: f64,
        /// The median loss of the last steps.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        loss: f64,
        /// The median of ‖Δθ‖/‖θ‖ over the weights.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        update: f64,
    },
    /// Targets that have nothing to do with the inputs, as if their order were another one.
    ShuffledLabels {
        /// The loss of predictions for the targets of their examples.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        loss: f64,
        /// The loss of the same predictions for the targets of other examples.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        shifted_loss: f64,
        /// The number of examples that were compared with their nearest neighbours, whose targets are no more alike than
        /// those of any two.
        neighbours: usize,
    },
    /// A feature that tells the target by itself, such as a copy of it or a column made from it.
    Leakage {
        /// The input of the network, counted from 0.
        input: usize,
        /// The feature: a number of that input, counted from 0.
        feature: usize,
        /// Its name, if the data have names.
        name: Option<String>,
        /// The target, counted from 0.
        target: usize,
        /// The part of the target's variance that a straight line through the feature explains, or of the feature's
        /// variance that the class explains: 1 for a copy.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        explained: f64,
    },
    /// Features far from the unit scale that initialisers and learning rates are made for.
    UnscaledFeatures {
        /// The input of the network, counted from 0.
        input: usize,
        /// The feature that is furthest from it: a number of that input, counted from 0.
        feature: usize,
        /// Its name, if the data have names.
        name: Option<String>,
        /// Its mean.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        mean: f64,
        /// Its standard deviation.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        deviation: f64,
        /// The number of other features that are far from it.
        others: usize,
    },
}

impl Warning {
    /// Whether another warning is of the same kind.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A layer as sentences name it.
struct Layer<'a>(&'a str);

impl fmt::Display for Layer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("the layer without a name") } else { write!(f, "layer `{}`", self.0) }
    }
}

/// A feature as sentences name it.
struct Feature<'a>(usize, usize, &'a Option<String>);

impl fmt::Display for Feature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(input, feature, name) = self;
        match name {
            Some(name) => write!(f, "the feature `{name}`")?,
            None => write!(f, "feature {feature}")?,
        }
        if *input > 0 { write!(f, " of input {input}") } else { Ok(()) }
    }
}

/// What is said of `others` more of a kind.
struct Others(usize, &'static str);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => write!(f, ", and one other {} is like it", self.1),
            others => write!(f, ", and {others} other {}s are like it", self.1),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VanishingGradients { layer, norm, last_layer, last_norm } => write!(
                f,
                "gradients vanish: the norm of dJ/dy is {last_norm:.1e} at {}, and {norm:.1e} at {}, which hardly learns. \
                 Use ReLU or a relative of it instead of sigmoid or tanh, He or Xavier initialisation, normalisation \
                 between the layers, residual connections, or fewer layers",
                Layer(last_layer),
                Layer(layer)
            ),
            Self::ExplodingGradients { parameter, norm, whole, parameters } => write!(
                f,
                "gradients explode: the norm of dJ/dθ is {whole:.1e}, while that of the parameters is {parameters:.1e}; the \
                 largest is {norm:.1e}, of `{parameter}`. Clip the gradient with `clip_norm`, scale inputs and targets, or \
                 start from smaller weights"
            ),
            Self::DeadUnits { layer, dead, units, examples, others } => write!(
                f,
                "{dead} of {units} units of {} are dead: they were 0 for each of the last {examples} examples, so that they \
                 no longer learn{}. Lower the learning rate, scale the inputs, start biases at 0, or use LeakyRelu or Gelu",
                Layer(layer),
                Others(*others, "layer")
            ),
            Self::SaturatedActivations { layer, kind, share, others } => write!(
                f,
                "{:.0} % of the outputs of {}, {kind}, are saturated: they lie at its flat ends, where hardly any gradient \
                 passes{}. Scale the inputs, start from smaller weights (Xavier initialisation), or put a normalisation in \
                 front of it",
                100.0 * share,
                Layer(layer),
                Others(*others, "layer")
            ),
            Self::RateTooHigh { learning_rate, first_loss, loss, update } => write!(
                f,
                "the learning rate of {learning_rate:e} is too high: the loss was {first_loss:.3e} at the start and is \
                 {loss:.3e} now, and each step moves the weights by {:.2} % of their norm, where about 0.1 % is usual. Try a \
                 tenth of it, or a warm-up",
                100.0 * update
            ),
            Self::RateTooLow { learning_rate, first_loss, loss, update } => write!(
                f,
                "the learning rate of {learning_rate:e} is too low: the loss was {first_loss:.3e} at the start and is \
                 {loss:.3e} now, and each step moves the weights by {:.1e} % of their norm, where about 0.1 % is usual, \
                 although the steps all go the same way. Try ten times as much",
                100.0 * update
            ),
            Self::ShuffledLabels { loss, shifted_loss, neighbours } => write!(
                f,
                "the labels look shuffled: for the targets of other examples the loss is {shifted_loss:.3e}, and for their \
                 own no smaller, {loss:.3e}; and among {neighbours} examples, nearest neighbours have targets that are no \
                 more alike than those of any two. Look at whether inputs and targets are still in the same order"
            ),
            Self::Leakage { input, feature, name, target, explained } => write!(
                f,
                "{} tells target {target} by itself: it explains {:.4} % of the variance, as a copy of the target does. Leave \
                 it out if it is not known at the time of a prediction",
                Feature(*input, *feature, name),
                100.0 * explained
            ),
            Self::UnscaledFeatures { input, feature, name, mean, deviation, others } => write!(
                f,
                "{} is not scaled: its mean is {mean:.3e} and its standard deviation {deviation:.3e}, where about 0 and 1 \
                 are usual{}. Scale the inputs with StandardScaler or MinMaxScaler, fitted to the training data",
                Feature(*input, *feature, name),
                Others(*others, "feature")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_what_they_are_about() {
        let mut layer = Warning::DeadUnits { layer: "1".into(), dead: 3, units: 4, examples: 256, others: 0 };
        let start = "3 of 4 units of layer `1` are dead: they were 0 for each of the last 256 examples, so that they no \
                     longer learn. Lower";
        assert!(layer.to_string().starts_with(start), "{layer}");
        layer = Warning::SaturatedActivations { layer: String::new(), kind: "Tanh".into(), share: 0.9, others: 2 };
        let said = layer.to_string();
        assert!(said.starts_with("90 % of the outputs of the layer without a name, Tanh, are saturated"), "{said}");
        assert!(said.contains("passes, and 2 other layers are like it. Scale"), "{said}");
        let feature = |input, name: Option<&str>| Warning::UnscaledFeatures {
            input,
            feature: 2,
            name: name.map(str::to_owned),
            mean: 2000.0,
            deviation: 10.0,
            others: 1,
        };
        let said = feature(0, Some("year")).to_string();
        assert!(said.starts_with("the feature `year` is not scaled: its mean is 2.000e3 and"), "{said}");
        assert!(said.contains("usual, and one other feature is like it. Scale"), "{said}");
        assert!(feature(1, None).to_string().starts_with("feature 2 of input 1 is not scaled"));
    }
}
