use downhill_tensor::{Batch, Scalar, Shape};
use ndarray::{Array, ArrayViewMut2, Dimension};

use crate::input::{Input, batch, gathered};
use crate::targets::{Targets, check_labels, example_shape, into_vec};
use crate::{DataError, ExampleNumber, Scaler, Target, TargetKind, one_hot};

/// Examples with their targets.
///
/// The inputs are one contiguous vector, example after example; there is at least one example,
/// every number is finite and every label is smaller than the number of classes.
/// A model of several inputs finds the further ones next to the first: see [`with_input`](Self::with_input).
///
/// ```
/// use downhill_data::Dataset;
/// use ndarray::array;
///
/// let xor = Dataset::from_array(array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], vec![0, 1, 1, 0])?;
/// assert_eq!((xor.len(), xor.input_shape().axes(), xor.classes()), (4, &[2][..], Some(2)));
///
/// let error = Dataset::from_array(array![[0.0], [f64::NAN]], vec![0, 1]).unwrap_err();
/// assert!(error.to_string().starts_with("example 1 has NaN as its input 0"));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    input: Input<T>,
    /// The inputs after the first, each with as many examples.
    further: Vec<Input<T>>,
    examples: usize,
    targets: Targets<T>,
    /// One weight for each example, or one for each of its targets.
    weights: Option<Input<T>>,
    feature_names: Vec<String>,
}

#[expect(clippy::len_without_is_empty, reason = "a data set has at least one example")]
impl<T: Scalar> Dataset<T> {
    /// Makes a data set of `inputs`, example after example, each of `shape`.
    ///
    /// # Errors
    /// Returns an error if there are no examples, counts do not agree, a number is not finite or a label too large.
    pub fn new(inputs: Vec<T>, shape: impl Into<Shape>, targets: impl Into<Targets<T>>) -> Result<Self, DataError> {
        Self::build(inputs, shape.into(), targets.into(), Vec::new())
    }

    /// Makes a data set of `inputs`, example after example, one number for each name.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new).
    pub fn with_names<S: Into<String>>(
        inputs: Vec<T>,
        feature_names: impl IntoIterator<Item = S>,
        targets: impl Into<Targets<T>>,
    ) -> Result<Self, DataError> {
        let names: Vec<String> = feature_names.into_iter().map(Into::into).collect();
        Self::build(inputs, Shape::from([names.len()]), targets.into(), names)
    }

    /// Makes a data set whose examples lie along the first axis of `inputs`; a vector is one feature for each.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new), and one if the array has no axis or more than seven.
    pub fn from_array<D: Dimension>(inputs: Array<T, D>, targets: impl Into<Targets<T>>) -> Result<Self, DataError> {
        let shape = example_shape(inputs.shape()).ok_or_else(|| DataError::Axes { axes: inputs.shape().to_vec() })?;
        Self::build(into_vec(inputs), shape, targets.into(), Vec::new())
    }

    fn build(inputs: Vec<T>, shape: Shape, targets: Targets<T>, feature_names: Vec<String>) -> Result<Self, DataError> {
        if inputs.is_empty() {
            return Err(DataError::Empty { what: "the data set", unit: "example" });
        }
        let examples = count_examples(inputs.len(), shape)?;
        if examples.checked_mul(targets.shape().len()) != Some(targets.len()) {
            return Err(DataError::TargetLength {
                examples,
                shape: targets.shape(),
                expected: examples.saturating_mul(targets.shape().len()),
                got: targets.len(),
            });
        }
        check_input(0, &inputs, shape, &feature_names)?;
        match &targets {
            Targets::Values { values, shape } => check_targets(values, *shape)?,
            Targets::Classes { labels, classes, names, .. } => {
                check_names("classes", *classes, names)?;
                check_labels(labels, *classes)?;
            }
        }
        let input = Input { values: inputs, shape };
        let dataset = Self { input, further: Vec::new(), examples, targets, weights: None, feature_names: Vec::new() };
        dataset.with_feature_names(feature_names)
    }

