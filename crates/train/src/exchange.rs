//! What happens to a gradient between the backward pass and the step, if several processes train one network.

mod agreement;
mod owned;
mod sending;

use std::fmt::Debug;
use std::ops::Range;

use downhill_tensor::Scalar;

pub(crate) use self::agreement::{Checksum, agree, compare, garbled, share};
pub(crate) use self::owned::{Owned, Sharded, Stepped, sharded_part};
#[cfg(feature = "checkpoint")]
pub(crate) use self::owned::{complete_state, cut_state};
pub(crate) use self::sending::{LOSS, Sending, Sent, Told, stop_from_byte, stop_to_byte};

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
    /// [is element-wise](downhill_optim::Optimizer::is_elementwise).
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
}
