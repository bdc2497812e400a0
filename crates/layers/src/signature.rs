use std::borrow::Cow;
use std::ops::Range;

use downhill_tensor::{BuildError, Fans, Init, Outputs, Scalar, Seed, Shape, ShapeError};

use crate::{Extent, Inputs, Layout, MAX_INPUTS, Mode};

/// A layer's output, parameters and arrays for given inputs: all that it takes to plan memory and start parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    name: &'static str,
    output: Shape,
    parameters: Vec<Parameter>,
    parameter_layout: Layout,
    statistics: Vec<Parameter>,
    statistic_layout: Layout,
    saved: Layout,
    forward_scratch: Layout,
    backward_scratch: Layout,
    backward_needs_x: bool,
    backward_needs_y: bool,
    in_place: bool,
    whole_numbers: [Option<WholeNumbers>; MAX_INPUTS],
    least_examples: usize,
    outputs: Option<Outputs>,
    keeps_numbers: bool,
    gathered: [usize; 2],
}

/// The whole numbers that an input may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WholeNumbers {
    /// The smallest.
    pub least: usize,
    /// The largest.
    pub most: usize,
}

impl Signature {
    /// Creates the signature of a layer of this name with this output, no parameters, nothing saved;
    /// its backward pass may read x and y.
    #[must_use]
    pub fn new(name: &'static str, output: impl Into<Shape>) -> Self {
        Self {
            name,
            output: output.into(),
            parameters: Vec::new(),
            parameter_layout: Layout::new(),
            statistics: Vec::new(),
            statistic_layout: Layout::new(),
            saved: Layout::new(),
            forward_scratch: Layout::new(),
            backward_scratch: Layout::new(),
            backward_needs_x: true,
            backward_needs_y: true,
            in_place: false,
            whole_numbers: [None; MAX_INPUTS],
            least_examples: 0,
            outputs: None,
            keeps_numbers: false,
            gathered: [0; 2],
        }
    }

