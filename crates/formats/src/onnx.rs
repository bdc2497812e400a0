//! Networks as ONNX models, for ONNX Runtime, tract and whatever else reads them.
//!
//! A model is written in **opset 18** with **IR version 8** (ONNX 1.13): every current runtime reads them, and each layer
//! has an operator there or a short composition of operators.
//!
//! * The **batch** is an axis named `batch` in every input and in the output: one file serves any number of examples.
//! * **Inputs** are called `input`, or `input_0`, `input_1`, ... if there are several, and the **output** `output`, unless
//!   [`Export`] is told otherwise. Inputs of whole numbers, which are places in a table or the lengths of sequences, are
//!   `int64`; [`float_inputs`](Export::float_inputs) makes them floats as they are here. Lengths are (batch, 1).
//! * **Nodes** have the dotted names of layers. A layer that takes several nodes ends with the one of its name; those
//!   before it add `/` and their operator. What only training does (dropout, the identity) is left out.
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

mod export;
mod proto;
mod tensor;

pub use export::Export;
