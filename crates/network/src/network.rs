use std::fmt;
use std::sync::{Arc, Mutex};

use downhill_layers::{Inputs, Mode, Parameter};
use downhill_losses::Total;
use downhill_optim::Segment;
use downhill_tensor::{Batch, Buffer, BuildError, Scalar, Seed, Shape, ShapeError, threads};
use ndarray::{ArrayView, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::graph::{Program, Step, at};
use crate::passes::{BackwardObserver, Model, Onlooker, Slices};
use crate::predict::Reading;
use crate::step::{Counted, Ready};
use crate::{Block, Graph, Node, Purpose, Summary, Workspace};

/// A network: layers and their wiring, and all parameters in one flat vector θ.
///
/// The passes take θ as an argument and never change it; an optimizer does, through
/// [`parameters_mut`](Network::parameters_mut). Workspaces are separate, so one network serves many threads.
///
/// A [clone](Network::clone) has parameters, running statistics, seed and meaning of its own, and shares the layers and
/// their wiring: a workspace of one serves the other.
///
/// ```
/// use downhill_layers::{Affine, Tanh};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let network = Network::<f32>::build([2], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(1))?;
/// let y = network.predict([[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]])?;
/// assert_eq!(y.dim(), (3, 1));
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
pub struct Network<T> {
    program: Arc<Program>,
    slices: Arc<[Slices]>,
    segments: Arc<[Segment]>,
    statistic_segments: Arc<[Segment]>,
    theta: Buffer<T>,
    statistics: Vec<T>,
    seed: Seed,
    pub(crate) reading: Reading,
    /// Workspaces of earlier predictions, to be used again.
    pub(crate) idle: Mutex<Vec<Workspace<T>>>,
}

impl<T: Scalar> Network<T> {
    /// Builds a network of one input from a block: one layer, a chain, or a custom one.
    ///
    /// `input` is the shape of one example. All other sizes are inferred. Parameters start from `seed`,
    /// each from its own stream, so that the same description and seed give the same numbers.
    ///
    /// # Errors
    /// Returns an error if layers do not fit, with the place, the layer and the shapes.
    pub fn build(input: impl Into<Shape>, block: impl Block, seed: Seed) -> Result<Self, BuildError> {
        let mut graph = Graph::new();
        let x = graph.input(input);
        let y = block.wire(&mut graph, x)?;
        Self::from_graph(&graph, y, seed)
    }

    /// Builds the network that computes `output`. Layers that it does not depend on are left out.
    ///
    /// # Errors
    /// Returns an error if `output` belongs to another graph or depends on no layer, or if there is not enough memory
    /// for the parameters.
    pub fn from_graph(graph: &Graph, output: Node, seed: Seed) -> Result<Self, BuildError> {
        let mut network = Self::zeroed(graph, output, seed)?;
        for (index, (step, ranges)) in network.program.steps.iter().zip(&*network.slices).enumerate() {
            if network.program.owners[index] < index {
                continue;
            }
            let (signature, seed) = (&step.signature, seed.derive(index as u64));
            signature.start(&mut network.theta[ranges.parameters.clone()], seed);
            signature.start_statistics(&mut network.statistics[ranges.statistics.clone()], seed);
        }
        Ok(network)
    }

    /// Builds the network with zero for every parameter and running statistic.
    pub(crate) fn zeroed(graph: &Graph, output: Node, seed: Seed) -> Result<Self, BuildError> {
        let program = graph.program(output)?;
        let Division { slices, segments, statistic_segments } = divide(&program);
        let len = |segments: &[Segment]| segments.last().map_or(0, |last| last.range.end);
        let (parameters, running) = (len(&segments), len(&statistic_segments));
        let theta = Buffer::try_from_fn("the parameters of the network", parameters, |_| T::ZERO)?;
        let statistics = Buffer::try_from_fn("the running statistics of the network", running, |_| T::ZERO)?;
        Ok(Self {
            program: Arc::new(program),
            slices: slices.into(),
            segments: segments.into(),
            statistic_segments: statistic_segments.into(),
            theta,
            statistics: statistics.to_vec(),
            seed,
            reading: Reading::default(),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Copies the network with its numbers in another precision.
    #[must_use]
    pub fn cast<U: Scalar>(&self) -> Network<U> {
        let cast = |numbers: &[T]| -> Vec<U> { numbers.iter().map(|x| U::from_f64(x.to_f64())).collect() };
        Network {
            program: Arc::clone(&self.program),
            slices: Arc::clone(&self.slices),
            segments: Arc::clone(&self.segments),
            statistic_segments: Arc::clone(&self.statistic_segments),
            theta: cast(&self.theta).into(),
            statistics: cast(&self.statistics),
            seed: self.seed,
            reading: self.reading.clone(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// θ: all parameters, in one flat vector.
    #[must_use]
    pub fn parameters(&self) -> &[T] {
        &self.theta
    }

    /// θ, mutable; in training the optimizer changes it.
    #[must_use]
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.theta
    }

    /// The running statistics of layers that keep any, in one flat vector.
    #[must_use]
    pub fn statistics(&self) -> &[T] {
        &self.statistics
    }

    /// The running statistics, mutable, as to restore them from a file.
    #[must_use]
    pub fn statistics_mut(&mut self) -> &mut [T] {
        &mut self.statistics
    }

    /// The division of θ: the name, place and shape of every parameter.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The division of the running statistics.
    #[must_use]
    pub fn statistic_segments(&self) -> &[Segment] {
        &self.statistic_segments
    }

    /// The further names of shared parameters and running statistics, each with the name of the segment that it stands
    /// for: a layer that uses those of an earlier one has no segments.
    ///
    /// ```
    /// use downhill_layers::{Affine, Tanh};
    /// use downhill_network::{Network, Shared, sequential};
    /// use downhill_tensor::Seed;
    ///
    /// let step = Shared::new(sequential![Affine::new(4), Tanh]);
    /// let network = Network::<f32>::build([4], sequential![step.clone(), step], Seed(1))?;
    /// assert_eq!(network.shared_names()[0], ("1.0.weight".into(), "0.0.weight".into()));
    /// # Ok::<(), downhill_tensor::BuildError>(())
    /// ```
    #[must_use]
    pub fn shared_names(&self) -> Vec<(String, String)> {
        let steps = &self.program.steps;
        let sharing = steps.iter().enumerate().filter(|&(index, _)| self.program.owners[index] < index);
        let pairs = sharing.flat_map(|(index, step)| {
            let owner = &steps[self.program.owners[index]];
            let arrays = step.signature.parameters().iter().chain(step.signature.statistics());
            arrays.map(|array| (dotted(&step.name, &array.name), dotted(&owner.name, &array.name)))
        });
        pairs.collect()
    }

    /// The parameter of this name, such as `0.weight`, in the shape that other frameworks give it:
    /// an affine layer's weight is (out, in).
    ///
    /// # Errors
    /// Returns an error if there is no such parameter, with the names that there are.
    pub fn parameter(&self, name: &str) -> Result<ArrayViewD<'_, T>, BuildError> {
        let segment = self.segment(name)?;
        let view = view(ArrayView::from_shape(IxDyn(segment.shape.axes()), &self.theta[segment.range.clone()]));
        Ok(if segment.transposed { view.reversed_axes() } else { view })
    }

    /// The parameter of this name, mutable, in the same shape as [`parameter`](Network::parameter).
    ///
    /// # Errors
    /// Returns an error if there is no such parameter.
    pub fn parameter_mut(&mut self, name: &str) -> Result<ArrayViewMutD<'_, T>, BuildError> {
        let segment = self.segment(name)?.clone();
        let flat = &mut self.theta[segment.range];
        let view = view(ArrayViewMutD::from_shape(IxDyn(segment.shape.axes()), flat));
        Ok(if segment.transposed { view.reversed_axes() } else { view })
    }

    fn segment(&self, name: &str) -> Result<&Segment, BuildError> {
        self.segments.iter().find(|segment| segment.name == name).ok_or_else(|| BuildError::UnknownParameter {
            by: "the network",
            name: name.to_owned(),
            known: self.segments.iter().map(|segment| segment.name.clone()).collect(),
        })
    }

    /// The shape of one example of each input.
    #[must_use]
    pub fn input_shapes(&self) -> Vec<Shape> {
        self.program.inputs.iter().map(|&input| self.program.nodes[input]).collect()
    }

    /// Returns whether input `index` holds whole numbers, such as places in a table or lengths, and has no derivative.
    #[must_use]
    pub fn holds_whole_numbers(&self, index: usize) -> bool {
        let input = self.program.inputs.get(index);
        let mut checked_steps = self.program.checked_steps.iter().map(|&step| &self.program.steps[step]);
        checked_steps.any(|step| {
            let whole = |place| step.signature.whole_numbers_of(place).is_some();
            step.inputs.iter().enumerate().any(|(place, node)| Some(node) == input && whole(place))
        })
    }

    /// The shape of one prediction.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.program.nodes[self.program.output]
    }

    /// The seed that the parameters started from, and that random layers draw from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Sets the seed that random layers draw from. The parameters stay.
    pub fn set_seed(&mut self, seed: Seed) {
        self.seed = seed;
    }

    /// A table of the layers, their output shapes and parameters.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::new(&self.program, size_of::<T>())
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn slices(&self) -> &[Slices] {
        &self.slices
    }

    /// Creates buffers for passes through this network.
    #[must_use]
    pub fn workspace(&self, purpose: Purpose) -> Workspace<T> {
        Workspace::new(Arc::clone(&self.program), self.theta.len(), purpose)
    }

    /// Computes y = f(x; θ), layer by layer.
    ///
    /// The prediction lies in the workspace until its next pass.
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, or θ has another length than the network's parameters.
    pub fn forward<'w>(
        &self,
        theta: &[T],
        x: impl Into<Inputs<'w, T>>,
        workspace: &'w mut Workspace<T>,
        mode: Mode,
    ) -> Result<Batch<'w, T>, BuildError> {
        self.run_forward(theta, &x.into(), workspace, mode, Onlooker::Nobody)?;
        Ok(workspace.prediction())
    }

    /// Computes y as [`forward`](Network::forward) does, and shows every layer's name and output to `observe` as it
    /// runs. The name of a layer outside any chain is empty.
    ///
    /// # Errors
    /// Returns the errors of [`forward`](Network::forward).
    pub fn forward_observed<'w>(
        &self,
        theta: &[T],
        x: impl Into<Inputs<'w, T>>,
        workspace: &'w mut Workspace<T>,
        mode: Mode,
        mut observe: impl FnMut(&str, Batch<'_, T>),
    ) -> Result<Batch<'w, T>, BuildError> {
        self.run_forward(theta, &x.into(), workspace, mode, Onlooker::Outputs(&mut observe))?;
        Ok(workspace.prediction())
    }

    pub(crate) fn run_forward(
        &self,
        theta: &[T],
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        mode: Mode,
        mut onlooker: Onlooker<'_, T>,
    ) -> Result<(), BuildError> {
        let (examples, as_they_are) = self.check(theta, x)?;
        self.check_workspace(workspace)?;
        let own = if as_they_are { None } else { self.in_own_shapes(x) };
        let x = own.as_ref().unwrap_or(x);
        self.check_batch(x, examples, mode, onlooker.is_one_of_several())?;
        workspace.reserve(&self.program, examples)?;
        if examples == 0 {
            // Layers need not know that there may be no examples.
            for step in &self.program.steps {
                onlooker.output(&step.name, || Batch::absent(0, step.signature.output()));
            }
            return Ok(());
        }
        let pass = || self.model(theta).forward(x, workspace, mode, onlooker);
        if !mode.is_training() || self.is_worth_sharing(examples) {
            pass()
        } else {
            threads::alone(pass)
        }
        Ok(())
    }

    /// Checks what a forward pass would check before it runs: that x fits the network, and that each layer takes it.
    ///
    /// # Errors
    /// Returns the errors of [`forward`](Network::forward).
    pub fn check_inputs<'x>(&self, x: impl Into<Inputs<'x, T>>, mode: Mode) -> Result<(), BuildError> {
        let x = x.into();
        let (examples, _) = self.check(&self.theta, &x)?;
        self.check_batch(&x, examples, mode, false)
    }

    /// Applies the chain rule, from dJ/dy in the workspace's `loss_slots` to dJ/dθ in its
    /// `gradient`, after a forward pass with the same θ and x.
    ///
    /// # Errors
    /// Returns an error if x or θ does not fit, or the workspace is only for prediction.
    pub fn backward<'x>(
        &self,
        theta: &[T],
        x: impl Into<Inputs<'x, T>>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), BuildError> {
        self.run_backward(theta, &x.into(), workspace, None)
    }

    pub(crate) fn run_backward(
        &self,
        theta: &[T],
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        observer: Option<&mut dyn BackwardObserver<T>>,
    ) -> Result<(), BuildError> {
        let (examples, as_they_are) = self.check(theta, x)?;
        self.check_workspace(workspace)?;
        let own = if as_they_are { None } else { self.in_own_shapes(x) };
        let x = own.as_ref().unwrap_or(x);
        if workspace.purpose() == Purpose::Prediction {
            return Err(prediction_only());
        }
        if examples != workspace.examples {
            return Err(ShapeError::Length {
                what: match workspace.examples {
                    0 => "the batch of a backward pass before any forward pass".into(),
                    _ => "the batch of the backward pass, after the forward pass,".into(),
                },
                expected: workspace.examples,
                got: examples,
            }
            .into());
        }
        if examples == 0 {
            workspace.gradient_mut().fill(T::ZERO);
            return Ok(());
        }
        let pass = || self.model(theta).backward(x, workspace, observer);
        if self.is_worth_sharing(examples) {
            pass()
        } else {
            threads::alone(pass)
        }
        workspace.ready = Ready::Gradient(Counted::Something);
        Ok(())
    }

    /// Takes part in a training pass of several ranks without an example: gives the zeros of this rank wherever layers
    /// [gather](downhill_layers::Signature::gathers) in [`Mode::Training`], and shows `observer` a loss of nothing and a
    /// gradient of 0.
    ///
    /// # Errors
    /// Returns an error if the workspace was made by another network, or is only for prediction.
    pub fn pass_without_examples(
        &self,
        workspace: &mut Workspace<T>,
        observer: &mut dyn BackwardObserver<T>,
    ) -> Result<(), BuildError> {
        self.check_workspace(workspace)?;
        if workspace.purpose() == Purpose::Prediction {
            return Err(prediction_only());
        }
        workspace.reserve(&self.program, 0)?;
        let model = self.model(&self.theta);
        model.forward_without_examples(workspace, observer);
        workspace.ready = Ready::Nothing;
        if observer.loss(Total::default(), &mut []).is_continue() {
            model.backward_without_examples(workspace, observer);
        }
        Ok(())
    }

    /// Returns whether there are layers that [gather](downhill_layers::Signature::gathers) in a training pass, such as
    /// batch normalisation.
    #[must_use]
    pub fn gathers(&self) -> bool {
        self.program.steps.iter().any(|step| step.signature.gathered() != [0; 2])
    }

    /// Returns whether all layers with running statistics [gather](downhill_layers::Signature::gathers), so that passes over
    /// the parts of one batch come to the same ones.
    #[must_use]
    pub fn gathers_statistics(&self) -> bool {
        self.program.steps.iter().all(|step| step.signature.statistics().is_empty() || step.signature.gathered()[0] > 0)
    }

    /// Returns whether a training step on this many examples is large enough for threads to share it.
    ///
    /// Below, its passes use the calling thread alone: what one thread has written the others would have to fetch,
    /// which takes longer than to compute it. A prediction changes no parameters, and is shared from smaller sizes on.
    #[must_use]
    pub fn is_worth_sharing(&self, examples: usize) -> bool {
        /// Multiply-adds of a forward pass, of about 120 µs for a whole step on one thread.
        const SMALL: usize = 2_000_000;
        self.program.work.saturating_mul(examples) >= SMALL
    }

    /// Runs a part of a training step, on this thread alone if the step is too small to share.
    pub(crate) fn in_step<R>(&self, examples: usize, pass: impl FnOnce() -> R) -> R {
        if self.is_worth_sharing(examples) { pass() } else { threads::alone(pass) }
    }

    /// Updates the running statistics from the last training pass, in layers that keep any.
    ///
    /// # Errors
    /// Returns an error if the workspace was made by another network, or is only for prediction.
    pub fn absorb_statistics(&mut self, workspace: &Workspace<T>) -> Result<(), BuildError> {
        self.check_workspace(workspace)?;
        if workspace.purpose() == Purpose::Prediction {
            return Err(prediction_only());
        }
        if workspace.examples == 0 {
            return Ok(());
        }
        let mut statistics = std::mem::take(&mut self.statistics);
        self.model(&self.theta).absorb(workspace, &mut statistics);
        self.statistics = statistics;
        Ok(())
    }

    fn model<'a>(&'a self, theta: &'a [T]) -> Model<'a, T> {
        Model { program: &self.program, slices: &self.slices, theta, statistics: &self.statistics, seed: self.seed }
    }

    /// Checks that each layer takes the batch, in addition to its shape; layers that gather don't mind how small a part is.
    fn check_batch(&self, x: &Inputs<'_, T>, examples: usize, mode: Mode, is_part: bool) -> Result<(), BuildError> {
        for &step in &self.program.checked_steps {
            let step = &self.program.steps[step];
            let mut seen = Inputs::empty();
            for (index, &node) in step.inputs.iter().enumerate() {
                if let Some(x) = self.program.input_index(node).and_then(|input| x.get(input)) {
                    seen.set(index, x);
                }
            }
            let mode = if is_part && step.signature.gathered()[0] > 0 { Mode::Evaluation } else { mode };
            step.signature.check_batch(&seen, examples, mode).map_err(|error| at(&step.name, error))?;
        }
        Ok(())
    }

    /// A workspace is planned for the layers of the network that has made it.
    /// Tells whether this workspace was made by the network or by [a clone](Network::clone) of it, so that its passes
    /// take it.
    #[must_use]
    pub fn owns(&self, workspace: &Workspace<T>) -> bool {
        workspace.is_for(&self.program)
    }

    pub(crate) fn check_workspace(&self, workspace: &Workspace<T>) -> Result<(), BuildError> {
        if self.owns(workspace) { Ok(()) } else { Err(BuildError::OtherNetwork) }
    }

    /// The inputs in the network's own shapes, if they lack axes of 1 or have more of them.
    #[cold]
    fn in_own_shapes<'x>(&self, x: &Inputs<'x, T>) -> Option<Inputs<'x, T>> {
        let mut own = Inputs::empty();
        for (index, (x, &input)) in x.iter().zip(&self.program.inputs).enumerate() {
            own.set(index, x.reshaped(self.program.nodes[input]).ok()?);
        }
        Some(own)
    }

    pub(crate) fn check_count(&self, got: usize) -> Result<(), BuildError> {
        match self.program.inputs.len() {
            expected if got == expected => Ok(()),
            expected => Err(BuildError::InputCount { expected, got }),
        }
    }

    /// Checks the arguments of a pass: the size of the batch, and whether the inputs have the network's own shapes.
    fn check(&self, theta: &[T], x: &Inputs<'_, T>) -> Result<(usize, bool), BuildError> {
        if theta.len() != self.theta.len() {
            return Err(ShapeError::Length {
                what: "the parameter vector".into(),
                expected: self.theta.len(),
                got: theta.len(),
            }
            .into());
        }
        let inputs = &self.program.inputs;
        // An input that is left out between others is missing too.
        let leading = (0..inputs.len()).take_while(|&index| x.get(index).is_some()).count();
        self.check_count(if leading < inputs.len() { leading } else { x.len() })?;
        let examples = x[0].examples();
        let mut as_they_are = true;
        for (index, (x, &input)) in x.iter().zip(inputs).enumerate() {
            let shape = self.program.nodes[input];
            if x.shape() != shape {
                check_shape(shape, x.shape()).map_err(|error| of_input(error, index, inputs.len()))?;
                as_they_are = false;
            }
            if x.examples() != examples {
                return Err(ShapeError::Length {
                    what: format!("the batch of input {index}").into(),
                    expected: examples,
                    got: x.examples(),
                }
                .into());
            }
        }
        Ok((examples, as_they_are))
    }
}

