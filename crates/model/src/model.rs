use std::collections::BTreeMap;
use std::mem;

use downhill_data::{AnyScaler, Scaler, Schema};
use downhill_network::{CustomLayers, Network};
use downhill_tensor::{Outputs, Scalar, Shape};
use ndarray::{Array2, ArrayD, ArrayViewMut2, IxDyn};

use crate::{ModelBuilder, ModelError, Prediction, Predictions, Rows};

/// A trained network with all that an answer needs: the meaning of its columns, fitted scalers, class names or units,
/// and notes of the user's.
///
/// A model is asked with `&self`, from as many threads as there are. It is made by [`Model::builder`], and
/// [saved](Model::save) as one file that [`Model::open`] reads.
///
/// ```
/// use std::collections::HashMap;
/// use std::thread;
///
/// use downhill_data::{Columns, StandardScaler, Table};
/// use downhill_layers::Affine;
/// use downhill_model::Model;
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
///
/// let table = Table::read("size,colour,price\n3,red,1.5\n7,green,2.5\n5,red,2\n".as_bytes())?;
/// let schema = Columns::for_values(["price"]).numeric(["size"]).categorical(["colour"]).fit(&table)?;
/// let scaler = StandardScaler::fit(schema.inputs::<f32>(&table)?.view())?;
/// let network = Network::<f32>::build([3], Affine::new(1), Seed(1))?; // to be trained, on scaled inputs
///
/// let model = Model::builder(network).schema(schema).input_scaler(scaler).units(["EUR"]).build()?;
/// let record = HashMap::from([("size".to_owned(), "4"), ("colour".to_owned(), "red")]);
/// let answer = model.predict_one(&record)?.to_string();
/// assert!(answer.ends_with(" EUR"));
///
/// thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| assert_eq!(model.predict_one(&record).map(|found| found.to_string()).ok(), Some(answer.clone())));
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model<T = f32> {
    pub(crate) network: Network<T>,
    pub(crate) schema: Option<Schema>,
    pub(crate) input_scaler: Option<AnyScaler>,
    pub(crate) target_scaler: Option<AnyScaler>,
    pub(crate) units: Vec<String>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) custom: CustomLayers,
    pub(crate) library: String,
    pub(crate) answers: Answers,
}

/// What a model answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answers {
    /// One of several classes for each row; of a single output, yes or no.
    Classes,
    /// Yes or no to several independent questions.
    Questions,
    /// Values in the targets' units.
    Values,
}

/// Space for the prediction of one row, so that none is asked for: see [`Model::predict_into`].
#[derive(Clone, Debug)]
pub struct Buffer<T> {
    x: Vec<T>,
    y: Vec<T>,
    class: Option<u32>,
}

impl<T> Buffer<T> {
    /// The class of the last row, if the model answers with classes.
    #[must_use]
    pub fn class(&self) -> Option<u32> {
        self.class
    }

    /// The answer for the last row, as [`Model::predict_into`] returned it.
    #[must_use]
    pub fn outputs(&self) -> &[T] {
        &self.y
    }
}

impl<T: Scalar> Model<T> {
    /// Begins a model of a trained network.
    pub fn builder(network: Network<T>) -> ModelBuilder<T> {
        ModelBuilder::new(network)
    }

