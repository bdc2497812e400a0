//! Attention at its edges: masks, dropout, long sequences, threads, and every way in which it does not fit.

use downhill_layers::{Bound, Layer, Mode, MultiHeadAttention, RotaryPositions};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Seed, Shape};
use ndarray::{Array2, array, s};

fn bind(layer: MultiHeadAttention, inputs: &[Shape]) -> Bound<MultiHeadAttention, f64> {
    Bound::new(layer, inputs, Seed(3)).unwrap()
}

fn random(rows: usize, columns: usize, key: u64) -> Array2<f64> {
    let mut stream = Seed(5).stream(key);
    Array2::from_shape_simple_fn((rows, columns), || 2.0 * stream.uniform() - 1.0)
}

fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-13, "{what}: {found} for {expected}");
    }
}

/// An attention of one head whose maps are all the identity.
fn identity(layer: MultiHeadAttention, inputs: &[Shape]) -> Bound<MultiHeadAttention, f64> {
    let mut layer = bind(layer.no_bias(), inputs);
    let width = inputs[0][1];
    let eye = Array2::<f64>::eye(width);
    let three = ndarray::concatenate![ndarray::Axis(0), eye, eye, eye];
    layer.set("in_proj_weight", &three).unwrap();
    layer.set("out_proj.weight", &eye).unwrap();
    layer
}

#[test]
fn weights_are_those_of_the_formula() {
    let mut attention = identity(MultiHeadAttention::new(1), &[[2, 1].into()]);
    let y = attention.forward(array![[0.0, 3f64.ln()]].view()).unwrap();
    // The first step weighs both alike; the second by exp(0) and exp(ln 3 · ln 3).
    let second = 1.0 - 1.0 / (1.0 + (3f64.ln() * 3f64.ln()).exp());
    close("y", y.as_slice().unwrap(), &[3f64.ln() / 2.0, 3f64.ln() * second]);
}

#[test]
fn a_causal_layer_sees_nothing_of_what_comes_later() {
    let mut attention = bind(MultiHeadAttention::new(2).causal(), &[[5, 4].into()]);
    let x = random(1, 20, 0);
    let y = attention.forward(&x).unwrap();
    let mut changed = x.clone();
    changed.slice_mut(s![.., 12..]).fill(7.0);
    let other = attention.forward(&changed).unwrap();
    assert_eq!(y.slice(s![.., ..12]), other.slice(s![.., ..12]));
    assert_ne!(y.slice(s![.., 12..]), other.slice(s![.., 12..]));
}

#[test]
fn padding_is_never_read_and_has_no_gradient() {
    let shapes = [Shape::from([3, 4]), [6, 4].into(), [1].into()];
    let mut attention = bind(MultiHeadAttention::new(2).lengths(), &shapes);
    let (x, memory, lengths) = (random(2, 12, 0), random(2, 24, 1), array![[2.0], [6.0]]);
    let y = attention.forward((&x, &memory, &lengths)).unwrap();
    attention.backward(random(2, 12, 2)).unwrap();
    let dx = attention.input_gradients();
    assert!(dx[1].slice(s![0, 8..]).iter().all(|&dx| dx == 0.0));
    assert!(dx[1].slice(s![0, ..8]).iter().all(|&dx| dx != 0.0) && dx[1].row(1).iter().all(|&dx| dx != 0.0));
    assert_eq!(dx[2], array![[0.0], [0.0]]);
    let mut padded = memory.clone();
    padded.slice_mut(s![0, 8..]).fill(f64::NAN);
    assert_eq!(attention.forward((&x, &padded, &lengths)).unwrap(), y);

    let mut refused = |length: f64| {
        let lengths = array![[length], [1.0]];
        attention.forward((&x, &memory, &lengths)).unwrap_err().to_string()
    };
    for length in [0.0, 7.0, 1.5, f64::NAN] {
        let message = refused(length);
        assert!(message.contains(&format!("is {length}, but only whole numbers from 1 to 6")), "{message}");
    }
}

