//! A warning of each fault, by the network or the data that have it.

use downhill_data::Dataset;
use downhill_layers::{Affine, BatchNorm, Conv2d, Flatten, LeakyRelu, Relu, Rnn, Sigmoid, Tanh};
use downhill_losses::{Loss, MeanSquaredError, SoftmaxCrossEntropy};
use downhill_network::{Block, Network, Repeat, sequential};
use downhill_optim::{Adam, Optimizer, Sgd};
use downhill_tensor::{Seed, Shape};
use downhill_train::{Diagnosis, TrainError, Trainer, Warned, Warning};
use ndarray::{Array2, Axis, concatenate};

use crate::{curve, images, normals, ring, said};

fn build(input: impl Into<Shape>, block: impl Block) -> Network<f32> {
    Network::build(input, block, Seed(3)).unwrap()
}

/// Trains with the default settings of a diagnosis, and returns the warning that is expected.
#[track_caller]
fn warned<L: Loss, O: Optimizer<f32>>(
    mut network: Network<f32>,
    data: &Dataset<f32>,
    trainer: Trainer<'_, f32, L, O>,
    expected: fn(&Warning) -> bool,
) -> Warned {
    let history = trainer.diagnose(Diagnosis::new()).fit(&mut network, data).unwrap();
    let found: Vec<_> = history.warnings.iter().filter(|warned| expected(&warned.warning)).cloned().collect();
    assert_eq!(found.len(), 1, "said once:\n{}", said(&history));
    found[0].clone()
}

#[test]
fn vanishing_gradients() {
    let chain = sequential![Repeat::new(10, sequential![Affine::new(16), Sigmoid]), Affine::new(2)];
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(5);
    let is = |warning: &Warning| matches!(warning, Warning::VanishingGradients { .. });
    let Warned { warning, .. } = warned(build([2], chain), &ring(600, 1), trainer, is);
    let said = warning.to_string();
    let Warning::VanishingGradients { layer, norm, last_layer, last_norm } = warning else { panic!("{said}") };
    assert_eq!((layer.as_str(), last_layer.as_str()), ("0.0.0", "1"));
    assert!(norm < 1e-4 * last_norm && norm > 0.0);
    assert!(
        said.contains("at layer `1`, and") && said.contains("at layer `0.0.0`, which hardly learns. Use"),
        "{said}"
    );
}

#[test]
fn exploding_gradients() {
    let mut network = build([30, 1], sequential![Rnn::new(16).last_state(), Affine::new(1)]);
    // Targets as they came, in thousands; the recurrent weights are too large besides.
    network.parameters_mut().iter_mut().for_each(|theta| *theta *= 3.0);
    let x = normals(400, 30, 2);
    let y = x.map_axis(Axis(1), |row| 1e5 * row.sum()).insert_axis(Axis(1));
    let data = Dataset::from_array(x, y).unwrap().reshape([30, 1]).unwrap();
    let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(5);
    let is = |warning: &Warning| matches!(warning, Warning::ExplodingGradients { .. });
    let Warned { warning, .. } = warned(network, &data, trainer, is);
    let said = warning.to_string();
    let Warning::ExplodingGradients { parameter, norm, whole, parameters } = warning else { panic!("{said}") };
    assert!(parameter.starts_with("0.") && norm <= whole && whole > 1e3 * parameters, "{said}");
    assert!(said.contains("Clip the gradient"), "{said}");
}

#[test]
fn dead_units() {
    let mut network = build([64], sequential![Affine::new(20), Relu, Affine::new(10)]);
    let bias = network.segments().iter().find(|segment| segment.name == "0.bias").unwrap().range.clone();
    network.parameters_mut()[bias][..12].fill(-100.0);
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(3);
    let is = |warning: &Warning| matches!(warning, Warning::DeadUnits { .. });
    let Warned { step, warning, .. } = warned(network, &images(), trainer, is);
    let Warning::DeadUnits { layer, dead, units, examples, others } = warning else { panic!("{warning}") };
    assert_eq!((layer.as_str(), dead, units, others), ("1", 12, 20, 0));
    assert!(examples >= 512 && step == 151, "{examples} examples of every tenth step, at {step}");
}

