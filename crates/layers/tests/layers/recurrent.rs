//! Recurrent layers: what they compute, at their edges too, and the same bits on any number of threads.
//! Parity with PyTorch stands in `parity.rs`, derivatives in `downhill-gradcheck`.

use downhill_layers::{
    Arrays, ArraysMut, Backward, Bound, Cell, Forward, Gru, Inputs, InputsMut, Layer, Lstm, Mode, Recurrent, Rnn,
    Signature, Streams,
};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, BatchMut, Scalar, Seed, Shape};
use ndarray::{Array2, array};

fn numbers<T: Scalar>(count: usize, key: u64) -> Vec<T> {
    let mut stream = Seed(5).stream(key);
    (0..count).map(|_| T::from_f64(2.0 * stream.uniform() - 1.0)).collect()
}

/// One pass forward and one back, with not-a-number wherever nothing is promised.
struct Passes<T> {
    y: Vec<T>,
    dx: Vec<T>,
    dtheta: Vec<T>,
}

struct Problem<T> {
    steps: usize,
    features: usize,
    examples: usize,
    x: Vec<T>,
    lengths: Option<Vec<T>>,
    /// dJ/dy at the steps that an example does not have, if it is not any number.
    beyond: Option<T>,
}

impl<T: Scalar> Problem<T> {
    fn new(examples: usize, steps: usize, features: usize) -> Self {
        Self { steps, features, examples, x: numbers(examples * steps * features, 1), lengths: None, beyond: None }
    }

    /// Lengths of which the longest is less than all steps, in no order.
    fn lengths(mut self) -> Self {
        let most = self.steps.max(2) - 1;
        self.lengths = Some((0..self.examples).map(|example| T::from_f64((1 + example * 7 % most) as f64)).collect());
        self
    }

    fn shapes(&self) -> Vec<Shape> {
        let mut shapes = vec![Shape::from([self.steps, self.features])];
        shapes.extend(self.lengths.iter().map(|_| Shape::from([1])));
        shapes
    }

    fn inputs(&self) -> Inputs<'_, T> {
        let mut inputs = Inputs::from(Batch::new(&self.x, self.examples, self.shapes()[0]).unwrap());
        if let Some(lengths) = &self.lengths {
            inputs.set(1, Batch::new(lengths, self.examples, [1]).unwrap());
        }
        inputs
    }

    fn forward(&self, layer: &impl Layer, signature: &Signature, theta: &[T], saved: &mut [T]) -> Vec<T> {
        let mut y = vec![T::NAN; self.examples * signature.output().len()];
        let mut scratch = vec![T::NAN; signature.scratch_of_forward().len(self.examples)];
        layer.forward(&mut Forward {
            x: self.inputs(),
            params: Arrays::new(theta, signature.parameter_layout(), 0),
            y: BatchMut::new(&mut y, self.examples, signature.output()).unwrap(),
            saved: ArraysMut::new(saved, signature.saved(), self.examples),
            scratch: ArraysMut::new(&mut scratch, signature.scratch_of_forward(), self.examples),
            statistics: Arrays::empty(),
            mode: Mode::Training { step: 3 },
            random: Streams::new(Seed(2), 3, 0),
            ranks: None,
        });
        y
    }

    fn run(&self, layer: &impl Layer) -> Passes<T> {
        let signature = layer.signature(&self.shapes()).unwrap();
        self.run_at(layer, &signature, &numbers(signature.parameters_len(), 0))
    }

    fn run_at(&self, layer: &impl Layer, signature: &Signature, theta: &[T]) -> Passes<T> {
        let mut saved = vec![T::NAN; signature.saved().len(self.examples)];
        let y = self.forward(layer, signature, theta, &mut saved);
        let mut dy = numbers(y.len(), 2);
        if let (Some(beyond), &[steps, width]) = (self.beyond, signature.output().axes()) {
            for (dy, length) in dy.chunks_mut(steps * width).zip(self.lengths.iter().flatten()) {
                dy[length.to_f64() as usize * width..].fill(beyond);
            }
        }
        let (mut dx, mut dlengths) = (vec![T::NAN; self.x.len()], vec![T::NAN; self.examples]);
        let mut dtheta = vec![T::NAN; theta.len()];
        let mut scratch = vec![T::NAN; signature.scratch_of_backward().len(self.examples)];
        let mut wanted = InputsMut::from(BatchMut::new(&mut dx, self.examples, self.shapes()[0]).unwrap());
        if self.lengths.is_some() {
            wanted.set(1, BatchMut::new(&mut dlengths, self.examples, [1]).unwrap());
        }
        layer.backward(&mut Backward {
            x: self.inputs(),
            params: Arrays::new(theta, signature.parameter_layout(), 0),
            y: Batch::absent(self.examples, signature.output()),
            saved: Arrays::new(&saved, signature.saved(), self.examples),
            scratch: ArraysMut::new(&mut scratch, signature.scratch_of_backward(), self.examples),
            dy: Batch::new(&dy, self.examples, signature.output()).unwrap(),
            dx: wanted,
            dparams: ArraysMut::new(&mut dtheta, signature.parameter_layout(), 0),
            ranks: None,
        });
        assert!(self.lengths.is_none() || dlengths.iter().all(|&dlength| dlength == T::ZERO));
        Passes { y, dx, dtheta }
    }
}

