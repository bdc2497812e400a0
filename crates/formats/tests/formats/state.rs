//! Networks as safetensors files and NPZ archives, and PyTorch's state dicts as networks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use downhill_formats::{ElementType, FormatError, Load, Save, Tensors, npz, safetensors};
use downhill_layers::{
    Affine, BatchNorm, Bilinear, Conv1d, Conv2d, ConvTranspose2d, Description, Embedding, Flatten, GroupNorm, Gru,
    InstanceNorm, LayerNorm, LearntPositions, Lstm, MaxPool2d, MultiHeadAttention, PRelu, Relu, RmsNorm, Rnn, Scale,
    Tanh,
};
use downhill_network::{Block, Graph, Named, Network, Node, Shared, TransformerEncoderBlock, sequential};
use downhill_tensor::{BuildError, Scalar, Seed, Shape};
use ndarray::ArrayD;

use crate::damage::{bounded, damaged};

pub(crate) fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)
}

/// A network like a module of `xtask/golden/interop_state_dict.py`.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    input: Shape,
    block: Box<dyn Block>,
}

impl Case {
    fn new(name: &'static str, input: impl Into<Shape>, block: impl Block + 'static) -> Self {
        Self { name, input: input.into(), block: Box::new(block) }
    }

    pub(crate) fn network<T: Scalar>(&self, seed: u64) -> Network<T> {
        Network::build(self.input, Borrowed(&*self.block), Seed(seed)).unwrap()
    }

    /// The input and PyTorch's output.
    fn examples<T: Scalar>(&self) -> (ArrayD<T>, ArrayD<T>) {
        let examples = npz::read(fixture(&format!("{}.npz", self.name))).unwrap();
        let array = |name| examples.get(name).unwrap().to_array().unwrap();
        (array("x"), array("y"))
    }
}

#[derive(Debug)]
struct Borrowed<'a>(&'a dyn Block);

impl Block for Borrowed<'_> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        self.0.wire(graph, x)
    }
}

fn sequence(rnn: impl Block + 'static) -> impl Block {
    sequential![Named("rnn", rnn), Named("head", Affine::new(2))]
}

pub(crate) fn cases() -> Vec<Case> {
    let shared = Shared::new(Affine::new(4));
    vec![
        Case::new("mlp", [4], sequential![Affine::new(8), Tanh, Affine::new(3)]),
        Case::new(
            "cnn",
            [2, 6, 6],
            sequential![
                Conv2d::new(4, 3).padding(1),
                BatchNorm::new(),
                Relu,
                MaxPool2d::new(2),
                Conv2d::new(4, 2).groups(2).no_bias(),
                Flatten,
                Affine::new(3),
            ],
        ),
        Case::new("lstm", [5, 3], sequence(Lstm::new(4).layers(2).bidirectional())),
        Case::new("gru", [5, 3], sequence(Gru::new(4))),
        Case::new("transformer", [3, 4], TransformerEncoderBlock::new(2, 5).dropout(0.0)),
        Case::new(
            "maps",
            [2, 2, 2],
            sequential![
                ConvTranspose2d::new(4, 3).stride(2).groups(2),
                PRelu::new().per_channel(),
                GroupNorm::new(2),
                InstanceNorm::new().affine(),
                Flatten,
                RmsNorm::new().epsilon(1e-6),
                LayerNorm::new().no_bias(),
                Affine::new(2).no_bias(),
                PRelu::new(),
            ],
        ),
        Case::new(
            "tokens",
            [5],
            sequential![
                Named("embedding", Embedding::new(7, 4)),
                Named("rnn", Rnn::new(4)),
                Named("attention", MultiHeadAttention::new(2)),
                Named("norm", LayerNorm::new()),
            ],
        ),
        Case::new("tied", [4], sequential![Named("a", shared.clone()), Tanh, Named("b", shared)]),
    ]
}

/// The prediction in its own shape, as PyTorch has it.
fn predict<T: Scalar>(network: &Network<T>, x: &ArrayD<T>) -> ArrayD<T> {
    let shape = [&[x.shape()[0]], network.output_shape().axes()].concat();
    network.predict(x).unwrap().into_shape_with_order(shape).unwrap()
}

