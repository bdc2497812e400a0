use ndarray::{ArrayView2, ArrayView3, ArrayView4, ArrayViewD, ArrayViewMut2, ArrayViewMut3, ArrayViewMut4};

use crate::{Shape, ShapeError, view};

/// A read-only batch: `examples` examples of one `shape`, row-major and contiguous, example axis first.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    data: &'a [T],
    examples: usize,
    shape: Shape,
}

/// A mutable batch. A function that takes one overwrites all of it.
#[derive(Debug)]
pub struct BatchMut<'a, T> {
    data: &'a mut [T],
    examples: usize,
    shape: Shape,
}

#[inline]
fn fits(length: usize, examples: usize, shape: Shape) -> Result<(), ShapeError> {
    // Of no numbers the axes are looked at too, since views have them.
    match examples.checked_mul(shape.len()) {
        Some(expected) if expected == length && (length > 0 || countable(examples, shape)) => Ok(()),
        expected => Err(misfit(length, expected, examples, shape)),
    }
}

/// Whether a batch that may hold no numbers can be viewed with its axes.
#[cold]
fn countable(examples: usize, shape: Shape) -> bool {
    let mut axes = std::iter::once(&examples).chain(shape.axes());
    let all = axes.try_fold(1usize, |product, &axis| product.checked_mul(axis.max(1)));
    shape.check("an example").is_ok() && all.is_some_and(|all| isize::try_from(all).is_ok())
}

#[cold]
fn misfit(got: usize, expected: Option<usize>, examples: usize, shape: Shape) -> ShapeError {
    if let Err(error) = shape.check("an example of the batch") {
        return error;
    }
    ShapeError::Length {
        what: format!("a batch of {examples} examples of shape {shape}").into(),
        expected: expected.filter(|&expected| expected != got).unwrap_or(usize::MAX),
        got,
    }
}

/// The number of elements of an example from an axis on. An absent axis has length 1, so that a vector is seen as one
/// channel of height 1.
#[inline]
fn rest(shape: Shape, from: usize) -> usize {
    shape.axes().get(from..).map_or(1, |axes| axes.iter().product())
}

#[inline]
fn axis(shape: Shape, index: usize) -> usize {
    shape.axes().get(index).copied().unwrap_or(1)
}

/// (rows, features); a scalar is a row of one.
#[inline]
fn rows(examples: usize, shape: Shape) -> (usize, usize) {
    let (features, before) = shape.axes().split_last().map_or((1, &[][..]), |(&last, before)| (last, before));
    (examples * before.iter().product::<usize>(), features)
}

impl<'a, T> Batch<'a, T> {
    /// Reads `data` as `examples` examples of `shape`.
    ///
    /// # Errors
    /// Returns [`ShapeError::Length`] if `data` does not hold `examples * shape.len()` numbers, and
    /// [`ShapeError::TooLarge`] if the shape is [too large](Shape).
    #[inline]
    pub fn new(data: &'a [T], examples: usize, shape: impl Into<Shape>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        fits(data.len(), examples, shape)?;
        Ok(Self { data, examples, shape })
    }