#[test]
fn dead_channels_are_units_as_a_whole() {
    let mut network =
        build([1, 8, 8], sequential![Conv2d::new(8, 3).padding(1), BatchNorm::new(), Relu, Flatten, Affine::new(10)]);
    let shift = network.segments().iter().find(|segment| segment.name == "1.bias").unwrap().range.clone();
    network.parameters_mut()[shift][..5].fill(-100.0);
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(3);
    let is = |warning: &Warning| matches!(warning, Warning::DeadUnits { .. });
    let Warned { warning, .. } = warned(network, &images().reshape([1, 8, 8]).unwrap(), trainer, is);
    assert!(matches!(&warning, Warning::DeadUnits { layer, dead: 5, units: 8, .. } if layer == "2"), "{warning}");
}

#[test]
fn saturated_activations() {
    let chain = sequential![Affine::new(24), Tanh, Affine::new(24), Sigmoid, Affine::new(2)];
    let mut network = build([2], chain);
    network.parameters_mut().iter_mut().for_each(|theta| *theta *= 100.0);
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(5);
    let is = |warning: &Warning| matches!(warning, Warning::SaturatedActivations { .. });
    let Warned { warning, .. } = warned(network, &ring(600, 1), trainer, is);
    let Warning::SaturatedActivations { layer, kind, share, others } = warning else { panic!("{warning}") };
    assert!(["1", "3"].contains(&layer.as_str()) && ["Tanh", "Sigmoid"].contains(&kind.as_str()));
    assert!(share > 0.9 && others == 1);
}

#[test]
fn a_rate_too_high() {
    let chain = || sequential![Affine::new(64), LeakyRelu::new(0.1), Affine::new(10)];
    let is = |warning: &Warning| matches!(warning, Warning::RateTooHigh { .. });
    let adam = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1.0)).epochs(3);
    let adam = warned(build([64], chain()), &images(), adam, is);
    // This run leaves the finite numbers soon after, and its error has the warning.
    let sgd = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(3.0)).epochs(3);
    let error = sgd.diagnose(Diagnosis::new()).fit(&mut build([64], chain()), &images()).unwrap_err();
    let TrainError::Diverged(divergence) = &error else { panic!("{error}") };
    let findings = divergence.findings.as_ref().unwrap();
    let sgd = findings.warnings.iter().find(|warned| is(&warned.warning)).unwrap().clone();
    for warned in [adam, sgd] {
        let Warning::RateTooHigh { learning_rate, first_loss, loss, update } = warned.warning else {
            panic!("{warned}")
        };
        assert!(learning_rate >= 1.0 && loss > 1.5 * first_loss && update > 0.01);
        assert!(warned.to_string().contains("Try a tenth of it"), "{warned}");
    }
}

#[test]
fn a_rate_too_low() {
    let chain = || sequential![Affine::new(64), Relu, Affine::new(10)];
    let is = |warning: &Warning| matches!(warning, Warning::RateTooLow { .. });
    let adam = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-7)).epochs(5);
    let sgd = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(1e-5)).epochs(5);
    for warned in [warned(build([64], chain()), &images(), adam, is), warned(build([64], chain()), &images(), sgd, is)]
    {
        let Warning::RateTooLow { first_loss, loss, update, .. } = warned.warning else { panic!("{warned}") };
        assert!(loss > 0.9 * first_loss && update < 1e-4);
        assert!(warned.to_string().contains("Try ten times as much"), "{warned}");
    }
}

/// Gives the inputs the targets of other examples.
fn shuffled(data: &Dataset<f32>) -> Dataset<f32> {
    let mut stream = Seed(20).stream(0);
    let mut order: Vec<(f64, usize)> = (0..data.len()).map(|row| (stream.uniform(), row)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let order: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
    let (_, targets) = data.select(&order).unwrap().into_parts();
    Dataset::new(data.inputs().slice().to_vec(), data.input_shape(), targets).unwrap()
}

#[test]
fn labels_that_look_shuffled() {
    let is = |warning: &Warning| matches!(warning, Warning::ShuffledLabels { .. });
    let classifier = || build([64], sequential![Affine::new(64), Relu, Affine::new(10)]);
    let data = shuffled(&images());
    let trainer = || Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3));
    // With validation data it is these that the network fails at, while it learns the others by heart.
    let (train, test) = data.split(0.7, Seed(1)).unwrap();
    let Warned { warning, .. } = warned(classifier(), &train, trainer().epochs(40).validate(&test), is);
    assert!(matches!(warning, Warning::ShuffledLabels { neighbours: 512, .. }), "{warning}");
    // Without, it is the first epoch, in which all examples are new, if it is long enough.
    let Warned { step, .. } = warned(classifier(), &data, trainer().batch_size(8).epochs(2), is);
    assert_eq!(step, 225);
    let numbers = shuffled(&curve(2000, 3));
    let network = build([4], sequential![Affine::new(16), Tanh, Affine::new(1)]);
    let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).batch_size(8).epochs(2);
    warned(network, &numbers, trainer, is);
}

