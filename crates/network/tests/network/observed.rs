//! What an observer sees of a training pass.

use std::ops::{ControlFlow, Range};

use downhill_layers::{Affine, BatchNorm, Mode, Relu, Tanh};
use downhill_losses::{MeanSquaredError, Target, Total};
use downhill_network::{BackwardObserver, Block, Frozen, Network, Purpose, Residual, Shared, sequential};
use downhill_optim::Sgd;
use downhill_tensor::{Batch, BuildError, Seed};

/// All that a pass has shown.
#[derive(Default)]
struct Seen {
    forward: Vec<(String, Vec<f64>)>,
    outputs: Vec<(String, Vec<f64>)>,
    complete: Vec<(Range<usize>, Vec<f64>)>,
}

impl BackwardObserver<f64> for Seen {
    fn output(&mut self, layer: &str, y: Batch<'_, f64>) {
        self.forward.push((layer.to_owned(), y.slice().to_vec()));
    }

    fn output_gradient(&mut self, layer: &str, dy: Batch<'_, f64>) {
        self.outputs.push((layer.to_owned(), dy.slice().to_vec()));
    }

    fn parameter_gradient(&mut self, complete: Range<usize>, gradient: &[f64]) {
        self.complete.push((complete.clone(), gradient[complete].to_vec()));
    }
}

const X: [f64; 8] = [0.1, -0.4, 0.7, 0.3, -0.9, 0.2, 0.5, -0.6];
const TARGET: [f64; 8] = [1.0, 0.0, -1.0, 0.5, 0.2, -0.3, 0.8, -0.1];

/// Runs a pass with an observer, after one without.
fn watch(block: impl Block + Clone) -> (Vec<f64>, Vec<f64>, Seen) {
    let network = Network::<f64>::build([2], block, Seed(7)).unwrap();
    let mut workspace = network.workspace(Purpose::Training);
    let (x, target) = (Batch::new(&X, 4, [2]).unwrap(), Target::Values(&TARGET));
    let (loss, mode) = (MeanSquaredError::new(), Mode::Training { step: 0 });
    let total = network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
    let unseen = workspace.gradient().to_vec();
    let mut seen = Seen::default();
    let watched = network.backpropagate_observed(x, target, None, &loss, &mut workspace, mode, &mut seen).unwrap();
    assert_eq!(watched.value(), total.value());
    (unseen, workspace.gradient().to_vec(), seen)
}

fn assert_complete(block: impl Block + Clone) {
    let (unseen, gradient, seen) = watch(block);
    assert_eq!(gradient, unseen, "an observer changes nothing");
    let mut end = gradient.len();
    for (range, then) in seen.complete {
        assert_eq!(range.end, end, "the ranges adjoin one another");
        assert!(!range.is_empty());
        assert_eq!(then, gradient[range.clone()], "what is complete stays as it is");
        end = range.start;
    }
    assert_eq!(end, 0, "the ranges are all of θ");
}

#[test]
fn gradients_are_complete_when_an_observer_is_told_so() {
    assert_complete(sequential![Affine::new(3), BatchNorm::new(), Tanh, Affine::new(2)]);
    // The parameters in front are those of the last layer too.
    let shared = Shared::new(Affine::new(2));
    assert_complete(sequential![shared.clone(), Tanh, Affine::new(2), Tanh, shared]);
    assert_complete(sequential![Affine::new(3), Relu, Frozen(Affine::new(3)), Relu, Affine::new(2)]);
    assert_complete(sequential![Frozen(Affine::new(3)), Relu, Affine::new(2)]);
    assert_complete(sequential![Affine::new(2), Residual(sequential![Affine::new(2), Tanh]), Affine::new(2)]);
    assert_complete(Tanh);
}

#[test]
fn an_observer_sees_the_gradient_of_each_output_before_a_layer_multiplies_its_own() {
    let (_, _, seen) = watch(sequential![Affine::new(2), Tanh]);
    let [(last, dy), (first, dx)] = &seen.outputs[..] else { panic!("{:?}", seen.outputs) };
    assert_eq!((last.as_str(), first.as_str()), ("1", "0"));
    let network = Network::<f64>::build([2], sequential![Affine::new(2), Tanh], Seed(7)).unwrap();
    let y = network.predict(Batch::new(&X, 4, [2]).unwrap()).unwrap();
    for (((dy, dx), y), target) in dy.iter().zip(dx).zip(&y).zip(TARGET) {
        assert!((dy - 2.0 * (y - target) / 8.0).abs() < 1e-15);
        assert!((dx - dy * (1.0 - y * y)).abs() < 1e-15, "dJ/dx = dJ/dy · (1 − y²)");
    }
}

