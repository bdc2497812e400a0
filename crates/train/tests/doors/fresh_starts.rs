//! `fit` starts anew, and `resume` goes on as if the run had not been interrupted.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_losses::MeanSquaredError;
use downhill_optim::schedule::{Cosine, OneCycle, ReduceOnPlateau};
use downhill_optim::{Adam, Optimizer, Sgd};
use downhill_tensor::Seed;
use downhill_train::{EarlyStopping, History, Trainer};

use crate::{line, network, standing_still};

#[test]
fn each_fold_of_one_trainer_starts_anew() {
    let data = line(60);
    let folds: Vec<_> = data.k_folds(3, Seed(5)).unwrap().collect();
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.1).momentum(0.9)).epochs(6).batch_size(8);
    type Make<'a> = Box<dyn Fn() -> Trainer<'a, f64, MeanSquaredError, Sgd<f64>> + 'a>;
    let makes: [Make<'_>; 4] = [
        Box::new(|| trainer().schedule(Cosine::new(30))),
        Box::new(|| trainer().schedule(OneCycle::new(30))),
        Box::new(|| trainer().reduce_on_plateau(ReduceOnPlateau::new().patience(0).absolute_threshold(1e9))),
        Box::new(|| trainer().early_stopping(EarlyStopping::new().patience(0))),
    ];
    for (index, make) in makes.iter().enumerate() {
        let mut one = make();
        for fold in &folds {
            let run = |trainer: &mut Trainer<'_, f64, MeanSquaredError, Sgd<f64>>| {
                let mut network = network(1);
                let history = trainer.fit(&mut network, &fold.train).unwrap();
                let epochs = history.epochs.iter().map(|epoch| (epoch.training_loss, epoch.learning_rate));
                let memory = Optimizer::<f64>::state(trainer.optimizer());
                (network.parameters().to_vec(), epochs.collect::<Vec<_>>(), history.kept_epoch, memory)
            };
            assert_eq!(run(&mut one), run(&mut make()), "run {index}");
        }
    }
}

#[test]
fn the_first_rate_of_every_fold_is_the_base_rate() {
    let data = line(60);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let rates = Arc::clone(&seen);
    let mut trainer =
        Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(5).batch_size(60).schedule(Cosine::new(5)).on_step(
            move |end| {
                rates.lock().unwrap().push((end.step, end.learning_rate));
                ControlFlow::Continue(())
            },
        );
    for fold in data.k_folds(3, Seed(5)).unwrap() {
        trainer.fit(&mut network(1), &fold.train).unwrap();
    }
    let firsts: Vec<f64> = seen.lock().unwrap().iter().filter(|(step, _)| *step == 0).map(|(_, rate)| *rate).collect();
    assert_eq!(firsts, [0.1; 3]);
    let lasts: Vec<f64> = seen.lock().unwrap().iter().filter(|(step, _)| *step == 4).map(|(_, rate)| *rate).collect();
    assert!(lasts[0] < 0.02 && lasts == [lasts[0]; 3], "{lasts:?}");
}

#[test]
fn each_epoch_that_is_resumed_has_an_order_of_its_own() {
    let data = line(12);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let losses = Arc::clone(&seen);
    let mut trainer =
        Trainer::new(MeanSquaredError::new(), standing_still()).epochs(1).batch_size(1).on_step(move |end| {
            losses.lock().unwrap().push(end.loss);
            ControlFlow::Continue(())
        });
    let mut network = network(1);
    trainer.fit(&mut network, &data).unwrap();
    for _ in 0..3 {
        trainer.continue_fit(&mut network, &data).unwrap();
    }
    trainer.fit(&mut network, &data).unwrap();
    let seen = seen.lock().unwrap();
    let orders: Vec<&[f64]> = seen.chunks(12).collect();
    for (index, order) in orders[..4].iter().enumerate() {
        assert!(orders[..index].iter().all(|earlier| earlier != order), "epoch {index} has the order of another");
    }
    assert_eq!(orders[4], orders[0], "anew");
}

#[test]
fn a_run_in_single_epochs_is_the_unbroken_one() {
    let data = line(60);
    let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(8).schedule(Cosine::new(48));
    let (mut whole, mut parts) = (network(1), network(1));
    trainer().epochs(6).fit(&mut whole, &data).unwrap();
    let mut single = trainer().epochs(1);
    single.fit(&mut parts, &data).unwrap();
    let later: Vec<History> = (0..5).map(|_| single.continue_fit(&mut parts, &data).unwrap()).collect();
    assert_eq!(parts.parameters(), whole.parameters());
    assert_eq!(later.iter().map(|history| history.epochs[0].epoch).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
}

#[test]
fn an_optimizer_that_is_chosen_at_run_time_trains_to_the_same_bits() {
    let data = line(30);
    let (mut named, mut boxed) = (network(1), network(1));
    Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).epochs(3).fit(&mut named, &data).unwrap();
    let optimizer: Box<dyn Optimizer<f64>> = Box::new(Adam::new(0.01));
    Trainer::new(MeanSquaredError::new(), optimizer).epochs(3).fit(&mut boxed, &data).unwrap();
    assert_eq!(named.parameters(), boxed.parameters());
}
