//! An error of one rank is one of all.

use downhill_data::DataError;
use downhill_data::source::{ExampleLayout, Rows, Source};
use downhill_layers::{Embedding, Flatten};
use downhill_losses::{MeanSquaredError, MultiTask};
use downhill_train::Diagnosis;

use super::*;

#[test]
fn an_error_before_the_first_step_is_an_error_on_all_ranks() {
    let training = data(0, EXAMPLES);
    let bad = Dataset::from_array(Array2::zeros((4, 3)), vec![0, 1, 2, 9]).unwrap();
    let all = on_ranks(3, Settings { data: RankData::Own, ..Settings::default() }, |rank, exchange| {
        let (mut network, own) = (network(), if rank == 1 { &bad } else { &training });
        let result = trainer(Sgd::new(0.1)).exchange(exchange).fit(&mut network, own);
        assert_eq!(bits(&network), bits(&self::network()));
        (network, result)
    });
    let messages = messages(&all);
    assert!(messages[1].contains("class 9"), "{}", messages[1]);
    for rank in [0, 2] {
        assert_eq!(messages[rank], format!("rank 1 has ended the run: {}", messages[1]));
    }
}

#[test]
fn a_diagnosis_is_for_one_process() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(2, Settings::default(), |_, exchange| {
        let mut network = network();
        let result = trainer(Sgd::new(0.1)).diagnose(Diagnosis::new()).exchange(exchange).fit(&mut network, &training);
        (network, result)
    });
    for message in messages(&all) {
        assert!(message.contains("it must be left out: it observes the passes of one process"), "{message}");
    }
}

#[test]
fn an_error_in_the_midst_of_a_run_is_an_error_on_all_ranks() {
    for (synchronized, sharded, micro_batches) in
        [(false, false, 1), (false, true, 1), (false, true, 2), (true, false, 1), (true, true, 2)]
    {
        let settings = Settings { synchronized, sharded, data: RankData::Own, ..Settings::default() };
        let all = on_ranks(3, settings, |rank, exchange| {
            let mut network = network();
            let classes: Vec<u32> = (0..40).map(|i| if rank == 2 && i == 29 { 9 } else { i % 3 }).collect();
            let own = Dataset::from_array(Array2::zeros((40, 3)), classes).unwrap();
            let mut batches = SourceBatches::sequential(InMemory::new(own), 8).unwrap();
            let mut trainer = trainer(Adam::new(0.1)).accumulate(micro_batches).exchange(exchange);
            let result = trainer.fit_batches(&mut network, &mut batches);
            (network, result)
        });
        let messages = messages(&all);
        assert!(messages[2].contains("class 9"), "{}", messages[2]);
        assert!(messages[..2].iter().all(|message| *message == format!("rank 2 has ended the run: {}", messages[2])));
        // Each holds the parameters of the last whole epoch, which are those of the start.
        assert!(all.iter().all(|(network, _)| bits(network) == bits(&self::network())));
    }
}

#[test]
fn a_run_after_one_that_has_failed_begins_anew() {
    let training = data(0, EXAMPLES);
    let bad = Dataset::from_array(
        Array2::zeros((40, 3)),
        (0..40).map(|i| if i == 29 { 9 } else { i % 3 }).collect::<Vec<_>>(),
    );
    let bad = bad.unwrap();
    for (settings, micro_batches) in orders().into_iter().flat_map(|settings| [(settings, 1), (settings, 2)]) {
        let build = || trainer(Sgd::new(0.05)).accumulate(micro_batches);
        let all = on_ranks(3, settings, |_, exchange| {
            let mut network = normalised();
            let mut trainer = build().exchange(exchange);
            // A label of one rank, then steps that go too far.
            let mut batches = SourceBatches::sequential(InMemory::new(bad.clone()), 8).unwrap();
            assert!(trainer.fit_batches(&mut network, &mut batches).is_err());
            trainer.optimizer_mut().set_base_learning_rate(1e39);
            assert!(trainer.fit(&mut network, &training).unwrap_err().to_string().contains("diverged"));
            assert_eq!(bits(&network), bits(&normalised()));
            trainer.optimizer_mut().set_base_learning_rate(0.05);
            trainer.fit(&mut network, &training).unwrap();
            bits(&network)
        });
        let expected = on_ranks(3, settings, |_, exchange| {
            let mut network = normalised();
            build().exchange(exchange).fit(&mut network, &training).unwrap();
            bits(&network)
        });
        assert_eq!(all, expected, "{settings:?} {micro_batches}");
    }
}

