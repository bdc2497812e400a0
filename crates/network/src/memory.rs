//! The memory plan: which buffer every value of a pass lies in, worked out once.

use crate::graph::Program;

/// The purpose of a workspace, which decides what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Forward only: a buffer is free as soon as the layers that read it have run.
    Prediction,
    /// Forward and backward, dJ/dθ. The gradient with respect to the network's own inputs is not computed:
    /// for the first layer of an MLP it would be the largest product of all.
    Training,
    /// Forward and backward, dJ/dθ and dJ/dx.
    TrainingWithInputGradient,
    /// Forward and backward, dJ/dx alone: for saliency, adversarial examples, or a loss that goes on in another model.
    InputGradient,
}

impl Purpose {
    fn goes_back(self) -> bool {
        self != Self::Prediction
    }

    /// Whether dJ/dθ is computed.
    pub(crate) fn learns(self) -> bool {
        matches!(self, Self::Training | Self::TrainingWithInputGradient)
    }
}

/// The buffer of each node and array.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) purpose: Purpose,
    /// The buffers; several values that are never needed at the same time share one.
    pub(crate) buffers: Vec<Vec<Tenant>>,
    /// The buffer of each node; `None` for the caller's own inputs (and for nodes that nothing needs).
    pub(crate) values: Vec<Option<usize>>,
    /// The buffer of each node's gradient; `None` where it is not computed.
    pub(crate) gradients: Vec<Option<usize>>,
    /// The memory that each step needs in addition to its nodes.
    pub(crate) steps: Vec<StepMemory>,
}

#[derive(Clone, Debug)]
pub(crate) struct StepMemory {
    /// y lies where x lay.
    pub(crate) forward_in_place: bool,
    /// dx lies where dy lay.
    pub(crate) backward_in_place: bool,
    /// Whether the backward pass runs this step.
    pub(crate) goes_back: bool,
    /// The buffer of what is kept for the backward pass.
    pub(crate) saved: Option<usize>,
    /// For each input: where its gradient goes.
    pub(crate) destinations: Vec<Destination>,
    /// The treatment of dJ/dθ.
    pub(crate) parameters: ParameterGradient,
}

/// The treatment of a step's dJ/dθ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterGradient {
    /// It is written to the gradient, as the only contribution or the first.
    Overwrite,
    /// It is added to what later steps with the same parameters have contributed.
    Accumulate,
    /// It is unused: the parameters are frozen, or only dJ/dx is asked for.
    Discard,
}

/// The buffer that receives a step's gradient of one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The gradient is unused.
    Unused,
    /// The node's gradient, as the only contribution or the first.
    Overwrite(usize),
    /// A separate buffer, which is then added to the node's gradient.
    Accumulate { buffer: usize, sum: usize },
}

impl Destination {
    /// The buffer that the step writes.
    pub(crate) fn buffer(self) -> Option<usize> {
        match self {
            Self::Unused => None,
            Self::Overwrite(buffer) | Self::Accumulate { buffer, .. } => Some(buffer),
        }
    }
}

/// A value that lies in a buffer for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    /// A node's value, or its gradient: its shape's numbers for each example.
    Node(usize),
    /// The numbers that this step keeps for the backward pass.
    Saved(usize),
}

/// A tenant with the times between which it is needed, both included.
#[derive(Clone, Copy, Debug)]
struct Stay {
    tenant: Tenant,
    size: usize,
    from: usize,
    to: usize,
}

