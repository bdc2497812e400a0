//! How right a model is.

use downhill_data::{Schema, Table, Target};
use downhill_losses::Meaning;
use downhill_model::{Answers, Model, Predictions};
use downhill_tensor::{Batch, Outputs};
use downhill_train::Metric;
use downhill_train::metrics::{
    Accuracy, Average, ConfusionMatrix, F1, MeanAbsoluteError, RSquared, Recall, RocAuc, RootMeanSquaredError,
};
use serde::Serialize;

use crate::CliError;

/// Takes answers and what would have been right, table by table.
#[derive(Debug)]
pub struct Judge<'m> {
    model: &'m Model,
    schema: &'m Schema,
    metrics: Vec<Box<dyn Metric<f32>>>,
    confusion: ConfusionMatrix,
    surprise: f64,
    rows: usize,
}

/// How right a model is on some rows.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The rows that it was judged on.
    pub rows: usize,
    /// The measures, by name; one that is not defined on these rows is left out.
    pub measures: Vec<Measure>,
    /// How many rows of each class (first index) were taken for which (second); empty if numbers are predicted.
    pub confusion: Vec<Vec<f64>>,
    /// The names of the classes.
    pub classes: Vec<String>,
}

/// A measure of predictions.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// Its name, such as `accuracy`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Whether it is in the target's unit.
    #[serde(skip)]
    pub in_units: bool,
}

impl<'m> Judge<'m> {
    /// Makes a judge that has seen nothing.
    ///
    /// # Errors
    /// Returns an error if the model has no columns, or answers several questions at once.
    pub fn new(model: &'m Model) -> Result<Self, CliError> {
        let schema = model.schema().ok_or(CliError::NoColumns)?;
        let classes = model.class_names().len();
        let (mut metrics, meaning): (Vec<Box<dyn Metric<f32>>>, _) = match model.answers() {
            Answers::Values => (
                vec![
                    Box::new(MeanAbsoluteError::new()),
                    Box::new(RootMeanSquaredError::new()),
                    Box::new(RSquared::new()),
                ],
                Meaning::new(Outputs::Numbers),
            ),
            Answers::Classes => {
                let mut metrics: Vec<Box<dyn Metric<f32>>> = vec![
                    Box::new(Accuracy::new()),
                    Box::new(Recall::new(Average::Macro)),
                    Box::new(F1::new(Average::Macro)),
                ];
                if classes <= 2 {
                    metrics.push(Box::new(RocAuc::new()));
                }
                // What a model answers are probabilities, whatever its network's outputs are.
                let one = model.network().output_shape().len() == 1;
                (metrics, Meaning::new(if one { Outputs::Probabilities } else { Outputs::ClassProbabilities }))
            }
            _ => return Err(CliError::SeveralQuestions),
        };
        let mut confusion = ConfusionMatrix::new();
        Metric::<f32>::start(&mut confusion, meaning);
        metrics.iter_mut().for_each(|metric| metric.start(meaning));
        Ok(Self { model, schema, metrics, confusion, surprise: 0.0, rows: 0 })
    }

    /// Takes the rows of a table that have a target into account.
    ///
    /// # Errors
    /// Returns an error if a column is not there, a cell can't be read, or a class is none that the model knows.
    pub fn add(&mut self, table: &Table) -> Result<(), CliError> {
        let data = self.schema.dataset::<f32>(table)?;
        let answers = self.model.predict(&self.schema.complete(table)?)?;
        self.rows += data.len();
        let outputs = numbers(&answers);
        let y = Batch::new(&outputs, data.len(), self.model.network().output_shape())
            .map_err(downhill_tensor::BuildError::from)?;
        let refused = |error: downhill_losses::TargetError| CliError::Train(error.into());
        for metric in &mut self.metrics {
            metric.update(y, data.targets(), None).map_err(refused)?;
        }
        if let Target::Classes(labels) = data.targets() {
            self.confusion.update(y, data.targets(), None).map_err(refused)?;
            let width = self.model.network().output_shape().len();
            for (row, &label) in outputs.chunks_exact(width).zip(labels) {
                let p = match (row, label) {
                    (&[yes], 0) => 1.0 - yes,
                    (&[yes], _) => yes,
                    (row, label) => row.get(label as usize).copied().unwrap_or_default(),
                };
                self.surprise -= f64::from(p).max(f64::from(f32::MIN_POSITIVE)).ln();
            }
        }
        Ok(())
    }

    /// Says how right the answers were.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let classes = self.model.class_names().to_vec();
        let in_units = |name: &str| matches!(name, "mae" | "rmse");
        let mut measures: Vec<Measure> = self
            .metrics
            .iter()
            .map(|metric| (metric.name(), metric.value()))
            .map(|(name, value)| Measure { in_units: in_units(&name), name: title(&name), value })
            .collect();
        if self.model.answers() != Answers::Values {
            let value = self.surprise / self.rows as f64;
            measures.push(Measure { name: "log loss".to_owned(), value, in_units: false });
        }
        measures.retain(|measure| measure.value.is_finite());
        let confusion = match self.model.answers() {
            Answers::Values => Vec::new(),
            _ => {
                let count = self.confusion.classes();
                (0..count).map(|truth| (0..count).map(|told| self.confusion.count(truth, told)).collect()).collect()
            }
        };
        Verdict { rows: self.rows, measures, confusion, classes }
    }
}

/// The measure's name, as people look for it.
fn title(name: &str) -> String {
    match name {
        "recall" => "balanced accuracy".to_owned(),
        "f1" => "F1, mean of classes".to_owned(),
        "roc auc" => "ROC AUC".to_owned(),
        "mae" => "mean absolute error".to_owned(),
        "rmse" => "root mean squared error".to_owned(),
        "r2" => "R²".to_owned(),
        name => name.to_owned(),
    }
}

/// All numbers of some answers, row after row.
fn numbers(answers: &Predictions<'_, f32>) -> Vec<f32> {
    answers.iter().flat_map(|answer| answer.outputs().to_vec()).collect()
}

impl Verdict {
    /// The measure that falls smoothly as answers get better: log loss, or the root mean squared error of numbers.
    #[must_use]
    pub fn loss(&self) -> Option<&Measure> {
        let wanted = if self.confusion.is_empty() { "root mean squared error" } else { "log loss" };
        self.measures.iter().find(|measure| measure.name == wanted)
    }

    /// The measure that one looks at first: the share of right classes, or the R² of numbers.
    #[must_use]
    pub fn main(&self) -> Option<&Measure> {
        let wanted = if self.confusion.is_empty() { "R²" } else { "accuracy" };
        self.measures.iter().find(|measure| measure.name == wanted)
    }
}
