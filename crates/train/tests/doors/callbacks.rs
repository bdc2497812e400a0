//! Callbacks end a run, and hear of its last step and epoch.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_losses::MeanSquaredError;
use downhill_optim::Sgd;
use downhill_train::{EarlyStopping, StopReason, Trainer};

use crate::{line, network};

#[test]
fn a_run_that_ends_within_its_first_epoch_has_kept_none() {
    let mut network = network(1);
    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1))
        .batch_size(4)
        .early_stopping(EarlyStopping::new())
        .on_step(|end| if end.step == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .fit(&mut network, &line(40))
        .unwrap();
    assert_eq!((history.reason, history.steps), (StopReason::Callback, 2));
    assert_eq!((history.kept_epoch, history.kept()), (None, None));
    // Within a later epoch the parameters are those of no epoch either, unless one is the best.
    let run = |early: bool| {
        let trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.01))
            .batch_size(4)
            .on_step(|end| if end.step == 25 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        let mut trainer = if early { trainer.early_stopping(EarlyStopping::new()) } else { trainer };
        trainer.fit(&mut crate::network(1), &line(40)).unwrap().kept_epoch
    };
    assert_eq!((run(false), run(true)), (None, Some(2)));
}

#[test]
fn every_callback_is_told_the_last_event() {
    let told = Arc::new(Mutex::new((0, 0)));
    let (steps, epochs) = (Arc::clone(&told), Arc::clone(&told));
    let data = line(40);
    let trainer = |last_step: u64| {
        Trainer::new(MeanSquaredError::new(), Sgd::new(0.01))
            .batch_size(10)
            .on_step(move |end| if end.step == last_step { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            .on_epoch(|end| if end.record.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let mut watched = trainer(6)
        .on_step(move |_| {
            steps.lock().unwrap().0 += 1;
            ControlFlow::Continue(())
        })
        .on_epoch(move |_| {
            epochs.lock().unwrap().1 += 1;
            ControlFlow::Continue(())
        });
    assert_eq!(watched.fit(&mut network(1), &data).unwrap().steps, 7);
    assert_eq!(*told.lock().unwrap(), (7, 1), "the step that ended the run too");
    let epochs = Arc::clone(&told);
    let mut watched = trainer(u64::MAX).on_epoch(move |_| {
        epochs.lock().unwrap().1 += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(watched.fit(&mut network(1), &data).unwrap().epochs.len(), 2);
    assert_eq!(told.lock().unwrap().1, 3, "the epoch that ended the run too");
}
