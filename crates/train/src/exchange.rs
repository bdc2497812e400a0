//! What happens to a gradient between the backward pass and the step, if several processes train one network.

use std::fmt::Debug;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use downhill_layers::AllGather;
use downhill_losses::Total;
use downhill_network::{BackwardObserver, Network, Workspace};
use downhill_optim::{Optimizer, OptimizerState, RestoreError, Segment, SettingError};
use downhill_tensor::{BuildError, Scalar};

use crate::{StopReason, TrainError};

/// Connects the ranks of a run: processes, or threads, that train one network together, numbered from 0.
///
/// A trainer with an [`exchange`](crate::Trainer::exchange) takes each step by the mean gradient over the batches of all
/// ranks. Every rank calls the same methods in the same order, and each call returns once all have made it. Without an
/// exchange nothing is called and nothing is copied.
///
/// Every number is [owned](GradientExchange::owned) by one rank: a gradient is sent in ranges as the backward pass
/// completes them, from the end to the beginning; [`add`](GradientExchange::add) leaves a rank with the sum of what it
/// owns, and [`complete`](GradientExchange::complete) brings that of all ranks to all.
pub trait GradientExchange<T: Scalar>: Debug + Send {
    /// The number of this rank.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn ranks(&self) -> usize;

    /// Returns the bytes of all ranks, in their order. `what` says what they are, for an error that no rank foresaw.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String>;

    /// Begins to send what the next [`gather`](GradientExchange::gather) is for, which follows with the same arguments; other
    /// messages may come between the two. An exchange may also do nothing here.
    fn begin_gather(&mut self, what: &str, own: &[u8]) {
        let _ = (what, own);
    }

