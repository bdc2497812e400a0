//! Models of other frameworks, such as `xtask/golden/onnx_import.py` has stored them, read and run without those.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use downhill_formats::onnx::{Export, Import, Imported};
use downhill_layers::{Inputs, Mode};
use downhill_network::{Network, Purpose};
use downhill_optim::Adam;
use downhill_tensor::{Batch, Scalar};
use safetensors::SafeTensors;

use crate::zoo;

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
    let names: Vec<String> =
        tensors.names().into_iter().filter_map(|name| name.strip_suffix(":model")).map(str::to_owned).collect();
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

/// What our export writes in operators that no layer has on its own: the case, and what is said of it.
const ONE_WAY: &[(&str, &str)] = &[
    ("attention_crossed_lengths", "whole numbers"),
    ("attention_lengths", "whole numbers"),
    ("attention_rotary", "product of two computed values"),
    ("bilinear", "Einsum"),
    ("bilinear_no_bias", "Einsum"),
    ("celu", "Greater"),
    ("elu", "Greater"),
    ("finite_padding", "whole numbers"),
    ("finite_padding_numbers", "whole numbers"),
    ("hardshrink", "LessOrEqual"),
    ("selu", "Greater"),
    ("threshold", "LessOrEqual"),
    ("transformer_lengths", "whole numbers"),
];

fn again<T: Scalar>(case: &zoo::Case, network: &Network<T>, most: f64) {
    let name = &case.name;
    let model = Export::new().to_bytes(network).unwrap_or_else(|error| panic!("{name}: {error}"));
    let imported = match Import::new().read::<T>(&model) {
        Ok(imported) => imported,
        Err(error) => {
            let known = ONE_WAY.iter().any(|(case, part)| case == name && error.to_string().contains(part));
            assert!(known, "{name}: {error}");
            return;
        }
    };
    let inputs = case.inputs(3, 7);
    let (y, again) = (predict(network, &inputs), predict(&imported.network, &inputs));
    assert_eq!(y.len(), again.len(), "{name}");
    for (place, (y, again)) in y.iter().zip(&again).enumerate() {
        let same = y == again || (y.is_nan() && again.is_nan());
        assert!(same || (y - again).abs() <= most * y.abs().max(1.0), "{name}, {place}: {y} became {again}");
    }
}

