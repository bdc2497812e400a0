//! The learning-rate finder on real data, next to the training that it is for.

use std::fmt::Debug;

use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, BatchNorm, Relu};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy, Target};
use downhill_network::{Network, NetworkObjective, sequential};
use downhill_optim::{Adam, Objective, Optimizer, RangeTest, Sgd};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Seed};
use downhill_train::metrics::Accuracy;
use downhill_train::{TrainError, Trainer, evaluate};
use downhill_tune::{RateCurve, RateFinder};
use ndarray::array;

fn classifier(seed: Seed) -> Network<f32> {
    Network::build([64], sequential![Affine::new(32), BatchNorm::new(), Relu, Affine::new(10)], seed).unwrap()
}

#[test]
fn the_suggested_rate_trains_the_digits_well() {
    fn check<O: Optimizer<f32> + Clone>(optimizer: &O, data: &Dataset<f32>) {
        let (train, test) = data.stratified_split(0.8, Seed(1)).unwrap();
        for seed in [Seed(1), Seed(2)] {
            let mut network = classifier(seed);
            let curve =
                RateFinder::new().seed(seed).find(&network, &train, SoftmaxCrossEntropy::new(), optimizer).unwrap();
            for rate in [curve.suggestion().unwrap(), curve.tenth_of_least().unwrap()] {
                assert!((1e-4..=1.0).contains(&rate), "{curve}");
            }
            let mut optimizer = optimizer.clone();
            optimizer.set_base_learning_rate(curve.suggestion().unwrap());
            Trainer::new(SoftmaxCrossEntropy::new(), optimizer).epochs(5).fit(&mut network, &train).unwrap();
            let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()]).unwrap();
            assert!(judged.metric("accuracy").unwrap() > 0.93, "{judged:?}\n{curve}");
        }
    }
    let data = digits().unwrap();
    check(&Adam::new(1e-9), &data);
    check(&Sgd::new(1e9), &data);
    check(&Sgd::new(1.0).momentum(0.9), &data);
}

#[test]
fn network_and_optimizer_are_left_as_they_were() {
    let data = digits().unwrap();
    let mut network = classifier(Seed(1));
    let mut optimizer = Adam::new(1e-3);
    let gradient = vec![1.0; network.parameters().len()];
    optimizer.step(network.parameters_mut(), &gradient);
    let before = (network.parameters().to_vec(), network.statistics().to_vec(), network.meaning(), optimizer.state());
    let find = |optimizer: &_| RateFinder::new().find(&network, &data, SoftmaxCrossEntropy::new(), optimizer).unwrap();
    let curve = find(&optimizer);
    let after = (network.parameters().to_vec(), network.statistics().to_vec(), network.meaning(), optimizer.state());
    assert_eq!(before, after);
    // What the optimizer remembers and its own rate make no difference.
    assert_eq!(find(&Adam::new(7.0)), curve);
}

#[test]
fn threads_and_repetition_change_no_bit() {
    let data = digits::<f32>().unwrap();
    let network = Network::build([64], sequential![Affine::new(256), Relu, Affine::new(10)], Seed(3)).unwrap();
    assert!(network.is_worth_sharing(256));
    let find = |threads: Option<usize>| {
        let finder = RateFinder::new().steps(30).range(1e-4, 1.0).batch_size(256).seed(Seed(4));
        let finder = match threads {
            Some(count) => finder.threads(Threads::new(count).unwrap()),
            None => finder,
        };
        let curve = finder.find(&network, &data, SoftmaxCrossEntropy::new(), &Adam::new(1.0)).unwrap();
        curve.points().map(|point| (point.rate.to_bits(), point.loss.to_bits())).collect::<Vec<_>>()
    };
    let one = find(Some(1));
    assert_eq!(one.len(), 30);
    for threads in [None, Some(2), Some(4)] {
        assert_eq!(find(threads), one, "{threads:?}");
    }
}

fn line() -> (Network<f64>, Dataset<f64>) {
    let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0]).unwrap();
    (Network::build([1], Affine::new(1), Seed(1)).unwrap(), data)
}

fn find(finder: &RateFinder) -> Result<RateCurve, TrainError> {
    let (network, data) = line();
    finder.find(&network, &data, MeanSquaredError::new(), &Sgd::new(1.0))
}