fn worst<T: Scalar>(a: &ArrayD<T>, b: &ArrayD<T>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    // A difference that is not a number is the worst of all.
    let larger = |worst: f64, off: f64| if off <= worst { worst } else { off };
    a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).abs()).fold(0.0, larger)
}

fn state_dicts_of_pytorch_predict_the_same<T: Scalar>(limit: f64) {
    for case in cases() {
        let mut network = case.network::<T>(1);
        let state = safetensors::read(fixture(&format!("{}.safetensors", case.name))).unwrap();
        Load::new().convert().apply(&mut network, &state).unwrap();
        let (x, y) = case.examples::<T>();
        let off = worst(&predict(&network, &x), &y);
        assert!(off <= limit, "{} in {}: {off:e}", case.name, T::NAME);
    }
}

#[test]
fn state_dicts_of_pytorch_predict_the_same_in_f32() {
    state_dicts_of_pytorch_predict_the_same::<f32>(1e-5);
}

#[test]
fn state_dicts_of_pytorch_predict_the_same_in_f64() {
    state_dicts_of_pytorch_predict_the_same::<f64>(1e-11);
    // Without any option, as they are in f64.
    for case in cases() {
        let path = fixture(&format!("{}.safetensors", case.name));
        safetensors::load(&mut case.network::<f64>(1), path).unwrap();
    }
}

/// Writes each case for `interop_state_dict.py --check`, to the folder that `INTEROP_FOLDER` names if it is set.
fn what_is_saved_is_loaded_again_bit_for_bit<T: Scalar>() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = env::var_os("INTEROP_FOLDER").map_or(temporary.path().to_owned(), PathBuf::from);
    for case in cases() {
        let mut network = case.network::<T>(7);
        let (x, _) = case.examples::<T>();
        for (index, x) in network.statistics_mut().iter_mut().enumerate() {
            *x = T::from_f64((index + 1) as f64);
        }
        let path = |ending: &str| folder.join(format!("{}.{}.{ending}", case.name, T::NAME));
        safetensors::save(&network, path("safetensors")).unwrap();
        npz::save(&network, path("npz")).unwrap();
        let mut examples = Tensors::new();
        let y = predict(&network, &x);
        examples.push("x", x.shape(), x.iter().copied()).unwrap();
        examples.push("y", y.shape(), y.iter().copied()).unwrap();
        npz::write(&examples, path("io.npz")).unwrap();

        let bits = |network: &Network<T>| -> Vec<u64> {
            network.parameters().iter().chain(network.statistics()).map(|x| x.to_f64().to_bits()).collect()
        };
        let mut other = case.network::<T>(8);
        assert_ne!(bits(&other), bits(&network));
        safetensors::load(&mut other, path("safetensors")).unwrap();
        assert_eq!(bits(&other), bits(&network), "{}", case.name);
        let mut other = case.network::<T>(8);
        npz::load(&mut other, path("npz")).unwrap();
        assert_eq!(bits(&other), bits(&network), "{}", case.name);
    }
    if env::var_os("INTEROP_FOLDER").is_none() {
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3 * cases().len(), "a temporary file is left");
    }
}

#[test]
fn what_is_saved_is_loaded_again_bit_for_bit_in_f32() {
    what_is_saved_is_loaded_again_bit_for_bit::<f32>();
}

#[test]
fn what_is_saved_is_loaded_again_bit_for_bit_in_f64() {
    what_is_saved_is_loaded_again_bit_for_bit::<f64>();
}

