use std::fmt;

use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::f_score::share;
use super::{Metric, Reading};

/// A table of how often each class was taken for which: rows are true classes, columns predicted ones.
///
/// As a metric its value is the accuracy; its methods give the rest, and printing it gives a table.
///
/// ```
/// use downhill_losses::Target;
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{ConfusionMatrix, Metric};
///
/// let mut confusion = ConfusionMatrix::new();
/// let y = Batch::new(&[2.0, 1.0, 0.0, 3.0, 5.0, 1.0], 3, [2])?; // predicts 0, 1, 0
/// confusion.update(y, Target::Classes(&[0, 1, 1]), None)?;
/// assert_eq!(confusion.count(1, 0), 1.0);
/// assert_eq!(confusion.recall(1), 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfusionMatrix {
    meaning: Meaning,
    /// The weight of the examples, one row for each true class.
    counts: Vec<Vec<f64>>,
    /// The weight of examples whose prediction was not a number, by true class.
    nothing: Vec<f64>,
}

impl ConfusionMatrix {
    /// Makes a matrix of no examples; it grows to the classes it meets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of classes met so far.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// The number of examples of class `truth` that were taken for class `predicted`: their summed weight.
    #[must_use]
    pub fn count(&self, truth: usize, predicted: usize) -> f64 {
        self.counts.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0.0)
    }

    fn truths(&self, class: usize) -> f64 {
        (0..self.classes()).map(|predicted| self.count(class, predicted)).sum::<f64>()
            + self.nothing.get(class).copied().unwrap_or(0.0)
    }

    fn predictions(&self, class: usize) -> f64 {
        (0..self.classes()).map(|truth| self.count(truth, class)).sum()
    }

    fn examples(&self) -> f64 {
        (0..self.classes()).map(|class| self.truths(class)).sum()
    }

    /// The share of all examples that were predicted right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        (0..self.classes()).map(|class| self.count(class, class)).sum::<f64>() / self.examples()
    }

    /// The share of the examples taken for `class` that were of it; 0 if there were none.
    #[must_use]
    pub fn precision(&self, class: usize) -> f64 {
        share(self.count(class, class), self.predictions(class))
    }

    /// The share of the examples of `class` that were taken for it; 0 if there were none.
    #[must_use]
    pub fn recall(&self, class: usize) -> f64 {
        share(self.count(class, class), self.truths(class))
    }

    /// The harmonic mean of precision and recall: 2 pr / (p + r); 0 if both are 0.
    #[must_use]
    pub fn f1(&self, class: usize) -> f64 {
        share(2.0 * self.count(class, class), self.predictions(class) + self.truths(class))
    }

    /// The mean of the recalls of all classes that occur among the targets.
    ///
    /// Source: as scikit-learn's `balanced_accuracy_score`.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> =
            (0..self.classes()).filter(|&class| self.truths(class) > 0.0).map(|class| self.recall(class)).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// The Matthews correlation of targets and predictions, from -1 to 1; 0 if the targets or the predictions are all of
    /// one class, and not a number if there were no examples or a prediction was not a number.
    ///
    /// With c right ones among s examples, of which t_k are of class k and p_k taken for it, it is
    ///
    /// ```math
    /// \frac{c\,s - \sum_k t_k p_k}{\sqrt{(s^2 - \sum_k p_k^2)(s^2 - \sum_k t_k^2)}}
    /// ```
    ///
    /// Source: Gorodkin 2004; as scikit-learn's `matthews_corrcoef`.
    #[must_use]
    pub fn matthews_correlation(&self) -> f64 {
        if !self.is_of_numbers() {
            return f64::NAN;
        }
        let classes = || (0..self.classes()).map(|class| (self.truths(class), self.predictions(class)));
        let right: f64 = (0..self.classes()).map(|class| self.count(class, class)).sum();
        let all = self.examples();
        let both = right * all - classes().map(|(truth, predicted)| truth * predicted).sum::<f64>();
        let predictions = all * all - classes().map(|(_, predicted)| predicted * predicted).sum::<f64>();
        let truths = all * all - classes().map(|(truth, _)| truth * truth).sum::<f64>();
        if truths * predictions == 0.0 { 0.0 } else { both / (truths * predictions).sqrt() }
    }

    /// Cohen's kappa: how far targets and predictions agree beyond what chance would bring, 1 if in all, 0 if no further.
    ///
    /// It is not a number if the targets and the predictions are all of the same class, if there were no examples, or
    /// if a prediction was not a number.
    ///
    /// ```math
    /// \kappa = 1 - \frac{\sum_{ij} d_{ij} n_{ij}}{\sum_{ij} d_{ij} t_i p_j / s}
    /// ```
    ///
    /// There n is this matrix, t and p are its sums by row and by column, s is the sum of all, and d is the
    /// [`Disagreement`]. Classes keep their distance if one between them never occurs.
    ///
    /// Source: Cohen 1960 and 1968; as scikit-learn's `cohen_kappa_score` with all classes as `labels`.
    #[must_use]
    pub fn kappa(&self, disagreement: Disagreement) -> f64 {
        if !self.is_of_numbers() {
            return f64::NAN;
        }
        let (mut seen, mut expected) = (0.0, 0.0);
        for truth in 0..self.classes() {
            for predicted in 0..self.classes() {
                let weight = disagreement.of(truth, predicted);
                seen += weight * self.count(truth, predicted);
                expected += weight * (self.truths(truth) * self.predictions(predicted) / self.examples());
            }
        }
        if expected == 0.0 { f64::NAN } else { 1.0 - seen / expected }
    }

    /// Whether there are examples, and all predictions are numbers.
    fn is_of_numbers(&self) -> bool {
        self.examples() > 0.0 && self.nothing.iter().all(|&weight| weight == 0.0)
    }

    /// Takes a batch into account in the name of `metric`.
    fn update_as<T: Scalar>(
        &mut self,
        metric: &'static str,
        (y, target, weights): (Batch<'_, T>, Target<'_, T>, Option<&[T]>),
    ) -> Result<(), TargetError> {
        let reading = Reading::new(metric, self.meaning, y, target, weights)?;
        if let Some(answers) = reading.answers().filter(|&answers| answers > 1) {
            return Err(TargetError::setting(
                metric,
                format!(
                    "each example has {answers} independent answers, but a confusion is between classes of which one is \
                     right; judge several answers by their accuracy or F1, or each alone"
                ),
            ));
        }
        self.grow(reading.classes());
        for judged in reading.judged() {
            match judged.predicted {
                Some(predicted) => self.counts[judged.truth][predicted] += judged.weight,
                None => self.nothing[judged.truth] += judged.weight,
            }
        }
        Ok(())
    }

    fn grow(&mut self, classes: usize) {
        let classes = classes.max(self.classes());
        self.counts.resize_with(classes, Vec::new);
        self.counts.iter_mut().for_each(|row| row.resize(classes, 0.0));
        self.nothing.resize(classes, 0.0);
    }
}

