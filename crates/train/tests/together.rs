//! Several ranks train one network: threads here, which send one another what processes would.

#![cfg(feature = "full")]

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use downhill_data::source::{ExampleLayout, InMemory, Rows, Source, SourceBatches};
use downhill_data::{DataError, Dataset};
use downhill_layers::{
    Affine, Arrays, ArraysMut, Backward, BatchNorm, Dropout, Embedding, Extent, Flatten, Forward, Layer, Parameter,
    Relu, Signature, Tanh, single_input,
};
use downhill_losses::{MeanSquaredError, Meaning, MultiTask, SoftmaxCrossEntropy, Target, TargetError};
use downhill_network::{Network, sequential};
use downhill_optim::schedule::{Cosine, ReduceOnPlateau};
use downhill_optim::{Adam, Muon, Optimizer, Penalty, Sgd};
use downhill_tensor::{Batch, BuildError, Init, Scalar, Seed, Shape};
use downhill_train::metrics::{Accuracy, ConfusionMatrix, LogLoss};
use downhill_train::{
    Diagnosis, EarlyStopping, EpochRecord, Every, GradientExchange, History, Metric, RankData, StepEnd, StopReason,
    TrainError, Trainer, part_of,
};
use ndarray::Array2;
use tempfile::tempdir;

/// What one rank sends another.
enum Message {
    Bytes(Vec<u8>),
    Numbers(Range<usize>, Vec<f32>),
}

/// A rank that is a thread.
#[derive(Debug)]
struct Channels {
    rank: usize,
    to: Vec<Sender<Message>>,
    from: Vec<Receiver<Message>>,
    /// The parts of gradients that have come while something else was waited for.
    early: Vec<VecDeque<(Range<usize>, Vec<f32>)>>,
    in_order: bool,
    synchronized: bool,
    sharded: bool,
    data: RankData,
    bucket: Option<usize>,
    is_cut: bool,
    /// Whether the next thing to gather is on its way.
    begun: bool,
    /// The numbers that this rank has sent to others.
    sent: Arc<AtomicUsize>,
    /// How often it was asked for losses of the validation.
    rounds: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    in_order: bool,
    synchronized: bool,
    sharded: bool,
    data: RankData,
    /// Each rank owns a part of every bucket of this many numbers, instead of one part.
    bucket: Option<usize>,
    /// Layers can't reach the other ranks.
    is_cut: bool,
}

impl Channels {
    fn connect(ranks: usize, settings: Settings) -> Vec<Self> {
        let mut all: Vec<_> = (0..ranks)
            .map(|rank| Self {
                rank,
                to: Vec::new(),
                from: Vec::new(),
                early: vec![VecDeque::new(); ranks],
                in_order: settings.in_order,
                synchronized: settings.synchronized,
                begun: false,
                sharded: settings.sharded,
                data: settings.data,
                bucket: settings.bucket,
                is_cut: settings.is_cut,
                sent: Arc::default(),
                rounds: Arc::default(),
            })
            .collect();
        for from in 0..ranks {
            for to in 0..ranks {
                let (sender, receiver) = channel();
                all[from].to.push(sender);
                all[to].from.push(receiver);
            }
        }
        all
    }

    fn tell(&self, rank: usize, message: Message) {
        // A rank that is gone is an error of the next thing that is waited for.
        let _ = self.to[rank].send(message);
    }

    fn bytes_of(&mut self, rank: usize) -> Result<Vec<u8>, String> {
        loop {
            match self.from[rank].recv().map_err(|_| format!("rank {rank} is gone"))? {
                Message::Bytes(bytes) => return Ok(bytes),
                Message::Numbers(range, numbers) => self.early[rank].push_back((range, numbers)),
            }
        }
    }

    fn numbers_of(&mut self, rank: usize) -> Result<(Range<usize>, Vec<f32>), String> {
        if let Some(early) = self.early[rank].pop_front() {
            return Ok(early);
        }
        match self.from[rank].recv().map_err(|_| format!("rank {rank} is gone"))? {
            Message::Numbers(range, numbers) => Ok((range, numbers)),
            Message::Bytes(_) => Err("bytes came instead of numbers".into()),
        }
    }
}