fn bits<T: Scalar>(numbers: &[T]) -> Vec<u64> {
    numbers.iter().map(|x| x.to_f64().to_bits()).collect()
}

/// Passes on one thread and on several, which must be the same bits.
fn same_on_all_threads<T: Scalar>(layer: &(impl Layer + Clone), problem: &Problem<T>) {
    let on = |threads| {
        let passes = Threads::new(threads).unwrap().run(|| problem.run(layer));
        [bits(&passes.y), bits(&passes.dx), bits(&passes.dtheta)]
    };
    let one = on(1);
    for threads in 2..=4 {
        assert!(on(threads) == one, "{layer:?} for {} examples on {threads} threads", problem.examples);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    // Sizes at which work is shared; the last group of examples has from 8 to 15.
    for examples in [1, 2, 7, 9, 16, 17, 25, 33] {
        let plain = Problem::<f32>::new(examples, 6, 20);
        let ragged = Problem::<f64>::new(examples, 6, 20).lengths();
        same_on_all_threads(&Lstm::new(70), &plain);
        same_on_all_threads(&Gru::new(70), &plain);
        same_on_all_threads(&Rnn::new(130), &plain);
        same_on_all_threads(&Lstm::new(40).bidirectional().layers(2).dropout(0.3).lengths(), &ragged);
        same_on_all_threads(&Gru::new(40).bidirectional().last_state().lengths(), &ragged);
    }
}

/// The output of an example must not depend on the others in its batch.
#[test]
fn an_example_gives_the_same_in_any_batch() {
    let all = Problem::<f32>::new(33, 5, 7);
    let y = all.run(&Lstm::new(50)).y;
    let mut some = Problem::<f32>::new(11, 5, 7);
    some.x.copy_from_slice(&all.x[22 * 35..]);
    assert_eq!(bits(&some.run(&Lstm::new(50)).y), bits(&y[22 * 5 * 50..]));
}

/// Σ w·y, for the w that `Problem::run` sends back.
fn objective(y: &[f64]) -> f64 {
    y.iter().zip(numbers::<f64>(y.len(), 2)).map(|(y, w)| y * w).sum()
}

/// dJ along a random direction of all parameters and inputs: a check of sizes at the edges of the vectors, where
/// differences along each axis would take too long.
fn derivative_along_a_line(layer: &impl Layer, mut problem: Problem<f64>) {
    let signature = layer.signature(&problem.shapes()).unwrap();
    let theta = numbers::<f64>(signature.parameters_len(), 0);
    let passes = problem.run_at(layer, &signature, &theta);
    let (theta_way, x_way) = (numbers::<f64>(theta.len(), 3), numbers::<f64>(problem.x.len(), 4));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let explicit = dot(&passes.dtheta, &theta_way) + dot(&passes.dx, &x_way);
    let start = problem.x.clone();
    let mut at = |h: f64| {
        let moved = |from: &[f64], way: &[f64]| from.iter().zip(way).map(|(x, way)| x + h * way).collect::<Vec<_>>();
        problem.x = moved(&start, &x_way);
        let mut saved = vec![f64::NAN; signature.saved().len(problem.examples)];
        objective(&problem.forward(layer, &signature, &moved(&theta, &theta_way), &mut saved))
    };
    let mut difference = |h: f64| (at(h) - at(-h)) / (2.0 * h);
    // Richardson's extrapolation: the error is of order h⁴.
    let h = 1e-4;
    let numeric = (4.0 * difference(h / 2.0) - difference(h)) / 3.0;
    let error = (explicit - numeric).abs() / numeric.abs().max(1.0);
    assert!(error < 1e-8, "{layer:?}: {explicit} by the chain rule, {numeric} by differences");
}

#[test]
fn derivatives_hold_at_the_edges_of_vectors() {
    for hidden in [15, 16, 17, 31, 32, 33, 48] {
        derivative_along_a_line(&Lstm::new(hidden), Problem::new(3, 4, 5));
        derivative_along_a_line(&Gru::new(hidden), Problem::new(3, 4, 5));
        derivative_along_a_line(&Rnn::new(hidden), Problem::new(3, 4, 5));
        let all = Lstm::new(hidden).layers(2).bidirectional().dropout(0.4).lengths();
        derivative_along_a_line(&all, Problem::new(9, 5, 3).lengths());
        derivative_along_a_line(&all.last_state(), Problem::new(9, 5, 3).lengths());
    }
}

/// Example after example, step after step, unit after unit.
fn naive_lstm(x: &[f64], steps: usize, features: usize, hidden: usize, theta: &[f64]) -> Vec<f64> {
    let gates = 4 * hidden;
    let (w_ih, rest) = theta.split_at(features * gates);
    let (w_hh, rest) = rest.split_at(hidden * gates);
    let (b_ih, b_hh) = rest.split_at(gates);
    let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
    let mut y = Vec::new();
    for x in x.chunks(steps * features) {
        let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
        for x in x.chunks(features) {
            let a: Vec<f64> = (0..gates)
                .map(|j| {
                    let from_x: f64 = x.iter().enumerate().map(|(k, x)| x * w_ih[k * gates + j]).sum();
                    let from_h: f64 = h.iter().enumerate().map(|(k, h)| h * w_hh[k * gates + j]).sum();
                    from_x + b_ih[j] + from_h + b_hh[j]
                })
                .collect();
            for unit in 0..hidden {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| a[gate * hidden + unit]);
                c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * g.tanh();
                h[unit] = sigmoid(o) * c[unit].tanh();
            }
            y.extend(&h);
        }
    }
    y
}

