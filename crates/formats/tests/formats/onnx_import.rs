//! Models of other frameworks, as `xtask/golden/onnx_import.py` has stored them, read and run without those.

use std::collections::BTreeMap;

use downhill_formats::onnx::{Import, Imported};
use downhill_layers::{Inputs, Mode};
use downhill_network::{Network, Purpose};
use downhill_optim::Adam;
use downhill_tensor::{Batch, Scalar};
use safetensors::SafeTensors;

/// A model, its inputs, each with its shape, and its output.
struct Case {
    model: Vec<u8>,
    inputs: Vec<(Vec<usize>, Vec<f64>)>,
    y: (Vec<usize>, Vec<f64>),
}

const FIXTURE: &[u8] = include_bytes!("../fixtures/onnx_import.safetensors");

fn cases() -> BTreeMap<String, Case> {
    let tensors = SafeTensors::deserialize(FIXTURE).unwrap();
    let array = |name: &str| {
        let tensor = tensors.tensor(name).ok()?;
        let numbers = tensor.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        Some((tensor.shape().to_vec(), numbers))
    };
    let names: Vec<String> = tensors.names().into_iter().filter_map(|name| name.strip_suffix(":model")).map(str::to_owned).collect();
    let case = |name: String| {
        let model = tensors.tensor(&format!("{name}:model")).unwrap().data().to_vec();
        let inputs = (0..).map_while(|place| array(&format!("{name}:{place}"))).collect();
        let y = array(&format!("{name}:y")).unwrap();
        (name, Case { model, inputs, y })
    };
    names.into_iter().map(case).collect()
}

fn case(name: &str) -> Case {
    cases().remove(name).unwrap_or_else(|| panic!("there is no case {name}"))
}

fn read<T: Scalar>(name: &str) -> Imported<T> {
    Import::new().read(&case(name).model).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn predict<T: Scalar>(network: &Network<T>, inputs: &[(Vec<usize>, Vec<f64>)]) -> Vec<f64> {
    let arrays: Vec<Vec<T>> =
        inputs.iter().map(|(_, numbers)| numbers.iter().map(|&x| T::from_f64(x)).collect()).collect();
    let mut x = Inputs::empty();
    for (index, (numbers, shape)) in arrays.iter().zip(network.input_shapes()).enumerate() {
        x.set(index, Batch::new(numbers, inputs[index].0[0], shape).unwrap());
    }
    let mut workspace = network.workspace(Purpose::Prediction);
    let y = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).unwrap();
    y.slice().iter().map(|y| y.to_f64()).collect()
}

/// The largest difference to what the model's own framework, or ONNX Runtime, has computed.
fn worst<T: Scalar>(name: &str, case: &Case) -> f64 {
    let imported: Imported<T> =
        Import::new().read(&case.model).unwrap_or_else(|error| panic!("{name} can't be read: {error}"));
    let y = predict(&imported.network, &case.inputs);
    assert_eq!(y.len(), case.y.1.len(), "{name}");
    y.iter().zip(&case.y.1).map(|(y, expected)| (y - expected).abs()).fold(0.0, f64::max)
}

#[test]
fn models_of_other_frameworks_compute_what_they_do_there() {
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (name, case) in cases() {
        let most = if name.ends_with("f64") { 1e-11 } else { 1e-5 };
        let off = if name.ends_with("f64") { worst::<f64>(&name, &case) } else { worst::<f32>(&name, &case) };
        table += &format!("{name:<44} {off:.1e}\n");
        if off > most {
            wrong.push(format!("{name}: {off:e}"));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "too far off: {wrong:?}");
}

/// The loss after each of some steps of Adam towards this target.
fn losses(network: &mut Network<f32>, x: &[f32], examples: usize, target: f32) -> Vec<f64> {
    let mut workspace = network.workspace(Purpose::Training);
    let mut adam = Adam::new(0.01);
    let shape = network.input_shapes()[0];
    (0..20)
        .map(|_| {
            let x = Batch::new(x, examples, shape).unwrap();
            let theta = network.parameters().to_vec();
            network.forward(&theta, x, &mut workspace, Mode::Training { step: 0 }).unwrap();
            let (y, mut dy) = workspace.loss_slots().unwrap();
            let mut sum = 0.0;
            for (dy, &y) in dy.slice().iter_mut().zip(y.slice()) {
                *dy = y - target;
                sum += f64::from(*dy * *dy);
            }
            network.backward(&theta, x, &mut workspace).unwrap();
            network.step(&mut adam, &mut workspace).unwrap();
            sum
        })
        .collect()
}

#[test]
fn what_was_imported_learns_on() {
    for (name, case) in cases() {
        if name.ends_with("f64") {
            continue;
        }
        let mut network = read::<f32>(&name).network;
        let before = predict(&network, &case.inputs);
        let x: Vec<f32> = case.inputs[0].1.iter().map(|&x| x as f32).collect();
        let losses = losses(&mut network, &x, case.inputs[0].0[0], 0.3);
        assert!(losses[19] < losses[0], "{name}: {losses:?}");
        assert_ne!(predict(&network, &case.inputs), before, "{name}");
    }
}

#[test]
fn what_was_imported_has_the_right_gradients() {
    for (name, case) in cases() {
        let network = read::<f64>(&name).network;
        if name.contains("language") {
            continue; // Its input has no derivative.
        }
        let shapes = network.input_shapes();
        let x = Batch::new(&case.inputs[0].1, case.inputs[0].0[0], shapes[0]).unwrap();
        let loss = |theta: &[f64]| {
            let mut workspace = network.workspace(Purpose::Prediction);
            let y = network.forward(theta, x, &mut workspace, Mode::Evaluation).unwrap();
            y.slice().iter().enumerate().map(|(place, y)| (place as f64 + 1.0).sin() * y).sum::<f64>()
        };
        let mut workspace = network.workspace(Purpose::Training);
        let theta = network.parameters().to_vec();
        network.forward(&theta, x, &mut workspace, Mode::Evaluation).unwrap();
        for (place, slot) in workspace.loss_slots().unwrap().1.slice().iter_mut().enumerate() {
            *slot = (place as f64 + 1.0).sin();
        }
        network.backward(&theta, x, &mut workspace).unwrap();
        let gradient = workspace.gradient().to_vec();
        for segment in network.segments() {
            // Some of each parameter.
            for place in segment.range.clone().step_by(segment.range.len().div_ceil(5)) {
                let h = 1e-5;
                let at = |by: f64| {
                    let mut theta = theta.clone();
                    theta[place] += by;
                    loss(&theta)
                };
                let expected = if segment.frozen { 0.0 } else { (at(h) - at(-h)) / (2.0 * h) };
                let off = (gradient[place] - expected).abs();
                assert!(off < 1e-5 * expected.abs().max(1.0), "{name}, {}: {off:e}", segment.name);
            }
        }
    }
}
