//! Every layer against what PyTorch makes of the same numbers: `xtask/golden/layers_*.py` made the fixtures.
//! On the way, that no pass asks the heap for memory, and that each layer reads its settings as it writes them.

use std::mem::take;

use downhill_layers::{
    Arrays, ArraysMut, Backward, Description, Forward, Inputs, InputsMut, Layer, Mode, Signature, Streams,
};
use downhill_tensor::{Batch, BatchMut, Scalar, Seed, Shape};
use safetensors::SafeTensors;
use serde::Deserialize;

/// The largest difference of a norm, relative to the norm.
fn tolerance<T: Scalar>() -> f64 {
    if T::NAME == "f32" { 2e-6 } else { 1e-11 }
}

/// One case of a fixture, as its metadata tells it.
#[derive(Debug, Deserialize)]
struct Case {
    layer: Description,
    examples: usize,
    inputs: Vec<Shape>,
    output: Shape,
    training: bool,
    /// The inputs that have no derivative.
    whole: Vec<usize>,
}

/// The flat tensors of a fixture.
struct Fixture {
    cases: Vec<Case>,
    given: Vec<f64>,
    made: [Vec<f64>; 2],
}

impl Fixture {
    fn read(layer: &str) -> Self {
        let path = format!("{}/tests/fixtures/{}.safetensors", env!("CARGO_MANIFEST_DIR"), snake_case(layer));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{layer} has no fixture {path}: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
        let singles = |name| data(name).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect();
        let doubles = |name| data(name).chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        Self {
            cases: serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap(),
            given: singles("given"),
            made: [doubles("made_f64"), singles("made_f32")],
        }
    }
}

/// `ConvTranspose2d` is in the file `conv_transpose2d`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_capital = true;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !after_capital {
            snake.push('_');
        }
        after_capital = letter.is_ascii_uppercase();
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The inputs of a layer, and buffers for its outputs.
struct Run<'a, T> {
    case: &'a Case,
    signature: Signature,
    x: Vec<Vec<T>>,
    theta: Vec<T>,
    statistics: Vec<T>,
    dy: Vec<T>,
    y: Vec<T>,
    saved: Vec<T>,
    scratch: Vec<T>,
    dx: Vec<Vec<T>>,
    dtheta: Vec<T>,
}

impl<'a, T: Scalar> Run<'a, T> {
    fn new(case: &'a Case, given: &mut &[f64]) -> Self {
        let signature = case.layer.signature(&case.inputs).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert_eq!(signature.output(), case.output, "{case:?}");
        let nothing = |count: usize| vec![T::NAN; count];
        let mut numbers = |count: usize| -> Vec<T> { next(given, count).iter().map(|&x| T::from_f64(x)).collect() };
        let outputs = case.examples * case.output.len();
        Self {
            x: case.inputs.iter().map(|shape| numbers(case.examples * shape.len())).collect(),
            theta: numbers(signature.parameters_len()),
            statistics: numbers(signature.statistics_len()),
            dy: numbers(outputs),
            y: nothing(outputs),
            saved: nothing(signature.saved().len(case.examples)),
            scratch: nothing(signature.scratch_len(case.examples)),
            dx: case.inputs.iter().map(|shape| nothing(case.examples * shape.len())).collect(),
            dtheta: nothing(signature.parameters_len()),
            signature,
            case,
        }
    }