#[test]
fn an_lstm_is_what_its_equations_say() {
    for (examples, steps, features, hidden) in [(1, 1, 1, 1), (1, 4, 3, 17), (5, 3, 2, 33), (20, 7, 9, 16)] {
        let problem = Problem::<f64>::new(examples, steps, features);
        let layer = Lstm::new(hidden);
        let theta = numbers(layer.signature(&problem.shapes()).unwrap().parameters_len(), 0);
        let expected = naive_lstm(&problem.x, steps, features, hidden, &theta);
        for (y, expected) in problem.run(&layer).y.iter().zip(expected) {
            assert!((y - expected).abs() < 1e-13, "{y} and {expected}");
        }
    }
}

/// With room for what goes back, and without.
fn backwards_in_time<T: Copy>(x: &[T], steps: usize) -> Vec<T> {
    let features = x.len() / steps;
    x.chunks(features).rev().flatten().copied().collect()
}

#[test]
fn the_second_direction_is_the_first_on_a_reversed_sequence() {
    let (steps, hidden) = (4, 3);
    let both = Lstm::new(hidden).bidirectional();
    let signature = both.signature(&[[steps, 2].into()]).unwrap();
    let theta: Vec<f64> = numbers(signature.parameters_len(), 0);
    let problem = Problem::new(1, steps, 2);
    let y = problem.run_at(&both, &signature, &theta).y;
    let one = Lstm::new(hidden);
    let signature = one.signature(&[[steps, 2].into()]).unwrap();
    let x = backwards_in_time(&problem.x, steps);
    let reversed = Problem { x, ..Problem::new(1, steps, 2) };
    let alone = reversed.run_at(&one, &signature, &theta[theta.len() / 2..]).y;
    let second: Vec<f64> = y.chunks(2 * hidden).flat_map(|y| &y[hidden..]).copied().collect();
    assert_eq!(second, backwards_in_time(&alone, steps));
}