    /// Makes a batch that is known to fit, which only builds with debug assertions check.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn trusted(data: &'a [T], examples: usize, shape: Shape) -> Self {
        debug_assert_eq!(fits(data.len(), examples, shape), Ok(()));
        Self { data, examples, shape }
    }

    /// Makes a batch whose shape is known but whose numbers are gone and must not be read.
    #[doc(hidden)]
    #[must_use]
    pub fn absent(examples: usize, shape: Shape) -> Self {
        Self { data: &[], examples, shape }
    }

    /// The number of examples.
    #[must_use]
    #[inline]
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The shape of one example.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All numbers, example after example.
    #[must_use]
    #[inline]
    pub fn slice(&self) -> &'a [T] {
        self.data
    }

    /// The numbers of one example.
    ///
    /// # Panics
    /// Panics if there is no example of this index.
    #[must_use]
    #[inline]
    pub fn example(&self, index: usize) -> &'a [T] {
        let length = self.shape.len();
        &self.data[index * length..(index + 1) * length]
    }

    /// Views the numbers as examples of another shape of equal length.
    ///
    /// # Errors
    /// As for [`new`](Batch::new).
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Result<Self, ShapeError> {
        Self::new(self.data, self.examples, shape)
    }

    /// Views the batch as an array of all axes, (examples, ...): what the `predict` of a network takes, whatever its input's shape.
    #[must_use]
    pub fn array(&self) -> ArrayViewD<'a, T> {
        let axes: Vec<usize> = std::iter::once(self.examples).chain(self.shape.axes().iter().copied()).collect();
        fitting(ArrayViewD::from_shape(axes, self.data))
    }

    /// Views the batch as (examples, features): every example flattened to a row.
    #[must_use]
    #[inline]
    pub fn matrix(&self) -> ArrayView2<'a, T> {
        view::matrix(self.data, (self.examples, self.shape.len()))
    }

    /// Views the batch as (rows, features): the last axis of the shape, and all before it flattened together with the examples.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> ArrayView2<'a, T> {
        view::matrix(self.data, rows(self.examples, self.shape))
    }

    /// Views the batch as (examples, steps, features): the first axis of the shape, then the rest flattened.
    #[must_use]
    #[inline]
    pub fn sequences(&self) -> ArrayView3<'a, T> {
        fitting(ArrayView3::from_shape((self.examples, axis(self.shape, 0), rest(self.shape, 1)), self.data))
    }

    /// Views the batch as (examples, channels, height, width); axes beyond the third are flattened into the width.
    #[must_use]
    #[inline]
    pub fn images(&self) -> ArrayView4<'a, T> {
        let shape = self.shape;
        fitting(ArrayView4::from_shape((self.examples, axis(shape, 0), axis(shape, 1), rest(shape, 2)), self.data))
    }
}

impl<'a, T> BatchMut<'a, T> {
    /// Makes a batch that is known to fit, which only builds with debug assertions check.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn trusted(data: &'a mut [T], examples: usize, shape: Shape) -> Self {
        debug_assert_eq!(fits(data.len(), examples, shape), Ok(()));
        Self { data, examples, shape }
    }

    /// Reads `data` as `examples` examples of `shape`.
    ///
    /// # Errors
    /// Returns [`ShapeError::Length`] if `data` does not hold `examples * shape.len()` numbers, and
    /// [`ShapeError::TooLarge`] if the shape is [too large](Shape).
    #[inline]
    pub fn new(data: &'a mut [T], examples: usize, shape: impl Into<Shape>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        fits(data.len(), examples, shape)?;
        Ok(Self { data, examples, shape })
    }

    /// The number of examples.
    #[must_use]
    #[inline]
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The shape of one example.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Borrows the batch read-only.
    #[must_use]
    pub fn as_batch(&self) -> Batch<'_, T> {
        Batch { data: self.data, examples: self.examples, shape: self.shape }
    }

    /// Borrows the batch for a shorter lifetime.
    #[must_use]
    pub fn reborrow(&mut self) -> BatchMut<'_, T> {
        BatchMut { data: self.data, examples: self.examples, shape: self.shape }
    }

    /// All numbers, example after example.
    #[must_use]
    #[inline]
    pub fn slice(&mut self) -> &mut [T] {
        self.data
    }

    /// The numbers of one example.
    ///
    /// # Panics
    /// Panics if there is no example of this index.
    #[must_use]
    #[inline]
    pub fn example(&mut self, index: usize) -> &mut [T] {
        let length = self.shape.len();
        &mut self.data[index * length..(index + 1) * length]
    }

    /// Views the batch as (examples, features): every example flattened to a row.
    #[must_use]
    #[inline]
    pub fn matrix(&mut self) -> ArrayViewMut2<'_, T> {
        view::matrix_mut(self.data, (self.examples, self.shape.len()))
    }

    /// Views the batch as (rows, features): the last axis of the shape, and all before it flattened together with the examples.
    #[must_use]
    #[inline]
    pub fn rows(&mut self) -> ArrayViewMut2<'_, T> {
        view::matrix_mut(self.data, rows(self.examples, self.shape))
    }

    /// Views the batch as (examples, steps, features): the first axis of the shape, then the rest flattened.
    #[must_use]
    #[inline]
    pub fn sequences(&mut self) -> ArrayViewMut3<'_, T> {
        let axes = (self.examples, axis(self.shape, 0), rest(self.shape, 1));
        fitting(ArrayViewMut3::from_shape(axes, self.data))
    }

    /// Views the batch as (examples, channels, height, width); axes beyond the third are flattened into the width.
    #[must_use]
    #[inline]
    pub fn images(&mut self) -> ArrayViewMut4<'_, T> {
        let shape = self.shape;
        let axes = (self.examples, axis(shape, 0), axis(shape, 1), rest(shape, 2));
        fitting(ArrayViewMut4::from_shape(axes, self.data))
    }
}

