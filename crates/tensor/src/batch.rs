use ndarray::{ArrayView2, ArrayView3, ArrayView4, ArrayViewMut2, ArrayViewMut3, ArrayViewMut4};

use crate::{Shape, ShapeError, view};

/// A read-only batch: `examples` examples of one `shape`, row-major and contiguous, example axis first.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    data: &'a [T],
    examples: usize,
    shape: Shape,
}

/// A batch to be written. Who is handed one overwrites all of it.
#[derive(Debug)]
pub struct BatchMut<'a, T> {
    data: &'a mut [T],
    examples: usize,
    shape: Shape,
}

#[inline]
fn fits(length: usize, examples: usize, shape: Shape) -> Result<(), ShapeError> {
    match examples.checked_mul(shape.len()) {
        Some(expected) if expected == length => Ok(()),
        expected => Err(misfit(length, expected, examples, shape)),
    }
}

#[cold]
fn misfit(got: usize, expected: Option<usize>, examples: usize, shape: Shape) -> ShapeError {
    ShapeError::Length {
        what: format!("a batch of {examples} examples of shape {shape}").into(),
        expected: expected.unwrap_or(usize::MAX),
        got,
    }
}

/// Where an axis is absent its length is 1, so that a vector is seen as one channel of height 1.
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
    /// [`ShapeError::Length`] where `data` does not hold `examples * shape.len()` numbers.
    #[inline]
    pub fn new(data: &'a [T], examples: usize, shape: impl Into<Shape>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        fits(data.len(), examples, shape)?;
        Ok(Self { data, examples, shape })
    }

    /// A batch whose shape is known but whose numbers are gone: nobody may read them.
    #[doc(hidden)]
    #[must_use]
    pub fn gone(examples: usize, shape: Shape) -> Self {
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
    #[must_use]
    #[inline]
    pub fn example(&self, index: usize) -> &'a [T] {
        let length = self.shape.len();
        &self.data[index * length..(index + 1) * length]
    }

    /// As (examples, features): every example flattened to a row.
    #[must_use]
    #[inline]
    pub fn matrix(&self) -> ArrayView2<'a, T> {
        view::matrix(self.data, (self.examples, self.shape.len()))
    }

    /// As (rows, features): the last axis of the shape, and all before it flattened together with the examples.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> ArrayView2<'a, T> {
        view::matrix(self.data, rows(self.examples, self.shape))
    }

    /// As (examples, steps, features): the first axis of the shape, then the rest flattened.
    #[must_use]
    #[inline]
    pub fn sequences(&self) -> ArrayView3<'a, T> {
        fitting(ArrayView3::from_shape((self.examples, axis(self.shape, 0), rest(self.shape, 1)), self.data))
    }

    /// As (examples, channels, height, width); axes beyond the third are flattened into the width.
    #[must_use]
    #[inline]
    pub fn images(&self) -> ArrayView4<'a, T> {
        let shape = self.shape;
        fitting(ArrayView4::from_shape((self.examples, axis(shape, 0), axis(shape, 1), rest(shape, 2)), self.data))
    }
}

impl<'a, T> BatchMut<'a, T> {
    /// Sees `data` as `examples` examples of `shape`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] where `data` does not hold `examples * shape.len()` numbers.
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

    /// The same batch, read-only.
    #[must_use]
    pub fn as_batch(&self) -> Batch<'_, T> {
        Batch { data: self.data, examples: self.examples, shape: self.shape }
    }

    /// The same batch for a shorter while.
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
    #[must_use]
    #[inline]
    pub fn example(&mut self, index: usize) -> &mut [T] {
        let length = self.shape.len();
        &mut self.data[index * length..(index + 1) * length]
    }

    /// As (examples, features): every example flattened to a row.
    #[must_use]
    #[inline]
    pub fn matrix(&mut self) -> ArrayViewMut2<'_, T> {
        view::matrix_mut(self.data, (self.examples, self.shape.len()))
    }

    /// As (rows, features): the last axis of the shape, and all before it flattened together with the examples.
    #[must_use]
    #[inline]
    pub fn rows(&mut self) -> ArrayViewMut2<'_, T> {
        view::matrix_mut(self.data, rows(self.examples, self.shape))
    }

    /// As (examples, steps, features): the first axis of the shape, then the rest flattened.
    #[must_use]
    #[inline]
    pub fn sequences(&mut self) -> ArrayViewMut3<'_, T> {
        let axes = (self.examples, axis(self.shape, 0), rest(self.shape, 1));
        fitting(ArrayViewMut3::from_shape(axes, self.data))
    }

    /// As (examples, channels, height, width); axes beyond the third are flattened into the width.
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
}
