//! Positions of steps: added as sines, or turned into the numbers.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::{Sizes, count};
use crate::rust_source::constants::Matrix;
use crate::rust_source::lowering::Argument::{Text, Write};
use crate::rust_source::lowering::Lowering;
use crate::settings::Settings;

#[derive(Clone, Copy, Deserialize)]
pub(super) struct Rotary {
    base: f64,
    interleaved: bool,
}

#[derive(Deserialize)]
struct Base {
    base: f64,
}

/// The angle by which the pair turns from one step to the next.
fn frequency(pair: usize, width: usize, base: f64) -> f64 {
    Scalar::exp(-base.ln() * (2 * pair) as f64 / width as f64)
}

impl<T: Scalar> Lowering<'_, T> {
    pub(super) fn sinusoidal_positions(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Base { base } = settings.read()?;
        let y = self.changeable(step);
        let width = sizes.last();
        let positions: Vec<T> = (0..sizes.from(0))
            .map(|index| {
                let (step, feature) = (index / width, index % width);
                let angle = step as f64 * frequency(feature / 2, width, base);
                T::from_f64(if feature % 2 == 0 { Scalar::sin(angle) } else { Scalar::cos(angle) })
            })
            .collect();
        let table =
            self.numbers(format!("L{}_POSITIONS", self.step), "Sines and cosines of the positions.", &positions);
        self.call("add", [Write(y), Text(table)]);
        Ok(y)
    }

    /// Turns the heads in the first `turned` numbers of each row of `y`, a row for each step.
    pub(super) fn rotate(&mut self, rotary: Rotary, y: usize, row: usize, turned: usize, [steps, width]: [usize; 2]) {
        let half = width / 2;
        let mut table = |name: &str, of: fn(f64) -> f64| {
            let numbers = (0..steps * half).map(|index| {
                let angle = (index / half) as f64 * frequency(index % half, width, rotary.base);
                T::from_f64(of(angle))
            });
            let matrix = Matrix { rows: steps, columns: half, numbers: numbers.collect() };
            let (of, bytes) = (format!("[[{}; {half}]; {steps}]", T::NAME), size_of_val(&*matrix.numbers));
            // Queries and keys of different lengths have tables of their own.
            let about = format!("{name} of the angles of {steps} steps.");
            let constant = format!("{}_{steps}", name.to_uppercase());
            Text(self.own_constant(&constant, &about, &of, matrix.text(0), bytes))
        };
        let tables = [table("Cosines", Scalar::cos), table("Sines", Scalar::sin)];
        let function = if rotary.interleaved { "rotate_pairs" } else { "rotate_halves" };
        self.call(function, [Write(y), count(row), count(turned)].into_iter().chain(tables));
    }
}