/// y at what is there, all derivatives, and dJ/dx: for zeros in place of what is masked, and for what is not finite.
fn nothing_masked_is_read(layer: &MultiHeadAttention, shapes: &[Shape], masked: impl Fn(usize, usize) -> bool) {
    let (examples, queries, width) = (3, shapes[0][0], shapes[0][1]);
    let lengths = Array2::from_shape_fn((examples, 1), |(example, _)| [2.0, shapes[0][0] as f64 - 1.0, 1.0][example]);
    let crosses = shapes.len() > 1 && shapes[1].rank() == 2;
    let run = |fill: f64| {
        let mut inputs: Vec<Array2<f64>> = shapes.iter().map(|shape| random(examples, shape.len(), 1)).collect();
        let memory = usize::from(crosses);
        for ((example, place), x) in inputs[memory].indexed_iter_mut() {
            if masked(example, place / width) {
                *x = fill;
            }
        }
        if shapes.last().is_some_and(|shape| shape.rank() == 1) {
            *inputs.last_mut().unwrap() = lengths.clone();
        }
        let mut dy = random(examples, queries * width, 2);
        if !crosses {
            for ((example, place), dy) in dy.indexed_iter_mut() {
                if masked(example, place / width) {
                    *dy = 0.0;
                }
            }
        }
        let mut attention = bind(layer.clone(), shapes);
        let views: Vec<_> = inputs.iter().map(|x| x.view()).collect();
        let mut y = attention.forward(&views[..]).unwrap();
        attention.backward(&dy).unwrap();
        let dx = attention.input_gradients();
        for ((example, place), y) in y.indexed_iter_mut() {
            if !crosses && masked(example, place / width) {
                *y = 0.0;
            }
        }
        for ((example, place), dx) in dx[memory].indexed_iter() {
            assert!(!masked(example, place / width) || *dx == 0.0, "{layer:?} with {fill}: {dx}");
        }
        (y, dx, attention.gradients().to_vec())
    };
    let expected = run(0.0);
    assert!(expected.2.iter().all(|g| g.is_finite()));
    for fill in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        assert!(run(fill) == expected, "{layer:?} of {shapes:?} with {fill}");
    }
}

#[test]
fn what_is_masked_is_not_read_even_if_it_is_not_finite() {
    // Weights that are kept, that are dropped, and that are computed again.
    for steps in [9, 60, 530] {
        let of_lengths = |example: usize, step: usize| step >= [2, steps - 1, 1][example];
        let layer = || MultiHeadAttention::new(2).lengths();
        let turned = layer().rotary_positions(RotaryPositions::new());
        for layer in [layer(), layer().causal(), layer().dropout(0.3), turned, layer().no_bias()] {
            let sequence = Shape::from([steps, 4]);
            nothing_masked_is_read(&layer, &[sequence, [1].into()], of_lengths);
            nothing_masked_is_read(&layer, &[sequence, sequence, [1].into()], of_lengths);
        }
    }
}

#[test]
fn the_future_is_not_read_even_if_it_is_not_finite() {
    for steps in [3, 9, 60, 530] {
        let y = |fill: f64, first: usize| {
            let mut x = random(1, 4 * steps, 0);
            x.slice_mut(s![.., 4 * first..]).fill(fill);
            let mut dy = random(1, 4 * steps, 1);
            dy.slice_mut(s![.., 4 * first..]).fill(0.0);
            let mut attention = bind(MultiHeadAttention::new(2).causal(), &[[steps, 4].into()]);
            let y = attention.forward(&x).unwrap();
            let dx = attention.backward(&dy).unwrap();
            assert!(dx.slice(s![.., 4 * first..]).iter().all(|&dx| dx == 0.0));
            assert!(fill.is_finite() || y.slice(s![.., 4 * first..]).iter().all(|y| y.is_nan()), "nothing is hidden");
            [
                y.slice(s![.., ..4 * first]).iter().copied().collect(),
                dx.into_iter().collect(),
                attention.gradients().to_vec(),
            ]
        };
        for first in [1, 2, steps - 1] {
            let expected: [Vec<f64>; 3] = y(0.0, first);
            for fill in [f64::NAN, f64::INFINITY] {
                for (found, expected) in y(fill, first).iter().zip(&expected) {
                    close("the start", found, expected);
                }
            }
        }
    }
}

#[test]
fn what_is_there_and_not_a_number_shows() {
    let mut x = random(1, 12, 0);
    x[[0, 5]] = f64::NAN;
    for layer in [MultiHeadAttention::new(2), MultiHeadAttention::new(2).causal()] {
        let mut attention = bind(layer, &[[3, 4].into()]);
        let y = attention.forward(&x).unwrap();
        assert!(y.iter().skip(4).all(|y| y.is_nan()), "{y}");
        attention.backward(&y).unwrap();
        assert!(attention.gradients().iter().any(|g| g.is_nan()));
    }
}

