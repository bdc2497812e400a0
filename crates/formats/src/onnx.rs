//! Networks as ONNX models, for ONNX Runtime, tract and whatever else reads them; and models of other frameworks as
//! networks.
//!
//! # Export
//!
//! A model is written in **opset 18** with **IR version 8** (ONNX 1.13): every current runtime reads them, and each layer
//! has an operator there or a short composition of operators.
//!
//! * The **batch** is an axis named `batch` in every input and in the output: one file serves any number of examples.
//! * **Inputs** are called `input`, or `input_0`, `input_1`, ... if there are several, and the **output** `output`, unless
//!   [`Export`] names them. Inputs of whole numbers, which are places in a table or the lengths of sequences, are
//!   `int64`; [`float_inputs`](Export::float_inputs) makes them floats as they are here. Lengths are (batch, 1).
//! * **Nodes** have the dotted names of layers. A layer that takes several nodes ends with the one of its name; the
//!   others add `/` and their operator. What only training does (dropout, the identity) is left out.
//! * **Initializers** have the names and layouts of parameters in PyTorch: `0.weight` is (out, in). Slopes and
//!   scales of channels are (channels, 1, ...) where the operator needs that. Recurrent layers have ONNX's own arrays,
//!   one set for each of the layers on top of each other: `rnn/l0.W`, `rnn/l0.R` and `rnn/l0.B` for a layer `rnn`, with
//!   the gates in ONNX's order.
//! * A network of `f64` is written in `double`. Settings that an operator has as a 32-bit attribute are then written in
//!   operators that take them as tensors, so that nothing is rounded. ONNX Runtime has no `double` form of some
//!   operators, such as `Conv`.
//! * The **producer** is `downhill` with its version; [`metadata`](Export::metadata) adds what you want to say.
//!
//! What stands in the padding of a sequence has to be finite where attention reads it: a runtime multiplies it by 0.
//!
//! ONNX Runtime runs what is written of every layer. tract 0.23 does too, but for recurrent layers with lengths, a
//! bidirectional [`Rnn`](downhill_layers::Rnn) of ReLUs, and [`Celu`](downhill_layers::Celu) with an α other than 1.
//!
//! ```
//! use downhill_formats::onnx::Export;
//! use downhill_layers::{Affine, Relu};
//! use downhill_network::{Network, sequential};
//! use downhill_tensor::Seed;
//!
//! let network = Network::<f32>::build([4], sequential![Affine::new(8), Relu, Affine::new(3)], Seed(1))?;
//! let folder = tempfile::tempdir()?;
//! let export = Export::new().input_names(["measurements"]).output_name("scores").metadata("trained on", "iris");
//! export.save(&network, folder.path().join("iris.onnx"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Import
//!
//! [`open`] and [`import`] read a model, and [`Import`] does with settings, for what the model leaves open.
//! The graph is read as layers, with constants and arithmetic of shapes folded:
//!
//! * **The batch** is the axis whose length is open, or else the first. Wherever it lies in the model, the network has
//!   its examples along the first axis; [`Imported::batch_axis`] tells where it was in the output. A model that was
//!   exported for one example takes any number here.
//! * **Layouts**: transposing and reshaping only says which axis lies at which place; a layer moves numbers if another
//!   layer asks for an order. Sequences with the steps first and images with the channels last are read.
//! * **Patterns**: attention, layer normalisation, GELU and others that exporters write as several nodes are one layer.
//!   Of attention the maps before and after it become parts, if they keep its width; otherwise it has parts that pick
//!   numbers, and stay as they are.
//! * **Parameters** are called by their names in the file if these end as those of PyTorch do, and otherwise by their
//!   node. Those that nodes share are shared. What is no parameter in the file, such as a scaler's numbers and single
//!   factors, is frozen.
//! * **Opsets** from 1 on; whole numbers are only looked up, or lengths of sequences.
//!
//! Not read: operators of other domains than `ai.onnx` and `ai.onnx.ml`, functions, loops and branches, weights in a
//! file of their own, three spatial axes, and what examples would depend on each other by.
//!
//! ```
//! use downhill_formats::onnx::{self, Export};
//! use downhill_layers::{Affine, Relu};
//! use downhill_network::{Network, sequential};
//! use downhill_tensor::Seed;
//!
//! let network = Network::<f32>::build([4], sequential![Affine::new(8), Relu, Affine::new(3)], Seed(1))?;
//! let imported = onnx::import::<f32>(&Export::new().to_bytes(&network)?)?;
//! assert_eq!(imported.network.parameter("0.weight")?, network.parameter("0.weight")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod export;
mod import;
mod proto;
mod tensor;

pub use export::Export;
pub use import::{Import, Imported, import, open};
