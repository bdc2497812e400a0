//! Pooling layers at their edges; their numbers are compared by `parity`, their derivatives by `downhill-gradcheck`.

use downhill_layers::{
    AdaptiveAveragePool1d, AdaptiveAveragePool2d, Arrays, ArraysMut, AveragePool1d, AveragePool2d, Backward, Forward,
    GlobalAveragePool, Inputs, InputsMut, Layer, MaxPool1d, MaxPool2d, Mode, Streams,
};
use downhill_tensor::{Batch, BatchMut, Seed, Shape, threads::Threads};
use ndarray::{Array2, array};

const FAR: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// y, and dJ/dx for dJ/dy = 1, 2, 3, ...
fn passes(layer: impl Layer, shape: impl Into<Shape>, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let shape = shape.into();
    let mut layer = layer.bind::<f64>(shape, Seed(0)).unwrap();
    let x = Array2::from_shape_vec((x.len() / shape.len(), shape.len()), x.to_vec()).unwrap();
    let y = layer.forward(&x).unwrap();
    let dy = Array2::from_shape_fn(y.dim(), |(i, j)| (i * y.ncols() + j + 1) as f64);
    let dx = layer.backward(&dy).unwrap();
    (y.into_iter().collect(), dx.into_iter().collect())
}

fn error(layer: &impl Layer, shape: impl Into<Shape>) -> String {
    layer.signature(&[shape.into()]).unwrap_err().to_string()
}