    /// Overwrites `all` by the numbers of all ranks, in their order; all give as many, and get them with the same bits. They
    /// are few, such as the sums of a layer.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn all_gather(&mut self, what: &str, own: &[T], all: &mut Vec<T>) -> Result<(), String> {
        let own: Vec<u8> = own.iter().flat_map(|x| x.to_f64().to_le_bytes()).collect();
        all.clear();
        for numbers in self.gather(what, &own)? {
            all.extend(numbers.as_chunks::<8>().0.iter().map(|&bytes| T::from_f64(f64::from_le_bytes(bytes))));
        }
        Ok(())
    }

    /// Overwrites `numbers` by those of the rank `from`.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn broadcast(&mut self, from: usize, numbers: &mut [T]) -> Result<(), String>;

    /// Begins to send these numbers of a gradient, which are final, to the ranks that own them. The ranges of one
    /// gradient adjoin one another, from its end to its beginning, and may differ from rank to rank.
    fn send(&mut self, complete: Range<usize>, gradient: &[T]);

    /// Returns the ranges of `len` numbers that a rank owns, from the first to the last: its [part](part_of) unless an
    /// exchange deals them otherwise, such as a part of every bucket that it sends.
    fn owned(&self, len: usize, rank: usize) -> Vec<Range<usize>> {
        vec![part_of(len, rank, self.ranks())]
    }

    /// Waits for the gradient that was sent by each rank, and adds to the numbers that this rank owns, which `sum` holds
    /// one range after another: `sum ← sum + factor · g`, one rank after another in their order; a rank without a factor
    /// adds nothing.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn add(&mut self, factors: &[Option<T>], sum: &mut [T]) -> Result<(), String>;

    /// Fills in those of `numbers` that other ranks own.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn complete(&mut self, numbers: &mut [T]) -> Result<(), String>;

    /// Fills in those numbers of a mean gradient that other ranks own. The numbers may be rounded, the same on all ranks.
    ///
    /// # Errors
    /// Returns a sentence if the ranks can't be reached.
    fn complete_gradient(&mut self, gradient: &mut [T]) -> Result<(), String> {
        self.complete(gradient)
    }

    /// Forgets what earlier steps have left for the next gradient, such as errors of rounding: a run starts anew, or a step
    /// has failed.
    fn restart(&mut self) {}

    /// Tells whether the gradient of every batch is exchanged by itself if several
    /// [make a step](crate::Trainer::accumulate), so that n ranks get the bits of one process that sees the same batches;
    /// otherwise each rank first adds up its own. A matter of batch normalisation too: see
    /// [`exchange`](crate::Trainer::exchange).
    fn is_in_order(&self) -> bool {
        false
    }

    /// Tells whether layers that [gather](downhill_layers::Signature::gathers), such as batch normalisation, take the batches
    /// of all ranks as one. The gradient of every batch is then exchanged by itself.
    fn is_synchronized(&self) -> bool {
        false
    }

    /// Tells whether each rank keeps the optimizer's memory of its own part alone, if the optimizer
    /// [is element-wise](Optimizer::is_elementwise).
    fn is_sharded(&self) -> bool {
        false
    }

    /// Tells how the training data lie on the ranks.
    fn data(&self) -> RankData {
        RankData::Dealt
    }

    /// Returns the settings that all ranks must have in common beyond those of the other methods, each with its name.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl<T: Scalar, E: GradientExchange<T> + ?Sized> GradientExchange<T> for Box<E> {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn ranks(&self) -> usize {
        (**self).ranks()
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        (**self).gather(what, own)
    }

    fn begin_gather(&mut self, what: &str, own: &[u8]) {
        (**self).begin_gather(what, own);
    }

    fn all_gather(&mut self, what: &str, own: &[T], all: &mut Vec<T>) -> Result<(), String> {
        (**self).all_gather(what, own, all)
    }

    fn broadcast(&mut self, from: usize, numbers: &mut [T]) -> Result<(), String> {
        (**self).broadcast(from, numbers)
    }

    fn send(&mut self, complete: Range<usize>, gradient: &[T]) {
        (**self).send(complete, gradient);
    }

    fn owned(&self, len: usize, rank: usize) -> Vec<Range<usize>> {
        (**self).owned(len, rank)
    }

    fn add(&mut self, factors: &[Option<T>], sum: &mut [T]) -> Result<(), String> {
        (**self).add(factors, sum)
    }

    fn complete(&mut self, numbers: &mut [T]) -> Result<(), String> {
        (**self).complete(numbers)
    }

    fn complete_gradient(&mut self, gradient: &mut [T]) -> Result<(), String> {
        (**self).complete_gradient(gradient)
    }

    fn restart(&mut self) {
        (**self).restart();
    }

    fn is_in_order(&self) -> bool {
        (**self).is_in_order()
    }

    fn is_synchronized(&self) -> bool {
        (**self).is_synchronized()
    }

    fn is_sharded(&self) -> bool {
        (**self).is_sharded()
    }

    fn data(&self) -> RankData {
        (**self).data()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        (**self).settings()
    }
}

/// How the training data of a run lie on its ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RankData {
    /// All ranks have the same data, and each takes every n-th batch of an epoch.
    #[default]
    Dealt,
    /// Each rank has data of its own, and takes all of their batches. A rank that has seen its last one takes part in the
    /// remaining steps of the epoch without any.
    Own,
}

/// Returns one of the parts into which `len` numbers are cut, a part for each rank: all have as many, or one more.
///
/// ```
/// use downhill_train::part_of;
///
/// assert_eq!([0, 1, 2].map(|rank| part_of(10, rank, 3)), [0..3, 3..6, 6..10]);
/// ```
#[must_use]
pub fn part_of(len: usize, rank: usize, ranks: usize) -> Range<usize> {
    let bound = |rank: usize| (len as u128 * rank as u128 / ranks.max(1) as u128) as usize;
    bound(rank)..bound(rank + 1)
}

/// An exchange of a trainer.
pub(crate) type Exchange<'a, T> = Box<dyn GradientExchange<T> + 'a>;

/// What ranks tell one another with a step.
pub(crate) const LOSS: &str = "the loss of a step";

