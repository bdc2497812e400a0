use std::sync::Arc;

use downhill_layers::{Inputs, MAX_INPUTS};
use downhill_losses::Total;
use downhill_tensor::{Batch, BatchMut, Buffer, Scalar, Shape, ShapeError};

use crate::Purpose;
use crate::graph::Program;
use crate::memory::{Memory, ParameterGradient, Tenant};
use crate::step::Ready;

/// The buffers of a pass: activations, what layers keep, gradients, scratch space.
///
/// Made by [`Network::workspace`](crate::Network::workspace) and used again for every step: it grows to the largest
/// batch it has seen, and after that a step asks the heap for nothing.
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    /// That of the network that has made it.
    program: Arc<Program>,
    pub(crate) memory: Memory,
    pub(crate) buffers: Vec<Buffer<T>>,
    pub(crate) scratch: Buffer<T>,
    /// dJ/dθ.
    pub(crate) gradient: Buffer<T>,
    /// Receives derivatives that are added to others, or unused.
    pub(crate) spare: Buffer<T>,
    /// Holds the buffers that a step writes, so that the others can be read meanwhile; empty between steps.
    pub(crate) taken: [Buffer<T>; MAX_INPUTS],
    /// The gradients of micro-batches, each times its divisor, if any are accumulated.
    pub(crate) accumulated: Buffer<T>,
    /// The total of these micro-batches.
    pub(crate) accumulated_total: Total,
    /// The gradient that a step would use.
    pub(crate) ready: Ready,
    /// The batch that the last pass was for.
    pub(crate) examples: usize,
    /// The largest batch that the buffers hold.
    capacity: usize,
    output: (usize, Shape),
    input_shapes: Vec<(usize, Shape)>,
}

impl<T: Scalar> Workspace<T> {
    pub(crate) fn new(program: Arc<Program>, parameters: usize, purpose: Purpose) -> Self {
        let memory = Memory::plan(&program, purpose);
        let gradient = if purpose.learns() { parameters } else { 0 };
        let apart = |step: &usize| memory.steps[*step].parameters != ParameterGradient::Overwrite;
        let spare = (0..program.steps.len()).filter(apart).map(|step| program.steps[step].signature.parameters_len());
        Self {
            buffers: memory.buffers.iter().map(|_| Buffer::default()).collect(),
            spare: Buffer::filled(spare.max().unwrap_or(0), T::ZERO),
            taken: [(); MAX_INPUTS].map(|()| Buffer::default()),
            memory,
            scratch: Buffer::default(),
            gradient: Buffer::filled(gradient, T::ZERO),
            accumulated: Buffer::default(),
            accumulated_total: Total::default(),
            ready: Ready::Nothing,
            examples: 0,
            capacity: 0,
            output: (program.output, program.nodes[program.output]),
            input_shapes: program.inputs.iter().map(|&input| (input, program.nodes[input])).collect(),
            program,
        }
    }

    pub(crate) fn is_for(&self, program: &Arc<Program>) -> bool {
        Arc::ptr_eq(&self.program, program)
    }

    /// The purpose of the workspace.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.memory.purpose
    }

    /// The bytes that the buffers hold, the gradient included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let numbers: usize = self
            .buffers
            .iter()
            .chain([&self.scratch, &self.gradient, &self.accumulated, &self.spare])
            .map(|buffer| buffer.len())
            .sum();
        numbers * size_of::<T>()
    }

    /// Grows the buffers to a batch of this size; the workspace stays as it is if there is not enough memory.
    pub(crate) fn reserve(&mut self, program: &Program, examples: usize) -> Result<(), ShapeError> {
        if examples <= self.capacity {
            self.examples = examples;
            return Ok(());
        }
        for (buffer, tenants) in self.buffers.iter_mut().zip(&self.memory.buffers) {
            let lengths = tenants.iter().map(|tenant| match *tenant {
                Tenant::Node(node) => program.nodes[node].len().saturating_mul(examples),
                Tenant::Saved(step) => program.steps[step].signature.saved().len(examples),
            });
            buffer.try_resize("a batch in the workspace", lengths.max().unwrap_or(0), T::ZERO)?;
        }
        let scratch = program.steps.iter().map(|step| step.signature.scratch_len(examples));
        self.scratch.try_resize("the scratch space of the workspace", scratch.max().unwrap_or(0), T::ZERO)?;
        (self.examples, self.capacity) = (examples, examples);
        Ok(())
    }

    /// The prediction of the last forward pass.
    ///
    /// Empty before the first.
    #[must_use]
    pub fn prediction(&self) -> Batch<'_, T> {
        let (node, shape) = self.output;
        self.memory.values[node].map_or(Batch::absent(0, shape), |buffer| self.batch(buffer, shape))
    }

    /// dJ/dθ, as the last backward pass has left it.
    #[must_use]
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// dJ/dθ, mutable, as to clip it or to add others.
    #[must_use]
    pub fn gradient_mut(&mut self) -> &mut [T] {
        &mut self.gradient
    }

    /// dJ/dx for the network's input `index`, after a backward pass, if the workspace is for that purpose.
    #[must_use]
    pub fn input_gradient(&self, index: usize) -> Option<Batch<'_, T>> {
        let &(node, shape) = self.input_shapes.get(index)?;
        Some(self.batch(self.memory.gradients[node]?, shape))
    }

    /// The prediction, and the buffer of its gradient, which a loss takes between forward and backward.
    ///
    /// `None` for a workspace that is only for prediction.
    #[must_use]
    pub fn loss_slots(&mut self) -> Option<(Batch<'_, T>, BatchMut<'_, T>)> {
        let (node, shape) = self.output;
        let (value, gradient) = (self.memory.values[node]?, self.memory.gradients[node]?);
        let [y, dy] = self.buffers.get_disjoint_mut([value, gradient]).ok()?;
        Some((batch(y, self.examples, shape), batch_mut(dy, self.examples, shape)))
    }

    #[inline]
    pub(crate) fn batch(&self, buffer: usize, shape: Shape) -> Batch<'_, T> {
        batch(&self.buffers[buffer], self.examples, shape)
    }
}

/// The part of a buffer that this batch uses. The memory plan has made every buffer long enough.
#[inline]
pub(crate) fn batch<T>(buffer: &[T], examples: usize, shape: Shape) -> Batch<'_, T> {
    Batch::trusted(&buffer[..examples * shape.len()], examples, shape)
}

/// The part of a buffer that this batch uses, mutable.
#[inline]
pub(crate) fn batch_mut<T>(buffer: &mut [T], examples: usize, shape: Shape) -> BatchMut<'_, T> {
    BatchMut::trusted(&mut buffer[..examples * shape.len()], examples, shape)
}

/// Sets the inputs of a step: the caller's own, or what earlier steps have left in the buffers.
pub(crate) fn set_inputs<'a, T: Scalar>(
    inputs: &mut Inputs<'a, T>,
    x: &Inputs<'a, T>,
    program: &Program,
    memory: &Memory,
    buffers: &'a [Buffer<T>],
    nodes: &[usize],
    examples: usize,
) {
    for (index, &node) in nodes.iter().enumerate() {
        let value = match memory.values[node] {
            Some(buffer) => batch(&buffers[buffer], examples, program.nodes[node]),
            None => match program.input_index(node) {
                Some(input) => x[input],
                None => Batch::absent(examples, program.nodes[node]),
            },
        };
        inputs.set(index, value);
    }
}
