//! Layers that make sequences and images longer.

use downhill_layers::{Interpolation, PadMode};
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::place::{Place, int, ints, is_double, text};
use super::pooling::mix;

type Written = Result<String, String>;

#[derive(Deserialize)]
struct Pad {
    rows: [usize; 2],
    columns: [usize; 2],
    mode: PadMode,
}

pub(super) fn pad<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Pad { rows, columns, mode }, mut x): (Pad, _) = (place.read()?, place.input(0));
    let rank = place.shape(0).rank();
    let mut sides = vec![[0; 2]; rank + 1];
    // Rows that are not padded need not be there.
    for (side, ends) in sides.iter_mut().skip(1).rev().zip([columns, rows]) {
        *side = ends;
    }
    let mode = match mode {
        PadMode::Constant(_) => "constant",
        PadMode::Reflect => "reflect",
        PadMode::Replicate => "edge",
        PadMode::Circular => {
            for (axis, ends) in sides.into_iter().enumerate().filter(|(_, ends)| *ends != [0; 2]) {
                x = wrap(place, &x, axis, ends);
            }
            return Ok(x);
        }
    };
    let ends = |end: usize| sides.iter().filter_map(move |side| side.get(end)).map(|&count| count as i64);
    let pads: Vec<i64> = ends(0).chain(ends(1)).collect();
    let pads = place.whole("pads", &pads);
    let mut inputs = vec![x, pads];
    if let PadMode::Constant(number) = place.read::<Pad>()?.mode {
        inputs.push(place.scalar(number));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Ok(place.node("Pad", &inputs, [text("mode", mode)]))
}

/// Puts the numbers of the other end of an axis, counted with the batch, before and behind it.
fn wrap<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, axis: usize, [before, behind]: [usize; 2]) -> String {
    let length = place.shape(0).axes().get(axis - 1).copied().unwrap_or(0);
    let mut part = |start: usize, end: usize| {
        let (starts, ends) = (place.whole("starts", &[start as i64]), place.whole("ends", &[end as i64]));
        let axes = place.whole("axes", &[axis as i64]);
        place.node("Slice", &[x, &starts, &ends, &axes], [])
    };
    let mut parts = Vec::new();
    if before > 0 {
        parts.push(part(length - before, length));
    }
    parts.push(x.to_owned());
    if behind > 0 {
        parts.push(part(0, behind));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.node("Concat", &parts, [int("axis", axis)])
}

#[derive(Deserialize)]
struct Upsample {
    target: Target,
    interpolation: Interpolation,
}

#[derive(Deserialize)]
enum Target {
    Factor([f64; 2]),
    Size([usize; 2]),
}

/// The places, with their weights, that each number of an axis of y is made of.
type Terms = Vec<Vec<(usize, f64)>>;

pub(super) fn upsample<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (upsample, mut x): (Upsample, _) = (place.read()?, place.input(0));
    let (input, output) = (place.shape(0), place.output);
    let lengths = || input.axes().iter().copied().zip(output.axes().iter().copied()).skip(1);
    let axes = || lengths().enumerate();
    let ours: Vec<Terms> = axes().map(|(axis, lengths)| upsample.terms(axis, lengths)).collect();
    let theirs = axes().map(|(axis, lengths)| upsample.terms_of_operator(axis, lengths));
    // The operator computes with 32-bit scales.
    let alike =
        !is_double::<T>() && ours.iter().zip(theirs).all(|(ours, theirs)| theirs.is_some_and(|t| alike(ours, &t)));
    if !alike {
        for (axis, ((length, _), terms)) in lengths().zip(&ours).enumerate() {
            x = match upsample.interpolation {
                Interpolation::Nearest => {
                    let places: Vec<i64> = terms.iter().flatten().map(|&(place, _)| place as i64).collect();
                    let places = place.whole("places", &places);
                    place.node("Gather", &[&x, &places], [int("axis", axis + 2)])
                }
                _ => mix(place, &x, 1 - axis.min(1), length, terms),
            };
        }
        return Ok(x);
    }
    let (mode, coordinates) = match upsample.interpolation {
        Interpolation::Nearest => ("nearest", "asymmetric"),
        Interpolation::Bilinear => ("linear", "half_pixel"),
        _ => ("linear", "align_corners"),
    };
    let mut attributes = vec![text("mode", mode), text("coordinate_transformation_mode", coordinates)];
    if mode == "nearest" {
        attributes.push(text("nearest_mode", "floor"));
    }
    Ok(match upsample.target {
        Target::Factor([rows, columns]) => {
            let scales = place.floats("scales", &[1.0, 1.0, rows as f32, columns as f32]);
            place.node("Resize", &[&x, "", &scales], attributes)
        }
        Target::Size(size) => {
            let sizes = place.whole("sizes", &size.map(|length| length as i64));
            attributes.push(ints("axes", [2, 3]));
            place.node("Resize", &[&x, "", "", &sizes], attributes)
        }
    })
}

