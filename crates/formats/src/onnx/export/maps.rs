//! Layers that are linear in x.

use downhill_layers::{Padding, Pair};
use downhill_tensor::Scalar;
use serde::Deserialize;

use super::place::{Place, int, ints, text};

type Written = Result<String, String>;

#[derive(Deserialize)]
struct Biased {
    bias: bool,
}

pub(super) fn affine<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let Biased { bias } = place.read()?;
    let (x, weight) = (place.input(0), place.parameter("weight")?);
    if place.shape(0).rank() == 1 {
        let transposed = [int("transB", 1)];
        return Ok(if bias {
            let bias = place.parameter("bias")?;
            place.node("Gemm", &[&x, &weight, &bias], transposed)
        } else {
            place.node("Gemm", &[&x, &weight], transposed)
        });
    }
    map(place, &x, &weight, bias.then_some("bias"))
}

/// x Wᵀ + b for every vector along the last axis.
pub(super) fn map<T: Scalar>(place: &mut Place<'_, '_, T>, x: &str, weight: &str, bias: Option<&str>) -> Written {
    let weight = place.transpose(weight, [1, 0]);
    let y = place.binary("MatMul", x, &weight);
    Ok(match bias {
        Some(bias) => {
            let bias = place.parameter(bias)?;
            place.binary("Add", &y, &bias)
        }
        None => y,
    })
}

pub(super) fn bilinear<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let Biased { bias } = place.read()?;
    let (u, v, weight) = (place.input(0), place.input(1), place.parameter("weight")?);
    let y = place.node("Einsum", &[&u, &weight, &v], [text("equation", "bi,kij,bj->bk")]);
    Ok(if bias {
        let bias = place.parameter("bias")?;
        place.binary("Add", &y, &bias)
    } else {
        y
    })
}

/// A number for each axis: one-dimensional layers have a number, two-dimensional ones two.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Each {
    One(usize),
    Two([usize; 2]),
}

impl Each {
    pub(super) fn axes(&self) -> &[usize] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Two(two) => two,
        }
    }
}

#[derive(Deserialize)]
struct Convolution {
    kernel: Each,
    stride: Each,
    padding: Sides,
    dilation: Each,
    groups: usize,
    bias: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sides {
    One(Padding<[usize; 2]>),
    Two(Padding<[[usize; 2]; 2]>),
}

pub(super) fn convolution<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let Convolution { kernel, stride, padding, dilation, groups, bias } = place.read()?;
    let same = kernel.axes().iter().zip(dilation.axes()).map(|(kernel, dilation)| {
        let around = kernel.saturating_sub(1) * dilation;
        [around / 2, around.div_ceil(2)]
    });
    let sides: Vec<[usize; 2]> = match padding {
        Sides::One(Padding::Sides(sides)) => vec![sides],
        Sides::Two(Padding::Sides(sides)) => sides.to_vec(),
        _ => same.collect(),
    };
    let attributes = vec![
        ints("kernel_shape", kernel.axes().to_vec()),
        ints("strides", stride.axes().to_vec()),
        pads(&sides),
        ints("dilations", dilation.axes().to_vec()),
        int("group", groups),
    ];
    convolve(place, "Conv", attributes, bias)
}

/// Numbers before and after each axis, in the order of ONNX: all before, then all after.
pub(super) fn pads(sides: &[[usize; 2]]) -> super::place::Attribute {
    ints("pads", [0, 1].into_iter().flat_map(|end| sides.iter().filter_map(move |side| side.get(end).copied())))
}

fn convolve<T: Scalar>(
    place: &mut Place<'_, '_, T>,
    operator: &str,
    attributes: Vec<super::place::Attribute>,
    bias: bool,
) -> Written {
    let (x, weight) = (place.input(0), place.parameter("weight")?);
    Ok(if bias {
        let bias = place.parameter("bias")?;
        place.node(operator, &[&x, &weight, &bias], attributes)
    } else {
        place.node(operator, &[&x, &weight], attributes)
    })
}

#[derive(Deserialize)]
struct TransposedConvolution {
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: usize,
    bias: bool,
}

pub(super) fn transposed_convolution<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let TransposedConvolution { kernel, stride, padding, output_padding, dilation, groups, bias } = place.read()?;
    let attributes = vec![
        ints("kernel_shape", kernel.0),
        ints("strides", stride.0),
        pads(&padding.0.map(|padding| [padding; 2])),
        ints("output_padding", output_padding.0),
        ints("dilations", dilation.0),
        int("group", groups),
    ];
    convolve(place, "ConvTranspose", attributes, bias)
}

pub(super) fn embedding<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (places, table) = (place.whole_input(0), place.parameter("weight")?);
    Ok(place.node("Gather", &[&table, &places], [int("axis", 0)]))
}

pub(super) fn scale<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (x, factor) = (place.input(0), place.parameter("weight")?);
    Ok(place.binary("Mul", &x, &factor))
}
