//! Named arrays that lie one after the other in one flat slice: parameters, running statistics, what a layer keeps for
//! the backward pass, and scratch space.

use std::array::from_fn;
use std::borrow::Cow;
use std::mem::take;
use std::ops::Range;

use downhill_tensor::{Shape, view};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Whether a declared array exists once, or once for each example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One array of its shape for the whole batch.
    PerBatch,
    /// One array of its shape for each example; the example is the outermost axis.
    PerExample,
}

/// A number of elements that grows with the number of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    per_batch: usize,
    per_example: usize,
}

impl Count {
    /// The number for a batch that is known to fit in memory.
    #[inline]
    fn of(self, examples: usize) -> usize {
        self.per_example * examples + self.per_batch
    }
}

/// An array that a layer declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    name: Cow<'static, str>,
    shape: Shape,
    extent: Extent,
    start: Count,
    /// As a matrix: all axes but the last flattened, and the last.
    rows: usize,
    columns: usize,
}

impl Declaration {
    /// The name, such as `mean`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape in memory, row-major.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns whether the array exists once or for each example.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The number of elements for a batch of `examples`.
    #[must_use]
    #[inline]
    pub fn len(&self, examples: usize) -> usize {
        match self.extent {
            Extent::PerBatch => self.shape.len(),
            Extent::PerExample => self.shape.len().saturating_mul(examples),
        }
    }
}

/// Declared arrays in the order in which they lie in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    arrays: Vec<Declaration>,
    end: Count,
}

static EMPTY: Layout = Layout::new();

impl Layout {
    /// Creates a layout without arrays.
    #[must_use]
    pub const fn new() -> Self {
        Self { arrays: Vec::new(), end: Count { per_batch: 0, per_example: 0 } }
    }

    /// Declares one more array, which begins where the last one ends.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, shape: impl Into<Shape>, extent: Extent) {
        let (start, shape) = (self.end, shape.into());
        let end = match extent {
            Extent::PerBatch => &mut self.end.per_batch,
            Extent::PerExample => &mut self.end.per_example,
        };
        *end = end.saturating_add(shape.len());
        let (columns, rows) = shape.axes().split_last().map_or((1, &[][..]), |(columns, rows)| (*columns, rows));
        let rows = rows.iter().fold(1, |product: usize, &axis| product.saturating_mul(axis));
        self.arrays.push(Declaration { name: name.into(), shape, extent, start, rows, columns });
    }

    /// The declared arrays.
    #[must_use]
    pub fn arrays(&self) -> &[Declaration] {
        &self.arrays
    }

    /// The number of elements in all for a batch of `examples`; `usize::MAX` if they can't be counted.
    #[must_use]
    #[inline]
    pub fn len(&self, examples: usize) -> usize {
        self.end.per_example.saturating_mul(examples).saturating_add(self.end.per_batch)
    }

    /// Returns whether no array is declared.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The range of array `index` in the flat slice.
    #[inline]
    pub(crate) fn range(&self, index: usize, examples: usize) -> Range<usize> {
        let array = &self.arrays[index];
        let start = array.start.of(examples);
        let len = array.shape.len();
        start..start + if array.extent == Extent::PerExample { len * examples } else { len }
    }

    /// The rows and columns of array `index`: its last axis, and all before it flattened.
    #[inline]
    fn matrix(&self, index: usize, examples: usize) -> (usize, usize) {
        let &Declaration { extent, rows, columns, .. } = &self.arrays[index];
        (if extent == Extent::PerExample { rows * examples } else { rows }, columns)
    }
}

/// A flat slice read as the arrays of a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Arrays<'a, T> {
    flat: &'a [T],
    layout: &'a Layout,
    examples: usize,
}

/// A mutable flat slice read and written as the arrays of a [`Layout`].
#[derive(Debug)]
pub struct ArraysMut<'a, T> {
    flat: &'a mut [T],
    layout: &'a Layout,
    examples: usize,
}