#[test]
fn leakage_of_a_target() {
    let is = |warning: &Warning| matches!(warning, Warning::Leakage { .. });
    // A regression with its target in other units.
    let data = curve(600, 4);
    let y = data.target_values().unwrap().matrix().mapv(|y| 0.3 * y + 1.0);
    let x = concatenate(Axis(1), &[data.inputs().matrix(), y.view()]).unwrap();
    let names = ["a", "b", "c", "d", "price in euros"];
    let targets = data.target_values().unwrap().matrix().to_owned();
    let leaking = Dataset::from_array(x, targets).unwrap().with_feature_names(names).unwrap();
    let network = || build([5], sequential![Affine::new(16), Relu, Affine::new(1)]);
    let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(2);
    let Warned { step, warning, .. } = warned(network(), &leaking, trainer, is);
    assert!(step <= 17, "as soon as 512 examples were seen, not after {step} steps");
    assert!(warning.to_string().starts_with("the feature `price in euros` tells target 0 by itself"), "{warning}");
    assert!(matches!(warning, Warning::Leakage { feature: 4, target: 0, explained, .. } if explained > 0.99999));
    // Classes by a code of their own.
    let data = images();
    let codes = [3.0, -1.0, 0.5, 2.0, 0.0, 1.0, -2.0, 4.0, -3.0, 1.5];
    let downhill_losses::Target::Classes(classes) = data.targets() else { panic!("classes") };
    let codes = Array2::from_shape_fn((data.len(), 1), |(row, _)| codes[classes[row] as usize]);
    let x = concatenate(Axis(1), &[codes.view(), data.inputs().matrix()]).unwrap();
    let leaking = Dataset::from_array(x, classes.to_vec()).unwrap();
    let network = build([65], sequential![Affine::new(16), Relu, Affine::new(10)]);
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(2);
    let Warned { warning, .. } = warned(network, &leaking, trainer, is);
    assert!(matches!(warning, Warning::Leakage { input: 0, feature: 0, .. }), "{warning}");
}

#[test]
fn features_that_were_never_scaled() {
    let is = |warning: &Warning| matches!(warning, Warning::UnscaledFeatures { .. });
    let data = curve(600, 5);
    let mut x = data.inputs().matrix().to_owned();
    x.column_mut(1).mapv_inplace(|x| 2000.0 + 15.0 * x);
    x.column_mut(2).mapv_inplace(|x| 1e-6 * x);
    x.column_mut(3).mapv_inplace(|x| 40.0 * x);
    let data = Dataset::from_array(x, data.target_values().unwrap().matrix().to_owned()).unwrap();
    let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(2);
    let network = build([4], sequential![Affine::new(16), Relu, Affine::new(1)]);
    let Warned { warning, .. } = warned(network, &data, trainer(), is);
    let said = warning.to_string();
    let Warning::UnscaledFeatures { feature, others, .. } = warning else { panic!("{said}") };
    assert_eq!((feature, others), (2, 2), "{said}");
    assert!(said.contains("Scale the inputs with StandardScaler"), "{said}");
    // A normalisation scales them too.
    let mut network = build([4], sequential![BatchNorm::new(), Affine::new(16), Relu, Affine::new(1)]);
    let history = trainer().diagnose(Diagnosis::new()).fit(&mut network, &data).unwrap();
    assert!(!history.warnings.iter().any(|warned| is(&warned.warning)), "{}", crate::said(&history));
}
