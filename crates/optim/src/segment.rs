use std::ops::Range;

use downhill_tensor::Shape;

/// A named slice of θ: one parameter of a network, or any other part of a vector worth a name.
///
/// ```
/// use downhill_optim::Segment;
/// let weight = Segment::new("0.weight", 0..6, [2, 3]).transposed(true);
/// assert!(!weight.frozen);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Segment {
    /// The dotted name, such as `0.weight`.
    pub name: String,
    /// The elements of θ that belong to it.
    pub range: Range<usize>,
    /// Its shape in memory, row-major.
    pub shape: Shape,
    /// Whether other frameworks name and save it with its two axes swapped, like an affine layer's weight:
    /// (in, out) in memory, (out, in) by convention.
    pub transposed: bool,
    /// Whether no optimizer steps it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub frozen: bool,
}

impl Segment {
    /// Creates a segment that is neither transposed nor frozen.
    #[must_use]
    pub fn new(name: impl Into<String>, range: Range<usize>, shape: impl Into<Shape>) -> Self {
        Self { name: name.into(), range, shape: shape.into(), transposed: false, frozen: false }
    }

    setters! {
        /// Sets whether other frameworks swap its two axes.
        transposed: bool;
        /// Sets whether no optimizer steps it.
        frozen: bool;
    }
}
