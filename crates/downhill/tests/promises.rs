//! Promises that the documentation makes in a word such as "never" and no test nearer to it shows; `docs/promises.md`
//! says which sentence each of these holds.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use allocation_counter::measure;
use downhill::data::digits;
use downhill::gradcheck::{LayerCheck, TOLERANCE, check_layer};
use downhill::layers::{
    Backward, BatchNorm, Forward, Inputs, InputsMut, MAX_INPUTS, RotaryPositions, Signature, SinusoidalPositions,
    single_input,
};
use downhill::losses::{Ctc, SmoothL1, SoftmaxFocal, TripletMargin};
use downhill::network::Graph;
use downhill::optim::minimize::{Reason, minimize};
use downhill::optim::schedule::*;
use downhill::optim::{Group, Penalty, RangeTest};
use downhill::prelude::*;
use downhill::tensor::{BatchMut, Buffer, Shape, elementwise, softmax};
use downhill::train::NO_METRICS;

fn numbers(count: usize) -> Vec<f32> {
    let mut stream = Seed(1).stream(0);
    (0..count).map(|_| stream.uniform() as f32 - 0.5).collect()
}

/// The allocations of a loss on 6 examples of this shape, once it has seen a batch.
fn of_a_loss(loss: &impl Loss, shape: impl Into<Shape>, target: Target<'_, f32>) -> u64 {
    let shape = shape.into();
    // At most 0, so that they may be logarithms of probabilities too.
    let y: Vec<f32> = numbers(6 * shape.len()).iter().map(|x| x - 0.5).collect();
    let mut dy = vec![0.0; y.len()];
    let mut once = || {
        let y = Batch::new(&y, 6, shape).unwrap();
        loss.value(y, target).unwrap();
        loss.value_and_gradient(y, target, BatchMut::new(&mut dy, 6, shape).unwrap()).unwrap();
    };
    once();
    measure(once).count_total
}

#[test]
fn a_loss_allocates_nothing_on_a_batch_no_larger_than_the_last() {
    let values = numbers(6 * 5 * 4);
    let classes: Vec<u32> = (0..6 * 4).map(|i| i % 5).collect();
    let labels: Vec<u32> = (0..6 * 2).map(|i| 1 + i % 3).collect();
    let binary: Vec<f32> = values.iter().map(|&x| f32::from(u8::from(x > 0.0))).collect();
    for count in [
        of_a_loss(&MeanSquaredError::new(), [5, 4], Target::Values(&values)),
        of_a_loss(&SmoothL1::new(1.0), [5, 4], Target::Values(&values)),
        of_a_loss(&BinaryCrossEntropyWithLogits::new(), [5, 4], Target::Values(&binary)),
        of_a_loss(&SoftmaxCrossEntropy::new(), [5, 4], Target::Classes(&classes)),
        of_a_loss(&SoftmaxFocal::new(2.0), [20], Target::Classes(&classes[..6])),
        of_a_loss(&TripletMargin::new(1.0), [3, 8], Target::Values(&[])),
        of_a_loss(&Ctc::new(), [5, 4], Target::Classes(&labels)),
    ] {
        assert_eq!(count, 0);
    }
}

#[test]
fn passes_over_rows_allocate_nothing() {
    let x = numbers(700 * 30);
    let (mut y, mut sums) = (vec![0.0; x.len()], vec![0.0; 700]);
    let mut all = || {
        softmax::softmax(&x, &mut y, 30);
        softmax::log_softmax(&x, &mut y, 30);
        softmax::log_sum_exp(&x, &mut sums, 30);
    };
    all();
    assert_eq!(measure(all).count_total, 0);
}

#[test]
fn a_row_has_the_same_bits_whatever_stands_beside_it() {
    for columns in [1, 7, 31, 129] {
        let x = numbers(9 * columns);
        let mut together = vec![0.0; x.len()];
        softmax::softmax(&x, &mut together, columns);
        for (row, expected) in x.chunks(columns).zip(together.chunks(columns)) {
            let mut alone = vec![0.0; columns];
            softmax::softmax(row, &mut alone, columns);
            assert_eq!(alone, expected);
        }
    }
}

/// y = 2x, said to run in place; there it gives something else.
#[derive(Debug)]
struct OtherInPlace;

