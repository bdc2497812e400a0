//! A network as one Rust file that depends on nothing.
//!
//! The file is `no_std`, has its weights as constants, and its `predict` asks no heap for anything: for a
//! microcontroller, for WebAssembly, or for a program that should not depend on this library.
//! Put it next to other sources and name it in one of them, as in `mod predictor;`.
//!
//! ```
//! use downhill_formats::rust_source::to_rust_source;
//! use downhill_layers::{Affine, Tanh};
//! use downhill_network::{Network, sequential};
//! use downhill_tensor::Seed;
//!
//! let network = Network::<f32>::build([4], sequential![Affine::new(8), Tanh, Affine::new(2)], Seed(1))?;
//! let source = to_rust_source(&network)?;
//! assert!(source.contains("pub fn predict(x: &[f32; 4]) -> [f32; 2] {"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a file holds
//! `predict` takes an array of each input and returns the prediction; its buffers lie on the stack.
//! `predict_into` writes to an array of the caller's and works in a `Workspace`, which may lie in a `static`: it then
//! takes a few hundred bytes of stack. Networks that need no buffer have no `Workspace`.
//! The comment at the top of the file tells the shapes and the bytes of constants and buffers.
//!
//! It needs Rust 1.85 or newer, of edition 2021 or 2024, and a target with floating-point numbers, in hardware or not.
//! Nothing in it can panic. Numbers that name a row of a table, and lengths of sequences, are cut to the range that
//! there is, where [`Network::predict`] returns an error.
//!
//! # Layers
//! All layers of `downhill-layers` are written; dropout is left out, as it changes nothing in a prediction.
//! Layers of a program's own are an error that names them.
//!
//! # Accuracy
//! Weights are written with the digits that read back as the same bits, and elementary functions are computed as
//! [`math`](downhill_tensor::math) does, so that answers differ from [`Network::predict`] by the order of sums alone:
//! by 1e-6 of the largest number in `f32`, or 1e-12 in `f64`, in networks of some layers.

use std::fmt::Write;

use downhill_network::Network;
use downhill_tensor::{Scalar, Shape};

use crate::FormatError;

mod constants;
mod library;
mod lowering;
mod memory;

use lowering::{Argument, Lowered};
use memory::Place;

/// The name of the format in errors.
const FORMAT: &str = "Rust source";

/// Writes the network as a Rust file with its weights as they are: see [`RustSource`].
///
/// # Errors
/// Returns an error if the network has a layer that can't be written, with its name.
pub fn to_rust_source<T: Scalar>(network: &Network<T>) -> Result<String, FormatError> {
    RustSource::new().render(network)
}

/// How a network is written as a Rust file.
///
/// ```
/// use downhill_formats::rust_source::RustSource;
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([16], sequential![Affine::new(8), Relu, Affine::new(3)], Seed(1))?;
/// let source = RustSource::new().name("gestures").int8().render(&network)?;
/// assert!(source.starts_with("// gestures: "));
/// assert!(source.contains("static L0_WEIGHT: [[i8; 16]; 8] = ["));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RustSource {
    name: Option<String>,
    int8: bool,
}

impl RustSource {
    /// Creates the default: weights in the network's own precision.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name that the first line of the file gives the network.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Writes each weight as a whole number from −127 to 127, and one scale for each row: a quarter of the bytes of
    /// `f32`.
    ///
    /// The weights of affine and bilinear maps, convolutions, embeddings, recurrent layers and attention are written
    /// so; biases, normalisations and slopes stay as they are. The rows are the first axis of a weight, in the layout
    /// of files: the weights of one output, or of one input channel of a transposed convolution.
    ///
    /// # Error
    /// The scale of a row is its largest weight, as an absolute value, divided by 127. A weight is off by at most half
    /// of that, so that y = W x + b is off by at most max|w| / 254 · Σ|x|, with the largest weight of its row.
    #[must_use]
    pub fn int8(mut self) -> Self {
        self.int8 = true;
        self
    }