impl<T: Scalar> Metric<T> for ConfusionMatrix {
    fn name(&self) -> String {
        "accuracy".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        self.update_as("ConfusionMatrix", (y, target, weights))
    }

    fn value(&self) -> f64 {
        self.accuracy()
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |count: f64| if count.fract() == 0.0 { format!("{count}") } else { format!("{count:.2}") };
        let widest = self.counts.iter().flatten().map(|&count| text(count).len()).max().unwrap_or(1);
        let width = widest.max(self.classes().to_string().len()) + 1;
        write!(f, "{:>8}", "true\\pred")?;
        for class in 0..self.classes() {
            write!(f, "{class:>width$}")?;
        }
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "\n{class:>9}")?;
            for &count in row {
                write!(f, "{:>width$}", text(count))?;
            }
        }
        Ok(())
    }
}

/// How far apart two classes are in [`ConfusionMatrix::kappa`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Disagreement {
    /// All classes are equally far apart.
    #[default]
    Equal,
    /// The distance of their indices, for classes in an order.
    Linear,
    /// The square of that distance.
    Quadratic,
}

impl Disagreement {
    fn of(self, a: usize, b: usize) -> f64 {
        let distance = a.abs_diff(b) as f64;
        match self {
            Self::Equal => distance.min(1.0),
            Self::Linear => distance,
            Self::Quadratic => distance * distance,
        }
    }
}

macro_rules! from_confusion {
    ($(#[$doc:meta])* $Name:ident($($field:ident: $Field:ty)?), $name:expr, $of:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $Name {
            $($field: $Field,)?
            confusion: ConfusionMatrix,
        }

        impl<T: Scalar> Metric<T> for $Name {
            fn name(&self) -> String {
                let name: fn(&Self) -> &str = $name;
                name(self).into()
            }

            fn larger_is_better(&self) -> bool {
                true
            }

            fn start(&mut self, meaning: Meaning) {
                Metric::<T>::start(&mut self.confusion, meaning);
            }

            fn update(
                &mut self,
                y: Batch<'_, T>,
                target: Target<'_, T>,
                weights: Option<&[T]>,
            ) -> Result<(), TargetError> {
                self.confusion.update_as(stringify!($Name), (y, target, weights))
            }

            fn value(&self) -> f64 {
                let value: fn(&Self) -> f64 = $of;
                value(self)
            }
        }
    };
}