    fn inputs(&self) -> Inputs<'_, T> {
        let mut inputs = Inputs::empty();
        for (index, (x, shape)) in self.x.iter().zip(&self.case.inputs).enumerate() {
            inputs.set(index, Batch::new(x, self.case.examples, *shape).unwrap());
        }
        inputs
    }

    fn forward(&mut self) {
        let mode = if self.case.training { Mode::Training { step: 0 } } else { Mode::Evaluation };
        let (mut y, mut saved, mut scratch) = (take(&mut self.y), take(&mut self.saved), take(&mut self.scratch));
        let at_forward = self.signature.scratch_of_forward();
        self.case.layer.forward(&mut Forward {
            x: self.inputs(),
            params: Arrays::new(&self.theta, self.signature.parameter_layout(), 0),
            y: BatchMut::new(&mut y, self.case.examples, self.case.output).unwrap(),
            saved: ArraysMut::new(&mut saved, self.signature.saved(), self.case.examples),
            scratch: ArraysMut::new(&mut scratch[..at_forward.len(self.case.examples)], at_forward, self.case.examples),
            statistics: Arrays::new(&self.statistics, self.signature.statistic_layout(), 0),
            mode,
            random: Streams::new(Seed(0), 0, 0),
            ranks: None,
        });
        (self.y, self.saved, self.scratch) = (y, saved, scratch);
    }

    fn backward(&mut self) {
        let (mut dx, mut dtheta, mut scratch) = (take(&mut self.dx), take(&mut self.dtheta), take(&mut self.scratch));
        let mut wanted = InputsMut::empty();
        for (index, (dx, shape)) in dx.iter_mut().zip(&self.case.inputs).enumerate() {
            wanted.set(index, BatchMut::new(dx, self.case.examples, *shape).unwrap());
        }
        let at_backward = self.signature.scratch_of_backward();
        self.case.layer.backward(&mut Backward {
            x: self.inputs(),
            params: Arrays::new(&self.theta, self.signature.parameter_layout(), 0),
            y: Batch::new(&self.y, self.case.examples, self.case.output).unwrap(),
            saved: Arrays::new(&self.saved, self.signature.saved(), self.case.examples),
            scratch: ArraysMut::new(
                &mut scratch[..at_backward.len(self.case.examples)],
                at_backward,
                self.case.examples,
            ),
            dy: Batch::new(&self.dy, self.case.examples, self.case.output).unwrap(),
            dx: wanted,
            dparams: ArraysMut::new(&mut dtheta, self.signature.parameter_layout(), 0),
            ranks: None,
        });
        (self.dx, self.dtheta, self.scratch) = (dx, dtheta, scratch);
    }

    fn absorb(&mut self) {
        let saved = Arrays::new(&self.saved, self.signature.saved(), self.case.examples);
        let layout = self.signature.statistic_layout();
        self.case.layer.absorb(saved, &mut ArraysMut::new(&mut self.statistics, layout, 0));
    }
}

/// The first `count` numbers, which are then gone.
fn next<'a, N>(numbers: &mut &'a [N], count: usize) -> &'a [N] {
    let (taken, rest) = numbers.split_at(count);
    *numbers = rest;
    taken
}

fn compare<T: Scalar>(layer: &str, fixture: &Fixture, precision: usize) {
    let (mut given, mut made) = (&fixture.given[..], &fixture.made[precision][..]);
    assert!(fixture.cases.len() >= 20, "{layer} has {} cases", fixture.cases.len());
    for case in &fixture.cases {
        let mut run = Run::<T>::new(case, &mut given);
        let mut passes = || {
            run.forward();
            run.backward();
        };
        // The first products of a thread ask for their packing buffers; the portable ones always do.
        passes();
        let allocated = allocation_counter::measure(passes);
        if own_products() {
            assert_eq!(allocated.count_total, 0, "{case:?} asks the heap for memory");
        }
        let what = |part: &str| format!("{part} of {case:?} in {}", T::NAME);
        close(&run.y, next(&mut made, run.y.len()), &what("y"));
        for (index, dx) in run.dx.iter().enumerate() {
            if case.whole.contains(&index) {
                assert!(dx.iter().all(|&dx| dx == T::ZERO), "{}", what("dJ/dx of whole numbers"));
            } else {
                close(dx, next(&mut made, dx.len()), &what(&format!("dJ/dx{index}")));
            }
        }
        let mut rest = &run.dtheta[..];
        for parameter in run.signature.parameters() {
            let count = parameter.shape.len();
            close(next(&mut rest, count), next(&mut made, count), &what(&format!("dJ/d{}", parameter.name)));
        }
        if case.training {
            run.absorb();
            close(&run.statistics, next(&mut made, run.statistics.len()), &what("the running statistics"));
        }
    }
    assert!(given.is_empty() && made.is_empty(), "{layer}: the fixture holds more than its cases");
}

fn own_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Checks ‖found − expected‖ ≤ tolerance ‖expected‖, and that what is not finite is the same.
fn close<T: Scalar>(found: &[T], expected: &[f64], what: &str) {
    let (mut error, mut norm) = (0.0, 0.0);
    for (found, &expected) in found.iter().map(|x| x.to_f64()).zip(expected) {
        if expected.is_finite() {
            error += (found - expected).powi(2);
            norm += expected * expected;
        } else {
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{what}: {found} for {expected}");
        }
    }
    let (error, norm) = (f64::sqrt(error), f64::sqrt(norm));
    assert!(
        error <= tolerance::<T>() * norm,
        "{what} is {found:?}, but PyTorch gives {expected:?}: off by {:e}",
        error / norm
    );
}

#[test]
fn every_layer_agrees_with_pytorch() {
    for layer in Description::NAMES {
        let fixture = Fixture::read(layer);
        compare::<f64>(layer, &fixture, 0);
        compare::<f32>(layer, &fixture, 1);
    }
}

#[test]
fn every_layer_reads_its_settings_as_it_writes_them() {
    for layer in Description::NAMES {
        for case in Fixture::read(layer).cases {
            let written = serde_json::to_string(&case.layer).unwrap();
            assert_eq!(serde_json::from_str::<Description>(&written).unwrap(), case.layer, "{written}");
        }
    }
}
