use downhill_tensor::{Batch, Scalar, Target};

use super::ExampleLayout;
use crate::input::Input;
use crate::{DataError, ExampleNumber, MiniBatch, Targets};

/// Examples in memory that is used again for others: what a [`Source`](super::Source) reads into, and what transforms
/// change.
///
/// ```
/// use downhill_data::Target;
/// use downhill_data::source::{ExampleLayout, Rows};
///
/// let mut rows = Rows::new(&ExampleLayout::classes([2], 3));
/// rows.push(&[0.5, 1.5], Target::Classes(&[2]))?;
/// assert_eq!((rows.len(), rows.input(0).slice()), (1, &[0.5, 1.5][..]));
/// let error = rows.push(&[0.5], Target::Classes(&[2])).unwrap_err();
/// assert_eq!(error.to_string(), "an example has 1 number as its input 0, but the source's layout says 2");
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<T> {
    layout: ExampleLayout,
    pub(super) inputs: Vec<Input<T>>,
    pub(super) targets: Targets<T>,
    pub(super) weights: Option<Input<T>>,
    pub(super) len: usize,
}

impl<T: Scalar> Rows<T> {
    /// Makes room for examples of this layout, which has none yet.
    #[must_use]
    pub fn new(layout: &ExampleLayout) -> Self {
        let empty = |shape| Input { values: Vec::new(), shape };
        Self {
            inputs: layout.input_shapes().iter().copied().map(empty).collect(),
            targets: layout.no_targets(),
            weights: layout.weight_shape().map(empty),
            len: 0,
            layout: layout.clone(),
        }
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The layout of the examples.
    #[must_use]
    pub fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    /// Removes all examples and keeps their memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Removes the examples from `len` on, and what was begun of another.
    pub(super) fn truncate(&mut self, len: usize) {
        for input in self.inputs.iter_mut().chain(&mut self.weights) {
            input.values.truncate(len * input.shape.len());
        }
        match &mut self.targets {
            Targets::Values { values, shape } => values.truncate(len * shape.len()),
            Targets::Classes { labels, shape, .. } => labels.truncate(len * shape.len()),
        }
        self.len = len;
    }

    /// Appends an example of one input without weights.
    ///
    /// # Errors
    /// Returns an error, and appends nothing, if the example is not as the layout says.
    pub fn push(&mut self, input: &[T], target: Target<'_, T>) -> Result<(), DataError> {
        self.push_all(&[input], target, None)
    }

    /// Appends an example of several inputs, or with weights.
    ///
    /// # Errors
    /// Returns an error, and appends nothing, if the example is not as the layout says.
    pub fn push_all(&mut self, inputs: &[&[T]], target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), DataError> {
        let wrong = |what: String, expected, got| Err(DataError::ExampleLength { what, expected, got });
        if inputs.len() != self.inputs.len() {
            return wrong("list of inputs".into(), self.inputs.len(), inputs.len());
        }
        for (place, (input, known)) in inputs.iter().zip(&self.inputs).enumerate() {
            if input.len() != known.shape.len() {
                return wrong(format!("input {place}"), known.shape.len(), input.len());
            }
        }
        let (needed, got) = (self.layout.target_kind(), self.layout.kind_of(target));
        if needed != got {
            return Err(DataError::ExampleTarget { needed, got });
        }
        let expected = self.layout.target_shape().len();
        if target.len() != expected {
            return wrong("target".into(), expected, target.len());
        }
        let (expected, got) = (self.weights.as_ref().map_or(0, |w| w.shape.len()), weights.map_or(0, <[T]>::len));
        if expected != got {
            return wrong("weights".into(), expected, got);
        }
        for (input, known) in inputs.iter().zip(&mut self.inputs) {
            known.values.extend_from_slice(input);
        }
        self.extend_targets(target);
        if let (Some(weights), Some(known)) = (weights, &mut self.weights) {
            known.values.extend_from_slice(weights);
        }
        self.len += 1;
        Ok(())
    }

    /// Appends targets of the layout's kind.
    fn extend_targets(&mut self, target: Target<'_, T>) {
        match (&mut self.targets, target) {
            (Targets::Values { values, .. }, Target::Values(more)) => values.extend_from_slice(more),
            (Targets::Classes { labels, .. }, Target::Classes(more)) => labels.extend_from_slice(more),
            _ => {}
        }
    }

    /// An input of all examples, counted from 0; a batch without numbers if there is no such input.
    #[must_use]
    pub fn input(&self, place: usize) -> Batch<'_, T> {
        match self.inputs.get(place) {
            Some(input) => input.rows(0, self.len),
            None => Batch::absent(0, downhill_tensor::Shape::from([0])),
        }
    }

