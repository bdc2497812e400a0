//! Attention, positions and padding.

use downhill_layers::{Layer, RotaryPositions, SinusoidalPositions};
use downhill_tensor::{Scalar, Seed, Shape};
use serde::Deserialize;

use super::maps::map;
use super::place::{Place, float_type, int, signed};
use crate::settings::Attention;

type Written = Result<String, String>;

pub(super) fn attention<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let Attention { heads, bias, causal, lengths, rotary } = place.read()?;
    let crosses = place.inputs() == 2 + usize::from(lengths);
    let memory = usize::from(crosses);
    let (&[queries, width], &[keys, _]) = (place.shape(0).axes(), place.shape(memory).axes()) else {
        return Err("its inputs are no sequences".to_owned());
    };
    let head = width / heads.max(1);

    // Q, K and V: (batch, steps, width) each.
    let (x, weight) = (place.input(0), place.parameter("in_proj_weight")?);
    let [q, k, v] = if crosses {
        let memory = place.input(1);
        let [w_q, w_k, w_v] = place.split(&weight, 0, [width; 3]);
        let [mut q, mut k, mut v] = [(&x, w_q), (&memory, w_k), (&memory, w_v)].map(|(x, w)| {
            let w = place.transpose(&w, [1, 0]);
            place.binary("MatMul", x, &w)
        });
        if bias {
            let bias = place.parameter("in_proj_bias")?;
            let biases = place.split(&bias, 0, [width; 3]);
            for (part, bias) in [&mut q, &mut k, &mut v].into_iter().zip(biases) {
                *part = place.binary("Add", part, &bias);
            }
        }
        [q, k, v]
    } else {
        let all = map(place, &x, &weight, bias.then_some("in_proj_bias"))?;
        place.split(&all, 2, [width; 3])
    };
    let mut by_head = |x: &str, steps| place.reshape(x, &[steps, heads, head]);
    let [mut q, mut k, v] = [by_head(&q, queries), by_head(&k, keys), by_head(&v, keys)];
    if let Some(rotary) = rotary {
        q = turn(place, &rotary, &q, [queries, heads, head], "queries")?;
        k = turn(place, &rotary, &k, [keys, heads, head], "keys")?;
    }
    let q = place.transpose(&q, [0, 2, 1, 3]);
    let k = place.transpose(&k, [0, 2, 3, 1]);
    let v = place.transpose(&v, [0, 2, 1, 3]);

    // P = softmax(Q Kᵀ/√d), (batch, heads, queries, keys).
    let scores = place.binary("MatMul", &q, &k);
    let mut scores = place.with("Mul", &scores, 1.0 / (head as f64).sqrt());
    if causal {
        let seen = (0..queries).flat_map(|query| (0..keys).map(move |key| key <= query));
        let seen = place.flags("seen", &[queries, keys], seen);
        scores = masked(place, &seen, &scores);
    }
    if lengths {
        let lengths = place.whole_input(place.inputs() - 1);
        let steps: Vec<i64> = (0..keys as i64).collect();
        let steps = place.whole("steps", &steps);
        let present = place.binary("Less", &steps, &lengths);
        let present = place.reshape(&present, &[1, 1, keys]);
        scores = masked(place, &present, &scores);
    }
    let weights = place.node("Softmax", &[&scores], [signed("axis", -1)]);

    // y = P V Wo + bo
    let context = place.binary("MatMul", &weights, &v);
    let context = place.transpose(&context, [0, 2, 1, 3]);
    let context = place.reshape(&context, &[queries, width]);
    let weight = place.parameter("out_proj.weight")?;
    map(place, &context, &weight, bias.then_some("out_proj.bias"))
}

/// −∞ for what is not to be seen.
fn masked<T: Scalar>(place: &mut Place<'_, '_, T>, seen: &str, scores: &str) -> String {
    let never = place.scalar(f64::NEG_INFINITY);
    place.node("Where", &[seen, scores, &never], [])
}

pub(super) fn learnt_positions<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (x, positions) = (place.input(0), place.parameter("weight")?);
    Ok(place.binary("Add", &x, &positions))
}

/// What a layer without parameters makes of one example.
fn run<T: Scalar>(layer: impl Layer, shape: Shape, x: Vec<T>) -> Result<Vec<T>, String> {
    let mut layer = layer.bind::<T>(shape, Seed(0)).map_err(|error| error.to_string())?;
    let x = ndarray::Array2::from_shape_vec((1, shape.len()), x).map_err(|error| error.to_string())?;
    let y = layer.forward(&x).map_err(|error| error.to_string())?;
    Ok(y.iter().copied().collect())
}