#[test]
fn what_is_masked_may_as_well_not_be_there() {
    // The long memory is longer than what weights are kept for, so they are computed again.
    let (long, short) = (700, 37);
    let layer = || MultiHeadAttention::new(2).lengths();
    let mut with = bind(layer(), &[[4, 4].into(), [long, 4].into(), [1].into()]);
    let mut without = bind(layer(), &[[4, 4].into(), [short, 4].into(), [1].into()]);
    let kept = |layer: &Bound<MultiHeadAttention, f64>| layer.signature().saved().len(1);
    assert_eq!(kept(&with), (2 * 4 + 2 * long) * 4 + 2 * 4 + 1, "Q, C, K, V, and one number for each query and head");
    assert_eq!(kept(&without), (2 * 4 + 2 * short) * 4 + 2 * 8 * short + 1, "the weights, of whole strips of queries");
    let (x, memory, dy) = (random(1, 16, 0), random(1, 4 * long, 1), random(1, 16, 2));
    let length = array![[short as f64]];
    let start = memory.slice(s![.., ..4 * short]);
    let y = with.forward((&x, &memory, &length)).unwrap();
    let expected = without.forward((&x, start, &length)).unwrap();
    close("y", y.as_slice().unwrap(), expected.as_slice().unwrap());
    with.backward(&dy).unwrap();
    without.backward(&dy).unwrap();
    let (dx, expected) = (with.input_gradients(), without.input_gradients());
    close("dx", dx[0].as_slice().unwrap(), expected[0].as_slice().unwrap());
    close("dm", &dx[1].as_slice().unwrap()[..4 * short], expected[1].as_slice().unwrap());
    close("dtheta", with.gradients(), without.gradients());
}

#[test]
fn the_start_of_a_long_causal_sequence_is_a_short_one() {
    // The long sequence takes several blocks of queries, each of which sees more keys than the one before.
    for (long, short) in [(530, 70), (400, 70)] {
        let mut whole = bind(MultiHeadAttention::new(1).causal(), &[[long, 2].into()]);
        let mut start = bind(MultiHeadAttention::new(1).causal(), &[[short, 2].into()]);
        let x = random(1, 2 * long, 0);
        let mut dy = Array2::zeros((1, 2 * long));
        dy.slice_mut(s![.., ..2 * short]).assign(&random(1, 2 * short, 1));
        let part = s![.., ..2 * short];
        let y = whole.forward(&x).unwrap();
        let expected = start.forward(x.slice(part)).unwrap();
        close("y", &y.as_slice().unwrap()[..2 * short], expected.as_slice().unwrap());
        let dx = whole.backward(&dy).unwrap();
        let expected = start.backward(dy.slice(part)).unwrap();
        close("dx", &dx.as_slice().unwrap()[..2 * short], expected.as_slice().unwrap());
        assert!(dx.iter().skip(2 * short).all(|&dx| dx == 0.0));
        close("dtheta", whole.gradients(), start.gradients());
    }
}

#[test]
fn dropout_drops_its_share_of_the_weights_and_keeps_the_mean() {
    // One key, so that every weight is 1: y is 0 or x/(1 − p).
    let (examples, queries) = (50, 40);
    let layer = MultiHeadAttention::new(1).dropout(0.3);
    let mut attention = identity(layer, &[[queries, 1].into(), [1, 1].into()]);
    let (x, memory) = (random(examples, queries, 0), Array2::from_elem((examples, 1), 0.7));
    let mut forward = |mode| {
        attention.set_mode(mode);
        attention.forward((&x, &memory)).unwrap()
    };
    let y = forward(Mode::Training { step: 1 });
    assert!(y.iter().all(|&y| y == 0.0 || (y - 1.0).abs() < 1e-15), "{y}");
    let dropped = 1.0 - y.mean().unwrap();
    assert!((dropped - 0.3).abs() < 0.05, "{dropped}");
    assert_ne!(y.row(0), y.row(1), "each example has a stream of its own");
    assert_eq!(forward(Mode::Training { step: 1 }), y);
    assert_ne!(forward(Mode::Training { step: 2 }), y);
    assert!(forward(Mode::Evaluation).iter().all(|&y| y == 0.7));
}