    /// Declares a parameter, learnt by gradient descent.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameter_layout.push(parameter.name.clone(), parameter.shape, Extent::PerBatch);
        self.parameters.push(parameter);
        self
    }

    /// Declares a parameter that not every layer of its kind has.
    pub(crate) fn parameter_if(self, exists: bool, parameter: Parameter) -> Self {
        if exists { self.parameter(parameter) } else { self }
    }

    /// Declares a running statistic, changed by [`Layer::absorb`](crate::Layer::absorb) alone.
    #[must_use]
    pub fn statistic(mut self, statistic: Parameter) -> Self {
        self.statistic_layout.push(statistic.name.clone(), statistic.shape, Extent::PerBatch);
        self.statistics.push(statistic);
        self
    }

    /// Declares an array that the forward pass keeps for the backward pass, by name, shape and extent.
    ///
    /// ```
    /// use downhill_layers::{Extent::PerBatch, Extent::PerExample, Signature};
    ///
    /// let signature = Signature::new("Mine", [4]).saves("mean", [4], PerBatch).saves("mask", [2, 2], PerExample);
    /// assert_eq!(signature.saved().len(10), 4 + 10 * 4);
    /// ```
    #[must_use]
    pub fn saves(mut self, name: impl Into<Cow<'static, str>>, shape: impl Into<Shape>, extent: Extent) -> Self {
        self.saved.push(name, shape, extent);
        self
    }

    /// Declares an array of scratch space for both passes.
    #[must_use]
    pub fn scratch(self, name: &'static str, shape: impl Into<Shape>, extent: Extent) -> Self {
        let shape = shape.into();
        self.forward_scratch(name, shape, extent).backward_scratch(name, shape, extent)
    }

    /// Declares an array of scratch space for the forward pass.
    /// It holds unspecified numbers at entry, and nothing in it survives the pass.
    #[must_use]
    pub fn forward_scratch(mut self, name: &'static str, shape: impl Into<Shape>, extent: Extent) -> Self {
        self.forward_scratch.push(name, shape, extent);
        self
    }

    /// Declares an array of scratch space for the backward pass.
    /// It holds unspecified numbers at entry, and nothing in it survives the pass.
    #[must_use]
    pub fn backward_scratch(mut self, name: &'static str, shape: impl Into<Shape>, extent: Extent) -> Self {
        self.backward_scratch.push(name, shape, extent);
        self
    }

    setters! {
        /// Says that the backward pass does not read x, so that its buffer is free after the forward pass.
        backward_without_x() backward_needs_x = false;
        /// Says that the backward pass does not read y.
        backward_without_y() backward_needs_y = false;
    }

    /// Lets the passes run over their input's buffer.
    ///
    /// Then `forward` may find no x, but its numbers in y; and `backward` may find dy empty, but its numbers in
    /// `dx[0]`. Only for layers of one input, with an output of the same length, whose backward does not read x.
    #[must_use]
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self.backward_without_x()
    }

    /// Says that input `index` holds whole numbers from `least` to `most`, both included: places in a table, or
    /// lengths.
    ///
    /// [`check_batch`](Signature::check_batch) checks them before a pass, so that the pass may rely on it.
    /// They have no derivative: `backward` overwrites that input's dJ/dx with zeros, if it is asked for.
    ///
    /// # Panics
    /// Panics if `index` is not smaller than [`MAX_INPUTS`].
    #[must_use]
    pub fn whole_numbers(mut self, index: usize, least: usize, most: usize) -> Self {
        self.whole_numbers[index] = Some(WholeNumbers { least, most });
        self
    }

    setters! {
        /// Sets the least number of examples in a training pass, unless it has none: statistics of one number are not
        /// defined.
        least_examples(examples: usize) least_examples = examples;
        /// Says what the layer's outputs mean if it is a network's last, such as the probabilities of a softmax.
        outputs(outputs: Outputs) outputs = Some(outputs);
        /// Says that the layer only gives its input's numbers another shape, which leaves their meaning as it is.
        keeps_numbers() keeps_numbers = true;
    }

    /// Says that a training pass over a part of a batch needs sums over all of it: `forward` then calls
    /// [`all_gather`](crate::AllGather::all_gather) once with this many numbers, and `backward` once with that many, if
    /// they have `ranks`.
    ///
    /// The [least number of examples](Signature::least_examples) is then no matter of one part, and all parts come to the
    /// same running statistics.
    #[must_use]
    pub fn gathers(mut self, forward: usize, backward: usize) -> Self {
        self.gathered = [forward, backward];
        self
    }

    /// The numbers that the forward pass and the backward pass gather from all parts of a batch; 0 for most layers.
    #[must_use]
    pub fn gathered(&self) -> [usize; 2] {
        self.gathered
    }

    /// Returns whether the output holds the input's numbers in their order.
    #[must_use]
    pub fn is_another_shape_alone(&self) -> bool {
        self.keeps_numbers
    }

    /// The meaning of the layer's outputs if it is a network's last; `None` if that depends on what they are trained
    /// for.
    #[must_use]
    pub fn meaning_of_outputs(&self) -> Option<Outputs> {
        self.outputs
    }

    /// Returns whether there is anything that [`check_batch`](Signature::check_batch) would refuse.
    #[must_use]
    pub fn checks_batch(&self) -> bool {
        self.least_examples > 0 || self.whole_numbers.iter().any(Option::is_some)
    }

    /// Checks what a pass relies on in addition to shapes: whole numbers, and enough examples.
    /// Missing inputs are skipped.
    ///
    /// # Errors
    /// Returns [`BuildError::Value`] for the first number that is not allowed, and [`BuildError::TooFewExamples`] if a
    /// training pass needs more.
    pub fn check_batch<T: Scalar>(&self, x: &Inputs<'_, T>, examples: usize, mode: Mode) -> Result<(), BuildError> {
        let by = self.name;
        if mode.is_training() && examples > 0 && examples < self.least_examples {
            return Err(BuildError::TooFewExamples { by, least: self.least_examples, got: examples });
        }
        for (index, whole) in self.whole_numbers.iter().enumerate() {
            let (&Some(WholeNumbers { least, most }), Some(x)) = (whole, x.get(index)) else { continue };
            let allowed = |x: f64| x >= least as f64 && x <= most as f64 && x.fract() == 0.0;
            let numbers = x.slice().iter().map(|x| x.to_f64());
            if let Some((place, got)) = numbers.enumerate().find(|&(_, x)| !allowed(x)) {
                return Err(BuildError::Value { by, input: index, place, got: got.to_string(), least, most });
            }
        }
        Ok(())
    }

    /// Checks what every network and bound layer relies on, for the inputs that the signature was made for.
    ///
    /// # Errors
    /// Returns [`ShapeError::TooLarge`] if the output or a parameter is too large, [`ShapeError::Memory`] if the
    /// numbers of one example can't be counted, and [`BuildError::Setting`] if a layer that has not one input as long
    /// as its output claims to run in place.
    pub fn check(&self, inputs: &[Shape]) -> Result<(), BuildError> {
        let too_large = |shape: &Shape, what: String| match shape.check("a shape") {
            Ok(()) => Ok(()),
            Err(_) => Err(ShapeError::TooLarge { what: what.into(), shape: *shape }),
        };
        too_large(&self.output, format!("the output of {}", self.name))?;
        for parameter in self.parameters.iter().chain(&self.statistics) {
            too_large(&parameter.shape, format!("the parameter `{}` of {}", parameter.name, self.name))?;
        }
        let lengths = [self.parameters_len(), self.statistics_len(), self.saved.len(1), self.scratch_len(1)];
        if lengths.contains(&usize::MAX) {
            return Err(ShapeError::Memory { what: self.name.into(), bytes: usize::MAX }.into());
        }
        if self.in_place && !matches!(inputs, [x] if x.len() == self.output.len()) {
            return refuse!(
                self.name,
                "it says that it runs in place, which only a layer of one input can that is as long as its output"
            );
        }
        Ok(())
    }

    /// The whole numbers that input `index` holds, if it must hold such.
    #[must_use]
    pub fn whole_numbers_of(&self, index: usize) -> Option<WholeNumbers> {
        self.whole_numbers.get(index).copied().flatten()
    }

    /// The layer's name, such as `Affine`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The shape of one example of y.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.output
    }

    /// The parameters, in the order in which they lie in θ.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The running statistics.
    #[must_use]
    pub fn statistics(&self) -> &[Parameter] {
        &self.statistics
    }

    /// The arrays of the parameters, as they lie in θ.
    #[must_use]
    #[inline]
    pub fn parameter_layout(&self) -> &Layout {
        &self.parameter_layout
    }

    /// The arrays of the running statistics, as they lie in memory.
    #[must_use]
    #[inline]
    pub fn statistic_layout(&self) -> &Layout {
        &self.statistic_layout
    }

    /// The arrays that the forward pass keeps for the backward pass.
    #[must_use]
    #[inline]
    pub fn saved(&self) -> &Layout {
        &self.saved
    }

    /// The scratch arrays of the forward pass.
    #[must_use]
    #[inline]
    pub fn scratch_of_forward(&self) -> &Layout {
        &self.forward_scratch
    }

    /// The scratch arrays of the backward pass.
    #[must_use]
    #[inline]
    pub fn scratch_of_backward(&self) -> &Layout {
        &self.backward_scratch
    }

    /// The number of elements of all parameters; `usize::MAX` if they can't be counted.
    #[must_use]
    pub fn parameters_len(&self) -> usize {
        self.parameter_layout.len(0)
    }

    /// The number of elements of all running statistics; `usize::MAX` if they can't be counted.
    #[must_use]
    pub fn statistics_len(&self) -> usize {
        self.statistic_layout.len(0)
    }

    /// The scratch space, in numbers, that either pass over a batch of `examples` needs; `usize::MAX` if it can't be
    /// counted.
    #[must_use]
    pub fn scratch_len(&self, examples: usize) -> usize {
        self.forward_scratch.len(examples).max(self.backward_scratch.len(examples))
    }

    /// Overwrites the layer's slice of θ with the initial parameters.
    pub fn start<T: Scalar>(&self, theta: &mut [T], seed: Seed) {
        start(&self.parameters, theta, seed);
    }

    /// Overwrites the layer's running statistics with their initial values.
    pub fn start_statistics<T: Scalar>(&self, statistics: &mut [T], seed: Seed) {
        start(&self.statistics, statistics, seed);
    }

    /// Returns whether the backward pass reads x.
    #[must_use]
    pub fn needs_x(&self) -> bool {
        self.backward_needs_x
    }

    /// Returns whether the backward pass reads y.
    #[must_use]
    pub fn needs_y(&self) -> bool {
        self.backward_needs_y
    }

    /// Returns whether the passes may run over their input's buffer.
    #[must_use]
    pub fn runs_in_place(&self) -> bool {
        self.in_place
    }
}

