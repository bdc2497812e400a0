//! The forward loop and the backward loop: the only ones there are.

use std::mem::{swap, take};
use std::ops::{ControlFlow, Range};

use downhill_layers::{AllGather, Arrays, ArraysMut, Backward, Forward, Inputs, InputsMut, Mode, Streams};
use downhill_losses::Total;
use downhill_tensor::{Batch, Scalar, Seed, elementwise};

use crate::Workspace;
use crate::graph::{Program, Step};
use crate::memory::{Destination, ParameterGradient, StepMemory};
use crate::workspace::{batch, batch_mut, set_inputs};

/// The ranges of a step's numbers in θ and among the running statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slices {
    pub(crate) parameters: Range<usize>,
    pub(crate) statistics: Range<usize>,
}

/// Receives every layer's name and output.
pub(crate) type Observe<'a, T> = &'a mut dyn FnMut(&str, Batch<'_, T>);

/// Who looks on while a pass goes forward; behind a pointer, so that the loop is compiled once for all.
pub(crate) enum Onlooker<'a, T> {
    Nobody,
    Outputs(Observe<'a, T>),
    Training(&'a mut dyn BackwardObserver<T>),
}

impl<T: Scalar> Onlooker<'_, T> {
    #[inline(always)]
    pub(crate) fn output<'y>(&mut self, layer: &str, y: impl FnOnce() -> Batch<'y, T>)
    where
        T: 'y,
    {
        match self {
            Self::Nobody => {}
            Self::Outputs(observe) => observe(layer, y()),
            Self::Training(observer) => observer.output(layer, y()),
        }
    }

    /// Whether the pass is over a part of a batch, next to passes over the others.
    pub(crate) fn is_one_of_several(&mut self) -> bool {
        match self {
            Self::Training(observer) => observer.ranks().is_some(),
            Self::Nobody | Self::Outputs(_) => false,
        }
    }

    /// What a step's layer gathers by, if it does.
    #[inline(always)]
    fn ranks(&mut self, step: &Step) -> Option<&mut dyn AllGather<T>> {
        match self {
            Self::Training(observer) if step.signature.gathered()[0] > 0 => observer.ranks(),
            _ => None,
        }
    }
}

/// Looks on while a training pass goes forward from the first layer to the last, and back. It may break off or scale the
/// pass at the [loss](BackwardObserver::loss), and connect it with [others](BackwardObserver::ranks). A method that is not
/// written does nothing.
///
/// ```
/// use std::ops::Range;
///
/// use downhill_layers::{Affine, Mode, Tanh};
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_network::{BackwardObserver, Network, Purpose, sequential};
/// use downhill_tensor::{Batch, Seed};
///
/// /// Keeps the largest |dJ/dy| of each layer.
/// #[derive(Default)]
/// struct Largest(Vec<(String, f64)>);
///
/// impl BackwardObserver<f64> for Largest {
///     fn output_gradient(&mut self, layer: &str, dy: Batch<'_, f64>) {
///         self.0.push((layer.to_owned(), dy.slice().iter().fold(0.0, |most, dy| dy.abs().max(most))));
///     }
/// }
///
/// let network = Network::<f64>::build([1], sequential![Affine::new(2), Tanh, Affine::new(1)], Seed(1))?;
/// let (x, target) = (Batch::new(&[0.5], 1, [1])?, Target::Values(&[1.0]));
/// let (loss, mut workspace) = (MeanSquaredError::new(), network.workspace(Purpose::Training));
/// let mut largest = Largest::default();
/// network.backpropagate_observed(
///     x, target, None, &loss, &mut workspace, Mode::Training { step: 0 }, &mut largest)?;
/// assert_eq!(largest.0.iter().map(|(layer, _)| layer.as_str()).collect::<Vec<_>>(), ["2", "1", "0"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BackwardObserver<T: Scalar> {
    /// Receives the output of a layer in the forward pass. Layers come in the order in which they run; the name of a layer
    /// outside any chain is empty.
    fn output(&mut self, layer: &str, y: Batch<'_, T>) {
        let _ = (layer, y);
    }

    /// Receives the loss between the forward pass and the backward pass, with dJ/dy of the network's output, which it may
    /// multiply by a number. The backward pass is left out if it breaks off here: the workspace then holds no gradient.
    fn loss(&mut self, total: Total, dy: &mut [T]) -> ControlFlow<()> {
        let _ = (total, dy);
        ControlFlow::Continue(())
    }

    /// Returns what connects the pass with those over the other parts of its batch, if there are any, for layers that
    /// [gather](downhill_layers::Signature::gathers).
    fn ranks(&mut self) -> Option<&mut dyn AllGather<T>> {
        None
    }

    /// Receives dJ/dy of a layer, complete, before the layer multiplies its own derivatives in. Layers come in the
    /// order of the pass, the last one first; the name of a layer outside any chain is empty.
    fn output_gradient(&mut self, layer: &str, dy: Batch<'_, T>) {
        let _ = (layer, dy);
    }

    /// Receives dJ/dθ, of which the numbers in `complete` are now final and those in front of them are not.
    ///
    /// The ranges of one pass adjoin one another, from the end of θ to its beginning, and none is empty.
    fn parameter_gradient(&mut self, complete: Range<usize>, gradient: &[T]) {
        let _ = (complete, gradient);
    }
}