    /// Adds one more input to each example, as a model of several inputs takes it: `values`, example after example,
    /// each of `shape`.
    ///
    /// Whatever picks and orders examples (batches, splits, folds, selections) keeps all inputs of an example together.
    /// Methods that change numbers, as [`scale_inputs`](Self::scale_inputs) does, change the first input alone.
    ///
    /// Sequences of different lengths are padded to the longest, and their lengths are the second input:
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use ndarray::array;
    ///
    /// let sequences = array![[1.0, 2.0, 3.0], [4.0, 0.0, 0.0], [5.0, 6.0, 0.0]];
    /// let data = Dataset::from_array(sequences, vec![0, 1, 1])?.reshape([3, 1])?.with_input(vec![3.0, 1.0, 2.0], [1])?;
    /// let last = data.select(&[2])?;
    /// let inputs: Vec<&[f64]> = last.all_inputs().map(|input| input.slice()).collect();
    /// assert_eq!(inputs, [&[5.0, 6.0, 0.0][..], &[2.0]]);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there are more or fewer examples than in the data set, or a number is not finite.
    pub fn with_input(mut self, values: Vec<T>, shape: impl Into<Shape>) -> Result<Self, DataError> {
        let (shape, input) = (shape.into(), 1 + self.further.len());
        let got = count_examples(values.len(), shape)?;
        if got != self.examples {
            return Err(DataError::InputExamples { input, expected: self.examples, got });
        }
        check_input(input, &values, shape, &[])?;
        self.further.push(Input { values, shape });
        Ok(self)
    }

    /// Sets the weights, which losses and metrics take into account: either one for each example, or one for each
    /// target of each example. A weight of 0 leaves its example or target out, so that weights of 0 and 1 are
    /// a mask.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use ndarray::array;
    ///
    /// let data = Dataset::from_array(array![[0.0], [1.0]], array![[1.0, 0.0], [2.0, 3.0]])?;
    /// let weighted = data.clone().with_weights(vec![1.0, 0.5])?; // one for each example
    /// assert_eq!(weighted.weights().map(|w| w.slice().to_vec()), Some(vec![1.0, 0.5]));
    /// let masked = data.with_weights(vec![1.0, 0.0, 1.0, 1.0])?; // one for each target
    /// assert_eq!(masked.weights().map(|w| w.shape().len()), Some(2));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there is neither one weight for each example nor one for each target, a weight is negative
    /// or not finite, or all are 0.
    pub fn with_weights(mut self, weights: Vec<T>) -> Result<Self, DataError> {
        let shape = match weights.len() {
            got if got == self.examples => Shape::from([]),
            got if got == self.targets.len() => self.targets.shape(),
            got => {
                return Err(DataError::WeightCount { examples: self.examples, targets: self.targets.len(), got });
            }
        };
        let bad = |&(_, &weight): &(usize, &T)| !(weight >= T::ZERO && weight.is_finite());
        if let Some((place, weight)) = weights.iter().enumerate().find(bad) {
            return Err(DataError::Weight { example: place / shape.len(), weight: weight.to_f64() });
        }
        if weights.iter().all(|&weight| weight == T::ZERO) {
            return Err(DataError::NoWeight);
        }
        self.weights = Some(Input { values: weights, shape });
        Ok(self)
    }

    /// Sets a name for each number of an input; an empty list removes the names.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than numbers.
    pub fn with_feature_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, DataError> {
        self.feature_names = names.into_iter().map(Into::into).collect();
        check_names("features", self.input.shape.len(), &self.feature_names)?;
        Ok(self)
    }

