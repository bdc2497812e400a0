//! What the error says of a number that is not finite.

use downhill_data::Dataset;
use downhill_layers::{Affine, Relu};
use downhill_losses::MeanSquaredError;
use downhill_network::{Network, sequential};
use downhill_optim::GradientDescent;
use downhill_tensor::Seed;
use downhill_train::{Diagnosis, Divergence, Place, TrainError, Trainer};
use ndarray::Array2;

use crate::normals;

fn diverged(mut network: Network<f32>, data: &Dataset<f32>, rate: f64, every: u64) -> (Network<f32>, Divergence) {
    let trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(rate)).batch_size(64).epochs(20);
    let error = trainer.diagnose(Diagnosis::new().every(every)).fit(&mut network, data).unwrap_err();
    let TrainError::Diverged(divergence) = error else { panic!("{error}") };
    (network, *divergence)
}

#[test]
fn the_first_bad_output_is_named_with_its_example_and_what_led_to_it() {
    let mut x = normals(32, 3, 1);
    x[[13, 1]] = 3e38;
    let data = Dataset::from_array(x, Array2::<f32>::zeros((32, 1))).unwrap();
    let block = sequential![Affine::new(4), Relu, Affine::new(1)];
    let mut network = Network::<f32>::build([3], block, Seed(1)).unwrap();
    // The third unit overflows for this example alone.
    let range = network.segments()[0].range.clone();
    let weight = &mut network.parameters_mut()[range];
    weight.fill(0.1);
    weight[4 + 2] = 3.0;
    let start = network.parameters().to_vec();
    let (network, divergence) = diverged(network, &data, 1e-3, 1);
    assert_eq!(divergence.place, Place::Output("0".into()));
    let first = divergence.findings.as_ref().unwrap().first.clone().unwrap();
    assert_eq!((first.example, first.index, first.value), (Some(13), 2, f64::INFINITY));
    assert_eq!(first.largest, f64::from(3e38_f32));
    assert_eq!(network.parameters(), start, "the last good parameters");
    let said = divergence.to_string();
    let sentence = "The first such number is output 2 for example 13 of the training data, inf; the largest that the layer \
                    read there is 3.000e38";
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn the_history_before_it_is_told() {
    let x = normals(64, 3, 2);
    let data = Dataset::from_array(x.clone(), x.column(0).insert_axis(ndarray::Axis(1)).to_owned()).unwrap();
    let network = Network::<f32>::build([3], sequential![Affine::new(8), Relu, Affine::new(1)], Seed(1)).unwrap();
    let (_, divergence) = diverged(network, &data, 3.0, 2);
    let findings = divergence.findings.clone().unwrap();
    let last = divergence.step.min(8);
    assert_eq!(findings.steps.len() as u64, last);
    assert_eq!(findings.steps.last().unwrap().step, divergence.step - 1);
    assert!(findings.steps.iter().all(|step| step.loss.is_finite() && step.learning_rate == 3.0));
    assert!(findings.gradients.iter().all(|(step, norm)| step.is_multiple_of(2) && norm.is_finite()));
    assert!(findings.gradients.windows(2).any(|pair| pair[1].1 > 10.0 * pair[0].1), "{:?}", findings.gradients);
    let said = divergence.to_string();
    assert!(said.contains("The losses of the last steps were ") && said.contains("the learning rate of the last 3e0"));
    assert!(said.contains("The norms of the gradient were ") && said.ends_with("parameters of the last good epoch"));
}

#[test]
fn a_bad_parameter_is_named_by_its_place() {
    // The first feature is 0, so that its weight stays where it is.
    let mut x = normals(16, 2, 3);
    x.column_mut(0).fill(0.0);
    let data = Dataset::from_array(x, Array2::<f32>::from_elem((16, 1), 10.0)).unwrap();
    let network = Network::<f32>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (_, divergence) = diverged(network, &data, 3e38, 1);
    assert_eq!(divergence.place, Place::Parameter("weight".into()), "{divergence}");
    let first = divergence.findings.as_ref().unwrap().first.clone().unwrap();
    assert_eq!((first.example, first.index), (None, 1), "{divergence}");
    assert!(first.value.is_infinite() && first.largest < 10.0);
    assert!(divergence.to_string().contains("The first such number is 1, "), "{divergence}");
}

#[test]
fn a_loss_that_overflows_alone_is_blamed_on_the_prediction_that_is_furthest_off() {
    let mut target = Array2::<f32>::zeros((16, 1));
    target[[9, 0]] = -1e25;
    let data = Dataset::from_array(normals(16, 1, 4), target).unwrap();
    let network = Network::<f32>::build([1], Affine::new(1), Seed(1)).unwrap();
    let prediction = f64::from(network.predict_one(data.inputs().example(9)).unwrap()[0]);
    let (_, divergence) = diverged(network, &data, 1e-3, 1);
    assert_eq!(divergence.place, Place::Loss);
    let first = divergence.findings.as_ref().unwrap().first.clone().unwrap();
    assert_eq!((first.example, first.index, first.largest), (Some(9), 0, f64::from(1e25_f32)));
    assert!((first.value - prediction).abs() < 1e-6);
    assert!(divergence.to_string().contains("furthest off is number 0 for example 9"), "{divergence}");
}