/// Whether an example of three of five steps is what the same three steps are alone.
fn what_lies_beyond_the_end_does_not_exist<
    C: Cell<GATES, STATE, KEPT> + Clone,
    const GATES: usize,
    const STATE: usize,
    const KEPT: usize,
>(
    layer: &Recurrent<C, GATES, STATE, KEPT>,
    last_state: bool,
) {
    let (steps, length) = (5, 3);
    let mut padded = Problem::<f64>::new(2, steps, 2);
    padded.lengths = Some(vec![length as f64, 4.0]);
    padded.x[length * 2..steps * 2].fill(f64::NAN);
    padded.x[steps * 2 + 4 * 2..].fill(f64::INFINITY);
    let mut short = Problem::<f64>::new(2, length, 2);
    short.x.copy_from_slice(&[&padded.x[..length * 2], &padded.x[steps * 2..][..length * 2]].concat());

    let whole = padded.run(&layer.clone().lengths());
    let alone = short.run(layer);
    let width = alone.y.len() / 2;
    assert_eq!(whole.y[..width], alone.y[..width], "{layer:?}");
    assert!(whole.dtheta.iter().all(|d| d.is_finite()));
    assert!(whole.dx[length * 2..steps * 2].iter().chain(&whole.dx[18..]).all(|&dx| dx == 0.0));
    if !last_state {
        assert!(whole.y[width..whole.y.len() / 2].iter().all(|&y| y == 0.0), "0 beyond the end");
    }
}

#[test]
fn nothing_beyond_the_end_is_read_forward_or_back() {
    fn check(layer: &impl Layer) {
        let run = |fill: f64| {
            let mut problem = Problem::<f64>::new(9, 6, 3).lengths();
            problem.beyond = Some(fill);
            let lengths = problem.lengths.clone().unwrap();
            let past = |example: usize| (3 * lengths[example] as usize)..18;
            for (example, x) in problem.x.chunks_mut(18).enumerate() {
                x[past(example)].fill(fill);
            }
            let passes = problem.run(layer);
            for (example, dx) in passes.dx.chunks(18).enumerate() {
                assert!(dx[past(example)].iter().all(|&dx| dx == 0.0), "{layer:?} with {fill}");
            }
            [passes.y, passes.dx, passes.dtheta].map(|numbers| bits(&numbers))
        };
        let expected = run(0.0);
        for fill in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(run(fill) == expected, "{layer:?} with {fill}");
        }
    }
    check(&Rnn::new(3).lengths());
    check(&Rnn::new(3).bidirectional().layers(2).dropout(0.4).lengths());
    check(&Lstm::new(17).lengths());
    check(&Lstm::new(4).bidirectional().layers(2).lengths());
    check(&Lstm::new(4).bidirectional().last_state().lengths());
    check(&Gru::new(3).layers(2).dropout(0.4).lengths());
    check(&Gru::new(3).bidirectional().lengths());
    check(&Gru::new(3).bidirectional().layers(3).last_state().lengths());
}

#[test]
fn lengths_cut_sequences_off() {
    what_lies_beyond_the_end_does_not_exist(&Lstm::new(3), false);
    what_lies_beyond_the_end_does_not_exist(&Gru::new(17).layers(2).bidirectional(), false);
    what_lies_beyond_the_end_does_not_exist(&Rnn::new(2).bidirectional().last_state(), true);
    what_lies_beyond_the_end_does_not_exist(&Gru::new(2).layers(2).last_state(), true);
}

#[test]
fn the_last_state_is_the_end_of_the_sequence() {
    let problem = Problem::<f64>::new(2, 4, 3);
    let (sequence, last) = (problem.run(&Gru::new(2)).y, problem.run(&Gru::new(2).last_state()).y);
    assert_eq!(last, [&sequence[6..8], &sequence[14..16]].concat());
    let sequence = problem.run(&Gru::new(2).bidirectional()).y;
    let last = problem.run(&Gru::new(2).bidirectional().last_state()).y;
    // The second direction has read last what stands first.
    assert_eq!(last[..4], [&sequence[12..14], &sequence[2..4]].concat());
}