/// A constructor has proved that the length is the product of the axes.
#[inline]
fn fitting<V>(view: Result<V, ndarray::ShapeError>) -> V {
    match view {
        Ok(view) => view,
        Err(error) => unreachable!("a batch holds as many numbers as its shape says: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_share_one_layout() {
        let data: Vec<f32> = (0..48).map(|i| i as f32).collect();
        let batch = Batch::new(&data, 2, [2, 3, 4]).unwrap();
        assert_eq!(batch.matrix()[[1, 5]], 29.0);
        assert_eq!(batch.rows()[[7, 1]], 29.0);
        assert_eq!(batch.sequences()[[1, 0, 5]], 29.0);
        assert_eq!(batch.images()[[1, 0, 1, 1]], 29.0);
        assert_eq!(batch.array()[[1, 0, 1, 1]], 29.0);
        assert_eq!(batch.reshaped([6, 4]).unwrap().sequences()[[1, 1, 1]], 29.0);
        assert!(batch.reshaped([5]).is_err());
        assert_eq!(batch.example(1)[5], 29.0);
    }

    #[test]
    fn a_vector_is_an_image_of_one_column() {
        let data = [1.0, 2.0, 3.0, 4.0];
        let batch = Batch::new(&data, 2, [2]).unwrap();
        assert_eq!(batch.images().dim(), (2, 2, 1, 1));
        assert_eq!(batch.sequences().dim(), (2, 2, 1));
        assert_eq!(batch.rows().dim(), (2, 2));
        assert_eq!(Batch::new(&data, 4, []).unwrap().rows().dim(), (4, 1));
    }

    #[test]
    fn a_wrong_length_is_an_error_with_both_counts() {
        let error = Batch::new(&[1.0; 5], 2, [3]).unwrap_err();
        assert_eq!(error.to_string(), "a batch of 2 examples of shape 3 should hold 6 elements, but holds 5");
        assert!(Batch::<f32>::new(&[], usize::MAX, [3]).is_err());
    }

    #[test]
    fn batches_of_no_numbers_have_axes_that_can_be_counted() {
        for (examples, shape) in [(0, Shape::from([3, 4])), (5, [0].into()), (5, [2, 0, 3].into()), (0, [0].into())] {
            let batch = Batch::<f32>::new(&[], examples, shape).unwrap();
            assert!(batch.matrix().is_empty() && batch.rows().is_empty() && batch.sequences().is_empty());
            assert!(batch.images().is_empty() && batch.array().is_empty());
        }
        let refused = [
            (usize::MAX, Shape::from([3, 0])),
            (0, [usize::MAX, 2].into()),
            (1, [1 << 62, 0].into()),
            (1 << 62, [0, 3].into()),
        ];
        for (examples, shape) in refused {
            assert!(Batch::<f32>::new(&[], examples, shape).is_err(), "{examples} {shape}");
            assert!(BatchMut::<f32>::new(&mut [], examples, shape).is_err(), "{examples} {shape}");
        }
    }
}
