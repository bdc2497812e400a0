//! One layer of a network by itself: to look at it, and to run its passes alone.

use std::fmt::Debug;
use std::ops::Range;

use downhill_layers::{
    Arrays, ArraysMut, Backward, Description, Forward, Inputs, InputsMut, Layer, Mode, Signature, Streams,
};
use downhill_tensor::{Batch, BatchMut, Buffer, BuildError, Scalar, Shape, ShapeError};

use crate::Network;
use crate::graph::{Step, at};
use crate::passes::Slices;

/// A layer at its place in a network, with its slice of θ.
///
/// Its passes run it alone on inputs of the caller's, with the numbers, the running statistics and the random streams
/// that it has in the network: so they give the bits of the network's own passes. What it takes from others and what
/// others add to its gradients is not there: this is one factor of the chain rule by itself.
///
/// ```
/// use downhill_layers::{Affine, Inputs, Mode, Tanh};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::{Batch, Seed};
///
/// let network = Network::<f64>::build([2], sequential![Affine::new(3), Tanh], Seed(1))?;
/// let tanh = &network.places()[1];
/// assert_eq!((tanh.name(), tanh.signature().name()), ("1", "Tanh"));
///
/// let x = [0.0, 1.0, -1.0];
/// let passed = tanh.forward(Inputs::from(Batch::new(&x, 1, [3])?), 1, Mode::Evaluation)?;
/// let (y, gradients) = (passed.y(), passed.backward(&[1.0, 1.0, 1.0])?);
/// assert_eq!(y, x.map(f64::tanh));
/// assert_eq!(gradients.dx[0][0], 1.0); // 1 − tanh² 0
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Place<'n, T> {
    network: &'n Network<T>,
    index: usize,
}

impl<T: Scalar> Network<T> {
    /// The layers at their places, in the order in which they run.
    #[must_use]
    pub fn places(&self) -> Vec<Place<'_, T>> {
        (0..self.program().steps.len()).map(|index| Place { network: self, index }).collect()
    }
}

impl<'n, T: Scalar> Place<'n, T> {
    fn step(&self) -> &'n Step {
        &self.network.program().steps[self.index]
    }

    fn slices(&self) -> &'n Slices {
        &self.network.slices()[self.index]
    }

    /// The dotted name, such as `2.0`; empty for a layer outside any chain.
    #[must_use]
    pub fn name(&self) -> &'n str {
        &self.step().name
    }

    /// The layer's signature for the inputs that it has here.
    #[must_use]
    pub fn signature(&self) -> &'n Signature {
        &self.step().signature
    }

    /// The layer itself, if it is an `L`. A layer that is held as a [`Description`], as in a network that was opened from
    /// a file, is found by its own type too.
    #[must_use]
    pub fn layer<L: Layer + 'static>(&self) -> Option<&'n L> {
        let layer = self.step().layer.as_any();
        let described = || layer.downcast_ref::<Description>()?.inner().downcast_ref();
        layer.downcast_ref().or_else(described)
    }

    /// The layer as it prints itself for debugging, which shows its settings.
    #[must_use]
    pub fn debug(&self) -> &'n dyn Debug {
        &*self.step().layer
    }

    /// The nodes that it reads, numbered as in [`LayerSummary::inputs`](crate::LayerSummary::inputs): first come the
    /// inputs of the network, then the output of each layer.
    #[must_use]
    pub fn inputs(&self) -> Vec<usize> {
        let numbers = self.network.program().numbers();
        self.step().inputs.iter().map(|&node| numbers[node]).collect()
    }

    /// The numbers of θ that are its parameters, which other places may share.
    #[must_use]
    pub fn parameters(&self) -> Range<usize> {
        self.slices().parameters.clone()
    }

    /// Whether training leaves its parameters as they are.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.step().frozen
    }

    /// Runs the layer alone on a batch of this many examples.
    ///
    /// # Errors
    /// Returns an error if the inputs have other shapes than in the network or another number of examples, or the
    /// layer's signature does not [`check_batch`](Signature::check_batch) them.
    pub fn forward<'x>(&self, x: Inputs<'x, T>, examples: usize, mode: Mode) -> Result<Passed<'n, 'x, T>, BuildError> {
        let (step, signature) = (self.step(), self.signature());
        self.check(&x, examples).map_err(|error| at(&step.name, error.into()))?;
        signature.check_batch(&x, examples, mode).map_err(|error| at(&step.name, error))?;
        let zeros = |what, len| Buffer::try_from_fn(what, len, |_| T::ZERO);
        let mut y = zeros("the output of a layer alone", signature.output().len().saturating_mul(examples))?;
        let mut saved = zeros("what a layer alone keeps", signature.saved().len(examples))?;
        let mut scratch = zeros("the scratch space of a layer alone", signature.scratch_of_forward().len(examples))?;
        if examples > 0 {
            let statistics = &self.network.statistics()[self.slices().statistics.clone()];
            step.layer.forward(&mut Forward {
                x,
                params: self.params(),
                y: BatchMut::new(&mut y, examples, signature.output())?,
                saved: ArraysMut::new(&mut saved, signature.saved(), examples),
                scratch: ArraysMut::new(&mut scratch, signature.scratch_of_forward(), examples),
                statistics: Arrays::new(statistics, signature.statistic_layout(), 0),
                mode,
                random: Streams::new(self.network.seed(), mode.step(), self.index as u64),
                ranks: None,
            });
        }
        Ok(Passed { place: *self, x, examples, y, saved })
    }

    fn shapes(&self) -> Vec<Shape> {
        self.step().inputs.iter().map(|&node| self.network.program().nodes[node]).collect()
    }

    fn check(&self, x: &Inputs<'_, T>, examples: usize) -> Result<(), ShapeError> {
        let (by, shapes) = (self.signature().name(), self.shapes());
        if x.len() != shapes.len() {
            return Err(ShapeError::Inputs { by, expected: "as many inputs as it has in the network", got: x.len() });
        }
        for (x, &expected) in x.iter().zip(&shapes) {
            if x.shape() != expected {
                let what = "an example and the layer's input".into();
                return Err(ShapeError::Mismatch { what, expected, got: x.shape() });
            }
            if x.examples() != examples {
                let (what, got) = ("the batch of an input".into(), x.examples());
                return Err(ShapeError::Length { what, expected: examples, got });
            }
        }
        Ok(())
    }

    fn params(&self) -> Arrays<'n, T> {
        Arrays::new(&self.network.parameters()[self.parameters()], self.signature().parameter_layout(), 0)
    }
}