/// A model as a pass sees it: nothing in it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a, T> {
    pub(crate) program: &'a Program,
    pub(crate) slices: &'a [Slices],
    pub(crate) theta: &'a [T],
    pub(crate) statistics: &'a [T],
    pub(crate) seed: Seed,
}

impl<'a, T: Scalar> Model<'a, T> {
    /// x --forward--> y₁ --forward--> ... yₙ
    ///
    /// `onlooker` receives every layer's name and output.
    pub(crate) fn forward(
        &self,
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        mode: Mode,
        mut onlooker: Onlooker<'_, T>,
    ) {
        for (index, step) in self.program.steps.iter().enumerate() {
            let Some(y) = workspace.memory.values[step.output] else { continue };
            workspace.exchange_outputs(index, y);
            self.run_forward(step, index, x, workspace, mode, onlooker.ranks(step));
            onlooker.output(&step.name, || batch(&workspace.taken[0], workspace.examples, step.signature.output()));
            workspace.exchange_outputs(index, y);
        }
    }

    /// dJ/dyₙ --backward--> ... dJ/dy₁, and dJ/dθ along the way: this loop is backpropagation.
    pub(crate) fn backward(
        &self,
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        observer: Option<&mut dyn BackwardObserver<T>>,
    ) {
        let mut watch = Watch { observer, incomplete: self.theta.len() };
        for (index, step) in self.program.steps.iter().enumerate().rev() {
            if !workspace.memory.steps[index].goes_back {
                continue;
            }
            watch.before(step, workspace);
            workspace.exchange_gradients(index);
            let ranks = watch.ranks(step, &workspace.memory.steps[index]);
            self.run_backward(step, index, x, workspace, ranks);
            workspace.add_shared(index, &self.slices[index].parameters);
            workspace.exchange_gradients(index);
            workspace.add_fan_out(index, self.program);
            watch.after(|| self.parameters_before(index), workspace);
        }
        // Layers without a backward pass may have parameters too.
        watch.after(|| 0, workspace);
    }

    /// Does in a training pass without an example what its observer and other ranks expect: `forward` goes through the
    /// layers that gather, and `backward` back, with a gradient of 0.
    pub(crate) fn forward_without_examples(&self, workspace: &Workspace<T>, observer: &mut dyn BackwardObserver<T>) {
        for step in self.program.steps.iter().filter(|step| workspace.memory.values[step.output].is_some()) {
            gather_zeros(step.signature.gathered()[0], observer);
        }
    }

    /// See [`forward_without_examples`](Model::forward_without_examples).
    pub(crate) fn backward_without_examples(
        &self,
        workspace: &mut Workspace<T>,
        observer: &mut dyn BackwardObserver<T>,
    ) {
        workspace.gradient.fill(T::ZERO);
        let mut watch = Watch { observer: Some(&mut *observer), incomplete: self.theta.len() };
        for (index, step) in self.program.steps.iter().enumerate().rev() {
            let plan = &workspace.memory.steps[index];
            if !plan.goes_back {
                continue;
            }
            if let Some(observer) = watch.observer.as_mut().filter(|_| goes_on(plan)) {
                gather_zeros(step.signature.gathered()[1], &mut **observer);
            }
            watch.after(|| self.parameters_before(index), workspace);
        }
        watch.after(|| 0, workspace);
    }

