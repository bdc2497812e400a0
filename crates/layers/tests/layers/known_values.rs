//! The outputs of layers for known numbers, at their edges too; their derivatives are checked by `downhill-gradcheck`.

use downhill_layers::Extent::{PerBatch, PerExample};
use downhill_layers::{
    Activation, AdaptiveAveragePool1d, Add, Affine, AveragePool1d, AveragePool2d, BatchNorm, Bound, Celu, Concat,
    Conv2d, ConvTranspose2d, Description, Dropout, Elu, Embedding, Flatten, Gelu, Glu, Gru, Hardshrink, Hardsigmoid,
    Hardswish, Hardtanh, Identity, Layer, LeakyRelu, LogSigmoid, LogSoftmax, Lstm, MaxPool2d, Mish, Mode, Pad, Relu,
    Relu6, Reshape, Selu, Sigmoid, Signature, Silu, Slice, Softmax, Softmin, Softplus, Softshrink, Softsign,
    SpatialDropout, Tanh, Tanhshrink, Threshold, Upsample,
};
use downhill_tensor::{Gain, Init, Scalar, Seed, Shape};
use ndarray::{Array2, array};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-15 * b.abs().max(1.0)
}

#[test]
fn activations_have_their_known_values() {
    // x, then f(x) to more digits than an f64 has.
    assert!(near(Gelu::new().value(1.0), 0.841_344_746_068_542_9));
    assert!(near(Gelu::tanh().value(1.0), 0.841_191_990_608_276_6));
    assert!(near(Silu.value(1.0), 0.731_058_578_630_004_9));
    assert!(near(Sigmoid.value(-2.0), 0.119_202_922_022_117_6));
    assert!(near(Softplus::default().value(0.0), std::f64::consts::LN_2));
    assert!(near(Tanh.value(0.5), 0.462_117_157_260_009_76));
    assert!(near(Elu::default().value(-1.0), -0.632_120_558_828_557_7));
    assert!(near(Selu.value(-1.0), -1.111_330_737_812_562_8));
    assert!(near(Selu.value(1.0), 1.050_700_987_355_480_5));
    assert_eq!(LeakyRelu::default().value(-2.0), -0.02);
    assert!(near(Softplus::new(2.0).value(0.5), 0.656_630_843_759_111_4));
    assert!(near(Celu::new(2.0).value(-1.0), -0.786_938_680_574_733_3));
    assert!(near(LogSigmoid.value(3.0), -0.048_587_351_573_742_06));
    assert!(near(Mish.value(-1.0), -0.303_401_461_374_108_95));
    assert!(near(Mish.value(1.0), 0.865_098_388_267_310_3));
    assert!(near(Hardswish.value(-1.0), -1.0 / 3.0) && near(Hardsigmoid.value(-1.0), 1.0 / 3.0));
    assert!(near(Tanhshrink.value(-1.0), -0.238_405_844_044_235_15) && Softsign.value(-3.0) == -0.75);
    assert_eq!((Softshrink::default().value(-2.0), Hardshrink::default().value(-2.0)), (-1.5, -2.0));
    assert_eq!((Relu.value(-1.0), Relu.value(2.0), Identity.value(-3.0)), (0.0, 2.0, -3.0));
}

