//! The forward loop and the backward loop: the only ones there are.

use std::mem::{swap, take};

use downhill_layers::{Backward, Forward, Inputs, InputsMut, Mode, Params, ParamsMut, Streams};
use downhill_tensor::{Batch, Buffer, Scalar, Seed, elementwise};

use crate::Workspace;
use crate::graph::Program;
use crate::memory::{Derivative, Target};
use crate::workspace::{batch, batch_mut, set_inputs};

/// Where a step's numbers lie in θ and among the running statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) parameters: std::ops::Range<usize>,
    pub(crate) statistics: std::ops::Range<usize>,
}

/// Is shown every layer's name and output: behind a pointer, so that the loop is compiled once for all that look on.
pub(crate) type Observe<'a, T> = &'a mut dyn FnMut(&str, Batch<'_, T>);

/// A model as a pass sees it: nothing in it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a, T> {
    pub(crate) program: &'a Program,
    pub(crate) stretches: &'a [Stretch],
    pub(crate) theta: &'a [T],
    pub(crate) statistics: &'a [T],
    pub(crate) seed: Seed,
}

impl<'a, T: Scalar> Model<'a, T> {
    fn params(&self, index: usize) -> Params<'a, T> {
        let step = &self.program.steps[index];
        Params::new(&self.theta[self.stretches[index].parameters.clone()], step.signature.parameters())
    }

    /// x --forward--> y₁ --forward--> ... yₙ
    ///
    /// An observer is shown every layer's name and output.
    pub(crate) fn forward(
        &self,
        x: &Inputs<'_, T>,
        workspace: &mut Workspace<T>,
        mode: Mode,
        mut observe: Option<Observe<'_, T>>,
    ) {
        let Workspace { memory, buffers, scratch, taken, examples, .. } = workspace;
        let examples = *examples;
        for (index, step) in self.program.steps.iter().enumerate() {
            let plan = &memory.steps[index];
            let Some(place) = memory.values[step.output] else { continue };
            // What is written is taken out, so that the other buffers can be read.
            let [y, saved, ..] = taken;
            swap(y, &mut buffers[place]);
            if let Some(place) = plan.saved {
                swap(saved, &mut buffers[place]);
            }
            let mut pass = Forward {
                x: Inputs::none(),
                params: self.params(index),
                y: batch_mut(y, examples, step.signature.output()),
                saved: &mut saved[..step.signature.saved_len(examples)],
                scratch: &mut scratch[..step.signature.scratch_len(examples)],
                statistics: Params::new(
                    &self.statistics[self.stretches[index].statistics.clone()],
                    step.signature.statistics(),
                ),
                mode,
                random: Streams::new(self.seed, mode.step(), index as u64),
            };
            if !plan.forward_in_place {
                set_inputs(&mut pass.x, x, self.program, memory, buffers, &step.inputs, examples);
            }
            step.layer.forward(&mut pass);
            if let Some(observe) = &mut observe {
                observe(&step.name, batch(y, examples, step.signature.output()));
            }
            swap(y, &mut buffers[place]);
            if let Some(place) = plan.saved {
                swap(saved, &mut buffers[place]);
            }
        }
    }

    /// dJ/dyₙ --backward--> ... dJ/dy₁, and dJ/dθ on the way: this loop is backpropagation.
    pub(crate) fn backward(&self, x: &Inputs<'_, T>, workspace: &mut Workspace<T>) {
        let Workspace { memory, buffers, scratch, gradient, spare, taken, examples, .. } = workspace;
        let examples = *examples;
        for (index, step) in self.program.steps.iter().enumerate().rev() {
            let plan = &memory.steps[index];
            let Some(dy) = memory.gradients[step.output].filter(|_| plan.goes_back) else { continue };
            let output = step.signature.output();
            let stretch = self.stretches[index].parameters.clone();
            // What is written is taken out, so that the other buffers can be read; below it goes back.
            exchange(taken, &plan.targets, buffers);
            let value = |wanted: bool, node: usize| match memory.values[node] {
                Some(buffer) if wanted => batch(&buffers[buffer], examples, self.program.nodes[node]),
                _ => Batch::gone(examples, self.program.nodes[node]),
            };
            let mut pass = Backward {
                x: Inputs::none(),
                params: self.params(index),
                y: value(step.signature.needs_y(), step.output),
                saved: plan.saved.map_or(&[], |saved| &buffers[saved][..step.signature.saved_len(examples)]),
                scratch: &mut scratch[..step.signature.scratch_len(examples)],
                dy: if plan.backward_in_place {
                    Batch::gone(examples, output)
                } else {
                    batch(&buffers[dy], examples, output)
                },
                dx: InputsMut::none(),
                dparams: ParamsMut::new(
                    match plan.parameters {
                        Derivative::Alone => &mut gradient[stretch.clone()],
                        Derivative::Further | Derivative::Unwanted => &mut spare[..stretch.len()],
                    },
                    step.signature.parameters(),
                ),
            };
            if step.signature.needs_x() {
                set_inputs(&mut pass.x, x, self.program, memory, buffers, &step.inputs, examples);
            } else {
                for (input, &node) in step.inputs.iter().enumerate() {
                    pass.x.set(input, value(false, node));
                }
            }
            for (input, (written, target)) in taken.iter_mut().zip(&plan.targets).enumerate() {
                if *target != Target::Nowhere {
                    pass.dx.set(input, batch_mut(written, examples, self.program.nodes[step.inputs[input]]));
                }
            }
            step.layer.backward(&mut pass);
            // Where several layers share parameters, their gradient is the sum of what they say.
            if plan.parameters == Derivative::Further {
                elementwise::add(&spare[..stretch.len()], &mut gradient[stretch]);
            }
            exchange(taken, &plan.targets, buffers);
            // Where several layers read one value, its gradient is the sum of what they say.
            for (target, &node) in plan.targets.iter().zip(&step.inputs) {
                if let Target::Further { buffer, sum } = *target {
                    let further = take(&mut buffers[buffer]);
                    let length = examples * self.program.nodes[node].len();
                    elementwise::add(&further[..length], &mut buffers[sum][..length]);
                    buffers[buffer] = further;
                }
            }
        }
    }

    /// Takes what the last training pass has saved into the running statistics: the one place where they change.
    pub(crate) fn absorb(&self, workspace: &Workspace<T>, statistics: &mut [T]) {
        for (index, step) in self.program.steps.iter().enumerate() {
            let stretch = self.stretches[index].statistics.clone();
            let Some(saved) = workspace.memory.steps[index].saved.filter(|_| !stretch.is_empty()) else { continue };
            let saved = &workspace.buffers[saved][..step.signature.saved_len(workspace.examples)];
            let mut statistics = ParamsMut::new(&mut statistics[stretch], step.signature.statistics());
            step.layer.absorb(saved, workspace.examples, &mut statistics);
        }
    }
}

/// Takes the buffers out that a step of the way back writes, or puts them back.
fn exchange<T>(taken: &mut [Buffer<T>], targets: &[Target], buffers: &mut [Buffer<T>]) {
    for (taken, target) in taken.iter_mut().zip(targets) {
        if let Some(buffer) = target.buffer() {
            swap(taken, &mut buffers[buffer]);
        }
    }
}
