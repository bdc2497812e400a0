//! Layers that move numbers, make one of several, or scale them, at their edges;
//! their numbers are compared with PyTorch's in `parity.rs`.

use downhill_layers::{
    Bilinear, Bound, Concat, Layer, Mean, Mode, Multiply, Permute, Scale, Slice, SpatialDropout, Sum,
};
use downhill_tensor::{Init, Seed, Shape};
use ndarray::{Array2, array};

fn error(layer: &impl Layer, inputs: &[Shape]) -> String {
    layer.signature(inputs).unwrap_err().to_string()
}

fn output(layer: &impl Layer, input: impl Into<Shape>) -> Shape {
    layer.signature(&[input.into()]).unwrap().output()
}

fn bound<L: Layer>(layer: L, input: impl Into<Shape>) -> Bound<L, f64> {
    layer.bind(input, Seed(1)).unwrap()
}

fn two<L: Layer>(layer: L, first: impl Into<Shape>, second: impl Into<Shape>) -> Bound<L, f64> {
    Bound::new(layer, &[first.into(), second.into()], Seed(1)).unwrap()
}

#[test]
fn a_permutation_and_its_gradient_undo_each_other() {
    let mut permute = bound(Permute::new([1, 2, 0]), [2, 3, 2]);
    assert_eq!(permute.signature().output(), Shape::from([3, 2, 2]));
    let x = Array2::from_shape_fn((2, 12), |(i, j)| (12 * i + j) as f64);
    let y = permute.forward(&x).unwrap();
    assert_eq!(y.row(0).to_vec(), [0.0, 6.0, 1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0]);
    assert_eq!(permute.backward(&y).unwrap(), x);
}

#[test]
fn axes_that_an_order_leaves_out_stay() {
    assert_eq!(output(&Permute::new([1, 0]), [2, 3, 4]), Shape::from([3, 2, 4]));
    assert_eq!(output(&Permute::transpose(2, 0), [2, 3, 4, 5]), Shape::from([4, 3, 2, 5]));
    assert_eq!(output(&Permute::transpose(0, 2), [2, 3, 4, 5]), Shape::from([4, 3, 2, 5]));
    assert_eq!(output(&Permute::new([]), [2, 3]), Shape::from([2, 3]));
}

#[test]
fn orders_that_are_none_are_told() {
    for order in [vec![0, 0], vec![1], vec![0, 2], vec![0, 1, 2], vec![5, 0]] {
        let text = error(&Permute::new(order.clone()), &[[2, 3].into()]);
        assert!(text.contains(&format!("the order {order:?}")) && text.contains("the 2 axes"), "{text}");
    }
    assert!(error(&Permute::transpose(0, usize::MAX), &[[1; 6].into()]).contains("the 6 axes"));
}

#[test]
fn slices_take_apart_what_concat_has_joined() {
    let x = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    let mut first = bound(Slice::new(1, 0..1), [2, 3]);
    let mut rest = bound(Slice::new(1, 1..3), [2, 3]);
    let (a, b) = (first.forward(&x).unwrap(), rest.forward(&x).unwrap());
    assert_eq!((a.clone(), b.clone()), (array![[1.0, 4.0]], array![[2.0, 3.0, 5.0, 6.0]]));
    assert_eq!(two(Concat::new(1), [2, 1], [2, 2]).forward((&a, &b)).unwrap(), x);
    assert_eq!(first.backward(&a).unwrap(), array![[1.0, 0.0, 0.0, 4.0, 0.0, 0.0]]);
    for (start, end) in [(0, 4), (2, 2), (3, 1)] {
        let text = error(&Slice::new(1, start..end), &[[2, 3].into()]);
        assert!(text.contains(&format!("the range {start}..{end} does not lie in axis 1 of an example of shape 2x3")));
    }
    assert!(error(&Slice::new(2, 0..1), &[[2, 3].into()]).contains("no axis 2"));
}

#[test]
fn sums_and_means_over_any_axis() {
    let x = array![[1.0, 2.0, 3.0, 4.0, 5.0, 9.0]];
    assert_eq!(bound(Sum::new(1), [2, 3]).forward(&x).unwrap(), array![[6.0, 18.0]]);
    let mut mean = bound(Mean::new(0).keep_axis(), [2, 3]);
    assert_eq!(mean.signature().output(), Shape::from([1, 3]));
    assert_eq!(mean.forward(&x).unwrap(), array![[2.5, 3.5, 6.0]]);
    assert_eq!(mean.backward([[2.0, 4.0, 6.0]]).unwrap(), array![[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]]);
    assert_eq!(output(&Sum::new(0), [4]), Shape::from([]), "one number");
    assert!(error(&Sum::new(2), &[[2, 3].into()]).contains("no axis 2"));
    assert!(error(&Mean::new(0), &[[0, 3].into()]).contains("axis 0 of an example of shape 0x3 holds nothing"));
    let nothing = Array2::zeros((2, 0));
    assert_eq!(bound(Mean::new(0), [3, 0]).forward(&nothing).unwrap(), nothing);
}