    /// The number of examples, which is never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples
    }

    /// The shape of one example's first input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input.shape
    }

    /// The shape of one example's target: a scalar for one class per example.
    #[must_use]
    pub fn target_shape(&self) -> Shape {
        self.targets.shape()
    }

    /// The number of classes, or `None` if targets are numbers.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        match &self.targets {
            Targets::Classes { classes, .. } => Some(*classes),
            Targets::Values { .. } => None,
        }
    }

    /// The name of each class; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        match &self.targets {
            Targets::Classes { names, .. } => names,
            Targets::Values { .. } => &[],
        }
    }

    /// The name of each number of an input; empty if they have none.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// The inputs: `.matrix()`, `.images()` and `.sequences()` see them as `ndarray` views.
    /// If examples have several, these are the first.
    #[must_use]
    pub fn inputs(&self) -> Batch<'_, T> {
        self.input.rows(0, self.examples)
    }

    /// The first input, and those that [`with_input`](Self::with_input) has added.
    pub fn all_inputs(&self) -> impl Iterator<Item = Batch<'_, T>> {
        std::iter::once(&self.input).chain(&self.further).map(|input| input.rows(0, self.examples))
    }

    /// The first input, and the further ones.
    pub(crate) fn split_inputs(&self) -> (&Input<T>, &[Input<T>]) {
        (&self.input, &self.further)
    }

    /// The targets, borrowed.
    #[must_use]
    pub fn targets(&self) -> Target<'_, T> {
        match &self.targets {
            Targets::Values { values, .. } => Target::Values(values),
            Targets::Classes { labels, .. } => Target::Classes(labels),
        }
    }

    /// The targets as a batch of numbers, such as a scaler is fitted to; `None` if they are classes.
    #[must_use]
    pub fn target_values(&self) -> Option<Batch<'_, T>> {
        match &self.targets {
            Targets::Values { values, shape } => Some(batch(values, self.examples, *shape)),
            Targets::Classes { .. } => None,
        }
    }

    /// The weights of the examples or of their targets, if there are any; see [`with_weights`](Self::with_weights).
    #[must_use]
    pub fn weights(&self) -> Option<Batch<'_, T>> {
        self.weights.as_ref().map(|weights| weights.rows(0, self.examples))
    }

    pub(crate) fn all_weights(&self) -> Option<&Input<T>> {
        self.weights.as_ref()
    }

    pub(crate) fn all_targets(&self) -> &Targets<T> {
        &self.targets
    }

    /// Takes the data set apart into inputs and targets; if examples have several inputs, only the first is kept.
    #[must_use]
    pub fn into_parts(self) -> (Vec<T>, Targets<T>) {
        (self.input.values, self.targets)
    }

    /// Selects the examples at `indices`, in that order; one may be taken several times.
    ///
    /// # Errors
    /// Returns an error if there are no indices, or one lies beyond the last example.
    pub fn select(&self, indices: &[usize]) -> Result<Self, DataError> {
        if indices.is_empty() {
            return Err(DataError::Empty { what: "the selection", unit: "example" });
        }
        if let Some(&index) = indices.iter().find(|&&index| index >= self.examples) {
            return Err(DataError::Index { index, examples: self.examples });
        }
        Ok(self.gather(indices))
    }

    /// The examples at `indices`, which are in range and not none.
    pub(crate) fn gather(&self, indices: &[usize]) -> Self {
        let targets = match &self.targets {
            Targets::Values { values, shape } => {
                Targets::Values { values: gathered(values, shape.len(), indices), shape: *shape }
            }
            Targets::Classes { labels, shape, classes, names } => Targets::Classes {
                labels: gathered(labels, shape.len(), indices),
                shape: *shape,
                classes: *classes,
                names: names.clone(),
            },
        };
        Self {
            input: self.input.gathered(indices),
            further: self.further.iter().map(|input| input.gathered(indices)).collect(),
            examples: indices.len(),
            targets,
            weights: self.weights.as_ref().map(|weights| weights.gathered(indices)),
            feature_names: self.feature_names.clone(),
        }
    }

    /// Gives the first inputs another shape, such as `[1, 28, 28]` instead of `[784]`.
    ///
    /// # Errors
    /// Returns an error if the shapes do not hold the same number of numbers.
    pub fn reshape(mut self, shape: impl Into<Shape>) -> Result<Self, DataError> {
        let shape = shape.into();
        if shape.len() != self.input.shape.len() {
            return Err(DataError::Reshape { from: self.input.shape, to: shape });
        }
        self.input.shape = shape;
        Ok(self)
    }

    /// Applies `function` to every number of the first inputs.
    ///
    /// # Errors
    /// Returns an error if it gives a number that is not finite.
    pub fn map_inputs(mut self, mut function: impl FnMut(T) -> T) -> Result<Self, DataError> {
        for x in &mut self.input.values {
            *x = function(*x);
        }
        self.check_input()?;
        Ok(self)
    }

    /// Scales the first inputs.
    ///
    /// # Errors
    /// Returns an error if the scaler was fitted to another number of features.
    pub fn scale_inputs(mut self, scaler: &impl Scaler) -> Result<Self, DataError> {
        scaler.transform(matrix_mut(&mut self.input.values, self.examples, self.input.shape))?;
        self.check_input()?;
        Ok(self)
    }

    /// Scales the targets.
    ///
    /// # Errors
    /// Returns an error if the scaler was fitted to another number of values, or the targets are classes.
    pub fn scale_targets(mut self, scaler: &impl Scaler) -> Result<Self, DataError> {
        let kind = self.targets.kind();
        let Targets::Values { values, shape } = &mut self.targets else {
            let operation = "scaling targets";
            return Err(DataError::TargetKind { operation, needed: TargetKind::Numbers, got: kind });
        };
        scaler.transform(matrix_mut(values, self.examples, *shape))?;
        check_targets(values, *shape)?;
        Ok(self)
    }

    /// Turns the class of each example into a row that is 1 at its class and 0 elsewhere.
    ///
    /// # Errors
    /// Returns an error if there is not one class for each example.
    pub fn one_hot_targets(mut self) -> Result<Self, DataError> {
        let (labels, classes) = self.single_labels("one-hot encoding")?;
        self.targets = one_hot(labels, classes)?.into();
        Ok(self)
    }

    fn check_input(&self) -> Result<(), DataError> {
        check_input(0, &self.input.values, self.input.shape, &self.feature_names)
    }

    /// Returns the class of each example and the number of classes.
    pub(crate) fn single_labels(&self, operation: &'static str) -> Result<(&[u32], usize), DataError> {
        match &self.targets {
            Targets::Classes { labels, shape, classes, .. } if shape.len() == 1 => Ok((labels, *classes)),
            other => Err(DataError::TargetKind { operation, needed: TargetKind::OneClass, got: other.kind() }),
        }
    }
}

