use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use downhill_train::EpochRecord;

use super::curve::Curve;

/// What the dashboard knows of a run. Times count from the run's start.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Counted from 0.
    pub(crate) epochs: Range<u64>,
    pub(crate) steps_per_epoch: Option<u64>,
    pub(crate) examples_per_epoch: Option<u64>,
    /// The epochs that this run has completed.
    pub(crate) completed: u64,
    /// The steps that this run has taken.
    pub(crate) steps: u64,
    /// Those of the current epoch.
    pub(crate) steps_in_epoch: u64,
    pub(crate) rate: f64,
    pub(crate) step_loss: Curve,
    pub(crate) training_loss: Curve,
    pub(crate) validation_loss: Curve,
    pub(crate) metrics: Vec<(String, Curve)>,
    pub(crate) last: Option<EpochRecord>,
    pub(crate) is_stopping: bool,
    speed: Speed,
}

impl State {
    pub(crate) fn new(epochs: Range<u64>, metrics: &[String]) -> Self {
        let metrics = metrics.iter().map(|name| (name.clone(), Curve::default())).collect();
        Self { epochs, metrics, ..Self::default() }
    }

    pub(crate) fn step(&mut self, loss: f64, rate: f64) {
        self.steps += 1;
        self.steps_in_epoch += 1;
        self.rate = rate;
        self.step_loss.push(self.steps as f64, loss);
    }

    pub(crate) fn epoch(&mut self, record: &EpochRecord) {
        self.completed += 1;
        self.steps_in_epoch = 0;
        let x = self.steps as f64;
        self.training_loss.push(x, record.training_loss);
        if let Some(loss) = record.validation_loss {
            self.validation_loss.push(x, loss);
        }
        for ((_, curve), (_, value)) in self.metrics.iter_mut().zip(&record.metrics) {
            curve.push(x, *value);
        }
        self.last = Some(record.clone());
    }

    /// The part of the current epoch that is done, if that can be known.
    pub(crate) fn part_of_epoch(&self) -> Option<f64> {
        let steps = self.steps_per_epoch.filter(|&steps| steps > 0)?;
        Some((self.steps_in_epoch as f64 / steps as f64).min(1.0))
    }

    /// The part of the run that is done.
    pub(crate) fn part_of_run(&self) -> f64 {
        let epochs = self.epochs.end.saturating_sub(self.epochs.start).max(1) as f64;
        ((self.completed as f64 + self.part_of_epoch().unwrap_or(0.0)) / epochs).min(1.0)
    }

    /// The time to the end, if the rest takes as long as what is done; validation is part of it.
    pub(crate) fn time_left(&self, now: Duration) -> Option<Duration> {
        let done = self.part_of_run();
        let seconds = now.as_secs_f64() * (1.0 - done) / done;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Takes note of the time, for the throughput.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.speed.tick(now, self.steps);
    }

    /// The steps in a second, over the last ten.
    pub(crate) fn steps_per_second(&self) -> Option<f64> {
        self.speed.per_second()
    }

    /// The examples in a second, if their number in an epoch is known.
    pub(crate) fn examples_per_second(&self) -> Option<f64> {
        let steps = self.steps_per_epoch.filter(|&steps| steps > 0)?;
        Some(self.steps_per_second()? * self.examples_per_epoch? as f64 / steps as f64)
    }
}

/// Counts over the last ten seconds.
#[derive(Clone, Debug, Default)]
struct Speed(VecDeque<(Duration, u64)>);

impl Speed {
    const WINDOW: Duration = Duration::from_secs(10);

    fn tick(&mut self, now: Duration, count: u64) {
        self.0.push_back((now, count));
        while self.0.len() > 2 && self.0.front().is_some_and(|(then, _)| now.saturating_sub(*then) > Self::WINDOW) {
            self.0.pop_front();
        }
    }

    fn per_second(&self) -> Option<f64> {
        let ((then, before), (now, count)) = (*self.0.front()?, *self.0.back()?);
        let seconds = now.checked_sub(then)?.as_secs_f64();
        (seconds > 0.0).then(|| count.saturating_sub(before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_come_from_what_is_done() {
        let mut state = State::new(4..8, &[]);
        (state.steps_per_epoch, state.examples_per_epoch) = (Some(10), Some(75));
        assert_eq!((state.part_of_run(), state.time_left(Duration::from_secs(1))), (0.0, None));
        for second in 0..=5 {
            state.tick(Duration::from_secs(second));
            (0..2).for_each(|_| state.step(1.0, 0.1));
        }
        assert_eq!(state.steps_per_second(), Some(2.0));
        assert_eq!(state.examples_per_second(), Some(15.0));
        state.epoch(&EpochRecord::default());
        assert_eq!((state.part_of_epoch(), state.part_of_run()), (Some(0.0), 0.25));
        assert_eq!(state.time_left(Duration::from_secs(10)), Some(Duration::from_secs(30)));
        // What is further back than ten seconds does not count.
        (6..30).for_each(|second| state.tick(Duration::from_secs(second)));
        assert_eq!(state.steps_per_second(), Some(0.0));
        // More steps than were expected are no more than all.
        (0..100).for_each(|_| state.step(1.0, 0.1));
        assert_eq!((state.part_of_epoch(), state.part_of_run()), (Some(1.0), 0.5));
        state.steps_per_epoch = None;
        assert_eq!((state.part_of_epoch(), state.examples_per_second()), (None, None));
    }
}
