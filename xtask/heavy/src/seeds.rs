//! `cargo xtask seeds`: writes the files that fuzzing begins with.

use std::fs;
use std::path::Path;

use downhill::data::{Columns, Missing, npy};
use downhill::formats::{Save, npz, onnx, safetensors};
use downhill::layers::{
    AveragePool2d, BatchNorm, Conv1d, Conv2d, Gru, LayerNorm, MultiHeadAttention, PRelu, Permute, Rnn, Softmax,
};
use downhill::model::Model;
use downhill::ndarray::{ArrayD, IxDyn, ShapeBuilder};
use downhill::network::Sequential;
use downhill::optim::Optimizer as _;
use downhill::prelude::*;

use crate::{Result, no_faults, workspace};

/// Writes the files that fuzzing begins with to `xtask/fuzz/corpus`: small ones of every format, with all that it can say.
#[derive(Debug, clap::Parser)]
pub(crate) struct Arguments {
    /// Writes nothing, and fails if a file is not as it would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let corpus = workspace::root().join("xtask/fuzz/corpus");
    let mut faults = Vec::new();
    for (path, bytes) in seeds()? {
        let file = corpus.join(&path);
        if !arguments.check {
            fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
            fs::write(&file, bytes)?;
        } else if fs::read(&file).ok() != Some(bytes) {
            faults.push(format!("xtask/fuzz/corpus/{path} is not what `cargo xtask seeds` writes"));
        }
    }
    no_faults(&faults)
}

const TABLES: [(&str, &str); 6] = [
    ("plain", "kind,size\nplum,3\napple,7.5e0\nplum,4\n"),
    ("gaps", "a,b,c\n1,,x\nNA,2,y\n3,NaN,\n"),
    ("quotes", "\"a \"\"b\"\"\",c\n\"two\nlines\",\" 1 \"\n\"\",2\n"),
    ("lines", "\u{feff}a,b\r\n1,2\r3,4\n\n\n5,6"),
    ("odd", "a,b\n6\" nails,1\n5' 6\",2\n"),
    ("one", "x\n1\n2\n"),
];

const SETTINGS: [(&str, &str); 4] = [
    (
        "all",
        "target = \"price\"\ntask = \"regression\"\nnumeric = [\"a\"]\ncategorical = [\"b\", \"c\"]\ndates = [\"d\"]\n\
         leave-out = []\nmissing = [\"-\"]\nunit = \"EUR\"\ndelimiter = \"tab\"\nhidden = [128, 64]\nactivation = \"gelu\"\n\
         dropout = 0.25\nmembers = 2\nepochs = 100\nbatch-size = 16\nlearning-rate = 1e-3\nweight-decay = 0\n\
         label-smoothing = 0.1\npatience = 5\nholdout = 0.2\nsearch = false\nseed = 7\n",
    ),
    ("folds", "task = 'classification'\nfolds = 5 # instead of a holdout\nactivation = 'relu'\nsearch = true\n"),
    (
        "forms",
        "\"target\" = \"\"\"\n\\u00fc \\\n  b\"\"\"\r\nhidden = [\n  0x10, 1_000, # two\n]\nweight-decay = +inf\n",
    ),
    ("unknown", "[train.more]\nepochs = { a = 1, b = [2024-03-31, 18:30:00] }\n[[train.parts]]\nx.y = nan\n"),
];

/// Small networks that between them have what files can say of one.
fn networks() -> Result<Vec<(&'static str, Network<f32>)>> {
    let build = |shape: &[usize], layers: Sequential| {
        Network::build(downhill::tensor::Shape::new(shape).ok_or("a shape has few axes")?, layers, Seed(1))
            .map_err(Into::into)
    };
    let all: Vec<(_, Result<Network<f32>>)> = vec![
        ("mlp", build(&[2], sequential![Affine::new(3), Tanh, Dropout::new(0.1), Affine::new(2), Softmax])),
        ("residual", build(&[3], sequential![Residual(sequential![Affine::new(3), PRelu::new()]), LayerNorm::new()])),
        (
            "cnn",
            build(
                &[1, 5, 5],
                sequential![
                    Conv2d::new(2, 3).stride(2).padding(1),
                    BatchNorm::new(),
                    Relu,
                    AveragePool2d::new(2),
                    Flatten
                ],
            ),
        ),
        ("conv1d", build(&[2, 4], sequential![Conv1d::new(2, 2).groups(2), Permute::new([1, 0])])),
        ("rnn", build(&[3, 2], sequential![Rnn::new(2).last_state(), Sigmoid])),
        ("lstm", build(&[3, 2], sequential![Lstm::new(2).bidirectional()])),
        ("gru", build(&[3, 2], sequential![Gru::new(2).layers(2)])),
        ("attention", build(&[3, 4], sequential![MultiHeadAttention::new(2), Gelu::new()])),
        ("embedding", build(&[3], sequential![Embedding::new(5, 2), Flatten])),
    ];
    all.into_iter().map(|(name, network)| Ok((name, network?))).collect()
}

