//! The workloads that other libraries are measured at too: `workloads.json` lists them, and every side reads that file.

use std::hint::black_box;

use crate::Work;
use crate::common::{Entry, INPUT, STILL, TARGET, fill, mean_square, parameter as start};
use crate::model;
use crate::run::Run;
use downhill::layers::Dropout;
use downhill::losses::{Loss, TargetError, Total};
use downhill::ndarray::Array2;
use downhill::network::{Named, Sequential, TransformerEncoderBlock};
use downhill::prelude::*;
use downhill::tensor::product::{Accumulate, product};
use downhill::tensor::{Buffer, Shape};

/// Something set up and ready to be repeated; gives a number that depends on what it did: J, for a step.
pub type Call = Box<dyn FnMut() -> f64 + Send>;

/// The purpose that a workload is set up for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// To be repeated without end: with a rate that hardly moves.
    Timing,
    /// To be compared with other libraries: with the rate that the file states, and without dropout.
    Comparing,
}

impl Aim {
    /// One number that stands for a whole result.
    pub(crate) fn number<T: Scalar>(self, result: &[T]) -> f64 {
        match self {
            Self::Timing => black_box(result).first().map_or(0.0, |first| first.to_f64()),
            Self::Comparing => squares(result),
        }
    }
}

/// One workload: what it computes, and on how many examples.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(crate) entry: Entry,
}

