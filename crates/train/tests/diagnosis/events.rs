//! What a diagnosis tells, and that it changes nothing.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_data::source::{InMemory, SourceBatches};
use downhill_layers::{Affine, BatchNorm, Dropout, Relu, Sigmoid, Tanh};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy};
use downhill_network::{Frozen, Network, sequential};
use downhill_optim::{Adam, GradientDescent};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Seed};
use downhill_train::{Callback, Diagnosis, Every, History, Norms, StepEnd, Trainer, Warned, Warning};
use ndarray::Array2;

use crate::{curve, images, normals, ring, said};

/// What a callback has seen.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The order of events: a letter and a step.
    order: Vec<(char, u64)>,
    norms: Vec<Norms>,
    warnings: Vec<Warned>,
}

#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Seen>>);

impl Callback<f32> for Witness {
    fn on_step(&mut self, end: &StepEnd<'_, f32>) -> ControlFlow<()> {
        self.0.lock().unwrap().order.push(('s', end.step));
        ControlFlow::Continue(())
    }

    fn on_norms(&mut self, norms: &Norms) {
        let mut seen = self.0.lock().unwrap();
        seen.order.push(('n', norms.step));
        seen.norms.push(norms.clone());
    }

    fn on_warning(&mut self, warned: &Warned) {
        let mut seen = self.0.lock().unwrap();
        seen.order.push(('w', warned.step));
        seen.warnings.push(warned.clone());
    }
}

#[test]
fn a_diagnosis_changes_no_bit() {
    let block =
        sequential![Affine::new(32), BatchNorm::new(), Relu, Dropout::new(0.2), Affine::new(24), Tanh, Affine::new(10)];
    let (train, test) = images().stratified_split(0.8, Seed(1)).unwrap();
    let run = |diagnosis: Option<Diagnosis>, micro_batches, threads| {
        let mut network = Network::<f32>::build([64], block.clone(), Seed(2)).unwrap();
        let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(2).batch_size(96);
        let trainer =
            trainer.accumulate(micro_batches).validate(&test).clip_norm(0.5).threads(Threads::new(threads).unwrap());
        let mut trainer = if let Some(diagnosis) = diagnosis { trainer.diagnose(diagnosis) } else { trainer };
        let history = trainer.fit(&mut network, &train).unwrap();
        let losses: Vec<_> = history.epochs.iter().map(|epoch| (epoch.training_loss, epoch.validation_loss)).collect();
        (network.parameters().to_vec(), network.statistics().to_vec(), losses)
    };
    for micro_batches in [1, 3] {
        let without = run(None, micro_batches, 1);
        for (every, threads) in [(1, 1), (1, 2), (7, 1)] {
            assert_eq!(run(Some(Diagnosis::new().every(every)), micro_batches, threads), without, "every {every}");
        }
    }
}

#[test]
fn a_run_that_goes_on_says_nothing_twice_and_ends_as_one_that_was_not_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let x = normals(200, 3, 1).mapv(|x| 100.0 * x);
    let data = downhill_data::Dataset::from_array(x.clone(), x.column(0).mapv(|x| (x / 100.0).sin())).unwrap();
    let build = || Network::<f32>::build([3], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(2)).unwrap();
    let trainer = |epochs| Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(epochs);
    let mut plain = build();
    trainer(8).fit(&mut plain, &data).unwrap();

    let path = folder.path().join("run");
    let diagnosed = |epochs| trainer(epochs).diagnose(Diagnosis::new().every(1)).checkpoint(&path, Every::Epochs(1));
    let before = diagnosed(5).fit(&mut build(), &data).unwrap();
    let (mut network, witness) = (build(), Witness::default());
    let after = diagnosed(8).resume(&path).callback(witness.clone()).fit(&mut network, &data).unwrap();
    assert_eq!(network.parameters(), plain.parameters());
    let unscaled = |history: &History| {
        history.warnings.iter().filter(|said| matches!(said.warning, Warning::UnscaledFeatures { .. })).count()
    };
    assert_eq!((unscaled(&before), unscaled(&after)), (1, 1), "{}\n{}", said(&before), said(&after));
    let repeats = |warned: &&Warned| matches!(warned.warning, Warning::UnscaledFeatures { .. });
    assert_eq!(witness.0.lock().unwrap().warnings.iter().filter(repeats).count(), 0);
    // Without a diagnosis the run goes on too, and keeps what was said.
    let mut network = build();
    let plainly = trainer(8).resume(&path).fit(&mut network, &data).unwrap();
    assert_eq!((network.parameters(), &plainly.warnings[..]), (plain.parameters(), &after.warnings[..]));
}