fn prediction_only() -> BuildError {
    let reason = "it is for prediction only; make one with Purpose::Training to go back";
    BuildError::Purpose { by: "the workspace", reason }
}

/// The one rule for a network's examples: their shape is that of its input, but that axes of 1 may be
/// missing or more.
fn check_shape(expected: Shape, got: Shape) -> Result<(), ShapeError> {
    if got == expected || got.reads_as(expected) {
        return Ok(());
    }
    Err(ShapeError::Mismatch { what: "an example and the network's input".into(), expected, got })
}

/// Names the input, if there are several.
fn of_input(error: ShapeError, index: usize, inputs: usize) -> ShapeError {
    match error {
        ShapeError::Mismatch { expected, got, .. } if inputs > 1 => {
            ShapeError::Mismatch { what: format!("an example and the network's input {index}").into(), expected, got }
        }
        other => other,
    }
}

/// The array, in standard layout, as a batch for an input of this shape: its first axis is that of the examples.
pub(crate) fn batch_of<'a, T, S: ndarray::Data<Elem = T>>(
    array: &'a ndarray::ArrayBase<S, IxDyn>,
    shape: Shape,
) -> Result<Batch<'a, T>, BuildError> {
    let (examples, axes) = array.shape().split_first().map_or((1, &[][..]), |(examples, axes)| (*examples, axes));
    let got = Shape::new(axes).ok_or_else(|| BuildError::Setting {
        by: "the network",
        reason: format!("it takes examples of shape {shape}, but was given an array of the axes {:?}", array.shape()),
    })?;
    check_shape(shape, got)?;
    Ok(Batch::new(array.as_slice().unwrap_or_default(), examples, shape)?)
}

