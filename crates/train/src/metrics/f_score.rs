use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Average, Metric, Reading};

/// How often a class was predicted, how often it was right, and how often both: summed weights.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    both: f64,
    predicted: f64,
    truth: f64,
}

impl Tally {
    fn add(&mut self, predicted: bool, truth: bool, weight: f64) {
        self.both += if predicted && truth { weight } else { 0.0 };
        self.predicted += if predicted { weight } else { 0.0 };
        self.truth += if truth { weight } else { 0.0 };
    }

    fn precision(self) -> f64 {
        share(self.both, self.predicted)
    }

    fn recall(self) -> f64 {
        share(self.both, self.truth)
    }

    /// (1 + β²) pr / (β² p + r), written so that it needs neither p nor r.
    fn f_beta(self, beta: f64) -> f64 {
        let beta2 = beta * beta;
        share((1.0 + beta2) * self.both, beta2 * self.truth + self.predicted)
    }
}

/// Divides; 0 if there is nothing to divide by.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The tallies of all classes, or of all independent answers.
#[derive(Clone, Debug, Default)]
struct Tallies {
    meaning: Meaning,
    each: Vec<Tally>,
    /// The weight of all that was judged.
    weight: f64,
    /// Whether they are of independent answers, which all count in a mean.
    independent: bool,
}

impl Tallies {
    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update<T: Scalar>(
        &mut self,
        metric: &'static str,
        average: Average,
        (y, target, weights): (Batch<'_, T>, Target<'_, T>, Option<&[T]>),
    ) -> Result<(), TargetError> {
        let reading = Reading::new(metric, self.meaning, y, target, weights)?;
        let answers = reading.answers().filter(|&answers| answers > 1);
        self.independent = answers.is_some();
        let count = answers.unwrap_or(reading.classes()).max(self.each.len());
        self.each.resize(count, Tally::default());
        if let Average::Class(class) = average
            && class >= count
        {
            let reason = format!("it judges the class {class}, but there are {count} classes, counted from 0");
            return Err(TargetError::setting(metric, reason));
        }
        for judged in reading.judged() {
            self.weight += judged.weight;
            match answers {
                Some(answers) => self.each[judged.position % answers].add(
                    judged.predicted == Some(1),
                    judged.truth == 1,
                    judged.weight,
                ),
                None => {
                    self.each[judged.truth].add(false, true, judged.weight);
                    if let Some(predicted) = judged.predicted {
                        let tally = &mut self.each[predicted];
                        tally.predicted += judged.weight;
                        tally.both += if predicted == judged.truth { judged.weight } else { 0.0 };
                    }
                }
            }
        }
        Ok(())
    }

    fn average(&self, average: Average, of: impl Fn(Tally) -> f64) -> f64 {
        match average {
            _ if self.weight == 0.0 => f64::NAN,
            Average::Macro => {
                // Classes that never occur say nothing.
                let counts = |tally: &&Tally| self.independent || tally.truth + tally.predicted > 0.0;
                let met: Vec<f64> = self.each.iter().filter(counts).map(|&tally| of(tally)).collect();
                met.iter().sum::<f64>() / met.len() as f64
            }
            Average::Weighted => {
                let truths: f64 = self.each.iter().map(|tally| tally.truth).sum();
                share(self.each.iter().map(|&tally| of(tally) * tally.truth).sum(), truths)
            }
            Average::Micro => of(self.each.iter().fold(Tally::default(), |sum, tally| Tally {
                both: sum.both + tally.both,
                predicted: sum.predicted + tally.predicted,
                truth: sum.truth + tally.truth,
            })),
            Average::Class(class) => self.each.get(class).map_or(f64::NAN, |&tally| of(tally)),
        }
    }
}

macro_rules! from_tallies {
    ($(#[$doc:meta])* $Name:ident, $name:literal, $of:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $Name {
            average: Average,
            tallies: Tallies,
        }

        impl $Name {
            /// Makes a metric with this average over the classes.
            #[must_use]
            pub fn new(average: Average) -> Self {
                Self { average, tallies: Tallies::default() }
            }
        }

        impl<T: Scalar> Metric<T> for $Name {
            fn name(&self) -> String {
                self.average.name($name)
            }

            fn larger_is_better(&self) -> bool {
                true
            }

            fn start(&mut self, meaning: Meaning) {
                self.tallies.start(meaning);
            }

            fn update(
                &mut self,
                y: Batch<'_, T>,
                target: Target<'_, T>,
                weights: Option<&[T]>,
            ) -> Result<(), TargetError> {
                self.tallies.update(stringify!($Name), self.average, (y, target, weights))
            }

            fn value(&self) -> f64 {
                self.tallies.average(self.average, Tally::$of)
            }
        }
    };
}