#[test]
fn of_equals_the_first_is_chosen() {
    // By pairs, and by the loop for any window.
    assert_eq!(
        passes(MaxPool2d::new(2), [1, 2, 4], &[7.0, 7.0, 0.0, 7.0, 7.0, 7.0, 7.0, 7.0]).1,
        [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(passes(MaxPool1d::new(3).stride(1), [1, 4], &[7.0; 4]).1, [1.0, 2.0, 0.0, 0.0]);
    let zeros = passes(MaxPool1d::new(2), [1, 4], &[0.0, -0.0, -0.0, 0.0]);
    assert_eq!(zeros.1, [1.0, 0.0, 2.0, 0.0], "zeros of either sign are equal");
}

#[test]
fn what_is_not_a_number_goes_through_a_maximum() {
    for window in [MaxPool2d::new(2), MaxPool2d::new(2).stride([2, 1])] {
        for place in 0..4 {
            let mut x = [1.0, FAR, -FAR, 3.0];
            x[place] = NAN;
            let (y, dx) = passes(window.clone(), [1, 2, 2], &x);
            let mut expected = [0.0; 4];
            expected[place] = 1.0;
            assert!(y[0].is_nan() && dx == expected, "{place}: {y:?} {dx:?}");
        }
        // As in PyTorch, the last of several.
        assert_eq!(passes(window, [1, 2, 2], &[NAN, 1.0, NAN, FAR]).1, [0.0, 0.0, 1.0, 0.0]);
    }
}

#[test]
fn windows_of_nothing_but_negative_infinities_choose_their_first() {
    let x = [-FAR; 4];
    assert_eq!(passes(MaxPool2d::new(2), [1, 2, 2], &x), (vec![-FAR], vec![1.0, 0.0, 0.0, 0.0]));
    let (y, dx) = passes(MaxPool1d::new(2).padding(1), [1, 4], &x);
    assert_eq!((y, dx), (vec![-FAR; 3], vec![1.0, 2.0, 0.0, 3.0]));
}

#[test]
fn padding_is_never_the_largest() {
    let (y, dx) = passes(MaxPool1d::new(3).padding(1).stride(2), [1, 3], &[-5.0, -4.0, -6.0]);
    assert_eq!((y, dx), (vec![-4.0, -4.0], vec![0.0, 3.0, 0.0]));
}

#[test]
fn averages_count_padding_unless_told_not_to() {
    let pool = AveragePool1d::new(2).padding(1);
    assert_eq!(passes(pool.clone(), [1, 2], &[4.0, 6.0]), (vec![2.0, 3.0], vec![0.5, 1.0]));
    assert_eq!(passes(pool.exclude_padding(), [1, 2], &[4.0, 6.0]), (vec![4.0, 6.0], vec![1.0, 2.0]));
    // What hangs over the end of the padding counts in no case.
    let pool = AveragePool1d::new(2).ceil_mode();
    assert_eq!(passes(pool, [1, 3], &[4.0, 6.0, 8.0]), (vec![5.0, 8.0], vec![0.5, 0.5, 2.0]));
}

#[test]
fn a_window_that_hangs_over_the_end_is_averaged_as_in_pytorch() {
    // torch.nn.functional.avg_pool1d(x, 5, 5, ceil_mode=True): what lies beyond the padding does not count.
    let (y, dx) = passes(AveragePool1d::new(5).ceil_mode(), [1, 3], &[1.0, 2.0, 6.0]);
    assert_eq!((y, dx), (vec![3.0], vec![1.0 / 3.0; 3]));
    let (y, _) = passes(AveragePool1d::new(7).padding(1).ceil_mode(), [1, 3], &[1.0, 2.0, 6.0]);
    assert_eq!(y, [9.0 / 5.0]);
    let (y, _) = passes(AveragePool2d::new([3, 1]).ceil_mode(), [1, 2, 2], &[1.0, 2.0, 3.0, 6.0]);
    assert_eq!(y, [2.0, 4.0]);
}

#[test]
fn averages_of_many_numbers_keep_their_digits() {
    let (rows, columns) = (1000, 1001);
    let x: Vec<f32> = (0..rows * columns).map(|i| 0.1 + 1e-3 * (i % 7) as f32).collect();
    let x = Array2::from_shape_vec((1, x.len()), x).unwrap();
    let mut pool = AveragePool2d::new([rows, columns - 1]).bind::<f32>([1, rows, columns], Seed(0)).unwrap();
    let y = pool.forward(&x).unwrap()[[0, 0]];
    let held = x.iter().enumerate().filter(|(i, _)| i % columns < columns - 1).map(|(_, &x)| f64::from(x));
    let exact = held.sum::<f64>() / (rows * (columns - 1)) as f64;
    assert!((f64::from(y) / exact - 1.0).abs() < 1e-5, "{y} for {exact}");
}

#[test]
fn averages_let_infinities_and_what_is_not_a_number_through() {
    for pool in [AveragePool2d::new(2), AveragePool2d::new(2).stride([2, 3])] {
        assert_eq!(passes(pool.clone(), [1, 2, 2], &[1.0, FAR, 2.0, 3.0]).0, [FAR]);
        assert!(passes(pool.clone(), [1, 2, 2], &[-FAR, FAR, 2.0, 3.0]).0[0].is_nan());
        assert!(passes(pool, [1, 2, 2], &[1.0, 2.0, NAN, 3.0]).0[0].is_nan());
    }
}

#[test]
fn windows_that_leave_a_rest_give_it_no_gradient() {
    let x: Vec<f64> = (0..15).map(f64::from).collect();
    let (y, dx) = passes(MaxPool2d::new(2), [1, 3, 5], &x);
    assert_eq!(y, [6.0, 8.0]);
    assert_eq!(dx, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let (y, dx) = passes(AveragePool2d::new(2), [1, 3, 5], &x);
    assert_eq!(y, [3.0, 5.0]);
    assert_eq!(dx, [0.25, 0.25, 0.5, 0.5, 0.0, 0.25, 0.25, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// Numbers that repeat, so that there are ties.
fn numbers(count: usize) -> Vec<f32> {
    let mut stream = Seed(1).stream(0);
    (0..count).map(|_| (stream.uniform() * 16.0).floor() as f32).collect()
}

#[test]
fn pairs_are_pooled_as_any_window_is() {
    // Beside the whole, each window alone, by a stride that changes nothing but the loop.
    for (rows, columns) in [(2, 2), (3, 2), (2, 33), (6, 64), (7, 67), (28, 28)] {
        let x: Vec<f64> = numbers(2 * rows * columns).into_iter().map(f64::from).collect();
        let (y, dx) = passes(MaxPool2d::new(2), [2, rows, columns], &x);
        let (across, down) = (columns / 2, rows / 2);
        for (place, &largest) in y.iter().enumerate() {
            let (channel, i, j) = (place / (down * across), place / across % down, place % across);
            let at = |k: usize| channel * rows * columns + (2 * i + k / 2) * columns + 2 * j + k % 2;
            let window: Vec<f64> = (0..4).map(|k| x[at(k)]).collect();
            let (one, gradient) = passes(MaxPool2d::new(2).stride(3), [1, 2, 2], &window);
            assert_eq!(one, [largest]);
            for k in 0..4 {
                assert_eq!(dx[at(k)], gradient[k] * (place + 1) as f64);
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    fn bits(layer: &impl Layer, shape: Shape) -> (Vec<f32>, Vec<f32>) {
        let examples = 70;
        let signature = layer.signature(&[shape]).unwrap();
        let x = numbers(examples * shape.len());
        let mut y = vec![f32::NAN; examples * signature.output().len()];
        let mut saved = vec![f32::NAN; signature.saved().len(examples)];
        layer.forward(&mut Forward {
            x: Inputs::from(Batch::new(&x, examples, shape).unwrap()),
            params: Arrays::empty(),
            y: BatchMut::new(&mut y, examples, signature.output()).unwrap(),
            saved: ArraysMut::new(&mut saved, signature.saved(), examples),
            scratch: ArraysMut::empty(),
            statistics: Arrays::empty(),
            mode: Mode::Training { step: 0 },
            random: Streams::new(Seed(0), 0, 0),
            ranks: None,
        });
        let mut dx = vec![f32::NAN; x.len()];
        layer.backward(&mut Backward {
            x: Inputs::from(Batch::absent(examples, shape)),
            params: Arrays::empty(),
            y: Batch::absent(examples, signature.output()),
            saved: Arrays::new(&saved, signature.saved(), examples),
            scratch: ArraysMut::empty(),
            dy: Batch::new(&y, examples, signature.output()).unwrap(),
            dx: InputsMut::from(BatchMut::new(&mut dx, examples, shape).unwrap()),
            dparams: ArraysMut::empty(),
            ranks: None,
        });
        (y, dx)
    }
    fn same(layer: &impl Layer) {
        let shape = [3, 20, 21].into();
        let one = Threads::new(1).unwrap().run(|| bits(layer, shape));
        assert_eq!(Threads::new(3).unwrap().run(|| bits(layer, shape)), one, "{layer:?}");
    }
    same(&MaxPool2d::new(2));
    same(&MaxPool2d::new(3).stride(2).padding(1));
    same(&AveragePool2d::new(2));
    same(&AveragePool2d::new(3).stride(2).padding(1));
    same(&AdaptiveAveragePool2d::new([3, 5]));
    same(&GlobalAveragePool);
}

#[test]
fn an_empty_batch_is_pooled_to_nothing() {
    let mut pool = MaxPool2d::new(2).bind::<f64>([1, 4, 4], Seed(0)).unwrap();
    assert_eq!(pool.forward(Array2::zeros((0, 16)).view()).unwrap().dim(), (0, 4));
    let mut pool = GlobalAveragePool.bind::<f64>([3, 4], Seed(0)).unwrap();
    assert_eq!(pool.forward(Array2::zeros((0, 12)).view()).unwrap().dim(), (0, 3));
}

#[test]
fn what_does_not_fit_is_an_error() {
    assert_eq!(
        error(&MaxPool2d::new(2), [784]),
        "MaxPool2d takes an image per example, channels x rows x columns, but was given the shape 784; put Reshape \
         before it, to [1, rows, columns] where there is one channel"
    );
    assert!(error(&MaxPool1d::new(2), [3, 4, 5]).contains("channels x length"));
    assert!(error(&AveragePool1d::new(2), [3]).contains("was given the shape 3"));
    assert!(error(&AdaptiveAveragePool1d::new(2), [3]).contains("AdaptiveAveragePool1d takes"));
    assert_eq!(
        error(&MaxPool1d::new(5), [1, 4]),
        "MaxPool1d: a window spans 5 (kernel 5, dilation 1), but an axis of 4 with a padding of 0 on both sides has \
         only 4; take a smaller kernel"
    );
    assert!(error(&MaxPool2d::new(2).dilation([1, 4]), [1, 4, 4]).contains("spans 5 (kernel 2, dilation 4)"));
    assert!(error(&AveragePool2d::new([1, 3]), [1, 1, 2]).contains("spans 3"));
    assert!(error(&AveragePool1d::new(3).padding(2), [1, 9]).contains("half of the kernel at most, but is 2"));
    assert!(error(&MaxPool2d::new(2).padding([1, 2]), [1, 9, 9]).contains("is 2 for a kernel of 2"));
    for (kernel, stride, dilation) in [(0, 1, 1), (2, 0, 1), (2, 1, 0)] {
        let pool = MaxPool1d::new(kernel).stride(stride).dilation(dilation);
        assert!(error(&pool, [1, 9]).contains(&format!("but are {kernel}, {stride} and {dilation}")));
    }
    assert!(error(&MaxPool1d::new(3).dilation(usize::MAX), [1, 9]).contains("is too large"));
    assert!(error(&MaxPool2d::new(5000), [1, 5000, 5000]).contains("2^24 numbers at most, but holds 25000000"));
    assert!(error(&AdaptiveAveragePool2d::new([2, 0]), [1, 4, 4]).contains("one of 0"));
    assert!(error(&AdaptiveAveragePool1d::new(2), [1, 0]).contains("an axis of 0"));
    assert!(error(&AdaptiveAveragePool1d::new(usize::MAX), [2, 3]).contains("too many elements"));
    assert!(error(&GlobalAveragePool, [3]).contains("nothing to average over"));
    assert!(error(&GlobalAveragePool, [3, 0, 2]).contains("nothing has no mean"));
    let two = [[1, 4, 4].into(), [1, 4, 4].into()];
    assert!(MaxPool2d::new(2).signature(&two).unwrap_err().to_string().contains("exactly one input"));
}

#[test]
fn a_window_of_padding_alone_is_an_error() {
    // Its numbers would stand at -1 and 3 of an axis of 3.
    let pool = MaxPool1d::new(2).stride(1).padding(1).dilation(4);
    assert_eq!(
        error(&pool, [1, 3]),
        "MaxPool1d: window 0 over an axis of 3 would hold nothing but padding (kernel 2, stride 1, padding 1, \
         dilation 4); take a smaller dilation or padding"
    );
    assert!(error(&AveragePool1d::new(2).padding(1), [1, 0]).contains("nothing but padding"));
}

#[test]
fn the_number_of_windows_is_that_of_pytorch() {
    fn windows(pool: impl Layer, length: usize) -> usize {
        pool.signature(&[[1, length].into()]).unwrap().output()[1]
    }
    assert_eq!(windows(MaxPool1d::new(2), 5), 2);
    assert_eq!(windows(MaxPool1d::new(2).ceil_mode(), 5), 3);
    // The third would begin behind the input.
    assert_eq!(windows(MaxPool1d::new(2).stride(4).ceil_mode(), 5), 2);
    assert_eq!(windows(MaxPool1d::new(1).stride(3).ceil_mode(), 3), 1);
    // A kernel may be longer than the axis by less than a stride.
    assert_eq!(windows(AveragePool1d::new(5).ceil_mode(), 3), 1);
    assert_eq!(windows(MaxPool1d::new(5).ceil_mode(), 3), 1);
    assert_eq!(windows(AveragePool1d::new(7).stride(3).ceil_mode(), 5), 1);
    assert!(AveragePool1d::new(7).stride(2).ceil_mode().signature(&[[1, 5].into()]).is_err());
    assert!(AveragePool1d::new(5).signature(&[[1, 3].into()]).is_err());
    assert_eq!(windows(MaxPool1d::new(2).stride(usize::MAX).ceil_mode(), 5), 1);
    let y = MaxPool2d::new([2, 3]).bind::<f64>([1, 2, 3], Seed(0)).unwrap();
    assert_eq!(y.signature().output(), Shape::from([1, 1, 1]));
    let mut pool = MaxPool1d::new(1).bind::<f64>([1, 2], Seed(0)).unwrap();
    assert_eq!(pool.forward([[1.0, 2.0]]).unwrap(), array![[1.0, 2.0]]);
}