impl GradientExchange<f32> for Channels {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn begin_gather(&mut self, _: &str, own: &[u8]) {
        (0..self.to.len()).for_each(|rank| self.tell(rank, Message::Bytes(own.to_vec())));
        self.begun = true;
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        if !self.begun {
            self.begin_gather(what, own);
        }
        self.begun = false;
        if self.is_cut && what == "the sums of a layer" {
            return Err("the line is cut".into());
        }
        self.rounds.fetch_add(usize::from(what == "the losses of the validation"), Ordering::Relaxed);
        (0..self.to.len()).map(|rank| self.bytes_of(rank)).collect()
    }

    fn broadcast(&mut self, from: usize, numbers: &mut [f32]) -> Result<(), String> {
        if self.rank == from {
            (0..self.to.len()).for_each(|rank| self.tell(rank, Message::Numbers(0..numbers.len(), numbers.to_vec())));
        }
        numbers.copy_from_slice(&self.numbers_of(from)?.1);
        Ok(())
    }

    fn owned(&self, len: usize, rank: usize) -> Vec<Range<usize>> {
        let most = self.bucket.unwrap_or(len).max(1);
        let part = |start: usize| {
            let part = part_of(most.min(len - start), rank, self.to.len());
            start + part.start..start + part.end
        };
        (0..len).step_by(most).map(part).collect()
    }

    fn send(&mut self, complete: Range<usize>, gradient: &[f32]) {
        for rank in 0..self.to.len() {
            let mut place = 0;
            for part in self.owned(gradient.len(), rank) {
                let range = part.start.max(complete.start)..part.end.min(complete.end);
                if !range.is_empty() {
                    self.sent.fetch_add(range.len(), Ordering::Relaxed);
                    let within = place + range.start - part.start..place + range.end - part.start;
                    self.tell(rank, Message::Numbers(within, gradient[range].to_vec()));
                }
                place += part.len();
            }
        }
    }

    fn add(&mut self, factors: &[Option<f32>], sum: &mut [f32]) -> Result<(), String> {
        for (rank, factor) in factors.iter().enumerate() {
            let mut left = sum.len();
            while left > 0 {
                let (range, numbers) = self.numbers_of(rank)?;
                left -= range.len();
                if let Some(factor) = factor {
                    sum[range].iter_mut().zip(numbers).for_each(|(sum, g)| *sum += factor * g);
                }
            }
        }
        Ok(())
    }

    fn complete(&mut self, numbers: &mut [f32]) -> Result<(), String> {
        let ranks = self.to.len();
        for own in self.owned(numbers.len(), self.rank) {
            (0..ranks).for_each(|rank| self.tell(rank, Message::Numbers(own.clone(), numbers[own.clone()].to_vec())));
        }
        for rank in 0..ranks {
            for _ in self.owned(numbers.len(), rank) {
                let (range, part) = self.numbers_of(rank)?;
                numbers[range].copy_from_slice(&part);
            }
        }
        Ok(())
    }

    fn is_in_order(&self) -> bool {
        self.in_order
    }

    fn is_synchronized(&self) -> bool {
        self.synchronized
    }

    fn is_sharded(&self) -> bool {
        self.sharded
    }

    fn data(&self) -> RankData {
        self.data
    }
}

type AnyTrainer<'a> = Trainer<'a, f32, SoftmaxCrossEntropy, Box<dyn Optimizer<f32>>>;

/// What a run leaves on a rank.
type Left = (Network<f32>, Result<History, TrainError>);