from_tallies!(
    /// The share of the examples taken for a class that were of it; 0 if there were none.
    ///
    /// Averages are as [`F1`] has them.
    Precision, "precision", precision
);

from_tallies!(
    /// The share of the examples of a class that were taken for it; 0 if there were none.
    ///
    /// Averages are as [`F1`] has them.
    Recall, "recall", recall
);

impl Tally {
    fn f1(self) -> f64 {
        self.f_beta(1.0)
    }
}

from_tallies!(
    /// The harmonic mean of precision and recall, class by class: 2 pr / (p + r); 0 if both are 0.
    ///
    /// The macro average is over the classes that occur among the targets or the predictions, the weighted one counts
    /// each class as often as it occurs among the targets, and the micro average is the accuracy. Of several independent
    /// answers, each counts as a class, also one that is never yes; there the micro average counts all yeses together.
    /// Of two classes, or a single answer, both count; `Average::Class(1)` is the number of the positive one alone.
    ///
    /// Source: as scikit-learn's `f1_score`, with `zero_division=0`.
    ///
    /// ```
    /// use downhill_losses::Target;
    /// use downhill_tensor::Batch;
    /// use downhill_train::metrics::{Average, F1, Metric};
    ///
    /// let mut f1 = F1::new(Average::Class(1));
    /// f1.update(Batch::new(&[-1.0, 2.0, 3.0, -2.0], 4, [1])?, Target::Classes(&[0, 1, 0, 1]), None)?;
    /// assert_eq!(Metric::<f64>::value(&f1), 0.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    F1, "f1", f1
);

/// The weighted harmonic mean of precision and recall, class by class: (1 + β²) pr / (β² p + r).
///
/// Recall counts β times as much as precision. Averages are as [`F1`] has them.
///
/// # Errors
/// Returns an error if β is negative or not finite.
#[derive(Clone, Debug)]
pub struct FBeta {
    beta: f64,
    average: Average,
    tallies: Tallies,
}

impl FBeta {
    /// Makes a metric with this β and this average over the classes.
    #[must_use]
    pub fn new(beta: f64, average: Average) -> Self {
        Self { beta, average, tallies: Tallies::default() }
    }
}

impl<T: Scalar> Metric<T> for FBeta {
    fn name(&self) -> String {
        self.average.name(&format!("f{}", self.beta))
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        self.tallies.start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            let reason = format!("β is {}, but must be finite and at least 0", self.beta);
            return Err(TargetError::setting("FBeta", reason));
        }
        self.tallies.update("FBeta", self.average, (y, target, weights))
    }

    fn value(&self) -> f64 {
        self.tallies.average(self.average, |tally| tally.f_beta(self.beta))
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::*;

    /// Six examples of three classes: truth 0 0 1 1 2 2, predicted 0 1 1 1 0 2.
    fn example() -> (Vec<f64>, [u32; 6]) {
        let predicted = [0, 1, 1, 1, 0, 2];
        let y = predicted.iter().flat_map(|&p| (0..3).map(move |class| f64::from(u8::from(class == p)))).collect();
        (y, [0, 0, 1, 1, 2, 2])
    }

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
        assert_eq!(value(F1::new(Average::Micro)), 4.0 / 6.0, "the accuracy");
        assert_eq!(value(F1::new(Average::Class(0))), 0.5);
    }

    #[test]
    fn each_independent_answer_is_a_class() {
        let (y, t) = ([2.0, -1.0, 1.0, -1.0, -3.0, -1.0], [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let value = |average| {
            let mut metric = F1::new(average);
            Metric::<f64>::start(&mut metric, Meaning::new(Outputs::Logits));
            metric.update(Batch::new(&y, 2, [3]).unwrap(), Target::Values(&t), None).unwrap();
            Metric::<f64>::value(&metric)
        };
        assert_eq!(value(Average::Class(0)), 2.0 / 3.0);
        assert_eq!(value(Average::Macro), 2.0 / 9.0);
        assert_eq!(value(Average::Micro), 2.0 / 5.0);
    }

    #[test]
    fn beta_tells_how_much_recall_counts() {
        let (y, labels) = example();
        let value = |beta| {
            let mut metric = FBeta::new(beta, Average::Class(2));
            metric.update(Batch::new(&y, 6, [3]).unwrap(), Target::Classes(&labels), None)?;
            Ok::<f64, TargetError>(Metric::<f64>::value(&metric))
        };
        assert_eq!(value(0.0), Ok(1.0), "the precision");
        assert!((value(1e6).unwrap() - 0.5).abs() < 1e-9, "the recall");
        assert_eq!(value(-1.0).unwrap_err().to_string(), "FBeta: β is -1, but must be finite and at least 0");
    }
}