/// A layer that has run forward alone, and can go back any number of times.
#[derive(Clone, Debug)]
pub struct Passed<'n, 'x, T> {
    place: Place<'n, T>,
    x: Inputs<'x, T>,
    examples: usize,
    y: Buffer<T>,
    saved: Buffer<T>,
}

/// What the backward pass of one layer alone gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlaceGradients<T> {
    /// dJ/dx of each of its inputs, example after example.
    pub dx: Vec<Vec<T>>,
    /// dJ/dθ of its parameters as they lie in θ, though they be frozen.
    pub dtheta: Vec<T>,
}

impl<T: Scalar> Passed<'_, '_, T> {
    /// y, example after example.
    #[must_use]
    pub fn y(&self) -> &[T] {
        &self.y
    }

    /// Applies the layer's chain rule to dJ/dy, example after example. It is linear in dJ/dy: unit vectors give the
    /// layer's local derivatives.
    ///
    /// # Errors
    /// Returns an error if dJ/dy is not as long as y, or there is not enough memory.
    pub fn backward(&self, dy: &[T]) -> Result<PlaceGradients<T>, ShapeError> {
        let Self { place, examples, .. } = *self;
        let (step, signature, shapes) = (place.step(), place.signature(), place.shapes());
        let output = signature.output();
        let mut dx: Vec<Vec<T>> = shapes.iter().map(|shape| vec![T::ZERO; examples * shape.len()]).collect();
        let mut dtheta = vec![T::ZERO; place.parameters().len()];
        let dy = Batch::new(dy, examples, output)?;
        if examples > 0 {
            let mut scratch = Buffer::try_from_fn(
                "the scratch space of a layer alone",
                signature.scratch_of_backward().len(examples),
                |_| T::ZERO,
            )?;
            let mut wanted = InputsMut::empty();
            for (index, (dx, shape)) in dx.iter_mut().zip(&shapes).enumerate() {
                wanted.set(index, BatchMut::new(dx, examples, *shape)?);
            }
            step.layer.backward(&mut Backward {
                x: self.x,
                params: place.params(),
                y: Batch::new(&self.y, examples, output)?,
                saved: Arrays::new(&self.saved, signature.saved(), examples),
                scratch: ArraysMut::new(&mut scratch, signature.scratch_of_backward(), examples),
                dy,
                dx: wanted,
                dparams: ArraysMut::new(&mut dtheta, signature.parameter_layout(), 0),
                ranks: None,
            });
        }
        Ok(PlaceGradients { dx, dtheta })
    }
}

#[cfg(test)]
mod tests {
    use downhill_layers::{Add, Affine, BatchNorm, Dropout, Gru, LeakyRelu, Tanh};
    use downhill_losses::{MeanSquaredError, Target};
    use downhill_tensor::Seed;

    use super::*;
    use crate::{BackwardObserver, Purpose, Residual, Shared, sequential};

    #[derive(Default)]
    struct Seen(Vec<(String, Vec<f32>)>);

