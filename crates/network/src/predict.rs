//! The doors for answers: arrays, vectors and single examples in; numbers, probabilities, classes and names out.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use downhill_layers::{Inputs, Mode};
use downhill_losses::{ClassAxis, Loss, Meaning};
use downhill_tensor::{Batch, BuildError, Examples, Outputs, Scalar, Shape, ShapeError};
use ndarray::Array2;

use crate::network::batch_of;
use crate::{Network, Purpose, Workspace};

/// The way to read a network's outputs that training has told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) meaning: Meaning,
    pub(crate) class_names: Arc<[String]>,
}

/// Why a network has no answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PredictError {
    /// The inputs do not fit the network.
    Build(BuildError),
    /// An output is not a number, so no class is the right one.
    NotANumber {
        /// The example, counted from 0.
        example: usize,
        /// Which of its outputs.
        output: usize,
    },
    /// The outputs mean something else than what was asked for.
    Meaning {
        /// The answer that was asked for, such as `a class`.
        wanted: &'static str,
        /// The rest of the sentence: what the outputs are, and what to do.
        reason: String,
    },
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::NotANumber { example, output } => write!(
                f,
                "output {output} of example {example} is not a number, so it belongs to no class; look for numbers that \
                 are not finite among the inputs and the parameters"
            ),
            Self::Meaning { wanted, reason } => write!(f, "the network's outputs don't give {wanted}: {reason}"),
        }
    }
}

impl Error for PredictError {}

impl From<ShapeError> for PredictError {
    fn from(error: ShapeError) -> Self {
        Self::Build(error.into())
    }
}