type Names = Vec<(&'static str, Vec<usize>)>;

/// Every layer with parameters: an input, and the names and shapes of PyTorch's state dict.
fn layers_with_parameters() -> Vec<(Description, Vec<usize>, Names)> {
    let scaled = |axes: &[usize]| vec![("weight", axes.to_vec()), ("bias", axes.to_vec())];
    let gates = |gates: usize| {
        let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
        names.into_iter().zip([vec![4 * gates, 3], vec![4 * gates, 4], vec![4 * gates], vec![4 * gates]]).collect()
    };
    let statistics = [("running_mean", vec![2]), ("running_var", vec![2]), ("num_batches_tracked", vec![])];
    vec![
        (Affine::new(2).into(), vec![3], vec![("weight", vec![2, 3]), ("bias", vec![2])]),
        (BatchNorm::new().into(), vec![2, 3], [scaled(&[2]), statistics.to_vec()].concat()),
        (Bilinear::new(4).into(), vec![2], vec![("weight", vec![4, 2, 2]), ("bias", vec![4])]),
        (Conv1d::new(4, 3).groups(2).into(), vec![2, 5], vec![("weight", vec![4, 1, 3]), ("bias", vec![4])]),
        (Conv2d::new(4, [3, 2]).into(), vec![2, 5, 5], vec![("weight", vec![4, 2, 3, 2]), ("bias", vec![4])]),
        (ConvTranspose2d::new(4, [3, 2]).into(), vec![2, 5, 5], vec![("weight", vec![2, 4, 3, 2]), ("bias", vec![4])]),
        (Embedding::new(7, 3).into(), vec![5], vec![("weight", vec![7, 3])]),
        (GroupNorm::new(2).into(), vec![4, 3], scaled(&[4])),
        (Gru::new(4).into(), vec![5, 3], gates(3)),
        (InstanceNorm::new().affine().into(), vec![4, 3], scaled(&[4])),
        (LayerNorm::new().axes(2).into(), vec![4, 3], scaled(&[4, 3])),
        // In PyTorch an `Embedding` of the positions.
        (LearntPositions::new().into(), vec![4, 3], vec![("weight", vec![4, 3])]),
        (Lstm::new(4).into(), vec![5, 3], gates(4)),
        (
            MultiHeadAttention::new(2).into(),
            vec![3, 4],
            vec![
                ("in_proj_weight", vec![12, 4]),
                ("in_proj_bias", vec![12]),
                ("out_proj.weight", vec![4, 4]),
                ("out_proj.bias", vec![4]),
            ],
        ),
        (PRelu::new().per_channel().into(), vec![3, 2], vec![("weight", vec![3])]),
        (RmsNorm::new().into(), vec![4, 3], vec![("weight", vec![3])]),
        (Rnn::new(4).into(), vec![5, 3], gates(1)),
        // PyTorch has no such layer.
        (Scale::new(2.0).into(), vec![3], vec![("weight", vec![])]),
    ]
}

#[test]
fn every_layer_has_pytorchs_names_and_shapes() {
    let mut seen = BTreeSet::new();
    for (layer, input, names) in layers_with_parameters() {
        seen.insert(kind(&layer));
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(&input).unwrap());
        let inputs = if matches!(layer, Description::Bilinear(_)) { vec![x, x] } else { vec![x] };
        let y = graph.scoped("part", |graph| graph.place(layer.clone(), &inputs)).unwrap();
        let build = |seed| Network::<f32>::from_graph(&graph, y, Seed(seed)).unwrap();
        let network = build(1);
        let tensors = Save::new().tensors(&network).unwrap();
        let found: BTreeSet<_> =
            tensors.iter().map(|tensor| (tensor.name().to_owned(), tensor.shape().to_vec())).collect();
        let expected: BTreeSet<_> = names.iter().map(|(name, shape)| (format!("part.{name}"), shape.clone())).collect();
        assert_eq!(found, expected, "{layer:?}");
        let mut other = build(2);
        Load::new().apply(&mut other, &tensors).unwrap();
        assert_eq!((other.parameters(), other.statistics()), (network.parameters(), network.statistics()));
    }
    // No layer with parameters is missing above: its source would declare one.
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../layers/src");
    let unseen = Description::NAMES.iter().filter(|name| !seen.contains(**name));
    for (name, source) in unseen.flat_map(|name| source_of(&sources, name).map(|source| (name, source))) {
        assert!(!source.contains(".parameter(Parameter::new"), "{name} has parameters");
    }
}

/// The text of the file that defines a layer, unless it is defined with others by a macro.
fn source_of(folder: &Path, name: &str) -> Option<String> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return source_of(&path, name);
        }
        let source = fs::read_to_string(path).unwrap();
        [format!("pub struct {name};"), format!("pub struct {name} {{")]
            .iter()
            .any(|line| source.contains(line))
            .then_some(source)
    })
}

