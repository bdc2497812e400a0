use downhill_network::Network;
use downhill_optim::SettingError;
use downhill_tensor::Scalar;

use crate::snapshot::Snapshot;
use crate::{EpochRecord, TrainError};

/// The number of an epoch that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Monitor {
    /// The loss on the validation data, or on the training data if there are none.
    Loss,
    /// The validation metric of this name.
    Metric(String),
}

impl Monitor {
    /// Whether larger is better; `metrics` are the names of the validation metrics, each with whether it is so.
    pub(crate) fn larger_is_better(&self, metrics: &[(String, bool)]) -> Result<bool, TrainError> {
        let Self::Metric(name) = self else { return Ok(false) };
        match metrics.iter().find(|(known, _)| known == name) {
            Some((_, larger_is_better)) => Ok(*larger_is_better),
            None => {
                let known = metrics.iter().map(|(known, _)| known.clone()).collect();
                Err(TrainError::UnknownMetric { metric: name.clone(), known })
            }
        }
    }

    /// The number of this epoch.
    pub(crate) fn of(&self, record: &EpochRecord) -> f64 {
        match self {
            Self::Loss => record.validation_loss.unwrap_or(record.training_loss),
            Self::Metric(name) => record.metric(name).unwrap_or(f64::NAN),
        }
    }
}

/// A rule that ends a run that no longer improves, and gives the network the parameters of its best epoch.
///
/// An epoch is the best so far if its number is better than the best one by more than `min_delta`. Many metrics move in
/// steps, and on imbalanced data they rest for many epochs at the share of the largest class while the network learns.
/// So where a metric decides, the loss helps:
///
/// * an epoch whose metric is no worse than the best, and whose loss is smaller, is the best so far;
/// * an epoch whose loss is the smallest so far is no failure, whatever its metric.
///
/// The loss is that on the validation data, or on the training data if there are none. Training ends once more than
/// `patience` epochs in a row have failed. The crate's README says which measure suits which data.
///
/// ```
/// use downhill_train::EarlyStopping;
///
/// let on_the_loss = EarlyStopping::new().patience(20);
/// let on_a_metric = EarlyStopping::new().on_metric("f1").patience(20);
/// # assert_ne!(on_the_loss, on_a_metric);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: u64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { monitor: Monitor::Loss, patience: 10, min_delta: 0.0 }
    }
}

impl EarlyStopping {
    /// Watches the validation loss with a patience of ten epochs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches the validation metric of this name, such as `f1`; the loss breaks its ties.
    #[must_use]
    pub fn on_metric(mut self, name: impl Into<String>) -> Self {
        self.monitor = Monitor::Metric(name.into());
        self
    }

    /// Sets how many epochs in a row may fail; 10 unless set.
    #[must_use]
    pub fn patience(mut self, epochs: u64) -> Self {
        self.patience = epochs;
        self
    }

    /// Sets by how much the number of an epoch must be better; 0 unless set.
    #[must_use]
    pub fn min_delta(mut self, delta: f64) -> Self {
        self.min_delta = delta;
        self
    }
}

/// The best epoch so far, and its parameters.
#[derive(Debug)]
pub(crate) struct Best<T> {
    rule: EarlyStopping,
    larger_is_better: bool,
    pub(crate) standing: Standing,
    pub(crate) snapshot: Snapshot<T>,
}

/// What early stopping remembers beside parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Standing {
    /// The number of the best epoch, with its sign changed if larger is better; NaN until there is one.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    cost: f64,
    /// The loss of the best epoch.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    loss: f64,
    /// The smallest loss of all epochs.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    lowest_loss: f64,
    /// The epochs in a row that have not improved.
    bad: u64,
    /// The best epoch, counted from 1; 0 before the first.
    pub(crate) epoch: u64,
}

impl Default for Standing {
    fn default() -> Self {
        Self { cost: f64::NAN, loss: f64::NAN, lowest_loss: f64::NAN, bad: 0, epoch: 0 }
    }
}

impl<T: Scalar> Best<T> {
    /// Whether these are parameters of a network like this one.
    pub(crate) fn fits(&self, network: &Network<T>) -> bool {
        self.snapshot.fits(network)
    }

    /// Gives a run that goes on the whole patience again.
    pub(crate) fn go_on(&mut self) {
        self.standing.bad = 0;
    }

    /// Whether training should have ended: a run that goes on with the same patience ends at once.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.standing.bad > self.rule.patience
    }

    /// `metrics` are the names of the validation metrics, each with whether larger is better.
    pub(crate) fn new(rule: &EarlyStopping, metrics: &[(String, bool)]) -> Result<Self, TrainError> {
        let larger_is_better = rule.monitor.larger_is_better(metrics)?;
        if !(rule.min_delta >= 0.0 && rule.min_delta.is_finite()) {
            return Err(SettingError::new("early stopping's min_delta", rule.min_delta, "finite and at least 0").into());
        }
        let rule = rule.clone();
        Ok(Self { rule, larger_is_better, standing: Standing::default(), snapshot: Snapshot::default() })
    }

    /// Goes on from the best epoch of an earlier process.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn with(self, standing: Standing, snapshot: Snapshot<T>) -> Self {
        Self { standing, snapshot, ..self }
    }

    /// Takes an epoch into account, and returns whether training should end.
    pub(crate) fn observe(&mut self, record: &EpochRecord, theta: &[T], statistics: &[T]) -> bool {
        let loss = Monitor::Loss.of(record);
        let metric = match &self.rule.monitor {
            Monitor::Loss => None,
            metric => Some(metric.of(record)),
        };
        let cost = metric.map_or(loss, |value| if self.larger_is_better { -value } else { value });
        let best = &mut self.standing;
        let ties = metric.is_some() && cost <= best.cost && is_smaller(loss, best.loss);
        let improves = is_smaller(cost, best.cost - self.rule.min_delta) || ties;
        let progresses = improves || (metric.is_some() && is_smaller(loss, best.lowest_loss));
        if improves {
            (best.cost, best.loss, best.epoch) = (cost, loss, record.epoch);
            self.snapshot.keep(theta, statistics);
        }
        if is_smaller(loss, best.lowest_loss) {
            best.lowest_loss = loss;
        }
        best.bad = if progresses { 0 } else { best.bad + 1 };
        self.is_exhausted()
    }
}

