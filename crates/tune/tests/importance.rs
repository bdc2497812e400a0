//! What columns contribute: to a network that was trained, and to networks of which it is known.

use downhill_data::Dataset;
use downhill_layers::{Affine, Relu};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy};
use downhill_network::{Network, sequential};
use downhill_optim::Adam;
use downhill_tensor::Seed;
use downhill_train::metrics::{Accuracy, LogLoss, RootMeanSquaredError};
use downhill_train::{Trainer, evaluate};
use downhill_tune::{ImportanceError, PermutationImportance};
use ndarray::{Array2, array};

/// The sign of the first column is the class; the second column says nothing.
fn useful_and_useless(key: u64, examples: usize) -> Dataset<f64> {
    let mut stream = Seed(5).stream(key);
    let x = Array2::from_shape_fn((examples, 2), |_| 2.0 * stream.uniform() - 1.0);
    let classes: Vec<u32> = x.column(0).iter().map(|&x| u32::from(x > 0.0)).collect();
    Dataset::from_array(x, classes).unwrap().with_feature_names(["useful", "useless"]).unwrap()
}

#[test]
fn a_useful_column_is_told_from_a_useless_one() {
    let (train, test) = (useful_and_useless(1, 300), useful_and_useless(2, 300));
    let mut network = Network::<f64>::build([2], sequential![Affine::new(16), Relu, Affine::new(2)], Seed(1)).unwrap();
    let loss = SoftmaxCrossEntropy::new();
    Trainer::new(loss.clone(), Adam::new(0.02)).epochs(20).fit(&mut network, &train).unwrap();

    let importance = PermutationImportance::new().repeats(10).seed(Seed(3));
    let by_accuracy = importance.measure_by(Accuracy::new(), &network, &loss, &test).unwrap();
    assert_eq!(
        Some(by_accuracy.score),
        evaluate(&network, &loss, &test, [Accuracy::new()]).unwrap().metric("accuracy")
    );
    let ranked = by_accuracy.ranked();
    assert_eq!((&ranked[0].name[..], &ranked[1].name[..]), ("useful", "useless"));
    // Of two equally frequent classes, half are guessed right.
    assert!((ranked[0].mean - 0.5).abs() < 0.07, "{ranked:?}");
    assert!(ranked[1].mean.abs() < 0.02, "{ranked:?}");
    assert!(ranked[0].deviation > 0.0 && ranked[0].deviation < 0.05, "{ranked:?}");

    let by_loss = importance.measure(&network, &loss, &test).unwrap();
    assert!(by_loss.columns[0].mean > 10.0 * by_loss.columns[1].mean.abs());
    // The log loss is this loss, so orders and scores are the same.
    let by_log_loss = importance.measure_by(LogLoss::new(), &network, &loss, &test).unwrap();
    let pairs = by_loss.columns[0].repeats.iter().zip(&by_log_loss.columns[0].repeats);
    assert!(pairs.clone().count() == 10 && { pairs }.all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn mean_and_deviation_are_those_of_the_repeats_and_the_seed_decides() {
    let data = useful_and_useless(3, 50);
    let network = Network::<f64>::build([2], Affine::new(2), Seed(1)).unwrap();
    let loss = SoftmaxCrossEntropy::new();
    let measure =
        |seed| PermutationImportance::new().repeats(4).seed(Seed(seed)).measure(&network, &loss, &data).unwrap();
    let importances = measure(1);
    for column in &importances.columns {
        assert_eq!(column.repeats.len(), 4);
        let mean = column.repeats.iter().sum::<f64>() / 4.0;
        let square = column.repeats.iter().map(|x| x * x).sum::<f64>() / 4.0;
        assert!((column.mean - mean).abs() < 1e-15);
        assert!((column.deviation - (square - mean * mean).sqrt()).abs() < 1e-9);
        assert!(column.repeats.windows(2).any(|pair| pair[0] != pair[1]), "each repeat has its order");
    }
    assert_eq!(importances, measure(1));
    assert_ne!(importances, measure(2));
}

#[test]
fn columns_of_a_group_are_shuffled_together() {
    // Columns 1 and 2 are one-hot, and their sum is always 1: a network that reads the sum alone loses nothing.
    let x = array![[0.3, 1.0, 0.0], [0.1, 0.0, 1.0], [0.7, 1.0, 0.0], [0.9, 0.0, 1.0], [0.2, 0.0, 1.0]];
    let data = Dataset::from_array(x, array![1.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    let mut network = Network::<f64>::build([3], Affine::new(1), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[0.0, 1.0, 1.0, 0.0]);
    let loss = MeanSquaredError::new();
    let alone = PermutationImportance::new().measure(&network, &loss, &data).unwrap();
    assert!(alone.columns[1].mean > 0.0 && alone.columns[2].mean > 0.0);
    assert_eq!(alone.columns[1].name, "column 1");
    let together = PermutationImportance::new().group("colour", [1, 2]);
    let importances = together.measure_by(RootMeanSquaredError::new(), &network, &loss, &data).unwrap();
    let [first, colour] = &importances.columns[..] else { panic!("{importances:?}") };
    assert_eq!((&first.name[..], &colour.name[..], &colour.columns[..]), ("column 0", "colour", &[1, 2][..]));
    assert_eq!((colour.mean, importances.score), (0.0, 0.0));
    // The column that stands alone is shuffled in the same orders, whatever else is grouped.
    assert_eq!(first.repeats, alone.columns[0].repeats);
}

#[test]
fn settings_that_do_not_fit_are_errors() {
    let data = useful_and_useless(3, 10);
    let network = Network::<f64>::build([2], Affine::new(2), Seed(1)).unwrap();
    let refuse = |importance: PermutationImportance| {
        importance.measure(&network, &SoftmaxCrossEntropy::new(), &data).unwrap_err()
    };
    assert!(matches!(refuse(PermutationImportance::new().repeats(0)), ImportanceError::NoRepeats));
    let message = |importance| refuse(importance).to_string();
    assert_eq!(message(PermutationImportance::new().group("a", [])), "the group `a` has no columns; leave it out");
    assert_eq!(
        message(PermutationImportance::new().group("a", [2])),
        "the group `a` has the column 2, but the data have 2 columns, counted from 0"
    );
    assert_eq!(
        message(PermutationImportance::new().group("a", [0, 1]).group("b", [1])),
        "the column 1 stands in the group `a` and again in `b`; name it once"
    );
    let error = PermutationImportance::new().measure(&network, &MeanSquaredError::new(), &data).unwrap_err();
    assert!(matches!(error, ImportanceError::Evaluation(_)), "{error}");
}