/// One parameter of a layer: its name, its shape in memory, and how it starts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name within the layer, such as `weight`.
    pub name: Cow<'static, str>,
    /// Its shape in memory, row-major.
    pub shape: Shape,
    /// Its initialiser.
    pub init: Init,
    /// The number of inputs that each output is a sum over, and of outputs that each input goes into.
    pub fans: Fans,
    /// Whether other frameworks name and save it with its two axes swapped.
    pub transposed: bool,
    /// Numbers that start from a constant, whatever `init` says: the padding of a table, or a gate's bias.
    pub constant: Option<(Range<usize>, f64)>,
}

impl Parameter {
    /// Creates a parameter of this name and shape that starts as `init` says.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, shape: impl Into<Shape>, init: Init) -> Self {
        let shape = shape.into();
        let fans = Fans { fan_in: shape.len(), fan_out: shape.len() };
        Self { name: name.into(), shape, init, fans, transposed: false, constant: None }
    }

    setters! {
        /// Sets the fans that initialisers scale by.
        fans(fan_in: usize, fan_out: usize) fans = Fans { fan_in, fan_out };
        /// Says that the matrix lies (in, out) in memory, and (out, in) in other frameworks.
        transposed() transposed = true;
        /// Starts the numbers of this range, counted in memory order, from this value.
        constant(range: Range<usize>, value: f64) constant = Some((range, value));
    }
}

