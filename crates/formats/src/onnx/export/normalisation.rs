//! Normalisations, in the form that predicts.

use downhill_tensor::Scalar;
use serde::Deserialize;

use super::place::{Place, fits_attribute, float, is_double, signed};

type Written = Result<String, String>;

#[derive(Deserialize)]
struct Norm {
    epsilon: f64,
    affine: bool,
    #[serde(default)]
    groups: usize,
    #[serde(default)]
    axes: usize,
    #[serde(default)]
    bias: bool,
}

pub(super) fn batch<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Norm { epsilon, affine, .. }, x): (Norm, _) = (place.read()?, place.input(0));
    let channels = place.shape(0).axes().first().copied().unwrap_or(1);
    let (weight, bias) =
        if affine { (place.parameter("weight")?, place.parameter("bias")?) } else { ones_and_zeros(place, channels) };
    // The attribute is an f32: what it lacks goes to the variance, so that their sum is right.
    let rest = if is_double::<T>() { epsilon - f64::from(epsilon as f32) } else { 0.0 };
    let mean = place.statistic("running_mean")?;
    let variance = place.statistic("running_var")?.into_iter().map(|x| x + T::from_f64(rest)).collect();
    let mean = place.initializer("running_mean", &[channels], mean);
    let variance = place.initializer("running_var", &[channels], variance);
    let inputs = [&*x, &*weight, &*bias, &*mean, &*variance];
    Ok(place.node("BatchNormalization", &inputs, [float("epsilon", epsilon)]))
}

fn ones_and_zeros<T: Scalar>(place: &mut Place<'_, '_, T>, channels: usize) -> (String, String) {
    let ones = place.constant("ones", &[channels], vec![T::ONE; channels]);
    (ones, place.constant("zeros", &[channels], vec![T::ZERO; channels]))
}

/// (x − μ)/√(σ² + ε) over the last axes, in operators that round nothing.
fn normalise<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, axes: usize, epsilon: f64, centred: bool) -> String {
    let axes: Vec<i64> = (1..=axes as i64).rev().map(|axis| -axis).collect();
    let mut x = x.to_owned();
    if centred {
        let mean = place.reduce("ReduceMean", &x, &axes, true);
        x = place.binary("Sub", &x, &mean);
    }
    let square = place.binary("Mul", &x, &x);
    let variance = place.reduce("ReduceMean", &square, &axes, true);
    let variance = place.with("Add", &variance, epsilon);
    let deviation = place.unary("Sqrt", &variance);
    place.binary("Div", &x, &deviation)
}

/// y weight + bias, of channels.
fn scale_and_shift<T: Scalar>(place: &mut Place<'_, '_, T>, y: &str) -> Written {
    let (weight, bias) = (place.channels("weight")?, place.channels("bias")?);
    let y = place.binary("Mul", y, &weight);
    Ok(place.binary("Add", &y, &bias))
}

pub(super) fn group<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Norm { epsilon, affine, groups, .. }, x): (Norm, _) = (place.read()?, place.input(0));
    let shape = place.shape(0);
    let x = place.reshape(&x, &[groups, shape.len() / groups.max(1)]);
    let y = if fits_attribute::<T>(epsilon) {
        let (ones, zeros) = ones_and_zeros(place, groups);
        place.node("InstanceNormalization", &[&x, &ones, &zeros], [float("epsilon", epsilon)])
    } else {
        normalise(place, &x, 1, epsilon, true)
    };
    let y = place.reshape(&y, shape.axes());
    if affine { scale_and_shift(place, &y) } else { Ok(y) }
}

pub(super) fn instance<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Norm { epsilon, affine, .. }, x): (Norm, _) = (place.read()?, place.input(0));
    let shape = place.shape(0);
    if !fits_attribute::<T>(epsilon) {
        let y = normalise(place, &x, shape.rank() - 1, epsilon, true);
        return if affine { scale_and_shift(place, &y) } else { Ok(y) };
    }
    let (weight, bias) = if affine {
        (place.parameter("weight")?, place.parameter("bias")?)
    } else {
        ones_and_zeros(place, shape.axes().first().copied().unwrap_or(1))
    };
    Ok(place.node("InstanceNormalization", &[&x, &weight, &bias], [float("epsilon", epsilon)]))
}

pub(super) fn layer<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Norm { epsilon, affine, axes, bias, .. }, x): (Norm, _) = (place.read()?, place.input(0));
    let shape = place.shape(0);
    let features = shape.axes().get(shape.rank() - axes..).unwrap_or_default();
    // The operator computes its mean as a float, whatever x is.
    if is_double::<T>() {
        let mut y = normalise(place, &x, axes, epsilon, true);
        if affine {
            let weight = place.parameter("weight")?;
            y = place.binary("Mul", &y, &weight);
        }
        if affine && bias {
            let bias = place.parameter("bias")?;
            y = place.binary("Add", &y, &bias);
        }
        return Ok(y);
    }
    let weight = if affine {
        place.parameter("weight")?
    } else {
        place.constant("ones", features, vec![T::ONE; features.iter().product()])
    };
    let attributes = [signed("axis", -(axes as i64)), float("epsilon", epsilon)];
    Ok(if affine && bias {
        let bias = place.parameter("bias")?;
        place.node("LayerNormalization", &[&x, &weight, &bias], attributes)
    } else {
        place.node("LayerNormalization", &[&x, &weight], attributes)
    })
}

#[derive(Deserialize)]
struct RmsNorm {
    axes: usize,
    epsilon: Option<f64>,
    affine: bool,
}

pub(super) fn rms<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (RmsNorm { axes, epsilon, affine }, x): (RmsNorm, _) = (place.read()?, place.input(0));
    let y = normalise(place, &x, axes, epsilon.unwrap_or_else(|| T::EPSILON.to_f64()), false);
    Ok(if affine {
        let weight = place.parameter("weight")?;
        place.binary("Mul", &y, &weight)
    } else {
        y
    })
}
