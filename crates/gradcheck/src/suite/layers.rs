use downhill_layers::{Layer, Mode};
use downhill_tensor::{Seed, Shape, Stream};

use super::{Entry, size};
use crate::{GradcheckError, LayerCheck, Report, check_layer};

mod activations;
mod attention;
mod convolution;
mod embedding;
mod maps;
mod normalisation;
mod pooling;
mod recurrent;
mod resize;
mod shape;

pub(super) const ENTRIES: &[&[Entry]] = &[
    activations::ENTRIES,
    attention::ENTRIES,
    convolution::ENTRIES,
    embedding::ENTRIES,
    maps::ENTRIES,
    normalisation::ENTRIES,
    pooling::ENTRIES,
    recurrent::ENTRIES,
    resize::ENTRIES,
    shape::ENTRIES,
];

/// Declares `ENTRIES`: a layer's name, and how it is checked with what a stream draws.
macro_rules! layers {
    ($($name:ident: $check:expr),* $(,)?) => {
        pub(super) const ENTRIES: &[$crate::suite::Entry] = &[
            $($crate::suite::Entry { name: stringify!($name), kind: $crate::suite::Kind::Layer, check: $check }),*
        ];
    };
}
use layers;

/// Draws a shape of one to three short axes.
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
    let check = LayerCheck::new().examples(examples).seed(Seed(step)).mode(Mode::Training { step });
    check_layer(layer, inputs, &check)
}