    /// The place in θ up to which the steps in front of this one have parameters.
    fn parameters_before(self, index: usize) -> usize {
        self.slices[..index].iter().map(|slices| slices.parameters.end).max().unwrap_or(0)
    }

    /// Hands a step's layer what its forward pass reads and writes.
    #[inline(always)]
    fn run_forward(
        &self,
        step: &Step,
        index: usize,
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        mode: Mode,
        ranks: Option<&mut dyn AllGather<T>>,
    ) {
        let Workspace { memory, buffers, scratch, taken, examples, .. } = workspace;
        let examples = *examples;
        let signature = &step.signature;
        let (saved, scratched) = (signature.saved(), signature.scratch_of_forward());
        let [y, kept, ..] = taken;
        let mut pass = Forward {
            x: Inputs::empty(),
            params: self.params(index),
            y: batch_mut(y, examples, signature.output()),
            saved: ArraysMut::new(&mut kept[..saved.len(examples)], saved, examples),
            scratch: ArraysMut::new(&mut scratch[..scratched.len(examples)], scratched, examples),
            statistics: Arrays::new(
                &self.statistics[self.slices[index].statistics.clone()],
                signature.statistic_layout(),
                0,
            ),
            mode,
            random: Streams::new(self.seed, mode.step(), index as u64),
            ranks: ranks.map(|ranks| ranks as _),
        };
        if !memory.steps[index].forward_in_place {
            set_inputs(&mut pass.x, x, self.program, memory, buffers, &step.inputs, examples);
        }
        step.layer.forward(&mut pass);
    }

    /// Hands a step's layer what its backward pass reads and writes.
    #[inline(always)]
    fn run_backward(
        &self,
        step: &Step,
        index: usize,
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        ranks: Option<&mut dyn AllGather<T>>,
    ) {
        let Workspace { memory, buffers, scratch, gradient, spare, taken, examples, .. } = workspace;
        let (plan, examples) = (&memory.steps[index], *examples);
        let signature = &step.signature;
        let (saved, scratched) = (signature.saved(), signature.scratch_of_backward());
        let buffers = &*buffers;
        let value = |buffer: Option<usize>, node: usize| match buffer {
            Some(buffer) => batch(&buffers[buffer], examples, self.program.nodes[node]),
            None => Batch::absent(examples, self.program.nodes[node]),
        };
        let parameters = self.slices[index].parameters.clone();
        let mut pass = Backward {
            x: Inputs::empty(),
            params: self.params(index),
            y: value(memory.values[step.output].filter(|_| signature.needs_y()), step.output),
            saved: Arrays::new(
                plan.saved.map_or(&[], |buffer| &buffers[buffer][..saved.len(examples)]),
                saved,
                examples,
            ),
            scratch: ArraysMut::new(&mut scratch[..scratched.len(examples)], scratched, examples),
            dy: value(memory.gradients[step.output].filter(|_| !plan.backward_in_place), step.output),
            dx: InputsMut::empty(),
            dparams: ArraysMut::new(
                match plan.parameters {
                    ParameterGradient::Overwrite => &mut gradient[parameters],
                    ParameterGradient::Accumulate | ParameterGradient::Discard => &mut spare[..parameters.len()],
                },
                signature.parameter_layout(),
                0,
            ),
            ranks: ranks.map(|ranks| ranks as _),
        };
        if signature.needs_x() {
            set_inputs(&mut pass.x, x, self.program, memory, buffers, &step.inputs, examples);
        } else {
            for (input, &node) in step.inputs.iter().enumerate() {
                pass.x.set(input, value(None, node));
            }
        }
        for (input, (dx, destination)) in taken.iter_mut().zip(&plan.destinations).enumerate() {
            if *destination != Destination::Unused {
                pass.dx.set(input, batch_mut(dx, examples, self.program.nodes[step.inputs[input]]));
            }
        }
        step.layer.backward(&mut pass);
    }

