use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The scores of one question, with the right answers.
#[derive(Clone, Debug, Default)]
struct Scored {
    /// The score, whether yes is right, and the weight.
    rows: Vec<(f64, bool, f64)>,
    /// Whether a score was not a number, so that there is no order.
    disordered: bool,
}

/// The weight of what is right and of what is wrong among equal scores.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    positive: f64,
    negative: f64,
}

impl Scored {
    fn push(&mut self, score: f64, positive: bool, weight: f64) {
        self.disordered |= score.is_nan();
        self.rows.push((score, positive, weight));
    }

    /// The groups of equal scores, highest first.
    fn groups(&self) -> Vec<Group> {
        let mut rows = self.rows.clone();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut groups: Vec<Group> = Vec::new();
        let mut before = None;
        for (score, positive, weight) in rows {
            // A negative zero equals a positive one.
            if before != Some(score) {
                groups.push(Group::default());
                before = Some(score);
            }
            if let Some(group) = groups.last_mut() {
                *(if positive { &mut group.positive } else { &mut group.negative }) += weight;
            }
        }
        groups
    }

    fn roc_auc(&self) -> f64 {
        let groups = self.groups();
        let (mut area, mut positive, mut negative) = (Sum::default(), 0.0, 0.0);
        for group in &groups {
            // Pairs in the right order count 1, pairs of equal scores ½.
            area.add(group.negative * (positive + group.positive / 2.0));
            positive += group.positive;
            negative += group.negative;
        }
        if self.disordered { f64::NAN } else { area.value() / (positive * negative) }
    }

    fn average_precision(&self) -> f64 {
        let groups = self.groups();
        let all: f64 = groups.iter().map(|group| group.positive).sum();
        let (mut precision, mut positive, mut negative) = (Sum::default(), 0.0, 0.0);
        for group in &groups {
            positive += group.positive;
            negative += group.negative;
            if group.positive > 0.0 {
                precision.add(group.positive / all * (positive / (positive + negative)));
            }
        }
        if self.disordered { f64::NAN } else { precision.value() }
    }
}

macro_rules! from_scores {
    ($(#[$doc:meta])* $Name:ident, $name:literal, $of:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $Name {
            meaning: Meaning,
            /// One for each question, or for each of several classes.
            questions: Vec<Scored>,
        }

        impl $Name {
            /// Makes a metric that has seen no examples yet.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }
        }

        impl<T: Scalar> Metric<T> for $Name {
            fn name(&self) -> String {
                $name.into()
            }

            fn larger_is_better(&self) -> bool {
                true
            }

            fn start(&mut self, meaning: Meaning) {
                *self = Self { meaning, questions: Vec::new() };
            }

            fn update(
                &mut self,
                y: Batch<'_, T>,
                target: Target<'_, T>,
                weights: Option<&[T]>,
            ) -> Result<(), TargetError> {
                collect(stringify!($Name), self.meaning, &mut self.questions, (y, target, weights))
            }

            fn value(&self) -> f64 {
                let values = self.questions.iter().map(|question| question.$of());
                values.sum::<f64>() / self.questions.len() as f64
            }
        }
    };
}

/// Adds the scores of a batch to those of each question.
fn collect<T: Scalar>(
    metric: &'static str,
    meaning: Meaning,
    questions: &mut Vec<Scored>,
    (y, target, weights): (Batch<'_, T>, Target<'_, T>, Option<&[T]>),
) -> Result<(), TargetError> {
    let reading = Reading::new(metric, meaning, y, target, weights)?;
    let answers = reading.answers();
    // Two classes ask one question: is it the second?
    let count = match answers {
        Some(answers) => answers,
        None if reading.classes() == 2 => 1,
        None => reading.classes(),
    };
    questions.resize_with(count.max(questions.len()), Scored::default);
    if answers.is_some() {
        reading.answered(|position, score, truth, weight| {
            questions[position % count].push(score, truth == 1, weight);
        });
    } else {
        reading.likelihoods(|scores, truth, weight| match scores {
            [first, second] => questions[0].push(second - first, truth == 1, weight),
            scores => {
                for (class, (question, &score)) in questions.iter_mut().zip(scores).enumerate() {
                    question.push(score, truth == class, weight);
                }
            }
        });
    }
    Ok(())
}

from_scores!(
    /// The area under the receiver operating characteristic: how likely a positive example scores higher than a negative
    /// one, where equal scores count ½.
    ///
    /// The score is the single output, or of two classes the lead of the second. For several classes, or several
    /// independent answers, it is the mean over each against the rest. All scores are kept until the value is asked for.
    /// It is not a number if only one class occurs, or if a score is not a number.
    ///
    /// Source: Hanley and McNeil 1982; as scikit-learn's `roc_auc_score` with `multi_class="ovr"`.
    ///
    /// ```
    /// use downhill_losses::Target;
    /// use downhill_tensor::Batch;
    /// use downhill_train::metrics::{Metric, RocAuc};
    ///
    /// let mut auc = RocAuc::new();
    /// auc.update(Batch::new(&[0.1, 0.4, 0.35, 0.8], 4, [1])?, Target::Classes(&[0, 0, 1, 1]), None)?;
    /// assert_eq!(Metric::<f64>::value(&auc), 0.75);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    RocAuc, "roc auc", roc_auc
);

