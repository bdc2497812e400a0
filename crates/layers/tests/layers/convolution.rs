//! Convolutions on known numbers, at their edges, and what they refuse.

use downhill_layers::{Conv1d, Conv2d, ConvTranspose2d, Layer, Padding};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Init, Scalar, Seed, Shape};
use ndarray::{Array2, array};

fn output(layer: &impl Layer, x: impl Into<Shape>) -> Shape {
    layer.signature(&[x.into()]).unwrap().output()
}

fn refusal(layer: &impl Layer, x: impl Into<Shape>) -> String {
    layer.signature(&[x.into()]).unwrap_err().to_string()
}

#[test]
fn outputs_have_the_shapes_of_pytorch() {
    let conv = Conv2d::new(16, 3);
    assert_eq!(output(&conv, [3, 28, 30]), [16, 26, 28].into());
    assert_eq!(output(&conv.clone().padding(1), [3, 28, 30]), [16, 28, 30].into());
    assert_eq!(output(&conv.clone().padding([1, 2]).stride(2), [3, 28, 30]), [16, 14, 16].into());
    assert_eq!(output(&conv.clone().padding([[1, 0], [2, 3]]), [3, 28, 30]), [16, 27, 33].into());
    assert_eq!(output(&conv.clone().dilation([2, 5]), [3, 28, 30]), [16, 24, 20].into());
    assert_eq!(output(&conv.padding(Padding::Same).dilation(4), [3, 2, 1]), [16, 2, 1].into());
    assert_eq!(output(&Conv1d::new(2, 5).stride(3).padding([4, 0]), [1, 10]), [2, 4].into());
    let transposed = ConvTranspose2d::new(4, 3).stride(2).padding(1);
    assert_eq!(output(&transposed, [8, 14, 7]), [4, 27, 13].into());
    assert_eq!(output(&transposed.output_padding(1), [8, 14, 7]), [4, 28, 14].into());
}

#[test]
fn parameters_lie_and_start_as_in_pytorch() {
    let signature = Conv2d::new(6, [3, 2]).groups(2).signature(&[[4, 5, 5].into()]).unwrap();
    let [weight, bias] = signature.parameters() else { panic!("{signature:?}") };
    assert_eq!((weight.shape, bias.shape), ([6, 2, 3, 2].into(), [6].into()));
    assert_eq!((weight.fans.fan_in, weight.fans.fan_out), (12, 36));
    let signature = ConvTranspose2d::new(6, [3, 2]).groups(2).signature(&[[4, 5, 5].into()]).unwrap();
    assert_eq!(signature.parameters()[0].shape, [4, 3, 3, 2].into());
    assert_eq!(signature.parameters()[1].fans.fan_in, 18);
    let conv = Conv2d::new(40, 5).bind::<f64>([4, 5, 5], Seed(1)).unwrap();
    let largest = conv.parameters().iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    assert!(largest <= 0.1 && largest > 0.099, "U(±1/√100): {largest}");
    let without = Conv1d::new(3, 2).no_bias().init(Init::Ones).bind::<f64>([2, 5], Seed(1)).unwrap();
    assert_eq!(without.parameters(), [1.0; 12]);
}

#[test]
fn padding_same_puts_the_odd_zero_after() {
    let mut conv = Conv1d::new(1, 2).padding(Padding::Same).no_bias().bind::<f64>([1, 3], Seed(0)).unwrap();
    conv.set("weight", [10.0, 1.0]).unwrap();
    assert_eq!(conv.forward([[1.0, 2.0, 3.0]]).unwrap(), array![[12.0, 23.0, 30.0]]);
}

#[test]
fn padding_before_is_causal() {
    let mut conv = Conv1d::new(1, 2).padding([2, 0]).dilation(2).no_bias().bind::<f64>([1, 4], Seed(0)).unwrap();
    conv.set("weight", [10.0, 1.0]).unwrap();
    assert_eq!(conv.forward([[1.0, 2.0, 3.0, 4.0]]).unwrap(), array![[1.0, 2.0, 13.0, 24.0]]);
}

