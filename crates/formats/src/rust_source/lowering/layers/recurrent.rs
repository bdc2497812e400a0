//! Recurrent layers.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;

use super::{Sizes, count, text};
use crate::rust_source::constants::{flat, number};
use crate::rust_source::lowering::Argument::{Read, Text, Write};
use crate::rust_source::lowering::{Lowering, NOT_FINITE, identifier};
use crate::rust_source::one_line;
use crate::settings::{Recurrent, Settings};

impl<T: Scalar> Lowering<'_, T> {
    pub(super) fn recurrent(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let layer: Recurrent = settings.read()?;
        let Recurrent { hidden, layers, lengths, last_state, .. } = layer;
        let (cell, gates, state) = match (settings.kind.as_str(), layer.nonlinearity.as_str()) {
            ("Lstm", _) => ("lstm", 4, 2),
            ("Gru", _) => ("gru", 3, 1),
            (_, "Relu") => ("rnn_relu", 1, 1),
            (_, "Tanh") => ("rnn_tanh", 1, 1),
            (_, other) => return Err(format!("this version has no Rust for its nonlinearity {other}")),
        };
        let steps = sizes.input().first().copied().unwrap_or(1);
        let directions = layer.suffixes();
        let width = hidden * directions.len();
        let (mut x, mut features) = (self.input(step, 0), sizes.last());
        let memory = self.space((2 * gates + state) * hidden);
        let mut y = 0;
        for depth in 0..layers {
            let last_state = last_state && depth + 1 == layers;
            y = self.space(if last_state { width } else { steps * width });
            if lengths && !last_state {
                self.call(".fill", [Write(y), text("0.0")]);
            }
            for (index, suffix) in directions.iter().enumerate() {
                let weights =
                    self.direction(step, &format!("l{depth}{suffix}"), [features, hidden, gates], layer.bias)?;
                let order = format!(
                    "Order {{\n    reverse: {},\n    last_state: {last_state},\n    width: {width},\n    offset: {},\n}}",
                    index == 1,
                    index * hidden
                );
                let name = format!("ORDER_L{depth}{}", suffix.to_uppercase());
                let about = format!("How layer {} goes through time.", self.step);
                let order = self.own_constant(&name, &about, "Order", order, 3 * size_of::<usize>());
                let present = if lengths { self.length(step, 1, 1, steps) } else { count(steps) };
                let arguments = [x.clone(), Text(weights), Write(y), Write(memory), present, Text(order), text(cell)];
                self.call("recurrent", arguments);
            }
            (x, features) = (Read(y), width);
        }
        Ok(y)
    }

    /// The weights and biases of one direction of one layer.
    fn direction(
        &mut self,
        step: &StepDescription,
        name: &str,
        [features, hidden, gates]: [usize; 3],
        bias: bool,
    ) -> Result<String, String> {
        let sums = gates * hidden;
        let mut fields = String::new();
        let mut bytes = 0;
        for part in ["ih", "hh"] {
            let matrix = self.array(step, &format!("weight_{part}_{name}"))?.matrix();
            if self.int8 {
                let quantised = matrix.quantised().ok_or(NOT_FINITE)?;
                let scales = flat(&quantised.scales.iter().map(|&scale| number(scale)).collect::<Vec<_>>(), 4);
                let text = quantised.text(matrix.columns, 4);
                fields.push_str(&format!("    weight_{part}: {text},\n    scale_{part}: {scales},\n"));
                bytes += quantised.numbers.len() + size_of_val(&*quantised.scales);
            } else {
                fields.push_str(&format!("    weight_{part}: {},\n", matrix.text(4)));
                bytes += size_of_val(&*matrix.numbers);
            }
        }
        for part in ["ih", "hh"] {
            let numbers = if bias {
                let numbers = &self.array(step, &format!("bias_{part}_{name}"))?.numbers;
                flat(&numbers.iter().map(|&x| number(x)).collect::<Vec<_>>(), 4)
            } else {
                format!("[0.0; {sums}]")
            };
            fields.push_str(&format!("    bias_{part}: {numbers},\n"));
            bytes += sums * size_of::<T>();
        }
        let constant = format!("L{}_{}", self.owner(step), identifier(name));
        let about = format!("`{}`: the weights and biases that end with `_{name}`.", one_line(&step.name));
        let of = format!("Direction<{features}, {hidden}, {sums}>");
        Ok(self.constant(constant, &about, &of, || format!("Direction {{\n{fields}}}"), bytes))
    }
}
