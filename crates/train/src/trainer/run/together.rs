//! A step that several ranks take by the mean of their gradients.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use downhill_data::{DataError, MiniBatch};
use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Total};
use downhill_network::PassError;
use downhill_optim::Optimizer;
use downhill_tensor::{BuildError, Scalar};

use super::{Epoch, Run, pass_error};
use crate::divergence::find_place;
use crate::evaluation::inputs;
use crate::exchange::{
    Checksum, Exchange, LOSS, Owned, Sending, Sent, Stepped, Told, agree, garbled, sharded_part, stop_from_byte,
    stop_to_byte,
};
use crate::feed::Feed;
use crate::{RankData, Slowest, StopReason, TrainError};

/// What a rank keeps between the exchanges of a run.
pub(super) struct Together<T> {
    rank: usize,
    ranks: usize,
    /// What this rank owns of θ.
    owned: Owned,
    /// What this rank steps, if it is no more than that.
    pub(super) stepped: Option<Stepped<T>>,
    /// The sum of the gradients of a step, of what is owned.
    sum: Vec<T>,
    data: RankData,
    /// Whether each batch is exchanged by itself.
    in_order: bool,
    /// Whether layers take the batches of all ranks as one.
    is_synchronized: bool,
    /// Whether ranks with a batch come to the same running statistics by that.
    gathers_statistics: bool,
    /// Memory for what layers gather.
    gathered: Vec<T>,
    /// What the pass of the last batch has sent.
    sent: Sent,
    /// The loss of the own batches that wait for an exchange, and an error of one of them.
    waiting: Result<Total, TrainError>,
    /// This rank's reason to stop, which the others hear of next.
    wish: Option<StopReason>,
    /// The reason for which all stop.
    agreed: Option<StopReason>,
    /// The time for which this rank has waited in the epoch.
    waited: Duration,
}

impl<T: Scalar> Together<T> {
    pub(super) fn new(
        exchange: Option<&Exchange<'_, T>>,
        micro_batches: u64,
        optimizer: &impl Optimizer<T>,
        network: &downhill_network::Network<T>,
    ) -> Option<Self> {
        let exchange_or_none = exchange;
        let exchange = exchange?;
        let (rank, ranks) = (exchange.rank(), exchange.ranks());
        let owned = Owned::by(exchange, network.parameters().len());
        let is_synchronized = exchange.is_synchronized() && network.gathers();
        Some(Self {
            rank,
            ranks,
            sum: vec![T::ZERO; owned.len()],
            owned,
            stepped: sharded_part(exchange_or_none, optimizer, network).map(Stepped::new),
            data: exchange.data(),
            in_order: micro_batches == 1 || exchange.is_in_order() || is_synchronized,
            is_synchronized,
            gathers_statistics: network.gathers_statistics(),
            gathered: Vec::new(),
            sent: Sent { left: network.parameters().len(), ..Sent::default() },
            waiting: Ok(Total::default()),
            wish: None,
            agreed: None,
            waited: Duration::ZERO,
        })
    }

    /// Returns this rank's next batch, if there is one. `position` is the batch that the feed has next.
    pub(super) fn next_batch<'b>(
        &self,
        batches: &'b mut dyn Feed<T>,
        epoch: &Epoch,
        position: &mut usize,
    ) -> Result<Option<MiniBatch<'b, T>>, DataError> {
        let wanted = match self.data {
            RankData::Dealt => epoch.batches + self.rank,
            RankData::Own => epoch.batches,
        };
        batches.advance(*position, wanted)?;
        *position = wanted + 1;
        batches.next_batch()
    }
}

/// The error of gradients that do not add up.
fn out_of_proportion() -> TrainError {
    let reason = "the parts of the loss are divided by numbers whose proportions change from rank to rank, so that their \
                  gradients do not add up; divide each part by the examples, with `Reduction::BatchMean`";
    PassError::from(BuildError::Setting { by: "Trainer::exchange", reason: reason.into() }).into()
}

