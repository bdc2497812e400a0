//! The rectifiers and gates that are layers of their own, at their edges.

use downhill_layers::{Glu, Layer, Mode, PRelu, RRelu};
use downhill_tensor::{Seed, Shape, threads::Threads};
use ndarray::{Array2, array};

fn error(layer: &impl Layer, shape: impl Into<Shape>) -> String {
    layer.signature(&[shape.into()]).unwrap_err().to_string()
}

#[test]
fn a_glu_halves_any_axis() {
    // x: 2 x 2; along the rows a = (8, 6), b = (0, 0).
    let mut rows = Glu::new().axis(0).bind::<f64>([2, 2], Seed(0)).unwrap();
    assert_eq!(rows.forward([[8.0, 6.0, 0.0, 0.0]]).unwrap(), array![[4.0, 3.0]]);
    let mut columns = Glu::new().bind::<f64>([2, 2], Seed(0)).unwrap();
    assert_eq!(columns.signature().output(), Shape::from([2, 1]));
    assert_eq!(columns.forward([[8.0, 0.0, 6.0, 0.0]]).unwrap(), array![[4.0, 3.0]]);
    assert_eq!(columns.backward([[4.0, 8.0]]).unwrap(), array![[2.0, 8.0, 4.0, 12.0]]);
}

#[test]
fn a_gate_that_is_far_open_or_shut_has_no_slope() {
    let mut glu = Glu::new().bind::<f64>([2], Seed(0)).unwrap();
    let y = glu.forward([[3.0, 1e4], [3.0, -1e4], [f64::NAN, 0.0], [1.0, f64::NAN]]).unwrap();
    assert_eq!((y[[0, 0]], y[[1, 0]]), (3.0, 0.0));
    assert!(y[[2, 0]].is_nan() && y[[3, 0]].is_nan());
    let dx = glu.backward([[1.0], [1.0], [1.0], [1.0]]).unwrap();
    assert_eq!((dx[[0, 0]], dx[[0, 1]], dx[[1, 0]], dx[[1, 1]]), (1.0, 0.0, 0.0, 0.0));
}

#[test]
fn a_prelu_learns_one_slope_or_one_for_each_channel() {
    let x = array![[-1.0, 2.0, -3.0, 0.0], [5.0, -6.0, -7.0, -8.0]];
    let ones = Array2::from_elem((2, 4), 1.0);
    let mut one = PRelu::new().bind::<f64>([2, 2], Seed(0)).unwrap();
    assert_eq!(one.parameters(), [0.25]);
    assert_eq!(one.forward(&x).unwrap(), array![[-0.25, 2.0, -0.75, 0.0], [5.0, -1.5, -1.75, -2.0]]);
    // The slope at 0 is w.
    assert_eq!(one.backward(&ones).unwrap(), array![[0.25, 1.0, 0.25, 0.25], [1.0, 0.25, 0.25, 0.25]]);
    assert_eq!(one.gradient("weight").unwrap().flatten(), array![-25.0]);
    let mut each = PRelu::new().per_channel().bind::<f64>([2, 2], Seed(0)).unwrap();
    each.set("weight", [-1.0, 2.0]).unwrap();
    assert_eq!(each.forward(&x).unwrap(), array![[1.0, 2.0, -6.0, 0.0], [5.0, 6.0, -14.0, -16.0]]);
    each.backward(&ones).unwrap();
    assert_eq!(each.gradient("weight").unwrap().flatten(), array![-7.0, -18.0]);
    // Of a vector, each feature is a channel.
    let mut each = PRelu::new().per_channel().bind::<f64>([4], Seed(0)).unwrap();
    each.forward(&x).unwrap();
    each.backward(&ones).unwrap();
    assert_eq!(each.gradient("weight").unwrap().flatten(), array![-1.0, -6.0, -10.0, -8.0]);
}

#[test]
fn a_prelu_lets_infinities_and_what_is_not_a_number_through() {
    let mut prelu = PRelu::new().bind::<f32>([3], Seed(0)).unwrap();
    let y = prelu.forward([[f32::NEG_INFINITY, f32::INFINITY, f32::NAN]]).unwrap();
    assert_eq!((y[[0, 0]], y[[0, 1]]), (f32::NEG_INFINITY, f32::INFINITY));
    assert!(y[[0, 2]].is_nan());
}

