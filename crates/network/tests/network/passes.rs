//! Forward and backward passes compute what the wiring says, on any thread.

use downhill_layers::{
    Affine, Backward, Conv2d, Dropout, Embedding, Forward, Layer, Mode, Relu, Sigmoid, Signature, Tanh, single_input,
};
use downhill_losses::{MeanSquaredError, Target};
use downhill_network::{Frozen, Network, Purpose, Residual, Sequential, Shared, branches, sequential};
use downhill_optim::{Optimizer, Sgd};
use downhill_tensor::{Batch, BuildError, Scalar, Shape, threads};
use ndarray::{Array2, array};

use crate::build;

/// A network with every kind of wiring, computed once by hand from its parameters.
#[test]
fn the_forward_pass_is_the_composition_of_its_layers() {
    let network = build(
        [3],
        sequential![
            Affine::new(4),
            Tanh,
            Residual(sequential![Affine::new(4), Sigmoid]),
            branches![concat 0; Affine::new(2), Tanh]
        ],
    );
    let x = array![[0.1, -0.4, 0.9], [1.0, 0.0, -1.0]];
    let affine = |x: &Array2<f64>, name: &str| {
        let weight = network.parameter(&format!("{name}.weight")).unwrap();
        let weight = weight.into_dimensionality::<ndarray::Ix2>().unwrap();
        let bias = network.parameter(&format!("{name}.bias")).unwrap();
        x.dot(&weight.t()) + bias.into_dimensionality::<ndarray::Ix1>().unwrap()
    };
    let hidden = affine(&x, "0").mapv(f64::tanh);
    let hidden = &hidden + &affine(&hidden, "2.0").mapv(|x| 1.0 / (1.0 + (-x).exp()));
    let expected = ndarray::concatenate![ndarray::Axis(1), affine(&hidden, "3.0"), hidden.mapv(f64::tanh)];
    let y = network.predict(&x).unwrap();
    assert!((&y - &expected).iter().all(|error| error.abs() < 1e-14), "{y} {expected}");
}

#[test]
fn dropout_drops_in_training_alone_and_the_same_in_the_same_step() {
    let network = build([50], sequential![Affine::new(50), Dropout::new(0.5)]);
    let mut workspace = network.workspace(Purpose::Training);
    let data = vec![1.0; 100];
    let x = Batch::new(&data, 2, [50]).unwrap();
    let mut zeros = |mode| {
        let y = network.forward(network.parameters(), x, &mut workspace, mode).unwrap();
        y.slice().iter().map(|y| *y == 0.0).collect::<Vec<bool>>()
    };
    let first = zeros(Mode::Training { step: 3 });
    assert_eq!(zeros(Mode::Training { step: 3 }), first);
    assert_ne!(zeros(Mode::Training { step: 4 }), first);
    assert_ne!(first[..50], first[50..], "each example has a stream of its own");
    assert!(zeros(Mode::Evaluation).iter().all(|zero| !zero));
    let dropped = first.iter().filter(|zero| **zero).count();
    assert!((30..=70).contains(&dropped), "{dropped}");
}

#[test]
fn one_network_serves_many_threads() {
    let network = build([4], sequential![Affine::new(16), Tanh, Affine::new(2)]);
    let x = array![[0.1, 0.2, 0.3, 0.4]];
    let expected = network.predict(&x).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(network.predict(&x).unwrap(), expected)));
        }
    });
}

#[test]
fn a_small_step_stays_on_its_thread_and_a_prediction_need_not() {
    /// As many as threads may share its work.
    #[derive(Clone, Debug)]
    struct Count;
    impl Layer for Count {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Count", single_input("Count", inputs)?))
        }
        fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
            pass.y.slice().fill(T::from_f64(threads::current() as f64));
        }
        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            if let Some(dx) = pass.dx.get(0) {
                dx.slice().fill(T::from_f64(threads::current() as f64));
            }
        }
    }
    let network = build([100], sequential![Affine::new(200), Count]);
    // 20,000 multiply-adds for each example, and some for the loops beside.
    assert!(!network.is_worth_sharing(50) && network.is_worth_sharing(100));
    // Without the feature there is only one.
    let two = threads::Threads::new(2).unwrap();
    let all = two.count() as f64;
    for (examples, in_training) in [(50, 1.0), (100, all)] {
        let x = vec![0.0; examples * 100];
        let x = Batch::new(&x, examples, [100]).unwrap();
        let mut workspace = network.workspace(Purpose::Training);
        two.run(|| {
            for (mode, seen) in [(Mode::Evaluation, all), (Mode::Training { step: 0 }, in_training)] {
                let y = network.forward(network.parameters(), x, &mut workspace, mode).unwrap();
                assert_eq!(y.slice()[0], seen, "{examples} examples, {mode:?}");
            }
            network.backward(network.parameters(), x, &mut workspace).unwrap();
        });
        let biases = &workspace.gradient()[100 * 200..];
        assert_eq!(biases[0], in_training * examples as f64);
    }
    let images = |layer: Conv2d| build([3, 32, 32], sequential![layer]);
    assert!(!images(Conv2d::new(4, 3)).is_worth_sharing(1) && images(Conv2d::new(128, 3)).is_worth_sharing(1));
    // A table is looked up, however long it is.
    assert!(!build([8], sequential![Embedding::new(100_000, 4)]).is_worth_sharing(100));
}

