use downhill_layers::{
    Add, Affine, Concat, Dropout, Elu, Flatten, Gelu, Identity, Layer, LeakyRelu, LogSoftmax, Mode, Relu, Reshape,
    Selu, Sigmoid, Silu, Softmax, Softplus, Tanh,
};
use downhill_tensor::{Seed, Shape, Stream};

use super::{Entry, Kind, between, choose, size};
use crate::{GradcheckError, LayerCheck, Report, check_layer};

macro_rules! layers {
    ($($name:ident: $check:expr),* $(,)?) => {
        pub(super) const ENTRIES: &[Entry] =
            &[$(Entry { name: stringify!($name), kind: Kind::Layer, check: $check }),*];
    };
}

layers! {
    Add: |s| {
        let shape = any(s);
        let inputs = size(s, 4);
        check(&Add, &vec![shape; inputs], s)
    },
    Affine: |s| {
        let affine = Affine::new(size(s, 9));
        let affine = if choose(s, &[true, false]) { affine } else { affine.without_bias() };
        check(&affine, &[[size(s, 9)].into()], s)
    },
    Concat: |s| {
        let (axis, shape) = (size(s, 2) - 1, [size(s, 4), size(s, 4)]);
        let inputs: Vec<Shape> = (0..size(s, 3)).map(|_| {
            let mut shape = shape;
            shape[axis] = size(s, 4);
            shape.into()
        }).collect();
        check(&Concat::new(axis), &inputs, s)
    },
    Dropout: |s| check(&Dropout::new(choose(s, &[0.0, 0.3, 0.5, 0.9, 1.0])), &[any(s)], s),
    Elu: |s| check(&Elu { alpha: between(s, 0.2, 2.0) }, &[any(s)], s),
    Flatten: |s| check(&Flatten, &[any(s)], s),
    Gelu: |s| check(&choose(s, &[Gelu::Erf, Gelu::Tanh]), &[any(s)], s),
    Identity: |s| check(&Identity, &[any(s)], s),
    LeakyRelu: |s| check(&LeakyRelu { negative_slope: between(s, 0.0, 0.5) }, &[any(s)], s),
    LogSoftmax: |s| check(&LogSoftmax, &[any(s)], s),
    Relu: |s| check(&Relu, &[any(s)], s),
    Reshape: |s| {
        let (rows, columns) = (size(s, 4), size(s, 4));
        check(&Reshape::new([columns, rows]), &[[rows, 1, columns].into()], s)
    },
    Selu: |s| check(&Selu, &[any(s)], s),
    Sigmoid: |s| check(&Sigmoid, &[any(s)], s),
    Silu: |s| check(&Silu, &[any(s)], s),
    Softmax: |s| check(&Softmax, &[any(s)], s),
    Softplus: |s| check(&Softplus, &[any(s)], s),
    Tanh: |s| check(&Tanh, &[any(s)], s),
}

/// A shape of one to three short axes.
fn any(s: &mut Stream) -> Shape {
    match size(s, 3) {
        1 => [size(s, 8)].into(),
        2 => [size(s, 4), size(s, 4)].into(),
        _ => [size(s, 3), size(s, 3), size(s, 3)].into(),
    }
}

fn check(layer: &impl Layer, inputs: &[Shape], s: &mut Stream) -> Result<Report, GradcheckError> {
    let examples = size(s, 4);
    let step = s.bits().into();
    let check = LayerCheck { examples, seed: Seed(step), mode: Mode::Training { step }, ..LayerCheck::default() };
    check_layer(layer, inputs, &check)
}