/// Counts the examples of this shape that `length` numbers are.
fn count_examples(length: usize, shape: Shape) -> Result<usize, DataError> {
    match length.checked_rem(shape.len()) {
        Some(0) => Ok(length / shape.len()),
        _ => Err(DataError::InputLength { length, shape }),
    }
}

fn matrix_mut<T>(data: &mut [T], examples: usize, shape: Shape) -> ArrayViewMut2<'_, T> {
    match ArrayViewMut2::from_shape((examples, shape.len()), data) {
        Ok(matrix) => matrix,
        Err(error) => unreachable!("a data set holds as many numbers as its shapes say: {error}"),
    }
}

fn check_input<T: Scalar>(input: usize, numbers: &[T], shape: Shape, names: &[String]) -> Result<(), DataError> {
    check_finite(numbers, shape, |place| ExampleNumber::Input { input, place, name: names.get(place).cloned() })
}

fn check_targets<T: Scalar>(numbers: &[T], shape: Shape) -> Result<(), DataError> {
    check_finite(numbers, shape, |place| ExampleNumber::Target { place })
}

/// Checks that all numbers are finite; `number` is that of an example at this place.
fn check_finite<T: Scalar>(
    numbers: &[T],
    shape: Shape,
    number: impl Fn(usize) -> ExampleNumber,
) -> Result<(), DataError> {
    match numbers.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        None => Ok(()),
        Some((place, x)) => {
            let (example, number) = (place / shape.len(), number(place % shape.len()));
            Err(DataError::NonFinite { example, number, value: x.to_f64() })
        }
    }
}