#[test]
fn gradients_that_do_not_add_up_are_an_error_and_leave_nothing() {
    let loss = || {
        let class = SoftmaxCrossEntropy::new().ignored_index(7);
        MultiTask::new().part(0..2, class, 1.0).part(2..3, MeanSquaredError::new(), 1.0)
    };
    let build = || Network::<f32>::build([3], sequential![Affine::new(4), Tanh, Affine::new(3)], Seed(7)).unwrap();
    // In the one a part of the loss has no target for some examples, in the other there is each.
    let data = |missing: f32| {
        let targets = Array2::from_shape_fn((48, 2), |(i, j)| match (i % 5, j) {
            (0, 0) => missing,
            (i, _) => (i % 2) as f32,
        });
        Dataset::from_array(Array2::from_shape_fn((48, 3), |(i, j)| (i + j) as f32 / 50.0), targets).unwrap()
    };
    let all = on_ranks(2, Settings::default(), |_, exchange| {
        let trainer = || Trainer::new(loss(), Sgd::new(0.1)).epochs(2).batch_size(8);
        let (mut network, mut trained) = (build(), trainer().exchange(exchange));
        let message = trained.fit(&mut network, &data(7.0)).unwrap_err().to_string();
        assert!(message.contains("proportions change from rank to rank"), "{message}");
        assert_eq!(bits(&network), bits(&build()));
        trained.fit(&mut network, &data(1.0)).unwrap();
        let mut alone = build();
        trainer().accumulate(2).fit(&mut alone, &data(1.0)).unwrap();
        (bits(&network), bits(&alone))
    });
    assert!(all.iter().all(|(network, alone)| network == alone));
}

/// A source whose examples from the 24th on can't be read.
struct Torn(InMemory<Dataset<f32>, f32>, usize);

impl Source<f32> for Torn {
    fn layout(&self) -> &ExampleLayout {
        self.0.layout()
    }

    fn examples(&self) -> Option<u64> {
        self.0.examples()
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.1 = 0;
        self.0.rewind()
    }

    fn read(&mut self, most: usize, rows: &mut Rows<f32>) -> Result<(), DataError> {
        self.1 += most;
        if self.1 > 24 { Err(DataError::NotAddressable) } else { self.0.read(most, rows) }
    }
}

#[test]
fn an_error_before_the_first_layer_of_one_rank_ends_ranks_that_gather() {
    let layers = || sequential![Embedding::new(8, 4), Flatten, BatchNorm::new(), Relu, Affine::new(3)];
    let build = || Network::<f32>::build([3], layers(), Seed(7)).unwrap();
    let words = |last: f32| {
        let x = Array2::from_shape_fn((40, 3), |(i, j)| if (i, j) == (29, 2) { last } else { ((i + j) % 8) as f32 });
        Dataset::from_array(x, (0..40_u32).map(|i| i % 3).collect::<Vec<_>>()).unwrap()
    };
    for is_torn in [false, true] {
        for sharded in [false, true] {
            let settings = Settings { synchronized: true, sharded, data: RankData::Own, ..Settings::default() };
            let all = on_ranks(3, settings, |rank, exchange| {
                let (mut network, own) =
                    (build(), InMemory::new(words(if rank == 1 && !is_torn { 99.0 } else { 1.0 })));
                let source: Box<dyn Source<f32>> =
                    if rank == 1 && is_torn { Box::new(Torn(own, 0)) } else { Box::new(own) };
                let mut batches = SourceBatches::sequential(source, 8).unwrap();
                let result = trainer(Adam::new(0.1)).exchange(exchange).fit_batches(&mut network, &mut batches);
                (network, result)
            });
            let messages = messages(&all);
            let expected = if is_torn { DataError::NotAddressable.to_string() } else { "99".into() };
            assert!(messages[1].contains(&expected), "{}", messages[1]);
            for rank in [0, 2] {
                assert_eq!(messages[rank], format!("rank 1 has ended the run: {}", messages[1]));
            }
            assert!(all.iter().all(|(network, _)| bits(network) == bits(&build())));
        }
    }
}

