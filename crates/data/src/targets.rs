use downhill_tensor::{Scalar, Shape};
use ndarray::{Array, Dimension};

use crate::{DataError, TargetKind};

/// The targets: what a model should predict for each example of a [`Dataset`](crate::Dataset).
///
/// `Vec<u32>` converts to classes (as many as the largest label asks for), an `ndarray` array to values
/// (its first axis is the examples; a vector is one value for each).
#[derive(Clone, Debug, PartialEq)]
pub enum Targets<T> {
    /// Numbers.
    Values {
        /// The numbers, example after example.
        values: Vec<T>,
        /// The shape of one example's numbers.
        shape: Shape,
    },
    /// Classes, counted from 0.
    Classes {
        /// The classes, example after example.
        labels: Vec<u32>,
        /// The shape of one example's labels: a scalar, or `[steps]` if every step has its own.
        shape: Shape,
        /// The number of classes.
        classes: usize,
        /// The name of each class; empty if they have none.
        names: Vec<String>,
    },
}

impl<T> Targets<T> {
    /// Makes targets of numbers, `shape` for each example.
    #[must_use]
    pub fn values(values: Vec<T>, shape: impl Into<Shape>) -> Self {
        Self::Values { values, shape: shape.into() }
    }

    /// Makes targets of one class for each example, out of `classes`.
    #[must_use]
    pub fn classes(labels: Vec<u32>, classes: usize) -> Self {
        Self::Classes { labels, shape: Shape::from([]), classes, names: Vec::new() }
    }

    /// Makes targets of one class for each example, out of as many classes as there are names.
    #[must_use]
    pub fn named_classes<S: Into<String>>(labels: Vec<u32>, names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self::Classes { labels, shape: Shape::from([]), classes: names.len(), names }
    }

    /// Sets the shape of one example's target: `[steps]` for classes of which every step has its own.
    ///
    /// ```
    /// use downhill_data::{Dataset, Targets};
    ///
    /// // Two sequences of three steps, and a class for each step.
    /// let targets = Targets::classes(vec![0, 1, 1, 0, 0, 1], 2).with_shape([3]);
    /// let data = Dataset::new(vec![0.1, 0.9, 0.8, 0.2, 0.3, 0.7], [3], targets)?;
    /// assert_eq!((data.len(), data.target_shape().len()), (2, 3));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn with_shape(mut self, shape: impl Into<Shape>) -> Self {
        match &mut self {
            Self::Values { shape: old, .. } | Self::Classes { shape: old, .. } => *old = shape.into(),
        }
        self
    }

    /// The shape of one example's target.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::Values { shape, .. } | Self::Classes { shape, .. } => *shape,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Values { values, .. } => values.len(),
            Self::Classes { labels, .. } => labels.len(),
        }
    }

    pub(crate) fn kind(&self) -> TargetKind {
        match self {
            Self::Values { .. } => TargetKind::Numbers,
            Self::Classes { shape, .. } if shape.len() == 1 => TargetKind::OneClass,
            Self::Classes { .. } => TargetKind::SeveralClasses,
        }
    }
}

impl<T> From<Vec<u32>> for Targets<T> {
    fn from(labels: Vec<u32>) -> Self {
        let classes = labels.iter().max().map_or(0, |&largest| (largest as usize).saturating_add(1));
        Self::classes(labels, classes)
    }
}

/// An array of more than seven axes becomes targets that no data set accepts.
impl<T: Scalar, D: Dimension> From<Array<T, D>> for Targets<T> {
    fn from(array: Array<T, D>) -> Self {
        let shape = example_shape(array.shape()).unwrap_or(Shape::from([0]));
        Self::Values { values: into_vec(array), shape }
    }
}

/// Checks that every label is smaller than the number of classes.
pub(crate) fn check_labels(labels: &[u32], classes: usize) -> Result<(), DataError> {
    match labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
        Some((index, &label)) => Err(DataError::Label { index, label, classes }),
        None => Ok(()),
    }
}

/// The shape of one example of an array with these axes; a vector holds one number for each.
pub(crate) fn example_shape(axes: &[usize]) -> Option<Shape> {
    match axes {
        [] => None,
        [_] => Some(Shape::from([1])),
        [_, rest @ ..] => Shape::new(rest).filter(|shape| shape.len() > 0),
    }
}

/// Returns the numbers in logical order, without a copy if they lie so already.
pub(crate) fn into_vec<T: Scalar, D: Dimension>(array: Array<T, D>) -> Vec<T> {
    if !array.is_standard_layout() {
        return array.iter().copied().collect();
    }
    let length = array.len();
    let (mut data, offset) = array.into_raw_vec_and_offset();
    data.drain(..offset.unwrap_or(0));
    data.truncate(length);
    data
}
