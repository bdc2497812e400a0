//! Models of other frameworks, as `xtask/golden/onnx_import.py` has stored them, read and run without those.

use std::collections::BTreeMap;

use downhill_formats::FormatError;
use downhill_formats::onnx::{Import, Imported};
use downhill_layers::{Inputs, Mode};
use downhill_network::{Network, Purpose};
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
        let off = std::panic::catch_unwind(|| if name.ends_with("f64") { worst::<f64>(&name, &case) } else { worst::<f32>(&name, &case) }).unwrap_or(9.0);
        table += &format!("{name:<44} {off:.1e}\n");
        if off > most {
            wrong.push(format!("{name}: {off:e}"));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "too far off: {wrong:?}");
}