#[test]
fn a_batch_that_a_layer_does_not_take_is_refused_before_the_first_step() {
    // The last batch is of one example.
    let (training, steps) = (data(0, 73), AtomicUsize::new(0));
    let all = on_ranks(2, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
        let mut network = Network::build([3], sequential![Fragile, Affine::new(3)], Seed(7)).unwrap();
        let count = |_: &StepEnd<'_, f32>| {
            steps.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let result = shortened(trainer(Sgd::new(0.1))).on_step(count).exchange(exchange).fit(&mut network, &training);
        (network, result)
    });
    assert!(
        messages(&all).iter().all(|message| message.contains("Fragile: a training pass needs at least 2 examples"))
    );
    assert_eq!(steps.load(Ordering::Relaxed), 0);
}

#[test]
fn ranks_that_differ_are_told_in_what() {
    let differ = |change: &(dyn Fn(usize) -> (Network<f32>, AnyTrainer<'static>, Dataset<f32>) + Sync)| {
        let all = on_ranks(3, Settings::default(), |rank, exchange| {
            let (mut network, trainer, training) = change(rank);
            let result = trainer.exchange(exchange).fit(&mut network, &training);
            (network, result)
        });
        let messages = messages(&all);
        assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
        messages[0].clone()
    };
    let wide = |width| Network::build([3], sequential![Affine::new(width), Tanh, Affine::new(3)], Seed(7)).unwrap();
    let message = differ(&|rank| (wide(5 + rank / 2), trainer(Sgd::new(0.1)), data(0, EXAMPLES)));
    assert!(message.starts_with("rank 2 differs from rank 0 in the network: `"), "{message}");
    let message = differ(&|rank| (network(), trainer(Sgd::new(0.1 + rank as f64)), data(0, EXAMPLES)));
    assert!(
        message.contains("rank 1 differs from rank 0 in learning_rate: `1.1` there and `0.1` on rank 0"),
        "{message}"
    );
    let message = differ(&|rank| (network(), trainer(Sgd::new(0.1)), data(rank as u32, EXAMPLES)));
    assert!(message.contains("in the training data: `78 examples with the checksum "), "{message}");
    let message = differ(&|rank| (network(), trainer(Sgd::new(0.1)).epochs(4 + rank as u64), data(0, EXAMPLES)));
    assert!(message.contains("in the epochs: `5` there and `4` on rank 0"), "{message}");
}

#[test]
fn ranks_whose_weights_have_come_apart_are_found_after_the_epoch() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(2, Settings::default(), |rank, exchange| {
        let (mut network, mut lie) = (network(), exchange);
        lie.sharded = true;
        let result = trainer(Sgd::new(0.1)).exchange(Wrong(lie, rank)).fit(&mut network, &training);
        (network, result)
    });
    for message in messages(&all) {
        assert!(message.starts_with("after epoch 1 rank 1 holds other weights than rank 0"), "{message}");
    }
}

/// An exchange that gives rank 1 a wrong number.
#[derive(Debug)]
struct Wrong(Channels, usize);

impl GradientExchange<f32> for Wrong {
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn ranks(&self) -> usize {
        self.0.ranks()
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        self.0.gather(what, own)
    }

    fn broadcast(&mut self, from: usize, numbers: &mut [f32]) -> Result<(), String> {
        self.0.broadcast(from, numbers)
    }

    fn send(&mut self, complete: Range<usize>, gradient: &[f32]) {
        self.0.send(complete, gradient);
    }

    fn add(&mut self, factors: &[Option<f32>], sum: &mut [f32]) -> Result<(), String> {
        self.0.add(factors, sum)
    }

    fn complete(&mut self, numbers: &mut [f32]) -> Result<(), String> {
        self.0.complete(numbers)?;
        numbers[0] += self.1 as f32 * 1e-6;
        Ok(())
    }
}
