use downhill_tensor::{Batch, BatchMut, Buffer, BuildError, Examples, Scalar, Seed, Shape, ShapeError, view};
use ndarray::{Array2, ArrayView, ArrayViewD, IxDyn};

use crate::erased;
use crate::{Arrays, ArraysMut, Backward, Forward, Inputs, InputsMut, Layer, MAX_INPUTS, Mode, Signature, Streams};

/// One layer with its own parameters and buffers, for inputs of fixed shapes:
/// for learning, for tests, and for those who need no network.
///
/// Made by [`Layer::bind`]; an example stands at [`Affine`](crate::Affine).
/// Unlike a network it allocates its results, and it copies its inputs for the backward pass.
#[derive(Clone, Debug)]
pub struct Bound<L, T> {
    layer: L,
    signature: Signature,
    inputs: Vec<Shape>,
    seed: Seed,
    mode: Mode,
    theta: Buffer<T>,
    gradient: Buffer<T>,
    statistics: Buffer<T>,
    /// The size of the batch of the last forward pass, whose arrays follow.
    examples: usize,
    x: Vec<Vec<T>>,
    y: Buffer<T>,
    saved: Buffer<T>,
    dx: Vec<Vec<T>>,
}

impl<L: Layer, T: Scalar> Bound<L, T> {
    /// Binds a layer to inputs of these shapes, with parameters started from `seed`.
    ///
    /// # Errors
    /// Returns the errors of [`Layer::signature`], and an error if there is not enough memory for the parameters.
    pub fn new(layer: L, inputs: &[Shape], seed: Seed) -> Result<Self, BuildError> {
        let signature = layer.signature(inputs)?;
        signature.check(inputs)?;
        inputs.iter().try_for_each(|input| input.check("an input of a bound layer"))?;
        if inputs.len() > MAX_INPUTS {
            let (by, got) = (signature.name(), inputs.len());
            return Err(ShapeError::Inputs { by, expected: "at most eight inputs", got }.into());
        }
        let mut theta = zeros("the parameters of a bound layer", signature.parameters_len())?;
        signature.start(&mut theta, seed);
        let mut statistics = zeros("the running statistics of a bound layer", signature.statistics_len())?;
        signature.start_statistics(&mut statistics, seed);
        let gradient = zeros("the gradient of a bound layer", theta.len())?;
        Ok(Self {
            layer,
            signature,
            inputs: inputs.to_vec(),
            seed,
            mode: Mode::Training { step: 0 },
            theta,
            gradient,
            statistics,
            examples: 0,
            x: Vec::new(),
            y: Buffer::default(),
            saved: Buffer::default(),
            dx: Vec::new(),
        })
    }

    /// The layer's signature for its inputs.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Sets the mode of the passes to come; a bound layer starts in training step 0.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// All parameters, in one flat vector θ.
    #[must_use]
    pub fn parameters(&self) -> &[T] {
        &self.theta
    }