    /// Writes the network. The same network gives the same text.
    ///
    /// # Errors
    /// Returns an error if the network has a layer that can't be written, with its name; with
    /// [`int8`](RustSource::int8), also if a weight is not finite.
    pub fn render<T: Scalar>(&self, network: &Network<T>) -> Result<String, FormatError> {
        let lowered = lowering::lower(network, self.int8)?;
        let (places, buffers) = memory::plan(&lowered.stays);
        let body = body(&lowered, &places, &buffers);
        let inputs = network.input_shapes();
        let shape = File { inputs: &inputs, output: network.output_shape(), float: T::NAME, buffers: &buffers };
        let mut file = self.header(&shape, &lowered, size_of::<T>());
        file.push_str(&shape.functions(&body));
        file.push_str(&lowered.constants);
        let code = format!("{body}{}", types_of(&lowered.constants));
        file.push_str(&library::items_for(&code, T::NAME, self.int8));
        Ok(file)
    }

    fn header(&self, file: &File<'_>, lowered: &Lowered, bytes: usize) -> String {
        let name = one_line(self.name.as_deref().unwrap_or("A network"));
        let of_buffers = file.buffers.iter().sum::<usize>() * bytes;
        let weights = if self.int8 { "whole numbers of 8 bits, with a scale for each row" } else { file.float };
        let mut text = format!(
            "// {name}: a trained network as Rust, without dependencies, heap or operating system.\n// Written by \
             downhill-formats {}. Write it again rather than edit it.\n//\n",
            env!("CARGO_PKG_VERSION")
        );
        for (name, shape) in file.names().iter().zip(file.inputs) {
            let _ = writeln!(text, "// input      {name}, one example of shape {shape}");
        }
        let _ = writeln!(text, "// output     y, of shape {}", file.output);
        let _ = writeln!(text, "// weights    {weights}");
        let _ = writeln!(text, "// constants  {} bytes", lowered.bytes);
        let _ = writeln!(text, "// buffers    {of_buffers} bytes\n//\n// Layers:");
        for stage in &lowered.stages {
            let _ = writeln!(text, "//   {}", stage.title);
        }
        text
    }
}

/// What the interface of a file depends on.
struct File<'a> {
    inputs: &'a [Shape],
    output: Shape,
    float: &'static str,
    buffers: &'a [usize],
}

impl File<'_> {
    /// The names of the inputs.
    fn names(&self) -> Vec<String> {
        match self.inputs {
            [_] => vec!["x".to_owned()],
            inputs => (0..inputs.len()).map(|index| format!("x{index}")).collect(),
        }
    }

    /// The functions that a program calls, and the buffers.
    fn functions(&self, body: &str) -> String {
        let (float, outputs) = (self.float, self.output.len());
        let works = !self.buffers.is_empty();
        let names = self.names();
        let inputs: Vec<String> =
            names.iter().zip(self.inputs).map(|(name, shape)| format!("{name}: &[{float}; {}]", shape.len())).collect();
        let mut into = inputs.clone();
        into.push(format!("y: &mut [{float}; {outputs}]"));
        let mut text = String::from("\n/// Predicts one example. The buffers lie on the stack.\n#[allow(dead_code)]\n");
        text.push_str(&signature("pub fn predict", &inputs, &format!(" -> [{float}; {outputs}] {{")));
        let _ = writeln!(text, "    let mut y = [0.0; {outputs}];");
        let mut given = names.clone();
        given.push("&mut y".to_owned());
        if works {
            into.push("workspace: &mut Workspace".to_owned());
            given.push("&mut Workspace::new()".to_owned());
        }
        let _ = writeln!(text, "{}    y\n}}", call("predict_into", &given));
        text.push_str(if works {
            "\n/// Predicts one example into `y`. It works in the buffers, whatever they hold.\n"
        } else {
            "\n/// Predicts one example into `y`.\n"
        });
        text.push_str(&signature("pub fn predict_into", &into, " {"));
        if works {
            let buffers: Vec<String> = (0..self.buffers.len()).map(|index| format!("b{index}")).collect();
            let _ = writeln!(text, "    let Workspace {{ {} }} = workspace;", buffers.join(", "));
        }
        let _ = writeln!(text, "{body}}}");
        if works {
            text.push_str(&self.workspace());
        }
        text
    }

    /// The type of the buffers.
    fn workspace(&self) -> String {
        let float = self.float;
        let mut text =
            String::from("\n/// The buffers of a prediction, which may lie in a `static`.\npub struct Workspace {\n");
        for (index, numbers) in self.buffers.iter().enumerate() {
            let _ = writeln!(text, "    b{index}: [{float}; {numbers}],");
        }
        text.push_str("}\n\nimpl Workspace {\n    /// Creates buffers of zeros.\n    pub const fn new() -> Self {\n");
        text.push_str("        Self {\n");
        for (index, numbers) in self.buffers.iter().enumerate() {
            let _ = writeln!(text, "            b{index}: [0.0; {numbers}],");
        }
        text.push_str("        }\n    }\n}\n\nimpl Default for Workspace {\n    fn default() -> Self {\n");
        text.push_str("        Self::new()\n    }\n}\n");
        text
    }
}

