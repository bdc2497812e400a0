//! Gradients, weights and small messages between all ranks.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use downhill_tensor::Scalar;
use downhill_train::{GradientExchange, RankData, part_of};
use mpi::Count;
use mpi::collective::{CommunicatorCollectives, Root};
use mpi::datatype::{Partition, PartitionMut};
use mpi::request::scope;
use mpi::traits::{Communicator, Equivalence};

use crate::Link;
use crate::engine::{Engine, Orders, Watch};
use crate::rounding::{Feedback, widened};
use crate::timeline::{Timeline, WAITS};

/// The least bytes of a gradient that are sent at once, as long as there are as many: few enough to stay in a cache, and to
/// leave little that is sent only after the backward pass.
const BUCKET: usize = 1 << 20;

/// The least bytes of a bucket that go to one of many ranks.
const MESSAGE: usize = 32 << 10;

/// The numbers that are added up at once, which stay in the L1 cache.
const BLOCK: usize = 2048;

/// The most numbers of an operation: MPI counts in 32 bits.
const MOST: usize = 1 << 28;

/// The bytes of a small message that go with its length, enough for the loss of a step.
const SHORT: usize = 60;

// What operations are called in messages and timelines.
const GRADIENTS: &str = "the gradients";
const NUMBERS: &str = "the numbers of one rank";
const PARTS: &str = "the parts of the weights";

/// An exchange over MPI, made by [`Ranks::exchange`](crate::Ranks::exchange).
///
/// The gradient is sent in buckets of 1 MiB, or 32 KiB for each rank if that is more, while the backward pass goes on.
/// Each rank owns a part of every bucket, so that all links are busy with each; it receives these numbers from all others
/// and adds them up in the order of the ranks, so that the sum has the same bits each time. Then the mean gradient, or with
/// [`sharded`](MpiExchange::sharded) the parameters after the step, are brought to all. Each way, a rank sends (n − 1)/n of the bytes of θ, the least there is.
#[derive(Debug)]
pub struct MpiExchange<T> {
    rank: usize,
    ranks: usize,
    orders: Orders,
    watch: Watch,
    in_order: bool,
    synchronized: bool,
    sharded: bool,
    /// What rounding gradients to bf16 has left: of the own ones, and of the means that this rank owns.
    feedback: Option<(Feedback<T>, Feedback<T>)>,
    data: RankData,
    /// What has begun to be gathered.
    begun: Option<Receiver<Vec<Vec<u8>>>>,
    /// The buckets of the gradient that are under way, from the end of θ.
    pieces: VecDeque<Piece<T>>,
    /// The start of the numbers that are under way, while a gradient is sent.
    sent_from: Option<usize>,
    /// Memory of pieces that have come.
    spare: Vec<Vec<T>>,
    spare_rounded: Vec<Vec<u16>>,
}

#[derive(Debug)]
struct Piece<T> {
    /// Its place in θ.
    bucket: Range<usize>,
    /// What this rank owns of it, counted from its start.
    own: Range<usize>,
    arrives: Arrives<T>,
}

/// A bucket as this rank has it, and its own part as all others have it.
#[derive(Debug)]
enum Arrives<T> {
    Whole(Receiver<(Vec<T>, Vec<T>)>),
    Rounded(Receiver<(Vec<u16>, Vec<u16>)>),
}

impl<T: Scalar + Equivalence> MpiExchange<T> {
    pub(crate) fn new(rank: usize, ranks: usize, orders: Orders) -> Self {
        Self {
            rank,
            ranks,
            orders,
            watch: Watch { limit: Duration::from_secs(300), timeline: None, link: None },
            in_order: false,
            synchronized: false,
            sharded: false,
            feedback: None,
            data: RankData::Dealt,
            begun: None,
            pieces: VecDeque::new(),
            sent_from: None,
            spare: Vec::new(),
            spare_rounded: Vec::new(),
        }
    }