impl From<BuildError> for PredictError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl<T: Scalar> Network<T> {
    /// The meaning of the outputs: what the last layer makes them, or else what the loss took them for that the network
    /// was trained with. Unknown outputs are read as logits.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.meaning_with(self.reading.meaning)
    }

    /// The meaning of the outputs next to this loss: that which the last layer gives them, or else the loss's.
    #[must_use]
    pub fn meaning_by(&self, loss: &impl Loss) -> Meaning {
        self.meaning_with(loss.meaning())
    }

    fn meaning_with(&self, mut meaning: Meaning) -> Meaning {
        meaning.outputs = self.program().meaning().or(meaning.outputs);
        meaning
    }

    /// Says how outputs are to be read. A trainer does so with its loss's [`meaning`](Loss::meaning).
    pub fn set_meaning(&mut self, meaning: Meaning) {
        self.reading.meaning = meaning;
    }

    /// The names of the classes; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.reading.class_names
    }

    /// Names the classes. A trainer does so if its data have names.
    pub fn set_class_names<S: Into<String>>(&mut self, names: impl IntoIterator<Item = S>) {
        self.reading.class_names = names.into_iter().map(Into::into).collect();
    }

    /// Predicts a batch: (batch, ...) in, (batch, outputs) out, each example of the output flattened to a row.
    ///
    /// Takes a reference to an array, rows, a [`Batch`], or for a network of several inputs a tuple of these in the
    /// order in which its graph has them: see [`Examples`].
    /// Buffers are kept behind the scenes and used again; [`forward`](Network::forward) makes no array for its result
    /// either, and leaves it in a workspace of yours.
    ///
    /// ```
    /// use downhill_layers::{Affine, Gru};
    /// use downhill_network::{Graph, Network};
    /// use downhill_tensor::Seed;
    /// use ndarray::array;
    ///
    /// let network = Network::<f32>::build([2], Affine::new(3), Seed(1))?;
    /// assert_eq!(network.predict(&array![[0.5, -1.0]])?, network.predict([[0.5, -1.0]])?);
    ///
    /// let mut graph = Graph::new();
    /// let (sequence, length) = (graph.input([3, 1]), graph.input([1]));
    /// let state = graph.apply(Gru::new(4).lengths().last_state(), &[sequence, length])?;
    /// let score = graph.apply(Affine::new(2), &[state])?;
    /// let network = Network::<f32>::from_graph(&graph, score, Seed(1))?;
    ///
    /// // The second example has one step, so what stands beyond it makes no difference.
    /// let (x, lengths) = (array![[0.1, 0.2, 0.3], [0.4, 9.0, 9.0]], array![3.0, 1.0]);
    /// let y = network.predict((&x, &lengths))?;
    /// assert_eq!(y.row(1), network.predict(([[0.4, 0.0, 0.0]], [[1.0]]))?.row(0));
    /// # Ok::<(), downhill_tensor::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there are more or fewer inputs than the network has, or they do not fit it or each other.
    pub fn predict(&self, x: impl Examples<T>) -> Result<Array2<T>, BuildError> {
        self.with_prediction(x, |y| y.matrix().to_owned())
    }

    /// Predicts one example of a network of one input: a vector in, a vector out.
    ///
    /// ```
    /// use downhill_layers::{Affine, Tanh};
    /// use downhill_network::{Network, sequential};
    /// use downhill_tensor::Seed;
    ///
    /// let network = Network::<f32>::build([2], sequential![Affine::new(8), Tanh, Affine::new(3)], Seed(1))?;
    /// assert_eq!(network.predict_one(&[0.5, -1.0])?.len(), 3);
    /// assert!(network.classify_one(&[0.5, -1.0])? < 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if x does not fit the network.
    pub fn predict_one(&self, x: &[T]) -> Result<Vec<T>, BuildError> {
        self.with_one(x, |y| y.slice().to_vec())
    }

    /// Overwrites `y` with the prediction for one example of a network of one input. After the first call nothing is
    /// allocated.
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, or y its output.
    pub fn predict_into(&self, x: &[T], y: &mut [T]) -> Result<(), BuildError> {
        self.check_output(y.len())?;
        self.with_one(x, |prediction| y.copy_from_slice(prediction.slice()))
    }

    /// Classifies one example of a network of one input; see [`classify`](Network::classify).
    ///
    /// # Errors
    /// Returns the errors of [`classify`](Network::classify).
    pub fn classify_one(&self, x: &[T]) -> Result<u32, PredictError> {
        let reader = self.one_class()?;
        self.with_one(x, |y| reader.class(y.slice(), 0, 0))?
    }

    /// Classifies each example of a batch, or each of its positions: the class is that with the largest output, the
    /// first of several. A single output is read as the answer to a yes-or-no question: class 1 above 0, or above ½ if
    /// it is a probability, as [`meaning`](Network::meaning) says.
    ///
    /// ```
    /// use downhill_layers::{Affine, Sigmoid};
    /// use downhill_network::{Network, sequential};
    /// use downhill_tensor::Seed;
    /// use ndarray::array;
    ///
    /// let mut network = Network::<f32>::build([1], sequential![Affine::new(1), Sigmoid], Seed(1))?;
    /// network.parameters_mut().copy_from_slice(&[1.0, 0.0]); // y = σ(x)
    /// assert_eq!(network.classify(&array![[-2.0], [-0.1], [0.1]])?, [0, 0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, an output is not a number, or the outputs are the answers to
    /// several independent questions, for which [`answers`](Network::answers) is made.
    pub fn classify(&self, x: impl Examples<T>) -> Result<Vec<u32>, PredictError> {
        let reader = self.classes("a class for each example")?;
        self.with_prediction(x, |y| {
            let places = (0..y.examples()).flat_map(|example| (0..reader.positions()).map(move |p| (example, p)));
            places.map(|(example, position)| reader.class(y.example(example), example, position)).collect()
        })?
    }

    /// Names each example's class, if the classes have names: those of the data that the network was trained on.
    ///
    /// # Errors
    /// Returns the errors of [`classify`](Network::classify), and an error if a class has no name.
    pub fn classify_names(&self, x: impl Examples<T>) -> Result<Vec<&str>, PredictError> {
        let names = self.class_names();
        let name = |class: u32| {
            names.get(class as usize).map(String::as_str).ok_or_else(|| PredictError::Meaning {
                wanted: "the names of classes",
                reason: format!(
                    "there are {} names, but class {class} was predicted; name all classes with `set_class_names`",
                    names.len()
                ),
            })
        };
        self.classify(x)?.into_iter().map(name).collect()
    }

    /// Answers several independent yes-or-no questions for each example of a batch.
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, an output is not a number, or the outputs are the scores of
    /// several classes of which one is right, for which [`classify`](Network::classify) is made.
    pub fn answers(&self, x: impl Examples<T>) -> Result<Array2<bool>, PredictError> {
        let outputs = self.meaning().outputs.unwrap_or(Outputs::Logits);
        if outputs.is_one_of_several() && self.output_shape().len() > 1 {
            let reason = "they say which one of several classes is right; use `classify`".into();
            return Err(PredictError::Meaning { wanted: "independent answers", reason });
        }
        let y = self.predict(x)?;
        if let Some(((example, output), _)) = y.indexed_iter().find(|(_, y)| y.is_nan()) {
            return Err(PredictError::NotANumber { example, output });
        }
        Ok(y.mapv(|y| y.to_f64() > outputs.threshold()))
    }

    /// The probability of each class, or of yes for each independent question, for each example of a batch: what a
    /// softmax or a sigmoid makes of logits, an exponential of logarithms, and probabilities as they are.
    ///
    /// ```
    /// use downhill_layers::Affine;
    /// use downhill_losses::{Loss, SoftmaxCrossEntropy};
    /// use downhill_network::Network;
    /// use downhill_tensor::Seed;
    /// use ndarray::array;
    ///
    /// let mut network = Network::<f64>::build([1], Affine::new(3), Seed(1))?;
    /// network.parameters_mut().copy_from_slice(&[0.0, 0.0, 0.0, 0.0, 0.0, 2.0_f64.ln()]);
    /// network.set_meaning(SoftmaxCrossEntropy::new().meaning()); // as training with this loss does
    /// let p = network.probabilities(&array![[1.0]])?;
    /// assert!((p[[0, 2]] - 0.5).abs() < 1e-15 && (p.sum() - 1.0).abs() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, or the outputs are not known to be probabilities, their
    /// logarithms, or logits.
    pub fn probabilities(&self, x: impl Examples<T>) -> Result<Array2<T>, PredictError> {
        let mut y = self.predict(x)?;
        for mut row in y.rows_mut() {
            // The rows of an owned array lie one number after another.
            self.to_probabilities(row.as_slice_mut().unwrap_or_default())?;
        }
        Ok(y)
    }

    /// Overwrites the outputs `y` for one example with probabilities; see [`probabilities`](Network::probabilities).
    ///
    /// # Errors
    /// Returns an error if y is not as long as the output, or the outputs are not known to be probabilities, their
    /// logarithms, or logits.
    pub fn to_probabilities(&self, y: &mut [T]) -> Result<(), PredictError> {
        self.check_output(y.len())?;
        let meaning = self.meaning();
        let wanted = "probabilities";
        let each = |y: &mut [T], function: fn(T) -> T| y.iter_mut().for_each(|y| *y = function(*y));
        match meaning.outputs {
            Some(Outputs::ClassLogits) => Classes::new(self.output_shape(), meaning)?.softmax(y),
            Some(Outputs::Logits) => each(y, Scalar::sigmoid),
            Some(Outputs::ClassLogProbabilities | Outputs::LogProbabilities) => each(y, Scalar::exp),
            Some(Outputs::ClassProbabilities | Outputs::Probabilities) => {}
            Some(other) => {
                return Err(PredictError::Meaning { wanted, reason: format!("they are {}", other.name()) });
            }
            None => {
                let reason = "neither the last layer nor a loss has said what they are; train the network, or say so \
                              with `set_meaning`";
                return Err(PredictError::Meaning { wanted, reason: reason.into() });
            }
        }
        Ok(())
    }

    /// Reads the class from the outputs `y` for one example, as [`classify_one`](Network::classify_one) does.
    ///
    /// # Errors
    /// Returns an error if y is not as long as the output, an output is not a number, or the outputs are not those of
    /// one class.
    pub fn class_of(&self, y: &[T]) -> Result<u32, PredictError> {
        self.check_output(y.len())?;
        self.one_class()?.class(y, 0, 0)
    }

    /// Reads the class from the outputs `y` for one example and overwrites them with probabilities: what
    /// [`class_of`](Network::class_of) and then [`to_probabilities`](Network::to_probabilities) do, in one.
    ///
    /// # Errors
    /// Returns the errors of both.
    pub fn class_and_probabilities(&self, y: &mut [T]) -> Result<u32, PredictError> {
        self.check_output(y.len())?;
        let reader = self.one_class()?;
        let class = reader.class(y, 0, 0)?;
        if reader.count > 1 && self.meaning().outputs == Some(Outputs::ClassLogits) {
            // The class is that of the largest logit.
            reader.softmax_below(y[class as usize], y, 0);
        } else {
            self.to_probabilities(y)?;
        }
        Ok(class)
    }

    /// Reads the class of each position from the probabilities `p` for one example, such as the mean of those of several
    /// networks: that with the largest, or class 1 of a single one above ½.
    ///
    /// # Errors
    /// Returns an error if p is not as long as the output, a probability is not a number, or they are the answers to
    /// several independent questions.
    pub fn classes_by_probability(&self, p: &[T]) -> Result<Vec<u32>, PredictError> {
        self.check_output(p.len())?;
        let reader = Classes { threshold: Outputs::Probabilities.threshold(), ..self.classes("a class")? };
        (0..reader.positions()).map(|position| reader.class(p, 0, position)).collect()
    }

    fn check_output(&self, got: usize) -> Result<(), ShapeError> {
        let expected = self.output_shape().len();
        if got == expected { Ok(()) } else { Err(ShapeError::Length { what: "the prediction".into(), expected, got }) }
    }

    /// How the one class of an example is read.
    fn one_class(&self) -> Result<Classes, PredictError> {
        let reader = self.classes("a class")?;
        if reader.positions() != 1 {
            let reason = format!("one example has {} positions with a class each; use `classify`", reader.positions());
            return Err(PredictError::Meaning { wanted: "one class", reason });
        }
        Ok(reader)
    }

    fn classes(&self, wanted: &'static str) -> Result<Classes, PredictError> {
        let meaning = self.meaning();
        let reader = Classes::new(self.output_shape(), meaning)?;
        match meaning.outputs {
            Some(outputs) if reader.count > 1 && !outputs.is_one_of_several() && outputs != Outputs::Numbers => {
                let reason = format!(
                    "its {} outputs are {}, each the answer to a question of its own; use `answers`",
                    reader.count,
                    outputs.name()
                );
                Err(PredictError::Meaning { wanted, reason })
            }
            _ => Ok(reader),
        }
    }

    /// Shows `read` the prediction for inputs given as arrays.
    fn with_prediction<R>(
        &self,
        examples: impl Examples<T>,
        read: impl FnOnce(Batch<'_, T>) -> R,
    ) -> Result<R, BuildError> {
        let arrays = examples.arrays()?;
        self.check_count(arrays.len())?;
        let contiguous: Vec<_> = arrays.iter().map(|array| array.as_standard_layout()).collect();
        let mut x = Inputs::empty();
        for (index, (input, shape)) in contiguous.iter().zip(self.input_shapes()).enumerate() {
            x.set(index, batch_of(input, shape)?);
        }
        self.with_kept_workspace(x, read)
    }

    /// Shows `read` the prediction for one example.
    fn with_one<R>(&self, x: &[T], read: impl FnOnce(Batch<'_, T>) -> R) -> Result<R, BuildError> {
        self.check_count(1)?;
        let shape = self.program().nodes[self.program().inputs[0]];
        self.with_kept_workspace(Batch::new(x, 1, shape)?.into(), read)
    }

    /// Predicts in a workspace that is kept for the next prediction, also after an error.
    fn with_kept_workspace<R>(&self, x: Inputs<'_, T>, read: impl FnOnce(Batch<'_, T>) -> R) -> Result<R, BuildError> {
        let kept = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut workspace: Workspace<T> = kept.unwrap_or_else(|| self.workspace(Purpose::Prediction));
        let answer = self.forward(self.parameters(), x, &mut workspace, Mode::Evaluation).map(read);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(workspace);
        }
        answer
    }
}

