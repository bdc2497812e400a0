//! Temperatures: those that SciPy finds (`xtask/golden/calibration.py` made the fixture), and what they do to a network
//! that is too sure of itself.

use downhill_data::Dataset;
use downhill_layers::{Affine, Relu, Softmax};
use downhill_losses::{BinaryCrossEntropyWithLogits, Hinge, Loss, Meaning, Outputs, SoftmaxCrossEntropy, Target};
use downhill_network::{Network, sequential};
use downhill_optim::Adam;
use downhill_tensor::{Batch, Seed};
use downhill_train::metrics::{Accuracy, ExpectedCalibrationError, LogLoss};
use downhill_train::{Metric, Trainer};
use downhill_tune::{CalibrationError, Temperature};
use ndarray::{Array1, Array2};
use safetensors::SafeTensors;

/// A network whose outputs are its inputs.
fn identity(outputs: usize, meaning: Meaning) -> Network<f64> {
    let mut network = Network::build([outputs], Affine::new(outputs), Seed(1)).unwrap();
    network.parameters_mut().fill(0.0);
    (0..outputs).for_each(|output| network.parameters_mut()[output * outputs + output] = 1.0);
    network.set_meaning(meaning);
    network
}

#[test]
fn the_temperature_is_that_of_scipy() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/calibration.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
    let numbers = |name: &str| -> Vec<f64> {
        data(name).chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let classes: Vec<u32> =
        data("classes").chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let (logits, temperatures, losses) = (numbers("logits"), numbers("temperatures"), numbers("losses"));
    let (mut from_logit, mut from_class) = (0, 0);
    for (index, case) in cases.as_array().unwrap().iter().enumerate() {
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let (examples, outputs) = (count("examples"), count("outputs"));
        let z = logits[from_logit..][..examples * outputs].to_vec();
        let t = classes[from_class..][..examples].to_vec();
        from_logit += examples * outputs;
        from_class += examples;
        let z = Array2::from_shape_vec((examples, outputs), z).unwrap();
        let meaning = match outputs {
            1 => BinaryCrossEntropyWithLogits::new().meaning(),
            _ => SoftmaxCrossEntropy::new().meaning(),
        };
        let network = identity(outputs, meaning);
        let validation = match outputs {
            1 => Dataset::from_array(z.clone(), t.iter().map(|&t| f64::from(t)).collect::<Array1<f64>>()),
            _ => Dataset::from_array(z.clone(), t.clone()),
        };
        let temperature = Temperature::fit(&network, &validation.unwrap()).unwrap();
        let error = temperature.value() / temperatures[index] - 1.0;
        assert!(error.abs() < 1e-12, "case {index}: {temperature:?}, but SciPy finds {}", temperatures[index]);

        let p = temperature.probabilities(&network, &z).unwrap();
        let kind = if outputs == 1 { Outputs::Probabilities } else { Outputs::ClassProbabilities };
        let loss = judge(LogLoss::new(), Meaning::new(kind), &p, &t);
        assert!((loss - losses[index]).abs() < 1e-12, "case {index}: {loss}, but SciPy finds {}", losses[index]);
    }
}

fn judge(mut metric: impl Metric<f64>, meaning: Meaning, y: &Array2<f64>, classes: &[u32]) -> f64 {
    metric.start(meaning);
    let batch = Batch::new(y.as_slice().unwrap(), y.nrows(), [y.ncols()]).unwrap();
    metric.update(batch, Target::Classes(classes), None).unwrap();
    metric.value()
}

/// Points of three overlapping classes, of which a fifth has a class that was drawn anew.
fn overlapping(key: u64, examples: usize) -> (Array2<f64>, Vec<u32>) {
    let mut stream = Seed(8).stream(key);
    let mut classes = Vec::new();
    let mut x = Array2::zeros((examples, 2));
    for mut row in x.rows_mut() {
        let class = (3.0 * stream.uniform()) as u32;
        let angle = std::f64::consts::TAU * f64::from(class) / 3.0;
        let mut spread = || 3.0 * (stream.uniform() - 0.5);
        row.assign(&ndarray::arr1(&[angle.cos() + spread(), angle.sin() + spread()]));
        let is_noise = stream.uniform() < 0.2;
        classes.push(if is_noise { (3.0 * stream.uniform()) as u32 } else { class });
    }
    (x, classes)
}

