use std::path::Path;

use downhill_data::{DataError, Schema, Table};
use downhill_losses::{Meaning, Target, TargetError};
use downhill_model::{Answers, Model};
use downhill_tensor::{Batch, Outputs, Scalar};
use downhill_train::metrics::{
    Accuracy, ConfusionMatrix, ExpectedCalibrationError, LogLoss, MeanAbsoluteError, Metric, RSquared, RocAuc,
    RootMeanSquaredError,
};
use downhill_train::{History, TrainError};

use crate::text::{grouped, number};
use crate::words::Word;
use crate::{
    ConfusionPlot, HistogramPlot, HistoryPlot, Language, PlotError, PlotHistory, PlotNetwork, PrecisionRecallPlot,
    PredictedPlot, ReliabilityPlot, Report, ResidualPlot, RocPlot,
};

/// A report of how right a model is on tables, with the pictures that suit it, as one HTML file.
///
/// Of classes it shows which was taken for which, ROC and precision–recall curves, and whether probabilities are what they
/// say; of numbers, predicted ones against true ones and the residuals. The network and its weights follow.
///
/// ```
/// use downhill_data::{Columns, Table};
/// use downhill_layers::Affine;
/// use downhill_model::Model;
/// use downhill_network::Network;
/// use downhill_plot::ModelReport;
/// use downhill_tensor::Seed;
///
/// let table = Table::read("size,price\n3,1.5\n7,2.5\n5,2\n".as_bytes())?;
/// let schema = Columns::for_values(["price"]).numeric(["size"]).fit(&table)?;
/// let network = Network::<f32>::build([1], Affine::new(1), Seed(1))?; // to be trained
/// let model = Model::builder(network).schema(schema).units(["EUR"]).build()?;
///
/// let mut report = ModelReport::new(&model)?;
/// report.add(&table)?;
/// let html = report.report()?.to_html();
/// assert!(html.contains("<h1>Report on price</h1>") && html.contains("true (EUR)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelReport<'m, T = f32> {
    model: &'m Model<T>,
    schema: &'m Schema,
    language: Language,
    histories: Vec<HistoryPlot>,
    outputs: Vec<T>,
    labels: Vec<u32>,
    values: Vec<T>,
    rows: usize,
}

/// The most classes that have curves of their own.
const MOST_CURVES: usize = 8;

impl<'m, T: Scalar> ModelReport<'m, T> {
    /// Begins a report of no rows.
    ///
    /// # Errors
    /// Returns an error if the model has no columns, or answers several questions at once.
    pub fn new(model: &'m Model<T>) -> Result<Self, PlotError> {
        let what = "a report of the model";
        let schema =
            model.schema().ok_or_else(|| PlotError::data(what, "it has no columns, so no table can be read"))?;
        if !matches!(model.answers(), Answers::Classes | Answers::Values) {
            return Err(PlotError::data(what, "it answers several questions at once; plot each by itself"));
        }
        Ok(Self {
            model,
            schema,
            language: Language::English,
            histories: Vec::new(),
            outputs: Vec::new(),
            labels: Vec::new(),
            values: Vec::new(),
            rows: 0,
        })
    }

    /// Sets the language; English unless set.
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Adds the history of a run that trained the model, to show its losses by epoch; several if it is an ensemble.
    #[must_use]
    pub fn history(mut self, history: &History) -> Self {
        self.histories.push(history.plot());
        self
    }

    /// Takes the rows of a table that have a target into account.
    ///
    /// # Errors
    /// Returns an error if no row has a target, a column is not there, a cell can't be read, or a class is none that the
    /// model knows.
    pub fn add(&mut self, table: &Table) -> Result<(), PlotError> {
        let data = self.schema.dataset::<T>(table)?;
        let answers = self.model.predict(&self.schema.complete(table)?)?;
        match data.targets() {
            Target::Classes(labels) => self.labels.extend(labels),
            Target::Values(values) => self.values.extend(values),
        }
        answers.iter().for_each(|answer| self.outputs.extend(answer.outputs()));
        self.rows += data.len();
        Ok(())
    }