/// Runs `train` on each of several ranks, with its exchange.
fn on_ranks<R: Send>(ranks: usize, settings: Settings, train: impl Fn(usize, Channels) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let run = |exchange: Channels| {
            let train = &train;
            scope.spawn(move || train(exchange.rank, exchange))
        };
        let threads: Vec<_> = Channels::connect(ranks, settings).into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// An even number of batches of 8 is not a multiple of 3 or 4, and the last batch has 6 examples.
const EXAMPLES: usize = 78;

fn unweighted(seed: u32, examples: usize) -> Dataset<f32> {
    let x = Array2::from_shape_fn((examples, 3), |(i, j)| {
        (((i as u32 * 7 + j as u32 * 13 + seed) % 11) as f32) / 5.0 - 1.0
    });
    let labels: Vec<u32> = (0..examples as u32).map(|i| (i * i + seed) % 3).collect();
    Dataset::from_array(x, labels).unwrap()
}

fn data(seed: u32, examples: usize) -> Dataset<f32> {
    let weights = (0..examples).map(|i| [1.0, 0.5, 0.0, 2.0][i % 4]).collect();
    unweighted(seed, examples).with_weights(weights).unwrap()
}

fn network() -> Network<f32> {
    let layers =
        sequential![Affine::new(8), BatchNorm::new(), Relu, Dropout::new(0.3), Affine::new(6), Tanh, Affine::new(3)];
    Network::build([3], layers, Seed(7)).unwrap()
}

fn trainer<'a>(optimizer: impl Optimizer<f32> + 'static) -> AnyTrainer<'a> {
    let optimizer: Box<dyn Optimizer<f32>> = Box::new(optimizer);
    Trainer::new(SoftmaxCrossEntropy::new(), optimizer).epochs(4).batch_size(8).seed(Seed(3))
}

fn bits(network: &Network<f32>) -> Vec<u32> {
    network.parameters().iter().chain(network.statistics()).map(|x| x.to_bits()).collect()
}

/// The epochs of a history, without what a clock told.
fn curve(history: &History) -> Vec<EpochRecord> {
    let mut epochs = history.epochs.clone();
    epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    epochs
}

/// Trains on ranks that begin with other networks than rank 0, on data that they share.
fn train(ranks: usize, settings: Settings, build: impl Fn() -> AnyTrainer<'static> + Sync) -> Vec<Left> {
    let (training, validation) = (data(0, EXAMPLES), data(5, 30));
    on_ranks(ranks, settings, |rank, exchange| {
        let mut network = network();
        network.parameters_mut()[0] += rank as f32;
        network.set_seed(Seed(7 + rank as u64));
        let mut trainer = shortened(build()).validate(&validation).exchange(exchange);
        let result = trainer.fit(&mut network, &training);
        (network, result)
    })
}

/// Lets a trainer borrow what lives for a shorter time.
fn shortened<'a>(trainer: AnyTrainer<'static>) -> AnyTrainer<'a> {
    trainer
}

/// What one process leaves that accumulates the batches of all ranks.
fn alone(batches: u64, build: impl Fn() -> AnyTrainer<'static>) -> (Network<f32>, History) {
    let (training, validation) = (data(0, EXAMPLES), data(5, 30));
    let mut network = network();
    let mut trainer = shortened(build()).accumulate(batches).validate(&validation);
    let history = trainer.fit(&mut network, &training).unwrap();
    drop(trainer);
    (network, history)
}

/// A trainer with all that is agreed on.
fn rich() -> AnyTrainer<'static> {
    trainer(Adam::new(0.02))
        .metric(Accuracy::new())
        .penalty(Penalty::l2(1e-3))
        .clip_norm(0.4)
        .exponential_average(0.9)
        .schedule(Cosine::new(40))
        .early_stopping(EarlyStopping::new().patience(2))
}

#[test]
fn ranks_have_the_bits_of_one_process_that_accumulates_their_batches() {
    for ranks in [2, 3, 4] {
        let (network, history) = alone(ranks, rich);
        for (rank, (other, result)) in train(ranks as usize, Settings::default(), rich).into_iter().enumerate() {
            let result = result.unwrap();
            assert_eq!(bits(&other), bits(&network), "rank {rank} of {ranks}");
            assert_eq!(curve(&result), curve(&history), "rank {rank} of {ranks}");
            assert_eq!((result.steps, result.reason), (history.steps, history.reason));
        }
    }
}