/// What a rank tells the others with its gradient.
pub(crate) struct Told {
    pub(crate) stop: Option<StopReason>,
    /// The loss of its batch, if it has one.
    pub(crate) loss: Option<Total>,
    /// Whether it has an error, which it tells next.
    pub(crate) has_failed: bool,
}

impl Told {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![stop_to_byte(self.stop), u8::from(self.has_failed)];
        bytes.extend(self.loss.iter().flat_map(|total| total.to_le_bytes()));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[stop, has_failed, ref rest @ ..] = bytes else { return None };
        let loss = if rest.is_empty() { None } else { Some(Total::from_le_bytes(rest)?) };
        // The rank finds out where its loss has ceased to be a number.
        let is_finite = loss.is_none_or(|total| total.is_empty() || total.value().is_finite());
        Some(Self { stop: stop_from_byte(stop), loss, has_failed: has_failed != 0 || !is_finite })
    }

    /// Whether any target counts.
    pub(crate) fn counts(&self) -> bool {
        self.loss.is_some_and(|total| !total.is_empty())
    }

    /// Reads what all ranks have told; `None` if one of them has another program.
    pub(crate) fn all(messages: &[Vec<u8>]) -> Option<Vec<Self>> {
        messages.iter().map(|message| Self::from_bytes(message)).collect()
    }
}

pub(crate) fn stop_to_byte(reason: Option<StopReason>) -> u8 {
    match reason {
        None => 0,
        Some(StopReason::Interrupted) => 2,
        Some(_) => 1,
    }
}

pub(crate) fn stop_from_byte(byte: u8) -> Option<StopReason> {
    match byte {
        0 => None,
        2 => Some(StopReason::Interrupted),
        _ => Some(StopReason::Callback),
    }
}

/// Sends what is final of a gradient during the backward pass, and the loss before it; and gathers what layers ask for, if
/// they take the batches of all ranks as one.
#[derive(Debug)]
pub(crate) struct Sending<'a, 'e, T> {
    exchange: &'a mut Exchange<'e, T>,
    is_synchronized: bool,
    stop: Option<StopReason>,
    has_failed: bool,
    has_gathered: bool,
    /// What layers have gathered last.
    gathered: &'a mut Vec<T>,
    pub(crate) sent: Sent,
}

/// What a pass has sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// The numbers of the gradient that were not sent yet, which come first.
    pub(crate) left: usize,
    /// What this rank has begun to tell the others.
    pub(crate) told: Option<Vec<u8>>,
    /// What all ranks have told, if this rank has waited for it, or why that can't be known.
    pub(crate) heard: Option<Result<Vec<Vec<u8>>, String>>,
    /// The time for which this rank has waited.
    pub(crate) waited: Duration,
}

impl<'a, 'e, T: Scalar> Sending<'a, 'e, T> {
    pub(crate) fn new(
        exchange: &'a mut Exchange<'e, T>,
        is_synchronized: bool,
        gathered: &'a mut Vec<T>,
        stop: Option<StopReason>,
        len: usize,
    ) -> Self {
        let sent = Sent { left: len, ..Sent::default() };
        let (has_failed, has_gathered) = (false, false);
        Self { exchange, is_synchronized, stop, has_failed, has_gathered, gathered, sent }
    }

    /// Takes part in a step without a gradient, for want of a batch or after an error.
    pub(crate) fn sit_out(
        &mut self,
        network: &Network<T>,
        workspace: &mut Workspace<T>,
        has_failed: bool,
    ) -> Result<(), BuildError> {
        self.has_failed = has_failed;
        // An error comes before the first layer or after the last one.
        if self.is_synchronized && !self.has_gathered {
            return network.pass_without_examples(workspace, self);
        }
        let _ = self.tell(None);
        Ok(())
    }