pub(super) fn sinusoidal_positions<T: Scalar>(place: &mut Place<'_, '_, T>, layer: &SinusoidalPositions) -> Written {
    let (x, shape) = (place.input(0), place.shape(0));
    // x + P is P for zeros.
    let positions = run(*layer, shape, vec![T::ZERO; shape.len()])?;
    let positions = place.constant("positions", shape.axes(), positions);
    Ok(place.binary("Add", &x, &positions))
}

pub(super) fn rotary_positions<T: Scalar>(place: &mut Place<'_, '_, T>, layer: &RotaryPositions) -> Written {
    let (x, shape) = (place.input(0), place.shape(0));
    match *shape.axes() {
        [steps, heads, width] => turn(place, layer, &x, [steps, heads, width], "steps"),
        [steps, width] => turn(place, layer, &x, [steps, 0, width], "steps"),
        _ => Err("its input is no sequence".to_owned()),
    }
}

#[derive(Deserialize)]
struct Rotary {
    interleaved: bool,
}

/// Turns pairs of features: y = x cos θ + x' sin θ, where x' has the two of each pair swapped, and the sine a sign.
/// x is (batch, steps, heads, width), without the axis of heads if there are 0.
fn turn<T: Scalar>(
    place: &mut Place<'_, '_, T>,
    layer: &RotaryPositions,
    x: &str,
    [steps, heads, width]: [usize; 3],
    label: &str,
) -> Written {
    let settings = crate::settings::Settings::of(&(*layer).into());
    let Rotary { interleaved } = settings.read()?;
    let half = width / 2;
    let partner = |feature: usize| match feature {
        _ if interleaved => feature ^ 1,
        _ if feature < half => feature + half,
        _ => feature - half,
    };
    let first = |feature: usize| if interleaved { feature.is_multiple_of(2) } else { feature < half };
    // Of (1, 0) the turned pair is (cos θ, sin θ).
    let ones = (0..steps * width).map(|at| if first(at % width) { T::ONE } else { T::ZERO }).collect();
    let turned = run(*layer, [steps, width].into(), ones)?;
    let at = |step: usize, feature: usize| turned.get(step * width + feature).copied().unwrap_or(T::ZERO);
    let table = |of: &dyn Fn(usize, usize) -> T| -> Vec<T> {
        (0..steps).flat_map(|step| (0..width).map(move |feature| (step, feature))).map(|(s, f)| of(s, f)).collect()
    };
    let cosines = table(&|step, feature| if first(feature) { at(step, feature) } else { at(step, partner(feature)) });
    let sines = table(&|step, feature| if first(feature) { -at(step, partner(feature)) } else { at(step, feature) });
    let shape: &[usize] = if heads == 0 { &[steps, width] } else { &[steps, 1, width] };
    let (cosines, sines) = (
        place.constant(&format!("cosines of {label}"), shape, cosines),
        place.constant(&format!("sines of {label}"), shape, sines),
    );
    let swapped = if interleaved {
        let order: Vec<i64> = (0..width).map(|feature| partner(feature) as i64).collect();
        let order = place.whole("partners", &order);
        place.node("Gather", &[x, &order], [signed("axis", -1)])
    } else {
        let axis = if heads == 0 { 2 } else { 3 };
        let [first, second] = place.split(x, axis, [half; 2]);
        place.node("Concat", &[&second, &first], [int("axis", axis)])
    };
    let kept = place.binary("Mul", x, &cosines);
    let turned = place.binary("Mul", &swapped, &sines);
    Ok(place.binary("Add", &kept, &turned))
}

pub(super) fn finite_padding<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (x, lengths, shape) = (place.input(0), place.whole_input(1), place.shape(0));
    let steps = shape.axes().first().copied().unwrap_or(1);
    // A comparison, since an optimiser may take 0 times x for 0.
    let (size, most) = (place.unary("Abs", &x), place.constant("largest", &[], vec![T::MAX]));
    let finite = place.binary("LessOrEqual", &size, &most);
    let mut finite = place.cast(&finite, float_type::<T>());
    if shape.rank() > 1 {
        let axes: Vec<i64> = (2..=shape.rank() as i64).collect();
        finite = place.reduce("ReduceMin", &finite, &axes, false);
    }
    let undefined = place.with("Less", &finite, 0.5);
    let all: Vec<i64> = (0..steps as i64).collect();
    let all = place.whole("steps", &all);
    let padding = place.binary("GreaterOrEqual", &all, &lengths);
    let mut cleared = place.binary("And", &padding, &undefined);
    if shape.rank() > 1 {
        cleared = place.reshape(&cleared, &[&[steps][..], &vec![1; shape.rank() - 1]].concat());
    }
    let zero = place.scalar(0.0);
    Ok(place.node("Where", &[&cleared, &zero, &x], []))
}