    /// All parameters, mutable.
    #[must_use]
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.theta
    }

    /// dJ/dθ of the last backward pass.
    #[must_use]
    pub fn gradients(&self) -> &[T] {
        &self.gradient
    }

    /// The parameter of this name, in the axes that other frameworks give it: an affine layer's weight is (out, in).
    ///
    /// # Errors
    /// Returns an error if the layer has no such parameter.
    pub fn parameter(&self, name: &str) -> Result<ArrayViewD<'_, T>, BuildError> {
        self.shaped(&self.theta, name)
    }

    /// dJ/d(parameter of this name) of the last backward pass, in the same axes as the
    /// [`parameter`](Bound::parameter).
    ///
    /// # Errors
    /// Returns an error if the layer has no such parameter.
    pub fn gradient(&self, name: &str) -> Result<ArrayViewD<'_, T>, BuildError> {
        self.shaped(&self.gradient, name)
    }

    /// Sets the parameter of this name to an array of the same axes, or to its numbers in a row.
    ///
    /// # Errors
    /// Returns an error if the layer has no such parameter, or its axes are others.
    pub fn set(&mut self, name: &str, values: impl Examples<T>) -> Result<(), BuildError> {
        let index = self.find(name)?;
        let parameter = &self.signature.parameters()[index];
        let mut axes = parameter.shape.axes().to_vec();
        if parameter.transposed {
            axes.reverse();
        }
        let (values, what) = (values.arrays()?, || format!("the parameter `{name}` and its new values"));
        let [values] = &values[..] else {
            return Err(ShapeError::Length { what: what().into(), expected: 1, got: values.len() }.into());
        };
        if values.shape() != axes && values.shape() != [parameter.shape.len()] {
            return Err(match (Shape::new(&axes), Shape::new(values.shape())) {
                (Some(expected), Some(got)) => ShapeError::Mismatch { what: what().into(), expected, got }.into(),
                _ => ShapeError::Length { what: what().into(), expected: parameter.shape.len(), got: values.len() }
                    .into(),
            });
        }
        let numbers: Vec<T> = values.iter().copied().collect();
        // In memory a transposed parameter lies the other way round.
        let numbers = match ArrayView::from_shape(IxDyn(&axes), &numbers) {
            Ok(view) if parameter.transposed => view.reversed_axes().iter().copied().collect(),
            _ => numbers,
        };
        ArraysMut::new(&mut self.theta, self.signature.parameter_layout(), 0).vector(index).copy_from_slice(&numbers);
        Ok(())
    }

    /// The parameter of this name as an array, in the axes that files show.
    fn shaped<'a>(&self, flat: &'a [T], name: &str) -> Result<ArrayViewD<'a, T>, BuildError>
    where
        Self: 'a,
    {
        let index = self.find(name)?;
        let parameter = &self.signature.parameters()[index];
        let numbers = &flat[self.signature.parameter_layout().range(index, 0)];
        match ArrayView::from_shape(IxDyn(parameter.shape.axes()), numbers) {
            Ok(view) if parameter.transposed => Ok(view.reversed_axes()),
            Ok(view) => Ok(view),
            Err(error) => unreachable!("a parameter holds as many numbers as its shape says: {error}"),
        }
    }

    /// The running statistics, in one flat vector.
    #[must_use]
    pub fn statistics(&self) -> &[T] {
        &self.statistics
    }

    /// The running statistics, mutable.
    #[must_use]
    pub fn statistics_mut(&mut self) -> &mut [T] {
        &mut self.statistics
    }

    /// Updates the running statistics from what the last forward pass has saved.
    pub fn absorb_statistics(&mut self) {
        if self.examples == 0 {
            return;
        }
        let saved = Arrays::new(&self.saved, self.signature.saved(), self.examples);
        let mut statistics = ArraysMut::new(&mut self.statistics, self.signature.statistic_layout(), 0);
        erased::absorb(&self.layer, saved, &mut statistics);
    }

    fn find(&self, name: &str) -> Result<usize, BuildError> {
        let parameters = self.signature.parameters();
        parameters.iter().position(|parameter| parameter.name == name).ok_or_else(|| BuildError::UnknownParameter {
            by: self.signature.name(),
            name: name.to_owned(),
            known: parameters.iter().map(|parameter| parameter.name.to_string()).collect(),
        })
    }

    /// Computes y = f(x; θ) for a batch of examples in the bound shape, or flattened to rows of (batch, features).
    /// The examples of y are flattened to rows.
    ///
    /// A layer with several inputs takes a tuple of them: see [`Examples`].
    ///
    /// # Errors
    /// Returns an error if the number of inputs, or the shape or number of their examples, does not fit, or the layer's
    /// signature does not [`check_batch`](Signature::check_batch) them.
    pub fn forward(&mut self, x: impl Examples<T>) -> Result<Array2<T>, BuildError> {
        let x = x.arrays()?;
        if x.len() != self.inputs.len() {
            return Err(ShapeError::Inputs {
                by: self.signature.name(),
                expected: "as many inputs as it was bound to",
                got: x.len(),
            }
            .into());
        }
        let examples = x.first().map_or(0, |x| x.shape().first().copied().unwrap_or(0));
        for (x, shape) in x.iter().zip(&self.inputs) {
            check_examples(x.shape(), examples, *shape)?;
        }
        let x: Vec<Vec<T>> = x.iter().map(|x| x.iter().copied().collect()).collect();
        self.signature.check_batch(&inputs(&x, examples, &self.inputs)?, examples, self.mode)?;
        let output = self.signature.output();
        let y = zeros("the output of a bound layer", output.len().saturating_mul(examples))?;
        let saved = zeros("what a bound layer keeps", self.signature.saved().len(examples))?;
        let mut scratch =
            zeros("the scratch space of a bound layer", self.signature.scratch_of_forward().len(examples))?;
        (self.examples, self.x, self.y, self.saved, self.dx) = (examples, x, y, saved, Vec::new());
        if examples == 0 {
            return Ok(Array2::zeros((0, output.len())));
        }
        let mut pass = Forward {
            x: inputs(&self.x, self.examples, &self.inputs)?,
            params: Arrays::new(&self.theta, self.signature.parameter_layout(), 0),
            y: BatchMut::new(&mut self.y, self.examples, self.signature.output())?,
            saved: ArraysMut::new(&mut self.saved, self.signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, self.signature.scratch_of_forward(), examples),
            statistics: Arrays::new(&self.statistics, self.signature.statistic_layout(), 0),
            mode: self.mode,
            random: Streams::new(self.seed, self.mode.step(), 0),
            ranks: None,
        };
        erased::forward(&self.layer, &mut pass);
        Ok(Batch::new(&self.y, self.examples, self.signature.output())?.matrix().to_owned())
    }

    /// Applies the chain rule after a forward pass: from dJ/dy to dJ/dx of the first input, whose examples are
    /// flattened to rows. dJ/dθ is then in [`gradient`](Bound::gradient), dJ/dx of further inputs in
    /// [`input_gradients`](Bound::input_gradients).
    ///
    /// # Errors
    /// Returns an error if dy has not the shape of the last y.
    pub fn backward(&mut self, dy: impl Examples<T>) -> Result<Array2<T>, ShapeError> {
        let dy = dy.arrays()?;
        let [dy] = &dy[..] else {
            let what = "the arrays of dJ/dy".into();
            return Err(ShapeError::Length { what, expected: 1, got: dy.len() });
        };
        let (output, examples) = (self.signature.output(), self.examples);
        check_examples(dy.shape(), examples, output)?;
        self.dx = self.inputs.iter().map(|shape| vec![T::NAN; examples * shape.len()]).collect();
        if examples == 0 {
            self.gradient.fill(T::ZERO);
            return Ok(self.first_input_gradient());
        }
        let dy: Vec<T> = dy.iter().copied().collect();
        let scratch_layout = self.signature.scratch_of_backward();
        let mut scratch = zeros("the scratch space of a bound layer", scratch_layout.len(examples))?;
        let mut wanted = InputsMut::empty();
        for (index, (dx, shape)) in self.dx.iter_mut().zip(&self.inputs).enumerate() {
            wanted.set(index, BatchMut::new(dx, examples, *shape)?);
        }
        let mut pass = Backward {
            x: inputs(&self.x, examples, &self.inputs)?,
            params: Arrays::new(&self.theta, self.signature.parameter_layout(), 0),
            y: Batch::new(&self.y, examples, output)?,
            saved: Arrays::new(&self.saved, self.signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, scratch_layout, examples),
            dy: Batch::new(&dy, examples, output)?,
            dx: wanted,
            dparams: ArraysMut::new(&mut self.gradient, self.signature.parameter_layout(), 0),
            ranks: None,
        };
        erased::backward(&self.layer, &mut pass);
        Ok(self.first_input_gradient())
    }

    /// dJ/dx of each input, their examples flattened to rows. Empty if no backward pass has come after the last forward
    /// pass.
    #[must_use]
    pub fn input_gradients(&self) -> Vec<Array2<T>> {
        let gradients = self.dx.iter().zip(&self.inputs);
        gradients.map(|(dx, shape)| view::matrix(dx, (self.examples, shape.len())).to_owned()).collect()
    }

    /// dJ/dx of the first input; a layer without inputs has none.
    fn first_input_gradient(&self) -> Array2<T> {
        let first = self.dx.first().zip(self.inputs.first());
        first.map_or(Array2::zeros((0, 0)), |(dx, shape)| view::matrix(dx, (self.examples, shape.len())).to_owned())
    }
}