const FITS: &str = "the flat slice holds as many numbers as its layout says";

impl<'a, T> Arrays<'a, T> {
    /// Reads `flat` as the arrays of `layout` for a batch of `examples`. The lengths must be equal, which only builds
    /// with debug assertions check.
    #[must_use]
    #[inline]
    pub fn new(flat: &'a [T], layout: &'a Layout, examples: usize) -> Self {
        debug_assert_eq!(flat.len(), layout.len(examples), "{FITS}");
        Self { flat, layout, examples }
    }

    /// Creates a view of no arrays.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(&[], &EMPTY, 0)
    }

    /// The number of examples in the batch.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The numbers of array `index`.
    #[must_use]
    #[inline]
    pub fn vector(&self, index: usize) -> &'a [T] {
        &self.flat[self.layout.range(index, self.examples)]
    }

    /// Array `index` as a matrix: its last axis, and all axes before it flattened.
    #[must_use]
    #[inline]
    pub fn matrix(&self, index: usize) -> ArrayView2<'a, T> {
        view::matrix(self.vector(index), self.layout.matrix(index, self.examples))
    }

    /// The numbers of the first `N` arrays, by pattern: `let [mean, variance] = pass.saved.vectors();`
    #[must_use]
    #[inline]
    pub fn vectors<const N: usize>(&self) -> [&'a [T]; N] {
        from_fn(|index| self.vector(index))
    }
}

impl<'a, T> ArraysMut<'a, T> {
    /// Reads `flat` as the arrays of `layout` for a batch of `examples`. The lengths must be equal, which only builds
    /// with debug assertions check.
    #[must_use]
    #[inline]
    pub fn new(flat: &'a mut [T], layout: &'a Layout, examples: usize) -> Self {
        debug_assert_eq!(flat.len(), layout.len(examples), "{FITS}");
        Self { flat, layout, examples }
    }

    /// Creates a view of no arrays.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(&mut [], &EMPTY, 0)
    }

    /// The arrays for reading.
    #[must_use]
    #[inline]
    pub fn as_arrays(&self) -> Arrays<'_, T> {
        Arrays { flat: self.flat, layout: self.layout, examples: self.examples }
    }

    /// The numbers of array `index`.
    #[must_use]
    #[inline]
    pub fn vector(&mut self, index: usize) -> &mut [T] {
        &mut self.flat[self.layout.range(index, self.examples)]
    }

    /// Array `index` as a matrix: its last axis, and all axes before it flattened.
    #[must_use]
    #[inline]
    pub fn matrix(&mut self, index: usize) -> ArrayViewMut2<'_, T> {
        let shape = self.layout.matrix(index, self.examples);
        view::matrix_mut(self.vector(index), shape)
    }

    /// The numbers of the first `N` arrays, disjoint, by pattern: `let [scale, shift] = pass.scratch.vectors();`
    #[must_use]
    #[inline]
    pub fn vectors<const N: usize>(&mut self) -> [&mut [T]; N] {
        self.vectors_from(0)
    }

    /// The numbers of `N` arrays from array `first` on, disjoint.
    #[must_use]
    #[inline]
    pub fn vectors_from<const N: usize>(&mut self, first: usize) -> [&mut [T]; N] {
        let (layout, examples) = (self.layout, self.examples);
        let mut rest = &mut self.flat[layout.arrays.get(first).map_or(0, |array| array.start.of(examples))..];
        from_fn(|index| {
            let (array, after) = take(&mut rest).split_at_mut(layout.arrays[first + index].len(examples));
            rest = after;
            array
        })
    }

    /// The numbers of a layer's weight, and those of its bias if it has one: the first two arrays.
    #[must_use]
    #[inline]
    pub fn weight_and_bias(&mut self, has_bias: bool) -> (&mut [T], Option<&mut [T]>) {
        if has_bias {
            let [weight, bias] = self.vectors();
            (weight, Some(bias))
        } else {
            (self.vector(0), None)
        }
    }
}