impl Layer for OtherInPlace {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("OtherInPlace", single_input("OtherInPlace", inputs)?)
            .backward_without_x()
            .backward_without_y()
            .in_place())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let y = pass.y.slice();
        match pass.x.get(0) {
            Some(x) => elementwise::map(x.slice(), y, |x| x + x),
            None => elementwise::map_in_place(y, |x| x + x + T::EPSILON),
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let Some(dx) = pass.dx.get(0) else { return };
        match pass.dy.slice() {
            [] => elementwise::map_in_place(dx.slice(), |dy| dy + dy),
            dy => elementwise::map(dy, dx.slice(), |dy| dy + dy),
        }
    }
}

#[test]
fn a_layer_that_gives_other_bits_in_place_is_found() {
    let report = check_layer(&OtherInPlace, &[[3].into()], &LayerCheck::new()).unwrap();
    assert!(!report.passes(TOLERANCE) && report.place.contains("in place"), "{report}");
}

#[test]
fn fixed_positions_have_nothing_to_learn() {
    for signature in [
        Layer::signature(&SinusoidalPositions::default(), &[[5, 8].into()]).unwrap(),
        Layer::signature(&RotaryPositions::default(), &[[5, 8].into()]).unwrap(),
    ] {
        assert_eq!(signature.parameters_len(), 0, "{signature:?}");
    }
}

#[test]
fn what_a_network_is_validated_on_trains_nothing() {
    let (train, rest) = digits::<f32>().unwrap().split(0.2, Seed(1)).unwrap();
    let (one, other) = rest.split(0.5, Seed(2)).unwrap();
    let run = |validation: Option<&Dataset<f32>>| {
        let mut network =
            Network::build([64], sequential![Affine::new(16), BatchNorm::new(), Relu, Affine::new(10)], Seed(7))
                .unwrap();
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-2)).epochs(2);
        if let Some(validation) = validation {
            trainer = trainer.validate(validation);
        }
        trainer.fit(&mut network, &train).unwrap();
        (network.parameters().to_vec(), network.statistics().to_vec())
    };
    // The parameters of the last epoch are kept unless early stopping asks for the best.
    assert_eq!(run(Some(&one)), run(Some(&other)));
    assert_eq!(run(Some(&one)), run(None));
}

#[test]
fn a_callback_and_the_history_tell_the_loss_before_the_step() {
    let data = digits::<f64>().unwrap();
    let mut network = Network::build([64], sequential![Affine::new(10)], Seed(7)).unwrap();
    let loss = SoftmaxCrossEntropy::new();
    let before = evaluate(&network, &loss, &data, NO_METRICS).unwrap().loss;
    let mut seen = Vec::new();
    let history = Trainer::new(loss.clone(), Sgd::new(0.1))
        .epochs(1)
        .batch_size(data.len())
        .on_step(|end| {
            seen.push(end.loss);
            ControlFlow::Continue(())
        })
        .fit(&mut network, &data)
        .unwrap();
    assert!((seen[0] - before).abs() < 1e-12 && seen.len() == 1, "{seen:?} {before}");
    assert!((history.epochs[0].training_loss - before).abs() < 1e-12);
    assert!(evaluate(&network, &loss, &data, NO_METRICS).unwrap().loss < before - 1e-3);
}

#[test]
fn senseless_schedules_never_panic() {
    fn ask(schedule: &(impl Schedule + ?Sized)) {
        for base in [0.1, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            for step in [0, 1, 2, 99, 1 << 53, u64::MAX - 1, u64::MAX] {
                let _ = (schedule.rate(base, step), schedule.momentum(step));
            }
        }
        let _ = schedule.check();
    }
    let counts = [0, 1, 3, u64::MAX / 2 + 1, u64::MAX];
    let factors = [0.5, 0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX];
    for a in counts {
        for b in counts {
            ask(&InverseSqrt::new(a));
            ask(&TransformerDecay::new(a, b));
            ask(&MultiStep::new([a, b]));
            ask(&WarmRestarts::new(a).growth(b));
            ask(&WarmupStableDecay::new(a, b, a));
            ask(&WarmupStableDecay::new(a, b, b).linear());
            ask(&Linear::warmup(a).then(b, Cosine::new(a).held()));
            for f in factors {
                ask(&ConstantFactor::new(f, a));
                ask(&Cosine::new(a).floor(f));
                ask(&Cyclic::new(f).steps(a, b).halved());
                ask(&Cyclic::new(f).steps(a, b).decaying(f));
                ask(&Exponential::new(f).times(Linear::new(f, -f, a)));
                ask(&OneCycle::new(a).rise(f).divisors(f, f).momentum_between(f, -f));
                ask(&OneCycle::new(a).rise(f).linear().three_phases());
                ask(&Polynomial::new(a).power(f));
                ask(&StepDecay::new(a).factor(f));
                ask(&WarmupStableDecay::new(a, b, b).exponential(f));
            }
        }
    }
}

