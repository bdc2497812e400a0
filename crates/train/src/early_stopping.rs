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
/// An epoch improves if its number is better than the best by more than `min_delta`.
/// Training ends once more than `patience` epochs in a row have not improved.
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

    /// Watches the validation metric of this name, such as `accuracy`.
    #[must_use]
    pub fn on_metric(mut self, name: impl Into<String>) -> Self {
        self.monitor = Monitor::Metric(name.into());
        self
    }

    /// Sets how many epochs in a row may fail to improve; 10 unless set.
    #[must_use]
    pub fn patience(mut self, epochs: u64) -> Self {
        self.patience = epochs;
        self
    }

    /// Sets by how much an epoch must be better; 0 unless set.
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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Standing {
    /// The best number so far.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    value: Option<f64>,
    /// The epochs in a row that have not improved.
    bad: u64,
    /// The best epoch, counted from 1; 0 before the first.
    pub(crate) epoch: u64,
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
        let value = self.rule.monitor.of(record);
        let sign = if self.larger_is_better { -1.0 } else { 1.0 };
        // Not-a-number is never better; anything is better than nothing.
        let improves = match self.standing.value {
            None => !value.is_nan(),
            Some(best) => sign * value < sign * best - self.rule.min_delta,
        };
        if improves {
            self.standing = Standing { value: Some(value), bad: 0, epoch: record.epoch };
            self.snapshot.keep(theta, statistics);
        } else {
            self.standing.bad += 1;
        }
        self.is_exhausted()
    }
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

    #[test]
    fn a_metric_knows_its_direction() {
        let rule = EarlyStopping::new().on_metric("accuracy").patience(0).min_delta(0.01);
        let mut best = Best::new(&rule, &[("accuracy".into(), true)]).unwrap();
        assert!(!best.observe(&record(1, 1.0, 0.5), &[1.0], &[]));
        assert!(!best.observe(&record(2, 2.0, 0.6), &[2.0], &[]));
        assert!(best.observe(&record(3, 0.0, 0.605), &[3.0], &[]), "less than min_delta");
        assert_eq!(best.standing.epoch, 2);
    }

    #[test]
    fn an_unknown_metric_is_an_error_that_lists_the_known() {
        let rule = EarlyStopping::new().on_metric("f1");
        let error = Best::<f32>::new(&rule, &[("accuracy".into(), true)]).unwrap_err().to_string();
        assert!(error.contains("`f1`") && error.contains("accuracy"), "{error}");
    }
}
