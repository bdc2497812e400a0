/// The targets that predictions are compared with: numbers, or the index of the right class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a, T> {
    /// One number for each predicted number, example after example.
    Values(&'a [T]),
    /// One class for each example (or for each position of each example), counted from 0.
    Classes(&'a [u32]),
}

#[expect(clippy::len_without_is_empty, reason = "targets are no collection")]
impl<T> Target<'_, T> {
    /// The number of targets: of all examples and of all their positions.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Classes(classes) => classes.len(),
        }
    }
}