#[test]
fn not_a_number_is_never_better_for_a_plateau() {
    for mut plateau in [ReduceOnPlateau::new().patience(1), ReduceOnPlateau::new().patience(1).larger_is_better()] {
        assert_eq!(plateau.observe(f64::NAN, 1.0), 1.0);
        assert_eq!(plateau.observe(3.0, 1.0), 1.0);
        assert_eq!((plateau.observe(f64::NAN, 1.0), plateau.best()), (1.0, Some(3.0)));
        assert_eq!((plateau.observe(f64::NAN, 1.0), plateau.best()), (0.1, Some(3.0)));
    }
}

/// ‖x‖², whose gradient is 2x.
fn bowl(x: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * x);
    x.iter().map(|x| x * x).sum()
}

#[test]
fn a_range_test_tells_the_loss_before_each_step() {
    let (mut theta, mut seen) = ([1.0, 2.0], Vec::new());
    let curve = RangeTest::new(1e-3, 0.1, 5)
        .run(&mut Sgd::new(1.0), &mut theta, |x, gradient| {
            seen.push(bowl(x, gradient));
            Ok(bowl(x, gradient))
        })
        .unwrap();
    assert_eq!((curve.losses[0], &curve.losses), (5.0, &seen));
    assert!(bowl(&theta, &mut [0.0; 2]) < seen[4], "the last step comes after the last loss");
}

#[test]
fn time_is_looked_at_before_each_evaluation() {
    let mut evaluations = 0;
    let counted = |x: &[f64], gradient: &mut [f64]| {
        evaluations += 1;
        std::thread::sleep(Duration::from_millis(30));
        bowl(x, gradient)
    };
    let outcome = minimize(counted, [1.0]).time(Duration::from_millis(10)).run().unwrap();
    assert!(matches!(outcome.reason, Reason::TimeLimit), "{outcome:?}");
    assert_eq!((outcome.evaluations, evaluations), (1, 1));
}

#[test]
fn an_optimizer_lent_to_minimize_forgets_what_it_was_bound_to() {
    let network = Network::<f64>::build([2], sequential![Affine::new(1)], Seed(1)).unwrap();
    let mut sgd = Sgd::new(0.1).group(Group::frozen(|segment| segment.name == "0.weight"));
    sgd.bind(network.segments());
    let outcome = minimize(bowl, [1.0, 1.0, 1.0]).optimizer(sgd).run().unwrap();
    assert!(outcome.converged(), "{outcome:?}");
}

fn is_copy<T: Copy + Debug>() {}

#[test]
fn a_shape_owns_no_memory() {
    is_copy::<Shape>();
    assert_eq!(measure(|| assert_eq!(Shape::new(&[2, 3, 4]).unwrap().len(), 24)).count_total, 0);
}

#[test]
fn the_mistakes_that_are_said_to_panic_do() {
    let (foreign, mut graph) = (Graph::new().input([2]), Graph::new());
    graph.input([2]);
    let x = [1.0, 2.0, 3.0, 4.0];
    type Mistake<'a> = (&'a str, Box<dyn FnMut() + 'a>);
    let mut mistakes: Vec<Mistake<'_>> = vec![
        ("a node of another graph", Box::new(move || _ = graph.shape(foreign))),
        ("an example that there is not", Box::new(|| _ = Batch::new(&x, 2, [2]).unwrap().example(2))),
        ("one to write to", Box::new(|| _ = BatchMut::new(&mut x.clone(), 2, [2]).unwrap().example(2))),
        ("a sum of two lengths", Box::new(|| elementwise::add(&x, &mut [0.0; 3]))),
        ("a gradient of another length", Box::new(|| Penalty::l1(1.0).least_subgradient(&x, &mut [0.0; 3]))),
        ("a ninth input", Box::new(|| Inputs::empty().set(MAX_INPUTS, Batch::new(&x, 2, [2]).unwrap()))),
        (
            "a ninth gradient",
            Box::new(|| InputsMut::empty().set(MAX_INPUTS, BatchMut::new(&mut x.clone(), 2, [2]).unwrap())),
        ),
        ("whole numbers there", Box::new(|| _ = Signature::new("Mine", [1]).whole_numbers(MAX_INPUTS, 0, 1))),
        ("more numbers than there is memory", Box::new(|| _ = Buffer::filled(usize::MAX, 1.0))),
    ];
    for (mistake, make) in &mut mistakes {
        assert!(catch_unwind(AssertUnwindSafe(make)).is_err(), "{mistake}");
    }
}