/// The calls of all layers.
fn body(lowered: &Lowered, places: &[Place], buffers: &[usize]) -> String {
    let several = lowered.stays.iter().filter(|stay| matches!(stay.place, Some(Place::Input(_)))).count() != 1;
    // A place with how many of its numbers are meant, as `(path, [..8])`.
    let path = |stay: usize| {
        let numbers = lowered.stays.get(stay).map_or(0, |stay| stay.numbers);
        match places.get(stay).copied().unwrap_or(Place::Output) {
            Place::Input(index) if several => (format!("x{index}"), String::new()),
            Place::Input(_) => ("x".to_owned(), String::new()),
            Place::Output => ("y".to_owned(), String::new()),
            Place::Buffer(index) if buffers.get(index) == Some(&numbers) => (format!("b{index}"), String::new()),
            Place::Buffer(index) => (format!("b{index}"), format!("[..{numbers}]")),
        }
    };
    let slice = |stay: usize, reference: &str| match path(stay) {
        (path, part) if part.is_empty() => path,
        (path, part) => format!("{reference}{path}{part}"),
    };
    let text = |argument: &Argument| match argument {
        Argument::Read(stay) => slice(*stay, "&"),
        Argument::Write(stay) => slice(*stay, "&mut "),
        Argument::Whole { from, least, most } => format!("whole_number({}, {least}, {most})", slice(*from, "&")),
        Argument::Text(text) => text.clone(),
    };
    let mut code = String::new();
    for stage in lowered.stages.iter().filter(|stage| !stage.calls.is_empty()) {
        let _ = writeln!(code, "    // {}", stage.title);
        for layer in &stage.calls {
            if let (true, [Argument::Write(to), rest @ ..]) = (layer.function.starts_with('.'), &*layer.arguments) {
                let (path, part) = path(*to);
                let rest: Vec<String> = rest.iter().map(text).collect();
                let _ = writeln!(code, "    {path}{part}{}({});", layer.function, rest.join(", "));
            } else {
                let arguments: Vec<String> = layer.arguments.iter().map(text).collect();
                code.push_str(&call(&layer.function, &arguments));
            }
        }
    }
    code
}

/// The types that constants are of, without their numbers.
fn types_of(constants: &str) -> String {
    constants.lines().filter(|line| line.starts_with("static ")).filter_map(|line| line.split('=').next()).collect()
}

/// A statement that calls a function, as rustfmt breaks it.
fn call(function: &str, arguments: &[String]) -> String {
    let inner = arguments.join(", ");
    if inner.len() <= 60 {
        return format!("    {function}({inner});\n");
    }
    let lines: String = arguments.iter().map(|argument| format!("        {argument},\n")).collect();
    format!("    {function}(\n{lines}    );\n")
}

/// The first line of a function, as rustfmt breaks it.
fn signature(name: &str, parameters: &[String], end: &str) -> String {
    let whole = format!("{name}({}){end}\n", parameters.join(", "));
    if whole.len() <= 101 {
        return whole;
    }
    let lines: String = parameters.iter().map(|parameter| format!("    {parameter},\n")).collect();
    format!("{name}(\n{lines}){end}\n")
}

/// A name in one line and in one direction, so that it can't end a comment or change how one reads.
fn one_line(name: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}
