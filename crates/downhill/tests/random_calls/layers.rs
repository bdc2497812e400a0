//! Layers alone, with any settings, bound to inputs of any shapes.

use std::collections::BTreeSet;
use std::sync::Mutex;

use downhill::layers::*;
use downhill::layers::{
    AdaptiveAveragePool1d, AdaptiveAveragePool2d, Add, AveragePool1d, AveragePool2d, BatchNorm, Bilinear, Bound, Cell,
    Celu, Concat, Conv1d, ConvTranspose2d, Description, Elu, FinitePadding, GlobalAveragePool, Glu, GroupNorm, GruCell,
    Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, InstanceNorm, Interpolation, LeakyRelu, LearntPositions,
    LogSigmoid, LogSoftmax, LstmCell, MaxPool1d, Mean, Mish, MultiHeadAttention, Multiply, PRelu, Pad, PadMode,
    Padding, Permute, RRelu, Recurrent, Relu6, Reshape, RmsNorm, RnnCell, RotaryPositions, Scale, Selu, Signature,
    Silu, SinusoidalPositions, Slice, Softmax, Softmin, Softplus, Softshrink, Softsign, SpatialDropout, Sum,
    Tanhshrink, Threshold, Upsample,
};
use downhill::prelude::*;
use downhill::tensor::{Gain, Init, Shape};
use ndarray::Array2;

use crate::answer;
use crate::draw::{Draw, heavy};

/// The layers whose derivatives have been taken.
static PASSED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Those that no call has come to.
pub(crate) fn missed() -> Vec<&'static str> {
    let passed = PASSED.lock().expect("no thread panics while it holds the lock");
    Description::NAMES.iter().copied().filter(|&name| !passed.contains(name)).collect()
}

/// Makes a layer with settings of its own.
type Make = fn(&mut Draw) -> Description;

/// The setting, if the coin says so.
fn perhaps<L>(draw: &mut Draw, layer: L, set: impl FnOnce(L, &mut Draw) -> L) -> L {
    if draw.chance(0.3) { set(layer, draw) } else { layer }
}

pub(crate) fn init(draw: &mut Draw) -> Init {
    let gain = match draw.below(4) {
        0 => Gain::Relu,
        1 => Gain::LeakyRelu(draw.number()),
        2 => Gain::Custom(draw.number()),
        _ => Gain::Linear,
    };
    match draw.below(9) {
        0 => Init::Constant(draw.number()),
        1 => Init::Uniform { low: draw.number(), high: draw.number() },
        2 => Init::Normal { mean: draw.number(), std: draw.number() },
        3 => Init::KaimingUniform { gain },
        4 => Init::XavierNormal { gain },
        5 => Init::Orthogonal { gain },
        6 => Init::LecunUniform,
        7 => Init::Ones,
        _ => Init::FanInUniform,
    }
}

fn padding(draw: &mut Draw) -> Padding<[usize; 2]> {
    if draw.chance(0.3) { Padding::Same } else { draw.pair().into() }
}

fn recurrent<C, const GATES: usize, const STATE: usize, const KEPT: usize>(
    draw: &mut Draw,
) -> Recurrent<C, GATES, STATE, KEPT>
where
    C: Cell<GATES, STATE, KEPT> + Default,
{
    let layer = Recurrent::new(draw.size());
    let layer = perhaps(draw, layer, |layer, draw| layer.layers(draw.size()));
    let layer = perhaps(draw, layer, |layer, _| layer.bidirectional());
    let layer = perhaps(draw, layer, |layer, _| layer.no_bias());
    let layer = perhaps(draw, layer, |layer, draw| layer.dropout(draw.number()));
    let layer = perhaps(draw, layer, |layer, _| layer.lengths());
    perhaps(draw, layer, |layer, _| layer.last_state())
}