#[test]
fn rotary_positions_are_what_tells_the_order_of_the_keys() {
    let layer = MultiHeadAttention::new(2);
    let (x, memory) = (random(1, 8, 1), random(1, 12, 2));
    let other_order = ndarray::concatenate![ndarray::Axis(1), memory.slice(s![.., 8..]), memory.slice(s![.., ..8])];
    let both = |layer: MultiHeadAttention| {
        let mut attention = bind(layer, &[[2, 4].into(), [3, 4].into()]);
        [&memory, &other_order].map(|memory| attention.forward((&x, &memory)).unwrap())
    };
    let [y, other] = both(layer.clone());
    close("y", y.as_slice().unwrap(), other.as_slice().unwrap());
    let [y, other] = both(layer.rotary_positions(RotaryPositions::new().base(10.0)));
    assert!((y - other).iter().any(|difference| difference.abs() > 1e-3));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let settings = [
        (MultiHeadAttention::new(4), vec![Shape::from([40, 32])]),
        (MultiHeadAttention::new(4).causal().dropout(0.2), vec![[40, 32].into()]),
        (MultiHeadAttention::new(2).lengths(), vec![[40, 32].into(), [1].into()]),
        (MultiHeadAttention::new(2).rotary_positions(RotaryPositions::new()), vec![[150, 32].into(), [600, 32].into()]),
    ];
    for (layer, shapes) in settings {
        let examples = 7;
        let input = |(key, shape): (u64, &Shape)| {
            let x = random(examples, shape.len(), key);
            // A length, or a sequence.
            if shape.len() == 1 { x.mapv(|x| (20.5 + 19.0 * x).floor()) } else { x }
        };
        let inputs: Vec<Array2<f64>> = (0..).zip(&shapes).map(input).collect();
        let dy = random(examples, shapes[0].len(), 9);
        let on = |threads: usize| {
            let mut attention = bind(layer.clone(), &shapes);
            let views: Vec<_> = inputs.iter().map(|x| x.view()).collect();
            let (y, dx) = Threads::new(threads).unwrap().run(|| {
                let y = attention.forward(&views[..]).unwrap();
                attention.backward(&dy).unwrap();
                (y, attention.input_gradients())
            });
            (y, dx, attention.gradients().to_vec())
        };
        let one = on(1);
        assert!(one.0.iter().chain(&one.2).all(|x| x.is_finite()));
        for threads in 2..=4 {
            assert_eq!(on(threads), one, "{layer:?} on {threads} threads");
        }
    }
}

#[test]
fn parameters_start_as_in_pytorch() {
    let attention = bind(MultiHeadAttention::new(4), &[[3, 64].into()]);
    let largest = |name| attention.parameter(name).unwrap().iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let glorot = (6.0 / (4.0 * 64.0f64)).sqrt();
    assert!(largest("in_proj_weight") <= glorot && largest("in_proj_weight") > 0.999 * glorot);
    assert!(largest("out_proj.weight") <= 0.125 && largest("out_proj.weight") > 0.124);
    assert_eq!((largest("in_proj_bias"), largest("out_proj.bias")), (0.0, 0.0));
    let names: Vec<_> = attention.signature().parameters().iter().map(|parameter| parameter.name.as_ref()).collect();
    assert_eq!(names, ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]);
}

#[test]
fn an_empty_batch_and_a_single_step_are_no_exceptions() {
    let mut attention = bind(MultiHeadAttention::new(2), &[[3, 4].into()]);
    assert_eq!(attention.forward(Array2::zeros((0, 12)).view()).unwrap().dim(), (0, 12));
    assert_eq!(attention.backward(Array2::zeros((0, 12)).view()).unwrap().dim(), (0, 12));
    assert!(attention.gradients().iter().all(|&g| g == 0.0));
    // One key has the weight 1, whatever its score.
    let mut attention = identity(MultiHeadAttention::new(2), &[[1, 4].into()]);
    let x = array![[1e100, -3.0, 0.0, 1e-300]];
    assert_eq!(attention.forward(&x).unwrap(), x);
}

#[test]
fn large_scores_do_not_overflow() {
    let mut attention = identity(MultiHeadAttention::new(1), &[[2, 1].into()]);
    let x = array![[1e3, -1e3]];
    assert_eq!(attention.forward(&x).unwrap(), array![[1e3, -1e3]]);
    assert!(attention.backward([[1.0, 1.0]]).unwrap().iter().all(|dx| dx.is_finite()));
}

