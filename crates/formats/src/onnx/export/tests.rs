use std::collections::{BTreeSet, HashSet};

use downhill_layers::{Activation, Affine, Description, Relu};
use downhill_network::{Network, sequential};
use downhill_tensor::{Scalar, Seed};

use super::super::proto::ModelProto;
use super::super::tensor::data_type;
use super::*;

#[path = "../../../tests/formats/zoo.rs"]
mod zoo;

use zoo::{Case, Kind};

fn cases() -> Vec<Case> {
    zoo::cases().unwrap()
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn graph<T: Scalar>(export: &Export, network: &Network<T>) -> GraphProto {
    let bytes = export.to_bytes(network).unwrap();
    ModelProto::read(bytes.into()).unwrap().graph.unwrap()
}

fn dims(value: &ValueInfoProto) -> (i32, Vec<String>) {
    let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
    let dims = tensor.shape.unwrap().dim;
    let dim = |dim: DimensionProto| dim.dim_param.unwrap_or_else(|| dim.dim_value.unwrap().to_string());
    (tensor.elem_type, dims.into_iter().map(dim).collect())
}

#[test]
fn every_kind_of_layer_is_exported() {
    let mut kinds = BTreeSet::new();
    for case in cases() {
        for step in case.network.description().unwrap().steps {
            let debug = format!("{:?}", step.layer.library().unwrap());
            kinds.insert(debug.split('(').next().unwrap().to_owned());
        }
    }
    let names: BTreeSet<String> = Description::NAMES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(kinds, names);
}

#[test]
fn a_graph_reads_only_what_came_before_and_names_everything_once() {
    for case in cases() {
        for double in [false, true] {
            let export = Export::new();
            let graph =
                if double { graph(&export, &case.network) } else { graph(&export, &case.network.cast::<f32>()) };
            let mut known: HashSet<String> = HashSet::new();
            let inputs = graph.input.iter().map(|value| &value.name);
            for name in inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)) {
                assert!(known.insert(name.clone()), "{}: {name} is there twice", case.name);
            }
            let (mut nodes, mut read) = (HashSet::new(), HashSet::new());
            for node in &graph.node {
                assert!(!node.name.is_empty() && nodes.insert(node.name.clone()), "{}: {}", case.name, node.name);
                for input in node.input.iter().filter(|input| !input.is_empty()) {
                    assert!(
                        known.contains(input),
                        "{}: {input} is read by {} before it is there",
                        case.name,
                        node.name
                    );
                    read.insert(input.clone());
                }
                for output in node.output.iter().filter(|output| !output.is_empty()) {
                    assert!(known.insert(output.clone()), "{}: {output} is there twice", case.name);
                }
            }
            assert_eq!(graph.output.len(), 1);
            assert!(known.contains(&graph.output[0].name), "{}", case.name);
            for tensor in &graph.initializer {
                assert!(read.contains(&tensor.name), "{}: nothing reads {}", case.name, tensor.name);
                let array = tensor.read().unwrap();
                assert!(tensor.data_type != if double { data_type::FLOAT } else { data_type::DOUBLE });
                assert_eq!(array.numbers.len(), array.shape.iter().product::<usize>());
            }
        }
    }
}

#[test]
fn no_shape_holds_the_size_of_a_batch() {
    for case in cases() {
        let graph = graph(&Export::new(), &case.network);
        let tensors = || graph.initializer.iter().map(|tensor| (&tensor.name, tensor));
        for node in graph.node.iter().filter(|node| node.op_type == "Reshape") {
            let (_, shape) = tensors().find(|(name, _)| **name == node.input[1]).unwrap();
            assert_eq!(shape.read().unwrap().ints().unwrap()[0], 0, "{}: {}", case.name, node.name);
        }
        for value in graph.input.iter().chain(&graph.output) {
            assert_eq!(dims(value).1[0], "batch");
        }
    }
}