#[test]
fn dropout_lies_between_layers_and_only_in_training() {
    let x = array![[0.5, -0.5, 1.0]];
    let run = |layer: Lstm, mode| {
        let mut bound = layer.bind::<f64>([3, 1], Seed(7)).unwrap();
        bound.set_mode(mode);
        bound.forward(&x).unwrap()
    };
    let two = Lstm::new(40).layers(2);
    let training = Mode::Training { step: 0 };
    let plain = run(two.clone(), training);
    let dropped = two.clone().dropout(0.5);
    assert_eq!(run(dropped.clone(), Mode::Evaluation), plain);
    assert_ne!(run(dropped.clone(), training), plain);
    assert_eq!(run(dropped.clone(), training), run(dropped.clone(), training), "the same step drops the same");
    assert_ne!(run(dropped.clone(), training), run(dropped, Mode::Training { step: 1 }));
    // One layer has nothing to drop between.
    assert_eq!(run(Lstm::new(40).dropout(0.5), training), run(Lstm::new(40), training));
    let saves = |layer: Lstm| layer.signature(&[[3, 1].into()]).unwrap().saved().len(1);
    assert_eq!(saves(Lstm::new(40).dropout(0.5)), saves(Lstm::new(40)));
}

#[test]
fn parameters_have_the_names_the_shapes_and_the_start_of_pytorch() {
    let signature = Gru::new(25).layers(2).bidirectional().signature(&[[4, 3].into()]).unwrap();
    let parameters: Vec<_> =
        signature.parameters().iter().map(|p| (p.name.to_string(), p.shape.to_string(), p.transposed)).collect();
    let of = |name: &str, shape: &str| (name.to_owned(), shape.to_owned(), shape.contains('x'));
    assert_eq!(
        parameters[..8],
        [
            of("weight_ih_l0", "3x75"),
            of("weight_hh_l0", "25x75"),
            of("bias_ih_l0", "75"),
            of("bias_hh_l0", "75"),
            of("weight_ih_l0_reverse", "3x75"),
            of("weight_hh_l0_reverse", "25x75"),
            of("bias_ih_l0_reverse", "75"),
            of("bias_hh_l0_reverse", "75"),
        ]
    );
    assert_eq!(parameters[8], of("weight_ih_l1", "50x75"));
    let mut theta = vec![0.0f64; signature.parameters_len()];
    signature.start(&mut theta, Seed(1));
    let largest = theta.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    assert!(largest <= 0.2 && largest > 0.199, "U(±1/√25): {largest}");
    assert_eq!(Rnn::new(2).no_bias().signature(&[[4, 3].into()]).unwrap().parameters().len(), 2);
}

#[test]
fn a_batch_of_none_gives_none_and_derivatives_of_zero() {
    for problem in [Problem::<f32>::new(0, 3, 2), Problem::new(0, 3, 2).lengths()] {
        let layer = Lstm::new(4).layers(2);
        let passes = if problem.lengths.is_some() { problem.run(&layer.lengths()) } else { problem.run(&layer) };
        assert!(passes.y.is_empty() && passes.dx.is_empty());
        assert!(passes.dtheta.iter().all(|&d| d == 0.0));
    }
}

#[test]
fn large_numbers_saturate_the_gates_and_stay_finite() {
    let mut lstm = Lstm::new(2).bind::<f32>([3, 1], Seed(1)).unwrap();
    let y = lstm.forward([[1e30, -1e30, 1e30]]).unwrap();
    assert!(y.iter().all(|y| y.abs() <= 1.0));
    assert!(lstm.backward(Array2::ones((1, 6)).view()).unwrap().iter().all(|dx| dx.is_finite()));
    let y = lstm.forward([[0.0, f32::NAN, 0.0]]).unwrap();
    let nan: Vec<bool> = y.iter().map(|y| y.is_nan()).collect();
    assert_eq!(nan, [false, false, true, true, true, true], "it stays in the state");
}