fn kind(layer: &Description) -> String {
    serde_json::to_value(layer).unwrap()["type"].as_str().unwrap().to_owned()
}

fn small(seed: u64) -> Network<f32> {
    Network::build([4], sequential![Affine::new(8), BatchNorm::new(), Affine::new(3)], Seed(seed)).unwrap()
}

fn misfit(error: FormatError) -> downhill_formats::Misfit {
    match error {
        FormatError::Misfit(misfit) => misfit,
        other => panic!("{other}"),
    }
}

#[test]
fn all_that_does_not_fit_is_said_at_once_and_nothing_changes() {
    let mut tensors = Save::new().only(|name| name != "0.bias" && name != "1.running_var").tensors(&small(1)).unwrap();
    tensors.push("extra", &[], [1.0f32]).unwrap();
    tensors.push("1.running_var", &[2, 4], [1.0f32; 8]).unwrap();
    tensors.push("0.bias", &[8], [1.0f64; 8]).unwrap();
    let mut network = Network::<f32>::build(
        [4],
        sequential![Affine::new(8), BatchNorm::new(), Affine::new(3), Affine::new(2)],
        Seed(2),
    )
    .unwrap();
    let before = network.clone();
    let error = Load::new().apply(&mut network, &tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file does not fit the network: it lacks `3.weight`, `3.bias`; it holds `extra`, which the network does not \
         have; `1.running_var` has the shape [8] in the network and [2, 4] in the file; `0.bias` is made of f32 in the \
         network and of f64 in the file; `Load::convert` takes numbers of other precisions"
    );
    let misfit = misfit(error);
    assert_eq!((misfit.missing.len(), misfit.other_shapes.len(), misfit.other_types.len()), (2, 1, 1));
    assert_eq!((network.parameters(), network.statistics()), (before.parameters(), before.statistics()));
}

#[test]
fn prefix_renaming_part_and_what_is_ignored_are_options() {
    let network = small(1);
    let theirs = |name: &str| name.replace("0.", "first.").replace("2.", "last.");
    let mut tensors = Save::new().prefix("encoder.").rename(theirs).tensors(&network).unwrap();
    assert!(tensors.get("encoder.first.weight").is_some() && tensors.get("encoder.last.bias").is_some());
    tensors.push("decoder.weight", &[1], [0f32]).unwrap();
    tensors.push("encoder.position_ids", &[1], [0f32]).unwrap();

    let mut other = small(2);
    let load = || Load::new().prefix("encoder.").rename(theirs);
    let left_over = misfit(load().apply(&mut other, &tensors).unwrap_err()).left_over;
    assert_eq!(left_over, ["encoder.position_ids"]);
    load().ignore(|name| name.ends_with("position_ids")).apply(&mut other, &tensors).unwrap();
    assert_eq!(other.parameters(), network.parameters());

    let mut part = small(2);
    let fresh = part.clone();
    load().ignore(|name| name.ends_with("ids")).only(|name| name.starts_with("2.")).apply(&mut part, &tensors).unwrap();
    assert_eq!(part.parameter("2.weight").unwrap(), network.parameter("2.weight").unwrap());
    assert_eq!(part.parameter("0.weight").unwrap(), fresh.parameter("0.weight").unwrap());
}

#[test]
fn one_name_for_two_tensors_is_an_error() {
    let error = Save::new().rename(|_| "same".into()).tensors(&small(1)).unwrap_err().to_string();
    assert_eq!(error, "tensor `same` is there already");
}

#[test]
fn other_precisions_are_rounded_where_that_is_asked_for() {
    let network = small(1);
    for (element, limit) in
        [(ElementType::F16, 1e-3), (ElementType::Bf16, 4e-3), (ElementType::F32, 0.0), (ElementType::F64, 0.0)]
    {
        let tensors = Save::new().element_type(element).tensors(&network).unwrap();
        assert_eq!(tensors.get("0.weight").unwrap().element_type(), element);
        assert_eq!(tensors.get("1.num_batches_tracked").unwrap().element_type(), ElementType::I64);
        let bytes = safetensors::to_bytes(&tensors).unwrap();
        let read = safetensors::from_bytes(&bytes).unwrap();
        let mut other = small(2);
        assert_eq!(Load::new().apply(&mut other, &read).is_ok(), element == ElementType::F32);
        Load::new().convert().apply(&mut other, &read).unwrap();
        let off = other.parameters().iter().zip(network.parameters()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= limit && (off > 0.0) == (limit > 0.0), "{element}: {off}");
        let mut wide = network.cast::<f64>();
        Load::new().convert().apply(&mut wide, &read).unwrap();
        assert_eq!(wide.parameters()[0], f64::from(other.parameters()[0]));
    }
    let error = Save::new().element_type(ElementType::I32).tensors(&network).unwrap_err().to_string();
    assert!(error.contains("can't be rounded to i32"), "{error}");
}

