//! Activations: functions of one number.

use downhill_tensor::Scalar;
use serde::Deserialize;

use crate::rust_source::constants::number;
use crate::settings::Settings;

#[derive(Deserialize)]
struct Activation {
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    beta: f64,
    #[serde(default)]
    lambda: f64,
    #[serde(default)]
    negative_slope: f64,
    #[serde(default)]
    min: f64,
    #[serde(default)]
    max: f64,
    #[serde(default)]
    threshold: f64,
    #[serde(default)]
    value: f64,
    #[serde(default)]
    approximation: String,
}

#[derive(Deserialize)]
struct Slopes {
    lower: f64,
    upper: f64,
}

/// The function of one number that an activation is; `None` if the layer is none.
pub(super) fn activation<T: Scalar>(kind: &str, settings: &Settings) -> Result<Option<String>, String> {
    let number = |x: f64| number(T::from_f64(x));
    let call = |name: &str, settings: &[f64]| {
        let settings: String = settings.iter().map(|&setting| format!(", {}", number(setting))).collect();
        format!("|x| {name}(x{settings})")
    };
    // As in the activation: scale and scale · alpha.
    const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.050_700_987_355_480_5 * 1.673_263_242_354_377_2];
    const GELU: [f64; 2] = [0.797_884_560_802_865_4, 0.044_715];
    if !ACTIVATIONS.contains(&kind) {
        return Ok(None);
    }
    if kind == "RRelu" {
        let Slopes { lower, upper } = settings.read()?;
        return Ok(Some(call("leaky_relu", &[0.5 * (lower + upper)])));
    }
    let set: Activation = settings.read()?;
    Ok(Some(match kind {
        "Relu" | "Tanh" | "Sigmoid" | "Silu" | "Mish" | "Hardswish" | "Softsign" => kind.to_lowercase(),
        "Softplus" if set.beta == 1.0 => "softplus".into(),
        "Softplus" => format!("|x| softplus({0} * x) / {0}", number(set.beta)),
        "LogSigmoid" => "|x| -softplus(-x)".into(),
        "Tanhshrink" => "|x| x - tanh(x)".into(),
        "Selu" => call("selu", &SELU),
        "LeakyRelu" => call("leaky_relu", &[set.negative_slope]),
        "Elu" => call("elu", &[set.alpha]),
        "Celu" => call("celu", &[set.alpha]),
        "Relu6" => "|x| x.clamp(0.0, 6.0)".into(),
        "Hardtanh" => format!("|x| x.clamp({}, {})", number(set.min), number(set.max)),
        "Hardsigmoid" => "|x| (x + 3.0).clamp(0.0, 6.0) / 6.0".into(),
        "Hardshrink" => call("hardshrink", &[set.lambda]),
        "Softshrink" => format!("|x| x - x.clamp({}, {})", number(-set.lambda), number(set.lambda)),
        "Threshold" => call("threshold", &[set.threshold, set.value]),
        "Gelu" if set.approximation == "Erf" => "gelu".into(),
        "Gelu" if set.approximation == "Tanh" => call("gelu_tanh", &GELU),
        _ => return Err(format!("this version has no Rust for its settings {}", set.approximation)),
    }))
}

const ACTIVATIONS: [&str; 22] = [
    "Celu",
    "Elu",
    "Gelu",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyRelu",
    "LogSigmoid",
    "Mish",
    "RRelu",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
];