fn check_names(what: &'static str, expected: usize, names: &[String]) -> Result<(), DataError> {
    if names.is_empty() || names.len() == expected {
        return Ok(());
    }
    Err(DataError::Names { what, expected, got: names.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;
    use ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn, ShapeBuilder, array};

    fn message<V: std::fmt::Debug>(result: Result<V, DataError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn arrays_and_vectors_give_the_same_set() {
        let inputs = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let from_vec = Dataset::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3], vec![0, 2]).unwrap();
        assert_eq!(Dataset::from_array(inputs.clone(), vec![0, 2]).unwrap(), from_vec);
        let mut column_major = Array2::zeros((2, 3).f());
        column_major.assign(&inputs);
        assert!(!column_major.is_standard_layout());
        assert_eq!(Dataset::from_array(column_major, vec![0, 2]).unwrap(), from_vec);
        assert_eq!(from_vec.inputs().matrix(), inputs);
        assert_eq!((from_vec.len(), from_vec.classes()), (2, Some(3)));
    }

    #[test]
    fn a_sliced_array_keeps_only_its_slice() {
        let mut inputs = Array2::from_shape_fn((6, 2), |(i, j)| (2 * i + j) as f32);
        inputs.slice_axis_inplace(Axis(0), (2..4).into());
        let set = Dataset::from_array(inputs, vec![0, 0]).unwrap();
        assert_eq!(set.inputs().slice(), [4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn a_vector_is_one_number_for_each_example() {
        let set = Dataset::from_array(array![1.0, 2.0], array![3.0, 4.0]).unwrap();
        assert_eq!((set.input_shape(), set.target_shape()), (Shape::from([1]), Shape::from([1])));
        let targets = set.target_values().unwrap();
        assert_eq!(targets.matrix(), array![[3.0], [4.0]]);
        assert_eq!(set.classes(), None);
        assert!(set.class_names().is_empty());
    }

    #[test]
    fn images_keep_their_axes() {
        let set = Dataset::from_array(Array3::<f32>::zeros((5, 4, 3)), vec![0; 5]).unwrap();
        assert_eq!(set.input_shape(), Shape::from([4, 3]));
        let set = set.reshape([1, 4, 3]).unwrap();
        assert_eq!(set.inputs().images().dim(), (5, 1, 4, 3));
        assert_eq!(
            message(set.reshape([13])),
            "examples of shape 1x4x3 hold 12 numbers and can't be reshaped to 13, which holds 13"
        );
    }

    #[test]
    fn axes_without_examples_are_refused() {
        let targets = || Targets::<f32>::classes(vec![0], 1);
        assert!(message(Dataset::from_array(ndarray::arr0(1.0f32), targets())).contains("shape []"));
        assert!(message(Dataset::from_array(ArrayD::<f32>::zeros(IxDyn(&[1; 8])), targets())).contains("at most six"));
        assert!(message(Dataset::from_array(Array2::<f32>::zeros((1, 0)), targets())).contains("none of length 0"));
        let deep = ArrayD::<f32>::zeros(IxDyn(&[1; 8]));
        assert!(Dataset::from_array(Array1::<f32>::zeros(1), deep).is_err());
    }

    #[test]
    fn counts_must_agree() {
        assert_eq!(
            message(Dataset::<f32>::new(vec![], [3], vec![])),
            "the data set is empty, but at least one example is needed"
        );
        assert_eq!(
            message(Dataset::new(vec![0.0f32; 7], [2, 3], vec![0])),
            "7 numbers are not a whole number of examples of shape 2x3, which hold 6 each"
        );
        assert_eq!(
            message(Dataset::new(vec![0.0f32; 7], [0], vec![0])),
            "7 numbers are not a whole number of examples of shape 0, which hold 0 each"
        );
        assert_eq!(
            message(Dataset::new(vec![0.0; 6], [3], Targets::values(vec![0.0; 5], [2]))),
            "5 targets were given, but 2 examples with targets of shape 2 ask for 4"
        );
        assert_eq!(
            message(Dataset::new(vec![0.0; 2], [1], Targets::values(vec![], [usize::MAX]))),
            format!("0 targets were given, but 2 examples with targets of shape {0} ask for {0}", usize::MAX)
        );
    }

    #[test]
    fn numbers_must_be_finite_and_labels_in_range() {
        let names = ["height", "weight"];
        assert_eq!(
            message(Dataset::with_names(vec![1.0, 2.0, 3.0, f64::NEG_INFINITY], names, vec![0, 0])),
            "example 1 has -inf as its input 1 (`weight`); every number must be finite: \
             leave the example out or fill the gap"
        );
        assert!(
            message(Dataset::from_array(array![1.0], array![f64::NAN]))
                .starts_with("example 0 has NaN as its target 0;")
        );
        assert_eq!(
            message(Dataset::new(vec![0.0; 2], [1], Targets::classes(vec![1, 3], 3))),
            "label 1 is 3, but there are 3 classes, counted from 0"
        );
        assert!(Dataset::new(vec![0.0; 2], [1], vec![0, u32::MAX]).is_ok() || usize::BITS == 32);
    }

    #[test]
    fn names_must_be_as_many_as_the_named() {
        let set = Dataset::new(vec![0.0; 4], [2], Targets::named_classes(vec![0, 1], ["no", "yes"])).unwrap();
        assert_eq!(set.class_names(), ["no", "yes"]);
        assert_eq!(message(set.with_feature_names(["one"])), "2 features need as many names, but 1 were given");
        let targets = Targets::Classes { labels: vec![0], shape: Shape::from([]), classes: 2, names: vec!["a".into()] };
        assert_eq!(message(Dataset::new(vec![0.0], [1], targets)), "2 classes need as many names, but 1 were given");
    }

    #[test]
    fn a_selection_keeps_order_and_repetition() {
        let set = Dataset::with_names(vec![0.0, 1.0, 2.0], ["x"], Targets::values(vec![0.0, 10.0, 20.0], [1])).unwrap();
        let chosen = set.select(&[2, 0, 2]).unwrap();
        assert_eq!(chosen.into_parts(), (vec![2.0, 0.0, 2.0], Targets::values(vec![20.0, 0.0, 20.0], [1])));
        assert_eq!(
            message(set.select(&[0, 3])),
            "example 3 was asked for, but the data set has 3 examples, counted from 0"
        );
        assert_eq!(message(set.select(&[])), "the selection is empty, but at least one example is needed");
    }

    #[test]
    fn selections_of_random_shapes_hold_the_right_examples() {
        let mut stream = Seed(4).stream(0);
        let mut up_to = |n: usize| 1 + (stream.uniform() * n as f64) as usize;
        for _ in 0..200 {
            let (examples, rows, columns, steps) = (up_to(9), up_to(4), up_to(4), up_to(3));
            let inputs =
                ArrayD::from_shape_fn(IxDyn(&[examples, rows, columns]), |i| (100 * i[0] + 10 * i[1] + i[2]) as f32);
            let labels: Vec<u32> = (0..examples * steps).map(|i| i as u32).collect();
            let targets =
                Targets::Classes { labels, shape: Shape::from([steps]), classes: examples * steps, names: vec![] };
            let set = Dataset::from_array(inputs.clone(), targets).unwrap();
            let indices: Vec<usize> = (0..up_to(12)).map(|_| up_to(examples) - 1).collect();
            let chosen = set.select(&indices).unwrap();
            let Target::Classes(labels) = chosen.targets() else { unreachable!() };
            for (place, &index) in indices.iter().enumerate() {
                let example = inputs.index_axis(Axis(0), index);
                assert!(chosen.inputs().example(place).iter().eq(example.iter()));
                assert_eq!(labels[place * steps] as usize, index * steps);
            }
        }
    }

    #[test]
    fn further_inputs_stay_with_their_examples_and_as_they_are() {
        let set = Dataset::from_array(array![1.0, 4.0, 9.0], vec![0, 1, 1]).unwrap();
        let set = set.with_input(vec![10.0, 11.0, 40.0, 41.0, 90.0, 91.0], [2]).unwrap();
        let set = set.with_input(vec![100.0, 400.0, 900.0], []).unwrap();
        let chosen = set.select(&[2, 0, 2]).unwrap().map_inputs(f64::sqrt).unwrap().one_hot_targets().unwrap();
        let inputs: Vec<_> = chosen.all_inputs().map(|input| (input.shape(), input.slice().to_vec())).collect();
        let expected: [(Shape, Vec<f64>); 3] = [
            ([1].into(), vec![3.0, 1.0, 3.0]),
            ([2].into(), vec![90.0, 91.0, 10.0, 11.0, 90.0, 91.0]),
            ([].into(), vec![900.0, 100.0, 900.0]),
        ];
        assert_eq!(inputs, expected);
        assert_eq!(set.all_inputs().next().unwrap().slice(), set.inputs().slice());

        assert_eq!(
            message(set.clone().with_input(vec![1.0, 2.0], [1])),
            "input 3 has 2 examples, but the data set has 3; every input needs one row for each example"
        );
        assert!(message(set.clone().with_input(vec![1.0; 5], [2])).starts_with("5 numbers are not a whole number of"));
        assert!(message(set.clone().with_input(vec![], [0])).starts_with("0 numbers are not a whole number of"));
        assert!(
            message(set.with_input(vec![1.0, 2.0, 3.0, f64::NAN, 5.0, 6.0], [2]))
                .starts_with("example 1 has NaN as its input 3, number 1; every number must be finite")
        );
    }

    #[test]
    fn mapping_changes_inputs_alone() {
        let set = Dataset::from_array(array![1.0, 4.0], vec![0, 1]).unwrap();
        let mapped = set.clone().map_inputs(f64::sqrt).unwrap();
        assert_eq!(mapped.inputs().slice(), [1.0, 2.0]);
        assert!(message(set.map_inputs(|x| 1.0 / (x - 1.0))).starts_with("example 0 has inf as its input 0;"));
    }

    #[test]
    fn classes_become_one_hot_rows() {
        let set = Dataset::from_array(array![1.0, 4.0], vec![2, 0]).unwrap().one_hot_targets().unwrap();
        let targets = set.target_values().unwrap();
        assert_eq!(targets.matrix(), array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
        assert_eq!(
            message(set.one_hot_targets()),
            "one-hot encoding needs one class per example, but the data set has numbers as targets"
        );
    }
}
