//! Layers that take the batches of all ranks as one.

use downhill_layers::{Arrays, ArraysMut, Extent, Parameter};
use downhill_tensor::Init;

use super::*;

#[test]
fn ranks_whose_batches_are_one_take_the_steps_of_one_process_with_that_batch() {
    let (training, validation) = (data(0, EXAMPLES), data(5, 30));
    let build = |size| shortened(trainer(Sgd::new(0.05))).batch_size(size).validate(&validation);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-4 * b.abs().max(1.0);
    // The last step of an epoch leaves some ranks without a batch, and others with a smaller one.
    for (ranks, size, batches) in [(2, 12, 1), (3, 8, 1), (3, 4, 2), (4, 1, 1)] {
        let mut whole = normalised();
        let history = build(ranks * size).accumulate(batches).fit(&mut whole, &training).unwrap();
        for sharded in [false, true] {
            let settings = Settings { synchronized: true, sharded, ..Settings::default() };
            let all = on_ranks(ranks, settings, |_, exchange| {
                let mut network = normalised();
                let history = build(size).accumulate(batches).exchange(exchange).fit(&mut network, &training).unwrap();
                (network, history)
            });
            for (network, left) in &all {
                assert_eq!(bits(network), bits(&all[0].0), "{ranks} ranks");
                assert_eq!((left.steps, curve(left)), (history.steps, curve(&all[0].1)));
                let numbers = network.parameters().iter().chain(network.statistics());
                for (&a, &b) in numbers.zip(whole.parameters().iter().chain(whole.statistics())) {
                    assert!(near(a.into(), b.into()), "{ranks} ranks with batches of {size}: {a} {b}");
                }
                for (own, expected) in left.epochs.iter().zip(&history.epochs) {
                    assert!(near(own.training_loss, expected.training_loss), "{own:?} {expected:?}");
                    assert!(near(own.validation_loss.unwrap(), expected.validation_loss.unwrap()), "{own:?}");
                }
            }
        }
        // Each rank for itself goes elsewhere.
        if size > 1 {
            let alone = on_ranks(ranks, Settings::default(), |_, exchange| {
                let mut network = normalised();
                build(size).accumulate(batches).exchange(exchange).fit(&mut network, &training).unwrap();
                network
            });
            let mut pairs = alone[0].parameters().iter().zip(whole.parameters());
            assert!(pairs.any(|(&a, &b)| !near(a.into(), b.into())), "{ranks} ranks");
        }
    }
}

#[test]
fn networks_without_such_layers_are_trained_as_before() {
    let training = data(0, EXAMPLES);
    let run = |synchronized| {
        on_ranks(3, Settings { synchronized, ..Settings::default() }, |_, exchange| {
            let layers = sequential![Affine::new(8), Tanh, Dropout::new(0.2), Affine::new(3)];
            let mut network = Network::build([3], layers, Seed(7)).unwrap();
            trainer(Adam::new(0.02)).exchange(exchange).fit(&mut network, &training).unwrap();
            bits(&network)
        })
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn one_example_in_all_leaves_the_running_statistics_as_they_are() {
    let statistics = |examples: usize| {
        on_ranks(2, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
            let (mut network, source) = (normalised(), InMemory::new(unweighted(0, examples)));
            let mut batches = SourceBatches::sequential(source, 1).unwrap();
            trainer(Sgd::new(0.05)).epochs(1).exchange(exchange).fit_batches(&mut network, &mut batches).unwrap();
            network.statistics().to_vec()
        })
    };
    assert_eq!(statistics(31), statistics(30));
    assert_ne!(statistics(32), statistics(30));
}

#[test]
fn a_rank_without_weight_has_its_part_in_the_statistics() {
    let near = |a: f32, b: f32| (a - b).abs() < 1e-4 * b.abs().max(1.0);
    let data = || {
        let weights = (0..48).map(|i| if i / 4 % 3 == 1 { 0.0 } else { 1.0 }).collect();
        unweighted(0, 48).with_weights(weights).unwrap()
    };
    let build = |size| (normalised(), SourceBatches::sequential(InMemory::new(data()), size).unwrap());
    let (mut whole, mut batches) = build(12);
    trainer(Sgd::new(0.05)).fit_batches(&mut whole, &mut batches).unwrap();
    let all = on_ranks(3, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
        let (mut network, mut batches) = build(4);
        trainer(Sgd::new(0.05)).exchange(exchange).fit_batches(&mut network, &mut batches).unwrap();
        network
    });
    for network in &all {
        assert_eq!(bits(network), bits(&all[0]));
        let numbers = network.parameters().iter().chain(network.statistics());
        let mut pairs = numbers.zip(whole.parameters().iter().chain(whole.statistics()));
        assert!(pairs.all(|(&a, &b)| near(a, b)));
    }
}

/// A layer that remembers a number of the last batch, without a word to other ranks.
#[derive(Clone, Debug)]
struct Remembering;

impl Layer for Remembering {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Remembering", single_input("Remembering", inputs)?)
            .statistic(Parameter::new("last", [], Init::Zeros))
            .saves("last", [], Extent::PerBatch))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let [last] = pass.saved.vectors();
        last[0] = pass.x[0].slice()[0];
        pass.y.slice().copy_from_slice(pass.x[0].slice());
    }

    passes_back!();

    fn absorb<T: Scalar>(&self, saved: Arrays<'_, T>, statistics: &mut ArraysMut<'_, T>) {
        let ([from], [to]) = (saved.vectors(), statistics.vectors());
        to.copy_from_slice(from);
    }
}

#[test]
fn statistics_that_are_not_gathered_are_those_of_one_rank() {
    let training = data(0, EXAMPLES);
    let build = || Network::build([3], sequential![BatchNorm::new(), Remembering, Affine::new(3)], Seed(7)).unwrap();
    assert!(build().gathers() && !build().gathers_statistics());
    assert!(normalised().gathers_statistics());
    let all = on_ranks(3, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
        let mut network = build();
        trainer(Sgd::new(0.05)).exchange(exchange).fit(&mut network, &training).unwrap();
        bits(&network)
    });
    assert!(all.iter().all(|left| *left == all[0]));
}

/// A layer that multiplies by what the last of two ranks has to say.
#[derive(Clone, Debug)]
struct Led;

impl Layer for Led {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Led", single_input("Led", inputs)?).gathers(1, 0))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let factor = pass.ranks.as_mut().map_or(T::ONE, |ranks| ranks.all_gather(&[T::ONE])[1]);
        pass.y.slice().iter_mut().zip(pass.x[0].slice()).for_each(|(y, &x)| *y = factor * x);
    }

    passes_back!();
}

#[test]
fn ranks_that_a_layer_can_not_reach_are_an_error() {
    let training = data(0, EXAMPLES);
    for is_cut in [false, true] {
        let all = on_ranks(2, Settings { synchronized: true, is_cut, ..Settings::default() }, |_, exchange| {
            let mut network = Network::build([3], sequential![Led, Affine::new(3)], Seed(7)).unwrap();
            let result = trainer(Sgd::new(0.1)).exchange(exchange).fit(&mut network, &training);
            result.err().map(|error| error.to_string())
        });
        assert!(all.iter().all(|message| message.is_some() == is_cut), "{all:?}");
        assert!(all.iter().flatten().all(|message| message.contains("the line is cut")), "{all:?}");
    }
}