/// Whether two interpolations give numbers that differ by rounding alone.
fn alike(ours: &Terms, theirs: &Terms) -> bool {
    let weight = |terms: &[(usize, f64)], place| -> f64 {
        terms.iter().filter(|(other, _)| *other == place).map(|(_, weight)| weight).sum()
    };
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(ours, theirs)| {
            let places = || ours.iter().chain(theirs).map(|&(place, _)| place);
            places().all(|place| (weight(ours, place) - weight(theirs, place)).abs() < 1e-6)
        })
}

impl Upsample {
    /// What the layer computes.
    fn terms(&self, axis: usize, (input, output): (usize, usize)) -> Terms {
        let aligned = self.interpolation == Interpolation::BilinearAlignedCorners;
        let step = match self.target {
            _ if aligned && output == 1 => 0.0,
            _ if aligned => (input - 1) as f64 / (output - 1) as f64,
            Target::Factor(factor) => 1.0 / factor.get(axis).copied().unwrap_or(1.0),
            Target::Size(_) => input as f64 / output as f64,
        };
        let nearest = |place: usize| match output {
            _ if output == input => place,
            _ if output == 2 * input => place / 2,
            _ => ((place as f32 * step as f32) as usize).min(input - 1),
        };
        let lines = |place: usize| {
            if output == input {
                return vec![(place, 1.0)];
            }
            let at = if aligned { step * place as f64 } else { step * (place as f64 + 0.5) - 0.5 };
            between(at, input)
        };
        let term = |place| match self.interpolation {
            Interpolation::Nearest => vec![(nearest(place), 1.0)],
            _ => lines(place),
        };
        (0..output).map(term).collect()
    }

    /// What the operator `Resize` computes, in its 32-bit numbers; `None` if it would give another length.
    fn terms_of_operator(&self, axis: usize, (input, output): (usize, usize)) -> Option<Terms> {
        let scale = match self.target {
            Target::Factor(factor) => *factor.get(axis)? as f32,
            Target::Size(_) => output as f32 / input as f32,
        };
        if matches!(self.target, Target::Factor(_)) && (input as f32 * scale).floor() as usize != output {
            return None;
        }
        let term = |place: usize| match self.interpolation {
            Interpolation::Nearest => vec![(((place as f32 / scale) as usize).min(input - 1), 1.0)],
            Interpolation::Bilinear => between(f64::from((place as f32 + 0.5) / scale - 0.5), input),
            _ if output == 1 => vec![(0, 1.0)],
            _ => between(f64::from((place as f32) * (input - 1) as f32 / (output - 1) as f32), input),
        };
        Some((0..output).map(term).collect())
    }
}

/// The neighbours of a place between numbers, with their weights.
fn between(at: f64, input: usize) -> Vec<(usize, f64)> {
    let at = at.clamp(0.0, (input - 1) as f64);
    let (first, weight) = (at as usize, at.fract());
    vec![(first, 1.0 - weight), ((first + 1).min(input - 1), weight)]
}