#[test]
fn a_number_that_is_too_large_for_its_new_type_is_an_error() {
    let mut wide = small(1).cast::<f64>();
    wide.parameters_mut()[3] = 1e39;
    let mut narrow = small(2);
    let before = narrow.clone();
    let tensors = Save::new().tensors(&wide).unwrap();
    let error = Load::new().convert().apply(&mut narrow, &tensors).unwrap_err().to_string();
    assert_eq!(error, "tensor `0.weight` holds 1e39, which is too large for f32; load it into an f64 network");
    assert_eq!(narrow.parameters(), before.parameters());
    let error = Save::new().element_type(ElementType::F16).tensors(&wide).unwrap_err().to_string();
    assert!(error.starts_with("tensor `0.weight` holds 1000000000"), "{error}");
}

#[test]
fn numbers_need_not_be_finite() {
    let mut network = small(1);
    network.parameters_mut()[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::from_bits(0x7f80_0001)]);
    let bytes = safetensors::to_bytes(&Save::new().tensors(&network).unwrap()).unwrap();
    let mut other = small(2);
    Load::new().apply(&mut other, &safetensors::from_bytes(&bytes).unwrap()).unwrap();
    let bits = |network: &Network<f32>| network.parameters().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&other), bits(&network));
}

#[test]
fn a_shared_parameter_has_the_names_of_all_its_layers() {
    let tied = cases().pop().unwrap();
    let network = tied.network::<f32>(1);
    let both = Save::new().tensors(&network).unwrap();
    assert_eq!(both.len(), 4);
    let mut one = Tensors::new();
    let mut other = Tensors::new();
    for tensor in both.iter() {
        let numbers = tensor.to_array::<f32>().unwrap();
        // As `safetensors.torch.save_model` writes it: under one of the names.
        if tensor.name().starts_with("b.") {
            one.push(tensor.name(), tensor.shape(), numbers.iter().copied()).unwrap();
        }
        let changed = if tensor.name() == "b.weight" { 1.0 } else { 0.0 };
        other.push(tensor.name(), tensor.shape(), numbers.iter().map(|x| x + changed)).unwrap();
    }
    let mut loaded = tied.network::<f32>(2);
    Load::new().apply(&mut loaded, &one).unwrap();
    assert_eq!(loaded.parameters(), network.parameters());
    let error = Load::new().apply(&mut loaded, &other).unwrap_err();
    assert!(error.to_string().contains("`a.weight` and `b.weight` are one parameter"), "{error}");
    assert_eq!(misfit(error).different, [("a.weight".into(), "b.weight".into())]);
}

#[test]
fn the_same_network_is_the_same_file_and_its_metadata_are_pytorchs() {
    let mut tensors = Save::new().tensors(&small(1)).unwrap();
    ["b", "a", "c"].iter().for_each(|key| tensors.set_metadata(*key, "\"quoted\" ⚙"));
    let bytes = safetensors::to_bytes(&tensors).unwrap();
    assert_eq!(bytes, safetensors::to_bytes(&tensors.clone()).unwrap());
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(header % 8, 0, "numbers are aligned");
    let read = safetensors::from_bytes(&bytes).unwrap();
    assert_eq!(read.metadata()["format"], "pt");
    assert_eq!(read.metadata()["a"], "\"quoted\" ⚙");
    assert!(read.iter().eq(tensors.iter()));
}