    fn say(&self, word: Word) -> &'static str {
        word.of(self.language)
    }

    /// The targets of all rows.
    fn targets(&self) -> Target<'_, T> {
        match self.model.answers() {
            Answers::Values => Target::Values(&self.values),
            _ => Target::Classes(&self.labels),
        }
    }

    /// What the model's answers mean: values, or probabilities whatever its network's outputs are.
    fn meaning(&self) -> Meaning {
        let is_one = self.model.network().output_shape().len() == 1;
        Meaning::new(match self.model.answers() {
            Answers::Values => Outputs::Numbers,
            _ if is_one => Outputs::Probabilities,
            _ => Outputs::ClassProbabilities,
        })
    }

    /// Shows all answers to a metric.
    fn measure<M: Metric<T>>(&self, mut metric: M) -> Result<M, PlotError> {
        let y = Batch::new(&self.outputs, self.rows, self.model.network().output_shape())
            .map_err(downhill_tensor::BuildError::from)?;
        metric.start(self.meaning());
        metric.update(y, self.targets(), None).map_err(|error: TargetError| TrainError::from(error))?;
        Ok(metric)
    }

    fn value<M: Metric<T>>(&self, metric: M) -> Result<f64, PlotError> {
        Ok(self.measure(metric)?.value())
    }

    /// Writes the report.
    ///
    /// # Errors
    /// Returns an error if no row was added, or an answer is not a number.
    pub fn report(&self) -> Result<Report, PlotError> {
        if self.rows == 0 {
            return Err(DataError::NoRows { rows: 0 }.into());
        }
        let target = self.schema.target_columns().collect::<Vec<_>>().join(", ");
        let report = Report::new(format!("{} {target}", self.say(Word::ReportOn))).language(self.language);
        let report = match self.model.answers() {
            Answers::Values => self.of_values(report)?,
            _ => self.of_classes(report)?,
        };
        let report = self.with_histories(report);
        let network = self.model.network();
        let plot = network.plot().language(self.language);
        let weights = HistogramPlot::weights(network).language(self.language);
        let report = report.heading(capital(self.say(Word::Network))).captioned(plot, self.say(Word::AboutNetwork));
        let report = report.heading(capital(self.say(Word::Weights))).captioned(weights, self.say(Word::AboutWeights));
        if self.model.notes().is_empty() {
            return Ok(report);
        }
        let notes = self.model.notes().iter().map(|(name, text)| [name.clone(), text.clone()]);
        Ok(report.heading(capital(self.say(Word::Notes))).table([String::new(), String::new()], notes))
    }

    /// Writes the report and saves it as an HTML file.
    ///
    /// # Errors
    /// Returns the errors of [`report`](ModelReport::report), and an error if the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        self.report()?.save(path)
    }

    /// Adds a table of measures; one that is not defined on these rows is left out.
    fn with_measures(&self, report: Report, measures: &[(Word, f64, &str)]) -> Report {
        let known = measures.iter().filter(|(_, value, _)| value.is_finite());
        let row = |(word, value, unit): &(Word, f64, &str)| {
            let space = if unit.is_empty() { "" } else { " " };
            [self.say(*word).to_owned(), format!("{}{space}{unit}", number(*value, 4))]
        };
        let rows = [[self.say(Word::Rows).to_owned(), grouped(self.rows)]].into_iter().chain(known.map(row));
        report.table([self.say(Word::Measure), self.say(Word::Value)].map(str::to_owned), rows)
    }

    /// Adds the runs, if there are any.
    fn with_histories(&self, report: Report) -> Report {
        let about = self.say(Word::AboutHistory);
        let mut plots = self.histories.iter().map(|plot| plot.clone().language(self.language));
        match plots.len() {
            0 => report,
            1 => plots
                .fold(report.heading(capital(self.say(Word::History))), |report, plot| report.captioned(plot, about)),
            _ => {
                let report = report.heading(capital(self.say(Word::History))).text(about);
                let named =
                    |(index, plot): (usize, HistoryPlot)| plot.title(format!("{} {}", self.say(Word::Run), index + 1));
                plots.by_ref().enumerate().map(named).fold(report, Report::picture)
            }
        }
    }

    fn of_values(&self, report: Report) -> Result<Report, PlotError> {
        let unit = self.model.units().first().map(String::as_str).unwrap_or_default();
        let measures = [
            (Word::MeanAbsoluteError, self.value(MeanAbsoluteError::new())?, unit),
            (Word::RootMeanSquaredError, self.value(RootMeanSquaredError::new())?, unit),
            (Word::RSquared, self.value(RSquared::new())?, ""),
        ];
        let mut report = self.with_measures(report, &measures);
        let width = self.model.network().output_shape().len();
        let names: Vec<&str> = self.schema.target_columns().collect();
        for target in 0..width {
            let of = |numbers: &[T]| numbers.iter().skip(target).step_by(width).map(|x| x.to_f64()).collect::<Vec<_>>();
            let (predicted, truth) = (of(&self.outputs), of(&self.values));
            let unit = self.model.units().get(target).filter(|unit| !unit.is_empty());
            let mut against =
                PredictedPlot::new(predicted.iter().copied(), truth.iter().copied())?.language(self.language);
            let mut residuals = ResidualPlot::new(predicted, truth)?.language(self.language);
            if let Some(unit) = unit {
                (against, residuals) = (against.unit(unit), residuals.unit(unit));
            }
            let name = names.get(target).copied().unwrap_or_default();
            let heading =
                |word| if width > 1 { format!("{}: {name}", capital(self.say(word))) } else { capital(self.say(word)) };
            report = report.heading(heading(Word::PredictedTrue)).captioned(against, self.say(Word::AboutPredicted));
            report = report.heading(heading(Word::Residuals)).captioned(residuals, self.say(Word::AboutResiduals));
        }
        Ok(report)
    }

    fn of_classes(&self, report: Report) -> Result<Report, PlotError> {
        let classes = self.model.class_names();
        let width = self.model.network().output_shape().len();
        let calibration = self.measure(ExpectedCalibrationError::new())?;
        let mut measures = vec![
            (Word::Accuracy, self.value(Accuracy::new())?, ""),
            (Word::LogLoss, self.value(LogLoss::new())?, ""),
            (Word::CalibrationError, self.value(ExpectedCalibrationError::new())?, ""),
        ];
        if width <= 2 {
            measures.push((Word::AreaUnderRoc, self.value(RocAuc::new())?, ""));
        }
        let report = self.with_measures(report, &measures);
        let confusion =
            ConfusionPlot::from(&self.measure(ConfusionMatrix::new())?).classes(classes).language(self.language);
        let mut report = report
            .heading(capital(self.say(Word::ConfusionMatrix)))
            .captioned(confusion, self.say(Word::AboutConfusion));

        // Of two classes one curve says all.
        let wanted: Vec<usize> = if width <= 2 { vec![1] } else { (0..width.min(MOST_CURVES)).collect() };
        let (mut roc, mut precision) = (RocPlot::empty(), PrecisionRecallPlot::empty());
        let mut count = 0;
        for class in wanted {
            let column = if width == 1 { 0 } else { class };
            let scores = || self.outputs.iter().skip(column).step_by(width).map(|x| x.to_f64());
            let truth = || self.labels.iter().map(|&label| label as usize == class);
            if truth().all(|x| x) || !truth().any(|x| x) {
                continue;
            }
            let name = classes.get(class).cloned().unwrap_or_else(|| format!("{} {class}", self.say(Word::Class)));
            roc = roc.curve(&name, scores(), truth())?;
            precision = precision.curve(&name, scores(), truth())?;
            count += 1;
        }
        if count > 0 {
            report = report
                .heading(capital(self.say(Word::Roc)))
                .captioned(roc.language(self.language), self.say(Word::AboutRoc));
            let precision = precision.language(self.language);
            report = report
                .heading(capital(self.say(Word::PrecisionRecall)))
                .captioned(precision, self.say(Word::AboutPrecisionRecall));
        }
        let reliability = ReliabilityPlot::from(&calibration).language(self.language);
        Ok(report
            .heading(capital(self.say(Word::Reliability)))
            .captioned(reliability, self.say(Word::AboutReliability)))
    }
}

/// Text with a capital at its start, as headings have it.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