#[test]
fn a_forget_bias_is_where_the_forget_gates_start_and_nothing_else_changes() {
    let hidden = 3;
    let start = |layer: Lstm| {
        let signature = layer.signature(&[[5, 2].into()]).unwrap();
        let mut theta = vec![f32::NAN; signature.parameters_len()];
        signature.start(&mut theta, Seed(4));
        (signature, theta)
    };
    let layer = || Lstm::new(hidden).layers(2).bidirectional();
    let ((signature, plain), (_, biased)) = (start(layer()), start(layer().forget_bias(1.5)));
    let (mut place, mut gates) = (0, 0);
    for parameter in signature.parameters() {
        let forget = if parameter.name.starts_with("bias_ih") { hidden..2 * hidden } else { 0..0 };
        gates += forget.len();
        for index in 0..parameter.shape.len() {
            let expected = if forget.contains(&index) { 1.5 } else { plain[place + index] };
            assert_eq!(biased[place + index].to_bits(), expected.to_bits(), "{}[{index}]", parameter.name);
        }
        place += parameter.shape.len();
    }
    assert_eq!(gates, 2 * 2 * hidden);

    let error = |layer: Lstm| layer.signature(&[[5, 2].into()]).unwrap_err().to_string();
    assert_eq!(
        error(Lstm::new(2).forget_bias(1.0).no_bias()),
        "Lstm: a gate's bias is to start from 1, but there are no biases; leave out `no_bias`"
    );
    assert!(error(Lstm::new(2).forget_bias(f64::NAN)).contains("NaN is not finite"));
}

#[cfg(feature = "serde")]
#[test]
fn a_forget_bias_is_written_only_where_there_is_one() {
    let plain = serde_json::to_string(&Lstm::new(3)).unwrap();
    assert!(!plain.contains("forget_bias"), "{plain}");
    assert_eq!(serde_json::from_str::<Lstm>(&plain).unwrap(), Lstm::new(3));
    let biased = Lstm::new(3).forget_bias(1.0);
    let json = serde_json::to_string(&biased).unwrap();
    assert!(json.contains("\"forget_bias\":1.0"), "{json}");
    assert_eq!(serde_json::from_str::<Lstm>(&json).unwrap(), biased);
}

#[test]
fn what_does_not_fit_is_told_in_a_sentence() {
    let text = |layer: &dyn Fn() -> Result<Signature, downhill_tensor::BuildError>| layer().unwrap_err().to_string();
    assert_eq!(
        text(&|| Lstm::new(3).signature(&[[5].into()])),
        "Lstm takes a sequence of vectors per example, (steps, features), but was given the shape 5; \
         put Reshape before it"
    );
    assert_eq!(
        text(&|| Gru::new(0).signature(&[[5, 2].into()])),
        "Gru: 1 layers of 0 units over 5 steps of 2 numbers compute nothing; all four must be at least 1"
    );
    assert!(text(&|| Rnn::new(2).layers(0).signature(&[[5, 2].into()])).contains("0 layers"));
    assert!(text(&|| Rnn::new(2).signature(&[[0, 2].into()])).contains("0 steps"));
    assert!(text(&|| Rnn::new(2).signature(&[[5, 0].into()])).contains("of 0 numbers"));
    assert_eq!(
        text(&|| Lstm::new(2).dropout(1.5).signature(&[[5, 2].into()])),
        "Lstm: the probability must lie in [0, 1], but is 1.5"
    );
    assert!(text(&|| Lstm::new(2).dropout(f64::NAN).signature(&[[5, 2].into()])).contains("NaN"));
    for huge in [usize::MAX, 1 << 40] {
        assert!(text(&|| Lstm::new(huge).signature(&[[5, 2].into()])).contains("more than can be counted"));
        assert!(text(&|| Lstm::new(2).layers(huge).signature(&[[1 << 30, 2].into()])).contains("counted"));
    }
    let lengths = Shape::from([1]);
    assert_eq!(
        text(&|| Gru::new(2).signature(&[[5, 2].into(), lengths])),
        "Gru takes exactly one input, but was given 2"
    );
    assert_eq!(
        text(&|| Gru::new(2).lengths().signature(&[[5, 2].into()])),
        "Gru takes two inputs, a sequence and its length, but was given 1"
    );
    let error = text(&|| Gru::new(2).lengths().signature(&[[5, 2].into(), [2].into()]));
    assert!(error.contains("one length for each example") && error.contains("one is 1 and the other is 2"), "{error}");
    let shapes = [[2, 1].into(), lengths];
    let mut bound = Bound::<_, f64>::new(Gru::new(2).lengths(), &shapes, Seed(0)).unwrap();
    for wrong in [0.0, 3.0, 1.5, f64::NAN] {
        let error = bound.forward(([[1.0, 2.0]], [wrong])).unwrap_err().to_string();
        assert!(error.contains("only whole numbers from 1 to 2 are allowed"), "{error}");
    }
}
