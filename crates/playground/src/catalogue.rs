//! What there is to choose from: the library's own lists, with the settings that each choice has.

use downhill_layers::{
    Celu, Elu, Gelu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, Mish, PRelu, Relu,
    Relu6, Selu, Sigmoid, Silu, Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
use downhill_losses::{
    DynLoss, Huber, LogCosh, Loss, MeanAbsoluteError, MeanSquaredError, MultiMargin, Quantile, SmoothL1,
    SoftmaxCrossEntropy, SoftmaxFocal,
};
use downhill_network::Block;
use downhill_optim::schedule::{
    Constant, ConstantFactor, Cosine, Cyclic, Exponential, InverseSqrt, Linear, MultiStep, OneCycle, Polynomial,
    Schedule, StepDecay, TransformerDecay, WarmRestarts, WarmupStableDecay,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, optimizers};

/// All lists, for the pages to make their controls of.
pub(crate) fn catalogue() -> Result<Value, Error> {
    let shown = |entries: &[(&'static str, Value)]| -> Value {
        entries.iter().map(|(name, settings)| json!({ "name": name, "settings": settings })).collect()
    };
    let (mut of_classes, mut of_values) = (Vec::new(), Vec::new());
    for (name, settings, kind) in losses()? {
        let list = if kind == Kind::Classes { &mut of_classes } else { &mut of_values };
        list.push((name, settings));
    }
    Ok(json!({
        "optimizers": optimizers::list(),
        "schedules": shown(&schedules()?),
        "activations": shown(&activations()?),
        "class_losses": shown(&of_classes),
        "value_losses": shown(&of_values),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// What a loss compares predictions with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One class of several, with a score for each.
    Classes,
    /// Numbers.
    Values,
}

macro_rules! schedules {
    ($($Name:ident: $default:expr),* $(,)?) => {
        /// Each schedule with its settings, as it is written.
        fn schedules() -> Result<Vec<(&'static str, Value)>, Error> {
            Ok(vec![$((stringify!($Name), serde_json::to_value(&$default)?)),*])
        }

        /// Makes a schedule of its name and settings, checked.
        pub(crate) fn schedule(name: &str, settings: &Value) -> Result<Box<dyn Schedule>, Error> {
            let schedule: Box<dyn Schedule> = match name {
                $(stringify!($Name) => Box::new(changed::<$Name>(&$default, settings)?),)*
                _ => return Err(Error::new("There is no schedule of the name `{name}`.").with("name", name)),
            };
            schedule.check()?;
            Ok(schedule)
        }
    };
}

schedules! {
    Constant: Constant,
    ConstantFactor: ConstantFactor::new(0.3, 500),
    Linear: Linear::new(1.0, 0.0, 2000),
    Polynomial: Polynomial::new(2000),
    Cosine: Cosine::new(2000),
    Exponential: Exponential::new(0.999),
    StepDecay: StepDecay::new(500),
    MultiStep: MultiStep::new([500, 1000, 1500]),
    InverseSqrt: InverseSqrt::new(100),
    TransformerDecay: TransformerDecay::new(64, 100),
    WarmupStableDecay: WarmupStableDecay::new(2000, 200, 400),
    OneCycle: OneCycle::new(2000),
    Cyclic: Cyclic::new(0.1).steps(200, 200),
    WarmRestarts: WarmRestarts::new(500),
}

macro_rules! losses {
    ($($Name:ident $kind:ident: $default:expr),* $(,)?) => {
        fn losses() -> Result<Vec<(&'static str, Value, Kind)>, Error> {
            Ok(vec![$((stringify!($Name), serde_json::to_value(&$default)?, Kind::$kind)),*])
        }

        /// Makes a loss of its name and settings; fails unless it is of this kind.
        pub(crate) fn loss(name: &str, settings: &Value, kind: Kind) -> Result<Box<dyn DynLoss>, Error> {
            match name {
                $(stringify!($Name) if Kind::$kind == kind => {
                    let loss = changed::<$Name>(&$default, settings)?;
                    Ok(boxed(loss))
                })*
                _ => Err(Error::new("There is no loss of the name `{name}` for such data.").with("name", name)),
            }
        }
    };
}

losses! {
    SoftmaxCrossEntropy Classes: SoftmaxCrossEntropy::new(),
    SoftmaxFocal Classes: SoftmaxFocal::new(2.0),
    MultiMargin Classes: MultiMargin::new(1.0),
    MeanSquaredError Values: MeanSquaredError::new(),
    MeanAbsoluteError Values: MeanAbsoluteError::new(),
    Huber Values: Huber::new(1.0),
    SmoothL1 Values: SmoothL1::new(1.0),
    LogCosh Values: LogCosh::new(),
    Quantile Values: Quantile::new(0.5),
}

fn boxed(loss: impl Loss + 'static) -> Box<dyn DynLoss> {
    Box::new(loss)
}

/// Makes a loss of its name and settings, and says what it compares predictions with.
pub(crate) fn loss_of_any_kind(name: &str, settings: &Value) -> Result<(Kind, Box<dyn DynLoss>), Error> {
    match loss(name, settings, Kind::Values) {
        Ok(loss) => Ok((Kind::Values, loss)),
        Err(_) => Ok((Kind::Classes, loss(name, settings, Kind::Classes)?)),
    }
}

/// A default with the settings that were changed.
fn changed<S: Serialize + DeserializeOwned>(default: &S, settings: &Value) -> Result<S, Error> {
    let mut value = serde_json::to_value(default)?;
    match (&mut value, settings) {
        (_, Value::Null) => {}
        (Value::Object(known), Value::Object(changed)) => {
            for (name, setting) in changed {
                let Some(known) = known.get_mut(name) else {
                    return Err(Error::new("There is no setting of the name `{name}`.").with("name", name));
                };
                *known = setting.clone();
            }
        }
        (_, Value::Object(changed)) if changed.is_empty() => {}
        _ => return Err(Error::new("These settings are not of the kind that is needed.")),
    }
    serde_json::from_value(value).map_err(|error| Error::new("A setting is not valid: {error}.").with("error", error))
}

macro_rules! activations {
    ($($Name:ident),* $(,)?) => {
        /// Each activation with its settings, as it is written.
        fn activations() -> Result<Vec<(&'static str, Value)>, Error> {
            Ok(vec![$((stringify!($Name), serde_json::to_value(&$Name::default())?)),*])
        }

        /// Makes an activation of its name and settings.
        ///
        /// It keeps its own type: a [`Description`](downhill_layers::Description) would bring the code of all layers into
        /// the module.
        pub(crate) fn activation(name: &str, settings: &Value) -> Result<Box<dyn Block>, Error> {
            match name {
                $(stringify!($Name) => Ok(Box::new(changed(&$Name::default(), settings)?)),)*
                _ => Err(Error::new("There is no activation of the name `{name}`.").with("name", name)),
            }
        }
    };
}

// The usual ones first.
activations! {
    Tanh,
    Relu,
    Sigmoid,
    Gelu,
    Silu,
    Identity,
    LeakyRelu,
    Elu,
    Selu,
    Celu,
    Softplus,
    Mish,
    Softsign,
    PRelu,
    Relu6,
    Hardtanh,
    Hardsigmoid,
    Hardswish,
    Hardshrink,
    Softshrink,
    Tanhshrink,
    LogSigmoid,
    Threshold,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_activation_of_the_library_is_here() {
        let library = include_str!("../../layers/src/lib.rs");
        let list = library.split("pub use activations::{").nth(1).unwrap().split('}').next().unwrap();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            activation(name, &Value::Null).unwrap();
        }
    }

    /// What the crate of losses exports and no page offers, by the reason.
    const LEFT_OUT: [(&str, &str); 9] = [
        ("one score for yes or no", "BinaryCrossEntropy BinaryCrossEntropyWithLogits BinaryFocal Hinge SoftMargin"),
        ("several labels of an example", "MultiLabelMargin MultiLabelSoftMargin"),
        ("probabilities, and the last layer gives scores", "KlDivergence NegativeLogLikelihood"),
        ("embeddings", "CosineEmbedding HingeEmbedding MarginRanking TripletMargin"),
        ("a variance beside the mean", "GaussianNll"),
        ("counts, and values of the data are below 0 too", "PoissonNll"),
        ("masks or sequences", "Ctc Dice"),
        ("made of other losses or of code", "FromFn MultiTask PointwiseLoss Weighted from_fn"),
        ("no loss", "Call ClassAxis DynLoss Loss Meaning Outputs Reduction Target TargetError Total per_example"),
    ];

    #[test]
    fn each_loss_of_the_library_is_here_or_left_out_for_a_reason() {
        let library = include_str!("../../losses/src/lib.rs");
        let used = library.lines().filter_map(|line| line.strip_prefix("pub use ")?.split("::").nth(1));
        let exported: Vec<&str> =
            used.flat_map(|list| list.split([',', '{', '}', ';', ' '])).filter(|name| !name.is_empty()).collect();
        assert!(exported.len() > 30, "{exported:?}");
        let left_out: Vec<&str> = LEFT_OUT.iter().flat_map(|(_, names)| names.split(' ')).collect();
        for name in &exported {
            let is_here = loss_of_any_kind(name, &Value::Null).is_ok();
            assert_ne!(is_here, left_out.contains(name), "{name} is offered by the pages: {is_here}");
        }
        for name in left_out {
            assert!(exported.contains(&name), "{name} is no longer exported");
        }
    }

    #[test]
    fn each_schedule_of_the_library_is_here() {
        let library = include_str!("../../optim/src/schedule.rs");
        let used = library.lines().filter_map(|line| line.strip_prefix("pub use ")?.split("::").nth(1));
        let names: Vec<&str> =
            used.flat_map(|list| list.split([',', '{', '}', ';', ' '])).filter(|name| !name.is_empty()).collect();
        assert!(names.len() > 15, "{names:?}");
        // Those that are made of others, and the one that needs a measure.
        for name in names.iter().filter(|name| !["ByFactor", "Then", "Times", "ReduceOnPlateau"].contains(name)) {
            schedule(name, &Value::Null).unwrap();
        }
    }

    #[test]
    fn a_setting_is_changed_by_its_name() {
        let halved = schedule("Cosine", &json!({ "steps": 10 })).unwrap();
        assert!((halved.rate(1.0, 5) - 0.5).abs() < 1e-15);
        assert!(schedule("Cosine", &json!({ "stops": 10 })).unwrap_err().to_string().contains("`stops`"));
        assert!(schedule("Cosine", &json!({ "steps": "ten" })).unwrap_err().to_string().contains("ten"));
        assert!(schedule("Cosine", &json!([1])).is_err());
        assert!(schedule("Cosine", &json!({ "steps": 0 })).unwrap_err().to_string().contains("cosine"));
        assert!(activation("LeakyRelu", &json!({ "negative_slope": 0.3 })).is_ok());
        assert!(loss("Huber", &json!({ "delta": 2.0 }), Kind::Values).is_ok());
        assert!(loss("Huber", &Value::Null, Kind::Classes).is_err());
    }
}
