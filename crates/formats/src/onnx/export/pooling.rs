//! Layers that make one number of each window.

use downhill_tensor::Scalar;
use serde::Deserialize;

use super::maps::{Each, pads};
use super::place::{Place, int, ints};

type Written = Result<String, String>;

#[derive(Deserialize)]
struct Pool {
    kernel: Each,
    stride: Each,
    padding: Each,
    dilation: Option<Each>,
    #[serde(default)]
    count_include_pad: bool,
}

/// The windows along one axis.
struct Windows {
    padding: usize,
    /// The numbers by which the last window hangs over the padded end.
    over: usize,
    /// Whether rounding up gives as many windows, by ONNX's rule and by this.
    rounds_up: bool,
}

impl Pool {
    fn windows<T: Scalar>(&self, place: &Place<'_, '_, T>) -> Vec<Windows> {
        let input = place.shape(0);
        let lengths = input.axes().iter().zip(place.output.axes()).skip(1);
        let settings = self.kernel.axes().iter().zip(self.stride.axes()).zip(self.padding.axes());
        let dilations = self.dilation.iter().flat_map(Each::axes).copied().chain([1, 1]);
        let axes =
            lengths.zip(settings).zip(dilations).map(|(((&input, &count), ((&kernel, &stride), &padding)), d)| {
                let extent = kernel.saturating_sub(1) * d + 1;
                let padded = input + 2 * padding;
                let over = (count.saturating_sub(1) * stride + extent).saturating_sub(padded);
                let rounds_up = padded.saturating_sub(extent).div_ceil(stride.max(1)) + 1 == count && extent <= padded;
                Windows { padding, over, rounds_up }
            });
        axes.collect()
    }

    fn attributes(&self, padding: &[[usize; 2]], ceil_mode: bool) -> Vec<super::place::Attribute> {
        let mut attributes = vec![
            ints("kernel_shape", self.kernel.axes().to_vec()),
            ints("strides", self.stride.axes().to_vec()),
            pads(padding),
        ];
        if let Some(dilation) = &self.dilation {
            attributes.push(ints("dilations", dilation.axes().to_vec()));
        }
        if ceil_mode {
            attributes.push(int("ceil_mode", 1));
        }
        attributes
    }
}

/// Puts a number around the axes behind the channels.
pub(super) fn pad<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, sides: &[[usize; 2]], number: f64) -> String {
    let ends = |end: usize| [0; 2].into_iter().chain(sides.iter().filter_map(move |side| side.get(end)).copied());
    let pads: Vec<i64> = ends(0).chain(ends(1)).map(|count| count as i64).collect();
    let (pads, number) = (place.whole("pads", &pads), place.scalar(number));
    place.node("Pad", &[x, &pads, &number], [])
}

pub(super) fn max<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (pool, mut x): (Pool, _) = (place.read()?, place.input(0));
    let windows = pool.windows(place);
    let hangs_over = windows.iter().any(|axis| axis.over > 0);
    let ceil_mode = hangs_over && windows.iter().all(|axis| axis.rounds_up);
    let mut sides: Vec<[usize; 2]> = windows.iter().map(|axis| [axis.padding; 2]).collect();
    if hangs_over && !ceil_mode {
        // −∞ behind the end is never the largest.
        sides = windows.iter().map(|axis| [axis.padding, axis.padding + axis.over]).collect();
        x = pad(place, &x, &sides, f64::NEG_INFINITY);
        sides = vec![[0; 2]; windows.len()];
    }
    let attributes = pool.attributes(&sides, ceil_mode);
    Ok(place.node("MaxPool", &[&x], attributes))
}

pub(super) fn average<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (pool, mut x): (Pool, _) = (place.read()?, place.input(0));
    let windows = pool.windows(place);
    let hangs_over = windows.iter().any(|axis| axis.over > 0);
    let padded = windows.iter().any(|axis| axis.padding > 0);
    let mut sides: Vec<[usize; 2]> = windows.iter().map(|axis| [axis.padding; 2]).collect();
    let mut counts_padding = pool.count_include_pad && padded;
    if hangs_over && counts_padding {
        // The padding counts, what is beyond it does not: runtimes differ here, so the zeros are put there before.
        x = pad(place, &x, &sides, 0.0);
        sides = vec![[0; 2]; windows.len()];
        counts_padding = false;
    }
    let ceil_mode = hangs_over && windows.iter().all(|axis| axis.rounds_up);
    if hangs_over && !ceil_mode {
        let hang = windows.iter().zip(&sides);
        sides = hang.map(|(axis, &[before, behind])| [before, behind + axis.over]).collect();
    }
    let mut attributes = pool.attributes(&sides, ceil_mode);
    attributes.push(int("count_include_pad", counts_padding.into()));
    Ok(place.node("AveragePool", &[&x], attributes))
}

pub(super) fn global<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (x, rank) = (place.input(0), place.shape(0).rank());
    if rank > 4 {
        // Runtimes pool over three axes at most.
        let axes: Vec<i64> = (2..=rank as i64).collect();
        return Ok(place.reduce("ReduceMean", &x, &axes, false));
    }
    let y = place.unary("GlobalAveragePool", &x);
    Ok(place.node("Flatten", &[&y], [int("axis", 1)]))
}

pub(super) fn adaptive<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let mut x = place.input(0);
    let (input, output) = (place.shape(0), place.output);
    let lengths: Vec<(usize, usize)> =
        input.axes().iter().copied().zip(output.axes().iter().copied()).skip(1).collect();
    if lengths.iter().all(|(input, output)| input.is_multiple_of(*output)) {
        let kernel = || lengths.iter().map(|(input, output)| input / output);
        return Ok(place.node("AveragePool", &[&x], [ints("kernel_shape", kernel()), ints("strides", kernel())]));
    }
    for (axis, &(input, output)) in lengths.iter().enumerate() {
        let means: Vec<Vec<(usize, f64)>> = (0..output)
            .map(|index| {
                let held = index * input / output..((index + 1) * input).div_ceil(output);
                let share = 1.0 / held.len() as f64;
                held.map(|place| (place, share)).collect()
            })
            .collect();
        x = mix(place, &x, lengths.len() - 1 - axis, input, &means);
    }
    Ok(x)
}

/// Sums of an axis's numbers with weights: each output names the places it is made of. The axis is the last one, or the
/// one before it.
pub(super) fn mix<T: Scalar>(
    place: &mut Place<'_, '_, T>,
    x: &str,
    from_end: usize,
    input: usize,
    outputs: &[Vec<(usize, f64)>],
) -> String {
    let mut weights = vec![0.0; input * outputs.len()];
    for (output, terms) in outputs.iter().enumerate() {
        for &(term, weight) in terms {
            let at = if from_end == 0 { term * outputs.len() + output } else { output * input + term };
            weights.get_mut(at).into_iter().for_each(|sum| *sum += weight);
        }
    }
    let weights = weights.into_iter().map(T::from_f64).collect();
    if from_end == 0 {
        let weights = place.constant("columns", &[input, outputs.len()], weights);
        place.binary("MatMul", x, &weights)
    } else {
        let weights = place.constant("rows", &[outputs.len(), input], weights);
        place.binary("MatMul", &weights, x)
    }
}
