use std::fmt;

use crate::Warned;

/// The history of a training run, epoch by epoch.
///
/// As JSON, numbers are numbers, and those that JSON lacks are the strings `"NaN"`, `"inf"` and `"-inf"`. All read back to
/// the same bits: the feature `json` has `serde_json` round correctly.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct History {
    /// The records of the epochs that were completed.
    pub epochs: Vec<EpochRecord>,
    /// The reason for the end of the run.
    pub reason: StopReason,
    /// The epoch whose parameters the network holds now, counted from 1: the best, or the last. `None` if the run ended
    /// within an epoch and none is known to be the best.
    pub kept_epoch: Option<u64>,
    /// The number of steps that were taken.
    pub steps: u64,
    /// The time that the run took, in seconds.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub seconds: f64,
    /// The checkpoint that the run went on from, if it did.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub resumed: Option<Resumed>,
    /// What [`Trainer::diagnose`](crate::Trainer::diagnose) has warned of, in this order.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub warnings: Vec<Warned>,
}

/// The checkpoint that a run went on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Resumed {
    /// Its path.
    pub checkpoint: String,
    /// The number of steps that had been taken.
    pub steps: u64,
    /// The number of epochs that had been completed.
    pub epochs: u64,
    /// What is wrong with later checkpoints, which are damaged and now have the ending `.damaged`.
    pub damaged: Vec<String>,
    /// What differs from the run that wrote it, such as "batch_size was 32 and is 64".
    pub differences: Vec<String>,
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checkpoint, steps, epochs, damaged, differences } = self;
        write!(f, "resuming from {checkpoint}, after {steps} steps and {epochs} whole epochs")?;
        damaged.iter().try_for_each(|damaged| write!(f, "\n  damaged: {damaged}"))?;
        differences.iter().try_for_each(|difference| write!(f, "\n  differs: {difference}"))
    }
}

impl History {
    /// The record of the epoch whose parameters the network holds, if it is of this run.
    #[must_use]
    pub fn kept(&self) -> Option<&EpochRecord> {
        self.epochs.iter().find(|record| Some(record.epoch) == self.kept_epoch)
    }
}

/// The record of one epoch of a run.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct EpochRecord {
    /// The number of the epoch, counted from 1.
    pub epoch: u64,
    /// The loss over the training examples, each computed before the step it led to.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub training_loss: f64,
    /// The loss over all validation examples at once, after the epoch.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number", default))]
    pub validation_loss: Option<f64>,
    /// The metrics on the validation examples, or on the training examples without validation data.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub metrics: Vec<(String, f64)>,
    /// The learning rate of the epoch's last step.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub learning_rate: f64,
    /// The time that the epoch took, validation included, in seconds.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub seconds: f64,
}