/// Makes a pass over a batch, if there is one.
fn pass<'b, T: Scalar>(
    batch: Option<&'b MiniBatch<'b, T>>,
    make: impl FnOnce(Inputs<'b, T>, &'b MiniBatch<'b, T>) -> Result<Total, PassError>,
) -> Result<Option<Total>, TrainError> {
    let Some(batch) = batch else { return Ok(None) };
    let total = make(inputs(batch.all_inputs())?, batch);
    total.map(Some).map_err(|error| pass_error(error, batch.indices))
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> Run<'_, '_, T, L, O> {
    /// Agrees with the other ranks on the batches that each takes in what is left of an epoch: as many as the rank with
    /// the most. `None` without other ranks.
    pub(super) fn agree_on_rounds(&mut self, batches: &dyn Feed<T>, done: usize) -> Result<Option<usize>, TrainError> {
        let Some(together) = &self.together else { return Ok(None) };
        let own = batches.batches_per_epoch().map_or(u64::MAX, |all| {
            let left = all.saturating_sub(done);
            let each = if together.data == RankData::Dealt { together.ranks } else { 1 };
            left.div_ceil(each) as u64
        });
        let all = self.gather("the number of batches in an epoch", &own.to_le_bytes())?;
        let mut most = 0;
        for count in all {
            let count = u64::from_le_bytes(count.try_into().map_err(|_| garbled())?);
            most = most.max(count);
        }
        if most == u64::MAX { Err(TrainError::UnknownSteps) } else { Ok(Some(most as usize)) }
    }

    /// Computes the gradient of this rank's batch, if it has one, and takes a step if as many batches as make one have
    /// been seen.
    pub(super) fn step_together(
        &mut self,
        batch: Result<Option<MiniBatch<'_, T>>, DataError>,
        epoch: &mut Epoch,
    ) -> Result<ControlFlow<StopReason>, TrainError> {
        let Some(together) = &mut self.together else { return Ok(Continue(())) };
        let (ranks, in_order) = (together.ranks as u64, together.in_order);
        let trainer = &mut *self.trainer;
        if epoch.waiting == 0 {
            trainer.rates.before_step(&mut trainer.optimizer, trainer.clock.steps, epoch.number);
        }
        // Batches are numbered as in one process that sees them all.
        let number = (trainer.clock.steps * trainer.micro_batches + epoch.waiting) * ranks + together.rank as u64;
        let micro_batches = trainer.micro_batches;
        epoch.batches += if together.data == RankData::Dealt { together.ranks } else { 1 };
        epoch.waiting += 1;
        let own = self.own_pass(batch, Mode::Training { step: number }, epoch);
        let Some(together) = &mut self.together else { return Ok(Continue(())) };
        match (&mut together.waiting, own) {
            (Ok(total), Ok(own)) => *total += own,
            (waiting @ Ok(_), Err(error)) => *waiting = Err(error),
            (Err(_), _) => {}
        }
        if in_order {
            self.exchange_gradients(epoch)?;
        }
        if epoch.waiting < micro_batches { Ok(Continue(())) } else { self.update(epoch) }
    }

    /// Forward, the loss, backward, for a batch of this rank; the gradient is sent if each batch is exchanged by itself.
    fn own_pass(
        &mut self,
        batch: Result<Option<MiniBatch<'_, T>>, DataError>,
        mode: Mode,
        epoch: &Epoch,
    ) -> Result<Total, TrainError> {
        let trainer = &mut *self.trainer;
        let (Some(together), Some(exchange)) = (&mut self.together, &mut trainer.exchange) else {
            return Ok(Total::default());
        };
        let (batch, unread) = match batch {
            Ok(batch) => (batch.filter(|_| together.waiting.is_ok()), None),
            Err(error) => (None, Some(TrainError::from(error))),
        };
        let (network, training, loss) = (&mut *self.network, &mut self.training, &trainer.loss);
        let passed = if together.in_order {
            let len = network.parameters().len();
            let (is_synchronized, stop) = (together.is_synchronized, together.wish.take());
            let mut sending = Sending::new(exchange, is_synchronized, &mut together.gathered, stop, len);
            let passed = pass(batch.as_ref(), |x, batch| {
                let (targets, weights) = (batch.targets, batch.weights);
                network.backpropagate_observed(x, targets, weights, loss, training, mode, &mut sending)
            });
            let passed = unread.map_or(passed, Err);
            if !matches!(passed, Ok(Some(_))) {
                sending.sit_out(network, training, passed.is_err())?;
            }
            together.sent = sending.sent;
            passed
        } else {
            let passed = pass(batch.as_ref(), |x, batch| {
                network.accumulate_weighted(x, batch.targets, batch.weights, loss, training, mode)
            });
            unread.map_or(passed, Err)
        };
        let Some(total) = passed? else { return Ok(Total::default()) };
        if let Some(batch) = batch
            && !total.is_empty()
            && !total.value().is_finite()
        {
            // A pass that others take part in was broken off before its gradient.
            let gradient = if together.is_synchronized { None } else { Some(&*self.training.average()) };
            let x = inputs(batch.all_inputs())?;
            let place = find_place(self.network, x, gradient, &mut self.judging)?;
            return Err(self.diverged(self.trainer.clock.steps, total.value(), place, epoch)?.into());
        }
        Ok(total)
    }

    /// Adds up the gradients of all ranks, each of what it owns, and their losses.
    fn exchange_gradients(&mut self, epoch: &mut Epoch) -> Result<(), TrainError> {
        let (Some(together), Some(exchange)) = (&mut self.together, &mut self.trainer.exchange) else { return Ok(()) };
        let own = std::mem::replace(&mut together.waiting, Ok(Total::default()));
        // What a pass has not sent, or what several have added up.
        let gradient = self.training.average();
        let whole = Sent { left: gradient.len(), ..Sent::default() };
        let Sent { left, told, heard, waited } = std::mem::replace(&mut together.sent, whole);
        together.waited += waited;
        let was_heard = heard.is_some();
        let heard = match heard {
            Some(heard) => heard,
            None => {
                let told = told.unwrap_or_else(|| {
                    let (loss, has_failed) = (own.as_ref().ok().copied(), own.is_err());
                    let told = Told { stop: together.wish.take(), loss, has_failed }.to_bytes();
                    exchange.begin_gather(LOSS, &told);
                    told
                });
                if left > 0 {
                    exchange.send(0..left, gradient);
                }
                // The ranks that are early wait here for the last one.
                let began = Instant::now();
                let heard = exchange.gather(LOSS, &told);
                together.waited += began.elapsed();
                heard
            }
        };
        let told = Told::all(&heard.map_err(TrainError::Exchange)?).ok_or_else(garbled)?;
        let has_failed = told.iter().any(|told| told.has_failed);
        let does_any_count = told.iter().any(Told::counts);
        let (mut factors, mut is_in_proportion) = (Vec::with_capacity(told.len()), true);
        for told in &told {
            together.agreed = together.agreed.or(told.stop);
            let total = told.loss.unwrap_or_default();
            is_in_proportion &= total.is_in_proportion_to(epoch.step_total);
            epoch.step_total += total;
            // A pass whose layers have taken all batches as one has multiplied by the divisor itself, and its examples have
            // a part in the loss of others.
            let (factor, counts) =
                if together.is_synchronized { (1.0, does_any_count) } else { (total.divisor(), told.counts()) };
            factors.push((counts && !has_failed).then(|| T::from_f64(factor)));
        }
        // After an error, what was sent must not stay for the next run. A pass that was heard was broken off before.
        if !(was_heard && has_failed) {
            let began = Instant::now();
            exchange.add(&factors, &mut together.sum).map_err(TrainError::Exchange)?;
            together.waited += began.elapsed();
        }
        if has_failed || !is_in_proportion {
            exchange.restart();
            let error = self.agree_on_error(if has_failed { own.err() } else { Some(out_of_proportion()) });
            return Err(self.good.after(error, self.network));
        }
        if self.network.statistics().is_empty() {
            return Ok(());
        }
        if together.is_synchronized {
            // All that have a batch have the sums of all batches.
            let first = told.iter().position(|told| told.loss.is_some());
            let Some(rank) = first.filter(|_| does_any_count) else { return Ok(()) };
            if told[together.rank].loss.is_some() {
                self.network.absorb_statistics(&self.training)?;
            }
            if !together.gathers_statistics || told.iter().any(|told| told.loss.is_none()) {
                exchange.broadcast(rank, self.network.statistics_mut()).map_err(TrainError::Exchange)?;
            }
            return Ok(());
        }
        if together.in_order {
            // As in one process, which would see these batches one after another.
            for (rank, _) in factors.iter().enumerate().filter(|(_, factor)| factor.is_some()) {
                if rank == together.rank {
                    self.network.absorb_statistics(&self.training)?;
                }
                exchange.broadcast(rank, self.network.statistics_mut()).map_err(TrainError::Exchange)?;
            }
            return Ok(());
        }
        // Each rank has absorbed its own batches: all take the mean.
        let (mut sum, mut count) = (vec![0.0; self.network.statistics().len()], 0.0);
        for (rank, _) in factors.iter().enumerate().filter(|(_, factor)| factor.is_some()) {
            let mut statistics = self.network.statistics().to_vec();
            exchange.broadcast(rank, &mut statistics).map_err(TrainError::Exchange)?;
            sum.iter_mut().zip(&statistics).for_each(|(sum, number)| *sum += number.to_f64());
            count += 1.0;
        }
        if count > 0.0 {
            let statistics = self.network.statistics_mut().iter_mut().zip(&sum);
            statistics.for_each(|(number, sum)| *number = T::from_f64(sum / count));
        }
        Ok(())
    }

    /// Returns the error that ends the run of all ranks, if this one has an error or has heard of one.
    pub(super) fn agree_on_error(&mut self, own: Option<TrainError>) -> TrainError {
        let own = own.map_or(Ok(()), Err);
        agree(self.trainer.exchange.as_mut(), "the error of a rank", own).err().unwrap_or_else(garbled)
    }

    /// Exchanges what waits for it at the end of a step.
    pub(super) fn exchange_rest(&mut self, epoch: &mut Epoch) -> Result<(), TrainError> {
        match &self.together {
            Some(together) if !together.in_order && epoch.waiting > 0 => self.exchange_gradients(epoch),
            _ => Ok(()),
        }
    }

    /// Puts the mean gradient of all ranks, or this rank's part of it, where the step looks for it.
    pub(super) fn take_mean(&mut self, total: Total) -> Result<(), TrainError> {
        let (Some(together), Some(exchange)) = (&mut self.together, &mut self.trainer.exchange) else { return Ok(()) };
        let scale = T::from_f64(if total.is_sum() { 1.0 } else { total.scale() });
        let gradient = self.training.replace_gradient(total);
        let mut sums = together.sum.iter_mut();
        for range in together.owned.ranges() {
            for (g, sum) in gradient[range.clone()].iter_mut().zip(&mut sums) {
                *g = std::mem::replace(sum, T::ZERO) * scale;
            }
        }
        if together.stepped.is_some() {
            return Ok(());
        }
        exchange.complete_gradient(gradient).map_err(TrainError::Exchange)
    }

    /// Brings the whole gradient to a rank that keeps a part, to look for what is not finite.
    pub(super) fn complete_gradient(&mut self, total: Total) -> Result<(), TrainError> {
        match (&self.together, &mut self.trainer.exchange) {
            (Some(together), Some(exchange)) if together.stepped.is_some() => {
                exchange.complete(self.training.replace_gradient(total)).map_err(TrainError::Exchange)
            }
            _ => Ok(()),
        }
    }

    /// Ends the run for this reason, or has all ranks end it together, after the next step or at the end of the epoch.
    pub(super) fn stop_for(&mut self, reason: StopReason) -> ControlFlow<StopReason> {
        match &mut self.together {
            None => Break(reason),
            Some(together) => {
                together.wish = Some(reason);
                Continue(())
            }
        }
    }

    /// Ends the run if all ranks have agreed to.
    pub(super) fn agreed_stop(&self) -> ControlFlow<StopReason> {
        self.together.as_ref().and_then(|together| together.agreed).map_or(Continue(()), Break)
    }

    /// Finds the rank that the others have waited for in an epoch, at its end.
    pub(super) fn find_slowest(&mut self) -> Result<Option<Slowest>, TrainError> {
        let Some(together) = &mut self.together else { return Ok(None) };
        let own = std::mem::take(&mut together.waited).as_secs_f64();
        let all = self.gather("the time for which each rank has waited", &own.to_le_bytes())?;
        let seconds = |bytes: Vec<u8>| bytes.try_into().map(f64::from_le_bytes).map_err(|_| garbled());
        let waited = all.into_iter().map(seconds).collect::<Result<Vec<_>, _>>()?;
        Ok(Slowest::of(&waited))
    }

    /// Checks after an epoch that all ranks hold the same numbers, and tells whether one of them wants to stop.
    pub(super) fn agree_on_epoch(&mut self, epoch: u64, stop: bool) -> Result<Option<StopReason>, TrainError> {
        let own = stop.then_some(StopReason::Callback);
        let Some(together) = &mut self.together else { return Ok(own) };
        let mut told = vec![stop_to_byte(own.or(together.wish.take()))];
        told.extend(Checksum::of(self.network).to_le_bytes());
        let all = self.gather("the checksum of the weights", &told)?;
        if let Some(rank) = all.iter().position(|told| told.get(1..) != all[0].get(1..)) {
            return Err(TrainError::RanksDiverged { epoch, rank });
        }
        Ok(all.iter().find_map(|told| stop_from_byte(*told.first()?)))
    }

    /// Tells what rank 0 finds: what depends on the time is the same for all ranks only so.
    #[cfg(feature = "checkpoint")]
    pub(super) fn by_rank_0(&mut self, own: bool) -> Result<bool, TrainError> {
        if self.together.is_none() || self.trainer.checkpoints.is_none() {
            return Ok(own);
        }
        Ok(self.gather("whether a checkpoint is due", &[u8::from(own)])?[0] == [1])
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, TrainError> {
        match &mut self.trainer.exchange {
            Some(exchange) => exchange.gather(what, own).map_err(TrainError::Exchange),
            None => Ok(vec![own.to_vec()]),
        }
    }
}
