use std::fmt;

use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

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

    fn average(&self, average: Average, of: impl Fn(usize) -> f64) -> f64 {
        let classes = 0..self.classes();
        match average {
            Average::Macro => {
                // Classes that never occur say nothing.
                let met: Vec<usize> =
                    classes.filter(|&class| self.truths(class) + self.predictions(class) > 0.0).collect();
                met.iter().map(|&class| of(class)).sum::<f64>() / met.len() as f64
            }
            Average::Weighted => classes.map(|class| of(class) * self.truths(class)).sum::<f64>() / self.examples(),
            Average::Class(class) => of(class),
        }
    }

    fn grow(&mut self, classes: usize) {
        let classes = classes.max(self.classes());
        self.counts.resize_with(classes, Vec::new);
        self.counts.iter_mut().for_each(|row| row.resize(classes, 0.0));
        self.nothing.resize(classes, 0.0);
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
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
        let reading = Reading::new("ConfusionMatrix", self.meaning, y, target, weights)?;
        if let Some(answers) = reading.answers().filter(|&answers| answers > 1) {
            return Err(TargetError::setting(
                "ConfusionMatrix",
                format!(
                    "each example has {answers} independent answers, but a confusion is between classes of which one is \
                     right; judge several answers by their accuracy, or each alone"
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

/// The average that makes one number of those of several classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Average {
    /// The mean over the classes, each counting the same.
    #[default]
    Macro,
    /// The mean over the classes, each counting as often as it occurs.
    Weighted,
    /// The number of this class alone, such as 1 for the positive class of two.
    Class(usize),
}

macro_rules! from_confusion {
    ($(#[$doc:meta])* $Name:ident, $name:literal, $of:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $Name {
            average: Average,
            confusion: ConfusionMatrix,
        }

        impl $Name {
            /// Makes a metric with this average over the classes.
            #[must_use]
            pub fn new(average: Average) -> Self {
                Self { average, confusion: ConfusionMatrix::new() }
            }
        }

        impl<T: Scalar> Metric<T> for $Name {
            fn name(&self) -> String {
                match self.average {
                    Average::Macro => $name.into(),
                    Average::Weighted => concat!("weighted ", $name).into(),
                    Average::Class(class) => format!(concat!($name, " of class {}"), class),
                }
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
                self.confusion.update(y, target, weights)?;
                match self.average {
                    Average::Class(class) if class >= self.confusion.classes() => {
                        Err(TargetError::setting(
                            stringify!($Name),
                            format!(
                                "it judges the class {class}, but there are {} classes, counted from 0",
                                self.confusion.classes()
                            ),
                        ))
                    }
                    _ => Ok(()),
                }
            }

            fn value(&self) -> f64 {
                self.confusion.average(self.average, |class| self.confusion.$of(class))
            }
        }
    };
}

from_confusion!(
    /// The share of the examples taken for a class that were of it.
    Precision, "precision", precision
);

from_confusion!(
    /// The share of the examples of a class that were taken for it.
    Recall, "recall", recall
);

from_confusion!(
    /// The harmonic mean of precision and recall, class by class.
    F1, "f1", f1
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_does_not_exist_is_an_error() {
        let (y, truth) = example();
        let judge = |class| {
            let mut f1 = F1::new(Average::Class(class));
            f1.update(Batch::new(&y, 6, [3]).unwrap(), Target::Classes(&truth), None)
        };
        assert_eq!(judge(2), Ok(()));
        assert_eq!(
            judge(3).unwrap_err().to_string(),
            "F1: it judges the class 3, but there are 3 classes, counted from 0"
        );
    }

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

    #[test]
    fn averages_are_means_over_classes() {
        let (y, labels) = example();
        let value = |mut metric: F1| {
            metric.update(Batch::new(&y, 6, [3]).unwrap(), Target::Classes(&labels), None).unwrap();
            Metric::<f64>::value(&metric)
        };
        let expected = (0.5 + 0.8 + 2.0 / 3.0) / 3.0;
        assert!((value(F1::new(Average::Macro)) - expected).abs() < 1e-15);
        assert!((value(F1::new(Average::Weighted)) - expected).abs() < 1e-15, "classes are equally frequent");
        assert_eq!(value(F1::new(Average::Class(0))), 0.5);
    }
}