from_scores!(
    /// The average precision: the precision at each positive example, going down from the highest score, averaged;
    /// examples with equal scores come together.
    ///
    /// Scores are read as [`RocAuc`] reads them. It is 0 if no example is positive.
    ///
    /// Source: as scikit-learn's `average_precision_score`.
    AveragePrecision, "average precision", average_precision
);

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::*;

    fn of(mut metric: impl Metric<f64>, meaning: Meaning, y: &[f64], outputs: usize, target: Target<'_, f64>) -> f64 {
        metric.start(meaning);
        metric.update(Batch::new(y, y.len() / outputs, [outputs]).unwrap(), target, None).unwrap();
        metric.value()
    }

    // The expected values are those of scikit-learn 1.9.1.
    #[test]
    fn as_scikit_learn_with_ties() {
        let y = [0.1, 0.4, 0.4, 0.8, 0.8, 0.3, 0.4];
        let t = Target::Classes(&[0, 0, 1, 1, 0, 1, 1]);
        let logits = Meaning::new(Outputs::Logits);
        assert!((of(RocAuc::new(), logits, &y, 1, t) - 0.5416666666666667).abs() < 1e-15);
        assert!((of(AveragePrecision::new(), logits, &y, 1, t) - 0.5916666666666667).abs() < 1e-15);

        let (batch, weights) = (Batch::new(&y, 7, [1]).unwrap(), [1.0, 2.0, 3.0, 0.5, 1.0, 2.0, 4.0]);
        let (mut auc, mut precision) = (RocAuc::new(), AveragePrecision::new());
        auc.update(batch, t, Some(&weights)).unwrap();
        precision.update(batch, t, Some(&weights)).unwrap();
        assert!((Metric::<f64>::value(&auc) - 0.4671052631578947).abs() < 1e-15);
        assert!((Metric::<f64>::value(&precision) - 0.7038596491228071).abs() < 1e-15);
    }

    #[test]
    fn several_classes_as_scikit_learn_each_against_the_rest() {
        let y = [1.0, 2.0, 0.5, 0.2, 0.1, 0.4, 2.0, 1.0, 1.0, 0.0, 1.0, 3.0, 1.0, 1.0, 1.0, 0.3, 2.0, 0.1];
        let t = Target::Classes(&[1, 0, 0, 2, 1, 2]);
        let logits = Meaning::new(Outputs::ClassLogits);
        assert!((of(RocAuc::new(), logits, &y, 3, t) - 0.7083333333333334).abs() < 1e-15);
        assert!((of(AveragePrecision::new(), logits, &y, 3, t) - 0.6944444444444443).abs() < 1e-15);
    }

    #[test]
    fn two_outputs_ask_one_question() {
        let y = [0.0, 0.1, 1.0, 1.4, 0.0, 0.4, -1.0, -0.2];
        let one = [0.1, 0.4, 0.4, 0.8];
        let t = Target::Classes(&[0, 0, 1, 1]);
        let expected = of(RocAuc::new(), Meaning::default(), &one, 1, t);
        assert!((of(RocAuc::new(), Meaning::default(), &y, 2, t) - expected).abs() < 1e-15);
    }

    #[test]
    fn a_single_class_has_no_order() {
        let t = Target::Classes(&[1, 1]);
        assert!(of(RocAuc::new(), Meaning::default(), &[0.1, 0.2], 1, t).is_nan());
        assert_eq!(of(AveragePrecision::new(), Meaning::default(), &[0.1, 0.2], 1, t), 1.0);
        let t = Target::Classes(&[0, 0]);
        assert_eq!(of(AveragePrecision::new(), Meaning::default(), &[0.1, 0.2], 1, t), 0.0);
        let t = Target::Classes(&[0, 1]);
        assert!(of(RocAuc::new(), Meaning::default(), &[f64::NAN, 0.2], 1, t).is_nan());
    }

    #[test]
    fn several_questions_are_averaged() {
        // Two labels, the first in perfect order, the second in the opposite one.
        let y = [0.1, 0.9, 0.8, 0.2];
        let t = Target::Values(&[0.0, 0.0, 1.0, 1.0]);
        assert_eq!(of(RocAuc::new(), Meaning::new(Outputs::Logits), &y, 2, t), 0.5);
    }

    #[test]
    fn weights_count_as_repetitions_do() {
        let (y, t) = ([0.1, 0.4, 0.35, 0.8], [0, 1, 0, 1]);
        let mut weighted = RocAuc::new();
        let batch = Batch::new(&y, 4, [1]).unwrap();
        weighted.update(batch, Target::Classes(&t), Some(&[1.0, 2.0, 3.0, 0.0])).unwrap();
        let (y, t) = ([0.1, 0.4, 0.4, 0.35, 0.35, 0.35], [0, 1, 1, 0, 0, 0]);
        let repeated = of(RocAuc::new(), Meaning::default(), &y, 1, Target::Classes(&t));
        assert_eq!(Metric::<f64>::value(&weighted), repeated);
    }
}
