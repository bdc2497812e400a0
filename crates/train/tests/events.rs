//! Every callback sees every event of a run in order, whoever ends it, and its end once.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::{Arc, Mutex};

use downhill_data::Dataset;
use downhill_layers::Affine;
use downhill_losses::MeanSquaredError;
use downhill_network::Network;
use downhill_optim::GradientDescent;
use downhill_tensor::Seed;
use downhill_train::metrics::MeanAbsoluteError;
use downhill_train::{
    Callback, EarlyStopping, EpochEnd, RunEnd, RunStart, StepEnd, StopHandle, StopReason, TrainError, Trainer,
};
use ndarray::Array2;

const EXAMPLES: usize = 20;
const BATCH_SIZE: usize = 8;
const STEPS_PER_EPOCH: u64 = 3;
const EPOCHS: u64 = 4;

/// What a callback saw.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Start { first_epoch: u64, last_epoch: u64, step: u64 },
    Step { epoch: u64, step: u64 },
    Epoch { epoch: u64 },
    End(Result<StopReason, String>),
}

type Record = Arc<Mutex<Vec<Event>>>;

/// An event after which a callback ends the run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Nothing,
    Step(u64),
    Epoch(u64),
}

/// An observer that writes down what it sees, and may end the run.
struct Witness {
    seen: Record,
    breaks: At,
    /// Pulled at this step.
    stop: Option<(u64, StopHandle)>,
}

impl Witness {
    fn note(&self, event: Event, at: At) -> ControlFlow<()> {
        self.seen.lock().unwrap().push(event);
        if self.breaks != At::Nothing && self.breaks == at { Break(()) } else { Continue(()) }
    }
}

impl Callback<f64> for Witness {
    fn on_start(&mut self, start: &RunStart<'_, f64>) {
        assert_eq!(start.steps_per_epoch, Some(STEPS_PER_EPOCH));
        assert_eq!(start.examples_per_epoch, Some(EXAMPLES as u64));
        assert_eq!(start.metrics, ["mae"]);
        assert!(start.settings.contains(&("batch_size", BATCH_SIZE.to_string())), "{:?}", start.settings);
        let (first_epoch, last_epoch) = (start.epochs.start + 1, start.epochs.end);
        let _ = self.note(Event::Start { first_epoch, last_epoch, step: start.step }, At::Nothing);
    }

    fn on_step(&mut self, end: &StepEnd<'_, f64>) -> ControlFlow<()> {
        assert_eq!(end.gradient.len(), end.network.parameters().len());
        if let Some((_, stop)) = self.stop.as_ref().filter(|(step, _)| *step == end.step) {
            stop.stop();
        }
        self.note(Event::Step { epoch: end.epoch, step: end.step }, At::Step(end.step))
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, f64>) -> ControlFlow<()> {
        assert_eq!(end.record.metrics[0].0, "mae");
        self.note(Event::Epoch { epoch: end.record.epoch }, At::Epoch(end.record.epoch))
    }

    fn on_end(&mut self, end: &RunEnd<'_, f64>) {
        let result = end.result.map(|history| history.reason).map_err(ToString::to_string);
        let _ = self.note(Event::End(result), At::Nothing);
    }
}

fn line() -> Dataset<f64> {
    let x = Array2::from_shape_fn((EXAMPLES, 1), |(i, _)| i as f64 / 10.0 - 1.0);
    let y = x.mapv(|x| 2.0 * x - 1.0);
    Dataset::from_array(x, y).unwrap()
}

fn network() -> Network<f64> {
    Network::build([1], Affine::new(1), Seed(1)).unwrap()
}

/// Three witnesses, of which each may end the run, with one record of events each.
fn witnesses(breaks: [At; 3], stop: Option<(usize, u64, &StopHandle)>) -> ([Witness; 3], Vec<Record>) {
    let mut number = 0;
    let witnesses = breaks.map(|breaks| {
        let stop = stop.filter(|(who, ..)| *who == number).map(|(_, step, handle)| (step, handle.clone()));
        number += 1;
        Witness { seen: Arc::default(), breaks, stop }
    });
    let records = witnesses.iter().map(|witness| Arc::clone(&witness.seen)).collect();
    (witnesses, records)
}

fn trainer<'a>(rate: f64, witnesses: [Witness; 3]) -> Trainer<'a, f64, MeanSquaredError, GradientDescent<f64>> {
    let trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(rate))
        .epochs(EPOCHS)
        .batch_size(BATCH_SIZE)
        .metric(MeanAbsoluteError::new());
    witnesses.into_iter().fold(trainer, Trainer::callback)
}

/// The events of a run that begins after `before` epochs, up to `steps` and, of these steps' epochs, the first `epochs`.
fn expected(before: u64, steps: u64, epochs: u64, end: Result<StopReason, String>) -> Vec<Event> {
    let first = before * STEPS_PER_EPOCH;
    let mut events = vec![Event::Start { first_epoch: before + 1, last_epoch: before + EPOCHS, step: first }];
    for step in first..first + steps {
        let epoch = step / STEPS_PER_EPOCH + 1;
        events.push(Event::Step { epoch, step });
        if (step + 1) % STEPS_PER_EPOCH == 0 && epoch <= before + epochs {
            events.push(Event::Epoch { epoch });
        }
    }
    events.push(Event::End(end));
    events
}

