//! `cargo xtask interop`: what the library has to write and read for each part.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use downhill_formats::onnx::Export;
use downhill_network::Network;
use downhill_tensor::Scalar;
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, View};

use crate::Result;

#[path = "../../../crates/formats/tests/formats/zoo.rs"]
mod zoo;

/// Writes or reads the files of one part of `cargo xtask interop`, which runs the other side.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    part: Part,
    /// Where the files are.
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// Writes networks as ONNX models, with inputs and outputs.
    OnnxExport,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    match arguments.part {
        Part::OnnxExport => onnx_export(&arguments.folder),
    }
}

/// The sizes of the batches that a model is tried with.
const BATCHES: [usize; 2] = [1, 5];

fn onnx_export(folder: &Path) -> Result {
    fs::create_dir_all(folder)?;
    for case in zoo::cases()? {
        write_case(&case, &case.network.cast::<f32>(), folder, "f32")?;
        write_case(&case, &case.network, folder, "f64")?;
    }
    Ok(())
}

/// Writes a network and its answers.
fn write_case<T: Scalar>(case: &zoo::Case, network: &Network<T>, folder: &Path, precision: &str) -> Result {
    Export::new().save(network, folder.join(format!("{}.{precision}.onnx", case.name)))?;
    let mut tensors = Vec::new();
    for examples in BATCHES {
        let mut arrays = Vec::new();
        for (index, (shape, numbers)) in case.inputs(examples, examples as u64).into_iter().enumerate() {
            let name = if case.inputs.len() == 1 { "input".to_owned() } else { format!("input_{index}") };
            let numbers: Vec<T> = numbers.into_iter().map(T::from_f64).collect();
            tensors.push((format!("b{examples}/{name}"), Tensor::new(&shape, &numbers)));
            arrays.push(ArrayD::from_shape_vec(IxDyn(&shape), numbers)?);
        }
        let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
        let y = network.predict(&views[..])?;
        let shape = [&[examples][..], network.output_shape().axes()].concat();
        let numbers: Vec<T> = y.iter().copied().collect();
        tensors.push((format!("b{examples}/output"), Tensor::new(&shape, &numbers)));
    }
    let bytes = safetensors::serialize(tensors, None)?;
    Ok(fs::write(folder.join(format!("{}.{precision}.safetensors", case.name)), bytes)?)
}

/// Numbers as a file has them.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new<T: Scalar>(shape: &[usize], numbers: &[T]) -> Self {
        let (dtype, bytes) = if size_of::<T>() == size_of::<f64>() {
            (Dtype::F64, numbers.iter().flat_map(|x| x.to_f64().to_le_bytes()).collect())
        } else {
            (Dtype::F32, numbers.iter().flat_map(|x| (x.to_f64() as f32).to_le_bytes()).collect())
        };
        Self { dtype, shape: shape.to_vec(), bytes }
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