#[test]
fn callbacks_see_norms_after_their_step_and_warnings_as_they_arise() {
    let mut x = normals(320, 4, 3);
    x.column_mut(1).mapv_inplace(|x| 1000.0 * x);
    let data =
        downhill_data::Dataset::from_array(x, curve(320, 3).target_values().unwrap().matrix().to_owned()).unwrap();
    let mut network = Network::<f32>::build([4], sequential![Affine::new(8), Relu, Affine::new(1)], Seed(2)).unwrap();
    let witness = Witness::default();
    let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(3).callback(witness.clone());
    let history = trainer.diagnose(Diagnosis::new().every(4)).fit(&mut network, &data).unwrap();
    let seen = witness.0.lock().unwrap();
    assert_eq!(seen.warnings, history.warnings);
    let steps = |letter| seen.order.iter().filter(|(of, _)| *of == letter).map(|(_, step)| *step).collect::<Vec<_>>();
    assert_eq!(steps('s'), (0..30).collect::<Vec<_>>());
    assert_eq!(steps('n'), (0..30).step_by(4).collect::<Vec<_>>());
    for pair in seen.order.windows(2).filter(|pair| pair[1].0 == 'n') {
        assert_eq!(pair[0], ('s', pair[1].1));
    }
    // All 320 examples are fewer than a sample may have, so it is judged after the first epoch.
    let unscaled = seen.warnings.iter().find(|said| matches!(said.warning, Warning::UnscaledFeatures { .. })).unwrap();
    assert_eq!((unscaled.step, unscaled.epoch), (10, 1));
    assert!(
        seen.warnings.iter().all(|said| said.to_string().starts_with(&format!("after {} steps, in epoch ", said.step)))
    );
}

/// J = ½ (w₂ w₁ x − t)², by hand.
#[test]
fn norms_are_those_of_the_pass() {
    let block = sequential![Frozen(Affine::new(2).no_bias()), Tanh, Affine::new(1).no_bias()];
    let mut network = Network::<f32>::build([1], block, Seed(2)).unwrap();
    network.parameters_mut().copy_from_slice(&[0.5, -1.0, 2.0, 1.0]);
    let data =
        downhill_data::Dataset::from_array(ndarray::array![[1.0_f32], [-2.0]], ndarray::array![[1.0_f32], [0.0]]);
    let witness = Witness::default();
    let trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.1)).epochs(1).batch_size(2);
    let mut trainer = trainer.callback(witness.clone()).diagnose(Diagnosis::new()).clip_norm(0.01);
    trainer.fit(&mut network, &data.unwrap()).unwrap();
    let seen = witness.0.lock().unwrap();
    let norms = &seen.norms[0];
    let names: Vec<_> = norms.layers.iter().map(|layer| (layer.layer.as_str(), layer.kind)).collect();
    assert_eq!(names, [("0", "Affine"), ("1", "Tanh"), ("2", "Affine")]);
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5 * b.abs(), "{a} is not {b}");
    // y₁ = w₁ x for x of 1 and −2, in an order that the norm does not know.
    close(norms.layers[0].activations, (5.0 * (0.25 + 1.0_f64)).sqrt());
    let h = [[0.5_f64.tanh(), (-1.0_f64).tanh()], [(-1.0_f64).tanh(), 2.0_f64.tanh()]];
    let y = h.map(|h| 2.0 * h[0] + h[1]);
    close(norms.layers[2].activations, y[0].hypot(y[1]));
    // dJ/dy = 2 (y − t) / 2 for the mean over two examples.
    let dy = [y[0] - 1.0, y[1]];
    close(norms.layers[2].gradients.unwrap(), dy[0].hypot(dy[1]));
    let g = [0, 1].map(|unit| dy[0] * h[0][unit] + dy[1] * h[1][unit]);
    let whole = g[0].hypot(g[1]);
    let weight = &norms.parameters[1];
    assert_eq!(weight.name, "2.weight");
    close(weight.gradient, whole);
    close(weight.values, 5.0_f64.sqrt());
    // The gradient that was clipped to a norm of 0.01, times 0.1.
    assert!(
        (weight.change - 1e-3).abs() < 1e-6 && (weight.relative_change() - weight.change / weight.values).abs() < 1e-12
    );
    // Nothing goes back beyond the tanh, and a frozen layer stays as it is.
    assert_eq!((norms.layers[0].gradients, norms.layers[1].gradients), (None, None));
    assert_eq!((norms.parameters[0].gradient, norms.parameters[0].change), (0.0, 0.0));
    assert_eq!((norms.change(), norms.relative_change()), (weight.change, Some(weight.relative_change())));
    close(norms.gradient(), whole);
    close(norms.values(), (5.0_f64 + 1.25).sqrt());
}