    /// Sets the longest time that a rank waits for the others before it ends all of them, with a message that says which
    /// ranks did not arrive; 5 minutes unless set. A rank may be late by as much as it takes longer for a step, an epoch's
    /// validation or a checkpoint. The time for which the waiting process itself was stopped does not count.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.watch.limit = limit;
        self
    }

    /// Exchanges the gradient of every batch by itself if several [make a step](downhill_train::Trainer::accumulate): n
    /// ranks then have the bits of one process that sees the same batches, for as many times the messages.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Has batch normalisation take the batches of all ranks in a step as one, for batches that are too small by
    /// themselves. If no layer draws random numbers, as dropout does, n ranks then take the steps of one process with n
    /// times the batch, within rounding.
    ///
    /// Each such layer waits for two messages in every step, of two numbers for each channel, and the loss is waited for
    /// before the backward pass; a network without such layers is trained as without this. If several batches
    /// [make a step](downhill_train::Trainer::accumulate), each is exchanged by itself.
    #[must_use]
    pub fn synchronized(mut self) -> Self {
        self.synchronized = true;
        self
    }

    /// Has each rank keep the optimizer's memory of its own part of θ alone, a share of 1/n, and step that part (ZeRO
    /// stage 1, Rajbhandari et al. 2020).
    ///
    /// Rules that look at more than one parameter at a time, such as Muon, stay whole on every rank. The gradient
    /// that a callback sees is then complete in the rank's own part alone.
    #[must_use]
    pub fn sharded(mut self) -> Self {
        self.sharded = true;
        self
    }

    /// Sends gradients as bf16, with 8 bits of precision and half the bytes of `f32`. What rounding takes is added to the
    /// next gradient (error feedback, Seide et al. 2014), which needs as much memory as θ on every rank.
    ///
    /// Weights have the same bits on all ranks, other ones than those of one process. Parameters and the optimizer's memory
    /// keep their precision, and so do the parameters that [`sharded`](MpiExchange::sharded) brings to all ranks. What
    /// waits to be added is not in a checkpoint: a run that goes on starts without it.
    #[must_use]
    pub fn bf16(mut self) -> Self {
        self.feedback = Some((Feedback::default(), Feedback::default()));
        self
    }

    /// Has each rank train on data of its own, instead of every n-th batch of data that all ranks have.
    #[must_use]
    pub fn own_data(mut self) -> Self {
        self.data = RankData::Own;
        self
    }

    /// Has each rank write, when its trainer goes, when it was busy with which messages and when training waited for them,
    /// into the file `rank-0.json` (and so on) of this folder, which must be there. Chrome's `about:tracing` and Perfetto
    /// show such files.
    #[must_use]
    pub fn timeline(mut self, folder: impl Into<PathBuf>) -> Self {
        self.watch.timeline = Some(Timeline::new(folder.into(), self.rank));
        self
    }

    /// Has every message take as much longer as it would over this link: a tool for planning, which shows on one machine
    /// how a network would train on many.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.watch.link = Some(link);
        self
    }

    /// Waits for the result of a job.
    fn wait<R>(&self, what: &str, results: &Receiver<R>) -> Result<R, String> {
        let began = Instant::now();
        let result = self.orders.wait(results).ok_or_else(|| "the thread that calls MPI has ended".to_owned());
        if let Some(timeline) = &self.watch.timeline {
            timeline.add(WAITS, what, began, 0);
        }
        result
    }

    /// What a rank owns of a bucket.
    fn part(&self, bucket: &Range<usize>, rank: usize) -> Range<usize> {
        let part = part_of(bucket.len(), rank, self.ranks);
        bucket.start + part.start..bucket.start + part.end
    }

    /// The buckets of `len` numbers, from the first to the last. They are counted from the end, where a backward pass
    /// begins.
    fn buckets(&self, len: usize) -> Vec<Range<usize>> {
        let from_end = cut(len, bucket::<T>(self.ranks));
        let mut buckets: Vec<_> = from_end.map(|bucket| len - bucket.end..len - bucket.start).collect();
        buckets.reverse();
        buckets
    }

    /// Sends the numbers of a bucket to their owners.
    fn post(&mut self, bucket: Range<usize>, gradient: &[T]) {
        let to: Vec<_> = (0..self.ranks).map(|rank| part_of(bucket.len(), rank, self.ranks)).collect();
        let own = to[self.rank].clone();
        let (numbers, from) = (&gradient[bucket.clone()], vec![own.len(); self.ranks]);
        let arrives = if let Some((feedback, _)) = &mut self.feedback {
            let mut sent = memory(&mut self.spare_rounded, numbers.len());
            feedback.round(bucket.clone(), gradient.len(), numbers, &mut sent);
            let received = memory(&mut self.spare_rounded, own.len() * (self.ranks - 1));
            Arrives::Rounded(self.all_to_all(GRADIENTS, sent, &to, received, &from))
        } else {
            let mut sent = memory(&mut self.spare, numbers.len());
            sent.copy_from_slice(numbers);
            let received = memory(&mut self.spare, own.len() * (self.ranks - 1));
            Arrives::Whole(self.all_to_all(GRADIENTS, sent, &to, received, &from))
        };
        self.pieces.push_back(Piece { bucket, own, arrives });
    }

    /// Begins to gather what each rank has to say.
    fn give_gather(&self, what: &str, own: &[u8]) -> Receiver<Vec<Vec<u8>>> {
        let (name, own, watch, ranks) = (what.to_owned(), own.to_vec(), self.watch.clone(), self.ranks);
        self.orders.give(move |engine: &Engine| {
            // The length and as much as comes with it; what is longer takes another operation.
            let mut block = [0; 4 + SHORT];
            block[..4].copy_from_slice(&count(own.len()).to_le_bytes());
            let short = own.len().min(SHORT);
            block[4..4 + short].copy_from_slice(&own[..short]);
            let mut blocks = vec![0; block.len() * ranks];
            scope(|scope| {
                let request = engine.world.immediate_all_gather_into(scope, &block[..], &mut blocks[..]);
                engine.wait(&name, &watch, (4 + SHORT) * (ranks - 1), request);
            });
            let blocks: Vec<&[u8; 4 + SHORT]> = blocks.as_chunks().0.iter().collect();
            let counts: Vec<Count> =
                blocks.iter().map(|&&[a, b, c, d, ..]| Count::from_le_bytes([a, b, c, d])).collect();
            let lengths = counts.iter().map(|&count| usize::try_from(count).unwrap_or(0));
            if lengths.clone().all(|length| length <= SHORT) {
                return blocks.iter().zip(lengths).map(|(block, length)| block[4..4 + length].to_vec()).collect();
            }
            let mut bytes = vec![0; lengths.clone().sum()];
            let places = places(&counts);
            let mut all = PartitionMut::new(&mut bytes[..], &counts[..], places);
            scope(|scope| {
                let request = engine.world.immediate_all_gather_varcount_into(scope, &own[..], &mut all);
                engine.wait(&name, &watch, own.len() * (ranks - 1), request);
            });
            let mut rest = &bytes[..];
            let mut take = |length| {
                let (own, others) = rest.split_at(length);
                rest = others;
                own.to_vec()
            };
            lengths.map(&mut take).collect()
        })
    }

    /// Sends a range of some numbers to each rank, and receives this many of each; nothing is sent to this rank itself.
    fn all_to_all<N: Equivalence + Send + 'static>(
        &self,
        what: &'static str,
        sent: Vec<N>,
        to: &[Range<usize>],
        mut received: Vec<N>,
        from: &[usize],
    ) -> Receiver<(Vec<N>, Vec<N>)> {
        let of_others = |(rank, len): (usize, usize)| if rank == self.rank { 0 } else { len };
        let to_lens = to.iter().map(Range::len).enumerate().map(of_others);
        let bytes = to_lens.clone().sum::<usize>() * size_of::<N>();
        let to_counts: Vec<Count> = to_lens.map(count).collect();
        let to_places: Vec<Count> = to.iter().map(|to| count(to.start)).collect();
        let from_counts: Vec<Count> = from.iter().copied().enumerate().map(of_others).map(count).collect();
        let watch = self.watch.clone();
        self.orders.give(move |engine: &Engine| {
            let from_places = places(&from_counts);
            let to = Partition::new(&sent[..], to_counts, to_places);
            let mut from = PartitionMut::new(&mut received[..], from_counts, from_places);
            scope(|scope| {
                let request = engine.world.immediate_all_to_all_varcount_into(scope, &to, &mut from);
                engine.wait(what, &watch, bytes, request);
            });
            (sent, received)
        })
    }

    /// The numbers of all ranks, of which this one has its own and has received the others.
    fn in_turn<'n, N>(&self, own: &'n [N], received: &'n [N]) -> Vec<&'n [N]> {
        let mut others = received.chunks_exact(own.len().max(1));
        (0..self.ranks).map(|rank| if rank == self.rank { own } else { others.next().unwrap_or_default() }).collect()
    }

    /// Brings the numbers that each rank owns to all ranks.
    fn complete_parts<N: Equivalence + Copy + Default + Send + 'static>(
        &self,
        what: &'static str,
        numbers: &mut [N],
        spare: &mut Vec<Vec<N>>,
    ) -> Result<(), String> {
        // As many buckets at once as MPI can count.
        for buckets in self.buckets(numbers.len()).chunks(MOST / bucket::<T>(self.ranks)) {
            let of = |rank| buckets.iter().map(|bucket| self.part(bucket, rank)).collect();
            let parts: Vec<Vec<Range<usize>>> = (0..self.ranks).map(of).collect();
            let lens: Vec<usize> = parts.iter().map(|parts| parts.iter().map(Range::len).sum()).collect();
            let own = lens[self.rank];
            let mut sent = memory(spare, own);
            let mut rest = &mut sent[..];
            for part in &parts[self.rank] {
                let (next, behind) = std::mem::take(&mut rest).split_at_mut(part.len());
                next.copy_from_slice(&numbers[part.clone()]);
                rest = behind;
            }
            let received = memory(spare, lens.iter().sum::<usize>() - own);
            let to: Vec<_> = lens.iter().map(|_| 0..own).collect();
            let arrives = self.all_to_all(what, sent, &to, received, &lens);
            let (sent, received) = self.wait(what, &arrives)?;
            let mut rest = &received[..];
            let others = parts.into_iter().enumerate().filter(|(rank, _)| *rank != self.rank);
            for part in others.flat_map(|(_, parts)| parts) {
                let (next, behind) = rest.split_at(part.len());
                numbers[part].copy_from_slice(next);
                rest = behind;
            }
            spare.extend([sent, received]);
        }
        Ok(())
    }
}

