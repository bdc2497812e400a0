//! Examples and targets count as much as their weights say.

use downhill_data::{Batches, Dataset};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy};
use downhill_network::Network;
use downhill_optim::Adam;
use downhill_train::Trainer;
use downhill_train::metrics::{MeanAbsoluteError, RootMeanSquaredError};
use ndarray::Array2;

use crate::{classes, line, network, points};

#[test]
fn weights_of_0_and_1_train_as_the_examples_of_weight_1_do() {
    let kept: Vec<usize> = (0..30).filter(|i| i % 4 != 1).collect();
    let weights = |data: &Dataset<f64>| (0..data.len()).map(|i| f64::from(u8::from(i % 4 != 1))).collect::<Vec<f64>>();
    let (all, labelled) = (line(30), classes(30));
    let in_order = |data: &Dataset<f64>, trained: &mut Network<f64>, classes: bool| {
        // One batch in the order of the data: shuffling would draw another order for fewer examples.
        let mut optimizer = Adam::new(0.05);
        let mut workspace = trained.workspace(downhill_network::Purpose::Training);
        for step in 0..20 {
            let mut batches = Batches::sequential(data, 100).unwrap();
            let batch = batches.next_batch().unwrap();
            let mode = downhill_layers::Mode::Training { step };
            let (x, t, w) = (batch.inputs, batch.targets, batch.weights);
            if classes {
                let loss = SoftmaxCrossEntropy::new();
                trained.backpropagate_weighted(x, t, w, &loss, &mut workspace, mode).unwrap();
            } else {
                let loss = MeanSquaredError::new();
                trained.backpropagate_weighted(x, t, w, &loss, &mut workspace, mode).unwrap();
            }
            trained.step(&mut optimizer, &mut workspace).unwrap();
        }
    };
    for (data, outputs) in [(all, 1), (labelled, 3)] {
        let weighted = data.clone().with_weights(weights(&data)).unwrap();
        let (mut a, mut b) = (network(outputs), network(outputs));
        in_order(&weighted, &mut a, outputs == 3);
        in_order(&data.select(&kept).unwrap(), &mut b, outputs == 3);
        for (a, b) in a.parameters().iter().zip(b.parameters()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
}

#[test]
fn what_weighs_nothing_is_never_read() {
    // A target of weight 0 may be anything: the bits are those of any other.
    let run = |hidden: f64| {
        let mut y = Array2::from_shape_fn((16, 1), |(i, _)| i as f64 / 16.0);
        let mut x = points(16);
        for example in [3, 11] {
            y[[example, 0]] = hidden;
            x[[example, 0]] = hidden;
        }
        let weights = (0..16).map(|i| if i == 3 || i == 11 { 0.0 } else { 1.0 }).collect();
        let data = Dataset::from_array(x, y).unwrap().with_weights(weights).unwrap();
        let mut network = network(1);
        let history = Trainer::new(MeanSquaredError::new(), Adam::new(0.01))
            .epochs(5)
            .batch_size(16)
            .validate(&data)
            .metric(RootMeanSquaredError::new())
            .fit(&mut network, &data)
            .unwrap();
        let last = history.epochs[4].clone();
        (network.parameters().to_vec(), last.training_loss, last.validation_loss, last.metrics)
    };
    assert_eq!(run(0.5), run(1e100));
}

#[test]
fn a_mask_for_each_target_leaves_out_what_it_hides() {
    // Two numbers for each example, the second of which is unknown in half of them.
    let x = points(40);
    let y =
        |hidden: f64| Array2::from_shape_fn((40, 2), |(i, j)| if j == 1 && i % 2 == 0 { hidden } else { x[[i, j]] });
    let mask: Vec<f64> = (0..80).map(|place| f64::from(u8::from(place % 4 != 1))).collect();
    let run = |hidden: f64| {
        let data = Dataset::from_array(x.clone(), y(hidden)).unwrap().with_weights(mask.clone()).unwrap();
        let mut network = network(2);
        let mut trainer =
            Trainer::new(MeanSquaredError::new(), Adam::new(0.02)).epochs(10).metric(MeanAbsoluteError::new());
        let history = trainer.fit(&mut network, &data).unwrap();
        (network.parameters().to_vec(), history.epochs[9].training_loss, history.epochs[9].metrics.clone())
    };
    let (parameters, loss, _) = run(0.0);
    assert_eq!(run(9.0).0, parameters);
    assert_eq!(run(9.0), run(0.0));
    assert!(loss.is_finite());
}
