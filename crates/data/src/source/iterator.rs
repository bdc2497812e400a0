use std::fmt;

use downhill_tensor::Scalar;

use super::{Example, ExampleLayout, Rows, Source};
use crate::DataError;

/// A source of what an iterator yields; a closure makes one for each epoch.
///
/// ```
/// use downhill_data::source::{Example, ExampleLayout, IteratorSource, SourceBatches};
///
/// let squares = || (0..1000).map(|x| Ok(Example::values([f64::from(x)], [f64::from(x * x)])));
/// let source = IteratorSource::new(ExampleLayout::values([1], [1]), squares);
/// let mut batches = SourceBatches::sequential(source, 3)?;
/// assert_eq!(batches.next_batch()?.map(|batch| batch.inputs.slice().to_vec()), Some(vec![0.0, 1.0, 2.0]));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
pub struct IteratorSource<F, I> {
    layout: ExampleLayout,
    make: F,
    /// `None` at the start of an epoch.
    iterator: Option<I>,
}

impl<F, I> fmt::Debug for IteratorSource<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IteratorSource").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl<F: FnMut() -> I, I> IteratorSource<F, I> {
    /// Reads examples of this layout from iterators that `make` makes, each of which must yield the same examples.
    #[must_use]
    pub fn new(layout: ExampleLayout, make: F) -> Self {
        Self { layout, make, iterator: None }
    }
}

impl<T, F, I> Source<T> for IteratorSource<F, I>
where
    T: Scalar,
    F: FnMut() -> I + Send,
    I: Iterator<Item = Result<Example<T>, DataError>> + Send,
{
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.iterator = None;
        Ok(())
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        for example in self.iterator.get_or_insert_with(&mut self.make).take(most) {
            example?.push_to(rows)?;
        }
        Ok(())
    }
}