#[test]
fn a_network_too_sure_of_itself_is_taken_back_and_its_classes_stay() {
    let [train, validation, (x, classes)] = [(1, 150), (2, 400), (3, 2000)].map(|(key, count)| overlapping(key, count));
    let layers = sequential![Affine::new(48), Relu, Affine::new(48), Relu, Affine::new(3)];
    let mut network = Network::<f64>::build([2], layers, Seed(2)).unwrap();
    let train = Dataset::from_array(train.0, train.1).unwrap();
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(150).fit(&mut network, &train).unwrap();

    let validation = Dataset::from_array(validation.0, validation.1).unwrap();
    let temperature = Temperature::fit(&network, &validation).unwrap();
    assert!(temperature.value() > 1.5, "{temperature:?}");
    let (before, after) = (network.probabilities(&x).unwrap(), temperature.probabilities(&network, &x).unwrap());
    let meaning = Meaning::new(Outputs::ClassProbabilities);
    let of = |p: &Array2<f64>| {
        (
            judge(Accuracy::new(), meaning, p, &classes),
            judge(ExpectedCalibrationError::new(), meaning, p, &classes),
            judge(LogLoss::new(), meaning, p, &classes),
        )
    };
    let ((accuracy, error, loss), (accuracy_after, error_after, loss_after)) = (of(&before), of(&after));
    println!("calibration error {error:.3} and {error_after:.3}, log loss {loss:.3} and {loss_after:.3}");
    assert_eq!(accuracy, accuracy_after);
    assert!(error_after < error / 2.0, "{error_after}, {error}");
    assert!(loss_after < loss, "{loss_after}, {loss}");
}

#[test]
fn probabilities_have_the_temperature_of_their_logits() {
    let (x, classes) = overlapping(4, 200);
    let data = Dataset::from_array(x.clone(), classes).unwrap();
    let mut logits = Network::<f64>::build([2], Affine::new(3), Seed(2)).unwrap();
    logits.set_meaning(SoftmaxCrossEntropy::new().meaning());
    let mut soft = Network::<f64>::build([2], sequential![Affine::new(3), Softmax], Seed(2)).unwrap();
    soft.parameters_mut().copy_from_slice(logits.parameters());
    let [a, b] = [&logits, &soft].map(|network| Temperature::fit(network, &data).unwrap());
    assert!((a.value() / b.value() - 1.0).abs() < 1e-9, "{a:?}, {b:?}");
    let (p, q) = (a.probabilities(&logits, &x).unwrap(), a.probabilities(&soft, &x).unwrap());
    assert!(p.iter().zip(&q).all(|(p, q)| (p - q).abs() < 1e-12));
    assert_eq!(logits.predict(&x).unwrap().dim(), p.dim());
}

#[test]
fn what_can_not_be_calibrated_is_an_error() {
    let data = Dataset::from_array(Array2::from_elem((2, 2), 1.0), vec![0, 1]).unwrap();
    let scores = identity(2, Meaning::new(Outputs::ClassScores));
    let error = Temperature::fit(&scores, &data).unwrap_err().to_string();
    assert!(error.contains("scores of classes"), "{error}");
    let one = identity(1, Hinge::new().meaning());
    assert!(Temperature::new(2.0).unwrap().probabilities(&one, [[1.0]]).is_err());
    let meaning = Meaning::new(Outputs::ClassLogits).ignored_index(Some(0));
    let ignored = Dataset::from_array(Array2::from_elem((2, 2), 1.0), vec![0, 0]).unwrap();
    let error = Temperature::fit(&identity(2, meaning), &ignored).unwrap_err();
    assert!(matches!(error, CalibrationError::NoTemperature), "{error}");
    assert!(error.to_string().contains("no target of the data counts"));
}