impl Memory {
    /// Plans the passes of a program.
    ///
    /// Time runs forward over the steps, 0 to n − 1, the loss is at n, and back again: step s at 2n − s.
    pub(crate) fn plan(program: &Program, purpose: Purpose) -> Self {
        let n = program.steps.len();
        let back = |step: usize| 2 * n - step;
        let end = 2 * n + 1;
        let wanted = wanted_gradients(program, purpose);
        let consumers = consumers(program);
        let producer = producers(program);

        // Two values share a stay where a layer runs in place.
        let mut stays: Vec<Stay> = Vec::new();
        let mut values: Vec<Option<usize>> = vec![None; program.nodes.len()];
        let mut gradients: Vec<Option<usize>> = vec![None; program.nodes.len()];
        let mut steps: Vec<StepMemory> = Vec::new();

        for (s, step) in program.steps.iter().enumerate() {
            let signature = &step.signature;
            let goes_back = purpose.goes_back() && wanted[step.output];
            let forward_in_place = signature.runs_in_place()
                && step.inputs.len() == 1
                && program.nodes[step.inputs[0]].len() == signature.output().len()
                && consumers[step.inputs[0]].len() == 1
                && producer[step.inputs[0]]
                    .is_some_and(|p| !(purpose.goes_back() && program.steps[p].signature.needs_y()));
            // The value lives until its last reader, in the backward pass if that reader needs it there.
            let mut last = s;
            for &reader in &consumers[step.output] {
                let reads_again = program
                    .steps
                    .get(reader)
                    .is_some_and(|reader| purpose.goes_back() && reader.signature.needs_x() && wanted[reader.output]);
                last = last.max(if reads_again { back(reader) } else { reader });
            }
            if goes_back && signature.needs_y() {
                last = last.max(back(s));
            }
            if step.output == program.output {
                last = end;
            }
            values[step.output] = if forward_in_place {
                let stay = values[step.inputs[0]];
                if let Some(stay) = stay {
                    stays[stay].to = stays[stay].to.max(last);
                }
                stay
            } else {
                let size = signature.output().len();
                stays.push(Stay { tenant: Tenant::Node(step.output), size, from: s, to: last });
                Some(stays.len() - 1)
            };
            let saved = (signature.saved().len(1) > 0).then(|| {
                let to = match goes_back {
                    // Running statistics may be taken from it when all is done.
                    _ if purpose.goes_back() && !signature.statistics().is_empty() => end,
                    true => back(s),
                    false => s,
                };
                stays.push(Stay { tenant: Tenant::Saved(s), size: signature.saved().len(1), from: s, to });
                stays.len() - 1
            });
            steps.push(StepMemory {
                forward_in_place,
                backward_in_place: false,
                goes_back,
                saved,
                destinations: vec![Destination::Unused; step.inputs.len()],
                parameters: match step.shared {
                    _ if step.frozen || purpose == Purpose::InputGradient => ParameterGradient::Discard,
                    Some(_) if program.steps[s + 1..].iter().any(|later| later.shared == step.shared) => {
                        ParameterGradient::Accumulate
                    }
                    _ => ParameterGradient::Overwrite,
                },
            });
        }

        if purpose.goes_back() {
            let size = program.nodes[program.output].len();
            let to = producer[program.output].map_or(end, back);
            stays.push(Stay { tenant: Tenant::Node(program.output), size, from: n, to });
            gradients[program.output] = Some(stays.len() - 1);
            for (s, step) in program.steps.iter().enumerate().rev() {
                if !steps[s].goes_back {
                    continue;
                }
                let time = back(s);
                let dy = gradients[step.output];
                for (index, &input) in step.inputs.iter().enumerate() {
                    if !wanted[input] {
                        continue;
                    }
                    // The gradient of one of the network's own inputs stays for the caller.
                    let to = producer[input].map_or(end, back);
                    let size = program.nodes[input].len();
                    let stay = |from, to| Stay { tenant: Tenant::Node(input), size, from, to };
                    steps[s].destinations[index] = match gradients[input] {
                        Some(sum) => {
                            stays.push(stay(time, time));
                            Destination::Accumulate { buffer: stays.len() - 1, sum }
                        }
                        None => {
                            let in_place = step.signature.runs_in_place()
                                && size == step.signature.output().len()
                                && consumers[input].len() == 1;
                            let sum = match dy {
                                Some(dy) if in_place => {
                                    stays[dy].to = stays[dy].to.max(to);
                                    steps[s].backward_in_place = true;
                                    dy
                                }
                                _ => {
                                    stays.push(stay(time, to));
                                    stays.len() - 1
                                }
                            };
                            gradients[input] = Some(sum);
                            Destination::Overwrite(sum)
                        }
                    };
                }
            }
        }

        let (buffers, place) = share(&stays);
        let placed = |stay: &mut Option<usize>| *stay = stay.map(|stay| place[stay]);
        values.iter_mut().for_each(placed);
        gradients.iter_mut().for_each(placed);
        for step in &mut steps {
            placed(&mut step.saved);
            for destination in &mut step.destinations {
                *destination = match *destination {
                    Destination::Unused => Destination::Unused,
                    Destination::Overwrite(stay) => Destination::Overwrite(place[stay]),
                    Destination::Accumulate { buffer, sum } => {
                        Destination::Accumulate { buffer: place[buffer], sum: place[sum] }
                    }
                };
            }
        }
        Self { purpose, buffers, values, gradients, steps }
    }
}