#[test]
fn ranks_that_exchange_each_batch_have_these_bits_if_they_accumulate_too() {
    let settings = Settings { in_order: true, ..Settings::default() };
    let (network, history) = alone(6, rich);
    for (other, result) in train(2, settings, || rich().accumulate(3)) {
        assert_eq!((bits(&other), curve(&result.unwrap())), (bits(&network), curve(&history)));
    }
}

#[test]
fn ranks_that_add_up_their_batches_first_are_equal_and_near_one_process() {
    let build = || trainer(Sgd::new(0.1)).schedule(Cosine::new(20));
    let plain = || Network::<f32>::build([3], sequential![Affine::new(8), Tanh, Affine::new(3)], Seed(7)).unwrap();
    let training = data(0, EXAMPLES);
    let mut whole = plain();
    build().accumulate(6).fit(&mut whole, &training).unwrap();
    let all = on_ranks(3, Settings::default(), |_, exchange| {
        let mut network = plain();
        build().accumulate(2).exchange(exchange).fit(&mut network, &training).unwrap();
        network
    });
    for network in &all {
        assert_eq!(bits(network), bits(&all[0]));
        for (a, b) in network.parameters().iter().zip(whole.parameters()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
    // With running statistics, which are their mean.
    let all = train(3, Settings::default(), || build().accumulate(2));
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&all[0].0)));
}

#[test]
fn an_optimizer_that_is_sharded_has_the_same_bits_and_a_part_of_the_memory() {
    let build = || trainer(Adam::new(0.02).no_decay_on_biases()).penalty(Penalty::l1(1e-3)).clip_value(0.05);
    let (network, history) = alone(3, build);
    let len = network.parameters().len();
    let training = data(0, EXAMPLES);
    let validation = data(5, 30);
    for bucket in [None, Some(7), Some(20)] {
        let settings = Settings { sharded: true, bucket, ..Settings::default() };
        let all = on_ranks(3, settings, |rank, exchange| {
            let mut network = self::network();
            let own: usize = exchange.owned(len, rank).iter().map(Range::len).sum();
            let mut trainer = shortened(build()).validate(&validation).exchange(exchange);
            let history = trainer.fit(&mut network, &training).unwrap();
            let slots: Vec<usize> = trainer.optimizer().state().slots.iter().map(|(_, slot)| slot.len()).collect();
            assert_eq!(slots, [own; 2]);
            (bits(&network), curve(&history))
        });
        assert!(all.iter().all(|left| *left == (bits(&network), curve(&history))), "{bucket:?}");
    }
}

#[test]
fn a_norm_is_that_of_all_parts_of_a_gradient() {
    let build = || trainer(Sgd::new(0.3)).clip_norm(0.1);
    let (network, _) = alone(3, build);
    let settings = |bucket| Settings { sharded: true, bucket, ..Settings::default() };
    let all = train(3, settings(None), build).into_iter().chain(train(3, settings(Some(20)), build));
    for (other, result) in all {
        result.unwrap();
        let far = other.parameters().iter().zip(network.parameters()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "{far}");
    }
}

#[test]
fn rules_that_need_whole_matrices_stay_whole() {
    assert!(!Optimizer::<f32>::is_elementwise(&Muon::new(0.01)) && Optimizer::<f32>::is_elementwise(&Adam::new(0.01)));
    let (network, _) = alone(2, || trainer(Muon::new(0.01)));
    for (other, result) in train(2, Settings { sharded: true, ..Settings::default() }, || trainer(Muon::new(0.01))) {
        result.unwrap();
        assert_eq!(bits(&other), bits(&network));
    }
}

/// Trains with batch normalisation at the front, where no one asks for dJ/dx, and in the middle.
fn normalised() -> Network<f32> {
    let layers = sequential![BatchNorm::new(), Affine::new(8), BatchNorm::new(), Relu, Affine::new(3)];
    Network::build([3], layers, Seed(7)).unwrap()
}

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