/// How θ and the running statistics are divided among the layers.
pub(crate) struct Division {
    slices: Vec<Slices>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) statistic_segments: Vec<Segment>,
}

/// Divides θ and the running statistics. Where they can't be counted, ranges end at `usize::MAX`.
pub(crate) fn divide(program: &Program) -> Division {
    let mut slices: Vec<Slices> = Vec::with_capacity(program.steps.len());
    let (mut segments, mut statistic_segments) = (Vec::new(), Vec::new());
    let (mut parameters_len, mut statistics_len) = (0, 0);
    for (index, step) in program.steps.iter().enumerate() {
        let owner = program.owners[index];
        if owner < index {
            slices.push(Slices::clone(&slices[owner]));
            continue;
        }
        let (signature, start) = (&step.signature, (parameters_len, statistics_len));
        segments.extend(name(step, signature.parameters(), &mut parameters_len));
        statistic_segments.extend(name(step, signature.statistics(), &mut statistics_len));
        slices.push(Slices { parameters: start.0..parameters_len, statistics: start.1..statistics_len });
    }
    Division { slices, segments, statistic_segments }
}

/// The segments of a layer's parameters, from `start` on, which becomes their end.
fn name<'a>(step: &'a Step, parameters: &'a [Parameter], start: &'a mut usize) -> impl Iterator<Item = Segment> + 'a {
    parameters.iter().map(move |parameter| {
        let range = *start..start.saturating_add(parameter.shape.len());
        *start = range.end;
        Segment::new(dotted(&step.name, &parameter.name), range, parameter.shape)
            .transposed(parameter.transposed)
            .frozen(step.frozen)
    })
}