#[test]
fn slopes_at_a_kink_are_those_of_pytorch() {
    assert_eq!(Relu.slope(0.0, 0.0), 0.0);
    assert_eq!(LeakyRelu::default().slope(0.0, 0.0), 0.01);
    assert_eq!(Elu::new(2.0).slope(0.0, 0.0), 2.0);
    fn slopes<const N: usize>(activation: impl Activation, at: [f64; N]) -> [f64; N] {
        at.map(|x| activation.slope(x, activation.value(x)))
    }
    assert_eq!(slopes(Celu::new(2.0), [0.0]), [1.0]);
    assert_eq!(slopes(Relu6, [0.0, 6.0, f64::NAN]), [0.0, 0.0, 1.0]);
    assert_eq!(slopes(Hardtanh::new(-2.0, 0.5), [-2.0, 0.5, f64::NAN]), [0.0, 0.0, 1.0]);
    assert_eq!(slopes(Hardtanh::new(1.0, 1.0), [0.0, 1.0, 2.0]), [0.0; 3]);
    assert_eq!(slopes(Hardsigmoid, [-3.0, 3.0, f64::NAN]), [0.0; 3]);
    assert_eq!(slopes(Hardswish, [-3.0, 3.0, f64::NAN]), [0.0, 1.0, 1.0]);
    assert_eq!(slopes(Hardshrink::default(), [-0.5, 0.5, 0.0, f64::NAN]), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(slopes(Softshrink::default(), [-0.5, 0.5, 0.0, f64::NAN]), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(slopes(Hardshrink::new(0.0), [-1e-9, 0.0, 1e-9]), [1.0, 0.0, 1.0]);
    assert_eq!(slopes(Threshold::new(1.0, 7.0), [1.0, 2.0, f64::NAN]), [0.0, 1.0, 1.0]);
    assert_eq!(slopes(Softsign, [0.0, -f64::INFINITY]), [1.0, 0.0]);
}

fn at_the_edges<T: Scalar>(activation: &impl Activation, left: f64, right: f64) {
    let name = activation.name();
    assert_eq!(activation.value(-T::INFINITY).to_f64(), left, "{name}");
    assert_eq!(activation.value(T::INFINITY).to_f64(), right, "{name}");
    assert!(activation.value(T::NAN).is_nan(), "{name}");
    for x in [-1e4, -1e3, 1e3, 1e4] {
        let y = activation.value(T::from_f64(x));
        assert!(y.is_finite() && activation.slope(T::from_f64(x), y).is_finite(), "{name} at {x}");
    }
}

#[test]
fn infinities_have_their_limits_and_not_a_number_goes_through() {
    fn all<T: Scalar>() {
        let far = f64::INFINITY;
        at_the_edges::<T>(&Relu, 0.0, far);
        at_the_edges::<T>(&Tanh, -1.0, 1.0);
        at_the_edges::<T>(&Sigmoid, 0.0, 1.0);
        at_the_edges::<T>(&Softplus::default(), 0.0, far);
        at_the_edges::<T>(&Silu, 0.0, far);
        at_the_edges::<T>(&Elu::default(), -1.0, far);
        at_the_edges::<T>(&LeakyRelu::default(), -far, far);
        at_the_edges::<T>(&Identity, -far, far);
        at_the_edges::<T>(&Celu::new(2.0), -2.0, far);
        at_the_edges::<T>(&Relu6, 0.0, 6.0);
        at_the_edges::<T>(&Hardtanh::new(-2.0, 0.5), -2.0, 0.5);
        at_the_edges::<T>(&Hardsigmoid, 0.0, 1.0);
        at_the_edges::<T>(&Hardswish, 0.0, far);
        at_the_edges::<T>(&Hardshrink::default(), -far, far);
        at_the_edges::<T>(&Softshrink::default(), -far, far);
        at_the_edges::<T>(&Tanhshrink, -far, far);
        at_the_edges::<T>(&Threshold::new(1.0, -3.0), -3.0, far);
        at_the_edges::<T>(&Softsign, -1.0, 1.0);
        at_the_edges::<T>(&LogSigmoid, -far, 0.0);
        at_the_edges::<T>(&Mish, 0.0, far);
        at_the_edges::<T>(&Softplus::new(0.25), 0.0, far);
    }
    all::<f32>();
    all::<f64>();
}

#[test]
fn slopes_are_finite_where_squares_overflow() {
    for x in [1e10_f32, 1e19, 1e20, 1e38] {
        for (x, slope) in [(x, 1.0), (-x, 0.0)] {
            for gelu in [Gelu::new(), Gelu::tanh()] {
                assert_eq!(gelu.slope(x, gelu.value(x)), slope, "{gelu:?} of {x}");
            }
            for found in [Silu.slope(x, Silu.value(x)), Mish.slope(x, Mish.value(x))] {
                assert_eq!(found, slope, "at {x}");
            }
            assert!(Softsign.slope(x, Softsign.value(x)) >= 0.0);
        }
    }
}

#[test]
fn softmax_makes_probabilities_even_of_large_scores() {
    let x = array![[1e4, 1e4], [0.0, f64::NEG_INFINITY]];
    let mut softmax = Softmax.bind::<f64>([2], Seed(0)).unwrap();
    assert_eq!(softmax.forward(&x).unwrap(), array![[0.5, 0.5], [1.0, 0.0]]);
    let mut softmin = Softmin.bind::<f64>([2], Seed(0)).unwrap();
    assert_eq!(softmin.forward((-&x).view()).unwrap(), array![[0.5, 0.5], [1.0, 0.0]]);
    let mut log = LogSoftmax.bind::<f64>([2], Seed(0)).unwrap();
    let y = log.forward(&x).unwrap();
    assert!(near(y[[0, 0]], -std::f64::consts::LN_2) && y[[1, 1]] == f64::NEG_INFINITY);
}

#[test]
fn what_is_dropped_is_not_read_forward_or_back() {
    fn check(layer: impl Layer) {
        let mut layer = layer.bind::<f64>([50, 4], Seed(5)).unwrap();
        let y = layer.forward(Array2::ones((1, 200)).view()).unwrap();
        let poisoned = y.mapv(|y| if y == 0.0 { f64::NAN } else { 1.0 });
        assert!(poisoned.iter().any(|x| x.is_nan()));
        assert_eq!(layer.forward(&poisoned).unwrap(), y);
        assert_eq!(layer.backward(&poisoned).unwrap(), y);
    }
    check(Dropout::new(0.3));
    check(SpatialDropout::new(0.3));
}

#[test]
fn dropout_keeps_the_mean_and_drops_its_share() {
    let x = Array2::from_elem((50, 200), 1.0);
    let mut dropout = Dropout::new(0.3).bind::<f64>([200], Seed(5)).unwrap();
    let y = dropout.forward(&x).unwrap();
    let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / 1e4;
    assert!((dropped - 0.3).abs() < 0.02, "{dropped}");
    assert!(y.iter().all(|&y| y == 0.0 || near(y, 1.0 / 0.7)));
    assert!((y.mean().unwrap() - 1.0).abs() < 0.03);
    dropout.set_mode(Mode::Evaluation);
    assert_eq!(dropout.forward(&x).unwrap(), x);
    let mut all = Dropout::new(1.0).bind::<f64>([2], Seed(5)).unwrap();
    assert_eq!(all.forward([[1.0, f64::NAN]]).unwrap(), array![[0.0, 0.0]], "p = 1 gives zeros");
}

#[test]
fn concat_puts_blocks_side_by_side_along_any_axis() {
    let shapes = [Shape::from([2, 1]), Shape::from([2, 3])];
    let mut concat = downhill_layers::Bound::<_, f64>::new(Concat::new(1), &shapes, Seed(0)).unwrap();
    let (a, b) = (array![[1.0, 2.0]], array![[3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]);
    let y = concat.forward((&a, &b)).unwrap();
    assert_eq!(y, array![[1.0, 3.0, 4.0, 5.0, 2.0, 6.0, 7.0, 8.0]]);
    concat.backward(&y).unwrap();
    assert_eq!(concat.input_gradients(), [a, b], "the backward pass takes them apart");
}

#[test]
fn what_does_not_fit_is_an_error_with_both_shapes() {
    let text = |layer: &dyn Fn() -> Result<(), downhill_tensor::BuildError>| layer().unwrap_err().to_string();
    assert_eq!(
        text(&|| Affine::new(3).bind::<f32>([], Seed(0)).map(drop)),
        "Affine takes vectors along the last axis of an example, but was given the shape scalar; put Reshape::new([1]) \
         before it to see a number as a vector of one"
    );
    for input in [Shape::from([3]), [2, 1].into()] {
        let message = text(&|| Affine::new(usize::MAX).bind::<f32>(input, Seed(0)).map(drop));
        assert_eq!(
            message,
            format!("Affine: a map from {input} to vectors of {} numbers has too many elements", usize::MAX)
        );
    }
    assert!(text(&|| Affine::new(2).bind::<f32>([3, 0], Seed(0)).map(drop)).contains("a map from 0 to 2 numbers"));
    assert!(text(&|| Affine::new(0).bind::<f32>([2], Seed(0)).map(drop)).contains("must be at least 1"));
    assert!(text(&|| Dropout::new(f64::NAN).bind::<f32>([2], Seed(0)).map(drop)).contains("but is NaN"));
    assert!(text(&|| Elu::new(f64::INFINITY).bind::<f32>([2], Seed(0)).map(drop)).contains("finite"));
    assert_eq!(
        text(&|| Hardtanh::new(1.0, -1.0).bind::<f32>([2], Seed(0)).map(drop)),
        "Hardtanh: min may not lie above max, but they are 1 and -1"
    );
    assert!(text(&|| Celu::new(0.0).bind::<f32>([2], Seed(0)).map(drop)).contains("must not be 0"));
    assert!(text(&|| Softplus::new(0.0).bind::<f32>([2], Seed(0)).map(drop)).contains("must not be 0"));
    assert!(text(&|| Softplus::new(f64::NAN).bind::<f32>([2], Seed(0)).map(drop)).contains("beta must be a finite"));
    assert!(text(&|| Hardshrink::new(-1.0).bind::<f32>([2], Seed(0)).map(drop)).contains("negative, but is -1"));
    assert!(text(&|| Softshrink::new(-1.0).bind::<f32>([2], Seed(0)).map(drop)).contains("negative, but is -1"));
    let threshold = Threshold::new(0.0, f64::NEG_INFINITY);
    assert!(text(&|| threshold.bind::<f32>([2], Seed(0)).map(drop)).contains("value must be a finite number"));
    assert!(text(&|| Add.signature(&[[2].into(), [3].into()]).map(drop)).contains("one is 2 and the other is 3"));
    assert!(text(&|| Add.signature(&[]).map(drop)).contains("at least one input"));
    assert!(text(&|| Concat::new(1).signature(&[[2].into()]).map(drop)).contains("no axis 1"));
    assert!(
        text(&|| Concat::new(0).signature(&[[2, 3].into(), [2, 4].into()]).map(drop)).contains("apart from axis 0")
    );
    assert!(text(&|| Relu.signature(&[[2].into(), [2].into()]).map(drop)).contains("exactly one input"));
    let bad = Init::Normal { mean: 0.0, std: -1.0 };
    assert!(Affine::new(3).init(bad).bind::<f32>([2], Seed(0)).is_err());
}

#[test]
fn a_bound_layer_checks_what_it_is_given() {
    let mut affine = Affine::new(2).bind::<f64>([3], Seed(1)).unwrap();
    let error = affine.forward([[1.0, 2.0]]).unwrap_err().to_string();
    assert!(error.contains("should hold 3 elements, but holds 2"), "{error}");
    affine.forward([[1.0, 2.0, 3.0]]).unwrap();
    assert!(affine.backward([[1.0, 2.0], [1.0, 2.0]]).is_err(), "another batch");
    assert!(affine.set("bias", [1.0]).is_err());
    let error = affine.gradient("weights").unwrap_err().to_string();
    assert_eq!(error, "Affine: there is no parameter `weights`; there are `weight`, `bias`");
}

/// The inputs of a failed pass are not mixed with what the last one has left.
#[test]
fn a_bound_layer_goes_back_from_its_last_whole_pass() {
    let mut norm = BatchNorm::new().bind::<f64>([2], Seed(1)).unwrap();
    let x = array![[1.0, 2.0], [3.0, 5.0]];
    norm.forward(&x).unwrap();
    let dx = norm.backward(&x).unwrap();
    assert!(norm.forward([[1.0, 2.0]]).is_err(), "one example has no statistics");
    assert_eq!(norm.backward(&x).unwrap(), dx);
    // A batch of none has nothing to keep, and says nothing.
    assert_eq!(norm.forward(Array2::zeros((0, 2)).view()).unwrap().dim(), (0, 2));
    norm.absorb_statistics();
    assert_eq!(norm.backward(Array2::zeros((0, 2)).view()).unwrap().dim(), (0, 2));
    assert!(norm.gradients().iter().all(|&g| g == 0.0));
    assert_eq!(norm.statistics(), [0.0, 0.0, 1.0, 1.0, 0.0]);
    let mut lstm = Lstm::new(2).bind::<f64>([3, 1], Seed(1)).unwrap();
    assert_eq!(lstm.backward(Array2::zeros((0, 6)).view()).unwrap().dim(), (0, 3), "before any pass forward");
}

#[test]
fn an_input_of_no_numbers_can_be_joined() {
    let mut concat = Bound::<_, f64>::new(Concat::new(0), &[[0].into(), [2].into(), [0].into()], Seed(0)).unwrap();
    let (none, two) = (Array2::zeros((2, 0)), array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(concat.forward((&none, &two, &none)).unwrap(), two);
    concat.backward(&two).unwrap();
    assert_eq!(concat.input_gradients(), [none.clone(), two.clone(), none.clone()]);
    let mut concat = Bound::<_, f64>::new(Concat::new(0), &[[0].into(), [0].into()], Seed(0)).unwrap();
    assert_eq!(concat.forward((&none, &none)).unwrap(), none);
    concat.backward(&none).unwrap();
    assert_eq!(concat.input_gradients(), [none.clone(), none]);
}

/// Neither a panic, nor the end of the program, nor a loop that would never end.
#[test]
fn sizes_that_can_not_be_are_errors() {
    const MOST: usize = usize::MAX;
    let image = || Shape::from([2, 6, 6]);
    let layers: [(Description, Shape); 17] = [
        (Affine::new(MOST).into(), [4].into()),
        (Affine::new(1).into(), [MOST, 2].into()),
        (Relu.into(), [1 << 62, 1, 0, 5].into()),
        (Embedding::new(1 << 24, MOST).into(), [1].into()),
        (Embedding::new(1 << 24, 1 << 39).padding(1).into(), [0].into()),
        (Reshape::new([MOST, MOST]).into(), [1].into()),
        (Upsample::to_size(MOST).into(), image()),
        (Pad::new([MOST, 1]).into(), image()),
        (MaxPool2d::new(2).stride(MOST).padding(MOST).into(), image()),
        (AveragePool2d::new([MOST, 1]).padding([MOST / 2, 0]).into(), image()),
        (AdaptiveAveragePool1d::new(MOST).into(), [1, 5].into()),
        (Conv2d::new(MOST, 3).into(), image()),
        (ConvTranspose2d::new(1, [1 << 39, 4]).stride(1 << 38).into(), image()),
        (Gru::new(MOST).into(), [2, 2].into()),
        (Lstm::new(1).layers(1 << 30).into(), [1, 1].into()),
        (Glu::new().axis(MOST).into(), image()),
        (Slice::new(0, MOST - 1..MOST).into(), image()),
    ];
    for (layer, input) in layers {
        let text = format!("{layer:?}");
        let error = layer.bind::<f64>(input, Seed(0)).map(|bound| bound.signature().clone());
        assert!(error.is_err(), "{text} takes {input}: {error:?}");
    }
    // A stride beyond the input leaves one window.
    let pool = AveragePool1d::new(1).stride(MOST).signature(&[[1, 5].into()]).unwrap();
    assert_eq!(pool.output(), Shape::from([1, 1]));
}

/// A layer says that it runs in place where it can't.
#[test]
fn a_signature_that_can_not_be_kept_is_an_error() {
    let (two, three) = (Shape::from([2]), Shape::from([3]));
    let in_place = Signature::new("Mine", two).in_place();
    assert_eq!(in_place.check(&[two]), Ok(()));
    for inputs in [&[three][..], &[two, two], &[]] {
        assert!(in_place.check(inputs).unwrap_err().to_string().contains("runs in place"));
    }
    let saves = Signature::new("Mine", two).saves("huge", [usize::MAX], PerExample).saves("sum", [5], PerBatch);
    assert_eq!((saves.saved().len(3), saves.saved().len(0)), (usize::MAX, 5));
    assert!(saves.check(&[two]).unwrap_err().to_string().contains("more bytes than can be counted"));
}

#[test]
fn an_affine_layer_starts_as_in_pytorch_and_may_do_without_its_bias() {
    let affine = Affine::new(100).bind::<f64>([64], Seed(1)).unwrap();
    let largest = affine.parameters().iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    assert!(largest <= 0.125 && largest > 0.124, "U(±1/√64): {largest}");
    assert_eq!(Affine::new(100).no_bias().bind::<f64>([64], Seed(1)).unwrap().parameters().len(), 6400);
}

#[test]
fn an_affine_layer_maps_every_vector_along_the_last_axis() {
    let x = array![[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]]; // (1, 3, 2)
    let mut affine = Affine::new(1).bind::<f64>([3, 2], Seed(0)).unwrap();
    assert_eq!(affine.signature().output(), Shape::from([3, 1]));
    affine.set("weight", [2.0, 5.0]).unwrap();
    affine.set("bias", [0.5]).unwrap();
    assert_eq!(affine.forward(&x).unwrap(), array![[2.5, 5.5, -0.5]]);
    let dx = affine.backward([[1.0, 0.0, -1.0]]).unwrap();
    assert_eq!(dx, array![[2.0, 5.0, 0.0, 0.0, -2.0, -5.0]]);
    assert_eq!(affine.gradient("weight").unwrap().flatten(), array![-1.0, 1.0], "one sum over all rows");
    assert_eq!(affine.gradient("bias").unwrap().flatten(), array![0.0]);
    // No steps at all are no rows.
    let mut affine = Affine::new(4).bind::<f64>([0, 2], Seed(0)).unwrap();
    assert_eq!(affine.forward(Array2::zeros((2, 0)).view()).unwrap().dim(), (2, 0));
    assert_eq!(affine.backward(Array2::zeros((2, 0)).view()).unwrap().dim(), (2, 0));
    assert!(affine.gradients().iter().all(|&g| g == 0.0));
}

#[test]
fn flatten_and_reshape_keep_the_order() {
    let x = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    assert_eq!(Flatten.bind::<f64>([2, 3], Seed(0)).unwrap().forward(&x).unwrap(), x);
    let mut reshape = Reshape::new([3, 2]).bind::<f64>([6], Seed(0)).unwrap();
    assert_eq!(reshape.forward(&x).unwrap(), x);
    assert_eq!(reshape.signature().output(), Shape::from([3, 2]));
}

/// One of each, with settings of which few are those that they start from.
pub(crate) fn every_layer() -> Vec<downhill_layers::Description> {
    use downhill_layers::{Conv1d, Conv2d, ConvTranspose2d, Padding};

    use downhill_layers::*;
    vec![
        AdaptiveAveragePool1d::new(3).into(),
        AdaptiveAveragePool2d::new([3, 1]).into(),
        Add.into(),
        Affine::new(3).no_bias().init(Init::Orthogonal { gain: Gain::Relu }).into(),
        BatchNorm::new().cumulative_average().into(),
        AveragePool1d::new(3).padding(1).into(),
        AveragePool2d::new(3).exclude_padding().into(),
        Celu::default().into(),
        Bilinear::new(3).no_bias().into(),
        Concat::new(1).into(),
        Conv1d::new(3, 2).into(),
        Conv2d::new(3, [2, 1]).padding(Padding::Same).into(),
        ConvTranspose2d::new(3, 2).stride([1, 2]).into(),
        Dropout::new(0.25).into(),
        Elu::new(0.5).into(),
        Embedding::new(7, 3).padding(0).into(),
        FinitePadding.into(),
        Flatten.into(),
        Gelu::tanh().into(),
        GroupNorm::new(2).into(),
        Gru::new(2).lengths().into(),
        GlobalAveragePool.into(),
        Glu::new().axis(1).into(),
        Hardshrink::new(0.25).into(),
        Hardsigmoid.into(),
        Hardswish.into(),
        Hardtanh::default().into(),
        Identity.into(),
        InstanceNorm::new().affine().into(),
        LayerNorm::new().axes(2).into(),
        LeakyRelu::default().into(),
        LearntPositions::new().into(),
        LogSoftmax.into(),
        MultiHeadAttention::new(4).causal().lengths().rotary_positions(RotaryPositions::new().interleaved()).into(),
        LogSigmoid.into(),
        MaxPool1d::new(3).dilation(2).into(),
        MaxPool2d::new(3).stride([1, 2]).into(),
        Mish.into(),
        PRelu::new().per_channel().into(),
        Pad::new([1, 2]).mode(PadMode::Reflect).into(),
        RRelu::default().into(),
        Mean::new(1).keep_axis().into(),
        Multiply.into(),
        Permute::new([1, 0]).into(),
        Relu.into(),
        Relu6.into(),
        Reshape::new([2, 3]).into(),
        RmsNorm::new().into(),
        RotaryPositions::new().interleaved().into(),
        Lstm::new(3).layers(2).dropout(0.5).bidirectional().forget_bias(1.0).into(),
        Rnn::new(2).relu().no_bias().last_state().into(),
        Scale::new(0.5).into(),
        Selu.into(),
        Sigmoid.into(),
        Silu.into(),
        SinusoidalPositions::new().into(),
        Slice::new(0, 1..3).into(),
        Softmax.into(),
        Softmin.into(),
        Softplus::new(2.0).into(),
        Softshrink::default().into(),
        Softsign.into(),
        SpatialDropout::new(0.5).into(),
        Sum::new(0).into(),
        Tanh.into(),
        Tanhshrink.into(),
        Threshold::new(1.0, -1.0).into(),
        Upsample::new([2.0, 1.5]).into(),
    ]
}

#[cfg(feature = "serde")]
#[test]
fn every_description_survives_json() {
    use downhill_layers::Description;

    let all = every_layer();
    assert_eq!(all.len(), Description::NAMES.len(), "a layer is missing here");
    for description in all {
        let json = serde_json::to_string(&description).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&json).unwrap(), description, "{json}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn settings_that_are_not_finite_survive_a_file() {
    use downhill_layers::{Description, Pad, PadMode};

    let half_open = Hardtanh::new(0.0, f64::INFINITY);
    let padding = Pad::new([1, 1]).mode(PadMode::Constant(f64::NEG_INFINITY));
    let threshold = Threshold::new(0.5, f64::NEG_INFINITY);
    for description in [Description::from(half_open), padding.into(), threshold.into()] {
        let json = serde_json::to_string(&description).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&json).unwrap(), description, "{json}");
    }
    // What is finite stays a number.
    assert_eq!(serde_json::to_string(&LeakyRelu::new(0.5)).unwrap(), r#"{"negative_slope":0.5}"#);
}