#[test]
fn inputs_output_and_parameters_have_their_names_shapes_and_types() {
    let network = case("lstm_lengths").network.cast::<f32>();
    let graph_of = |export: Export| graph(&export, &network);
    let default = graph_of(Export::new());
    let names = |graph: &GraphProto| -> Vec<String> { graph.input.iter().map(|value| value.name.clone()).collect() };
    assert_eq!(names(&default), ["input_0", "input_1"]);
    assert_eq!(dims(&default.input[0]), (data_type::FLOAT, vec!["batch".into(), "6".into(), "3".into()]));
    assert_eq!(dims(&default.input[1]), (data_type::INT64, vec!["batch".into(), "1".into()]));
    assert_eq!(dims(&default.output[0]), (data_type::FLOAT, vec!["batch".into(), "8".into()]));
    assert_eq!(default.output[0].name, "output");
    let named = graph_of(Export::new().input_names(["x", "steps"]).output_name("y").float_inputs());
    assert_eq!((names(&named), &*named.output[0].name), (vec!["x".into(), "steps".into()], "y"));
    assert_eq!(dims(&named.input[1]).0, data_type::FLOAT);

    let mlp = case("mlp").network;
    let graph = graph(&Export::new(), &mlp);
    let shapes: Vec<_> = graph.initializer.iter().map(|tensor| (&*tensor.name, &tensor.dims[..])).collect();
    assert_eq!(shapes[..2], [("0.weight", &[16, 6][..]), ("0.bias", &[16])]);
    let weight = graph.initializer[0].read().unwrap().scalars::<f64>();
    assert!(weight.iter().eq(mlp.parameter("0.weight").unwrap().iter()));
    let nodes: Vec<_> = graph.node.iter().map(|node| (&*node.name, &*node.op_type)).collect();
    assert_eq!(nodes, [("0", "Gemm"), ("1", "Relu"), ("3", "Gemm"), ("4", "Tanh"), ("5", "Gemm")]);
}

#[test]
fn shared_parameters_are_written_once() {
    let graph = graph(&Export::new(), &case("shared").network);
    let names = graph.initializer.iter().map(|tensor| &*tensor.name);
    let parameters: Vec<_> = names.filter(|name| !name.ends_with("shape") && !name.contains("shape_")).collect();
    assert_eq!(parameters, ["left.0.weight", "left.0.bias", "left.2/l0.W", "left.2/l0.R", "left.2/l0.B"]);
}

#[test]
fn the_model_says_what_it_is() {
    let network = Network::<f32>::build([4], Affine::new(3), Seed(1)).unwrap();
    let export = Export::new().metadata("trained on", "x").metadata("trained on", "iris").metadata("by", "us");
    let model = ModelProto::read(export.to_bytes(&network).unwrap().into()).unwrap();
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, 18));
    assert_eq!((&*model.producer_name, &*model.producer_version), ("downhill", env!("CARGO_PKG_VERSION")));
    let entries: Vec<_> = model.metadata_props.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
    assert_eq!(entries, [("trained on", "iris"), ("by", "us")]);
}

#[test]
fn names_that_do_not_fit_are_errors() {
    let network = Network::<f32>::build([4], sequential![Affine::new(3), Relu], Seed(1)).unwrap();
    let error = |export: Export| export.to_bytes(&network).unwrap_err().to_string();
    assert_eq!(
        error(Export::new().input_names(["a", "b"])),
        "the ONNX export can't be made: 2 names were given for 1 inputs; give each input one"
    );
    assert!(error(Export::new().input_names([""])).contains("empty name"));
    for export in [Export::new().output_name("input"), Export::new().input_names(["0.weight"])] {
        assert!(error(export).contains("take another"));
    }
}

/// y = x/(1 + x²)
#[derive(Clone, Copy, Debug)]
struct Bump;

impl Activation for Bump {
    fn name(&self) -> &'static str {
        "Bump"
    }

    fn value<T: Scalar>(&self, x: T) -> T {
        x / (T::ONE + x * x)
    }

    fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
        let square = x * x;
        (T::ONE - square) / ((T::ONE + square) * (T::ONE + square))
    }
}

#[test]
fn a_layer_of_the_users_own_is_named_in_the_error() {
    let network = Network::<f32>::build([4], sequential![Affine::new(3), Bump], Seed(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bump.onnx");
    let error = Export::new().save(&network, &path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    assert!(error.contains("Bump `1` can't be written as ONNX: it is no layer of the library"), "{error}");
    assert!(!path.exists());
}

#[test]
fn inputs_for_the_cases_are_in_range() {
    for case in cases() {
        let inputs = case.inputs(5, 1);
        for ((shape, numbers), kind) in inputs.iter().zip(&case.inputs) {
            assert_eq!(shape.iter().product::<usize>(), numbers.len());
            if let Kind::Whole(least, most) = *kind {
                assert!(numbers.iter().all(|&x| (least as f64..=most as f64).contains(&x) && x.fract() == 0.0));
            }
        }
    }
}