#[test]
fn a_product_of_one_with_zero_keeps_the_derivative_of_the_zero() {
    let mut multiply = two(Multiply, [2], [2]);
    let (a, b) = (array![[0.0, 2.0]], array![[3.0, 0.0]]);
    assert_eq!(multiply.forward((&a, &b)).unwrap(), array![[0.0, 0.0]]);
    multiply.backward([[1.0, 1.0]]).unwrap();
    assert_eq!(multiply.input_gradients(), [b, a]);
    assert!(error(&Multiply, &[]).contains("at least one input"));
    assert!(error(&Multiply, &[[1].into(); 9]).contains("at most eight inputs"));
    let text = error(&Multiply, &[[2].into(), [3].into()]);
    assert_eq!(text, "the inputs of Multiply must have equal shapes, but one is 2 and the other is 3");
}

#[test]
fn spatial_dropout_drops_channels_as_a_whole() {
    let mut dropout = bound(SpatialDropout::new(0.4), [100, 5]);
    let x = Array2::from_elem((40, 500), 3.0);
    let y = dropout.forward(&x).unwrap();
    let mut dropped = 0;
    for row in y.rows() {
        for channel in row.to_vec().chunks(5) {
            assert!(channel.iter().all(|y| *y == channel[0]), "{channel:?}");
            dropped += usize::from(channel[0] == 0.0);
        }
    }
    assert!((dropped as f64 / 4000.0 - 0.4).abs() < 0.03, "{dropped}");
    assert!(y.iter().all(|&y| y == 0.0 || (y - 5.0).abs() < 1e-15));
    assert_eq!(dropout.backward(&x).unwrap(), y);
    dropout.set_mode(Mode::Training { step: 1 });
    assert_ne!(dropout.forward(&x).unwrap(), y, "another step drops other channels");
    dropout.set_mode(Mode::Evaluation);
    assert_eq!(dropout.forward(&x).unwrap(), x);
    assert_eq!(dropout.backward(&x).unwrap(), x);
    let mut all = bound(SpatialDropout::new(1.0), [1, 2]);
    assert_eq!(all.forward([[1.0, f64::NAN]]).unwrap(), array![[0.0, 0.0]], "p = 1 gives zeros");
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(error(&SpatialDropout::new(wrong), &[[2].into()]).contains(&format!("but is {wrong}")));
    }
    assert!(error(&SpatialDropout::new(0.5), &[[].into()]).contains("first axis is the channels"));
}

#[test]
fn a_bilinear_map_starts_as_in_pytorch_and_tells_what_does_not_fit() {
    let bilinear = two(Bilinear::new(50), [16], [7]);
    let largest = bilinear.parameters().iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    assert!(largest <= 0.25 && largest > 0.248, "U(±1/√16): {largest}");
    assert_eq!(bilinear.signature().parameters()[0].shape, Shape::from([50, 16, 7]));
    assert!(error(&Bilinear::new(2), &[[2].into()]).contains("exactly two inputs"));
    assert!(error(&Bilinear::new(2), &[[2].into(), [2, 3].into()]).contains("given the shape 2x3; put Flatten"));
    assert!(error(&Bilinear::new(0), &[[2].into(), [3].into()]).contains("from 2 and 3 to 0 numbers"));
    assert!(error(&Bilinear::new(1), &[[2].into(), [0].into()]).contains("must be at least 1"));
    assert!(error(&Bilinear::new(usize::MAX), &[[2].into(), [2].into()]).contains("too large"));
    let bad = Init::Constant(f64::NAN);
    assert!(Bilinear::new(1).init(bad).signature(&[[2].into(), [2].into()]).is_err());
    assert!(Bilinear::new(1).bias_init(bad).signature(&[[2].into(), [2].into()]).is_err());
    let nothing = Array2::zeros((0, 2));
    let mut empty = two(Bilinear::new(2), [2], [2]);
    assert_eq!(empty.forward((&nothing, &nothing)).unwrap(), nothing);
    empty.backward(&nothing).unwrap();
    assert_eq!(empty.input_gradients(), [nothing.clone(), nothing]);
    assert!(empty.gradients().iter().all(|&gradient| gradient == 0.0));
}

#[test]
fn a_scale_starts_where_it_is_told() {
    assert_eq!(bound(Scale::new(0.25), [3]).parameters(), [0.25]);
    assert!(error(&Scale::new(f64::NAN), &[[3].into()]).contains("NaN is not finite"));
}