from_confusion!(
    /// The mean of the recalls of all classes that occur: the accuracy if each class counts the same. See
    /// [`ConfusionMatrix::balanced_accuracy`].
    BalancedAccuracy(), |_| "balanced accuracy", |metric| metric.confusion.balanced_accuracy()
);

from_confusion!(
    /// The Matthews correlation of targets and predictions. See [`ConfusionMatrix::matthews_correlation`].
    MatthewsCorrelation(), |_| "matthews correlation", |metric| metric.confusion.matthews_correlation()
);

from_confusion!(
    /// Cohen's kappa, the agreement of targets and predictions beyond chance. See [`ConfusionMatrix::kappa`].
    CohenKappa(disagreement: Disagreement),
    |metric| match metric.disagreement {
        Disagreement::Equal => "kappa",
        Disagreement::Linear => "linear kappa",
        Disagreement::Quadratic => "quadratic kappa",
    },
    |metric| metric.confusion.kappa(metric.disagreement)
);

impl BalancedAccuracy {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl MatthewsCorrelation {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl CohenKappa {
    /// Makes a metric for which classes are this far apart.
    #[must_use]
    pub fn new(disagreement: Disagreement) -> Self {
        Self { disagreement, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six examples of three classes: truth 0 0 1 1 2 2, predicted 0 1 1 1 0 2.
    fn example() -> (Vec<f64>, [u32; 6]) {
        let predicted = [0, 1, 1, 1, 0, 2];
        let y = predicted.iter().flat_map(|&p| (0..3).map(move |class| f64::from(u8::from(class == p)))).collect();
        (y, [0, 0, 1, 1, 2, 2])
    }

    #[test]
    fn precision_recall_and_f1_by_class() {
        let (y, labels) = example();
        let mut confusion = ConfusionMatrix::new();
        confusion.update(Batch::new(&y, 6, [3]).unwrap(), Target::Classes(&labels), None).unwrap();
        assert_eq!(confusion.accuracy(), 4.0 / 6.0);
        assert_eq!([0, 1, 2].map(|class| confusion.precision(class)), [0.5, 2.0 / 3.0, 1.0]);
        assert_eq!([0, 1, 2].map(|class| confusion.recall(class)), [0.5, 1.0, 0.5]);
        let f1 = [0, 1, 2].map(|class| confusion.f1(class));
        assert!((f1[1] - 0.8).abs() < 1e-15 && (f1[2] - 2.0 / 3.0).abs() < 1e-15, "{f1:?}");
        assert_eq!(confusion.to_string(), "true\\pred 0 1 2\n        0 1 1 0\n        1 0 2 0\n        2 1 0 1");
    }

    fn judged(y: &[f64], labels: &[u32]) -> ConfusionMatrix {
        let mut confusion = ConfusionMatrix::new();
        let batch = Batch::new(y, labels.len(), [y.len() / labels.len()]).unwrap();
        confusion.update(batch, Target::Classes(labels), None).unwrap();
        confusion
    }

    #[test]
    fn agreement_beyond_chance() {
        let (y, labels) = example();
        let confusion = judged(&y, &labels);
        assert!((confusion.balanced_accuracy() - 2.0 / 3.0).abs() < 1e-15);
        // By chance a third would agree.
        assert!((confusion.kappa(Disagreement::Equal) - 0.5).abs() < 1e-15);
        // Distances of 3 in sum, where chance would bring 5; and squares of 5, where it would bring 7.
        assert!((confusion.kappa(Disagreement::Linear) - (1.0 - 3.0 / 5.0)).abs() < 1e-15);
        assert!((confusion.kappa(Disagreement::Quadratic) - (1.0 - 5.0 / 7.0)).abs() < 1e-15);
        assert!((confusion.matthews_correlation() - 12.0 / (22.0_f64 * 24.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_single_class_agrees_by_chance() {
        let confusion = judged(&[0.0, 1.0, 0.0, 2.0], &[1, 1]);
        assert!(confusion.kappa(Disagreement::Equal).is_nan());
        assert_eq!((confusion.matthews_correlation(), confusion.balanced_accuracy()), (0.0, 1.0));
        let confusion = judged(&[0.0, f64::NAN, 0.0, 2.0], &[0, 1]);
        assert!(confusion.kappa(Disagreement::Equal).is_nan() && confusion.matthews_correlation().is_nan());
        assert_eq!(confusion.balanced_accuracy(), 0.5, "what is not a number is wrong");
    }
}