/// One entry for each name in `Description::NAMES`, in that order.
const LAYERS: &[Make] = &[
    |draw| AdaptiveAveragePool1d::new(draw.size()).into(),
    |draw| AdaptiveAveragePool2d::new(draw.pair()).into(),
    |_| Add.into(),
    |draw| {
        let layer = Affine::new(draw.size());
        let layer = perhaps(draw, layer, |layer, _| layer.no_bias());
        let layer = perhaps(draw, layer, |layer, draw| layer.bias_init(init(draw)));
        perhaps(draw, layer, |layer, draw| layer.init(init(draw))).into()
    },
    |draw| {
        let layer = AveragePool1d::new(draw.size());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.size()));
        let layer = perhaps(draw, layer, |layer, _| layer.exclude_padding());
        perhaps(draw, layer, |layer, _| layer.ceil_mode()).into()
    },
    |draw| {
        let layer = AveragePool2d::new(draw.pair());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.pair()));
        let layer = perhaps(draw, layer, |layer, _| layer.exclude_padding());
        perhaps(draw, layer, |layer, _| layer.ceil_mode()).into()
    },
    |draw| {
        let layer = BatchNorm::new();
        let layer = perhaps(draw, layer, |layer, draw| layer.epsilon(draw.number()));
        let layer = perhaps(draw, layer, |layer, draw| layer.momentum(draw.number()));
        let layer = perhaps(draw, layer, |layer, _| layer.cumulative_average());
        perhaps(draw, layer, |layer, _| layer.no_affine()).into()
    },
    |draw| {
        let layer = Bilinear::new(draw.size());
        perhaps(draw, layer, |layer, draw| layer.init(init(draw))).into()
    },
    |draw| Celu::new(draw.number()).into(),
    |draw| Concat::new(if draw.chance(0.8) { 0 } else { draw.size() }).into(),
    |draw| {
        let layer = Conv1d::new(draw.size(), draw.size());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(padding(draw)));
        let layer = perhaps(draw, layer, |layer, draw| layer.dilation(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.groups(draw.size()));
        perhaps(draw, layer, |layer, _| layer.no_bias()).into()
    },
    |draw| {
        let layer = Conv2d::new(draw.size(), draw.pair());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding([draw.pair(), draw.pair()]));
        let layer = perhaps(draw, layer, |layer, draw| layer.dilation(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.groups(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.bias_init(init(draw)));
        perhaps(draw, layer, |layer, draw| layer.init(init(draw))).into()
    },
    |draw| {
        let layer = ConvTranspose2d::new(draw.size(), draw.pair());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.output_padding(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.dilation(draw.pair()));
        perhaps(draw, layer, |layer, draw| layer.groups(draw.size())).into()
    },
    |draw| Dropout::new(draw.number()).into(),
    |draw| Elu::new(draw.number()).into(),
    |draw| {
        let layer = Embedding::new(draw.size(), draw.size());
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.size()));
        perhaps(draw, layer, |layer, draw| layer.init(init(draw))).into()
    },
    |_| FinitePadding.into(),
    |_| Flatten.into(),
    |draw| draw.pick(&[Gelu::new(), Gelu::tanh()]).into(),
    |_| GlobalAveragePool.into(),
    |draw| {
        let layer = Glu::new();
        perhaps(draw, layer, |layer, draw| layer.axis(draw.size())).into()
    },
    |draw| {
        let layer = GroupNorm::new(draw.size());
        let layer = perhaps(draw, layer, |layer, draw| layer.epsilon(draw.number()));
        perhaps(draw, layer, |layer, _| layer.no_affine()).into()
    },
    |draw| recurrent::<GruCell, 3, 1, 5>(draw).into(),
    |draw| Hardshrink::new(draw.number()).into(),
    |_| Hardsigmoid.into(),
    |_| Hardswish.into(),
    |draw| Hardtanh::new(draw.number(), draw.number()).into(),
    |_| Identity.into(),
    |draw| {
        let layer = InstanceNorm::new();
        let layer = perhaps(draw, layer, |layer, draw| layer.epsilon(draw.number()));
        perhaps(draw, layer, |layer, _| layer.affine()).into()
    },
    |draw| {
        let layer = LayerNorm::new();
        let layer = perhaps(draw, layer, |layer, draw| layer.axes(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.epsilon(draw.number()));
        let layer = perhaps(draw, layer, |layer, _| layer.no_bias());
        perhaps(draw, layer, |layer, _| layer.no_affine()).into()
    },
    |draw| LeakyRelu::new(draw.number()).into(),
    |draw| {
        let layer = LearntPositions::new();
        perhaps(draw, layer, |layer, draw| layer.init(init(draw))).into()
    },
    |_| LogSigmoid.into(),
    |_| LogSoftmax.into(),
    |draw| {
        let layer = recurrent::<LstmCell, 4, 2, 6>(draw);
        perhaps(draw, layer, |layer, draw| layer.forget_bias(draw.number())).into()
    },
    |draw| {
        let layer = MaxPool1d::new(draw.size());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.dilation(draw.size()));
        perhaps(draw, layer, |layer, _| layer.ceil_mode()).into()
    },
    |draw| {
        let layer = MaxPool2d::new(draw.pair());
        let layer = perhaps(draw, layer, |layer, draw| layer.stride(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.padding(draw.pair()));
        let layer = perhaps(draw, layer, |layer, draw| layer.dilation(draw.pair()));
        perhaps(draw, layer, |layer, _| layer.ceil_mode()).into()
    },
    |draw| {
        let layer = Mean::new(draw.size().saturating_sub(1));
        perhaps(draw, layer, |layer, _| layer.keep_axis()).into()
    },
    |_| Mish.into(),
    |draw| {
        let layer = MultiHeadAttention::new(draw.size());
        let layer = perhaps(draw, layer, |layer, _| layer.no_bias());
        let layer = perhaps(draw, layer, |layer, _| layer.causal());
        let layer = perhaps(draw, layer, |layer, _| layer.lengths());
        let layer = perhaps(draw, layer, |layer, draw| layer.dropout(draw.number()));
        perhaps(draw, layer, |layer, draw| layer.rotary_positions(RotaryPositions::new().base(100.0 * draw.number())))
            .into()
    },
    |_| Multiply.into(),
    |draw| {
        let layer = PRelu::new();
        perhaps(draw, layer, |layer, _| layer.per_channel()).into()
    },
    |draw| {
        let layer = Pad::new(draw.pair());
        let layer = perhaps(draw, layer, |layer, draw| layer.rows(draw.pair()));
        let constant = PadMode::Constant(draw.number());
        let mode = draw.pick(&[constant, PadMode::Reflect, PadMode::Replicate, PadMode::Circular]);
        layer.mode(mode).into()
    },
    |draw| match draw.below(3) {
        0 => Permute::transpose(draw.size(), draw.size()).into(),
        1 => Permute::new([1, 0]).into(),
        _ => Permute::new((0..draw.below(8)).map(|_| draw.below(4)).collect::<Vec<_>>()).into(),
    },
    |draw| RRelu::new(draw.number(), draw.number()).into(),
    |_| Relu.into(),
    |_| Relu6.into(),
    |draw| Reshape::new(draw.shape()).into(),
    |draw| {
        let layer = RmsNorm::new();
        let layer = perhaps(draw, layer, |layer, draw| layer.axes(draw.size()));
        let layer = perhaps(draw, layer, |layer, draw| layer.epsilon(draw.number()));
        perhaps(draw, layer, |layer, _| layer.no_affine()).into()
    },
    |draw| recurrent::<RnnCell, 1, 1, 1>(draw).into(),
    |draw| {
        let layer = RotaryPositions::new();
        let layer = perhaps(draw, layer, |layer, _| layer.interleaved());
        perhaps(draw, layer, |layer, draw| layer.base(draw.number())).into()
    },
    |draw| Scale::new(draw.number()).into(),
    |_| Selu.into(),
    |_| Sigmoid.into(),
    |_| Silu.into(),
    |draw| {
        let layer = SinusoidalPositions::new();
        perhaps(draw, layer, |layer, draw| layer.base(draw.number())).into()
    },
    |draw| {
        let (start, end) = (draw.size().saturating_sub(1), draw.size());
        Slice::new(draw.size().saturating_sub(1), start..end).into()
    },
    |_| Softmax.into(),
    |_| Softmin.into(),
    |draw| Softplus::new(draw.number()).into(),
    |draw| Softshrink::new(draw.number()).into(),
    |_| Softsign.into(),
    |draw| SpatialDropout::new(draw.number()).into(),
    |draw| {
        let layer = Sum::new(draw.size().saturating_sub(1));
        perhaps(draw, layer, |layer, _| layer.keep_axis()).into()
    },
    |_| Tanh.into(),
    |_| Tanhshrink.into(),
    |draw| Threshold::new(draw.number(), draw.number()).into(),
    |draw| {
        let layer = match draw.below(2) {
            0 => Upsample::new([4.0 * draw.number(), 4.0 * draw.number()]),
            _ => Upsample::to_size(draw.pair()),
        };
        let all = [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::BilinearAlignedCorners];
        layer.interpolation(draw.pick(&all)).into()
    },
];

