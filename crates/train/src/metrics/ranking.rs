use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::f_score::share;
use super::{Average, Metric, Reading, Sum};

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

    /// The weight of what is right.
    fn positive(&self) -> f64 {
        self.rows.iter().filter(|row| row.1).map(|row| row.2).sum()
    }

    /// The examples of this class and of another, by the scores of this one.
    fn against(&self, other: &Self) -> Self {
        let mut pair = Self::default();
        for (&(score, positive, weight), &(_, negative, _)) in self.rows.iter().zip(&other.rows) {
            if positive || negative {
                pair.push(score, positive, weight);
            }
        }
        pair
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

/// The scores of all questions: one for each independent answer, one for two classes, or one for each of more classes.
#[derive(Clone, Debug, Default)]
struct Scores {
    meaning: Meaning,
    questions: Vec<Scored>,
    /// Whether the questions are about the classes of the same places, rather than independent.
    of_classes: bool,
}

impl Scores {
    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    /// Adds the scores of a batch to those of each question.
    fn update<T: Scalar>(
        &mut self,
        metric: &'static str,
        average: Average,
        (y, target, weights): (Batch<'_, T>, Target<'_, T>, Option<&[T]>),
    ) -> Result<(), TargetError> {
        let reading = Reading::new(metric, self.meaning, y, target, weights)?;
        let answers = reading.answers();
        self.of_classes = answers.is_none();
        // Two classes ask one question: is it the second?
        let count = match answers {
            Some(answers) => answers,
            None if reading.classes() == 2 => 1,
            None => reading.classes(),
        };
        if let Average::Class(class) = average {
            if count == 1 && class != 1 {
                let reason = format!("it judges the class {class}, but the score is that of the class 1 of two");
                return Err(TargetError::setting(metric, reason));
            }
            if count > 1 && class >= count {
                let reason = format!("it judges the class {class}, but there are {count} classes, counted from 0");
                return Err(TargetError::setting(metric, reason));
            }
        }
        self.questions.resize_with(count.max(self.questions.len()), Scored::default);
        let questions = &mut self.questions;
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

    fn average(&self, average: Average, of: impl Fn(&Scored) -> f64) -> f64 {
        match (&self.questions[..], average) {
            (questions, _) if questions.iter().all(|question| question.rows.is_empty()) => f64::NAN,
            ([question], _) => of(question),
            (questions, Average::Macro) => questions.iter().map(of).sum::<f64>() / questions.len() as f64,
            (questions, Average::Weighted) => {
                let met = || questions.iter().map(|question| (question, question.positive())).filter(|met| met.1 > 0.0);
                let whole: f64 = met().map(|(_, weight)| weight).sum();
                share(met().map(|(question, weight)| weight * of(question)).sum(), whole)
            }
            (questions, Average::Micro) => {
                let mut all = Scored::default();
                questions.iter().flat_map(|question| &question.rows).for_each(|&(y, t, w)| all.push(y, t, w));
                of(&all)
            }
            (questions, Average::Class(class)) => questions.get(class).map_or(f64::NAN, of),
        }
    }

    /// The mean of `of` over all pairs of classes that occur, each class of a pair against the other.
    fn one_vs_one(&self, is_weighted: bool, of: impl Fn(&Scored) -> f64) -> f64 {
        let met: Vec<&Scored> = self.questions.iter().filter(|question| question.positive() > 0.0).collect();
        let (mut sum, mut whole) = (0.0, 0.0);
        for (index, a) in met.iter().enumerate() {
            for b in &met[index + 1..] {
                let pair = (of(&a.against(b)) + of(&b.against(a))) / 2.0;
                let weight = if is_weighted { a.positive() + b.positive() } else { 1.0 };
                sum += weight * pair;
                whole += weight;
            }
        }
        sum / whole
    }
}

/// The area under the receiver operating characteristic: how likely a positive example scores higher than a negative one.
/// Equal scores count ½.
///
/// The score is the single output, or of two classes the lead of the second. For several classes, or several independent
/// answers, it is the mean over each against the rest, or another [`Average`]; the weighted one passes over classes that
/// never occur. All scores are kept until the value is asked for.
///
/// It is not a number if a class that counts in the average never occurs, or is the only one, or if a score is not a
/// number.
///
/// Source: Hanley and McNeil 1982; as scikit-learn's `roc_auc_score` with `multi_class="ovr"`.
///
/// # Errors
/// Returns an error if there is no class of the average's number, or if classes are to be judged
/// [one against one](Self::one_vs_one) that are independent answers, or by another average than the mean and the weighted
/// one.
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
#[derive(Clone, Debug, Default)]
pub struct RocAuc {
    average: Average,
    one_vs_one: bool,
    scores: Scores,
}

impl RocAuc {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the average over classes or independent answers; the mean unless set.
    #[must_use]
    pub fn average(mut self, average: Average) -> Self {
        self.average = average;
        self
    }

    /// Judges several classes in pairs: the mean over all pairs of classes that occur, in which the scores of both are
    /// asked to tell their examples apart. A weighted average counts a pair as often as its classes occur.
    ///
    /// Weights of examples count as repetitions do; scikit-learn takes none here.
    ///
    /// Source: Hand and Till 2001; as scikit-learn's `roc_auc_score` with `multi_class="ovo"`.
    #[must_use]
    pub fn one_vs_one(mut self) -> Self {
        self.one_vs_one = true;
        self
    }
}

impl<T: Scalar> Metric<T> for RocAuc {
    fn name(&self) -> String {
        self.average.name(if self.one_vs_one { "one-vs-one roc auc" } else { "roc auc" })
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        self.scores.start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        if self.one_vs_one && !matches!(self.average, Average::Macro | Average::Weighted) {
            let reason = "classes are judged one against one, for which the average is Macro or Weighted";
            return Err(TargetError::setting("RocAuc", reason));
        }
        self.scores.update("RocAuc", self.average, (y, target, weights))?;
        if self.one_vs_one && !self.scores.of_classes && self.scores.questions.len() > 1 {
            let reason = "independent answers have no pairs of classes; leave out one_vs_one";
            return Err(TargetError::setting("RocAuc", reason));
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        if self.one_vs_one && self.scores.questions.len() > 1 {
            return self.scores.one_vs_one(self.average == Average::Weighted, Scored::roc_auc);
        }
        self.scores.average(self.average, Scored::roc_auc)
    }
}

/// The average precision: the precision at each positive example, going down from the highest score, averaged; examples
/// with equal scores come together.
///
/// Scores are read and averaged as [`RocAuc`] reads them. It is 0 if no example is positive, and not a number if a score is
/// not a number.
///
/// Source: as scikit-learn's `average_precision_score`.
///
/// # Errors
/// Returns an error if there is no class of the average's number.
#[derive(Clone, Debug, Default)]
pub struct AveragePrecision {
    average: Average,
    scores: Scores,
}

impl AveragePrecision {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the average over classes or independent answers; the mean unless set.
    #[must_use]
    pub fn average(mut self, average: Average) -> Self {
        self.average = average;
        self
    }
}

impl<T: Scalar> Metric<T> for AveragePrecision {
    fn name(&self) -> String {
        self.average.name("average precision")
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        self.scores.start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        self.scores.update("AveragePrecision", self.average, (y, target, weights))
    }

    fn value(&self) -> f64 {
        self.scores.average(self.average, Scored::average_precision)
    }
}

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
    fn pairs_of_classes_count_weights_as_repetitions() {
        let y = [0.5, 0.3, 0.2, 0.2, 0.5, 0.3, 0.3, 0.3, 0.4, 0.4, 0.5, 0.1, 0.6, 0.3, 0.1];
        let (t, weights) = ([0, 1, 2, 0, 1], [1.0, 2.0, 1.0, 1.0, 2.0]);
        let logits = Meaning::new(Outputs::ClassProbabilities);
        let mut weighted = RocAuc::new().one_vs_one().average(Average::Weighted);
        Metric::<f64>::start(&mut weighted, logits);
        weighted.update(Batch::new(&y, 5, [3]).unwrap(), Target::Classes(&t), Some(&weights)).unwrap();
        let repeated: Vec<f64> = [0, 1, 1, 2, 3, 4, 4].iter().flat_map(|&i| y[3 * i..3 * i + 3].to_vec()).collect();
        let metric = RocAuc::new().one_vs_one().average(Average::Weighted);
        let repeated = of(metric, logits, &repeated, 3, Target::Classes(&[0, 1, 1, 2, 0, 1, 1]));
        assert!((Metric::<f64>::value(&weighted) - repeated).abs() < 1e-15);
    }

    #[test]
    fn averages_that_do_not_exist_are_errors() {
        let t = Target::Values(&[0.0, 0.0, 1.0, 1.0]);
        let refuse = |mut metric: RocAuc, outputs: usize| {
            Metric::<f64>::start(&mut metric, Meaning::new(Outputs::Logits));
            let batch = Batch::new(&[0.1, 0.9, 0.8, 0.2], 4 / outputs, [outputs]).unwrap();
            metric.update(batch, t, None).unwrap_err().to_string()
        };
        assert!(refuse(RocAuc::new().one_vs_one(), 2).contains("independent answers have no pairs"));
        assert!(refuse(RocAuc::new().one_vs_one().average(Average::Micro), 2).contains("Macro or Weighted"));
        assert!(refuse(RocAuc::new().average(Average::Class(2)), 2).contains("there are 2 classes"));
        assert!(refuse(RocAuc::new().average(Average::Class(0)), 1).contains("that of the class 1 of two"));
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
