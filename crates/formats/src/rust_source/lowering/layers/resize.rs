//! Other sizes of maps: padding and upsampling.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::{Sizes, count, pair};
use crate::rust_source::constants::{flat, number};
use crate::rust_source::lowering::Argument::{Text, Write};
use crate::rust_source::lowering::{Argument, Lowering};
use crate::settings::Settings;

#[derive(Deserialize)]
struct Pad {
    rows: [usize; 2],
    columns: [usize; 2],
    mode: PadMode,
}

#[derive(Clone, Copy, Deserialize)]
enum PadMode {
    Constant(#[serde(with = "downhill_tensor::exact::number")] f64),
    Reflect,
    Replicate,
    Circular,
}

#[derive(Deserialize)]
struct Upsample {
    target: Target,
    interpolation: String,
}

#[derive(Clone, Copy, Deserialize)]
enum Target {
    Factor([f64; 2]),
    Size(serde::de::IgnoredAny),
}

impl<T: Scalar> Lowering<'_, T> {
    pub(super) fn pad(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Pad { rows, columns, mode } = settings.read()?;
        let width = sizes.last();
        let height = if rows == [0; 2] { 1 } else { sizes.input().iter().rev().nth(1).copied().unwrap_or(1) };
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        let source = |length: usize, [before, _]: [usize; 2], place: usize| -> usize {
            let (first, last) = (before, before + length - 1);
            match mode {
                _ if (first..=last).contains(&place) => place - before,
                PadMode::Reflect if place < first => first - place,
                PadMode::Reflect => length - 1 - (place - last),
                PadMode::Circular if place < first => length - (first - place),
                PadMode::Circular => place - last - 1,
                _ if place < first => 0,
                _ => length - 1,
            }
        };
        if let PadMode::Constant(constant) = mode {
            self.call(".fill", [Write(y), Text(number(T::from_f64(constant)))]);
            let ([above, below], [left, right]) = (rows, columns);
            let padded = left + width + right;
            let whole = (above + height + below) * padded;
            let to = pair([padded, whole]);
            self.call("inset", [x, pair([width, height * width]), Write(y), to, count(above * padded + left)]);
            return Ok(y);
        }
        let table = |length: usize, sides: [usize; 2]| {
            (0..length + sides.iter().sum::<usize>()).map(move |place| source(length, sides, place)).collect()
        };
        let (rows, columns) = (table(height, rows), table(width, columns));
        self.gather(x, y, [height, width], [rows, columns]);
        Ok(y)
    }

    /// y[i, j] = x[rows[i], columns[j]]
    fn gather(&mut self, x: Argument, y: usize, plane: [usize; 2], [rows, columns]: [Vec<usize>; 2]) {
        let mut table = |name: &str, places: Vec<usize>| {
            let items: Vec<String> = places.iter().map(usize::to_string).collect();
            let of = format!("[usize; {}]", places.len());
            let about = format!("Which of the {} of layer {} are copied.", name.to_lowercase(), self.step);
            Text(self.own_constant(name, &about, &of, flat(&items, 0), size_of_val(&*places)))
        };
        let tables = [table("ROWS", rows), table("COLUMNS", columns)];
        self.call("gather", [x, Write(y), pair(plane)].into_iter().chain(tables));
    }

    pub(super) fn upsample(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Upsample { target, interpolation } = settings.read()?;
        let aligned = interpolation == "BilinearAlignedCorners";
        let (from, to) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let [down, across] = [0, 1].map(|axis| {
            let at = |sizes: [usize; 2]| sizes.get(axis).copied().unwrap_or(1);
            let (input, output) = (at(from), at(to));
            let step = match target {
                _ if aligned && output == 1 => 0.0,
                _ if aligned => (input - 1) as f64 / (output - 1) as f64,
                Target::Factor(factor) => 1.0 / factor.get(axis).copied().unwrap_or(1.0),
                Target::Size(_) => input as f64 / output as f64,
            };
            (input, output, step)
        });
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        if interpolation == "Nearest" {
            let nearest = |(input, output, step): (usize, usize, f64)| {
                let place = move |place: usize| match output {
                    _ if output == input => place,
                    _ if output == 2 * input => place / 2,
                    _ => ((place as f32 * step as f32) as usize).min(input - 1),
                };
                (0..output).map(place).collect()
            };
            self.gather(x, y, from, [nearest(down), nearest(across)]);
            return Ok(y);
        }
        let mut table = |name: &str, (input, output, step): (usize, usize, f64)| {
            let items: Vec<String> = (0..output)
                .map(|place| {
                    if output == input {
                        return format!("({place}, {place}, 0.0)");
                    }
                    let at = if aligned { step * place as f64 } else { step * (place as f64 + 0.5) - 0.5 };
                    let at = at.max(0.0);
                    let first = (at as usize).min(input - 1);
                    let weight = T::from_f64((at - first as f64).min(1.0));
                    format!("({first}, {}, {})", (first + 1).min(input - 1), number(weight))
                })
                .collect();
            let of = format!("[(usize, usize, {}); {output}]", T::NAME);
            let about = format!("The neighbours among the {}.", name.to_lowercase());
            let bytes = output * (2 * size_of::<usize>() + size_of::<T>());
            Text(self.own_constant(name, &about, &of, flat(&items, 0), bytes))
        };
        let tables = [table("ROWS", down), table("COLUMNS", across)];
        self.call("interpolate", [x, Write(y), pair(from)].into_iter().chain(tables));
        Ok(y)
    }
}