impl Workload {
    /// All workloads that the file lists, one for each size of the batch.
    ///
    /// # Panics
    /// If the file is not as it should be.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Entry::all().into_iter().map(|entry| Self { entry }).collect()
    }

    /// Those of one suite.
    #[must_use]
    pub fn of_suite(suite: &str) -> Vec<Self> {
        Self::all().into_iter().filter(|workload| workload.entry.suite == suite).collect()
    }

    /// The one that tables and files call `suite/name`.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|workload| workload.id() == id)
    }

    /// Sets the number of examples and keeps the name.
    #[must_use]
    pub fn with_examples(mut self, examples: usize) -> Self {
        self.entry.examples = examples;
        self
    }

    /// Sets the number of parameters to update and keeps the name.
    #[must_use]
    pub fn with_parameters(mut self, parameters: usize) -> Self {
        self.entry.settings["parameters"] = parameters.into();
        self
    }

    /// `suite/name`, as tables and files call it.
    #[must_use]
    pub fn id(&self) -> String {
        self.entry.id()
    }

    /// The name within its suite.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The work of one call. The file states it for every workload, for it can't be told from the weights alone:
    /// the products of all layers, forward and back to every parameter, but no gradient of the network's own input.
    ///
    /// # Panics
    /// If the file does not state it.
    #[must_use]
    pub fn work(&self) -> Work {
        match self.entry.suite.as_str() {
            "optimizer" => Work::Bytes(self.entry.number("bytes") * self.entry.number("parameters")),
            "model" if self.entry.text("call") == "open" => Work::Bytes(self.entry.number("bytes")),
            "product" => {
                Work::Operations(2 * self.entry.examples * self.entry.number("inputs") * self.entry.number("outputs"))
            }
            _ => Work::Operations(self.entry.number("operations") * self.entry.examples),
        }
    }

    /// Sets the workload up to be repeated.
    ///
    /// # Panics
    /// If the file names what the library does not have.
    #[must_use]
    pub fn start(&self) -> Call {
        self.begin(Aim::Timing)
    }

    /// The numbers by which two libraries are seen to do the same work: the losses of the first steps, or one number
    /// of what was computed. Nothing is dropped out in them.
    ///
    /// # Panics
    /// If the file names what the library does not have.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        if self.entry.suite == "run" {
            return Run(self.clone()).values();
        }
        let mut call = self.begin(Aim::Comparing);
        (0..self.entry.compared()).map(|_| call()).collect()
    }

    fn begin(&self, aim: Aim) -> Call {
        match self.entry.text("precision") {
            "f64" => self.begin_in::<f64>(aim),
            _ => self.begin_in::<f32>(aim),
        }
    }

    fn begin_in<T: Scalar>(&self, aim: Aim) -> Call {
        match self.entry.suite.as_str() {
            "run" => panic!("a run is started by `Run::start`, which knows its threads"),
            "optimizer" => self.update::<T>(aim),
            "product" => self.product::<T>(aim),
            "inference" => inference(self.network::<T>(aim), self.entry.examples, aim),
            "model" => model::start(self, aim),
            _ => self.step(self.network::<T>(aim), aim),
        }
    }

    fn optimizer<T: Scalar>(&self, aim: Aim) -> Option<Box<dyn Optimizer<T>>> {
        let name = self.entry.settings["optimizer"].as_str()?;
        let rate = match aim {
            Aim::Timing => STILL,
            Aim::Comparing => self.entry.rate(),
        };
        match name {
            "momentum" => Some(Box::new(Sgd::new(rate).momentum(0.9))),
            "adam" => Some(Box::new(Adam::new(rate))),
            "descent" => Some(Box::new(GradientDescent::new(rate))),
            name => panic!("there is no optimizer `{name}`"),
        }
    }

    /// The model that the file names, and the shape of its input.
    fn block(&self, aim: Aim) -> (Shape, Sequential) {
        let input = || Shape::new(&self.entry.numbers("input")).expect("the shape is one of the library's");
        match self.entry.text("model") {
            "mlp" => self.mlp(aim),
            "convolutions" => (input(), self.convolutions()),
            "lstm" => {
                let lstm = Lstm::new(self.entry.number("hidden")).last_state();
                (input(), sequential![lstm, Affine::new(self.entry.numbers("widths")[0])])
            }
            "transformer" => {
                let block = TransformerEncoderBlock::new(self.entry.number("heads"), self.entry.number("hidden"));
                let block = block.norm_first().activation(Gelu::new()).dropout(0.0);
                (input(), Sequential::new().then(Named("block", block)))
            }
            name => panic!("there is no model `{name}`"),
        }
    }

    fn convolutions(&self) -> Sequential {
        let mut chain = Sequential::new();
        for channels in self.entry.numbers("channels") {
            chain = chain.then(Conv2d::new(channels, 3).padding(1)).then(Relu).then(MaxPool2d::new(2));
        }
        chain = chain.then(Flatten);
        for (index, width) in self.entry.numbers("widths").into_iter().enumerate() {
            chain = if index == 0 { chain } else { chain.then(Relu) };
            chain = chain.then(Affine::new(width));
        }
        chain
    }

    /// The network of the workload, its parameters as [`start`] says.
    pub(crate) fn network<T: Scalar>(&self, aim: Aim) -> Network<T> {
        let (input, block) = self.block(aim);
        let mut network = Network::build(input, block, Seed(1)).expect("the layers fit");
        let mut names: Vec<String> = network.segments().iter().map(|segment| segment.name.clone()).collect();
        // A transformer block counts its normalisations last, wherever they stand.
        names.sort_by_key(|name| name.contains("norm"));
        for (key, name) in names.iter().enumerate() {
            let mut parameter = network.parameter_mut(name).expect("the segment is the network's own");
            // The gains of a normalisation are the only weights of one axis.
            let centre = if name.ends_with("weight") && parameter.ndim() == 1 { 1.0 } else { 0.0 };
            for (index, value) in parameter.iter_mut().enumerate() {
                *value = T::from_f64(centre + start(key as u64, index as u64));
            }
        }
        network
    }

    fn mlp(&self, aim: Aim) -> (Shape, Sequential) {
        let widths = self.entry.numbers("widths");
        let last = widths.len() - 1;
        let mut chain = Sequential::new();
        for (index, &width) in widths.iter().enumerate().skip(1) {
            if index == last {
                let affine = Affine::new(width);
                let bias = self.entry.settings["last_bias"].as_bool().unwrap_or(true);
                chain = chain.then(if bias { affine } else { affine.no_bias() });
                continue;
            }
            chain = chain.then(Affine::new(width));
            chain = match self.entry.text("activation") {
                "tanh" => chain.then(Tanh),
                _ => chain.then(Relu),
            };
            if let (Some(probability), Aim::Timing) = (self.entry.settings["dropout"].as_f64(), aim) {
                chain = chain.then(Dropout::new(probability));
            }
        }
        ([widths[0]].into(), chain)
    }

    /// Forward, the loss, backward and the update; without an optimizer all but the update.
    pub(crate) fn step<T: Scalar>(&self, mut network: Network<T>, aim: Aim) -> Call {
        let mut optimizer = self.optimizer::<T>(aim);
        if let Some(optimizer) = &mut optimizer {
            optimizer.bind(network.segments());
        }
        let mut workspace = network.workspace(Purpose::Training);
        let (examples, input, output) = (self.entry.examples, network.input_shapes()[0], network.output_shape());
        let x: Vec<T> = data(INPUT, examples * input.len());
        let labels = self.entry.labels(output.len());
        let values: Vec<T> = data(TARGET, examples * output.len());
        let loss = match self.entry.text("loss") {
            "cross-entropy" => Criterion::SoftmaxCrossEntropy,
            _ => Criterion::MeanSquaredError,
        };
        let mut number = 0;
        Box::new(move || {
            let x = Batch::new(&x, examples, input).expect("the batch fits");
            let target = match loss {
                Criterion::SoftmaxCrossEntropy => Target::Classes(&labels),
                Criterion::MeanSquaredError => Target::Values(&values),
            };
            let (theta, mode) = (network.parameters(), Mode::Training { step: number });
            let value = network.value_and_gradient(theta, x, target, &loss, &mut workspace, mode);
            let value = value.expect("the batch fits").to_f64();
            number += 1;
            match (&mut optimizer, aim) {
                (Some(optimizer), _) => optimizer.step(network.parameters_mut(), workspace.gradient()),
                // With no second step to show whether the gradient is right, its size is added to the loss.
                (None, Aim::Comparing) => return value + squares(workspace.gradient()).sqrt(),
                (None, Aim::Timing) => _ = black_box(workspace.gradient()),
            }
            value
        })
    }

    /// One update of θ by a gradient that stays.
    fn update<T: Scalar>(&self, aim: Aim) -> Call {
        let mut optimizer = self.optimizer::<T>(aim).expect("the workload is an optimizer's");
        let mut theta = Buffer::from(data(INPUT, self.entry.number("parameters")));
        let gradient = Buffer::from(data::<T>(TARGET, theta.len()));
        Box::new(move || {
            optimizer.step(&mut theta, &gradient);
            aim.number(&theta)
        })
    }

    fn product<T: Scalar>(&self, aim: Aim) -> Call {
        let (inputs, outputs) = (self.entry.number("inputs"), self.entry.number("outputs"));
        let matrix = |key, rows, columns| {
            Array2::from_shape_vec((rows, columns), data::<T>(key, rows * columns)).expect("the shape fits")
        };
        let x = matrix(INPUT, self.entry.examples, inputs);
        let w = matrix(0, inputs, outputs);
        let dy = matrix(TARGET, self.entry.examples, outputs);
        match self.entry.text("form") {
            "y = x W" => {
                let mut y = dy;
                Box::new(move || {
                    product(x.view(), w.view(), Accumulate::Overwrite, y.view_mut());
                    aim.number(y.as_slice().unwrap_or_default())
                })
            }
            "dW = xT dy" => {
                let mut dw = w;
                Box::new(move || {
                    product(x.t(), dy.view(), Accumulate::Overwrite, dw.view_mut());
                    aim.number(dw.as_slice().unwrap_or_default())
                })
            }
            _ => {
                let mut dx = x;
                Box::new(move || {
                    product(dy.view(), w.t(), Accumulate::Overwrite, dx.view_mut());
                    aim.number(dx.as_slice().unwrap_or_default())
                })
            }
        }
    }
}