/// The backward pass of a layer that stands for y = x.
macro_rules! passes_back {
    () => {
        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            if let Some(dx) = pass.dx.get(0) {
                dx.slice().copy_from_slice(pass.dy.slice());
            }
        }
    };
}

/// Counts the examples that are predicted for.
#[derive(Clone, Debug)]
struct Counting(Arc<AtomicUsize>);

impl Layer for Counting {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Counting", single_input("Counting", inputs)?))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        if !pass.mode.is_training() {
            self.0.fetch_add(pass.x[0].examples(), Ordering::Relaxed);
        }
        pass.y.slice().copy_from_slice(pass.x[0].slice());
    }

    passes_back!();
}

#[test]
fn each_rank_judges_a_part_of_the_validation_data_and_all_get_the_bits_of_one_process() {
    let (training, validation) = (data(0, EXAMPLES), data(5, 1_200));
    let build = || shortened(rich().metric(LogLoss::new()).metric(ConfusionMatrix::new())).validate(&validation);
    let counting = || {
        let count = Arc::default();
        let layers = sequential![Affine::new(8), BatchNorm::new(), Tanh, Affine::new(3), Counting(Arc::clone(&count))];
        (Network::build([3], layers, Seed(7)).unwrap(), count)
    };
    for ranks in [2, 3, 7] {
        let (mut network, count) = counting();
        let expected = build().accumulate(ranks as u64).fit(&mut network, &training).unwrap();
        let epochs = expected.epochs.len();
        // What is predicted before the first step.
        let door = count.load(Ordering::Relaxed) - epochs * 1_200;
        let all = on_ranks(ranks, Settings::default(), |_, exchange| {
            let (mut own, count) = counting();
            let history = build().exchange(exchange).fit(&mut own, &training).unwrap();
            (bits(&own), curve(&history), count.load(Ordering::Relaxed))
        });
        for (left, epochs, _) in &all {
            assert_eq!((left, epochs), (&bits(&network), &curve(&expected)), "{ranks} ranks");
        }
        let predicted: usize = all.iter().map(|(.., count)| count - door).sum();
        assert_eq!(predicted, epochs * 1_200);
        let most = all.iter().map(|(.., count)| count - door).max().unwrap();
        assert!(most <= epochs * 5_usize.div_ceil(ranks) * 256, "{most} on one of {ranks} ranks");
    }
}

#[test]
fn predictions_are_exchanged_in_rounds_that_fit_memory() {
    let (training, validation) = (data(0, 40), data(5, 1_100));
    let wide = || Network::build([3], sequential![Affine::new(2), Affine::new(2_048)], Seed(7)).unwrap();
    let build = || shortened(trainer(Sgd::new(0.1)).epochs(2).metric(Accuracy::new()).metric(LogLoss::new()));
    let mut network = wide();
    let expected = build().accumulate(2).validate(&validation).fit(&mut network, &training).unwrap();
    // Two batches of 256 times 2,048 numbers are as many as a rank makes at once; the fifth batch is a second round.
    let all = on_ranks(2, Settings::default(), |_, exchange| {
        let (mut own, rounds) = (wide(), exchange.rounds.clone());
        let history = build().validate(&validation).exchange(exchange).fit(&mut own, &training).unwrap();
        (curve(&history), rounds.load(Ordering::Relaxed))
    });
    assert!(all.iter().all(|left| *left == (curve(&expected), 2 * 2)), "{all:?} {expected:?}");
}

#[test]
fn an_error_in_the_validation_of_one_rank_is_one_of_all() {
    let training = data(0, EXAMPLES);
    let validation = data(5, 1_200);
    let all = on_ranks(3, Settings::default(), |rank, exchange| {
        let mut network = network();
        let fussy = Fussy { after: if rank == 1 { 153 } else { usize::MAX } };
        let mut trainer = shortened(trainer(Sgd::new(0.1)).metric(fussy)).validate(&validation).exchange(exchange);
        let result = trainer.fit(&mut network, &training);
        (network, result)
    });
    let messages = messages(&all);
    assert!(messages[1].contains("it has seen enough"), "{}", messages[1]);
    for rank in [0, 2] {
        assert!(messages[rank].starts_with("rank 1 has ended the run: "), "{}", messages[rank]);
    }
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&self::network())));
}