#[test]
fn examples_of_nothing_have_a_gradient_of_zero() {
    let mut prelu = PRelu::new().bind::<f64>([0], Seed(0)).unwrap();
    prelu.forward(Array2::zeros((3, 0)).view()).unwrap();
    prelu.backward(Array2::zeros((3, 0)).view()).unwrap();
    assert_eq!(prelu.gradient("weight").unwrap().flatten(), array![0.0]);
}

#[test]
fn threads_change_no_bit_of_a_learnt_slope() {
    let gradient = |threads: usize| {
        Threads::new(threads).unwrap().run(|| {
            let mut stream = Seed(3).stream(0);
            let mut numbers = || Array2::from_shape_fn((64, 3000), |_| stream.uniform() as f32 - 0.5);
            let mut prelu = PRelu::new().per_channel().bind::<f32>([3, 1000], Seed(0)).unwrap();
            let y = prelu.forward(numbers().view()).unwrap();
            (y, prelu.backward(numbers().view()).unwrap(), prelu.gradients().to_vec())
        })
    };
    assert_eq!(gradient(1), gradient(3));
}

#[test]
fn random_slopes_lie_between_their_bounds_and_go_both_ways() {
    let x = Array2::from_shape_fn((50, 200), |(i, j)| if (i + j) % 2 == 0 { -1.0 } else { 2.0 });
    let mut rrelu = RRelu::default().bind::<f64>([200], Seed(5)).unwrap();
    let y = rrelu.forward(&x).unwrap();
    let drawn: Vec<f64> = y.iter().copied().filter(|&y| y < 0.0).map(|y| -y).collect();
    assert!(drawn.len() == 5000 && y.iter().filter(|&&y| y == 2.0).count() == 5000);
    assert!(drawn.iter().all(|a| (0.125..1.0 / 3.0).contains(a)));
    // The mean of 5000 is within four of its standard deviations.
    let (mean, deviation) = (0.5 * (0.125 + 1.0 / 3.0), (1.0 / 3.0 - 0.125) / 12f64.sqrt());
    assert!((drawn.iter().sum::<f64>() / 5e3 - mean).abs() < 4.0 * deviation / 5e3f64.sqrt());
    let dx = rrelu.backward(Array2::ones((50, 200)).view()).unwrap();
    assert_eq!(&dx * &x, y, "the backward pass has the slopes of the forward pass");
    rrelu.set_mode(Mode::Training { step: 1 });
    assert_ne!(rrelu.forward(&x).unwrap(), y, "another step draws others");
    rrelu.set_mode(Mode::Training { step: 0 });
    assert_eq!(rrelu.forward(&x).unwrap(), y, "the same step draws the same");
    rrelu.set_mode(Mode::Evaluation);
    let y = rrelu.forward(&x).unwrap();
    assert_eq!(y, x.mapv(|x| if x > 0.0 { x } else { mean * x }));
    assert_eq!(rrelu.backward(Array2::ones((50, 200)).view()).unwrap() * &x, y);
}

#[test]
fn a_rrelu_has_the_slope_of_the_left_at_0() {
    let mut rrelu = RRelu::new(0.5, 0.5).bind::<f64>([3], Seed(0)).unwrap();
    let y = rrelu.forward([[0.0, f64::INFINITY, f64::NAN]]).unwrap();
    assert!(y[[0, 0]] == 0.0 && y[[0, 1]] == f64::INFINITY && y[[0, 2]].is_nan());
    assert_eq!(rrelu.backward([[1.0, 1.0, 1.0]]).unwrap(), array![[0.5, 1.0, 1.0]]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    assert_eq!(error(&Glu::new(), [2, 3]), "Glu: axis 1 of 2x3 can't be halved; give it an even length");
    assert!(error(&Glu::new().axis(2), [2, 4]).contains("there is no axis 2 in examples of shape 2x4"));
    assert!(error(&Glu::new(), []).contains("no axis 0"));
    assert!(error(&PRelu::new().per_channel(), []).contains("PRelu takes channels per example"));
    assert!(PRelu::new().signature(&[[].into()]).is_ok());
    assert_eq!(
        error(&RRelu::new(0.5, 0.25), [2]),
        "RRelu: the slopes must lie between finite bounds, but these are 0.5 and 0.25"
    );
    for (lower, upper) in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (f64::INFINITY, f64::INFINITY)] {
        assert!(error(&RRelu::new(lower, upper), [2]).contains("finite bounds"));
    }
}