#[test]
fn a_file_is_replaced_whole_and_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    safetensors::save(&small(1), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let mut bad = Tensors::new();
    bad.push("__metadata__", &[], [1.0f32]).unwrap();
    let error = safetensors::write(&bad, &path).unwrap_err().to_string();
    assert!(error.contains("model.safetensors: tensor `__metadata__` has the name"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    safetensors::save(&small(2), &path).unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);

    for path in [folder.path().join("no/such/file"), PathBuf::from("/"), folder.path().join("..")] {
        let error = safetensors::save(&small(1), &path).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
    let error = safetensors::load(&mut small(1), folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none: "), "{error}");
    fs::write(&path, b"hello").unwrap();
    let error = safetensors::load(&mut small(1), &path).unwrap_err().to_string();
    assert!(error.contains("this is no valid safetensors file: "), "{error}");
}

/// Our verdict and that of the crate `safetensors`, which must be one.
fn verdict(bytes: &[u8]) -> bool {
    let theirs = ::safetensors::SafeTensors::deserialize(bytes);
    let ours = safetensors::from_bytes(bytes);
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} and {:?}", ours.err(), theirs.err());
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return false };
    assert_eq!(ours.len(), theirs.len());
    for tensor in ours.iter() {
        let other = theirs.tensor(tensor.name()).unwrap();
        assert_eq!((tensor.shape(), tensor.bytes()), (other.shape(), other.data()));
        let _ = tensor.to_array::<f32>();
    }
    let _ = Load::new().convert().apply(&mut small(1), &ours);
    true
}

#[test]
fn damaged_files_never_panic_and_are_judged_as_the_format_has_it() {
    let whole = safetensors::to_bytes(&Save::new().tensors(&small(1)).unwrap()).unwrap();
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let mut valid = 0;
    damaged(&whole, 4000, 1, |bytes| valid += usize::from(verdict(bytes)));
    // Changes of the header alone, most of which are no longer JSON.
    damaged(&whole[8..header], 4000, 2, |text| {
        let bytes = [&(text.len() as u64).to_le_bytes(), text, &whole[header..]].concat();
        valid += usize::from(verdict(&bytes));
    });
    assert!((50..7000).contains(&valid), "{valid} of 8000 are valid");
    for (text, data) in [
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
            6,
        ),
        (r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#, 4),
        (r#"{"a":{"dtype":"F32","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}}"#, 0),
        (
            r#"{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]},"b":{"dtype":"F8_E4M3","shape":[],"data_offsets":[1,2]}}"#,
            2,
        ),
        (r#"{"__metadata__":{"a":1}}"#, 0),
        (r#"{"__metadata__":{"a":"1"}}"#, 0),
        ("{}", 0),
        ("", 0),
    ] {
        verdict(&[&(text.len() as u64).to_le_bytes(), text.as_bytes(), &vec![0; data]].concat());
    }
}

#[test]
fn no_header_takes_more_memory_than_twice_the_file() {
    let file = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let many = |part: &str, times: usize| part.repeat(times);
    let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let tensors: String = (0..60_000).map(|index| format!(r#""{index}":{empty},"#)).collect();
    let strings: String = (0..200_000).map(|index| format!(r#""{index}":"","#)).collect();
    for text in [
        format!(r#"{{"a":[{}0]}}"#, many("0,", 3_000_000)),
        format!(r#"{{"a":[{}0]}}"#, many("[0],", 2_000_000)),
        format!(r#"{{"a":[{}0]}}"#, many(r#"{"":0},"#, 1_000_000)),
        format!(r#"{{"a":[{}0]}}"#, many("\"\\n\",", 1_000_000)),
        format!(r#"{{{tensors}"a":{empty}}}"#),
        format!(r#"{{"__metadata__":{{{strings}"a":""}}}}"#),
        format!(r#"{{"__metadata__":{{"a":"{}"}}}}"#, many("\\n", 8_000_000)),
        many("[", 4_000_000),
    ] {
        let bytes = file(&text);
        bounded(bytes.len(), || drop(safetensors::from_bytes(&bytes)));
    }
    // What real files have is far below the bound.
    let tensors: String = (0..5_000).map(|index| format!(r#""layers.{index}.weight":{empty},"#)).collect();
    let bytes = file(&format!(r#"{{{tensors}"a":{empty}}}"#));
    assert_eq!(safetensors::from_bytes(&bytes).unwrap().len(), 5_001);
}