#[test]
fn on_the_whole_data_it_is_the_range_test_of_their_objective() {
    let (network, _) = line();
    let curve = find(&RateFinder::new().batch_size(4).smoothing(0.7)).unwrap();
    let (x, y) = (Batch::new(&[0.0, 1.0, 2.0, 3.0], 4, [1]).unwrap(), Target::Values(&[1.0, 3.0, 5.0, 7.0]));
    let mut objective = NetworkObjective::new(&network, x, y, MeanSquaredError::new());
    let test = RangeTest::new(1e-7, 10.0, 200).smoothing(0.7);
    let mut theta = network.parameters().to_vec();
    let value = |theta: &[f64], gradient: &mut [f64]| objective.value_and_gradient(theta, gradient);
    let expected = test.run(&mut Sgd::new(1.0), &mut theta, value).unwrap();
    assert_eq!(curve.points().len(), expected.losses.len());
    for (point, (loss, smoothed)) in curve.points().zip(expected.losses.iter().zip(&expected.smoothed)) {
        assert!((point.loss - loss).abs() <= 1e-9 * loss, "{point:?}, not {loss}");
        assert!((point.smoothed - smoothed).abs() <= 1e-9 * smoothed, "{point:?}, not {smoothed}");
    }
    assert!(curve.has_run_away());
}

#[test]
fn a_loss_that_runs_away_ends_the_curve() {
    // The largest eigenvalue of the Hessian is about 8.4, so that rates beyond 0.24 diverge.
    let curve = find(&RateFinder::new().batch_size(4)).unwrap();
    assert!(curve.has_run_away() && curve.points().len() < 200);
    assert!(curve.suggestion().unwrap() < 0.24, "{curve}");
    let last = curve.points().last().unwrap();
    assert!(last.rate > 0.24 && last.rate < 10.0, "{last:?}");
    // Also if it leaves the finite numbers at once.
    let curve = find(&RateFinder::new().batch_size(4).range(1e-3, 1e300).steps(5)).unwrap();
    assert!(curve.has_run_away() && curve.points().len() < 5, "{curve}");
    // A range that ends early does not show it.
    let curve = find(&RateFinder::new().batch_size(4).range(1e-4, 1e-2)).unwrap();
    assert!(!curve.has_run_away());
    assert_eq!(curve.points().len(), 200);
    let (first, last) = (curve.points().next().unwrap().rate, curve.points().last().unwrap().rate);
    assert!((first / 1e-4 - 1.0).abs() < 1e-12 && (last / 1e-2 - 1.0).abs() < 1e-12);
}

#[test]
fn clipping_is_that_of_the_training_to_come() {
    let clipped = find(&RateFinder::new().batch_size(4).clip_norm(1e-3)).unwrap();
    assert!(!clipped.has_run_away(), "steps of 0.01 at most go nowhere");
    assert!(find(&RateFinder::new().clip_norm(-1.0)).is_err());
}

#[test]
fn what_can_not_be_tested_is_refused() {
    fn message<V: Debug>(result: Result<V, TrainError>) -> String {
        result.unwrap_err().to_string()
    }
    for (finder, expected) in [
        (RateFinder::new().range(0.0, 1.0), "the lowest rate is 0, but it must be finite and greater than 0"),
        (RateFinder::new().range(1.0, 0.5), "the highest rate is 0.5, but it must be greater than the lowest"),
        (
            RateFinder::new().range(1e-290, 1e20),
            "the highest rate is 100000000000000000000, but it must be less than 1e308 times the lowest",
        ),
        (RateFinder::new().steps(1), "the number of steps is 1, but it must be at least 2"),
        (RateFinder::new().smoothing(1.0), "the smoothing is 1, but it must be at least 0 and less than 1"),
        (RateFinder::new().runaway(1.0), "the factor of a runaway loss is 1, but it must be greater than 1"),
    ] {
        assert_eq!(message(find(&finder)), expected);
    }
    let (mut network, data) = line();
    let find = |network: &Network<f64>, data: &Dataset<f64>| {
        message(RateFinder::new().find(network, data, MeanSquaredError::new(), &Sgd::new(1.0)))
    };
    let wide = Dataset::from_array(array![[0.0, 1.0]], array![1.0]).unwrap();
    assert!(find(&network, &wide).starts_with("the inputs of the training data do not fit the network"));
    // What is not finite before any step is no fault of a rate.
    let huge = Dataset::from_array(array![[1e200], [1.0]], array![1e200, 1.0]).unwrap();
    assert!(find(&network, &huge).contains("Example 0 of the training data is to blame"));
    network.parameters_mut()[0] = f64::NAN;
    assert!(find(&network, &data).starts_with("training can't start"));
}