/// Memory of an earlier message of this length, or new one; it may hold any numbers.
fn memory<N: Copy + Default>(spare: &mut Vec<Vec<N>>, len: usize) -> Vec<N> {
    let fitting = spare.iter().position(|memory| memory.len() == len);
    fitting.map_or_else(|| vec![N::default(); len], |place| spare.swap_remove(place))
}

fn count(len: usize) -> Count {
    // No operation has more than `MOST` numbers.
    Count::try_from(len).unwrap_or(Count::MAX)
}

/// The places of parts that lie one after another.
fn places(counts: &[Count]) -> Vec<Count> {
    counts.iter().scan(0, |place, count| Some(std::mem::replace(place, *place + count))).collect()
}

/// Ranges of at most `most` numbers that make up `len`.
fn cut(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(most).map(move |start| start..len.min(start + most))
}

/// The most numbers of a bucket.
fn bucket<T>(ranks: usize) -> usize {
    (BUCKET.max(ranks * MESSAGE) / size_of::<T>()).min(MOST)
}

impl<T: Scalar + Equivalence> GradientExchange<T> for MpiExchange<T> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn begin_gather(&mut self, what: &str, own: &[u8]) {
        self.begun = Some(self.give_gather(what, own));
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let all = self.begun.take().unwrap_or_else(|| self.give_gather(what, own));
        self.wait(what, &all)
    }

    fn all_gather(&mut self, what: &str, own: &[T], all: &mut Vec<T>) -> Result<(), String> {
        let (name, own, watch, ranks) = (what.to_owned(), own.to_vec(), self.watch.clone(), self.ranks);
        let mut received = std::mem::take(all);
        received.resize(own.len() * ranks, T::ZERO);
        let arrives = self.orders.give(move |engine: &Engine| {
            scope(|scope| {
                let request = engine.world.immediate_all_gather_into(scope, &own[..], &mut received[..]);
                engine.wait(&name, &watch, size_of_val(&own[..]) * (ranks - 1), request);
            });
            received
        });
        *all = self.wait(what, &arrives)?;
        Ok(())
    }

    fn broadcast(&mut self, from: usize, numbers: &mut [T]) -> Result<(), String> {
        for range in cut(numbers.len(), MOST) {
            let (mut sent, watch, root) = (numbers[range.clone()].to_vec(), self.watch.clone(), count(from));
            let bytes = if from == self.rank { size_of_val(&sent[..]) * (self.ranks - 1) } else { 0 };
            let arrives = self.orders.give(move |engine: &Engine| {
                scope(|scope| {
                    let root = engine.world.process_at_rank(root);
                    let request = root.immediate_broadcast_into(scope, &mut sent[..]);
                    engine.wait(NUMBERS, &watch, bytes, request);
                });
                sent
            });
            numbers[range].copy_from_slice(&self.wait(NUMBERS, &arrives)?);
        }
        Ok(())
    }

    fn owned(&self, len: usize, rank: usize) -> Vec<Range<usize>> {
        self.buckets(len).iter().map(|bucket| self.part(bucket, rank)).collect()
    }

    fn send(&mut self, complete: Range<usize>, gradient: &[T]) {
        // All ranks have the same buckets, whatever the ranges that they come to know.
        let mut end = self.sent_from.unwrap_or(gradient.len());
        while end > 0 {
            let start = end.saturating_sub(bucket::<T>(self.ranks));
            if start < complete.start {
                break;
            }
            self.post(start..end, gradient);
            end = start;
        }
        self.sent_from = Some(end);
    }

    fn add(&mut self, factors: &[Option<T>], sum: &mut [T]) -> Result<(), String> {
        self.sent_from = None;
        let mut left = sum;
        while let Some(Piece { bucket, own, arrives }) = self.pieces.pop_front() {
            let place = left.len() - own.len();
            let (before, sum) = std::mem::take(&mut left).split_at_mut(place);
            left = before;
            match arrives {
                Arrives::Whole(arrives) => {
                    let (sent, received) = self.wait(GRADIENTS, &arrives)?;
                    add_up(sum, &self.in_turn(&sent[own], &received), factors, |g| g);
                    self.spare.extend([sent, received]);
                }
                Arrives::Rounded(arrives) => {
                    let (sent, received) = self.wait(GRADIENTS, &arrives)?;
                    add_up(sum, &self.in_turn(&sent[own], &received), factors, widened);
                    let is_used = factors.get(self.rank).is_some_and(Option::is_some);
                    if let Some((feedback, _)) = self.feedback.as_mut().filter(|_| !is_used) {
                        feedback.put_back(bucket, &sent);
                    }
                    self.spare_rounded.extend([sent, received]);
                }
            }
        }
        Ok(())
    }

    fn complete(&mut self, numbers: &mut [T]) -> Result<(), String> {
        let mut spare = std::mem::take(&mut self.spare);
        let completed = self.complete_parts(PARTS, numbers, &mut spare);
        self.spare = spare;
        completed
    }

    fn complete_gradient(&mut self, gradient: &mut [T]) -> Result<(), String> {
        let (len, owned) = (gradient.len(), self.owned(gradient.len(), self.rank));
        let Some((_, feedback)) = &mut self.feedback else { return self.complete(gradient) };
        let mut spare = std::mem::take(&mut self.spare_rounded);
        let mut rounded = memory(&mut spare, len);
        let (all, mut place) = (owned.iter().map(Range::len).sum(), 0);
        for own in owned {
            feedback.round(place..place + own.len(), all, &gradient[own.clone()], &mut rounded[own.clone()]);
            place += own.len();
        }
        let completed = self.complete_parts(PARTS, &mut rounded, &mut spare);
        gradient.iter_mut().zip(&rounded).for_each(|(g, &bits)| *g = widened(bits));
        spare.push(rounded);
        self.spare_rounded = spare;
        completed
    }

    fn restart(&mut self) {
        self.feedback = self.feedback.take().map(|_| Default::default());
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

    fn settings(&self) -> Vec<(&'static str, String)> {
        let numbers = if self.feedback.is_some() { "bf16" } else { "their own precision" };
        vec![("the numbers that gradients are sent as", numbers.to_owned())]
    }
}

/// Adds to a sum the numbers of each rank in turn, times its factor; those of a rank without a factor are left out.
fn add_up<T: Scalar, N: Copy>(sum: &mut [T], all: &[&[N]], factors: &[Option<T>], number: impl Fn(N) -> T) {
    for (place, sum) in (0..).step_by(BLOCK).zip(sum.chunks_mut(BLOCK)) {
        for (g, &factor) in all.iter().zip(factors) {
            if let Some(factor) = factor {
                sum.iter_mut().zip(&g[place..]).for_each(|(sum, &g)| *sum += factor * number(g));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_and_placed_one_after_another() {
        assert_eq!(cut(10, 4).collect::<Vec<_>>(), [0..4, 4..8, 8..10]);
        assert_eq!(cut(0, 4).count(), 0);
        assert_eq!(places(&[2, 0, 3]), [0, 2, 2]);
    }
}