/// A model with all parts.
fn model() -> Result<Model<f32>> {
    let table = downhill::data::Table::read("kind,size,colour\nplum,3,blue\napple,NA,red\napple,8,green\n".as_bytes())?;
    let schema =
        Columns::for_class("kind").numeric(["size"]).categorical(["colour"]).missing(Missing::Fill).fit(&table)?;
    let data: Dataset<f32> = schema.dataset(&table)?;
    let mut network = Network::build(data.input_shape(), sequential![Affine::new(2), BatchNorm::new()], Seed(2))?;
    network.set_meaning(SoftmaxCrossEntropy::new().meaning());
    let scaler = StandardScaler::fit(data.inputs().matrix())?;
    Ok(Model::builder(network).schema(schema).input_scaler(scaler).note("by", "seeds").build()?)
}

/// Every seed: its path in the corpus, and its bytes.
fn seeds() -> Result<Vec<(String, Vec<u8>)>> {
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, text) in TABLES {
        seeds.push((format!("csv/{name}"), text.into()));
    }
    for (name, text) in SETTINGS {
        seeds.push((format!("settings/{name}"), text.into()));
    }
    seeds.push((
        "idx/images".into(),
        [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2][..], &[0, 128, 255, 3]].concat(),
    ));
    seeds.push(("idx/floats".into(), [&[0, 0, 13, 1, 0, 0, 0, 1][..], &1.5f32.to_be_bytes()].concat()));
    for (name, network) in networks()? {
        let tensors = Save::new().tensors(&network)?;
        seeds.push((format!("json/{name}"), serde_json::to_vec(&network.description()?)?));
        seeds.push((format!("safetensors/{name}"), safetensors::to_bytes(&tensors)?));
        seeds.push((format!("npz/{name}"), npz::to_bytes(&tensors)?));
        seeds.push((format!("onnx/{name}"), onnx::Export::new().to_bytes(&network)?));
        seeds.push((format!("model/{name}"), Model::builder(network).build()?.to_bytes()?));
    }
    let (mut optimizer, mut theta) = (Adam::<f32>::new(0.1), [1.0, -2.0]);
    optimizer.step(&mut theta, &[0.5, 0.25]);
    let model = model()?;
    seeds.push(("json/optimizer".into(), serde_json::to_vec(&optimizer.state())?));
    seeds.push(("json/state".into(), serde_json::to_vec(&model.network().state())?));
    seeds.push(("json/schema".into(), serde_json::to_vec(&model.schema())?));
    seeds.push(("json/scaler".into(), serde_json::to_vec(&StandardScaler::from_parts(&[0.5], &[2.0])?)?));
    seeds.push(("model/table".into(), model.to_bytes()?));
    let mut npy = |name: &str, array: &ArrayD<f64>| -> Result {
        let mut bytes = Vec::new();
        npy::write(&mut bytes, array)?;
        seeds.push((format!("npy/{name}"), bytes));
        Ok(())
    };
    npy("c_order", &ArrayD::from_shape_vec(IxDyn(&[2, 2]), vec![1.0, 2.0, 3.0, 4.0])?)?;
    npy("fortran_order", &ArrayD::from_shape_vec(IxDyn(&[2, 2]).f(), vec![1.0, 2.0, 3.0, 4.0])?)?;
    npy("none", &ArrayD::zeros(IxDyn(&[0, 3])))?;
    npy("one", &ArrayD::zeros(IxDyn(&[])))?;
    Ok(seeds)
}