fn zeros<T: Scalar>(what: &'static str, len: usize) -> Result<Buffer<T>, ShapeError> {
    Buffer::try_from_fn(what, len, |_| T::ZERO)
}

fn inputs<'a, T>(x: &'a [Vec<T>], examples: usize, shapes: &[Shape]) -> Result<Inputs<'a, T>, ShapeError> {
    let mut inputs = Inputs::empty();
    for (index, (x, shape)) in x.iter().zip(shapes).enumerate() {
        inputs.set(index, Batch::new(x, examples, *shape)?);
    }
    Ok(inputs)
}

/// Checks that an array of these axes holds this many examples of this shape, which may be flattened to rows.
fn check_examples(axes: &[usize], examples: usize, shape: Shape) -> Result<(), ShapeError> {
    let (&rows, example) = axes.split_first().unwrap_or((&0, &[]));
    let fits = Shape::new(example).is_some_and(|got| got.reads_as(shape) || example == [shape.len()]);
    if !fits {
        let (what, got) = (format!("an example, of shape {shape},").into(), example.iter().product());
        return Err(ShapeError::Length { what, expected: shape.len(), got });
    }
    if rows != examples {
        return Err(ShapeError::Length { what: "the batch axis".into(), expected: examples, got: rows });
    }
    Ok(())
}
