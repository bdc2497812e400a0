//! Normalisations.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::{Sizes, count};
use crate::rust_source::constants::number;
use crate::rust_source::lowering::Argument::{Text, Write};
use crate::rust_source::lowering::Lowering;
use crate::settings::Settings;

#[derive(Deserialize)]
struct Affine {
    affine: bool,
}

#[derive(Deserialize)]
struct Norm {
    epsilon: Option<f64>,
    #[serde(default)]
    groups: usize,
    #[serde(default)]
    axes: usize,
    #[serde(default = "yes")]
    bias: bool,
}

fn yes() -> bool {
    true
}

impl<T: Scalar> Lowering<'_, T> {
    pub(super) fn normalisation(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Norm { epsilon, groups, axes, bias } = settings.read()?;
        let Affine { affine } = settings.read()?;
        let y = self.changeable(step);
        let epsilon = epsilon.map_or(T::EPSILON, T::from_f64);
        let rank = sizes.input().len();
        // The numbers that are normalised together, and those that share a weight.
        let (run, plane) = match settings.kind.as_str() {
            "GroupNorm" => (sizes.from(0) / groups.max(1), sizes.from(1)),
            "LayerNorm" | "RmsNorm" => (sizes.from(rank.saturating_sub(axes)), 1),
            _ => (sizes.from(1), sizes.from(1)),
        };
        if settings.kind == "BatchNorm" {
            // y = (x − μ) (weight/√(σ² + ε)) + bias, with the running statistics.
            let [mean, variance] = ["running_mean", "running_var"].map(|name| self.array(step, name));
            let (mean, variance) = (mean?.numbers.clone(), variance?.numbers.clone());
            let mut scale: Vec<T> = variance.iter().map(|&variance| T::ONE / (variance + epsilon).sqrt()).collect();
            if affine {
                let weight = &self.array(step, "weight")?.numbers;
                scale.iter_mut().zip(weight).for_each(|(scale, &weight)| *scale *= weight);
            }
            let before: Vec<T> = mean.iter().map(|&mean| -mean).collect();
            let owner = self.owner(step);
            let shift = self.numbers(format!("L{owner}_MINUS_MEAN"), "The running means, negated.", &before);
            self.call("shift_each", [Write(y), count(plane), Text(shift)]);
            let about = "The weights over the running deviations.";
            // The deviation is of the step's own ε, even if another step shares the weight.
            let scale = self.numbers(format!("L{}_SCALE", self.step), about, &scale);
            self.call("scale_each", [Write(y), count(plane), Text(scale)]);
            if affine {
                let bias = self.vector(step, "bias")?;
                self.call("shift_each", [Write(y), count(plane), bias]);
            }
            return Ok(y);
        }
        let function = if settings.kind == "RmsNorm" { "normalise_rms" } else { "normalise" };
        self.call(function, [Write(y), count(run), Text(number(epsilon))]);
        if affine {
            let weight = self.vector(step, "weight")?;
            self.call("scale_each", [Write(y), count(plane), weight]);
            if bias && settings.kind != "RmsNorm" {
                let bias = self.vector(step, "bias")?;
                self.call("shift_each", [Write(y), count(plane), bias]);
            }
        }
        Ok(y)
    }
}