#[test]
fn a_residual_over_everything_keeps_what_it_needs() {
    // x is read by the first layer and by the sum, so nothing may run over it.
    let network = build([5], sequential![Tanh, Residual(sequential![Tanh, Affine::new(5), Relu]), Affine::new(1)]);
    let data: Vec<f64> = (0..15).map(|i| f64::from(i).cos()).collect();
    let x = Batch::new(&data, 3, [5]).unwrap();
    let target = [0.1, 0.2, 0.3];
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let value = |data: &[f64]| {
        let x = Batch::new(data, 3, [5]).unwrap();
        let mode = Mode::Evaluation;
        let mut workspace = network.workspace(Purpose::Prediction);
        network
            .value(network.parameters(), x, Target::Values(&target), &MeanSquaredError::new(), &mut workspace, mode)
            .unwrap()
    };
    network
        .value_and_gradient(
            network.parameters(),
            x,
            Target::Values(&target),
            &MeanSquaredError::new(),
            &mut workspace,
            Mode::Evaluation,
        )
        .unwrap();
    let dx = workspace.input_gradient(0).unwrap().slice().to_vec();
    for i in 0..15 {
        let (mut above, mut below) = (data.clone(), data.clone());
        above[i] += 1e-5;
        below[i] -= 1e-5;
        let numeric = (value(&above) - value(&below)) / 2e-5;
        assert!((dx[i] - numeric).abs() < 1e-9, "dx[{i}]: {} {numeric}", dx[i]);
    }
    assert!(network.workspace(Purpose::Training).input_gradient(0).is_none());
}

#[test]
fn shared_layers_have_one_set_of_parameters_whose_gradients_add_up() {
    let shared = Shared::new(Affine::new(3));
    let twice = build([3], sequential![shared.clone(), Tanh, shared]);
    assert_eq!(twice.parameters().len(), 12);
    assert_eq!(twice.summary().parameters(), 12);
    // The same chain with parameters apart, set to the same numbers: its gradients are the two terms.
    let mut apart = build([3], sequential![Affine::new(3), Tanh, Affine::new(3)]);
    let both = [twice.parameters(), twice.parameters()].concat();
    apart.parameters_mut().copy_from_slice(&both);
    let x: Vec<f64> = (0..6).map(|i| f64::from(i) * 0.3 - 1.0).collect();
    let x = Batch::new(&x, 2, [3]).unwrap();
    let target = [0.5; 6];
    let gradient = |network: &Network<f64>| {
        let mut workspace = network.workspace(Purpose::Training);
        for step in 0..2 {
            // The second time over what the first has left.
            let mode = Mode::Training { step };
            let (theta, loss) = (network.parameters(), MeanSquaredError::new());
            network.value_and_gradient(theta, x, Target::Values(&target), &loss, &mut workspace, mode).unwrap();
        }
        workspace.gradient().to_vec()
    };
    let (sum, terms) = (gradient(&twice), gradient(&apart));
    for (index, sum) in sum.iter().enumerate() {
        assert!((sum - (terms[index] + terms[index + 12])).abs() < 1e-15);
    }
}

#[test]
fn frozen_layers_have_no_gradient_and_what_lies_before_them_is_not_asked_for() {
    let network = build([4], sequential![Frozen(Affine::new(5)), Tanh, Frozen(Affine::new(5)), Affine::new(2)]);
    let mut workspace = network.workspace(Purpose::Training);
    let (x, mode) = (Batch::new(&[1.0; 8], 2, [4]).unwrap(), Mode::Training { step: 0 });
    let (theta, loss) = (network.parameters(), MeanSquaredError::new());
    network.value_and_gradient(theta, x, Target::Values(&[0.0; 4]), &loss, &mut workspace, mode).unwrap();
    let frozen = 4 * 5 + 5 + 5 * 5 + 5;
    assert!(workspace.gradient()[..frozen].iter().all(|&g| g == 0.0));
    assert!(workspace.gradient()[frozen..].iter().all(|&g| g != 0.0));

    let mut optimizer = Sgd::new(0.1).weight_decay(0.5);
    optimizer.bind(network.segments());
    let mut theta = network.parameters().to_vec();
    optimizer.step(&mut theta, workspace.gradient());
    assert_eq!(theta[..frozen], network.parameters()[..frozen]);
    assert!(theta[frozen..].iter().zip(&network.parameters()[frozen..]).all(|(a, b)| a != b));
}

#[test]
fn a_gradient_goes_through_frozen_layers_to_those_before_them() {
    let chain = |middle: Sequential| build([3], sequential![Affine::new(4), Tanh, middle, Tanh, Affine::new(2)]);
    let (frozen, free) = (chain(sequential![Frozen(Affine::new(4))]), chain(sequential![Affine::new(4)]));
    assert_eq!(frozen.parameters(), free.parameters());
    let gradient = |network: &Network<f64>| {
        let mut workspace = network.workspace(Purpose::Training);
        let (x, mode) = (Batch::new(&[0.3, -1.0, 0.5, 1.0, 0.2, -0.7], 2, [3]).unwrap(), Mode::Training { step: 0 });
        let (theta, loss) = (network.parameters(), MeanSquaredError::new());
        network.value_and_gradient(theta, x, Target::Values(&[1.0; 4]), &loss, &mut workspace, mode).unwrap();
        workspace.gradient().to_vec()
    };
    let (through, full) = (gradient(&frozen), gradient(&free));
    for segment in frozen.segments() {
        let (through, full) = (&through[segment.range.clone()], &full[segment.range.clone()]);
        assert!(full.iter().all(|&g| g != 0.0), "{}", segment.name);
        if segment.frozen {
            assert!(through.iter().all(|&g| g == 0.0), "{}", segment.name);
        } else {
            assert_eq!(through, full, "{}", segment.name);
        }
    }
}
