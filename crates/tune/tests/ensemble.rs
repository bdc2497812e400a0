//! Ensembles next to their members.

use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, LogSoftmax, Relu, Sigmoid};
use downhill_losses::{BinaryCrossEntropyWithLogits, ClassAxis, Loss, Meaning, Outputs, SoftmaxCrossEntropy};
use downhill_network::{Network, PredictError, sequential};
use downhill_optim::Adam;
use downhill_tensor::Seed;
use downhill_tensor::threads::Threads;
use downhill_train::{TrainError, Trainer};
use downhill_tune::{Ensemble, EnsembleError, EnsembleTrainer};
use ndarray::{Array2, array};

fn learn(data: &Dataset<f32>, seed: Seed) -> Result<Network<f32>, TrainError> {
    let mut network = Network::build([64], sequential![Affine::new(12), Relu, Affine::new(10)], seed)?;
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(5e-3)).seed(seed).epochs(10).fit(&mut network, data)?;
    Ok(network)
}

fn share_right(classes: &[u32], data: &Dataset<f32>) -> f64 {
    let downhill_data::Target::Classes(labels) = data.targets() else { unreachable!() };
    classes.iter().zip(labels).filter(|(class, label)| class == label).count() as f64 / labels.len() as f64
}

#[test]
fn an_ensemble_is_as_right_as_its_members_are_in_the_mean() {
    let (train, test) = digits().unwrap().stratified_split(0.5, Seed(1)).unwrap();
    let trainer = EnsembleTrainer::new(6).seed(Seed(2));
    for ensemble in [trainer.train(|seed| learn(&train, seed)).unwrap(), trainer.bag(&train, learn).unwrap()] {
        assert_eq!(ensemble.members().len(), 6);
        let alone: Vec<f64> = ensemble
            .members()
            .iter()
            .map(|member| share_right(&member.classify(test.inputs()).unwrap(), &test))
            .collect();
        let mean = alone.iter().sum::<f64>() / alone.len() as f64;
        let together = share_right(&ensemble.classify(test.inputs()).unwrap(), &test);
        assert!(together >= mean && together > 0.9, "{together} together, {alone:?} alone");
        let answer = ensemble.predict(test.inputs()).unwrap();
        assert!(answer.mean.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
        // Members disagree more where they are wrong together.
        let classes = ensemble.classify(test.inputs()).unwrap();
        let downhill_data::Target::Classes(labels) = test.targets() else { unreachable!() };
        let spread = |is_right: bool| {
            let rows = answer.spread.rows().into_iter().zip(classes.iter().zip(labels));
            let chosen: Vec<f32> =
                rows.filter(|(_, (class, label))| (class == label) == is_right).map(|(row, _)| row.sum()).collect();
            chosen.iter().sum::<f32>() / chosen.len() as f32
        };
        assert!(spread(false) > 2.0 * spread(true), "{} and {}", spread(false), spread(true));
    }
}

#[test]
fn an_ensemble_has_the_same_bits_on_any_number_of_threads() {
    let data = digits::<f32>().unwrap().select(&(0..300).collect::<Vec<_>>()).unwrap();
    let trainer = EnsembleTrainer::new(5).seed(Seed(3));
    let numbers = |ensemble: &Ensemble<f32>| -> Vec<Vec<f32>> {
        ensemble.members().iter().map(|member| member.parameters().to_vec()).collect()
    };
    let one = trainer.clone().threads(Threads::one()).bag(&data, learn).unwrap();
    assert!(numbers(&one).windows(2).all(|pair| pair[0] != pair[1]));
    let answers = one.predict(data.inputs()).unwrap();
    for threads in [2, 4] {
        let threads = Threads::new(threads).unwrap();
        let many = trainer.clone().threads(threads.clone()).bag(&data, learn).unwrap();
        assert_eq!(numbers(&many), numbers(&one));
        assert_eq!(threads.run(|| many.predict(data.inputs()).unwrap()), answers);
    }
    assert_eq!(numbers(&trainer.bag(&data, learn).unwrap()), numbers(&one));
}

/// y = x w + b, with one member for each pair of rows.
fn affine(weights: &[f64], bias: &[f64]) -> Network<f64> {
    let mut network = Network::build([1], Affine::new(weights.len()), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[weights, bias].concat());
    network
}

#[test]
fn numbers_are_averaged_as_they_are() {
    let members = vec![affine(&[1.0], &[0.0]), affine(&[2.0], &[0.0]), affine(&[6.0], &[3.0])];
    let ensemble = Ensemble::new(members).unwrap();
    let answer = ensemble.predict(&array![[1.0], [-1.0]]).unwrap();
    assert_eq!(answer.mean, array![[4.0], [-2.0]]);
    let deviation = |numbers: [f64; 3]| (numbers.iter().map(|x| x * x).sum::<f64>() / 3.0).sqrt();
    assert_eq!(answer.spread, array![[deviation([-3.0, -2.0, 5.0])], [deviation([1.0, 0.0, -1.0])]]);
    let error = ensemble.classify(&array![[1.0]]).unwrap_err();
    assert!(matches!(error, PredictError::Meaning { .. }), "{error}");
    assert_eq!(ensemble.into_members().len(), 3);
}

#[test]
fn probabilities_are_averaged_and_not_logits() {
    // One member is sure of class 1, and two lean to class 0: the mean of logits would say 1, that of probabilities 0.
    let logits = [[0.0, 8.0], [1.5, 0.0], [1.5, 0.0]];
    let meaning = SoftmaxCrossEntropy::new().meaning();
    let with = |mut network: Network<f64>, meaning| {
        network.set_meaning(meaning);
        network
    };
    let members = logits.map(|logits| with(affine(&[0.0, 0.0], &logits), meaning)).to_vec();
    let ensemble = Ensemble::new(members).unwrap();
    let (sure, leaning) = (1.0 / (1.0 + 8.0_f64.exp()), 1.5_f64.exp() / (1.0 + 1.5_f64.exp()));
    let first = (sure + 2.0 * leaning) / 3.0;
    let answer = ensemble.predict([[0.0]]).unwrap();
    assert!((answer.mean[[0, 0]] - first).abs() < 1e-15 && (answer.mean[[0, 1]] - 1.0 + first).abs() < 1e-15);
    let spread = (((sure - first).powi(2) + 2.0 * (leaning - first).powi(2)) / 3.0).sqrt();
    assert!((answer.spread[[0, 0]] - spread).abs() < 1e-15);
    assert_eq!(ensemble.classify([[0.0]]).unwrap(), [0]);

    // The same with one output, whose class is 1 above ½, also if its layer makes a probability.
    let meaning = BinaryCrossEntropyWithLogits::new().meaning();
    let members: Vec<_> = [8.0, -1.5, -1.5].map(|logit| with(affine(&[0.0], &[logit]), meaning)).to_vec();
    assert_eq!(Ensemble::new(members).unwrap().classify([[0.0], [1.0]]).unwrap(), [0, 0]);
    let member = |logit: f64| {
        let mut network = Network::<f64>::build([1], sequential![Affine::new(1), Sigmoid], Seed(1)).unwrap();
        network.parameters_mut().copy_from_slice(&[0.0, logit]);
        network
    };
    let sigmoids = Ensemble::new(vec![member(8.0), member(-0.5), member(-0.5)]).unwrap();
    assert_eq!(sigmoids.classify([[0.0]]).unwrap(), [1]);

    // Logarithms of probabilities, and several positions with a class each.
    let log = Network::<f64>::build([1], sequential![Affine::new(2), LogSoftmax], Seed(1)).unwrap();
    let answer = Ensemble::new(vec![log.clone(), log]).unwrap().predict([[0.7]]).unwrap();
    assert!((answer.mean.sum() - 1.0).abs() < 1e-14);
    let meaning = Meaning::new(Outputs::ClassProbabilities).class_axis(ClassAxis::Last);
    let mut places = Network::<f64>::build([2, 1], Affine::new(2), Seed(1)).unwrap();
    places.parameters_mut().copy_from_slice(&[-0.5, 0.5, 0.6, 0.4]);
    places.set_meaning(meaning);
    assert_eq!(Ensemble::new(vec![places]).unwrap().classify(Array2::from(vec![[0.0, 1.0]])).unwrap(), [0, 1]);
}

#[test]
fn a_number_that_is_none_is_named_by_its_example() {
    let meaning = BinaryCrossEntropyWithLogits::new().meaning();
    let mut network = affine(&[1.0], &[0.0]);
    network.set_meaning(meaning);
    let error = Ensemble::new(vec![network]).unwrap().classify([[0.0], [f64::NAN]]).unwrap_err();
    assert_eq!(error, PredictError::NotANumber { example: 1, output: 0 });
}

#[test]
fn members_that_do_not_fit_are_refused() {
    let message = |members: Vec<Network<f64>>| Ensemble::new(members).unwrap_err().to_string();
    assert_eq!(message(vec![]), "an ensemble of no members has no answer; it needs at least one");
    let first = || affine(&[1.0], &[0.0]);
    let wide = Network::build([2], Affine::new(1), Seed(1)).unwrap();
    assert_eq!(
        message(vec![first(), first(), wide]),
        "member 2 can't join the ensemble: its inputs are 2, but those of the first are 1"
    );
    assert_eq!(
        message(vec![first(), affine(&[1.0, 1.0], &[0.0, 0.0])]),
        "member 1 can't join the ensemble: its output is 2, but that of the first is 1"
    );
    let (mut other, mut named) = (first(), first());
    other.set_meaning(Meaning::new(Outputs::Logits));
    named.set_class_names(["yes"]);
    assert_eq!(
        message(vec![first(), other]),
        "member 1 can't join the ensemble: its outputs are logits of independent answers, but those of the first are \
         unknown"
    );
    assert_eq!(
        message(vec![first(), named]),
        "member 1 can't join the ensemble: its classes are [\"yes\"], but those of the first are []"
    );

    let seeds: Vec<Seed> = (0..4).map(|member| Seed(7).derive(member)).collect();
    let train = |seed: Seed| if seed == seeds[2] { Err("as planned") } else { Ok(first()) };
    let error = EnsembleTrainer::new(4).seed(Seed(7)).train(train).unwrap_err();
    assert_eq!(error.to_string(), "member 2 of the ensemble could not be trained: as planned");
    let none = EnsembleTrainer::new(0).train(|_| Ok::<_, String>(first()));
    assert!(matches!(none, Err(EnsembleError::Empty)));
}