#[test]
fn depthwise_channels_do_not_meet() {
    let mut conv = Conv2d::new(2, 1).groups(2).bind::<f64>([2, 1, 2], Seed(0)).unwrap();
    conv.set("weight", [2.0, 3.0]).unwrap();
    conv.set("bias", [0.0, 100.0]).unwrap();
    assert_eq!(conv.forward([[1.0, 2.0, 1.0, 2.0]]).unwrap(), array![[2.0, 4.0, 103.0, 106.0]]);
}

#[test]
fn what_no_kernel_reaches_is_the_bias_alone() {
    // With stride 3 and a kernel of 1, two of three rows and columns are not painted.
    let mut larger = ConvTranspose2d::new(1, 1).stride(3).bind::<f64>([1, 1, 2], Seed(0)).unwrap();
    larger.set("weight", [2.0]).unwrap();
    larger.set("bias", [0.5]).unwrap();
    assert_eq!(larger.forward([[1.0, 2.0]]).unwrap(), array![[2.5, 0.5, 0.5, 4.5]]);
}

/// ⟨w ⋆ x, y⟩ = ⟨x, w ⋆ᵀ y⟩.
#[test]
fn the_transposed_convolution_is_the_transpose() {
    let settings = [(3, 1, 1, 1), (3, 2, 1, 1), (4, 2, 1, 1), (2, 3, 0, 1), (3, 2, 2, 2)];
    for (kernel, stride, padding, dilation) in settings {
        let conv = Conv2d::new(3, kernel).stride(stride).padding(padding).dilation(dilation);
        let transposed = ConvTranspose2d::new(2, kernel).stride(stride).padding(padding).dilation(dilation);
        let small = Shape::from([3, 5, 6]);
        let large = output(&transposed, small);
        assert_eq!(output(&conv, large), small);
        let mut conv = conv.no_bias().bind::<f64>(large, Seed(3)).unwrap();
        let mut transposed = transposed.no_bias().bind::<f64>(small, Seed(4)).unwrap();
        let weight = conv.parameters().to_vec();
        transposed.set("weight", &weight).unwrap();
        let mut stream = Seed(5).stream(0);
        let mut random = |shape: Shape| Array2::from_shape_simple_fn((1, shape.len()), || stream.uniform() - 0.5);
        let (x, y) = (random(large), random(small));
        let left = (&conv.forward(&x).unwrap() * &y).sum();
        let right = (&transposed.forward(&y).unwrap() * &x).sum();
        assert!((left - right).abs() < 1e-12, "{left} {right}");
    }
}

#[test]
fn not_a_number_and_infinity_reach_their_neighbours_only() {
    fn check<T: Scalar>(bad: T) {
        let mut conv = Conv2d::new(8, 3).padding(1).bind::<T>([2, 12, 20], Seed(2)).unwrap();
        let mut x = Array2::from_elem((1, 480), T::ONE);
        x[[0, 240 + 5 * 20 + 19]] = bad; // row 5, column 19 of the second channel
        let y = conv.forward(&x).unwrap();
        for (i, y) in y.iter().enumerate() {
            let (row, column) = (i % 240 / 20, i % 20);
            assert_eq!(!y.is_finite(), (4..=6).contains(&row) && column >= 18, "{row} {column}: {y}");
        }
    }
    check(f32::NAN);
    check(f64::NAN);
    check(f32::INFINITY);
    check(f64::NEG_INFINITY);
}

#[test]
fn an_empty_batch_gives_nothing_and_a_gradient_of_zero() {
    let mut conv = Conv2d::new(3, 3).bind::<f32>([2, 5, 5], Seed(0)).unwrap();
    assert_eq!(conv.forward(Array2::zeros((0, 50)).view()).unwrap().dim(), (0, 27));
    assert_eq!(conv.backward(Array2::zeros((0, 27)).view()).unwrap().dim(), (0, 50));
    assert!(conv.gradients().iter().all(|&gradient| gradient == 0.0));
    let mut larger = ConvTranspose2d::new(3, 3).bind::<f32>([2, 5, 5], Seed(0)).unwrap();
    larger.forward(Array2::zeros((0, 50)).view()).unwrap();
    larger.backward(Array2::zeros((0, 147)).view()).unwrap();
    assert!(larger.gradients().iter().all(|&gradient| gradient == 0.0));
}

