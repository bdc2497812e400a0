//! Recurrent layers.

use super::{Equations, Layer, Letters, letters, weighted};
use crate::Expression;
use crate::Function::{Relu, Sigmoid, Tanh};
use crate::expression::{apply, constant, minus, product, sum};

/// The kinds of cells, with what each computes at a step, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// a, h
    Plain { relu: bool },
    /// The four sums, the four gates, c, h
    Lstm,
    /// u from the input and v from the state, of each gate; the three gates, h
    Gru,
}

impl Cell {
    fn letters(self) -> &'static [&'static str] {
        match self {
            Self::Plain { .. } => &["a", "h"],
            Self::Lstm => &["a_i", "a_f", "a_g", "a_o", "i", "f", "g", "o", "c", "h"],
            Self::Gru => &["u_r", "u_z", "u_n", "v_r", "v_z", "v_n", "r", "z", "n", "h"],
        }
    }

    fn gates(self) -> usize {
        match self {
            Self::Plain { .. } => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// The two passes of a recurrent layer through time, for each layer and each direction.
pub(super) struct Recurrent {
    cell: Cell,
    layers: usize,
    directions: usize,
    hidden: usize,
    steps: usize,
    features: usize,
    examples: usize,
}

impl Recurrent {
    pub(super) fn of(at: &Layer<'_>) -> Option<Self> {
        let cell = match at.at.layer.as_str() {
            "Lstm" => Cell::Lstm,
            "Gru" => Cell::Gru,
            _ => Cell::Plain { relu: at.is("cell", "Relu") },
        };
        let &[steps, features] = at.x_axes(0)? else { return None };
        let &[hidden, _] = at.parameter("weight_hh_l0")?.1.shape.axes() else { return None };
        let layers = (0..).take_while(|layer| at.has(&format!("weight_hh_l{layer}"))).count();
        let directions = if at.has("weight_hh_l0_reverse") { 2 } else { 1 };
        // With lengths some steps are left out.
        let fits = at.at.inputs.len() == 1 && hidden > 0 && steps > 0;
        fits.then_some(Self { cell, layers, directions, hidden, steps, features, examples: at.all.examples })
    }

    /// The first array of one direction of one layer.
    fn block(&self, layer: usize, direction: usize) -> usize {
        (layer * self.directions + direction) * self.cell.letters().len()
    }

    /// The end of the names of its parameters.
    fn suffix(&self, block: usize) -> String {
        let (layer, direction) = (block / self.directions, block % self.directions);
        format!("_l{layer}{}", if direction == 0 { "" } else { "_reverse" })
    }

    fn place(&self, example: usize, step: usize, unit: usize) -> usize {
        (example * self.steps + step) * self.hidden + unit
    }

    /// What comes from the input of the step, or from the state before it, to a unit of a gate.
    fn weighed(&self, at: &Layer<'_>, block: usize, from: Side, gate: usize, index: usize) -> Option<Vec<Expression>> {
        let (unit, row) = (index % self.hidden, index / self.hidden);
        let (step, example) = (row % self.steps, row / self.steps);
        let (gates, suffix) = (self.cell.gates() * self.hidden, self.suffix(block));
        let column = gate * self.hidden + unit;
        let layer = block / self.directions;
        let (name, count) = match from {
            Side::Input if layer == 0 => ("ih", self.features),
            Side::Input => ("ih", self.directions * self.hidden),
            Side::State => ("hh", if self.before(block, step).is_some() { self.hidden } else { 0 }),
        };
        let state = self.cell.letters().len() - 1;
        let number = |index: usize| match from {
            Side::Input if layer == 0 => at.x(0, (example * self.steps + step) * self.features + index),
            Side::Input => {
                let below = self.block(layer - 1, index / self.hidden) + state;
                at.inner(below, self.place(example, step, index % self.hidden))
            }
            Side::State => {
                let first = block * self.cell.letters().len();
                at.inner(first + state, self.place(example, self.before(block, step)?, index))
            }
        };
        let weight = |index: usize| at.theta(&format!("weight_{name}{suffix}"), index * gates + column);
        let mut terms = weighted(count, number, weight)?;
        let bias = format!("bias_{name}{suffix}");
        if at.has(&bias) {
            terms.push(at.theta(&bias, column)?);
        }
        Some(terms)
    }

    /// The step that is read before this one.
    fn before(&self, block: usize, step: usize) -> Option<usize> {
        match block % self.directions {
            0 => step.checked_sub(1),
            _ => Some(step + 1).filter(|&step| step < self.steps),
        }
    }
}

/// The source of the numbers of a sum.
#[derive(Clone, Copy)]
enum Side {
    Input,
    State,
}

impl Equations for Recurrent {
    fn arrays(&self) -> Vec<Letters> {
        let blocks = self.layers * self.directions;
        let named = |block: usize| {
            self.cell.letters().iter().map(move |&text| {
                let latex = if text.len() > 1 { format!("{{{text}}}") } else { text.to_owned() };
                if blocks == 1 {
                    return letters(text, &latex, &[self.steps, self.hidden]);
                }
                let suffix = self.suffix(block);
                let latex = format!("{{{latex}^{{\\text{{{}}}}}}}", suffix.trim_start_matches('_').replace('_', " "));
                letters(&format!("{text}{suffix}"), &latex, &[self.steps, self.hidden])
            })
        };
        (0..blocks).flat_map(named).collect()
    }

    fn order(&self, _: &Layer<'_>) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        for block in 0..self.layers * self.directions {
            for turn in 0..self.steps {
                let step = if block % self.directions == 0 { turn } else { self.steps - 1 - turn };
                for array in 0..self.cell.letters().len() {
                    for example in 0..self.examples {
                        let units = (0..self.hidden).map(|unit| self.place(example, step, unit));
                        order.extend(units.map(|index| (block * self.cell.letters().len() + array, index)));
                    }
                }
            }
        }
        order
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let (block, letter) = (array / self.cell.letters().len(), array % self.cell.letters().len());
        let (row, unit) = (index / self.hidden, index % self.hidden);
        let (step, example) = (row % self.steps, row / self.steps);
        let own = |letter: usize| at.inner(block * self.cell.letters().len() + letter, index);
        let last = |letter: usize| {
            let before = self.before(block, step)?;
            at.inner(block * self.cell.letters().len() + letter, self.place(example, before, unit))
        };
        let from = |from: Side, gate: usize| self.weighed(at, block, from, gate, index);
        let both = |gate: usize| Some(sum([from(Side::Input, gate)?, from(Side::State, gate)?].concat()));
        Some(match (self.cell, letter) {
            (Cell::Plain { .. }, 0) => both(0)?,
            (Cell::Plain { relu }, _) => apply(if relu { Relu } else { Tanh }, own(0)?),

            (Cell::Lstm, 0..=3) => both(letter)?,
            (Cell::Lstm, 6) => apply(Tanh, own(2)?),
            (Cell::Lstm, 4..=7) => apply(Sigmoid, own(letter - 4)?),
            (Cell::Lstm, 8) => {
                let taken = product([own(4)?, own(6)?]);
                match last(8) {
                    Some(kept) => sum([product([own(5)?, kept]), taken]),
                    None => taken,
                }
            }
            (Cell::Lstm, _) => product([own(7)?, apply(Tanh, own(8)?)]),

            (Cell::Gru, 0..=2) => sum(from(Side::Input, letter)?),
            (Cell::Gru, 3..=5) => sum(from(Side::State, letter - 3)?),
            (Cell::Gru, 6 | 7) => apply(Sigmoid, sum([own(letter - 6)?, own(letter - 3)?])),
            (Cell::Gru, 8) => apply(Tanh, sum([own(2)?, product([own(6)?, own(5)?])])),
            (Cell::Gru, _) => {
                let new = product([minus(constant(1.0), own(7)?), own(8)?]);
                match last(9) {
                    Some(kept) => sum([new, product([own(7)?, kept])]),
                    None => new,
                }
            }
        })
    }

    /// y is h of the top layer, at each step or at the last one that each direction has read.
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let width = self.directions * self.hidden;
        let (row, column) = (index / width, index % width);
        let (direction, unit) = (column / self.hidden, column % self.hidden);
        let (example, step) = match at.y_axes()?.len() {
            1 => (row, if direction == 0 { self.steps - 1 } else { 0 }),
            _ => (row / self.steps, row % self.steps),
        };
        let state = self.block(self.layers.checked_sub(1)?, direction) + self.cell.letters().len() - 1;
        at.inner(state, self.place(example, step, unit))
    }
}
