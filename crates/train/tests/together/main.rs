//! Several ranks train one network: threads here, which send one another what processes would.

#![cfg(feature = "full")]

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

mod errors;
mod gathering;
mod not_finite;
mod one_process;
mod runs;
mod validation;

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use downhill_data::Dataset;
use downhill_data::source::{InMemory, SourceBatches};
use downhill_layers::{Affine, Backward, BatchNorm, Dropout, Forward, Layer, Relu, Signature, Tanh, single_input};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_network::{Network, sequential};
use downhill_optim::schedule::Cosine;
use downhill_optim::{Adam, Optimizer, Penalty, Sgd};
use downhill_tensor::{BuildError, Scalar, Seed, Shape};
use downhill_train::metrics::Accuracy;
use downhill_train::{
    EarlyStopping, EpochRecord, GradientExchange, History, RankData, StepEnd, TrainError, Trainer, part_of,
};
use ndarray::Array2;

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

/// Trains with batch normalisation at the front, where no one asks for dJ/dx, and in the middle.
fn normalised() -> Network<f32> {
    let layers = sequential![BatchNorm::new(), Affine::new(8), BatchNorm::new(), Relu, Affine::new(3)];
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

fn messages(all: &[Left]) -> Vec<String> {
    all.iter().map(|(_, result)| result.as_ref().unwrap_err().to_string()).collect()
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
