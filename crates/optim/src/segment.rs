use std::ops::Range;

use downhill_tensor::Shape;

/// A named stretch of θ: one parameter of a network, or any other part of a vector worth a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Segment {
    /// The dotted name, as `0.weight`.
    pub name: String,
    /// Where it lies in θ.
    pub range: Range<usize>,
    /// Its shape in memory, row-major.
    pub shape: Shape,
    /// Whether other frameworks name and save it with its two axes swapped, as an affine layer's weight:
    /// (in, out) in memory, (out, in) by convention.
    pub transposed: bool,
    /// Whether no optimizer steps it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub frozen: bool,
}