/// Whether `a` is smaller than `b`: not-a-number is never smaller, and any number is smaller than it.
fn is_smaller(a: f64, b: f64) -> bool {
    a < b || (b.is_nan() && !a.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64, loss: f64, accuracy: f64) -> EpochRecord {
        EpochRecord {
            epoch,
            validation_loss: Some(loss),
            metrics: vec![("accuracy".into(), accuracy)],
            ..EpochRecord::default()
        }
    }

    #[test]
    fn stops_after_more_bad_epochs_than_patience_and_keeps_the_best() {
        let mut best = Best::new(&EarlyStopping::new().patience(1), &[]).unwrap();
        assert!(!best.observe(&record(1, 1.0, 0.0), &[1.0], &[]));
        assert!(!best.observe(&record(2, 0.5, 0.0), &[2.0], &[]));
        assert!(!best.observe(&record(3, 0.5, 0.0), &[3.0], &[]), "equal is not better");
        assert!(best.observe(&record(4, f64::NAN, 0.0), &[4.0], &[]));
        assert_eq!((best.standing.epoch, best.snapshot.parameters()), (2, &[2.0][..]));
    }

    fn on_accuracy(rule: EarlyStopping) -> Best<f64> {
        Best::new(&rule.on_metric("accuracy"), &[("accuracy".into(), true)]).unwrap()
    }

    #[test]
    fn a_metric_knows_its_direction() {
        let mut best = on_accuracy(EarlyStopping::new().patience(0).min_delta(0.01));
        assert!(!best.observe(&record(1, 1.0, 0.5), &[1.0], &[]));
        assert!(!best.observe(&record(2, 2.0, 0.6), &[2.0], &[]));
        assert!(best.observe(&record(3, 2.0, 0.605), &[3.0], &[]), "less than min_delta");
        assert_eq!(best.standing.epoch, 2);
    }

    #[test]
    fn a_tie_of_the_metric_is_broken_by_the_loss() {
        let mut best = on_accuracy(EarlyStopping::new().patience(1));
        assert!(!best.observe(&record(1, 1.0, 0.9), &[1.0], &[]));
        assert!(!best.observe(&record(2, 0.8, 0.9), &[2.0], &[]));
        assert_eq!(best.standing.epoch, 2, "a smaller loss at the same accuracy is kept");
        assert!(!best.observe(&record(3, 0.9, 0.9), &[3.0], &[]));
        assert!(best.observe(&record(4, 0.8, 0.9), &[4.0], &[]), "as good in both is no progress");
        assert_eq!((best.standing.epoch, best.snapshot.parameters()), (2, &[2.0][..]));
    }

    #[test]
    fn a_worse_metric_is_not_kept_but_waited_for_while_the_loss_falls() {
        let mut best = on_accuracy(EarlyStopping::new().patience(1));
        for (epoch, loss) in [(1, 1.0), (2, 0.9), (3, 0.8), (4, 0.7), (5, 0.6)] {
            let accuracy = if epoch == 1 { 0.9 } else { 0.88 };
            assert!(!best.observe(&record(epoch, loss, accuracy), &[loss], &[]));
        }
        assert_eq!(best.standing.epoch, 1);
        assert!(!best.observe(&record(6, 0.65, 0.95), &[0.65], &[]), "a better metric at a larger loss");
        assert_eq!(best.standing.epoch, 6);
        assert!(!best.observe(&record(7, 0.62, 0.94), &[7.0], &[]));
        assert!(best.observe(&record(8, 0.61, 0.94), &[8.0], &[]), "the smallest loss is that of epoch 5");
    }

    #[test]
    fn the_loss_breaks_no_tie_of_its_own_within_min_delta() {
        let mut best = Best::new(&EarlyStopping::new().patience(1).min_delta(0.1), &[]).unwrap();
        assert!(!best.observe(&record(1, 1.0, 0.0), &[1.0], &[]));
        assert!(!best.observe(&record(2, 0.95, 0.0), &[2.0], &[]));
        assert!(best.observe(&record(3, 0.91, 0.0), &[3.0], &[]));
        assert_eq!(best.standing.epoch, 1);
    }

    #[test]
    fn numbers_replace_what_is_not_a_number() {
        let mut best = on_accuracy(EarlyStopping::new().patience(0));
        assert!(!best.observe(&record(1, 1.0, f64::NAN), &[1.0], &[]), "the loss is the first");
        assert_eq!(best.standing.epoch, 0, "nothing is kept");
        assert!(!best.observe(&record(2, f64::NAN, 0.5), &[2.0], &[]));
        assert!(!best.observe(&record(3, 2.0, 0.5), &[3.0], &[]));
        assert!(best.observe(&record(4, 3.0, f64::NAN), &[4.0], &[]));
        assert_eq!(best.standing.epoch, 3);
    }

    #[test]
    fn an_unknown_metric_is_an_error_that_lists_the_known() {
        let rule = EarlyStopping::new().on_metric("f1");
        let error = Best::<f32>::new(&rule, &[("accuracy".into(), true)]).unwrap_err().to_string();
        assert!(error.contains("`f1`") && error.contains("accuracy"), "{error}");
    }
}