/// Any layer with any settings.
pub(crate) fn layer(draw: &mut Draw) -> Description {
    assert_eq!(LAYERS.len(), Description::NAMES.len(), "a layer is missing in the list");
    let make = draw.pick(LAYERS);
    make(draw)
}

/// Whether a layer that takes these inputs is too slow to call with a few examples.
pub(crate) fn is_heavy(signature: &Signature, inputs: &[Shape]) -> bool {
    let batch = |numbers: usize| heavy(numbers.saturating_mul(4));
    // An axis of 0 makes no numbers of the others; who goes over them still takes long.
    let long = |shape: &Shape| shape.axes().iter().fold(1usize, |all, &axis| all.saturating_mul(axis.max(1)));
    heavy(signature.parameters_len())
        || batch(signature.saved().len(1))
        // Convolutions have scratch space for many threads.
        || heavy(signature.scratch_len(1) / 64)
        || inputs.iter().chain([&signature.output()]).any(|shape| batch(long(shape)))
}

pub(crate) fn scene(draw: &mut Draw) {
    let layer = layer(draw);
    let (one, count) = (draw.shape(), draw.below(10));
    let mut inputs = vec![one; if count < 8 { 1 } else { draw.below(11) }];
    if draw.chance(0.3) {
        inputs.push(if draw.chance(0.7) { [1].into() } else { draw.shape() });
    }
    if draw.chance(0.5)
        && let Ok(json) = serde_json::to_string(&layer)
    {
        draw.note(format!("Description from {json}"));
        let read: Result<Description, _> = serde_json::from_str(&json);
        // What is not finite has no place in JSON.
        answer(read);
    }
    let text = format!("{layer:?}");
    let name = text.split('(').next().unwrap_or_default().to_owned();
    draw.note(format!("{text}.signature({inputs:?})"));
    let Some(signature) = answer(layer.signature(&inputs)) else { return };
    if is_heavy(&signature, &inputs) {
        return;
    }
    draw.note("signature.check");
    if answer(signature.check(&inputs)).is_none() {
        return;
    }
    draw.note("Bound::new");
    let Some(mut bound) = answer(Bound::<_, f64>::new(layer, &inputs, Seed(1))) else { return };
    for _ in 0..draw.within(1..6) {
        match draw.below(6) {
            0 => bound.set_mode(if draw.chance(0.5) { Mode::Evaluation } else { Mode::Training { step: 3 } }),
            1 => {
                draw.note("absorb_statistics");
                bound.absorb_statistics();
            }
            2 => {
                let name = draw.pick(&["weight", "bias", "weight_ih_l0", ""]);
                let len = draw.below(7);
                let values = draw.numbers(len);
                draw.note(format!("set({name}, {len} numbers)"));
                answer(bound.set(name, &values));
                answer(bound.parameter(name).map(drop));
                answer(bound.gradient(name).map(drop));
            }
            3 => {
                let examples = draw.below(4);
                let columns = if draw.chance(0.9) { bound.signature().output().len() } else { draw.below(9) };
                let dy = matrix(draw, examples, columns);
                draw.note(format!("backward({:?})", dy.dim()));
                answer(bound.backward(&dy));
            }
            _ => {
                let examples = draw.below(4);
                let x: Vec<_> = inputs
                    .iter()
                    .map(|shape| {
                        let columns = if draw.chance(0.95) { shape.len() } else { draw.below(9) };
                        matrix(draw, examples, columns)
                    })
                    .collect();
                let views: Vec<_> = x.iter().map(|x| x.view()).collect();
                draw.note(format!("forward({:?})", x.iter().map(|x| x.dim()).collect::<Vec<_>>()));
                let Some(y) = answer(bound.forward(&views[..])) else { continue };
                assert_eq!(y.dim(), (examples, bound.signature().output().len()));
                draw.note("backward");
                answer(bound.backward(&y)).expect("what it has computed fits it");
                let dx = bound.input_gradients();
                if examples > 0 {
                    let mut passed = PASSED.lock().expect("no thread panics while it holds the lock");
                    passed.insert(name.clone());
                }
                assert!(dx.iter().zip(&inputs).all(|(dx, shape)| dx.dim() == (examples, shape.len())));
            }
        }
    }
}

fn matrix(draw: &mut Draw, rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_vec((rows, columns), draw.numbers(rows * columns)).expect("as long as its axes")
}