    /// The numbers of an input, example after example, to change them; none if there is no such input.
    pub fn input_mut(&mut self, place: usize) -> &mut [T] {
        self.inputs.get_mut(place).map_or(&mut [], |input| &mut input.values)
    }

    /// The targets, example after example.
    #[must_use]
    pub fn targets(&self) -> Target<'_, T> {
        match &self.targets {
            Targets::Values { values, .. } => Target::Values(values),
            Targets::Classes { labels, .. } => Target::Classes(labels),
        }
    }

    /// The targets that are numbers, to change them; none if they are classes.
    pub fn target_values_mut(&mut self) -> &mut [T] {
        if let Targets::Values { values, .. } = &mut self.targets { values } else { &mut [] }
    }

    /// The targets that are classes, to change them; none if they are numbers.
    pub fn labels_mut(&mut self) -> &mut [u32] {
        if let Targets::Classes { labels, .. } = &mut self.targets { labels } else { &mut [] }
    }

    /// The weights, example after example; none without weights.
    #[must_use]
    pub fn weights(&self) -> Option<&[T]> {
        self.weights.as_ref().map(|weights| &weights.values[..])
    }

    /// The weights, to change them; none without weights.
    pub fn weights_mut(&mut self) -> &mut [T] {
        self.weights.as_mut().map_or(&mut [], |weights| &mut weights.values)
    }

    /// Appends `count` examples of another buffer of the same layout, from `start` on.
    pub(super) fn extend(&mut self, from: &Self, start: usize, count: usize) {
        let inputs = self.inputs.iter_mut().zip(&from.inputs);
        for (to, from) in inputs.chain(self.weights.iter_mut().zip(&from.weights)) {
            to.values.extend_from_slice(from.rows(start, count).slice());
        }
        let each = self.layout.target_shape().len();
        let range = start * each..(start + count) * each;
        self.extend_targets(match from.targets() {
            Target::Values(values) => Target::Values(values.get(range).unwrap_or_default()),
            Target::Classes(labels) => Target::Classes(labels.get(range).unwrap_or_default()),
        });
        self.len += count;
    }

    /// Overwrites the example at `place` by one of another buffer.
    pub(super) fn replace(&mut self, place: usize, from: &Self, row: usize) {
        fn copy<E: Copy>(to: &mut [E], place: usize, from: &[E], row: usize, each: usize) {
            let from = from.get(row * each..(row + 1) * each);
            if let (Some(to), Some(from)) = (to.get_mut(place * each..(place + 1) * each), from) {
                to.copy_from_slice(from);
            }
        }
        let inputs = self.inputs.iter_mut().zip(&from.inputs);
        for (to, from) in inputs.chain(self.weights.iter_mut().zip(&from.weights)) {
            copy(&mut to.values, place, &from.values, row, from.shape.len());
        }
        let each = self.layout.target_shape().len();
        match (&mut self.targets, &from.targets) {
            (Targets::Values { values: to, .. }, Targets::Values { values: from, .. }) => {
                copy(to, place, from, row, each);
            }
            (Targets::Classes { labels: to, .. }, Targets::Classes { labels: from, .. }) => {
                copy(to, place, from, row, each);
            }
            _ => {}
        }
    }

    /// Removes the example at `place`; the last one takes it.
    pub(super) fn swap_remove(&mut self, place: usize) {
        fn remove<E: Copy>(numbers: &mut [E], place: usize, last: usize, each: usize) {
            numbers.copy_within(last * each..(last + 1) * each, place * each);
        }
        let Some(last) = self.len.checked_sub(1) else { return };
        for input in self.inputs.iter_mut().chain(&mut self.weights) {
            remove(&mut input.values, place, last, input.shape.len());
        }
        let each = self.layout.target_shape().len();
        match &mut self.targets {
            Targets::Values { values, .. } => remove(values, place, last, each),
            Targets::Classes { labels, .. } => remove(labels, place, last, each),
        }
        self.truncate(last);
    }

    /// Checks the examples as a data set does, of which these have the places.
    pub(super) fn check(&self, places: &[usize]) -> Result<(), DataError> {
        let example = |row: usize| places.get(row).copied().unwrap_or(row);
        let not_finite = |numbers: &[T], each: usize, number: &dyn Fn(usize) -> ExampleNumber| {
            let (place, x) = numbers.iter().enumerate().find(|(_, x)| !x.is_finite())?;
            let (example, number) = (example(place / each), number(place % each));
            Some(DataError::NonFinite { example, number, value: x.to_f64() })
        };
        for (place, input) in self.inputs.iter().enumerate() {
            if !all_finite(&input.values) {
                let name = |number| self.layout.feature_names().get(number).filter(|_| place == 0).cloned();
                let number = |number| ExampleNumber::Input { input: place, place: number, name: name(number) };
                not_finite(&input.values, input.shape.len(), &number).map_or(Ok(()), Err)?;
            }
        }
        match &self.targets {
            Targets::Values { values, shape } => {
                let number = |place| ExampleNumber::Target { place };
                not_finite(values, shape.len(), &number).map_or(Ok(()), Err)?;
            }
            Targets::Classes { labels, shape, classes, .. } => {
                if let Some(place) = labels.iter().position(|&label| label as usize >= *classes) {
                    let label = labels.get(place).copied().unwrap_or_default();
                    let index = example(place / shape.len()) * shape.len() + place % shape.len();
                    return Err(DataError::Label { index, label, classes: *classes });
                }
            }
        }
        let bad = |weight: &T| !(*weight >= T::ZERO && weight.is_finite());
        match &self.weights {
            Some(Input { values, shape }) => match values.iter().enumerate().find(|(_, weight)| bad(weight)) {
                Some((place, weight)) => {
                    Err(DataError::Weight { example: example(place / shape.len()), weight: weight.to_f64() })
                }
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// The examples as a batch, of which these are the places.
    pub(super) fn batch<'a>(&'a self, indices: &'a [usize]) -> MiniBatch<'a, T> {
        let further = self.inputs.get(1..).unwrap_or_default();
        MiniBatch {
            inputs: self.input(0),
            targets: self.targets(),
            weights: self.weights(),
            indices,
            further,
            start: 0,
        }
    }
}

/// Whether all numbers are finite; the loop has no early end, so that it is vectorised.
fn all_finite<T: Scalar>(numbers: &[T]) -> bool {
    numbers.chunks(1 << 10).all(|chunk| chunk.iter().fold(true, |all, x| all & x.is_finite()))
}

/// An example that owns its numbers, as an iterator yields it to an [`IteratorSource`](super::IteratorSource).
#[derive(Clone, Debug, PartialEq)]
pub struct Example<T> {
    inputs: Vec<Vec<T>>,
    values: Vec<T>,
    labels: Option<Vec<u32>>,
    weights: Option<Vec<T>>,
}

impl<T: Scalar> Example<T> {
    /// Makes an example of a class.
    #[must_use]
    pub fn class(input: impl Into<Vec<T>>, label: u32) -> Self {
        Self::labels(input, [label])
    }

    /// Makes an example of several classes, such as one for each step of a sequence.
    #[must_use]
    pub fn labels(input: impl Into<Vec<T>>, labels: impl Into<Vec<u32>>) -> Self {
        Self { inputs: vec![input.into()], values: Vec::new(), labels: Some(labels.into()), weights: None }
    }

    /// Makes an example whose target is numbers.
    #[must_use]
    pub fn values(input: impl Into<Vec<T>>, values: impl Into<Vec<T>>) -> Self {
        Self { inputs: vec![input.into()], values: values.into(), labels: None, weights: None }
    }

    /// Adds one more input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<T>>) -> Self {
        self.inputs.push(input.into());
        self
    }

    /// Sets the weight of the example, or that of each of its targets.
    #[must_use]
    pub fn weights(mut self, weights: impl Into<Vec<T>>) -> Self {
        self.weights = Some(weights.into());
        self
    }

    pub(super) fn push_to(&self, rows: &mut Rows<T>) -> Result<(), DataError> {
        let inputs: Vec<&[T]> = self.inputs.iter().map(Vec::as_slice).collect();
        let target = self.labels.as_deref().map_or(Target::Values(&self.values), Target::Classes);
        rows.push_all(&inputs, target, self.weights.as_deref())
    }
}
