use downhill_tensor::{Scalar, Shape};
use ndarray::{Array, Dimension};

/// What a model should predict for each example of a [`Dataset`](crate::Dataset).
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
        /// The shape of one example's labels: a scalar, or `[steps]` where every step has its own.
        shape: Shape,
        /// How many classes there are.
        classes: usize,
        /// The name of each class; empty where they have none.
        names: Vec<String>,
    },
}

impl<T> Targets<T> {
    /// Numbers, `shape` for each example.
    #[must_use]
    pub fn values(values: Vec<T>, shape: impl Into<Shape>) -> Self {
        Self::Values { values, shape: shape.into() }
    }

    /// One of `classes` classes for each example.
    #[must_use]
    pub fn classes(labels: Vec<u32>, classes: usize) -> Self {
        Self::Classes { labels, shape: Shape::from([]), classes, names: Vec::new() }
    }

    /// One class for each example, from as many classes as there are names.
    #[must_use]
    pub fn named_classes<S: Into<String>>(labels: Vec<u32>, names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self::Classes { labels, shape: Shape::from([]), classes: names.len(), names }
    }

    /// The same targets, `shape` for each example: `[steps]` for classes of which every step has its own.
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

    /// What the targets are, for an error.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Values { .. } => "numbers as targets",
            Self::Classes { shape, .. } if shape.len() == 1 => "one class per example",
            Self::Classes { .. } => "several classes per example",
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

/// The shape of one example of an array with these axes; a vector holds one number for each.
pub(crate) fn example_shape(axes: &[usize]) -> Option<Shape> {
    match axes {
        [] => None,
        [_] => Some(Shape::from([1])),
        [_, rest @ ..] => Shape::new(rest).filter(|shape| shape.len() > 0),
    }
}

/// The numbers in logical order, without a copy where they lie so already.
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