    /// Answers for rows: a table, records of named cells, or an array of features.
    ///
    /// # Errors
    /// Returns an error if a column is missing, a cell can't be read, the features do not fit the network, or an output
    /// is not a number where a class is asked for.
    pub fn predict(&self, rows: impl Rows<T>) -> Result<Predictions<'_, T>, ModelError> {
        let mut inputs = rows.inputs(self.schema.as_ref())?;
        if let (Some(scaler), Some(first)) = (&self.input_scaler, inputs.first_mut()) {
            let mut x = mem::replace(first, ArrayD::zeros(IxDyn(&[0])).into()).into_owned();
            scaler.transform(matrix(&mut x)?)?;
            *first = x.into();
        }
        let mut outputs = match inputs.as_slice() {
            [x] => self.network.predict(x)?,
            several => self.network.predict(several.iter().map(|x| x.view()).collect::<Vec<_>>().as_slice())?,
        };
        let classes = self.finish(&mut outputs)?;
        Ok(Predictions { model: self, outputs, classes })
    }

    /// Answers for one row.
    ///
    /// # Errors
    /// Returns the errors of [`predict`](Model::predict), and one if there is not exactly one row.
    pub fn predict_one(&self, row: impl Rows<T>) -> Result<Prediction<'_, T>, ModelError> {
        let answers = self.predict(row)?;
        let mut all = answers.iter();
        match (all.next(), all.len()) {
            (Some(answer), 0) => Ok(answer),
            _ => Err(ModelError::Count { what: "rows", of: "question about one", expected: 1, got: answers.len() }),
        }
    }

    /// Answers for one row of features, for a network of one input, in space of the caller's: after the first call
    /// nothing is allocated. Returns the numbers of the answer; [`Buffer::class`] has the class.
    ///
    /// # Errors
    /// Returns an error if the features or the buffer do not fit the network, or an output is not a number where a
    /// class is asked for.
    pub fn predict_into<'b>(&self, features: &[T], buffer: &'b mut Buffer<T>) -> Result<&'b [T], ModelError> {
        let Buffer { x, y, class } = buffer;
        let scaled = match &self.input_scaler {
            Some(scaler) => {
                let expected = scaler.features();
                if features.len() != expected || x.len() != expected {
                    let got = if features.len() == expected { x.len() } else { features.len() };
                    return Err(ModelError::Count { what: "features", of: "scaler", expected, got });
                }
                for ((feature, scaled), &x) in x.iter_mut().enumerate().zip(features) {
                    *scaled = T::from_f64(scaler.scale(feature, x.to_f64()));
                }
                &x[..]
            }
            None => features,
        };
        self.network.predict_into(scaled, y)?;
        *class = self.finish_row(y)?;
        Ok(y)
    }

    /// Makes space for [`predict_into`](Model::predict_into).
    #[must_use]
    pub fn buffer(&self) -> Buffer<T> {
        let len = |shape: Shape| vec![T::ZERO; shape.len()];
        let x = self.input_scaler.as_ref().map_or(0, Scaler::features);
        Buffer { x: vec![T::ZERO; x], y: len(self.network.output_shape()), class: None }
    }

    /// Takes the model apart into its parts, to [build](ModelBuilder::build) one of it that differs in some.
    pub fn into_builder(self) -> ModelBuilder<T> {
        ModelBuilder::from_model(self)
    }

    /// What the model answers with.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The network alone, as to train it on. What it learns then is no longer part of this model.
    #[must_use]
    pub fn into_network(self) -> Network<T> {
        self.network
    }

    /// The meaning of the columns, if the model was trained on a table.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The change of units in front of the network.
    #[must_use]
    pub fn input_scaler(&self) -> Option<&AnyScaler> {
        self.input_scaler.as_ref()
    }

    /// The change of units that the network's targets had in training.
    #[must_use]
    pub fn target_scaler(&self) -> Option<&AnyScaler> {
        self.target_scaler.as_ref()
    }

    /// The names of the classes; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        self.network.class_names()
    }

    /// The unit of each value; empty if none were given.
    #[must_use]
    pub fn units(&self) -> &[String] {
        &self.units
    }

    /// The user's notes, by name.
    #[must_use]
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// The version of the library that made the model: this one's, or what the file says.
    #[must_use]
    pub fn library_version(&self) -> &str {
        &self.library
    }

    pub(crate) fn class_name(&self, class: u32) -> Option<&str> {
        self.class_names().get(class as usize).map(String::as_str)
    }

    pub(crate) fn expect(&self, answers: Answers, wanted: &'static str) -> Result<(), ModelError> {
        if self.answers == answers {
            return Ok(());
        }
        Err(ModelError::Answer { wanted, answers: self.answers_name() })
    }

    pub(crate) fn answers_name(&self) -> &'static str {
        match self.answers {
            Answers::Values => "values",
            Answers::Classes if self.gives_probabilities() => "classes and their probabilities",
            Answers::Classes => "classes",
            Answers::Questions if self.gives_probabilities() => "the probabilities of independent questions",
            Answers::Questions => "the scores of independent questions",
        }
    }

    pub(crate) fn gives_probabilities(&self) -> bool {
        let scores = |outputs| matches!(outputs, Outputs::Numbers | Outputs::ClassScores | Outputs::Scores);
        self.answers != Answers::Values && self.network.meaning().outputs.is_some_and(|outputs| !scores(outputs))
    }

    /// Turns the network's outputs into answers, in place, and returns the classes if there are any.
    fn finish(&self, outputs: &mut Array2<T>) -> Result<Vec<u32>, ModelError> {
        if self.answers == Answers::Values && self.target_scaler.is_none() {
            return Ok(Vec::new());
        }
        let mut classes = Vec::with_capacity(outputs.nrows());
        for mut y in outputs.rows_mut() {
            // The rows of an owned array lie one number after another.
            classes.extend(self.finish_row(y.as_slice_mut().unwrap_or_default())?);
        }
        Ok(classes)
    }

    fn finish_row(&self, y: &mut [T]) -> Result<Option<u32>, ModelError> {
        if self.answers == Answers::Values {
            for (target, y) in y.iter_mut().enumerate() {
                if let Some(scaler) = &self.target_scaler {
                    *y = T::from_f64(scaler.unscale(target, y.to_f64()));
                }
            }
            return Ok(None);
        }
        Ok(match (self.answers == Answers::Classes, self.gives_probabilities()) {
            (true, true) => Some(self.network.class_and_probabilities(y)?),
            (true, false) => Some(self.network.class_of(y)?),
            (false, true) => self.network.to_probabilities(y).map(|()| None)?,
            (false, false) => None,
        })
    }
}

impl Answers {
    pub(crate) fn of<T: Scalar>(network: &Network<T>) -> Self {
        match network.meaning().outputs {
            Some(outputs) if outputs.is_one_of_several() => Self::Classes,
            _ if !network.class_names().is_empty() => Self::Classes,
            Some(Outputs::Numbers) | None => Self::Values,
            Some(_) if network.output_shape().len() == 1 => Self::Classes,
            Some(_) => Self::Questions,
        }
    }
}

/// An array as rows of numbers.
fn matrix<T: Scalar>(x: &mut ArrayD<T>) -> Result<ArrayViewMut2<'_, T>, ModelError> {
    let rows = x.shape().first().copied().unwrap_or(1);
    let columns = x.shape().iter().skip(1).product();
    let flat = x.as_slice_mut().unwrap_or_default();
    match ArrayViewMut2::from_shape((rows, columns), flat) {
        Ok(matrix) => Ok(matrix),
        Err(_) => Err(ModelError::Part { part: "the array", reason: "its numbers do not lie in rows" }),
    }
}