fn assert_all_saw(records: &[Record], expected: &[Event]) {
    for (who, record) in records.iter().enumerate() {
        assert_eq!(*record.lock().unwrap(), expected, "callback {who}");
    }
}

#[test]
fn a_run_that_no_one_ends_is_seen_from_start_to_end() {
    let (witnesses, records) = witnesses([At::Nothing; 3], None);
    let mut trainer = trainer(0.1, witnesses);
    let mut network = network();
    trainer.fit(&mut network, &line()).unwrap();
    let steps = EPOCHS * STEPS_PER_EPOCH;
    let first = expected(0, steps, EPOCHS, Ok(StopReason::Completed));
    assert_all_saw(&records, &first);
    // One that goes on counts on.
    trainer.continue_fit(&mut network, &line()).unwrap();
    let second = expected(EPOCHS, steps, EPOCHS, Ok(StopReason::Completed));
    assert_all_saw(&records, &[first, second].concat());
}

#[test]
fn whichever_callback_ends_the_run_all_see_every_event() {
    // The first step, one within an epoch, the last of an epoch, and the last of all; likewise epochs.
    for (at, steps, epochs) in [
        (At::Step(0), 1, 0),
        (At::Step(4), 5, 1),
        (At::Step(5), 6, 1),
        (At::Step(11), 12, 3),
        (At::Epoch(1), 3, 1),
        (At::Epoch(2), 6, 2),
        (At::Epoch(EPOCHS), 12, 4),
    ] {
        // Each alone, two of them, and all three.
        for who in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
            let mut breaks = [At::Nothing; 3];
            who.iter().for_each(|&who| breaks[who] = at);
            let (witnesses, records) = witnesses(breaks, None);
            let history = trainer(0.1, witnesses).fit(&mut network(), &line()).unwrap();
            assert_eq!((history.reason, history.steps), (StopReason::Callback, steps), "{at:?} by {who:?}");
            assert_all_saw(&records, &expected(0, steps, epochs, Ok(StopReason::Callback)));
        }
    }
}

#[test]
fn a_callback_that_ends_a_run_at_a_step_hides_no_other_wish_to_end_it() {
    // The one asks at the step, the other would ask at the epoch, which is not reached.
    let (witnesses, records) = witnesses([At::Epoch(2), At::Step(5), At::Nothing], None);
    trainer(0.1, witnesses).fit(&mut network(), &line()).unwrap();
    assert_all_saw(&records, &expected(0, 6, 1, Ok(StopReason::Callback)));
}

#[test]
fn early_stopping_is_seen_by_all() {
    let (witnesses, records) = witnesses([At::Nothing; 3], None);
    // Steps of this size change no loss, so that the second epoch is no progress.
    let mut trainer = trainer(1e-300, witnesses).early_stopping(EarlyStopping::new().patience(1));
    let history = trainer.fit(&mut network(), &line()).unwrap();
    assert_eq!(history.reason, StopReason::EarlyStopping);
    let epochs = history.epochs.len() as u64;
    assert!(epochs < EPOCHS, "{epochs} epochs");
    let expected = expected(0, epochs * STEPS_PER_EPOCH, epochs, Ok(StopReason::EarlyStopping));
    assert_all_saw(&records, &expected);
}

#[test]
fn a_stop_handle_is_seen_by_all() {
    for who in 0..3 {
        for (step, steps, epochs) in [(0, 1, 0), (4, 5, 1), (5, 6, 1)] {
            let handle = StopHandle::new();
            let (witnesses, records) = witnesses([At::Nothing; 3], Some((who, step, &handle)));
            let mut trainer = trainer(0.1, witnesses).stop_handle(handle);
            assert_eq!(trainer.fit(&mut network(), &line()).unwrap().reason, StopReason::Interrupted);
            assert_all_saw(&records, &expected(0, steps, epochs, Ok(StopReason::Interrupted)));
        }
    }
}

#[test]
fn a_divergence_is_seen_by_all() {
    let (witnesses, records) = witnesses([At::Nothing; 3], None);
    let error = trainer(1e200, witnesses).fit(&mut network(), &line()).unwrap_err();
    let TrainError::Diverged(divergence) = &error else { panic!("{error}") };
    // The step that diverged was not taken.
    let (steps, epochs) = (divergence.step, divergence.step / STEPS_PER_EPOCH);
    assert!(steps > 0 && divergence.epoch == epochs + 1, "{divergence}");
    assert_all_saw(&records, &expected(0, steps, epochs, Err(error.to_string())));
}

#[test]
fn a_run_that_is_refused_at_the_door_has_no_events() {
    let (witnesses, records) = witnesses([At::Nothing; 3], None);
    trainer(-1.0, witnesses).fit(&mut network(), &line()).unwrap_err();
    assert_all_saw(&records, &[]);
}
