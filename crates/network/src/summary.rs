use std::fmt;

use downhill_layers::{Extent, Signature};
use downhill_tensor::Shape;

use crate::graph::Program;

/// A printable table of a network's layers: the shape of one example of each output, the number of parameters, and
/// what each layer keeps for the backward pass, in bytes, by name.

#[derive(Clone, Debug)]
pub struct Summary {
    inputs: Vec<Shape>,
    layers: Vec<LayerSummary>,
}

/// A layer at its place in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The place of the layer in the network, such as `2.norm`.
    pub place: String,
    /// The name of the layer, such as `Affine`.
    pub layer: &'static str,
    /// The nodes that it reads: first come the inputs of the network, then the output of each layer, in this order.
    pub inputs: Vec<usize>,
    /// The shape of one example of its output.
    pub output: Shape,
    /// The number of its parameters; 0 if they are those of an earlier layer.
    pub parameters: usize,
    /// The arrays that it keeps for the backward pass.
    pub kept: Vec<Kept>,
}

/// An array that a layer keeps for the backward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The place of the layer in the network, such as `2.norm`.
    pub place: String,
    /// The name within the layer, such as `mask`.
    pub name: String,
    /// The bytes that it takes, for each example or once for the batch.
    pub bytes: usize,
    /// Whether the array exists once or for each example.
    pub extent: Extent,
}

impl Kept {
    fn all(place: &str, signature: &Signature, bytes_of_number: usize) -> Vec<Self> {
        let arrays = signature.saved().arrays().iter().filter(|array| array.shape().len() > 0);
        arrays
            .map(|array| Self {
                place: place.to_owned(),
                name: array.name().to_owned(),
                bytes: array.shape().len() * bytes_of_number,
                extent: array.extent(),
            })
            .collect()
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = if self.extent == Extent::PerExample { "/example" } else { "" };
        write!(f, "{} {} B{each}", self.name, self.bytes)
    }
}

impl Summary {
    pub(crate) fn new(program: &Program, bytes_of_number: usize) -> Self {
        let number = program.numbers();
        let layers = program.steps.iter().enumerate().map(|(index, step)| LayerSummary {
            place: step.name.clone(),
            layer: step.signature.name(),
            inputs: step.inputs.iter().map(|&node| number[node]).collect(),
            output: step.signature.output(),
            // Shared parameters count once.
            parameters: if program.owners[index] == index { step.signature.parameters_len() } else { 0 },
            kept: Kept::all(&step.name, &step.signature, bytes_of_number),
        });
        Self { inputs: program.inputs.iter().map(|&input| program.nodes[input]).collect(), layers: layers.collect() }
    }

    /// The number of parameters in all.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// The layers, in the order in which they run.
    #[must_use]
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The arrays that layers keep for the backward pass, in the order of the layers.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.layers.iter().flat_map(|layer| &layer.kept)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&LayerSummary) -> String, title: &str| {
            self.layers.iter().map(|row| text(row).len()).chain([title.len()]).max().unwrap_or(0)
        };
        let place = width(|row| row.place.clone(), "place");
        let layer = width(|row| row.layer.to_owned(), "layer");
        let output = width(|row| row.output.to_string(), "output");
        writeln!(f, "{:place$}  {:layer$}  {:>output$}  parameters  keeps", "place", "layer", "output")?;
        for input in &self.inputs {
            writeln!(f, "{:place$}  {:layer$}  {:>output$}", "", "input", input.to_string())?;
        }
        for row in &self.layers {
            let shape = row.output.to_string();
            write!(f, "{:place$}  {:layer$}  {shape:>output$}  {:>10}", row.place, row.layer, row.parameters)?;
            for (index, kept) in row.kept.iter().enumerate() {
                write!(f, "{}{kept}", if index == 0 { "  " } else { ", " })?;
            }
            writeln!(f)?;
        }
        write!(f, "{:place$}  {:layer$}  {:>output$}  {:>10}", "", "in all", "", self.parameters())
    }
}
