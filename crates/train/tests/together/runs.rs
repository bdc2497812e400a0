//! Whole runs: what is read, who is waited for, how they end and go on.

use std::path::Path;
use std::time::Duration;

use downhill_optim::schedule::ReduceOnPlateau;
use downhill_train::{Every, StopReason};
use tempfile::tempdir;

use super::*;

#[test]
fn data_of_each_rank_may_be_uneven() {
    let validation = data(5, 30);
    let build = || trainer(Sgd::new(0.05)).reduce_on_plateau(ReduceOnPlateau::new());
    for synchronized in [false, true] {
        let settings = Settings { synchronized, data: RankData::Own, ..Settings::default() };
        let all = on_ranks(3, settings, |rank, exchange| {
            let (mut network, own) = (network(), data(rank as u32, [40, 3, 18][rank]));
            let mut trainer = shortened(build()).validate(&validation).exchange(exchange);
            let history = trainer.fit(&mut network, &own).unwrap();
            (bits(&network), curve(&history), history.steps)
        });
        assert!(all.iter().all(|left| *left == all[0]));
        assert_eq!(all[0].2, 4 * 5);
    }
}

#[test]
fn each_batch_is_read_by_one_rank_and_each_number_is_sent_once() {
    let training = data(0, EXAMPLES);
    let sent = on_ranks(2, Settings::default(), |_, exchange| {
        let (sent, mut network) = (exchange.sent.clone(), network());
        let history = trainer(Sgd::new(0.1)).exchange(exchange).fit(&mut network, &training).unwrap();
        (sent.load(Ordering::Relaxed), history.steps as usize * network.parameters().len())
    });
    assert!(sent.iter().all(|(sent, expected)| sent == expected && *sent > 0), "{sent:?}");
}

#[test]
fn the_rank_that_others_wait_for_is_named() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(3, Settings::default(), |rank, exchange| {
        let (mut network, mut slowest) = (network(), Vec::new());
        let mut trainer = trainer(Sgd::new(0.1))
            .on_step(move |_| {
                thread::sleep(Duration::from_millis(if rank == 1 { 40 } else { 0 }));
                ControlFlow::Continue(())
            })
            .on_epoch(|end| {
                slowest.extend(end.slowest);
                ControlFlow::Continue(())
            })
            .exchange(exchange);
        trainer.fit(&mut network, &training).unwrap();
        drop(trainer);
        slowest
    });
    // The others wait in each of the four steps of an epoch but the first, which may follow a step of the epoch before.
    for slowest in &all {
        assert!(slowest.len() == 4 && slowest.iter().all(|slowest| slowest.rank == 1 && slowest.seconds > 0.1));
        assert_eq!(slowest, &all[0]);
    }
    let mut alone = trainer(Sgd::new(0.1)).on_epoch(|end| {
        assert!(end.slowest.is_none());
        ControlFlow::Continue(())
    });
    alone.fit(&mut network(), &training).unwrap();
}

#[test]
fn a_rank_that_stops_ends_the_run_of_all() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(3, Settings::default(), |rank, exchange| {
        let mut network = network();
        let stop =
            move |steps: u64| if rank == 1 && steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let result =
            trainer(Sgd::new(0.1)).on_step(move |end| stop(end.step)).exchange(exchange).fit(&mut network, &training);
        let history = result.unwrap();
        (bits(&network), history.steps, history.reason)
    });
    // Step 2 is the third; the others learn of it with the fourth.
    assert!(all.iter().all(|left| (left.1, left.2) == (4, StopReason::Callback) && left.0 == all[0].0), "{all:?}");
    let all = on_ranks(3, Settings::default(), |rank, exchange| {
        let mut network = network();
        let stop =
            move |epoch| if rank == 2 && epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut trainer = trainer(Sgd::new(0.1)).on_epoch(move |end| stop(end.record.epoch)).exchange(exchange);
        let history = trainer.fit(&mut network, &training).unwrap();
        (history.epochs.len(), history.reason)
    });
    assert_eq!(all, [(2, StopReason::Callback); 3]);
}

/// Trains with checkpoints on this number of ranks, up to an epoch, and stops within it after some steps if told to.
fn with_checkpoints(ranks: usize, folder: &Path, epochs: u64, stop_at: Option<u64>) -> Vec<(Vec<u32>, History)> {
    let (training, validation) = (data(0, EXAMPLES), data(5, 30));
    let settings = Settings { sharded: true, bucket: Some(20), ..Settings::default() };
    on_ranks(ranks, settings, |_, exchange| {
        let mut network = network();
        let stop = move |step| if stop_at == Some(step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut trainer = shortened(trainer(Adam::new(0.02)))
            .epochs(epochs)
            .validate(&validation)
            .checkpoint(folder, Every::Steps(1))
            .resume_or_start(folder)
            .on_step(move |end| stop(end.step))
            .exchange(exchange);
        let history = trainer.fit(&mut network, &training).unwrap();
        (bits(&network), history)
    })
}

#[test]
fn a_run_goes_on_with_its_bits_and_on_another_number_of_ranks() {
    let folder = tempdir().unwrap();
    let whole = with_checkpoints(3, &folder.path().join("whole"), 4, None);
    // Broken off within the second epoch and within the third.
    let path = folder.path().join("parts");
    for stop in [5, 10] {
        with_checkpoints(3, &path, 4, Some(stop));
    }
    let resumed = with_checkpoints(3, &path, 4, None);
    assert!(resumed.iter().all(|left| left.0 == whole[0].0 && curve(&left.1) == curve(&whole[0].1)));
    let path = folder.path().join("others");
    with_checkpoints(3, &path, 4, Some(5));
    let fewer = with_checkpoints(2, &path, 4, Some(12));
    assert!(fewer.iter().all(|left| left.0 == fewer[0].0));
    let more = with_checkpoints(4, &path, 6, None);
    assert!(more.iter().all(|left| left.0 == more[0].0 && left.1.epochs.len() == 6));
    let losses: Vec<f64> = more[0].1.epochs.iter().map(|epoch| epoch.training_loss).collect();
    assert!(losses[5] < losses[0], "{losses:?}");
}