#[test]
fn an_example_has_the_same_bits_in_any_company_and_on_any_threads() {
    let x = Array2::from_shape_fn((9, 3 * 16 * 16), |(i, j)| ((i * 31 + j) as f32).sin());
    let mut conv = Conv2d::new(24, 3).padding(1).bind::<f32>([3, 16, 16], Seed(1)).unwrap();
    let all = conv.forward(&x).unwrap();
    for example in [0, 8] {
        let alone = conv.forward(x.slice(ndarray::s![example..=example, ..])).unwrap();
        assert_eq!(alone.row(0), all.row(example));
    }
    let threaded = Threads::new(3).unwrap().run(|| conv.forward(&x).unwrap());
    assert_eq!(threaded, all);
}

#[test]
fn what_does_not_fit_is_refused_in_a_sentence() {
    let conv = Conv2d::new(4, 3);
    assert_eq!(
        refusal(&conv, [8]),
        "Conv2d takes an image of (channels, height, width) per example, but was given the shape 8; \
         put Reshape before it"
    );
    assert!(refusal(&Conv1d::new(1, 1), [1, 2, 3]).contains("a signal of (channels, length) per example"));
    assert!(refusal(&ConvTranspose2d::new(1, 1), [2, 3]).contains("given the shape 2x3"));
    assert_eq!(
        refusal(&conv.clone().dilation(2).padding(1), [1, 2, 9]),
        "Conv2d: a kernel of 3 with dilation 2 spans 5 numbers, but an input of 2 with padding 1 and 1 has only 4; \
         take a smaller kernel or more padding"
    );
    assert_eq!(
        refusal(&conv.clone().groups(2), [3, 5, 5]),
        "Conv2d: 2 groups must divide both the 3 input channels and the 4 outputs"
    );
    assert!(refusal(&conv.clone().groups(3), [3, 5, 5]).contains("3 groups must divide"));
    assert!(refusal(&conv.clone().groups(0), [3, 5, 5]).contains("0 groups are not all at least 1"));
    assert!(refusal(&Conv2d::new(0, 3), [3, 5, 5]).contains("0 outputs"));
    assert!(refusal(&conv, [0, 5, 5]).contains("0 channels"));
    assert!(refusal(&conv.clone().padding(2), [1, 0, 5]).contains("axis of the input is empty"));
    assert!(refusal(&Conv2d::new(4, [3, 0]), [1, 5, 5]).contains("kernel 0, stride 1 and dilation 1 must all be"));
    assert!(refusal(&conv.clone().stride(0), [1, 5, 5]).contains("stride 0"));
    assert!(refusal(&conv.clone().dilation([1, 0]), [1, 5, 5]).contains("dilation 0"));
    assert!(
        refusal(&conv.clone().padding(Padding::Same).stride(2), [1, 5, 5])
            .contains("needs a stride of 1, but the stride is 2")
    );
    assert!(refusal(&conv.clone().padding(usize::MAX), [1, 5, 5]).contains("larger than can be counted"));
    assert!(refusal(&conv.clone().dilation(usize::MAX), [1, 5, 5]).contains("larger than can be counted"));
    assert!(refusal(&conv.clone().padding(1 << 45), [1, 5, 5]).contains("larger than can be counted"));
    assert!(refusal(&Conv2d::new(usize::MAX / 2, 3), [1, 5, 5]).contains("larger than can be counted"));
    assert!(conv.signature(&[]).unwrap_err().to_string().contains("exactly one input"));
    let bad = Init::Constant(f64::NAN);
    assert!(refusal(&conv.clone().init(bad), [1, 5, 5]).contains("not finite"));
    assert!(refusal(&conv.bias_init(bad), [1, 5, 5]).contains("not finite"));

    let larger = ConvTranspose2d::new(4, 3).stride(2);
    assert!(
        refusal(&larger.clone().output_padding(2), [1, 5, 5])
            .contains("the output padding 2 must be smaller than the stride 2 or the dilation 1")
    );
    assert!(refusal(&larger.clone().padding(2), [1, 1, 5]).contains("of 3 numbers the padding 2 and 2 leaves none"));
    assert!(refusal(&larger.clone().groups(3), [1, 5, 5]).contains("3 groups must divide"));
    assert!(refusal(&larger.clone().stride(usize::MAX), [1, 5, 5]).contains("larger than can be counted"));
    assert!(refusal(&larger, [1, 0, 5]).contains("empty"));
}