/// Which nodes' gradients lead to a parameter (or to an input whose gradient is asked for).
fn wanted_gradients(program: &Program, purpose: Purpose) -> Vec<bool> {
    let mut wanted = vec![false; program.nodes.len()];
    if matches!(purpose, Purpose::TrainingWithInputGradient | Purpose::InputGradient) {
        program.inputs.iter().for_each(|&input| wanted[input] = true);
    }
    for step in &program.steps {
        let learns = purpose.learns() && !step.frozen && !step.signature.parameters().is_empty();
        wanted[step.output] = learns || step.inputs.iter().any(|&input| wanted[input]);
    }
    wanted
}

/// The steps that read each node, in order; a step that reads it twice is there twice. The caller, who reads the
/// prediction, counts as one more step after the last.
fn consumers(program: &Program) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); program.nodes.len()];
    for (s, step) in program.steps.iter().enumerate() {
        step.inputs.iter().for_each(|&input| consumers[input].push(s));
    }
    consumers[program.output].push(program.steps.len());
    consumers
}

/// The step that writes each node.
fn producers(program: &Program) -> Vec<Option<usize>> {
    let mut producers = vec![None; program.nodes.len()];
    for (s, step) in program.steps.iter().enumerate() {
        producers[step.output] = Some(s);
    }
    producers
}

/// Gives every stay a buffer, so that no two stays in one buffer overlap in time: each takes the free buffer that
/// fits it best, in order of time.
fn share(stays: &[Stay]) -> (Vec<Vec<Tenant>>, Vec<usize>) {
    struct Buffer {
        tenants: Vec<Tenant>,
        size: usize,
        free_after: usize,
    }
    let mut order: Vec<usize> = (0..stays.len()).collect();
    order.sort_by_key(|&stay| (stays[stay].from, std::cmp::Reverse(stays[stay].size)));
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut place = vec![0; stays.len()];
    for index in order {
        let stay = stays[index];
        let free = buffers.iter().enumerate().filter(|(_, buffer)| buffer.free_after < stay.from);
        // The smallest that is large enough, or else the largest there is.
        let best = free.min_by_key(|(_, buffer)| {
            let fits = buffer.size >= stay.size;
            (!fits, if fits { buffer.size } else { usize::MAX - buffer.size })
        });
        let chosen = best.map(|(chosen, _)| chosen).unwrap_or_else(|| {
            buffers.push(Buffer { tenants: Vec::new(), size: 0, free_after: 0 });
            buffers.len() - 1
        });
        let buffer = &mut buffers[chosen];
        buffer.tenants.push(stay.tenant);
        buffer.size = buffer.size.max(stay.size);
        buffer.free_after = stay.to;
        place[index] = chosen;
    }
    (buffers.into_iter().map(|buffer| buffer.tenants).collect(), place)
}