#[test]
fn an_observer_sees_the_outputs_of_its_own_forward_pass() {
    let block = sequential![Affine::new(2), BatchNorm::new(), Relu];
    let network = Network::<f64>::build([2], block.clone(), Seed(7)).unwrap();
    let (_, _, seen) = watch(block);
    let (mut workspace, mut expected) = (network.workspace(Purpose::Prediction), Vec::new());
    let (x, mode) = (Batch::new(&X, 4, [2]).unwrap(), Mode::Training { step: 0 });
    let note = |layer: &str, y: Batch<'_, f64>| expected.push((layer.to_owned(), y.slice().to_vec()));
    network.forward_observed(network.parameters(), x, &mut workspace, mode, note).unwrap();
    assert_eq!(expected.len(), 3);
    assert_eq!(seen.forward, expected);
}

#[test]
fn a_micro_batch_that_is_observed_adds_the_same_gradient() {
    let mut network = Network::<f64>::build([2], sequential![Affine::new(3), Tanh, Affine::new(2)], Seed(7)).unwrap();
    let (loss, mode) = (MeanSquaredError::new(), Mode::Training { step: 0 });
    let (mut plain, mut watched) = (network.workspace(Purpose::Training), network.workspace(Purpose::Training));
    let mut seen = Seen::default();
    for half in 0..2 {
        let here = 4 * half..4 * half + 4;
        let (x, target) = (Batch::new(&X[here.clone()], 2, [2]).unwrap(), Target::Values(&TARGET[here]));
        network.accumulate_weighted(x, target, None, &loss, &mut plain, mode).unwrap();
        network.accumulate_observed(x, target, None, &loss, &mut watched, mode, &mut seen).unwrap();
    }
    assert_eq!(watched.average(), plain.average());
    assert_eq!((seen.forward.len(), seen.outputs.len()), (6, 6));
}

/// Multiplies dJ/dy of the output, or breaks the pass off.
struct Between {
    factor: Option<f64>,
    totals: Vec<Total>,
}

impl BackwardObserver<f64> for Between {
    fn loss(&mut self, total: Total, dy: &mut [f64]) -> ControlFlow<()> {
        self.totals.push(total);
        let Some(factor) = self.factor else { return ControlFlow::Break(()) };
        dy.iter_mut().for_each(|dy| *dy *= factor);
        ControlFlow::Continue(())
    }
}

#[test]
fn an_observer_sees_the_loss_and_may_scale_the_gradient_or_break_the_pass_off() {
    let mut network = Network::<f64>::build([2], sequential![Affine::new(3), Tanh, Affine::new(2)], Seed(7)).unwrap();
    let (loss, mode) = (MeanSquaredError::new(), Mode::Training { step: 0 });
    let (x, target) = (Batch::new(&X, 4, [2]).unwrap(), Target::Values(&TARGET));
    let mut workspace = network.workspace(Purpose::Training);
    let total = network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
    let gradient = workspace.gradient().to_vec();
    let mut twice = Between { factor: Some(2.0), totals: Vec::new() };
    network.backpropagate_observed(x, target, None, &loss, &mut workspace, mode, &mut twice).unwrap();
    assert!(workspace.gradient().iter().zip(&gradient).all(|(&twice, &once)| twice == 2.0 * once));
    let mut off = Between { factor: None, totals: Vec::new() };
    network.backpropagate_observed(x, target, None, &loss, &mut workspace, mode, &mut off).unwrap();
    assert_eq!((&twice.totals, &off.totals), (&vec![total], &vec![total]));
    let error = network.step(&mut Sgd::new(0.1), &mut workspace).unwrap_err();
    assert_eq!(error, BuildError::NoGradient);
    // What was accumulated stays.
    let mut sum = network.workspace(Purpose::Training);
    network.accumulate(x, target, &loss, &mut sum, mode).unwrap();
    network.accumulate_observed(x, target, None, &loss, &mut sum, mode, &mut off).unwrap();
    let near = |a: &[f64]| a.iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-15);
    assert!(near(sum.average()));
}
