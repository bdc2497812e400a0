use downhill_tensor::{Batch, BatchMut, Buffer, Scalar, Seed, Shape, ShapeError};
use ndarray::{Array2, ArrayView2};

use crate::erased;
use crate::{Arrays, ArraysMut, Backward, Forward, Inputs, InputsMut, Layer, MAX_INPUTS, Mode, Signature, Streams};

/// One layer with parameters and buffers of its own, for inputs of fixed shapes:
/// for learning, for tests, and for those who need no network.
///
/// Made by [`Layer::bind`]; an example stands at [`Affine`](crate::Affine).
/// Unlike a network it allocates its results, and it copies its inputs to have them for the way back.
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
    /// The size of the batch of the last forward pass, which the following are of.
    examples: usize,
    x: Vec<Vec<T>>,
    y: Buffer<T>,
    saved: Buffer<T>,
}

impl<L: Layer, T: Scalar> Bound<L, T> {
    /// Binds a layer to inputs of these shapes, with parameters started from `seed`.
    ///
    /// # Errors
    /// Returns the errors of [`Layer::signature`], and an error if there is not enough memory for the parameters.
    pub fn new(layer: L, inputs: &[Shape], seed: Seed) -> Result<Self, ShapeError> {
        let signature = layer.signature(inputs)?;
        signature.check(inputs)?;
        inputs.iter().try_for_each(|input| input.check("an input of a bound layer"))?;
        if inputs.len() > MAX_INPUTS {
            let (by, got) = (signature.name(), inputs.len());
            return Err(ShapeError::Inputs { by, expected: "at most eight inputs", got });
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
        })
    }

    /// What the layer makes of its inputs.
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

    /// All parameters, to be changed.
    #[must_use]
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.theta
    }

    /// dJ/dθ of the last way back.
    #[must_use]
    pub fn gradients(&self) -> &[T] {
        &self.gradient
    }

    /// The parameter of this name, row-major as it lies in memory.
    ///
    /// # Errors
    /// Where the layer has no such parameter.
    pub fn parameter(&self, name: &str) -> Result<&[T], ShapeError> {
        Ok(Arrays::new(&self.theta, self.signature.parameter_layout(), 0).vector(self.find(name)?))
    }

    /// dJ/d(parameter of this name) of the last way back, row-major as it lies in memory.
    ///
    /// # Errors
    /// Where the layer has no such parameter.
    pub fn gradient(&self, name: &str) -> Result<&[T], ShapeError> {
        Ok(Arrays::new(&self.gradient, self.signature.parameter_layout(), 0).vector(self.find(name)?))
    }

    /// Sets the parameter of this name, row-major as it lies in memory.
    ///
    /// # Errors
    /// Where the layer has no such parameter, or it has another number of elements.
    pub fn set(&mut self, name: &str, values: &[T]) -> Result<(), ShapeError> {
        let index = self.find(name)?;
        let mut params = ArraysMut::new(&mut self.theta, self.signature.parameter_layout(), 0);
        let parameter = params.vector(index);
        if parameter.len() != values.len() {
            return Err(ShapeError::Length {
                what: format!("the parameter `{name}`").into(),
                expected: parameter.len(),
                got: values.len(),
            });
        }
        parameter.copy_from_slice(values);
        Ok(())
    }

    /// The running statistics, in one flat vector.
    #[must_use]
    pub fn statistics(&self) -> &[T] {
        &self.statistics
    }

    /// The running statistics, to be changed.
    #[must_use]
    pub fn statistics_mut(&mut self) -> &mut [T] {
        &mut self.statistics
    }

    /// Takes what the last forward pass has saved into the running statistics.
    pub fn absorb_statistics(&mut self) {
        if self.examples == 0 {
            return;
        }
        let saved = Arrays::new(&self.saved, self.signature.saved(), self.examples);
        let mut statistics = ArraysMut::new(&mut self.statistics, self.signature.statistic_layout(), 0);
        erased::absorb(&self.layer, saved, &mut statistics);
    }

    fn find(&self, name: &str) -> Result<usize, ShapeError> {
        let parameters = self.signature.parameters();
        parameters.iter().position(|parameter| parameter.name == name).ok_or_else(|| ShapeError::Setting {
            by: self.signature.name(),
            reason: format!(
                "there is no parameter `{name}`; it has {:?}",
                parameters.iter().map(|parameter| parameter.name.as_ref()).collect::<Vec<_>>()
            ),
        })
    }

    /// y = f(x; θ), for x and y of (batch, features), examples flattened to rows.
    ///
    /// # Errors
    /// Returns an error if x has another number of columns than the bound shape has numbers, or the layer has several
    /// inputs.
    pub fn forward(&mut self, x: ArrayView2<'_, T>) -> Result<Array2<T>, ShapeError> {
        self.forward_all(&[x])
    }

    /// The same for a layer with several inputs.
    ///
    /// # Errors
    /// Where the number of inputs, of their columns or of their rows does not fit, or the layer's signature does not
    /// [`admit`](Signature::admit) them.
    pub fn forward_all(&mut self, x: &[ArrayView2<'_, T>]) -> Result<Array2<T>, ShapeError> {
        if x.len() != self.inputs.len() {
            return Err(ShapeError::Inputs {
                by: self.signature.name(),
                expected: "as many inputs as it was bound to",
                got: x.len(),
            });
        }
        let examples = x.first().map_or(0, |x| x.nrows());
        for (x, shape) in x.iter().zip(&self.inputs) {
            expect_columns(x, examples, *shape)?;
        }
        let x: Vec<Vec<T>> = x.iter().map(|x| x.iter().copied().collect()).collect();
        self.signature.admit(&inputs(&x, examples, &self.inputs)?, examples, self.mode)?;
        let output = self.signature.output();
        let y = zeros("the output of a bound layer", output.len().saturating_mul(examples))?;
        let saved = zeros("what a bound layer keeps", self.signature.saved().len(examples))?;
        let mut scratch =
            zeros("the scratch space of a bound layer", self.signature.scratch_of_forward().len(examples))?;
        (self.examples, self.x, self.y, self.saved) = (examples, x, y, saved);
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
        };
        erased::forward(&self.layer, &mut pass);
        Ok(Batch::new(&self.y, self.examples, self.signature.output())?.matrix().to_owned())
    }

    /// The chain rule at this layer: from dJ/dy to dJ/dx, after a forward pass. dJ/dθ is then in
    /// [`gradient`](Bound::gradient).
    ///
    /// # Errors
    /// Where dy has not the shape of the last y, or the layer has several inputs.
    pub fn backward(&mut self, dy: ArrayView2<'_, T>) -> Result<Array2<T>, ShapeError> {
        let mut all = self.backward_all(dy)?;
        match all.len() {
            1 => Ok(all.remove(0)),
            got => Err(ShapeError::Inputs { by: self.signature.name(), expected: "exactly one input", got }),
        }
    }

    /// The same for a layer with several inputs: dJ/dx for each.
    ///
    /// # Errors
    /// Where dy has not the shape of the last y.
    pub fn backward_all(&mut self, dy: ArrayView2<'_, T>) -> Result<Vec<Array2<T>>, ShapeError> {
        let (output, examples) = (self.signature.output(), self.examples);
        expect_columns(&dy, examples, output)?;
        if examples == 0 {
            self.gradient.fill(T::ZERO);
            return Ok(self.inputs.iter().map(|shape| Array2::zeros((0, shape.len()))).collect());
        }
        let dy: Vec<T> = dy.iter().copied().collect();
        let mut scratch =
            zeros("the scratch space of a bound layer", self.signature.scratch_of_backward().len(examples))?;
        let mut dx: Vec<Vec<T>> = self.inputs.iter().map(|shape| vec![T::NAN; examples * shape.len()]).collect();
        let mut wanted = InputsMut::none();
        for (index, (dx, shape)) in dx.iter_mut().zip(&self.inputs).enumerate() {
            wanted.set(index, BatchMut::new(dx, examples, *shape)?);
        }
        let mut pass = Backward {
            x: inputs(&self.x, examples, &self.inputs)?,
            params: Arrays::new(&self.theta, self.signature.parameter_layout(), 0),
            y: Batch::new(&self.y, examples, output)?,
            saved: Arrays::new(&self.saved, self.signature.saved(), examples),
            scratch: ArraysMut::new(&mut scratch, self.signature.scratch_of_backward(), examples),
            dy: Batch::new(&dy, examples, output)?,
            dx: wanted,
            dparams: ArraysMut::new(&mut self.gradient, self.signature.parameter_layout(), 0),
        };
        erased::backward(&self.layer, &mut pass);
        dx.iter()
            .zip(&self.inputs)
            .map(|(dx, shape)| Ok(Batch::new(dx, examples, *shape)?.matrix().to_owned()))
            .collect()
    }
}

fn zeros<T: Scalar>(what: &'static str, len: usize) -> Result<Buffer<T>, ShapeError> {
    Buffer::try_from_fn(what, len, |_| T::ZERO)
}

fn inputs<'a, T>(x: &'a [Vec<T>], examples: usize, shapes: &[Shape]) -> Result<Inputs<'a, T>, ShapeError> {
    let mut inputs = Inputs::none();
    for (index, (x, shape)) in x.iter().zip(shapes).enumerate() {
        inputs.set(index, Batch::new(x, examples, *shape)?);
    }
    Ok(inputs)
}

fn expect_columns<T>(x: &ArrayView2<'_, T>, examples: usize, shape: Shape) -> Result<(), ShapeError> {
    let (rows, columns) = x.dim();
    if columns != shape.len() {
        let what = format!("a row of the matrix, for examples of shape {shape},");
        return Err(ShapeError::Length { what: what.into(), expected: shape.len(), got: columns });
    }
    if rows != examples {
        return Err(ShapeError::Length { what: "the batch axis".into(), expected: examples, got: rows });
    }
    Ok(())
}
