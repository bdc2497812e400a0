use downhill_tensor::{Shape, Target};

use crate::{DataError, Dataset, TargetKind, Targets};

/// The layout of a source's examples: shapes of inputs and targets, classes, names, and whether there are weights.
///
/// ```
/// use downhill_data::source::ExampleLayout;
/// let images = ExampleLayout::classes([1, 28, 28], 10);
/// assert_eq!((images.input_shape().len(), images.class_count()), (784, Some(10)));
/// let prices = ExampleLayout::values([2], [1]).with_feature_names(["size", "rooms"])?;
/// assert_eq!(prices.feature_names(), ["size", "rooms"]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleLayout {
    inputs: Vec<Shape>,
    target: Shape,
    classes: Option<usize>,
    weights: Option<Shape>,
    feature_names: Vec<String>,
    class_names: Vec<String>,
}

impl ExampleLayout {
    /// Makes the layout of examples whose targets are numbers.
    #[must_use]
    pub fn values(input: impl Into<Shape>, target: impl Into<Shape>) -> Self {
        Self::new(vec![input.into()], target.into(), None)
    }

    /// Makes the layout of examples of one class each, out of `classes`.
    #[must_use]
    pub fn classes(input: impl Into<Shape>, classes: usize) -> Self {
        Self::new(vec![input.into()], Shape::from([]), Some(classes))
    }

    fn new(inputs: Vec<Shape>, target: Shape, classes: Option<usize>) -> Self {
        Self { inputs, target, classes, weights: None, feature_names: Vec::new(), class_names: Vec::new() }
    }

    /// Returns the layout of a data set in memory.
    #[must_use]
    pub fn from_dataset<T: downhill_tensor::Scalar>(dataset: &Dataset<T>) -> Self {
        Self {
            inputs: dataset.all_inputs().map(|input| input.shape()).collect(),
            target: dataset.target_shape(),
            classes: dataset.classes(),
            weights: dataset.weights().map(|weights| weights.shape()),
            feature_names: dataset.feature_names().to_vec(),
            class_names: dataset.class_names().to_vec(),
        }
    }

    /// Returns the layout of the examples that a schema makes of rows.
    ///
    /// # Errors
    /// Returns an error if the schema has no features.
    #[cfg(feature = "csv")]
    pub fn from_schema(schema: &crate::Schema) -> Result<Self, DataError> {
        let features = schema.feature_names();
        let layout = match schema.class_names() {
            [] => Self::values([features.len()], [schema.target_columns().count()]),
            classes => Self::classes([features.len()], classes.len()).with_class_names(classes)?,
        };
        layout.check()?;
        layout.with_feature_names(features)
    }

    /// Adds one more input to each example; see [`Dataset::with_input`](crate::Dataset::with_input).
    #[must_use]
    pub fn with_input(mut self, shape: impl Into<Shape>) -> Self {
        self.inputs.push(shape.into());
        self
    }

    /// Sets the shape of one example's target, such as `[steps]` for classes of which each step has its own.
    #[must_use]
    pub fn with_target_shape(mut self, shape: impl Into<Shape>) -> Self {
        self.target = shape.into();
        self
    }

    /// Gives each example a weight.
    #[must_use]
    pub fn weighted(mut self) -> Self {
        self.weights = Some(Shape::from([]));
        self
    }

    /// Gives each target of each example a weight.
    #[must_use]
    pub fn weighted_targets(mut self) -> Self {
        self.weights = Some(self.target);
        self
    }

    /// Sets a name for each number of the first input.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than numbers.
    pub fn with_feature_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, DataError> {
        self.feature_names = names.into_iter().map(Into::into).collect();
        check_names("features", self.input_shape().len(), &self.feature_names)?;
        Ok(self)
    }

    /// Sets a name for each class.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than classes.
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        self.class_names = names.into_iter().map(Into::into).collect();
        check_names("classes", self.classes.unwrap_or_default(), &self.class_names)?;
        Ok(self)
    }

    /// The shape of one example's first input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.inputs.first().copied().unwrap_or(Shape::from([]))
    }

    /// The shape of each input of one example.
    #[must_use]
    pub fn input_shapes(&self) -> &[Shape] {
        &self.inputs
    }

    /// The shape of one example's target: a scalar for one class.
    #[must_use]
    pub fn target_shape(&self) -> Shape {
        self.target
    }

    /// The number of classes, or `None` if targets are numbers.
    #[must_use]
    pub fn class_count(&self) -> Option<usize> {
        self.classes
    }

    /// The shape of one example's weights, a scalar if it has one; `None` without weights.
    #[must_use]
    pub fn weight_shape(&self) -> Option<Shape> {
        self.weights
    }

    /// The name of each number of the first input; empty if they have none.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// The name of each class; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The kind of the targets.
    #[must_use]
    pub fn target_kind(&self) -> TargetKind {
        match self.classes {
            None => TargetKind::Numbers,
            Some(_) if self.target.len() == 1 => TargetKind::OneClass,
            Some(_) => TargetKind::SeveralClasses,
        }
    }

    /// The kind that a target is of, if it is one of an example's.
    pub(super) fn kind_of<T>(&self, target: Target<'_, T>) -> TargetKind {
        match target {
            Target::Values(_) => TargetKind::Numbers,
            Target::Classes(_) if self.target.len() == 1 => TargetKind::OneClass,
            Target::Classes(_) => TargetKind::SeveralClasses,
        }
    }

    /// Checks that an example holds something, and that it can be counted.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let shapes = self.inputs.iter().copied().chain([self.target]).chain(self.weights);
        for shape in shapes {
            if shape.len() == 0 || shape.check("an example").is_err() {
                return Err(DataError::Axes { axes: [&[1], shape.axes()].concat() });
            }
        }
        match self.classes {
            Some(0) => Err(DataError::Empty { what: "the list of classes", unit: "class" }),
            _ => Ok(()),
        }
    }

    /// The first part in which another layout differs, which must not be joined to this one.
    pub(super) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let shapes = |shapes: &[Shape]| shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(" and ");
        let (a, b) = (self, other);
        let texts = [
            ("inputs of shape", shapes(&a.inputs), shapes(&b.inputs)),
            ("targets that are", a.target_kind().to_string(), b.target_kind().to_string()),
            ("targets of shape", a.target.to_string(), b.target.to_string()),
            ("classes", format!("{:?}", a.classes), format!("{:?}", b.classes)),
            ("weights of shape", format!("{:?}", a.weights), format!("{:?}", b.weights)),
            ("features named", format!("{:?}", a.feature_names), format!("{:?}", b.feature_names)),
            ("classes named", format!("{:?}", a.class_names), format!("{:?}", b.class_names)),
        ];
        texts.into_iter().find(|(_, a, b)| a != b)
    }

    /// Targets of no example.
    pub(super) fn no_targets<T>(&self) -> Targets<T> {
        match self.classes {
            None => Targets::values(Vec::new(), self.target),
            Some(classes) => Targets::classes(Vec::new(), classes).with_shape(self.target),
        }
    }
}

fn check_names(what: &'static str, expected: usize, names: &[String]) -> Result<(), DataError> {
    if names.is_empty() || names.len() == expected {
        return Ok(());
    }
    Err(DataError::Names { what, expected, got: names.len() })
}
