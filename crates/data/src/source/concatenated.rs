use std::fmt;

use downhill_tensor::Scalar;

use super::{ExampleLayout, Rows, Source};
use crate::DataError;

/// The examples of several sources of one layout, one source after the other.
///
/// Places can be asked for if all of them have places.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_data::source::{Concatenated, InMemory, SourceBatches};
///
/// let (a, b) = (Dataset::new(vec![1.0, 2.0], [1], vec![0, 1])?, Dataset::new(vec![3.0], [1], vec![1])?);
/// let both = Concatenated::new([&a, &b].map(InMemory::new))?;
/// let mut batches = SourceBatches::sequential(both, 3)?;
/// assert_eq!(batches.next_batch()?.map(|batch| batch.inputs.slice().to_vec()), Some(vec![1.0, 2.0, 3.0]));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
pub struct Concatenated<S> {
    parts: Vec<S>,
    layout: ExampleLayout,
    /// The part that is read from.
    current: usize,
}

impl<S> fmt::Debug for Concatenated<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parts, layout, current } = self;
        f.debug_struct("Concatenated")
            .field("parts", &parts.len())
            .field("layout", layout)
            .field("current", current)
            .finish()
    }
}

impl<S> Concatenated<S> {
    /// Joins sources; box those of different types as `Box<dyn Source<T>>`.
    ///
    /// # Errors
    /// Returns an error if there are none, or their layouts differ.
    pub fn new<T: Scalar>(parts: impl IntoIterator<Item = S>) -> Result<Self, DataError>
    where
        S: Source<T>,
    {
        let parts: Vec<S> = parts.into_iter().collect();
        let first = parts.first().ok_or(DataError::Empty { what: "the list of sources", unit: "source" })?;
        let layout = first.layout().clone();
        for (part, source) in parts.iter().enumerate() {
            if let Some((what, expected, got)) = layout.difference(source.layout()) {
                return Err(DataError::SourceLayout { part, what, expected, got });
            }
        }
        Ok(Self { parts, layout, current: 0 })
    }
}

impl<T: Scalar, S: Source<T>> Source<T> for Concatenated<S> {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn examples(&self) -> Option<u64> {
        self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.examples()?))
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.current = 0;
        self.parts.iter_mut().try_for_each(Source::rewind)
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        let before = rows.len();
        while let Some(part) = self.parts.get_mut(self.current) {
            part.read(most, rows)?;
            if rows.len() > before || most == 0 {
                return Ok(());
            }
            self.current += 1;
        }
        Ok(())
    }

    fn is_addressable(&self) -> bool {
        self.parts.iter().all(Source::is_addressable)
    }

    fn read_at(&mut self, places: &[usize], rows: &mut Rows<T>) -> Result<(), DataError> {
        let mut ends = Vec::with_capacity(self.parts.len());
        let mut end = 0usize;
        for part in &self.parts {
            let examples = part.examples().ok_or(DataError::NotAddressable)?;
            end = end.saturating_add(usize::try_from(examples).unwrap_or(usize::MAX));
            ends.push(end);
        }
        let part_of = |place: usize| ends.partition_point(|&end| end <= place);
        for run in places.chunk_by(|&a, &b| part_of(a) == part_of(b)) {
            let index = run.first().copied().unwrap_or_default();
            let part = part_of(index);
            let start = part.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            let local: Vec<usize> = run.iter().map(|&place| place - start).collect();
            let source = self.parts.get_mut(part).ok_or(DataError::Index { index, examples: end })?;
            source.read_at(&local, rows)?;
        }
        Ok(())
    }
}