#[test]
fn data_that_are_read_batch_by_batch_are_judged_too() {
    let x = normals(400, 3, 4).mapv(|x| 50.0 + x);
    let data = downhill_data::Dataset::from_array(x.clone(), x.column(0).mapv(|x| (x - 50.0).sin())).unwrap();
    let mut network = Network::<f32>::build([3], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(2)).unwrap();
    let mut batches = SourceBatches::shuffled(InMemory::new(data), 16, Seed(4)).unwrap();
    let mut trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(2).diagnose(Diagnosis::new());
    let history = trainer.fit_batches(&mut network, &mut batches).unwrap();
    assert!(matches!(&history.warnings[..], [Warned { warning: Warning::UnscaledFeatures { others: 2, .. }, .. }, ..]));
}

#[test]
fn a_trainer_serves_several_folds() {
    let (mut unscaled, fine) = (ring(600, 1), ring(600, 2));
    unscaled = unscaled.map_inputs(|x| 1000.0 * x).unwrap();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(3).diagnose(Diagnosis::new());
    let build = || Network::<f32>::build([2], sequential![Affine::new(16), Relu, Affine::new(2)], Seed(2)).unwrap();
    let first = trainer.fit(&mut build(), &unscaled).unwrap().warnings;
    assert!(!first.is_empty());
    assert!(trainer.fit(&mut build(), &fine).unwrap().warnings.is_empty());
    assert_eq!(trainer.fit(&mut build(), &unscaled).unwrap().warnings, first);
}

#[test]
fn warnings_read_back_from_json() {
    let mut network =
        Network::<f32>::build([2], sequential![Affine::new(16), Sigmoid, Affine::new(2)], Seed(2)).unwrap();
    let data = ring(600, 1).map_inputs(|x| 1000.0 * x).unwrap();
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(10);
    let history = trainer.diagnose(Diagnosis::new()).fit(&mut network, &data).unwrap();
    assert!(history.warnings.len() >= 2, "{}", said(&history));
    let mut json = Vec::new();
    history.write_json(&mut json).unwrap();
    assert_eq!(History::read_json(&json[..]).unwrap().warnings, history.warnings);
    // A history without warnings has no key for them, as before there were any.
    json.clear();
    History::default().write_json(&mut json).unwrap();
    assert!(!String::from_utf8(json).unwrap().contains("warnings"));
}

#[test]
fn steps_outside_a_run_are_not_observed() {
    let mut network = Network::<f32>::build([1], Affine::new(1), Seed(2)).unwrap();
    let witness = Witness::default();
    let trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.1)).callback(witness.clone());
    let x = Array2::<f32>::ones((2, 1));
    let x = Batch::new(x.as_slice().unwrap(), 2, [1]).unwrap();
    let target = downhill_losses::Target::Values(&[1.0, 2.0]);
    trainer.diagnose(Diagnosis::new().every(1)).partial_fit(&mut network, x, target).unwrap();
    assert!(witness.0.lock().unwrap().order.is_empty());
}
