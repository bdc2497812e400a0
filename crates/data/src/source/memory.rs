use std::borrow::Borrow;
use std::marker::PhantomData;

use downhill_tensor::Scalar;

use super::{ExampleLayout, Rows, Source};
use crate::input::gather_into;
use crate::{DataError, Dataset, Targets};

/// A source that is a [`Dataset`] in memory: owned, borrowed or shared (`Arc<Dataset<T>>`).
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_data::source::{InMemory, SourceBatches};
///
/// let data = Dataset::new(vec![1.0, 2.0, 3.0], [1], vec![0, 1, 0])?;
/// let mut batches = SourceBatches::sequential(InMemory::new(&data), 2)?;
/// assert_eq!(batches.next_batch()?.map(|batch| batch.inputs.slice().to_vec()), Some(vec![1.0, 2.0]));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct InMemory<D, T> {
    dataset: D,
    layout: ExampleLayout,
    next: usize,
    /// The data set's precision, which `D` does not tell.
    precision: PhantomData<fn() -> T>,
}

impl<T: Scalar, D: Borrow<Dataset<T>>> InMemory<D, T> {
    /// Reads the examples of a data set.
    #[must_use]
    pub fn new(dataset: D) -> Self {
        let layout = ExampleLayout::from_dataset(dataset.borrow());
        Self { dataset, layout, next: 0, precision: PhantomData }
    }
}

impl<T: Scalar, D: Borrow<Dataset<T>> + Send> Source<T> for InMemory<D, T> {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn examples(&self) -> Option<u64> {
        Some(self.dataset.borrow().len() as u64)
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.next = 0;
        Ok(())
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        let end = self.next.saturating_add(most).min(self.dataset.borrow().len());
        let places: Vec<usize> = (self.next..end).collect();
        self.next = end;
        self.read_at(&places, rows)
    }

    fn is_addressable(&self) -> bool {
        true
    }

    fn read_at(&mut self, places: &[usize], rows: &mut Rows<T>) -> Result<(), DataError> {
        let dataset = self.dataset.borrow();
        if let Some(&index) = places.iter().find(|&&place| place >= dataset.len()) {
            return Err(DataError::Index { index, examples: dataset.len() });
        }
        let (input, further) = dataset.split_inputs();
        let inputs = std::iter::once(input).chain(further).zip(&mut rows.inputs);
        for (from, to) in inputs.chain(dataset.all_weights().zip(rows.weights.as_mut())) {
            gather_into(&from.values, from.shape.len(), places, &mut to.values);
        }
        match (dataset.all_targets(), &mut rows.targets) {
            (Targets::Values { values, shape }, Targets::Values { values: to, .. }) => {
                gather_into(values, shape.len(), places, to);
            }
            (Targets::Classes { labels, shape, .. }, Targets::Classes { labels: to, .. }) => {
                gather_into(labels, shape.len(), places, to);
            }
            _ => {}
        }
        rows.len += places.len();
        Ok(())
    }
}
