use std::mem;

use downhill_tensor::permute::permute;
use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::{BuildError, Init, Scalar, Shape, ShapeError, parallel_runs, reduce, view};
use ndarray::{ArrayBase, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, Ix3, RawData, Slice};

use super::Cell;
use super::time::{BackThroughTime, ThroughTime, Traversal};
use crate::Extent::{PerBatch, PerExample};
use crate::dropout::masked;
use crate::errors::{check_lengths, wrong_rank};
use crate::{Arrays, Backward, Dropout, Forward, Inputs, Layer, Mode, Parameter, Signature, Streams};

/// A recurrent layer: what [`Rnn`](crate::Rnn), [`Lstm`](crate::Lstm), [`Gru`](crate::Gru) and custom [`Cell`]s have
/// in common: both passes through time, and all settings.
///
/// A layer reads a sequence from the first step to the last and makes h(t) of x(t) and h(t−1), starting from a state
/// of 0. [`layers`](Recurrent::layers) puts more of them on top, each of which reads what the one below
/// gives. [`bidirectional`](Recurrent::bidirectional) ones have a second direction, with weights of its own, which
/// reads from the last step to the first; both outputs lie side by side.
///
/// The backward pass is full backpropagation through time: the chain rule is followed to the first step.
/// At each step dJ/dh is the sum of what comes from the output at that step and from the step after.
///
/// # Shapes
/// x is (batch, steps, in), y is (batch, steps, directions·hidden).
/// With [`last_state`](Recurrent::last_state), y is (batch, directions·hidden): h of the top layer after the last step
/// that each direction has read.
///
/// With [`lengths`](Recurrent::lengths) there is a second input of shape (batch, 1): how many of its steps
/// each example has, a whole number from 1 to `steps`. What lies beyond is not read, y is 0 there,
/// the state is the one after the last step that there is, and the direction from the end begins with that step.
/// This is what `pack_padded_sequence` and `pad_packed_sequence` do in PyTorch, but examples may come in any order.
///
/// # Parameters
/// Of layer l, with `_reverse` at the end of the name for the second direction:
///
/// | name | shape in memory | |
/// |---|---|---|
/// | `weight_ih_l0` | (in, gates·hidden) | of the step's input; of h of all directions below for l ≥ 1 |
/// | `weight_hh_l0` | (hidden, gates·hidden) | of the last h |
/// | `bias_ih_l0`, `bias_hh_l0` | (gates·hidden) | added to the one and the other product |
///
/// Files show the weights as (gates·hidden, in), as PyTorch does. All start uniformly in ±1/√hidden.
///
/// # Errors
/// Building a network returns an error for an input that is no sequence, sizes of 0, a dropout probability outside [0,
/// 1], sizes whose products overflow, and a second input that is missing or unexpected.
///
/// # Where frameworks differ
/// PyTorch's default order of axes is (steps, batch, in); this is its `batch_first`.
/// Keras gives the last state unless asked for sequences, has one layer at a time, and reads masks instead of lengths.
///
/// Derivation: `docs/derivations/layers/recurrent.md`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Recurrent<C, const GATES: usize, const STATE: usize, const KEPT: usize> {
    hidden: usize,
    layers: usize,
    bidirectional: bool,
    bias: bool,
    dropout: f64,
    lengths: bool,
    last_state: bool,
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub(super) cell: C,
}