    #[inline]
    fn params(&self, index: usize) -> Arrays<'_, T> {
        let layout = self.program.steps[index].signature.parameter_layout();
        Arrays::new(&self.theta[self.slices[index].parameters.clone()], layout, 0)
    }

    /// Takes what the last training pass has saved into the running statistics: the one place where they change.
    pub(crate) fn absorb(&self, workspace: &Workspace<T>, statistics: &mut [T]) {
        for (index, step) in self.program.steps.iter().enumerate() {
            let range = self.slices[index].statistics.clone();
            let Some(buffer) = workspace.memory.steps[index].saved.filter(|_| !range.is_empty()) else { continue };
            let (layout, examples) = (step.signature.saved(), workspace.examples);
            let saved = Arrays::new(&workspace.buffers[buffer][..layout.len(examples)], layout, examples);
            let layout = step.signature.statistic_layout();
            step.layer.absorb(saved, &mut ArraysMut::new(&mut statistics[range], layout, 0));
        }
    }
}

/// What an observer of a backward pass has not seen yet.
struct Watch<'a, T> {
    observer: Option<&'a mut dyn BackwardObserver<T>>,
    /// The numbers of dJ/dθ that are not complete, which come first.
    incomplete: usize,
}

/// Gives the numbers of a rank without an example.
fn gather_zeros<T: Scalar>(count: usize, observer: &mut dyn BackwardObserver<T>) {
    if let Some(ranks) = observer.ranks().filter(|_| count > 0) {
        ranks.all_gather(&vec![T::ZERO; count]);
    }
}

/// Whether a step is asked for dJ/dx.
#[inline]
fn goes_on(plan: &StepMemory) -> bool {
    plan.destinations.iter().any(|destination| *destination != Destination::Unused)
}

impl<T: Scalar> Watch<'_, T> {
    /// What a step's layer gathers by, if it does.
    #[inline(always)]
    fn ranks(&mut self, step: &Step, plan: &StepMemory) -> Option<&mut dyn AllGather<T>> {
        match &mut self.observer {
            Some(observer) if step.signature.gathered()[1] > 0 && goes_on(plan) => observer.ranks(),
            _ => None,
        }
    }

    #[inline(always)]
    fn before(&mut self, step: &Step, workspace: &Workspace<T>) {
        if let (Some(observer), Some(dy)) = (&mut self.observer, workspace.memory.gradients[step.output]) {
            observer.output_gradient(&step.name, workspace.batch(dy, step.signature.output()));
        }
    }

    /// Shows what has become complete, if steps in front have parameters up to `incomplete` alone.
    #[inline(always)]
    fn after(&mut self, incomplete: impl FnOnce() -> usize, workspace: &Workspace<T>) {
        if let Some(observer) = &mut self.observer {
            let complete = incomplete()..self.incomplete;
            if !complete.is_empty() {
                self.incomplete = complete.start;
                observer.parameter_gradient(complete, &workspace.gradient);
            }
        }
    }
}

impl<T: Scalar> Workspace<T> {
    /// Takes out the buffers that a step's forward pass writes, so that the others can be read, or puts them back.
    #[inline(always)]
    fn exchange_outputs(&mut self, index: usize, output: usize) {
        let [y, saved, ..] = &mut self.taken;
        swap(y, &mut self.buffers[output]);
        if let Some(buffer) = self.memory.steps[index].saved {
            swap(saved, &mut self.buffers[buffer]);
        }
    }

    /// Takes out the buffers that a step's backward pass writes, so that the others can be read, or puts them back.
    #[inline(always)]
    fn exchange_gradients(&mut self, index: usize) {
        for (taken, destination) in self.taken.iter_mut().zip(&self.memory.steps[index].destinations) {
            if let Some(buffer) = destination.buffer() {
                swap(taken, &mut self.buffers[buffer]);
            }
        }
    }

    /// If several steps share parameters, their gradient is the sum of what each step contributes.
    #[inline(always)]
    fn add_shared(&mut self, index: usize, parameters: &Range<usize>) {
        if self.memory.steps[index].parameters == ParameterGradient::Accumulate {
            elementwise::add(&self.spare[..parameters.len()], &mut self.gradient[parameters.clone()]);
        }
    }

    /// If several steps read one value, its gradient is the sum of what each step contributes.
    #[inline(always)]
    fn add_fan_out(&mut self, index: usize, program: &Program) {
        for (destination, &node) in self.memory.steps[index].destinations.iter().zip(&program.steps[index].inputs) {
            if let Destination::Accumulate { buffer, sum } = *destination {
                let contribution = take(&mut self.buffers[buffer]);
                let length = self.examples * program.nodes[node].len();
                elementwise::add(&contribution[..length], &mut self.buffers[sum][..length]);
                self.buffers[buffer] = contribution;
            }
        }
    }
}
