//! Functions of single numbers, gates and softmaxes.

use downhill_tensor::Scalar;
use serde::Deserialize;

use super::place::{Place, fits_attribute, float, is_double, signed};

type Written = Result<String, String>;

/// The settings of all activations; each has its own.
#[derive(Deserialize)]
struct Activation {
    #[serde(default, with = "downhill_tensor::exact::number")]
    alpha: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    beta: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    lambda: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    max: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    min: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    negative_slope: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    threshold: f64,
    #[serde(default, with = "downhill_tensor::exact::number")]
    value: f64,
    #[serde(default)]
    lower: f64,
    #[serde(default)]
    upper: f64,
    #[serde(default)]
    approximation: String,
    #[serde(default)]
    per_channel: bool,
    #[serde(default)]
    axis: Option<usize>,
}

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// √(2/π)
const GELU_INNER: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044_715;

pub(super) fn activation<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (settings, kind, x): (Activation, _, _) = (place.read()?, place.settings.kind.clone(), place.input(0));
    let Activation { alpha, beta, lambda, max, min, threshold, value, .. } = settings;
    Ok(match &*kind {
        "Relu" | "Sigmoid" | "Softsign" | "Tanh" => place.unary(&kind, &x),
        "Softplus" if beta == 1.0 => place.unary("Softplus", &x),
        "Softplus" => {
            let scaled = place.with("Mul", &x, beta);
            let y = place.unary("Softplus", &scaled);
            place.with("Div", &y, beta)
        }
        "LogSigmoid" => {
            let negative = place.unary("Neg", &x);
            let y = place.unary("Softplus", &negative);
            place.unary("Neg", &y)
        }
        "Silu" => {
            let gate = place.unary("Sigmoid", &x);
            place.binary("Mul", &x, &gate)
        }
        "Mish" => {
            let y = place.unary("Softplus", &x);
            let gate = place.unary("Tanh", &y);
            place.binary("Mul", &x, &gate)
        }
        "Tanhshrink" => {
            let y = place.unary("Tanh", &x);
            place.binary("Sub", &x, &y)
        }
        "LeakyRelu" => leaky(place, &x, settings.negative_slope),
        "RRelu" => leaky(place, &x, 0.5 * (settings.lower + settings.upper)),
        "PRelu" => {
            let slope = if settings.per_channel { place.channels("weight")? } else { place.parameter("weight")? };
            place.binary("PRelu", &x, &slope)
        }
        "Elu" if fits_attribute::<T>(alpha) => place.node("Elu", &[&x], [float("alpha", alpha)]),
        "Elu" => exponential(place, &x, alpha, 1.0),
        "Celu" if !is_double::<T>() => place.node("Celu", &[&x], [float("alpha", alpha)]),
        "Celu" => exponential(place, &x, alpha, alpha),
        "Selu" if !is_double::<T>() => {
            place.node("Selu", &[&x], [float("alpha", SELU_ALPHA), float("gamma", SELU_SCALE)])
        }
        "Selu" => {
            let y = exponential(place, &x, SELU_ALPHA, 1.0);
            place.with("Mul", &y, SELU_SCALE)
        }
        "Relu6" => clip(place, &x, 0.0, 6.0),
        "Hardtanh" => clip(place, &x, min, max),
        "Hardsigmoid" if !is_double::<T>() => {
            place.node("HardSigmoid", &[&x], [float("alpha", 1.0 / 6.0), float("beta", 0.5)])
        }
        "Hardsigmoid" => hard_gate(place, &x),
        "Hardswish" if !is_double::<T>() => place.unary("HardSwish", &x),
        "Hardswish" => {
            let gate = hard_gate(place, &x);
            place.binary("Mul", &x, &gate)
        }
        "Hardshrink" => {
            let size = place.unary("Abs", &x);
            let (within, zero) = (place.with("LessOrEqual", &size, lambda), place.scalar(0.0));
            place.node("Where", &[&within, &zero, &x], [])
        }
        "Softshrink" => {
            let within = clip(place, &x, -lambda, lambda);
            place.binary("Sub", &x, &within)
        }
        "Threshold" => {
            let (below, value) = (place.with("LessOrEqual", &x, threshold), place.scalar(value));
            place.node("Where", &[&below, &value, &x], [])
        }
        "Gelu" if settings.approximation == "Tanh" => gelu_tanh(place, &x),
        // The form that runtimes recognise.
        "Gelu" => {
            let y = place.with("Div", &x, std::f64::consts::SQRT_2);
            let y = place.unary("Erf", &y);
            let y = place.with("Add", &y, 1.0);
            let y = place.binary("Mul", &x, &y);
            place.with("Mul", &y, 0.5)
        }
        "Glu" => {
            let shape = place.shape(0);
            let axis = settings.axis.unwrap_or(shape.rank().saturating_sub(1));
            let half = shape.axes().get(axis).map_or(0, |length| length / 2);
            let [a, b] = place.split(&x, axis + 1, [half; 2]);
            let gate = place.unary("Sigmoid", &b);
            place.binary("Mul", &a, &gate)
        }
        "Softmax" => over_classes(place, &x, "Softmax"),
        "LogSoftmax" => over_classes(place, &x, "LogSoftmax"),
        "Softmin" => {
            let negative = place.unary("Neg", &x);
            over_classes(place, &negative, "Softmax")
        }
        _ => return Err("it has no form in ONNX yet".to_owned()),
    })
}