impl EpochRecord {
    /// The metric of this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The reason for the end of a run.
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
    /// Writes one row per epoch, with a header. Each number reads back to the same bits, and those that are not finite are
    /// `NaN`, `inf` and `-inf`. The cell of a validation loss is empty if there are no validation data.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
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
    /// Writes the whole history as one JSON object.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write_json(&self, writer: impl std::io::Write) -> std::io::Result<()> {
        Ok(serde_json::to_writer_pretty(writer, self)?)
    }

    /// Reads what [`write_json`](History::write_json) wrote, to the same bits.
    ///
    /// # Errors
    /// Returns an error if the reader fails, or what it reads is no history, such as one with an unknown key.
    pub fn read_json(reader: impl std::io::Read) -> std::io::Result<Self> {
        Ok(serde_json::from_reader(reader)?)
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

    /// A history of any numbers: special ones, and random bits.
    #[cfg(any(feature = "csv", feature = "json"))]
    fn histories() -> impl Iterator<Item = History> {
        use downhill_tensor::Seed;

        // The last is read wrong by a reader that rounds twice.
        let special = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -f64::MIN_POSITIVE / 3.0];
        let special = special.into_iter().chain([f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2, 1.0715086071862673e301]);
        let mut stream = Seed(1).stream(0);
        let bits =
            std::iter::repeat_with(move || f64::from_bits(u64::from(stream.bits()) << 32 | u64::from(stream.bits())));
        let numbers: Vec<f64> = special.chain(bits.take(30_000)).collect();
        let mut unused = numbers.into_iter();
        std::iter::from_fn(move || {
            let mut next = || unused.next();
            let record = EpochRecord {
                epoch: 1,
                training_loss: next()?,
                validation_loss: Some(next()?),
                metrics: vec![("accuracy".into(), next()?), ("r2".into(), next()?)],
                learning_rate: next()?,
                seconds: next()?,
            };
            let without = EpochRecord { epoch: 2, validation_loss: None, ..record.clone() };
            Some(History { epochs: vec![record, without], seconds: next()?, ..History::default() })
        })
    }

    /// All numbers in a row, as bits; every NaN is the same.
    #[cfg(any(feature = "csv", feature = "json"))]
    fn bits(history: &History) -> Vec<Option<u64>> {
        let of = |number: f64| Some(if number.is_nan() { f64::NAN } else { number }.to_bits());
        let mut all = vec![of(history.seconds)];
        for record in &history.epochs {
            all.extend([of(record.training_loss), record.validation_loss.and_then(of), of(record.learning_rate)]);
            all.push(of(record.seconds));
            all.extend(record.metrics.iter().map(|(_, value)| of(*value)));
        }
        all
    }

    #[cfg(feature = "json")]
    #[test]
    fn every_number_reads_back_from_json_to_the_same_bits() {
        for history in histories() {
            let mut json = Vec::new();
            history.write_json(&mut json).unwrap();
            let again = History::read_json(&json[..]).unwrap();
            assert_eq!(bits(&again), bits(&history), "{}", String::from_utf8_lossy(&json));
            let evaluation = crate::Evaluation { loss: history.seconds, metrics: history.epochs[0].metrics.clone() };
            let json = serde_json::to_string(&evaluation).unwrap();
            let again: crate::Evaluation = serde_json::from_str(&json).unwrap();
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            assert!(same(again.loss, evaluation.loss) && again.metrics.len() == 2, "{json}");
            assert!(again.metrics.iter().zip(&evaluation.metrics).all(|(a, b)| same(a.1, b.1)), "{json}");
        }
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_is_numbers_wherever_json_has_them() {
        let mut history = history();
        history.epochs[0].validation_loss = Some(f64::NAN);
        history.epochs[1].validation_loss = None;
        history.epochs[1].training_loss = f64::INFINITY;
        let json = serde_json::to_value(&history).unwrap();
        let epochs = &json["epochs"];
        assert_eq!((&epochs[0]["training_loss"], &epochs[0]["validation_loss"]), (&1.0.into(), &"NaN".into()));
        assert_eq!((&epochs[1]["training_loss"], &epochs[1]["validation_loss"]), (&"inf".into(), &().into()));
        assert_eq!(epochs[0]["metrics"][0], serde_json::json!(["accuracy", 0.5]));
        // A program that has no fractions writes 1 for 1.0.
        let whole = serde_json::from_value::<History>(serde_json::json!({
            "epochs": [], "reason": "Completed", "kept_epoch": null, "steps": 1, "seconds": 1
        }));
        assert_eq!(whole.unwrap().seconds, 1.0);
        // A key that is misspelt is not one that is missing.
        let misspelt = serde_json::from_value::<EpochRecord>(serde_json::json!({
            "epoch": 1, "training_loss": 1, "validationloss": 2, "metrics": [], "learning_rate": 0.1, "seconds": 1
        }));
        assert!(misspelt.unwrap_err().to_string().contains("`validationloss`"));
        assert!(History::read_json(&b"{\"seconds\": \"soon\"}"[..]).unwrap_err().to_string().contains("soon"));
    }

    #[cfg(feature = "csv")]
    #[test]
    fn every_number_reads_back_from_csv_to_the_same_bits() {
        for history in histories() {
            let mut csv = Vec::new();
            history.write_csv(&mut csv).unwrap();
            let text = String::from_utf8(csv).unwrap();
            let mut again = history.clone();
            for (record, line) in again.epochs.iter_mut().zip(text.lines().skip(1)) {
                let cells: Vec<&str> = line.split(',').collect();
                let number = |cell: usize| cells[cell].parse::<f64>().unwrap();
                record.training_loss = number(1);
                record.validation_loss = (!cells[2].is_empty()).then(|| number(2));
                (record.learning_rate, record.seconds) = (number(3), number(4));
                (record.metrics[0].1, record.metrics[1].1) = (number(5), number(6));
            }
            assert_eq!(bits(&again), bits(&history), "{text}");
        }
    }
}