    impl BackwardObserver<f32> for Seen {
        fn output_gradient(&mut self, layer: &str, dy: Batch<'_, f32>) {
            self.0.push((layer.to_owned(), dy.slice().to_vec()));
        }
    }

    #[test]
    fn layers_alone_multiply_up_to_the_network_bit_for_bit() {
        let shared = Shared::new(Affine::new(4));
        let chain = sequential![
            Gru::new(4),
            Dropout::new(0.5),
            shared.clone(),
            Residual(sequential![shared, Tanh]),
            BatchNorm::new(),
            Affine::new(2)
        ];
        let network = Network::<f32>::build([3, 2], chain, Seed(4)).unwrap();
        let numbers: Vec<f32> = (0..30).map(|i| (i as f32).sin()).collect();
        let target: Vec<f32> = (0..30).map(|i| (i as f32).cos()).collect();
        let (x, mode) = (Batch::new(&numbers, 5, [3, 2]).unwrap(), Mode::Training { step: 7 });

        let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
        let (mut y, mut seen) = (vec![numbers.clone()], Seen::default());
        let record = |_: &str, batch: Batch<'_, f32>| y.push(batch.slice().to_vec());
        network.forward_observed(network.parameters(), x, &mut workspace, mode, record).unwrap();
        let target = Target::Values(&target);
        let loss = MeanSquaredError::new();
        network.backpropagate_observed(x, target, None, &loss, &mut workspace, mode, &mut seen).unwrap();

        let mut gradient = vec![0.0; network.parameters().len()];
        let mut dy: Vec<Option<Vec<f32>>> = vec![None; y.len()];
        let add = |sum: &mut [f32], more: &[f32]| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        dy[y.len() - 1] = Some(seen.0[0].1.clone());
        for (index, place) in network.places().iter().enumerate().rev() {
            let mut inputs = Inputs::empty();
            for (input, node) in place.inputs().into_iter().enumerate() {
                let shape = place.shapes()[input];
                inputs.set(input, Batch::new(&y[node], 5, shape).unwrap());
            }
            let passed = place.forward(inputs, 5, mode).unwrap();
            assert_eq!(passed.y(), y[index + 1], "{}", place.name());
            let above = dy[index + 1].clone().unwrap();
            let of_network = seen.0.iter().find(|(name, _)| name == place.name()).unwrap();
            assert_eq!(above, of_network.1, "{}", place.name());
            let gradients = passed.backward(&above).unwrap();
            add(&mut gradient[place.parameters()], &gradients.dtheta);
            for (node, dx) in place.inputs().into_iter().zip(gradients.dx) {
                match &mut dy[node] {
                    Some(sum) => add(sum, &dx),
                    none => *none = Some(dx),
                }
            }
        }
        assert_eq!(gradient, workspace.gradient());
        assert_eq!(dy[0].as_deref(), workspace.input_gradient(0).map(|dx| dx.slice()));
    }

    #[test]
    fn layers_that_are_held_as_descriptions_are_found_by_their_own_type() {
        let chain = sequential![Description::from(Affine::new(2)), LeakyRelu::new(0.25), Residual(Gru::new(2))];
        let network = Network::<f64>::build([3, 2], chain, Seed(1)).unwrap();
        let opened: Network<f64> = network.description().unwrap().build().unwrap();
        for network in [&network, &opened] {
            let places = network.places();
            assert!(places[0].layer::<Affine>().is_some() && places[0].layer::<Add>().is_none());
            assert_eq!(places[1].layer::<LeakyRelu>(), Some(&LeakyRelu::new(0.25)));
            assert!(places[2].layer::<Gru>().is_some() && places[3].layer::<Add>().is_some());
            assert!(format!("{:?}", places[1].debug()).contains("LeakyRelu { negative_slope: 0.25 }"));
        }
        // What was wired as a description is found as one, too.
        assert!(network.places()[0].layer::<Description>().is_some());
        assert!(network.places()[1].layer::<Description>().is_none());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let network = Network::<f64>::build([2], Residual(Affine::new(2)), Seed(1)).unwrap();
        let add = network.places()[1];
        assert!(add.layer::<Add>().is_some() && add.layer::<Affine>().is_none());
        assert!(!add.is_frozen() && add.parameters().is_empty());
        let x = Inputs::from(Batch::new(&[1.0, 2.0], 1, [2]).unwrap());
        let error = add.forward(x, 1, Mode::Evaluation).unwrap_err().to_string();
        assert!(error.contains("as many inputs as it has in the network"), "{error}");
        let affine = network.places()[0];
        let long = Inputs::from(Batch::new(&[1.0, 2.0, 3.0], 1, [3]).unwrap());
        assert!(affine.forward(long, 1, Mode::Evaluation).is_err());
        assert!(affine.forward(x, 1, Mode::Evaluation).unwrap().backward(&[1.0]).is_err());
    }
}