/// The name of an array of the layer of this name, which is empty outside any chain.
fn dotted(step: &str, array: &str) -> String {
    if step.is_empty() { array.to_owned() } else { format!("{step}.{array}") }
}

fn view<V>(view: Result<V, ndarray::ShapeError>) -> V {
    view.unwrap_or_else(|error| unreachable!("a parameter holds as many numbers as its shape says: {error}"))
}

impl<T: Clone> Clone for Network<T> {
    /// Copies the parameters, the running statistics, the seed and the meaning of the outputs, so that a change to one
    /// network changes nothing in the other.
    ///
    /// The two share the layers and their wiring, which can't be changed, so that a [`Workspace`] that one has made also
    /// serves the other. They share no workspaces, not even those that predictions keep for later ones.
    ///
    /// ```
    /// use downhill_layers::{Affine, Mode};
    /// use downhill_network::{Network, Purpose};
    /// use downhill_tensor::{Batch, Seed};
    ///
    /// let network = Network::<f64>::build([2], Affine::new(1), Seed(1))?;
    /// let mut average = network.clone();
    /// average.parameters_mut().fill(1.0);
    /// assert_ne!(network.parameters(), average.parameters());
    ///
    /// let mut workspace = network.workspace(Purpose::Prediction);
    /// let x = Batch::new(&[2.0, 3.0], 1, [2])?;
    /// let y = average.forward(average.parameters(), x, &mut workspace, Mode::Evaluation)?;
    /// assert_eq!(y.slice(), [6.0]);
    /// # Ok::<(), downhill_tensor::BuildError>(())
    /// ```
    fn clone(&self) -> Self {
        Self {
            program: Arc::clone(&self.program),
            slices: Arc::clone(&self.slices),
            segments: Arc::clone(&self.segments),
            statistic_segments: Arc::clone(&self.statistic_segments),
            theta: self.theta.clone(),
            statistics: self.statistics.clone(),
            seed: self.seed,
            reading: self.reading.clone(),
            idle: Mutex::new(Vec::new()),
        }
    }
}

impl<T> fmt::Debug for Network<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("scalar", &std::any::type_name::<T>())
            .field("layers", &self.program.steps.len())
            .field("parameters", &self.theta.len())
            .finish_non_exhaustive()
    }
}