#[test]
fn what_does_not_fit_is_an_error_with_its_values() {
    let text = |layer: MultiHeadAttention, inputs: &[Shape]| Layer::signature(&layer, inputs).unwrap_err().to_string();
    let (plain, sequence) = (MultiHeadAttention::new(2), Shape::from([5, 4]));
    assert_eq!(
        text(plain.clone(), &[]),
        "MultiHeadAttention takes one input (self-attention) or two (queries and memory), but was given 0"
    );
    assert!(text(plain.clone(), &[sequence; 3]).ends_with("but was given 3"));
    assert!(text(plain.clone().lengths(), &[sequence]).contains("two inputs (a sequence and its length)"));
    assert_eq!(
        text(plain.clone(), &[[4].into()]),
        "MultiHeadAttention takes sequences of shape (steps, width), but was given the shape 4; put Reshape before it"
    );
    assert!(text(plain.clone(), &[sequence, [2, 3, 4].into()]).contains("was given the shape 2x3x4"));
    assert!(text(plain.clone(), &[[0, 4].into()]).contains("a sequence of shape 0x4 is empty"));
    assert!(text(plain.clone(), &[sequence, [5, 0].into()]).contains("5x0 is empty"));
    assert!(text(plain.clone(), &[sequence, [5, 6].into()]).contains("one is 5x4 and the other is 5x6"));
    assert!(text(MultiHeadAttention::new(3), &[sequence]).contains("the width 4 can't be cut into 3 heads"));
    assert!(text(MultiHeadAttention::new(0), &[sequence]).contains("into 0 heads"));
    assert!(text(plain.clone().dropout(1.5), &[sequence]).contains("must lie in [0, 1], but is 1.5"));
    assert!(text(plain.clone().dropout(f64::NAN), &[sequence]).contains("but is NaN"));
    let turned = |layer: &MultiHeadAttention, base| {
        text(layer.clone().rotary_positions(RotaryPositions::new().base(base)), &[sequence])
    };
    assert!(turned(&plain, -1.0).contains("a finite number above 0, but is -1"));
    assert!(turned(&MultiHeadAttention::new(4), 10.0).contains("must be even, but it is 1"));
    assert!(
        text(plain.clone().lengths(), &[sequence, [5].into()])
            .contains("one number for each example, must have equal shapes, but one is 1 and the other is 5")
    );
    for shape in [[1 << 62, 2], [2, 1 << 62], [1 << 32, 1 << 31]] {
        let layer = plain.clone().dropout(0.5);
        assert!(text(layer, &[shape.into()]).contains("too many elements"), "{shape:?}");
    }
}

#[test]
fn a_score_beyond_the_range_has_all_the_weight() {
    // Weights that are kept, and weights that are computed again.
    for (steps, causal) in [(7, false), (7, true), (530, false), (530, true)] {
        for size in [1e18_f32, 1.9e19, 1e20, 1e30] {
            let layer = MultiHeadAttention::new(1).no_bias();
            let layer = if causal { layer.causal() } else { layer };
            let mut attention = layer.bind::<f32>([steps, 2], Seed(1)).unwrap();
            let eye = [[1.0, 0.0], [0.0, 1.0]];
            attention.set("in_proj_weight", [eye, eye, eye].concat()).unwrap();
            attention.set("out_proj.weight", eye).unwrap();
            // Each step is most like itself.
            let x = Array2::from_shape_fn((2, 2 * steps), |(example, j)| {
                let angle = (j / 2 + example) as f32 * std::f32::consts::TAU / steps as f32;
                size * if j % 2 == 0 { angle.cos() } else { angle.sin() }
            });
            let dy = x.mapv(|x| x / size - 0.25);
            assert_eq!(attention.forward(x.view()).unwrap(), x, "{steps} steps of {size}");
            assert_eq!(attention.backward(dy.view()).unwrap(), dy, "{steps} steps of {size}");
            let gradient = attention.gradient("in_proj_weight").unwrap();
            // Of the queries and the keys.
            for row in gradient.outer_iter().take(4) {
                assert!(row.iter().all(|&gradient| gradient == 0.0), "{steps} steps of {size}");
            }
        }
    }
}

#[test]
fn equal_scores_beyond_the_range_share_the_weight() {
    let mut attention = MultiHeadAttention::new(1).no_bias().bind::<f32>([4, 1], Seed(1)).unwrap();
    attention.set("in_proj_weight", [1.0; 3]).unwrap();
    attention.set("out_proj.weight", [1.0]).unwrap();
    let y = attention.forward(array![[1e30, 1e30, -1e30, 0.0]].view()).unwrap();
    assert_eq!(y, array![[1e30, 1e30, -1e30, 2.5e29]]);
    assert!(attention.forward(array![[1e30, f32::NAN, 1.0, 0.0]].view()).unwrap().iter().all(|y| y.is_nan()));
}