fn start<T: Scalar>(parameters: &[Parameter], mut flat: &mut [T], seed: Seed) {
    for (key, parameter) in parameters.iter().enumerate() {
        let (values, rest) = flat.split_at_mut(parameter.shape.len());
        parameter.init.fill(values, parameter.shape, parameter.fans, &mut seed.stream(key as u64));
        if let Some((range, value)) = &parameter.constant
            && let Some(numbers) = values.get_mut(range.clone())
        {
            numbers.fill(T::from_f64(*value));
        }
        flat = rest;
    }
}

/// The only input of a layer that takes exactly one.
///
/// # Errors
/// Returns [`ShapeError::Inputs`] for any other number of inputs, and [`ShapeError::TooLarge`] if the shape is too
/// large. So sizes that are worked out of it alone don't overflow.
pub fn single_input(layer: &'static str, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    match inputs {
        [input] => countable(layer, *input),
        _ => Err(ShapeError::Inputs { by: layer, expected: "exactly one input", got: inputs.len() }),
    }
}

/// The shape, if it is not too large.
pub(crate) fn countable(layer: &'static str, input: Shape) -> Result<Shape, ShapeError> {
    match input.check("an input") {
        Ok(()) => Ok(input),
        Err(_) => Err(ShapeError::TooLarge { what: format!("an input of {layer}").into(), shape: input }),
    }
}
