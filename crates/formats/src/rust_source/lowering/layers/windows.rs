//! What goes over an input with a window: convolutions and pooling.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::{Sizes, count, text};
use crate::rust_source::lowering::Argument::{Text, Write};
use crate::rust_source::lowering::Lowering;
use crate::settings::Settings;

/// A number that a description has for one axis, or two for two.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum PerAxis<N> {
    One(N),
    Two([N; 2]),
}

impl<N: Copy> PerAxis<N> {
    /// The numbers for rows and columns; without rows, these have `absent`.
    fn both(self, absent: N) -> [N; 2] {
        match self {
            Self::One(number) => [absent, number],
            Self::Two(numbers) => numbers,
        }
    }
}

#[derive(Deserialize)]
struct Convolution {
    kernel: PerAxis<usize>,
    stride: PerAxis<usize>,
    dilation: PerAxis<usize>,
    padding: serde_json::Value,
    groups: usize,
    bias: bool,
}

#[derive(Deserialize)]
struct Pool {
    kernel: PerAxis<usize>,
    stride: PerAxis<usize>,
    padding: PerAxis<usize>,
    #[serde(default = "one")]
    dilation: PerAxis<usize>,
    #[serde(default)]
    count_include_pad: bool,
}

fn one() -> PerAxis<usize> {
    PerAxis::Two([1, 1])
}

/// One axis of a window, as the type of that name in a file.
#[derive(Clone, Copy, PartialEq)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
}

const NO_AXIS: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, padding: 0 };

impl<T: Scalar> Lowering<'_, T> {
    fn axis(&mut self, name: &str, axis: Axis) -> String {
        if axis == NO_AXIS {
            return "&NO_AXIS".into();
        }
        let Axis { input, output, kernel, stride, dilation, padding } = axis;
        let text = format!(
            "Axis {{\n    input: {input},\n    output: {output},\n    kernel: {kernel},\n    stride: {stride},\n    \
             dilation: {dilation},\n    padding: {padding},\n}}"
        );
        let about = format!("Along the {} of layer {}.", name.to_lowercase(), self.step);
        self.own_constant(name, &about, "Axis", text, 6 * size_of::<usize>())
    }

    pub(super) fn convolution(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Convolution { kernel, stride, dilation, padding, groups, bias } = settings.read()?;
        let (kernel, stride, dilation) = (kernel.both(1), stride.both(1), dilation.both(1));
        let ([rows, columns], [y_rows, y_columns]) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let transposed = settings.kind == "ConvTranspose2d";
        let axis = |index: usize, input: usize, output: usize| -> Option<Axis> {
            let at = |numbers: [usize; 2]| numbers.get(index).copied();
            let (kernel, stride, dilation) = (at(kernel)?, at(stride)?, at(dilation)?);
            let before = match &padding {
                serde_json::Value::String(_) => Some((dilation * (kernel - 1)) / 2),
                // Of a signal (before, after); of an image these for each axis; of a transposed one the same all around.
                padding => {
                    let sides = padding.get("Sides").unwrap_or(padding);
                    let side = if settings.kind == "Conv1d" { sides.get(0) } else { sides.get(index) };
                    side.and_then(|side| side.get(0).unwrap_or(side).as_u64()).and_then(|side| side.try_into().ok())
                }
            };
            let (input, output) = if transposed { (output, input) } else { (input, output) };
            Some(Axis { input, output, kernel, stride, dilation, padding: before? })
        };
        let down = if settings.kind == "Conv1d" { Some(NO_AXIS) } else { axis(0, rows, y_rows) };
        let (down, across) = down.zip(axis(1, columns, y_columns)).ok_or("its padding is unknown")?;
        let (down, across) = (self.axis("ROWS", down), self.axis("COLUMNS", across));
        let outputs = sizes.output.axes().first().copied().unwrap_or(1);
        let mut arguments = vec![self.input(step, 0)];
        arguments.extend(self.weights(step, "weight")?);
        arguments.push(self.bias(step, bias, outputs)?);
        let y = self.space(sizes.output.len());
        arguments.extend([Write(y), count(groups), Text(format!("[{down}, {across}]"))]);
        self.call(if transposed { "transposed_convolution" } else { "convolution" }, arguments);
        Ok(y)
    }

    pub(super) fn pool(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let pool: Pool = settings.read()?;
        let [kernel, stride, dilation] = [pool.kernel, pool.stride, pool.dilation].map(|setting| setting.both(1));
        let padding = pool.padding.both(0);
        let ([rows, columns], [y_rows, y_columns]) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let axis = |index: usize, input: usize, output: usize| -> Option<Axis> {
            let at = |numbers: [usize; 2]| numbers.get(index).copied();
            let (kernel, stride, dilation) = (at(kernel)?, at(stride)?, at(dilation)?);
            Some(Axis { input, output, kernel, stride, dilation, padding: at(padding)? })
        };
        let axes = axis(0, rows, y_rows).zip(axis(1, columns, y_columns));
        let (down, across) = axes.ok_or("its sizes are unknown")?;
        let (down, across) = (self.axis("ROWS", down), self.axis("COLUMNS", across));
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        let mut arguments = vec![x, Write(y), Text(down), Text(across)];
        let average = settings.kind.starts_with("Average");
        if average {
            arguments.push(text(pool.count_include_pad.to_string()));
        }
        self.call(if average { "average_pool" } else { "max_pool" }, arguments);
        Ok(y)
    }
}