#[test]
fn what_we_export_is_read_again_as_what_it_was() {
    for case in zoo::cases().unwrap() {
        again::<f64>(&case, &case.network, 1e-11);
        again::<f32>(&case, &case.network.cast(), 1e-5);
    }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

#[test]
fn a_damaged_model_is_an_error_or_another_model() {
    let mut random = Random(1);
    let mut read = 0;
    for (name, case) in cases() {
        for _ in 0..60 {
            let mut model = case.model.clone();
            match random.below(4) {
                0 => model.truncate(random.below(model.len())),
                1 => {
                    let start = random.below(model.len());
                    let end = (start + random.below(64)).min(model.len());
                    model.drain(start..end);
                }
                // A number of many bytes, where a size or a setting may stand.
                2 => {
                    let at = random.below(model.len());
                    model.splice(at..at + 1, [255, 255, 255, 255, 255, 255, 255, 127]);
                }
                _ => {
                    for _ in 0..=random.below(4) {
                        let at = random.below(model.len());
                        model[at] ^= 1 << random.below(8);
                    }
                }
            }
            for import in [Import::new(), Import::new().without_batch()] {
                let begun = Instant::now();
                read += usize::from(import.read::<f32>(&model).is_ok());
                assert!(begun.elapsed() < Duration::from_secs(5), "{name}");
            }
        }
    }
    assert!(read > 0, "no damage was survived, so that nothing but the outermost door was tried");
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let text = |tag: u8, text: &str| [&[tag << 3 | 2, text.len() as u8], text.as_bytes()].concat();
    let inputs = inputs.iter().flat_map(|name| text(1, name));
    inputs.chain(outputs.iter().flat_map(|name| text(2, name))).chain(text(4, operator)).collect()
}

/// A model of an input `x` of this shape, these nodes, and the output `y`.
fn model(shape: &[u64], nodes: &[Vec<u8>]) -> Vec<u8> {
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(number as u8 | 128);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }
    let field = |tag: u64, bytes: &[u8]| [&varint(tag << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat();
    let number = |tag: u64, number: u64| [varint(tag << 3), varint(number)].concat();
    let value = |name: &str, shape: &[u64]| {
        let dims: Vec<u8> = shape.iter().flat_map(|&n| field(1, &number(1, n))).collect();
        let tensor = [number(1, 1), field(2, &dims)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let nodes: Vec<u8> = nodes.iter().flat_map(|node| field(1, node)).collect();
    let graph = [nodes, field(11, &value("x", shape)), field(12, &value("y", &[]))].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, 18))].concat()
}

fn refusal(shape: &[u64], nodes: &[Vec<u8>]) -> String {
    Import::new().read::<f32>(&model(shape, nodes)).expect_err("it should not be read").to_string()
}

#[test]
fn a_graph_that_is_none_is_an_error() {
    let relu = |x: &str, y: &str| node("Relu", &[x], &[y]);
    assert!(Import::new().read::<f32>(&model(&[0, 4], &[relu("x", "y")])).is_ok());
    let cyclic = refusal(&[0, 4], &[relu("z", "y"), relu("y", "z")]);
    assert!(cyclic.contains("reads `z`, which no input and no earlier node makes"), "{cyclic}");
    assert!(refusal(&[0, 4], &[node("Relu", &[], &["y"])]).contains("it lacks input 0"));
    assert!(refusal(&[0, 4], &[relu("x", "y"), relu("x", "y")]).contains("two nodes make the value `y`"));
    assert!(refusal(&[0, 4], &[relu("x", "z")]).contains("no value `y`"));
    assert!(refusal(&[0, 4], &[]).contains("no value `y`"));
    let unknown = refusal(&[0, 4], &[node("Frobnicate", &["x"], &["y"])]);
    assert_eq!(
        unknown,
        "node `frobnicate_0` (Frobnicate) can't be read: no layer, and no known composition of layers, computes this \
         operator"
    );
}

#[test]
fn lengths_that_only_a_header_claims_ask_for_no_memory() {
    let large = 1 << 40;
    let relu = [node("Relu", &["x"], &["y"])];
    // A network has no memory of its own for its values.
    assert!(Import::new().read::<f32>(&model(&[0, 1 << 20, 1 << 10], &relu)).is_ok());
    assert!(refusal(&[0, large, large], &relu).contains("too many"));
    // Attention without maps would hold the identity.
    let attention = [
        node("Transpose", &["x"], &["t"]),
        node("MatMul", &["x", "x"], &["s"]),
        node("Softmax", &["s"], &["p"]),
        node("MatMul", &["p", "x"], &["y"]),
    ];
    let reason = refusal(&[0, 1 << 16, 1 << 16], &attention);
    assert!(reason.contains("room") || reason.contains("parameters") || reason.contains("too"), "{reason}");
    // Of what is known, the shape alone is computed.
    let sizes =
        [node("Shape", &["x"], &["s"]), node("ConstantOfShape", &["s"], &["c"]), node("Add", &["x", "c"], &["y"])];
    assert!(Import::new().read::<f32>(&model(&[0, 1 << 20, 1 << 10], &sizes)).is_ok());
    let many = [
        node("Shape", &["x"], &["s"]),
        node("ConstantOfShape", &["s"], &["c"]),
        node("Range", &["s", "s", "s"], &["y"]),
    ];
    assert!(!refusal(&[0, 1 << 20, 1 << 10], &many).is_empty());
}

#[test]
fn a_classifier_of_scikit_learn_knows_its_classes() {
    let imported = read::<f32>("sklearn_classifier_f32");
    assert_eq!(imported.classes.as_deref(), Some(&["high", "low", "middle"].map(str::to_owned)[..]));
    assert_eq!(imported.network.class_names(), ["high", "low", "middle"]);
    assert_eq!((imported.inputs, imported.output.as_str()), (vec!["X".to_owned()], "output_probability"));
    assert_eq!(read::<f32>("sklearn_classifier_plain_f32").classes, imported.classes);
    // What only measures inputs does not learn.
    assert!(imported.network.segments().iter().take(2).all(|segment| segment.frozen));
}

#[test]
fn parameters_are_called_as_in_the_module_where_the_file_tells() {
    let network = read::<f32>("torch_mlp_script_f32").network;
    let names: Vec<&str> = network.segments().iter().map(|segment| segment.name.as_str()).collect();
    assert_eq!(names, ["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias", "6.weight", "6.bias"]);
    assert_eq!(network.parameter("0.weight").unwrap().shape(), [6, 4]);
}

#[test]
fn weights_that_a_model_reads_at_every_step_are_one_parameter() {
    // This exporter writes out the steps of a plain recurrent layer.
    let network = read::<f32>("torch_rnn_dynamo_f32").network;
    let recurrent = network.segments().iter().filter(|segment| segment.shape.axes() == [4, 4]);
    assert_eq!(recurrent.count(), 1);
}

#[test]
fn settings_say_what_a_model_leaves_open() {
    let relu = [node("Relu", &["x"], &["h"]), node("Tanh", &["h"], &["y"])];
    let open = model(&[0, 0, 8], &relu);
    let error = Import::new().read::<f32>(&open).unwrap_err().to_string();
    assert!(error.contains("input `x` leaves the length of an axis open; set it by `input_shape`"), "{error}");
    let imported = Import::new().input_shape("x", [3, 8]).output("h").read::<f32>(&open).unwrap();
    assert_eq!((imported.network.output_shape(), imported.output.as_str()), ([3, 8].into(), "h"));
    let imported = Import::new().input_shape("x", [3, 8]).batch_axis("x", 1).read::<f32>(&open).unwrap();
    assert_eq!(imported.batch_axis, Some(1));
    let error = Import::new().input_shape("z", [3, 8]).read::<f32>(&open).unwrap_err().to_string();
    assert!(error.contains("no input `z`; its inputs are x"), "{error}");
    let error = Import::new().input_shape("x", [3, 9]).read::<f32>(&open).unwrap_err().to_string();
    assert!(error.contains("[3, 9]"), "{error}");
    assert!(Import::new().input_shape("x", [3, 8]).batch_axis("x", 7).read::<f32>(&open).is_err());
}