impl<C: Cell<GATES, STATE, KEPT>, const GATES: usize, const STATE: usize, const KEPT: usize>
    Recurrent<C, GATES, STATE, KEPT>
{
    /// Creates one layer of `hidden` units in one direction, with biases; the output is the whole sequence.
    #[must_use]
    pub fn new(hidden: usize) -> Self
    where
        C: Default,
    {
        Self::from_cell(C::default(), hidden)
    }

    /// Creates a layer with this cell.
    #[must_use]
    pub fn from_cell(cell: C, hidden: usize) -> Self {
        const {
            assert!(STATE >= 1, "the state of a cell begins with h");
            assert!(KEPT >= GATES, "a cell keeps at least as many numbers as it has gates");
        }
        Self {
            hidden,
            layers: 1,
            bidirectional: false,
            bias: true,
            dropout: 0.0,
            lengths: false,
            last_state: false,
            cell,
        }
    }

    setters! {
        /// Sets the number of layers on top of each other.
        layers: usize;
        /// Adds a second direction, from the last step to the first.
        bidirectional() bidirectional = true;
        /// Leaves the biases out.
        no_bias() bias = false;
        /// Adds [`Dropout`] with this probability between layers; none before the first and none after the last.
        dropout(probability: f64) dropout = probability;
        /// Takes a second input, which says how many steps each example has.
        lengths() lengths = true;
        /// Outputs the last state instead of the sequence.
        last_state() last_state = true;
    }

    fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// The numbers that a layer gives at each step.
    fn width(&self) -> usize {
        self.directions() * self.hidden
    }

    /// The numbers that a layer reads at each step.
    fn inputs(&self, layer: usize, features: usize) -> usize {
        if layer == 0 { features } else { self.width() }
    }

    /// The largest of these over all layers.
    fn widest_input(&self, features: usize) -> usize {
        features.max(self.inputs(self.layers - 1, features))
    }

    fn drops(&self) -> bool {
        self.layers > 1 && self.dropout > 0.0
    }

    /// The index of the first parameter of one direction of one layer: two weights, then two biases if there are any.
    fn parameters_from(&self, layer: usize, direction: usize) -> usize {
        (layer * self.directions() + direction) * if self.bias { 4 } else { 2 }
    }

    /// The indices of the saved arrays of one direction of one layer: its cells' numbers, and h.
    fn saved_of(&self, layer: usize, direction: usize) -> (usize, usize) {
        let first = layer * (2 * self.directions() + 1) + 2 * direction;
        (first, first + 1)
    }

    /// The index of the saved mask between this layer and the next, (examples, steps, width).
    fn saved_mask(&self, layer: usize) -> usize {
        self.saved_of(layer + 1, 0).0 - 1
    }

    fn sizes<T: Scalar>(&self, x: &Inputs<'_, T>) -> Sizes {
        let (all_steps, features) = (x[0].shape()[0], x[0].shape()[1]);
        let longest = |lengths: &[T]| lengths.iter().fold(0, |longest, length| longest.max(length.to_f64() as usize));
        // What no example has is not computed.
        let steps = if self.lengths { longest(x[1].slice()) } else { all_steps };
        Sizes { examples: x[0].examples(), all_steps, steps, features }
    }

    fn traversal<'a, T: Scalar>(&self, x: &Inputs<'a, T>, direction: usize) -> Traversal<'a, T> {
        Traversal { reverse: direction == 1, lengths: self.lengths.then(|| x[1].slice()) }
    }

    /// x ← the whole layer's input, (steps, examples, features).
    fn read_input<T: Scalar>(&self, inputs: &Inputs<'_, T>, sizes: Sizes, x: &mut [T]) {
        let x = &mut x[..sizes.rows() * sizes.features];
        let mut steps = first3_mut(x, (sizes.steps, sizes.examples, sizes.features));
        let all = inputs[0].sequences().permuted_axes([1, 0, 2]);
        copy_rows(all.split_at(Axis(0), sizes.steps).0, steps.view_mut());
        // What lies beyond an example's end meets derivatives of 0; but 0 times infinity is not a number.
        let traversal = self.traversal(inputs, 0);
        for (step, mut x) in steps.outer_iter_mut().enumerate() {
            for (example, mut x) in x.outer_iter_mut().enumerate() {
                if traversal.is_past_the_end(example, step) {
                    x.fill(T::ZERO);
                }
            }
        }
    }

    /// x ← what this layer gives to the next, (steps, examples, width).
    fn read_output_of<T: Scalar>(&self, layer: usize, saved: Arrays<'_, T>, sizes: Sizes, x: &mut [T]) {
        let x = &mut x[..sizes.rows() * self.width()];
        for direction in 0..self.directions() {
            let (_, h) = self.saved_of(layer, direction);
            let h = first3(saved.vector(h), (sizes.steps, sizes.examples, self.hidden));
            let to = first3_mut(x, (sizes.steps, sizes.examples, self.width()));
            copy_rows(h, columns(to, direction, self.hidden));
        }
        self.mask(layer, saved, sizes, x);
    }

    /// The number of steps in the output.
    fn outputs(&self, sizes: Sizes) -> usize {
        if self.last_state { 1 } else { sizes.all_steps }
    }

    /// y ← h of one direction of the top layer: (steps, examples, hidden), or one step in place of all.
    fn write_output<T: Scalar>(&self, h: &[T], direction: usize, sizes: Sizes, y: &mut [T]) {
        let steps = sizes.steps.min(self.outputs(sizes));
        let y = first3_mut(y, (sizes.examples, self.outputs(sizes), self.width()));
        let y = columns(y.permuted_axes([1, 0, 2]), direction, self.hidden);
        let (y, mut beyond) = y.split_at(Axis(0), steps);
        copy_rows(first3(h, (steps, sizes.examples, self.hidden)), y);
        beyond.fill(T::ZERO);
    }

    /// Draws anew which numbers are dropped between this layer and the next; none in a pass that only predicts.
    fn draw_mask<T: Scalar>(&self, layer: usize, mode: Mode, random: Streams, mask: &mut [T], sizes: Sizes) {
        if !self.drops() {
            return;
        }
        let mask = &mut mask[..sizes.rows() * self.width()];
        if mode.is_training() {
            Dropout::new(self.dropout).draw(mask, random.seed().derive(layer as u64), 0);
        } else {
            mask.fill(T::ONE);
        }
    }

    /// x ← m x, if numbers are dropped between this layer and the next.
    fn mask<T: Scalar>(&self, layer: usize, saved: Arrays<'_, T>, sizes: Sizes, x: &mut [T]) {
        if !self.drops() {
            return;
        }
        let mask = first3(saved.vector(self.saved_mask(layer)), (sizes.examples, sizes.steps, self.width()));
        for (example, mask) in mask.outer_iter().enumerate() {
            for (step, mask) in mask.outer_iter().enumerate() {
                let row = (step * sizes.examples + example) * self.width();
                for (x, &m) in x[row..].iter_mut().zip(mask) {
                    *x = masked(m, *x);
                }
            }
        }
    }
}