/// Over the last axis; a number alone is a class alone.
fn over_classes<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, operator: &str) -> String {
    let last = [signed("axis", -1)];
    if place.shape(0).rank() > 0 {
        return place.node(operator, &[x], last);
    }
    let x = place.node("Flatten", &[x], [signed("axis", 1)]);
    let y = place.node(operator, &[&x], last);
    place.reshape(&y, &[])
}

fn clip<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, min: f64, max: f64) -> String {
    let (min, max) = (place.scalar(min), place.scalar(max));
    place.node("Clip", &[x, &min, &max], [])
}

/// min(max(x + 3, 0), 6)/6
fn hard_gate<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str) -> String {
    let y = place.with("Add", x, 3.0);
    let y = clip(place, &y, 0.0, 6.0);
    place.with("Div", &y, 6.0)
}

fn leaky<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, slope: f64) -> String {
    if fits_attribute::<T>(slope) {
        return place.node("LeakyRelu", &[x], [float("alpha", slope)]);
    }
    let slope = place.constant("slope", &[1], vec![T::from_f64(slope)]);
    place.binary("PRelu", x, &slope)
}

/// x where x > 0, α (exp(x/divisor) − 1) elsewhere.
fn exponential<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, alpha: f64, divisor: f64) -> String {
    let positive = place.with("Greater", x, 0.0);
    let below = place.with("Min", x, 0.0);
    let below = if divisor == 1.0 { below } else { place.with("Div", &below, divisor) };
    let y = place.unary("Exp", &below);
    let y = place.with("Sub", &y, 1.0);
    let y = place.with("Mul", &y, alpha);
    place.node("Where", &[&positive, x, &y], [])
}

/// x (1 + tanh(√(2/π)(x + 0.044715 x³)))/2
fn gelu_tanh<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str) -> String {
    let square = place.binary("Mul", x, x);
    let cube = place.binary("Mul", &square, x);
    let bend = place.with("Mul", &cube, GELU_CUBE);
    let inner = place.binary("Add", x, &bend);
    let inner = place.with("Mul", &inner, GELU_INNER);
    let tanh = place.unary("Tanh", &inner);
    let gate = place.with("Add", &tanh, 1.0);
    let y = place.binary("Mul", x, &gate);
    place.with("Mul", &y, 0.5)
}