    /// Tells the others how this rank's pass has begun; breaks off what can't go on.
    fn tell(&mut self, loss: Option<Total>) -> ControlFlow<()> {
        if self.sent.heard.is_some() {
            return ControlFlow::Break(());
        }
        let told = Told { stop: self.stop, loss, has_failed: self.has_failed }.to_bytes();
        if !self.is_synchronized {
            self.exchange.begin_gather(LOSS, &told);
            self.sent.told = Some(told);
            return ControlFlow::Continue(());
        }
        // No rank may wait in the backward pass for one that has left.
        let began = Instant::now();
        let heard = self.exchange.gather(LOSS, &told);
        self.sent.waited += began.elapsed();
        let all = heard.as_ref().ok().and_then(|messages| Told::all(messages));
        self.sent.heard = Some(heard);
        match all {
            Some(all) if !all.iter().any(|told| told.has_failed) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

impl<T: Scalar> BackwardObserver<T> for Sending<'_, '_, T> {
    fn loss(&mut self, total: Total, dy: &mut [T]) -> ControlFlow<()> {
        if self.is_synchronized {
            // The sums of a layer are then those of one loss.
            let divisor = T::from_f64(total.divisor());
            dy.iter_mut().for_each(|dy| *dy *= divisor);
        }
        self.tell(Some(total))
    }

    fn ranks(&mut self) -> Option<&mut dyn AllGather<T>> {
        if self.is_synchronized { Some(self) } else { None }
    }

    fn parameter_gradient(&mut self, complete: Range<usize>, gradient: &[T]) {
        self.sent.left = complete.start;
        self.exchange.send(complete, gradient);
    }
}

impl<T: Scalar> AllGather<T> for Sending<'_, '_, T> {
    fn all_gather(&mut self, own: &[T]) -> &[T] {
        self.has_gathered = true;
        let Sent { heard, waited, .. } = &mut self.sent;
        let began = Instant::now();
        let reached = match heard {
            Some(Err(_)) => false,
            _ => match self.exchange.all_gather("the sums of a layer", own, self.gathered) {
                Ok(()) => true,
                Err(error) => {
                    *heard = Some(Err(error));
                    false
                }
            },
        };
        *waited += began.elapsed();
        if !reached {
            // The run ends after this pass, whatever comes out of it.
            *self.gathered = own.repeat(self.exchange.ranks());
        }
        self.gathered
    }
}

/// The ranges of θ that a rank owns, and their numbers as they lie in its own memory: one range after another.
#[derive(Clone, Debug)]
pub(crate) struct Owned(Vec<Range<usize>>);

impl Owned {
    pub(crate) fn by<T: Scalar>(exchange: &Exchange<'_, T>, len: usize) -> Self {
        Self(exchange.owned(len, exchange.rank()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Copies the own ones of all numbers.
    fn copy<T: Scalar>(&self, all: &[T], own: &mut Vec<T>) {
        own.clear();
        self.0.iter().for_each(|range| own.extend_from_slice(&all[range.clone()]));
    }

    /// Puts own numbers where they belong.
    fn put_back<T: Scalar>(&self, own: &[T], all: &mut [T]) {
        let mut rest = own;
        for range in &self.0 {
            let (numbers, behind) = rest.split_at(range.len());
            all[range.clone()].copy_from_slice(numbers);
            rest = behind;
        }
    }

    /// Returns the segments as they lie in the own numbers.
    pub(crate) fn cut(&self, segments: &[Segment]) -> Vec<Segment> {
        let mut place = 0;
        let mut cut = Vec::new();
        for own in &self.0 {
            for segment in segments {
                let range = segment.range.start.max(own.start)..segment.range.end.min(own.end);
                if !range.is_empty() {
                    let mut segment = segment.clone();
                    segment.range = place + range.start - own.start..place + range.end - own.start;
                    cut.push(segment);
                }
            }
            place += own.len();
        }
        cut
    }
}

/// What a rank steps, if it is no more than what it owns.
#[derive(Debug)]
pub(crate) struct Stepped<T> {
    pub(crate) owned: Owned,
    /// Memory for several ranges, which are stepped as one.
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T> Stepped<T> {
    pub(crate) fn new(owned: Owned) -> Self {
        Self { owned, theta: Vec::new(), gradient: Vec::new() }
    }
}

/// An optimizer that steps this rank's part of θ, after which all ranks have all of it.
#[derive(Debug)]
pub(crate) struct Sharded<'a, 'e, T, O> {
    pub(crate) optimizer: &'a mut O,
    pub(crate) exchange: &'a mut Exchange<'e, T>,
    pub(crate) stepped: &'a mut Stepped<T>,
    pub(crate) completed: Result<(), String>,
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for Sharded<'_, '_, T, O> {
    fn check(&self) -> Result<(), SettingError> {
        self.optimizer.check()
    }

    fn bind(&mut self, segments: &[Segment]) {
        self.optimizer.bind(&self.stepped.owned.cut(segments));
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        let Stepped { owned, theta: own_theta, gradient: own_gradient } = &mut *self.stepped;
        if let [range] = owned.ranges() {
            self.optimizer.step(&mut theta[range.clone()], &gradient[range.clone()]);
        } else {
            owned.copy(theta, own_theta);
            owned.copy(gradient, own_gradient);
            self.optimizer.step(own_theta, own_gradient);
            owned.put_back(own_theta, theta);
        }
        self.completed = self.exchange.complete(theta);
    }

    fn reset(&mut self) {
        self.optimizer.reset();
    }

    fn base_learning_rate(&self) -> f64 {
        self.optimizer.base_learning_rate()
    }

    fn set_base_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_base_learning_rate(learning_rate);
    }

    fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    fn state(&self) -> OptimizerState<T> {
        self.optimizer.state()
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        self.optimizer.restore(state)
    }
}

/// Returns what this rank owns of θ if it steps nothing else.
pub(crate) fn sharded_part<T: Scalar>(
    exchange: Option<&Exchange<'_, T>>,
    optimizer: &impl Optimizer<T>,
    network: &Network<T>,
) -> Option<Owned> {
    let exchange = exchange.filter(|exchange| exchange.ranks() > 1 && exchange.is_sharded())?;
    let is_elementwise = optimizer.is_elementwise() && !optimizer.evaluation_point(&[], &mut []);
    let len = network.parameters().len();
    // A rank without parameters would have no memory to save.
    (is_elementwise && len >= exchange.ranks()).then(|| Owned::by(exchange, len))
}

/// Fills in what other ranks remember of the steps so far, so that a state is that of the whole optimizer.
#[cfg(feature = "checkpoint")]
pub(crate) fn complete_state<T: Scalar>(
    exchange: &mut Exchange<'_, T>,
    state: &mut OptimizerState<T>,
    part: &Owned,
    len: usize,
) -> Result<(), TrainError> {
    for (_, slot) in &mut state.slots {
        let mut whole = vec![T::ZERO; len];
        part.put_back(slot, &mut whole);
        exchange.complete(&mut whole).map_err(TrainError::Exchange)?;
        *slot = whole;
    }
    set_parameters(state, part.len(), len);
    Ok(())
}

/// Returns what a rank keeps of a whole optimizer's state; as it is if it has no memory yet.
#[cfg(feature = "checkpoint")]
pub(crate) fn cut_state<T: Scalar>(state: &OptimizerState<T>, part: &Owned, len: usize) -> OptimizerState<T> {
    let mut state = state.clone();
    for (_, slot) in state.slots.iter_mut().filter(|(_, slot)| slot.len() == len) {
        let mut own = Vec::new();
        part.copy(slot, &mut own);
        *slot = own;
    }
    set_parameters(&mut state, len, part.len());
    state
}

#[cfg(feature = "checkpoint")]
fn set_parameters<T>(state: &mut OptimizerState<T>, from: usize, to: usize) {
    let counters = state.counters.iter_mut().filter(|(name, count)| name == "parameters" && *count == from as u64);
    counters.for_each(|(_, count)| *count = to as u64);
}

/// An error of ranks whose programs are not the same.
pub(crate) fn garbled() -> TrainError {
    TrainError::Exchange("a rank has sent what no rank of this version sends".into())
}

/// Brings a result to all ranks: that of this rank if all have one, and an error if any has.
pub(crate) fn agree<T: Scalar, R>(
    exchange: Option<&mut Exchange<'_, T>>,
    what: &str,
    own: Result<R, TrainError>,
) -> Result<R, TrainError> {
    let Some(exchange) = exchange else { return own };
    let (own, told) = match own {
        Ok(own) => (Some(own), Ok(Vec::new())),
        Err(error) => (None, Err(error)),
    };
    share(exchange, what, told)?;
    own.ok_or_else(garbled)
}

/// Returns the bytes of all ranks, or an error if any has one: that of this rank, unless another knows better what is to
/// blame.
pub(crate) fn share<T: Scalar>(
    exchange: &mut Exchange<'_, T>,
    what: &str,
    own: Result<Vec<u8>, TrainError>,
) -> Result<Vec<Vec<u8>>, TrainError> {
    let (mut told, knowledge) = match &own {
        Ok(bytes) => (bytes.clone(), 0),
        Err(error) => (error.to_string().into_bytes(), error.knowledge()),
    };
    told.push(knowledge);
    let mut all = exchange.gather(what, &told).map_err(TrainError::Exchange)?;
    let known: Vec<u8> = all.iter_mut().map(Vec::pop).collect::<Option<_>>().ok_or_else(garbled)?;
    let most = known.iter().copied().max().unwrap_or_default();
    match (own, known.iter().position(|&known| known == most)) {
        (Err(error), _) if knowledge == most => Err(error),
        (_, Some(rank)) if most > 0 => Err(TrainError::of_rank(rank, &all[rank])),
        _ => Ok(all),
    }
}

/// Checks that a fact about the run is the same on all ranks; each has a name and a text of any number of lines.
pub(crate) fn compare<T: Scalar>(exchange: &mut Exchange<'_, T>, facts: &[(&str, String)]) -> Result<(), TrainError> {
    let own: Vec<String> = facts.iter().map(|(name, value)| format!("{name}\x1f{value}")).collect();
    let all = exchange.gather("the version, the network, the data and the settings", own.join("\x1e").as_bytes());
    let all: Vec<String> =
        all.map_err(TrainError::Exchange)?.iter().map(|facts| String::from_utf8_lossy(facts).into_owned()).collect();
    let Some((first, others)) = all.split_first() else { return Ok(()) };
    match (1..).zip(others).find(|(_, other)| *other != first) {
        Some((rank, other)) => Err(TrainError::RanksDiffer { rank, difference: difference(first, other) }),
        None => Ok(()),
    }
}

/// Names the first fact that differs, by the first of its lines that does.
fn difference(first: &str, other: &str) -> String {
    let facts = |all: &str| -> Vec<(String, String)> {
        let fact = |fact: &str| fact.split_once('\x1f').map(|(name, value)| (name.to_owned(), value.to_owned()));
        all.split('\x1e').filter_map(fact).collect()
    };
    let (first, other) = (facts(first), facts(other));
    let find = |facts: &[(String, String)], name: &str| {
        facts.iter().find(|(known, _)| known == name).map_or("nothing".to_owned(), |(_, value)| value.clone())
    };
    for (name, _) in first.iter().chain(&other) {
        let (a, b) = (find(&first, name), find(&other, name));
        if a != b {
            let mut lines =
                a.lines().chain(std::iter::repeat("nothing")).zip(b.lines().chain(std::iter::repeat("nothing")));
            let (a, b) = lines.find(|(a, b)| a != b).unwrap_or_default();
            return format!("{name}: `{}` there and `{}` on rank 0", b.trim(), a.trim());
        }
    }
    "the order of its settings".into()
}

/// A checksum of the bits of numbers (FNV-1a over words of 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn word(self, word: u64) -> Self {
        // The fold brings high bits down, which a product alone moves only up.
        let mixed = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        Self(mixed ^ mixed >> 29)
    }

    pub(crate) fn numbers<T: Scalar>(self, numbers: &[T]) -> Self {
        numbers.iter().fold(self, |sum, x| sum.word(x.to_f64().to_bits()))
    }

    pub(crate) fn of<T: Scalar>(network: &Network<T>) -> Self {
        Self::EMPTY.numbers(network.parameters()).numbers(network.statistics())
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_adjoin_one_another_and_differ_by_one_at_most() {
        for (len, ranks) in [(0, 3), (1, 4), (7, 3), (1_000, 7), (usize::MAX, 5)] {
            let parts: Vec<_> = (0..ranks).map(|rank| part_of(len, rank, ranks)).collect();
            assert!(parts[0].start == 0 && parts[ranks - 1].end == len);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(parts.iter().all(|part| part.len() == len / ranks || part.len() == len / ranks + 1));
        }
    }

    #[test]
    fn segments_are_cut_at_the_ends_of_what_is_owned() {
        let segments =
            [Segment::new("a", 0..6, [2, 3]), Segment::new("b", 6..8, [2]).frozen(true), Segment::new("c", 8..9, [1])];
        let cut = |owned: &[Range<usize>]| {
            let cut = Owned(owned.to_vec()).cut(&segments);
            cut.iter()
                .map(|segment| (segment.name.to_string(), segment.range.clone(), segment.frozen))
                .collect::<Vec<_>>()
        };
        let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        assert_eq!(cut(&[0..0, 4..8]), [(a.clone(), 0..2, false), (b.clone(), 2..4, true)]);
        assert_eq!(
            cut(&[1..3, 5..7, 8..9]),
            [(a.clone(), 0..2, false), (a, 2..3, false), (b, 3..4, true), (c, 4..5, false)]
        );
    }

    #[test]
    fn own_numbers_are_found_copied_and_put_back() {
        let (owned, mut all) = (Owned(vec![1..3, 3..3, 5..6]), [0, 1, 2, 3, 4, 5, 6].map(f64::from));
        let mut own = vec![9.0];
        owned.copy(&all, &mut own);
        assert_eq!((owned.len(), &own[..]), (3, &[1.0, 2.0, 5.0][..]));
        owned.put_back(&[7.0, 8.0, 9.0], &mut all);
        assert_eq!(all, [0.0, 7.0, 8.0, 3.0, 4.0, 9.0, 6.0]);
    }

    #[test]
    fn the_first_fact_that_differs_is_named_by_its_line() {
        let facts = |network: &str, rate: &str| format!("the network\x1f{network}\x1ethe learning rate\x1f{rate}");
        assert_eq!(difference(&facts("a\nb", "1"), &facts("a\nc", "2")), "the network: `c` there and `b` on rank 0");
        assert_eq!(difference(&facts("a", "1"), &facts("a\nb", "1")), "the network: `b` there and `nothing` on rank 0");
        let other = facts("a", "1") + "\x1eclipping\x1fnorm";
        assert_eq!(difference(&facts("a", "1"), &other), "clipping: `norm` there and `nothing` on rank 0");
    }

    #[test]
    fn a_checksum_tells_numbers_and_their_order_apart() {
        let of = |numbers: &[f64]| Checksum::EMPTY.numbers(numbers);
        assert_eq!(of(&[1.0, 2.0]), of(&[1.0, 2.0]));
        for other in
            [&[2.0, 1.0][..], &[1.0], &[1.0, 2.0, 0.0], &[-1.0, 2.0], &[1.0, f64::from_bits(2.0_f64.to_bits() + 1)]]
        {
            assert_ne!(of(&[1.0, 2.0]), of(other));
        }
    }
}
