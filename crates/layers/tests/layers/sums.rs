//! Gradients of parameters that a great many examples share.

use downhill_layers::{
    Affine, BatchNorm, Bilinear, Bound, Conv1d, Conv2d, ConvTranspose2d, Description, Embedding, GroupNorm, Gru,
    InstanceNorm, Layer, LayerNorm, LearntPositions, Lstm, MultiHeadAttention, PRelu, RmsNorm, Rnn, Scale,
};
use downhill_tensor::{Scalar, Seed, Shape};
use ndarray::{Array2, ArrayView2};

use crate::known_values::every_layer;

/// As many examples as this, of the kinds below by turns.
const EXAMPLES: usize = 1 << 18;
const KINDS: usize = 2;

/// dJ/dθ of this many examples.
fn gradient<T: Scalar>(bound: &mut Bound<Description, T>, inputs: &[Shape], examples: usize) -> Vec<f64> {
    let numbers = |width: usize, of: &dyn Fn(usize, usize) -> f64| {
        Array2::from_shape_fn((examples, width), |(example, j)| T::from_f64(of(example % KINDS, j)))
    };
    let whole = bound.signature().whole_numbers_of(0).is_some();
    // Of one sign, as sums lose most of. A negative slope needs numbers below 0, and a table only has some rows.
    let x = |kind: usize, j: usize| if whole { 1.0 } else { -0.3 - 0.1 * ((3 * kind + 2 * j) % 5) as f64 };
    let x: Vec<Array2<T>> = inputs.iter().map(|shape| numbers(shape.len(), &x)).collect();
    let x: Vec<ArrayView2<'_, T>> = x.iter().map(|x| x.view()).collect();
    bound.forward(&x).unwrap();
    let dy = numbers(bound.signature().output().len(), &|kind, j| 0.1 + 0.3 * ((kind + j) % 2) as f64);
    bound.backward(&dy).unwrap();
    bound.gradients().iter().map(|g| g.to_f64()).collect()
}

fn check(layer: impl Into<Description>, inputs: &[Shape]) {
    let layer = layer.into();
    let mut single = Bound::<_, f32>::new(layer.clone(), inputs, Seed(3)).unwrap();
    let mut double = Bound::<_, f64>::new(layer.clone(), inputs, Seed(3)).unwrap();
    for (double, single) in double.parameters_mut().iter_mut().zip(single.parameters()) {
        *double = f64::from(*single);
    }
    let found = gradient(&mut single, inputs, EXAMPLES);
    // One example of each kind, as often as it comes.
    let exact: Vec<f64> = gradient(&mut double, inputs, KINDS).iter().map(|g| g * (EXAMPLES / KINDS) as f64).collect();
    assert!(exact.iter().any(|&g| g != 0.0), "{layer:?}");
    let mut start = 0;
    for parameter in double.signature().parameters() {
        let here = start..start + parameter.shape.len();
        start = here.end;
        let largest = exact[here.clone()].iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
        for (found, exact) in found[here.clone()].iter().zip(&exact[here]) {
            let error = (found - exact).abs();
            assert!(error <= 1e-5 * largest, "{} of {layer:?}: {found} for {exact}", parameter.name);
        }
    }
}

#[test]
fn no_gradient_loses_more_digits_the_more_examples_there_are() {
    check(Affine::new(1), &[[1].into()]);
    check(Affine::new(3), &[[1].into()]);
    check(Affine::new(1), &[[3].into()]);
    check(Affine::new(33), &[[32].into()]);
    check(Bilinear::new(2), &[[1].into(), [2].into()]);
    check(Conv1d::new(1, 1), &[[1, 1].into()]);
    check(Conv1d::new(2, 2), &[[1, 3].into()]);
    check(Conv1d::new(4, 1).groups(4), &[[4, 2].into()]);
    check(Conv2d::new(2, 2), &[[1, 2, 2].into()]);
    check(ConvTranspose2d::new(1, 2), &[[1, 1, 1].into()]);
    check(Embedding::new(2, 1), &[[1].into()]);
    check(Embedding::new(3, 35), &[[1].into()]);
    check(LearntPositions::new(), &[[2, 2].into()]);
    check(LayerNorm::new(), &[[3].into()]);
    check(RmsNorm::new(), &[[3].into()]);
    check(GroupNorm::new(2), &[[4, 2].into()]);
    check(InstanceNorm::new().affine(), &[[2, 3].into()]);
    check(BatchNorm::new(), &[[2].into()]);
    check(BatchNorm::new(), &[[1, 2].into()]);
    check(PRelu::new(), &[[1].into()]);
    check(PRelu::new().per_channel(), &[[2, 3].into()]);
    check(Scale::new(0.5), &[[2].into()]);
    check(Rnn::new(1), &[[2, 1].into()]);
    check(Lstm::new(1), &[[2, 1].into()]);
    check(Gru::new(2), &[[2, 1].into()]);
    check(MultiHeadAttention::new(1), &[[2, 2].into()]);
}

#[test]
fn every_layer_with_parameters_is_among_those() {
    let source = include_str!("sums.rs");
    let shapes: [&[Shape]; 9] = [
        &[[2].into()],
        &[[6].into()],
        &[[4, 4].into()],
        &[[4, 4, 4].into()],
        &[[4].into(), [4].into()],
        &[[4, 4].into(), [4, 4].into()],
        &[[4, 8].into(), [1].into()],
        &[[8, 8].into()],
        &[[8, 8, 8].into()],
    ];
    for layer in every_layer() {
        let debug = format!("{layer:?}");
        let name = debug.split('(').next().unwrap();
        let parameters = shapes.iter().filter_map(|x| Some(layer.signature(x).ok()?.parameters_len())).max();
        let parameters = parameters.unwrap_or_else(|| panic!("no shape here fits {debug}"));
        let checked = source.contains(&format!("check({name}::new("));
        assert!(checked || parameters == 0, "{name} has parameters, and no check here");
    }
}