/// A metric that takes no more than a number of batches.
#[derive(Debug)]
struct Fussy {
    after: usize,
}

impl Metric<f32> for Fussy {
    fn name(&self) -> String {
        "fussy".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, _: Meaning) {}

    fn update(&mut self, _: Batch<'_, f32>, _: Target<'_, f32>, _: Option<&[f32]>) -> Result<(), TargetError> {
        self.after = self.after.checked_sub(1).ok_or_else(|| TargetError::setting("Fussy", "it has seen enough"))?;
        Ok(())
    }

    fn value(&self) -> f64 {
        0.0
    }
}

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
fn batches_of_a_source_are_dealt() {
    let (network, _) = alone(3, || trainer(Sgd::new(0.1)));
    let validation = data(5, 30);
    let all = on_ranks(3, Settings::default(), |_, exchange| {
        let mut other = self::network();
        let mut batches = SourceBatches::shuffled(InMemory::new(data(0, EXAMPLES)), 8, Seed(3)).unwrap().prefetch(2);
        let mut trainer = shortened(trainer(Sgd::new(0.1))).validate(&validation).exchange(exchange);
        trainer.fit_batches(&mut other, &mut batches).unwrap();
        other
    });
    assert!(all.iter().all(|other| bits(other) == bits(&network)));
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

fn messages(all: &[Left]) -> Vec<String> {
    all.iter().map(|(_, result)| result.as_ref().unwrap_err().to_string()).collect()
}

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
fn numbers_that_are_not_finite_end_all_ranks() {
    for synchronized in [false, true] {
        let all = train(2, Settings { synchronized, ..Settings::default() }, || trainer(Sgd::new(1e39)));
        for message in messages(&all) {
            assert!(message.contains("diverged"), "{message}");
        }
    }
    let all = train(2, Settings { sharded: true, ..Settings::default() }, || trainer(Sgd::new(1e39)).clip_norm(1e30));
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&all[0].0)));
    assert!(messages(&all).iter().all(|message| message.contains("diverged")), "{:?}", messages(&all));
}

/// The settings of ranks with another order of messages in a step.
fn orders() -> [Settings; 4] {
    let plain = Settings::default();
    [
        plain,
        Settings { in_order: true, ..plain },
        Settings { synchronized: true, ..plain },
        Settings { sharded: true, ..plain },
    ]
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

/// A layer that gives no number for a large one, and takes no single example.
#[derive(Clone, Debug)]
struct Fragile;

impl Layer for Fragile {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Fragile", single_input("Fragile", inputs)?).least_examples(2))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        for (y, &x) in pass.y.slice().iter_mut().zip(pass.x[0].slice()) {
            *y = if x < T::from_f64(LARGE.into()) { x } else { T::from_f64(f64::NAN) };
        }
    }

    passes_back!();
}

const LARGE: f32 = 100.0;

fn fragile() -> Network<f32> {
    let layers = sequential![Fragile, BatchNorm::new(), Affine::new(8), BatchNorm::new(), Relu, Affine::new(3)];
    Network::build([3], layers, Seed(7)).unwrap()
}

