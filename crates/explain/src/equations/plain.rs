//! Layers without anything between x and y.

use super::{Equations, Layer, ravel};
use crate::Function::{Exp, Ln, Sigmoid};
use crate::expression::{apply, minus, negative, product, sum};
use crate::format::unravel;
use crate::formulas::{softmax, softmax_slope};
use crate::{Expression, Variable};

/// y = f(x) without anything between, if it is known.
pub(super) struct AtOnce;

impl Equations for AtOnce {
    fn slope(&self, at: &Layer<'_>, _: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match by {
            Variable::Input { index: other, .. } if at.at.layer == "Softmax" => {
                Some(softmax_slope(at.y(index)?, at.y(other)?, index == other))
            }
            _ => None,
        }
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let axes = at.y_axes()?;
        let own = || at.x(0, index);
        let row = || {
            let width = axes.last().copied().unwrap_or(1).max(1);
            let start = index / width * width;
            (start..start + width).map(|index| at.x(0, index)).collect::<Option<Vec<_>>>()
        };
        Some(match at.at.layer.as_str() {
            "Softmax" => softmax(own()?, row()?),
            "Softmin" => softmax(negative(own()?), row()?.into_iter().map(negative)),
            "LogSoftmax" => minus(own()?, apply(Ln, sum(row()?.into_iter().map(|x| apply(Exp, x))))),
            "Multiply" => {
                let factors = (0..at.at.inputs.len()).map(|input| at.x(input, index));
                product(factors.collect::<Option<Vec<_>>>()?)
            }
            "Scale" => product([at.theta("weight", 0)?, own()?]),
            "PRelu" if own()?.evaluate() > 0.0 => own()?,
            "PRelu" => {
                let slopes = at.parameter("weight")?.1.shape.len();
                let length: usize = axes.iter().product();
                let channel = (index % length.max(1)).checked_div(length.checked_div(slopes)?)?;
                product([at.theta("weight", channel)?, own()?])
            }
            // a σ(b), the two halves of x
            "Glu" => {
                let x_axes = at.x_axes(0)?;
                let axis = at.count("axis").unwrap_or(axes.len().checked_sub(1)?);
                let length: usize = axes.iter().product();
                let mut place = unravel(index % length.max(1), axes);
                let start = index / length.max(1) * length * 2;
                let value = at.x(0, start + ravel(&place, x_axes))?;
                *place.get_mut(axis)? += axes.get(axis)?;
                product([value, apply(Sigmoid, at.x(0, start + ravel(&place, x_axes))?)])
            }
            _ => return None,
        })
    }
}

/// y[o, i] = Σ x[c, i·s + u·d − p] w[o, c, u] + b[o], along one axis or two.
pub(super) struct Convolution {
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Vec<usize>,
    groups: usize,
}

impl Convolution {
    pub(super) fn of(at: &Layer<'_>) -> Option<Self> {
        let (_, weight) = at.parameter("weight")?;
        let kernel = weight.shape.axes().get(2..)?;
        // One number, or one for each axis.
        let each = |name: &str| {
            let numbers = at.counts(name);
            kernel.iter().enumerate().map(|(axis, _)| *numbers.get(axis).or(numbers.first()).unwrap_or(&1)).collect()
        };
        let (stride, dilation): (Vec<usize>, Vec<usize>) = (each("stride"), each("dilation"));
        let sides = at.counts("padding");
        let before = |(axis, (kernel, dilation)): (usize, (&usize, &usize))| match at.is("padding", "Same") {
            true => dilation.saturating_mul(kernel.saturating_sub(1)) / 2,
            false => sides.get(2 * axis).copied().unwrap_or(0),
        };
        let padding = kernel.iter().zip(&dilation).enumerate().map(before).collect();
        Some(Self { stride, dilation, padding, groups: at.count("groups")? })
    }
}

impl Equations for Convolution {
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let (_, weight) = at.parameter("weight")?;
        let (w_axes, x_axes, y_axes) = (weight.shape.axes(), at.x_axes(0)?, at.y_axes()?);
        let (taps_axes, y_length, x_length) =
            (w_axes.get(1..)?, y_axes.iter().product::<usize>(), x_axes.iter().product::<usize>());
        let (example, y) = (index.checked_div(y_length)?, unravel(index % y_length, y_axes));
        let output = *y.first()?;
        let per_group = w_axes.first()?.checked_div(self.groups)?;
        let first = output.checked_div(per_group)? * taps_axes.first()?;
        let taps: usize = taps_axes.iter().product();
        let mut terms = Vec::new();
        for tap in 0..taps {
            let tap_at = unravel(tap, taps_axes);
            let mut x = vec![first + tap_at.first()?];
            for axis in 0..self.stride.len() {
                let (stride, dilation) = (self.stride.get(axis)?, self.dilation.get(axis)?);
                let moved = tap_at.get(axis + 1)?.saturating_mul(*dilation);
                let place = y.get(axis + 1)?.saturating_mul(*stride).saturating_add(moved);
                // Around the input there are zeros.
                match place
                    .checked_sub(*self.padding.get(axis)?)
                    .filter(|place| x_axes.get(axis + 1).is_some_and(|length| place < length))
                {
                    Some(place) => x.push(place),
                    None => break,
                }
            }
            if x.len() == x_axes.len() {
                let x = at.x(0, example * x_length + ravel(&x, x_axes))?;
                terms.push(product([x, at.theta("weight", output * taps + tap)?]));
            }
        }
        if at.has("bias") {
            terms.push(at.theta("bias", output)?);
        }
        Some(sum(terms))
    }
}