/// A pass forward, in buffers that are kept.
fn inference<T: Scalar>(network: Network<T>, examples: usize, aim: Aim) -> Call {
    let mut workspace = network.workspace(Purpose::Prediction);
    let input = network.input_shapes()[0];
    let x: Vec<T> = data(INPUT, examples * input.len());
    Box::new(move || {
        let x = Batch::new(&x, examples, input).expect("the batch fits");
        let y = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).expect("the batch fits");
        aim.number(y.slice())
    })
}

/// The losses that the file names.
#[derive(Clone, Copy, Debug)]
enum Criterion {
    SoftmaxCrossEntropy,
    MeanSquaredError,
}

impl Loss for Criterion {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        match self {
            Self::SoftmaxCrossEntropy => SoftmaxCrossEntropy::new().evaluate(y, target, dy),
            Self::MeanSquaredError => MeanSquaredError::new().evaluate(y, target, dy),
        }
    }
}

pub(crate) fn data<T: Scalar>(key: u64, length: usize) -> Vec<T> {
    (0..length).map(|index| T::from_f64(fill(key, index as u64))).collect()
}

fn squares<T: Scalar>(values: &[T]) -> f64 {
    mean_square(values.iter().map(|value| value.to_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_states_the_operations_of_every_mlp() {
        for workload in Workload::all().iter().filter(|workload| workload.entry.text("model") == "mlp") {
            let weights: Vec<usize> =
                workload.entry.numbers("widths").windows(2).map(|pair| pair[0] * pair[1]).collect();
            let all: usize = weights.iter().sum();
            let (stated, expected) = match workload.entry.suite.as_str() {
                // The numbers in the file: weights and biases, in `f32`.
                "model" if workload.entry.text("call") == "open" => {
                    let biases: usize = workload.entry.numbers("widths").iter().skip(1).sum();
                    ("bytes", 4 * (all + biases))
                }
                "inference" | "model" => ("operations", 2 * all),
                // The forward pass and both products of the backward pass, a multiply-add counting as two; the input's
                // own gradient is not wanted.
                _ => ("operations", 6 * all - 2 * weights[0]),
            };
            assert_eq!(workload.entry.number(stated), expected, "{}", workload.entry.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut ids: Vec<String> = Workload::all().iter().map(Workload::id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids.contains(&"step/784-256-128-10, momentum, batch 32".to_owned()));
    }

    #[test]
    fn losses_fall() {
        for workload in Workload::of_suite("step") {
            let small = workload.entry.examples * workload.entry.number("operations") < 200_000;
            if !small {
                continue;
            }
            let values = workload.values();
            assert!(values.iter().all(|value| value.is_finite()), "{}: {values:?}", workload.entry.name);
            assert!(values.is_sorted_by(|a, b| a > b), "{}: {values:?}", workload.entry.name);
        }
    }

    #[test]
    fn the_generator_is_the_one_that_the_peers_write_too() {
        assert_eq!(fill(0, 0), 0.883_310_794_830_322_3);
    }

    #[test]
    fn inference_allocates_nothing() {
        let predict = Workload::of_suite("inference").into_iter().find(|workload| workload.entry.examples == 1);
        let mut call = predict.expect("a prediction of one example is listed").start();
        call();
        assert_eq!(
            allocation_counter::measure(|| {
                call();
            })
            .count_total,
            0
        );
    }
}
