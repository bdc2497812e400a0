use std::fmt;

/// What happened in a training run, epoch by epoch.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct History {
    /// One row for every epoch that was completed.
    pub epochs: Vec<EpochRecord>,
    /// Why the run ended.
    pub reason: StopReason,
    /// The epoch whose parameters the network holds now, counted from 1: the best, or the last. `None` if the run ended
    /// within an epoch and none is known to be the best.
    pub kept_epoch: Option<u64>,
    /// The steps that were taken.
    pub steps: u64,
    /// The time that the run took.
    pub seconds: f64,
}

impl History {
    /// The record of the epoch whose parameters the network holds, if it is of this run.
    #[must_use]
    pub fn kept(&self) -> Option<&EpochRecord> {
        self.epochs.iter().find(|record| Some(record.epoch) == self.kept_epoch)
    }
}

/// One epoch of a run.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EpochRecord {
    /// Which epoch, counted from 1.
    pub epoch: u64,
    /// The loss over the training examples, each taken before the step it led to.
    pub training_loss: f64,
    /// The loss over all validation examples at once, after the epoch.
    pub validation_loss: Option<f64>,
    /// The metrics on the validation examples, or on the training examples without validation data.
    pub metrics: Vec<(String, f64)>,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// The time that the epoch took, validation included.
    pub seconds: f64,
}

impl EpochRecord {
    /// The validation metric of this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs were run.
    #[default]
    Completed,
    /// The watched number no longer improved.
    EarlyStopping,
    /// A [`StopHandle`](crate::StopHandle) or Ctrl-C asked for it.
    Interrupted,
    /// A callback asked for it.
    Callback,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "all epochs were run",
            Self::EarlyStopping => "the watched number no longer improved",
            Self::Interrupted => "the run was interrupted",
            Self::Callback => "a callback ended the run",
        })
    }
}

#[cfg(feature = "csv")]
impl History {
    /// Writes one row per epoch, with a header.
    ///
    /// # Errors
    /// Where the writer fails.
    pub fn write_csv(&self, writer: impl std::io::Write) -> std::io::Result<()> {
        let mut csv = csv::Writer::from_writer(writer);
        let metrics = self.epochs.first().map_or(&[][..], |first| &first.metrics);
        let header = ["epoch", "training_loss", "validation_loss", "learning_rate", "seconds"];
        csv.write_record(header.into_iter().chain(metrics.iter().map(|(name, _)| name.as_str())))?;
        for epoch in &self.epochs {
            let fixed = [
                epoch.epoch.to_string(),
                epoch.training_loss.to_string(),
                epoch.validation_loss.map(|loss| loss.to_string()).unwrap_or_default(),
                epoch.learning_rate.to_string(),
                epoch.seconds.to_string(),
            ];
            csv.write_record(fixed.into_iter().chain(epoch.metrics.iter().map(|(_, value)| value.to_string())))?;
        }
        csv.flush()
    }
}

#[cfg(feature = "json")]
impl History {
    /// Writes the whole history as one JSON object. A number that is not finite becomes `null`.
    ///
    /// # Errors
    /// Where the writer fails.
    pub fn write_json(&self, writer: impl std::io::Write) -> std::io::Result<()> {
        Ok(serde_json::to_writer_pretty(writer, self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let epoch = |epoch, loss| EpochRecord {
            epoch,
            training_loss: loss,
            validation_loss: Some(2.0 * loss),
            metrics: vec![("accuracy".into(), 0.5)],
            learning_rate: 0.1,
            seconds: 0.25,
        };
        History { epochs: vec![epoch(1, 1.0), epoch(2, 0.5)], kept_epoch: Some(2), steps: 8, ..History::default() }
    }

    #[cfg(feature = "csv")]
    #[test]
    fn csv_has_a_header_and_a_row_per_epoch() {
        let mut csv = Vec::new();
        history().write_csv(&mut csv).unwrap();
        let expected = "epoch,training_loss,validation_loss,learning_rate,seconds,accuracy\n\
                        1,1,2,0.1,0.25,0.5\n2,0.5,1,0.1,0.25,0.5\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_reads_back() {
        let mut json = Vec::new();
        history().write_json(&mut json).unwrap();
        assert_eq!(serde_json::from_slice::<History>(&json).unwrap(), history());
    }
}