/// The places of the scores of classes in one prediction, and how a class is read from them.
#[derive(Clone, Copy, Debug)]
struct Classes {
    count: usize,
    outer: usize,
    inner: usize,
    threshold: f64,
}

impl Classes {
    fn new(shape: Shape, meaning: Meaning) -> Result<Self, PredictError> {
        let (outer, count, inner) = match (shape.axes(), meaning.class_axis) {
            ([], _) => (1, 1, 1),
            (&[count, ref positions @ ..], ClassAxis::First) => (1, count, positions.iter().product()),
            (&[ref positions @ .., count], ClassAxis::Last) => (positions.iter().product(), count, 1),
        };
        if count == 0 {
            let reason = format!("their shape is {shape}, which has no class");
            return Err(PredictError::Meaning { wanted: "a class", reason });
        }
        let threshold = meaning.outputs.unwrap_or(Outputs::Logits).threshold();
        Ok(Self { count, outer, inner, threshold })
    }

    fn positions(&self) -> usize {
        self.outer * self.inner
    }

    /// The place of the first class's number at a position; the others follow, `inner` apart.
    fn first(&self, position: usize) -> usize {
        position / self.inner * self.count * self.inner + position % self.inner
    }

    /// The class at a position of the prediction `y` of one example.
    fn class<T: Scalar>(&self, y: &[T], example: usize, position: usize) -> Result<u32, PredictError> {
        let first = self.first(position);
        let place = |class| first + class * self.inner;
        if let Some(output) = (0..self.count).map(place).find(|&output| y[output].is_nan()) {
            return Err(PredictError::NotANumber { example, output });
        }
        if self.count == 1 {
            return Ok(u32::from(y[first].to_f64() > self.threshold));
        }
        let larger = |best, class| if y[place(class)] > y[place(best)] { class } else { best };
        Ok((1..self.count).fold(0, larger) as u32)
    }

    /// Makes probabilities of the logits of each position.
    fn softmax<T: Scalar>(&self, y: &mut [T]) {
        for position in 0..self.positions() {
            let first = self.first(position);
            let place = |class| first + class * self.inner;
            let largest = (0..self.count).fold(-T::INFINITY, |largest, class| largest.max(y[place(class)]));
            self.softmax_below(largest, y, first);
        }
    }

    /// Makes probabilities of the logits of one position, of which the largest is known.
    fn softmax_below<T: Scalar>(&self, largest: T, y: &mut [T], first: usize) {
        let place = |class| first + class * self.inner;
        let mut sum = T::ZERO;
        for class in 0..self.count {
            let y = &mut y[place(class)];
            *y = (*y - largest).exp();
            sum += *y;
        }
        (0..self.count).for_each(|class| y[place(class)] /= sum);
    }
}
