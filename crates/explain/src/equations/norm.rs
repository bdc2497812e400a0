//! Normalisations.

use super::{Equations, Layer, Letters, letters};
use crate::Function::Sqrt;
use crate::expression::{apply, constant, divided, minus, product, quotient, squared, sum};
use crate::{Expression, Variable};

/// μ = Σ x / n, v = Σ (x − μ)² / n, r = 1 / √(v + ε), x̂ = (x − μ) r, y = x̂ w + b, with the mean and the variance of a
/// group.
pub(super) struct Norm {
    /// Whether a group is a channel of all examples.
    of_batch: bool,
    /// Whether the mean is subtracted.
    centred: bool,
    epsilon: f64,
    examples: usize,
    axes: Vec<usize>,
    /// The numbers of an example.
    length: usize,
    /// The groups of an example, or of the batch.
    groups: usize,
    /// The neighbours that share a weight, and how many weights there are.
    plane: usize,
    weights: usize,
}

impl Norm {
    pub(super) fn of(at: &Layer<'_>) -> Option<Self> {
        let axes = at.x_axes(0)?.to_vec();
        let length: usize = axes.iter().product();
        let channels = *axes.first()?;
        let last: usize = axes.iter().rev().take(at.count("axes").unwrap_or(0)).product();
        let name = at.at.layer.as_str();
        let (groups, weights) = match name {
            "LayerNorm" | "RmsNorm" => (length.checked_div(last)?, last),
            "GroupNorm" => (at.count("groups")?, channels),
            _ => (channels, channels),
        };
        let plane = if matches!(name, "LayerNorm" | "RmsNorm") { 1 } else { length.checked_div(channels)? };
        let machine = if at.all.precision == "f32" { f64::from(f32::EPSILON) } else { f64::EPSILON };
        Some(Self {
            of_batch: name == "BatchNorm",
            centred: name != "RmsNorm",
            epsilon: at.set("epsilon").unwrap_or(machine),
            examples: at.all.examples,
            axes,
            length,
            groups,
            plane,
            weights,
        })
        .filter(|norm| norm.length > 0 && norm.groups > 0 && norm.length % norm.groups == 0 && norm.plane > 0)
    }

    /// The group of a number of x.
    fn group(&self, index: usize) -> usize {
        if self.of_batch { index % self.length / self.plane } else { index / (self.length / self.groups) }
    }

    /// The numbers of a group.
    fn members(&self, group: usize) -> Vec<usize> {
        let each = self.length / self.groups;
        match self.of_batch {
            true => {
                let starts = (0..self.examples).map(|example| example * self.length + group * each);
                starts.flat_map(|start| start..start + each).collect()
            }
            false => (group * each..(group + 1) * each).collect(),
        }
    }

    /// The array of x̂.
    fn normalised(&self) -> usize {
        if self.centred { 3 } else { 2 }
    }

    /// x, or x − μ.
    fn centred(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let x = at.x(0, index)?;
        Some(if self.centred { minus(x, at.inner(0, self.group(index))?) } else { x })
    }
}

impl Equations for Norm {
    fn arrays(&self) -> Vec<Letters> {
        let of_group =
            |text: &str, latex: &str| Letters { of_batch: self.of_batch, ..letters(text, latex, &[self.groups]) };
        let normalised = letters("x̂", "\\hat{x}", &self.axes);
        match self.centred {
            true => vec![of_group("μ", "\\mu"), of_group("v", "v"), of_group("r", "r"), normalised],
            false => vec![of_group("q", "q"), of_group("r", "r"), normalised],
        }
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        if array == self.normalised() {
            return Some(product([self.centred(at, index)?, at.inner(array - 1, self.group(index))?]));
        }
        if array + 1 == self.normalised() {
            let spread = at.inner(array.checked_sub(1)?, index)?;
            let spread = if self.epsilon == 0.0 { spread } else { sum([spread, constant(self.epsilon)]) };
            return Some(quotient(constant(1.0), apply(Sqrt, spread)));
        }
        let members = self.members(index);
        let is_mean = self.centred && array == 0;
        let term = |&index: &usize| match is_mean {
            true => at.x(0, index),
            false => self.centred(at, index).map(squared),
        };
        let terms = members.iter().map(term).collect::<Option<Vec<_>>>()?;
        Some(divided(sum(terms), members.len() as f64))
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let normalised = at.inner(self.normalised(), index)?;
        let channel = index % self.length / self.plane % self.weights.max(1);
        let mut terms = vec![match at.has("weight") {
            true => product([normalised, at.theta("weight", channel)?]),
            false => normalised,
        }];
        if at.has("bias") {
            terms.push(at.theta("bias", channel)?);
        }
        Some(sum(terms))
    }

    /// −½ r³, of r by the variance.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match (array, by) {
            (Some(array), Variable::Inner { array: of, .. }) if array + 1 == self.normalised() && of + 1 == array => {
                Some(product([constant(-0.5), Expression::Power(Box::new(at.inner(array, index)?), 3)]))
            }
            _ => None,
        }
    }
}
