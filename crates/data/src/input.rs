use downhill_tensor::{Batch, Shape};

/// Numbers that a model reads: some of one shape for each example, example after example.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input<T> {
    pub(crate) values: Vec<T>,
    pub(crate) shape: Shape,
}

impl<T: Copy> Input<T> {
    /// Makes an empty input of this shape with memory for a number of examples.
    pub(crate) fn with_capacity_for(&self, examples: usize) -> Self {
        Self { values: Vec::with_capacity(examples * self.shape.len()), shape: self.shape }
    }

    /// Overwrites `out`, which has the same shape, with the examples at `indices`.
    pub(crate) fn gather_into(&self, indices: &[usize], out: &mut Self) {
        out.values.clear();
        gather_into(&self.values, self.shape.len(), indices, &mut out.values);
    }

    /// Copies the examples at `indices`.
    pub(crate) fn gathered(&self, indices: &[usize]) -> Self {
        Self { values: gathered(&self.values, self.shape.len(), indices), shape: self.shape }
    }
}

impl<T> Input<T> {
    /// Returns `count` examples from `start` on, which must exist.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Batch<'_, T> {
        let each = self.shape.len();
        batch(self.values.get(start * each..(start + count) * each).unwrap_or_default(), count, self.shape)
    }
}

/// Appends the runs of `each` numbers that `indices` name, which lie within `source`.
pub(crate) fn gather_into<E: Copy>(source: &[E], each: usize, indices: &[usize], out: &mut Vec<E>) {
    for &index in indices {
        out.extend_from_slice(source.get(index * each..(index + 1) * each).unwrap_or_default());
    }
}

/// Copies the runs of `each` numbers that `indices` name, which lie within `source`.
pub(crate) fn gathered<E: Copy>(source: &[E], each: usize, indices: &[usize]) -> Vec<E> {
    let mut out = Vec::with_capacity(indices.len() * each);
    gather_into(source, each, indices, &mut out);
    out
}

/// Makes a batch; the caller has as many numbers as examples and shape say.
pub(crate) fn batch<T>(data: &[T], examples: usize, shape: Shape) -> Batch<'_, T> {
    match Batch::new(data, examples, shape) {
        Ok(batch) => batch,
        Err(error) => unreachable!("a data set holds as many numbers as its shapes say: {error}"),
    }
}