/// Data of which this example is too large for that layer.
fn with_large(examples: usize, bad: usize) -> Dataset<f32> {
    let x = Array2::from_shape_fn((examples, 3), |(i, j)| if i == bad { LARGE } else { (i * 7 + j * 3) as f32 % 5.0 });
    Dataset::from_array(x, (0..examples as u32).map(|i| i % 3).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_example_of_one_rank_that_is_not_finite_is_named_on_all() {
    for settings in orders() {
        for data in [RankData::Dealt, RankData::Own] {
            let all = on_ranks(3, Settings { data, ..settings }, |rank, exchange| {
                let (mut network, own) = (fragile(), rank == 1 || data == RankData::Dealt);
                let training = with_large(48, if own { 17 } else { usize::MAX });
                let result = trainer(Sgd::new(0.05)).exchange(exchange).fit(&mut network, &training);
                (network, result)
            });
            let messages = messages(&all);
            let blames = |message: &String| message.contains("Example 17 of the training data is to blame");
            assert!(messages.iter().all(blames), "{settings:?} {data:?}: {messages:?}");
            let is_heard = |message: &String| message.starts_with("rank 1 has ended the run: ");
            assert!(data == RankData::Dealt || is_heard(&messages[0]) && is_heard(&messages[2]), "{messages:?}");
            assert!(all.iter().all(|(network, _)| bits(network) == bits(&fragile())));
        }
    }
}

#[test]
fn a_rank_that_only_hears_of_numbers_that_are_not_finite_gives_way() {
    // Batches that are read one by one are not searched for a cause.
    let settings = Settings { synchronized: true, data: RankData::Own, ..Settings::default() };
    let all = on_ranks(3, settings, |rank, exchange| {
        let (mut network, source) = (fragile(), InMemory::new(with_large(40, if rank == 2 { 17 } else { usize::MAX })));
        let mut batches = SourceBatches::sequential(source, 8).unwrap();
        let result = trainer(Sgd::new(0.05)).exchange(exchange).fit_batches(&mut network, &mut batches);
        (network, result)
    });
    let messages = messages(&all);
    for (rank, message) in messages.iter().enumerate() {
        assert!(message.contains("layer `0` is the first whose output is not finite"), "{message}");
        assert_eq!(message.starts_with("rank 2 has ended the run: "), rank != 2, "{message}");
    }
}

#[test]
fn too_high_a_rate_is_named_with_batches_of_one_example_too() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(3, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
        let mut network = normalised();
        let result = trainer(Sgd::new(1e39)).batch_size(1).exchange(exchange).fit(&mut network, &training);
        (network, result)
    });
    for message in messages(&all) {
        assert!(message.contains("The learning rate of 1e39 is most likely too large"), "{message}");
    }
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
fn a_step_in_which_nothing_counts_leaves_nothing_for_the_next() {
    // The second step, of the examples from 8 to 15, gives no numbers and has no weight.
    let source = |is_whole: bool| {
        let places: Vec<usize> = (0..40).filter(|i| is_whole || !(8..16).contains(i)).collect();
        let weights = |i: usize| if (8..16).contains(&i) { 0.0 } else { 1.0 + (i % 3) as f32 };
        let x = Array2::from_shape_fn(
            (40, 3),
            |(i, j)| {
                if (8..16).contains(&i) { LARGE } else { ((i * 7 + j * 3) % 5) as f32 }
            },
        );
        let data = Dataset::from_array(x, (0..40_u32).map(|i| i % 3).collect::<Vec<_>>()).unwrap();
        InMemory::new(data.with_weights((0..40).map(weights).collect::<Vec<_>>()).unwrap().select(&places).unwrap())
    };
    for settings in orders() {
        let run = |is_whole| {
            on_ranks(2, settings, |_, exchange| {
                let mut network = fragile();
                let mut batches = SourceBatches::sequential(source(is_whole), 4).unwrap();
                trainer(Sgd::new(0.05)).exchange(exchange).fit_batches(&mut network, &mut batches).unwrap();
                bits(&network)
            })
        };
        assert_eq!(run(true), run(false), "{settings:?}");
    }
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

#[test]
fn a_metric_does_not_judge_the_data_of_one_rank() {
    let all = on_ranks(2, Settings { data: RankData::Own, ..Settings::default() }, |rank, exchange| {
        let mut network = network();
        let mut trainer = trainer(Sgd::new(0.1)).metric(Accuracy::new()).exchange(exchange);
        let result = trainer.fit(&mut network, &data(rank as u32, EXAMPLES));
        (network, result)
    });
    assert!(messages(&all).iter().all(|message| message.contains("`accuracy` would judge")), "{:?}", messages(&all));
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