/// The ends of the names of the two directions' arrays.
const SUFFIXES: [&str; 2] = ["", "_reverse"];

/// The sizes of one pass.
#[derive(Clone, Copy)]
struct Sizes {
    examples: usize,
    /// Those that x has.
    all_steps: usize,
    /// Those of the longest example.
    steps: usize,
    features: usize,
}

impl Sizes {
    /// The rows of a matrix that holds all steps of all examples.
    fn rows(self) -> usize {
        self.steps * self.examples
    }
}

/// The most layers on top of each other; each has parameters by name.
const MOST_LAYERS: usize = 1024;

impl<C: Cell<GATES, STATE, KEPT>, const GATES: usize, const STATE: usize, const KEPT: usize> Layer
    for Recurrent<C, GATES, STATE, KEPT>
{
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = match (inputs, self.lengths) {
            (&[x], false) => x,
            (&[x, lengths], true) => {
                check_lengths(format!("the second input of {}, one length for each example,", C::NAME), lengths)?;
                x
            }
            (_, lengths) => {
                let expected = if lengths { "two inputs, a sequence and its length" } else { "exactly one input" };
                return Err(ShapeError::Inputs { by: C::NAME, expected, got: inputs.len() }.into());
            }
        };
        let &[steps, features] = x.axes() else {
            return Err(wrong_rank(
                C::NAME,
                x,
                "a sequence of vectors per example, (steps, features)",
                "put Reshape before it",
            ));
        };
        let (hidden, layers, directions) = (self.hidden, self.layers, self.directions());
        if steps == 0 || features == 0 || hidden == 0 || layers == 0 {
            return refuse!(
                C::NAME,
                "{layers} layers of {hidden} units over {steps} steps of {features} numbers compute nothing; \
                 all four must be at least 1"
            );
        }
        Dropout::new(self.dropout).check(C::NAME)?;
        let constant = self.cell.constant_bias();
        if let Some((_, value)) = constant {
            Init::Constant(value).check()?;
            if !self.bias {
                return refuse!(
                    C::NAME,
                    "a gate's bias is to start from {value}, but there are no biases; leave out `no_bias`"
                );
            }
        }
        // No count below is larger than this.
        let largest = [layers, directions, 16 * KEPT, hidden.max(features), hidden.max(steps)];
        if Shape::new(&largest).is_none() {
            return refuse!(
                C::NAME,
                "{layers} layers of {hidden} units over {steps} steps of {features} numbers are more than can be \
                 counted"
            );
        }

        if layers > MOST_LAYERS {
            return refuse!(C::NAME, "it has {layers} layers on top of each other, but may have {MOST_LAYERS} at most");
        }

        let output: Shape = if self.last_state { [self.width()].into() } else { [steps, self.width()].into() };
        let widest = self.widest_input(features);
        let (gates, widest_gradient) = (GATES * hidden, widest.max(self.width()));
        let mut signature = Signature::new(C::NAME, output).backward_without_y();
        for layer in 0..layers {
            for suffix in &SUFFIXES[..directions] {
                signature = signature
                    .saves(format!("cells_l{layer}{suffix}"), [steps, KEPT * hidden], PerExample)
                    .saves(format!("h_l{layer}{suffix}"), [steps, hidden], PerExample);
            }
            let dropped = if self.drops() { self.width() } else { 0 };
            signature = signature.saves(format!("mask_l{layer}"), [steps, dropped], PerExample);
        }
        signature = signature
            .scratch("x", [steps, widest], PerExample)
            .forward_scratch("from_h", [gates], PerExample)
            .forward_scratch("state", [STATE, hidden], PerExample)
            .backward_scratch("dy", [steps, widest_gradient], PerExample)
            .backward_scratch("dx", [steps, widest_gradient], PerExample)
            .backward_scratch("du", [steps, gates], PerExample)
            .backward_scratch("dv", [if C::SEPARATE_GRADIENTS { steps } else { 0 }, gates], PerExample)
            .backward_scratch("dstate", [STATE, hidden], PerExample)
            .backward_scratch("w_t", [gates, hidden], PerBatch);
        if self.lengths {
            signature = signature.whole_numbers(1, 1, steps);
        }
        let limit = 1.0 / (hidden as f64).sqrt();
        let init = Init::Uniform { low: -limit, high: limit };
        for layer in 0..layers {
            for suffix in &SUFFIXES[..directions] {
                let inputs = self.inputs(layer, features);
                for (name, inputs) in [("weight_ih", inputs), ("weight_hh", hidden)] {
                    let weight = Parameter::new(format!("{name}_l{layer}{suffix}"), [inputs, gates], init);
                    signature = signature.parameter(weight.fans(inputs, gates).transposed());
                }
                for name in ["bias_ih", "bias_hh"].into_iter().filter(|_| self.bias) {
                    let bias = Parameter::new(format!("{name}_l{layer}{suffix}"), [gates], init).fans(hidden, gates);
                    signature = signature.parameter(match constant {
                        Some((gate, value)) if name == "bias_ih" => {
                            bias.constant(gate * hidden..(gate + 1) * hidden, value)
                        }
                        _ => bias,
                    });
                }
            }
        }
        Ok(signature)
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let sizes = self.sizes(&pass.x);
        let Sizes { examples, steps, features, .. } = sizes;
        let (rows, hidden, gates) = (sizes.rows(), self.hidden, GATES * self.hidden);
        let [x, from_h, state] = pass.scratch.vectors();
        self.read_input(&pass.x, sizes, x);
        for layer in 0..self.layers {
            for direction in 0..self.directions() {
                let first = self.parameters_from(layer, direction);
                let bias = |index| {
                    if self.bias { Accumulate::Bias(pass.params.vector(first + index)) } else { Accumulate::Overwrite }
                };
                let [cells, h] = pass.saved.vectors_from(self.saved_of(layer, direction).0);

                // Pass 1, all steps at once: u = x W_ih + b_ih, into the cells' first numbers.
                let inputs = first2(x, (rows, self.inputs(layer, features)));
                let (u, _) = first2_mut(cells, (rows, KEPT * hidden)).split_at(Axis(1), gates);
                product(inputs, pass.params.matrix(first), bias(2), u);

                // Pass 2, step by step: v(t) = h(t−1) W_hh + b_hh, state(t) = cell(u(t), v(t), state(t−1)).
                let time = ThroughTime {
                    cell: &self.cell,
                    traversal: self.traversal(&pass.x, direction),
                    w: pass.params.matrix(first + 1),
                    b: bias(3),
                    kept: first3_mut(cells, (steps, examples, KEPT * hidden)),
                    h: first3_mut(h, (steps, examples, hidden)),
                    from_h: first2_mut(from_h, (examples, gates)),
                    state: first3_mut(state, (STATE, examples, hidden)),
                };
                parallel_runs(time, rows * hidden * gates);

                // Pass 3: y ← h of the top layer.
                if layer + 1 == self.layers {
                    let h = if self.last_state { &*state } else { h };
                    self.write_output(h, direction, sizes, pass.y.slice());
                }
            }
            if layer + 1 < self.layers {
                let mask = pass.saved.vector(self.saved_mask(layer));
                self.draw_mask(layer, pass.mode, pass.random, mask, sizes);
                self.read_output_of(layer, pass.saved.as_arrays(), sizes, x);
            }
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let sizes = self.sizes(&pass.x);
        let Sizes { examples, steps, features, .. } = sizes;
        let (rows, hidden, gates) = (sizes.rows(), self.hidden, GATES * self.hidden);
        let [x, mut dy, mut dx, du, dv, dstate, w_t] = pass.scratch.vectors();
        let outputs = self.outputs(sizes);
        if !self.last_state {
            let from = first3(pass.dy.slice(), (examples, outputs, self.width())).permuted_axes([1, 0, 2]);
            let to = first3_mut(dy, (steps, examples, self.width()));
            copy_rows(from.split_at(Axis(0), steps).0, to);
        }
        for layer in (0..self.layers).rev() {
            let inputs = self.inputs(layer, features);
            if layer == 0 {
                self.read_input(&pass.x, sizes, x);
            } else {
                self.read_output_of(layer - 1, pass.saved, sizes, x);
            }
            let x = first2(x, (rows, inputs));
            for direction in 0..self.directions() {
                let first = self.parameters_from(layer, direction);
                let (cells, h) = self.saved_of(layer, direction);
                let (cells, h) = (pass.saved.vector(cells), pass.saved.vector(h));

                // Pass 1: dJ/d(state after the last step), which is 0 unless that state is the output.
                dstate.fill(T::ZERO);
                let last_only = self.last_state && layer + 1 == self.layers;
                if last_only {
                    let from = first3(pass.dy.slice(), (1, examples, self.width()));
                    let to = first3_mut(dstate, (1, examples, hidden));
                    copy_rows(columns(from, direction, hidden), to);
                }

                // Pass 2, back through the steps: du = dJ/d(x W_ih + b_ih), dv = dJ/d(h W_hh + b_hh).
                permute(pass.params.vector(first + 1), [hidden, gates].into(), &[1, 0], w_t);
                let dy = first3(dy, (steps, examples, self.width()));
                let time = BackThroughTime {
                    cell: &self.cell,
                    traversal: self.traversal(&pass.x, direction),
                    w_t: first2(w_t, (gates, hidden)),
                    kept: first3(cells, (steps, examples, KEPT * hidden)),
                    dy: (!last_only).then(|| columns(dy, direction, hidden)),
                    du: first3_mut(du, (steps, examples, gates)),
                    dv: C::SEPARATE_GRADIENTS.then(|| first3_mut(dv, (steps, examples, gates))),
                    dstate: first3_mut(dstate, (STATE, examples, hidden)),
                };
                parallel_runs(time, rows * hidden * gates);

                // Pass 3, all steps at once:
                // dW_ih = Σₜ x(t)ᵀ du(t)    dW_hh = Σₜ h(t−1)ᵀ dv(t)    db_ih = Σₜ du(t)    db_hh = Σₜ dv(t)
                let du = first2(du, (rows, gates));
                let dv = if C::SEPARATE_GRADIENTS { first2(dv, (rows, gates)) } else { du };
                product(x.t(), du, Accumulate::Overwrite, pass.dparams.matrix(first));
                let h = first2(h, (rows, hidden));
                // Every step but the last next to the step after it, in the order of reading.
                let one = examples.min(rows);
                let (before, after) = if direction == 0 {
                    (h.split_at(Axis(0), rows - one).0, dv.split_at(Axis(0), one).1)
                } else {
                    (h.split_at(Axis(0), one).1, dv.split_at(Axis(0), rows - one).0)
                };
                product(before.t(), after, Accumulate::Overwrite, pass.dparams.matrix(first + 1));
                if self.bias {
                    reduce::column_sums(du, pass.dparams.vector(first + 2));
                    reduce::column_sums(dv, pass.dparams.vector(first + 3));
                }

                // Pass 4: dx = du W_ihᵀ, the sum over both directions.
                if layer > 0 || pass.dx.get(0).is_some() {
                    let start = if direction == 0 { Accumulate::Overwrite } else { Accumulate::Add };
                    product(du, pass.params.matrix(first).t(), start, first2_mut(dx, (rows, inputs)));
                }
            }
            if layer > 0 {
                self.mask(layer - 1, pass.saved, sizes, &mut dx[..rows * inputs]);
                mem::swap(&mut dy, &mut dx);
            }
        }
        if let Some(to) = pass.dx.get(0) {
            let (to, mut beyond) = to.sequences().permuted_axes([1, 0, 2]).split_at(Axis(0), steps);
            copy_rows(first3(dx, (steps, examples, features)), to);
            beyond.fill(T::ZERO);
        }
        if let Some(lengths) = pass.dx.get(1) {
            lengths.slice().fill(T::ZERO);
        }
    }

    passes! {
        #[doc(hidden)]
        #[inline]
        [self] [&self] C
    }
}

