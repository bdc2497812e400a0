use downhill_tensor::Scalar;

use super::{ArrayFile, ExampleLayout, Rows, Source};
use crate::{DataError, Targets};

/// Examples whose inputs and targets are rows of [`ArrayFile`]s: row i of each belongs to example i.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
/// use downhill_data::npy;
/// use downhill_data::source::{ArrayFile, ArraySource, SourceBatches};
/// use downhill_tensor::Seed;
/// use ndarray::{Array1, Array2};
///
/// npy::write_path(&x, &Array2::from_shape_fn((100, 3), |(i, j)| (3 * i + j) as f32))?;
/// npy::write_path(&y, &Array1::from_shape_fn(100, |i| (i % 2) as u8))?;
///
/// let source = ArraySource::classes(ArrayFile::npy(&x)?, ArrayFile::npy(&y)?, 2)?;
/// let mut batches = SourceBatches::<f32>::shuffled(source, 8, Seed(1))?;
/// let batch = batches.next_batch()?.expect("there are 13 batches");
/// assert_eq!(batch.inputs.example(0)[0], 3.0 * batch.indices[0] as f32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ArraySource {
    layout: ExampleLayout,
    inputs: Vec<ArrayFile>,
    targets: ArrayFile,
    weights: Option<ArrayFile>,
    rows: usize,
    next: usize,
}

impl ArraySource {
    /// Reads inputs, and the label of each example, out of `classes`; several labels in a row are one for each step.
    ///
    /// # Errors
    /// Returns an error if the files have different numbers of rows.
    pub fn classes(inputs: ArrayFile, labels: ArrayFile, classes: usize) -> Result<Self, DataError> {
        let layout = ExampleLayout::classes(inputs.shape(), classes);
        let layout = if labels.shape().len() == 1 { layout } else { layout.with_target_shape(labels.shape()) };
        Self::new(layout, inputs, labels)
    }

    /// Reads inputs, and targets that are numbers.
    ///
    /// # Errors
    /// Returns an error if the files have different numbers of rows.
    pub fn values(inputs: ArrayFile, targets: ArrayFile) -> Result<Self, DataError> {
        let layout = ExampleLayout::values(inputs.shape(), targets.shape());
        Self::new(layout, inputs, targets)
    }

    fn new(layout: ExampleLayout, inputs: ArrayFile, targets: ArrayFile) -> Result<Self, DataError> {
        let (rows, got) = (inputs.rows(), targets.rows());
        if rows != got {
            let (shape, each) = (targets.shape(), targets.shape().len());
            let (expected, got) = (rows.saturating_mul(each), got.saturating_mul(each));
            return Err(DataError::TargetLength { examples: rows, shape, expected, got });
        }
        Ok(Self { layout, inputs: vec![inputs], targets, weights: None, rows, next: 0 })
    }

    /// Adds a file with one more input of each example.
    ///
    /// # Errors
    /// Returns an error if it has another number of rows.
    pub fn with_input(mut self, file: ArrayFile) -> Result<Self, DataError> {
        if file.rows() != self.rows {
            let (input, expected, got) = (self.inputs.len(), self.rows, file.rows());
            return Err(DataError::InputExamples { input, expected, got });
        }
        self.layout = self.layout.with_input(file.shape());
        self.inputs.push(file);
        Ok(self)
    }

    /// Adds a file with the weight of each example, or of each of its targets.
    ///
    /// # Errors
    /// Returns an error if there are neither as many weights as examples nor as many as targets.
    pub fn with_weights(mut self, file: ArrayFile) -> Result<Self, DataError> {
        let (each, targets) = (file.shape().len(), self.layout.target_shape().len());
        self.layout = match each {
            _ if file.rows() != self.rows => {
                let (examples, targets) = (self.rows, self.rows.saturating_mul(targets));
                return Err(DataError::WeightCount { examples, targets, got: file.rows().saturating_mul(each) });
            }
            1 => self.layout.weighted(),
            each if each == targets => self.layout.weighted_targets(),
            each => {
                let (examples, targets) = (self.rows, self.rows.saturating_mul(targets));
                return Err(DataError::WeightCount { examples, targets, got: self.rows.saturating_mul(each) });
            }
        };
        self.weights = Some(file);
        Ok(self)
    }

    /// Sets a name for each number of the first input.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than numbers.
    pub fn feature_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        self.layout = self.layout.with_feature_names(names)?;
        Ok(self)
    }

    /// Sets a name for each class.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than classes.
    pub fn class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        self.layout = self.layout.with_class_names(names)?;
        Ok(self)
    }
}

impl<T: Scalar> Source<T> for ArraySource {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn examples(&self) -> Option<u64> {
        Some(self.rows as u64)
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.next = 0;
        self.inputs.iter().chain([&self.targets]).chain(&self.weights).try_for_each(ArrayFile::check)
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        let end = self.next.saturating_add(most).min(self.rows);
        let places: Vec<usize> = (self.next..end).collect();
        self.next = end;
        self.read_at(&places, rows)
    }

    fn is_addressable(&self) -> bool {
        true
    }

    fn read_at(&mut self, places: &[usize], rows: &mut Rows<T>) -> Result<(), DataError> {
        let inputs = self.inputs.iter_mut().zip(&mut rows.inputs);
        for (from, to) in inputs.chain(self.weights.iter_mut().zip(&mut rows.weights)) {
            from.read_numbers(places, &mut to.values)?;
        }
        match &mut rows.targets {
            Targets::Values { values, .. } => self.targets.read_numbers(places, values)?,
            Targets::Classes { labels, .. } => self.targets.read_labels(places, labels)?,
        }
        rows.len += places.len();
        Ok(())
    }
}