// The beginning of an array that was declared for all steps: what the steps of the longest example fill.

fn first2<T>(numbers: &[T], (rows, columns): (usize, usize)) -> ArrayView2<'_, T> {
    view::matrix(&numbers[..rows * columns], (rows, columns))
}

fn first2_mut<T>(numbers: &mut [T], (rows, columns): (usize, usize)) -> ArrayViewMut2<'_, T> {
    view::matrix_mut(&mut numbers[..rows * columns], (rows, columns))
}

fn first3<T>(numbers: &[T], (a, b, c): (usize, usize, usize)) -> ArrayView3<'_, T> {
    view::array3(&numbers[..a * b * c], (a, b, c))
}

fn first3_mut<T>(numbers: &mut [T], (a, b, c): (usize, usize, usize)) -> ArrayViewMut3<'_, T> {
    view::array3_mut(&mut numbers[..a * b * c], (a, b, c))
}

/// The columns of one direction, where those of all lie side by side.
fn columns<S: RawData>(mut rows: ArrayBase<S, Ix3>, direction: usize, hidden: usize) -> ArrayBase<S, Ix3> {
    rows.slice_axis_inplace(Axis(2), Slice::from(direction * hidden..(direction + 1) * hidden));
    rows
}

/// to ← from; the first two axes may lie in any order, but each row is contiguous.
fn copy_rows<T: Copy>(from: ArrayView3<'_, T>, mut to: ArrayViewMut3<'_, T>) {
    for (from, mut to) in from.outer_iter().zip(to.outer_iter_mut()) {
        for (from, mut to) in from.outer_iter().zip(to.outer_iter_mut()) {
            match (from.to_slice(), to.as_slice_mut()) {
                (Some(from), Some(to)) => to.copy_from_slice(from),
                _ => unreachable!("the last axis is contiguous"),
            }
        }
    }
}
