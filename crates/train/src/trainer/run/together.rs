//! A step that several ranks take by the mean of their gradients.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use downhill_data::{DataError, MiniBatch};
use downhill_layers::Mode;
use downhill_losses::{Loss, Total};
use downhill_network::PassError;
use downhill_optim::Optimizer;
use downhill_tensor::{BuildError, Scalar};

use super::{Epoch, Run, pass_error};
use crate::divergence::find_place;
use crate::evaluation::inputs;
use crate::exchange::{Checksum, Exchange, Owned, Sending, Stepped, sharded_part};
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
        Some(Self {
            rank,
            ranks,
            sum: vec![T::ZERO; owned.len()],
            owned,
            stepped: sharded_part(exchange_or_none, optimizer, network).map(Stepped::new),
            data: exchange.data(),
            in_order: micro_batches == 1 || exchange.is_in_order(),
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

/// What a rank tells the others with its gradient.
struct Told {
    stop: Option<StopReason>,
    loss: Result<Total, Vec<u8>>,
}

impl Told {
    fn to_bytes(stop: Option<StopReason>, loss: &Result<Total, TrainError>) -> Vec<u8> {
        let mut bytes = vec![stop_to_byte(stop), u8::from(loss.is_err())];
        match loss {
            Ok(total) => bytes.extend(total.to_le_bytes()),
            Err(error) => bytes.extend(error.to_string().into_bytes()),
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[stop, is_error, ref rest @ ..] = bytes else { return None };
        let loss = if is_error == 0 { Ok(Total::from_le_bytes(rest)?) } else { Err(rest.to_vec()) };
        Some(Self { stop: stop_from_byte(stop), loss })
    }
}

fn stop_to_byte(reason: Option<StopReason>) -> u8 {
    match reason {
        None => 0,
        Some(StopReason::Interrupted) => 2,
        Some(_) => 1,
    }
}

fn stop_from_byte(byte: u8) -> Option<StopReason> {
    match byte {
        0 => None,
        2 => Some(StopReason::Interrupted),
        _ => Some(StopReason::Callback),
    }
}

/// An error of ranks whose programs are not the same.
fn garbled() -> TrainError {
    TrainError::Exchange("a rank has sent what no rank of this version sends".into())
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
        let Some(together) = &self.together else { return Ok(Total::default()) };
        let batch = match batch {
            Ok(Some(batch)) if together.waiting.is_ok() => batch,
            Ok(_) => return Ok(Total::default()),
            Err(error) => return Err(error.into()),
        };
        let x = inputs(batch.all_inputs())?;
        let (targets, weights, loss) = (batch.targets, batch.weights, &self.trainer.loss);
        let total = match &mut self.trainer.exchange {
            Some(exchange) if together.in_order => {
                let mut sending = Sending::new(exchange, self.network.parameters().len());
                let (network, training) = (&*self.network, &mut self.training);
                let total = network.backpropagate_observed(x, targets, weights, loss, training, mode, &mut sending);
                self.unsent = sending.left();
                total
            }
            _ => self.network.accumulate_weighted(x, targets, weights, loss, &mut self.training, mode),
        };
        let total = total.map_err(|error| pass_error(error, batch.indices))?;
        if !total.is_empty() && !total.value().is_finite() {
            self.training.average();
            let place = find_place(self.network, x, self.training.gradient(), &mut self.judging)?;
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
        let unsent = std::mem::replace(&mut self.unsent, gradient.len());
        if unsent > 0 {
            exchange.send(0..unsent, gradient);
        }
        let told = Told::to_bytes(together.wish.take(), &own);
        // The ranks that are early wait here for the last one.
        let began = Instant::now();
        let told = exchange.gather("the loss of a step", &told).map_err(TrainError::Exchange)?;
        together.waited += began.elapsed();
        own.map_err(|error| self.good.after(error, self.network))?;
        let mut factors = Vec::with_capacity(told.len());
        for (rank, told) in told.iter().enumerate() {
            let Told { stop, loss } = Told::from_bytes(told).ok_or_else(garbled)?;
            together.agreed = together.agreed.or(stop);
            let total = loss.map_err(|message| self.good.after(TrainError::of_rank(rank, &message), self.network))?;
            if !total.is_in_proportion_to(epoch.step_total) {
                let reason = "the parts of the loss are divided by numbers whose proportions change from rank to rank, so \
                              that their gradients do not add up; divide each part by the examples, with \
                              `Reduction::BatchMean`";
                let error = BuildError::Setting { by: "Trainer::exchange", reason: reason.into() };
                return Err(PassError::from(error).into());
            }
            factors.push((!total.is_empty()).then(|| T::from_f64(total.divisor())));
            epoch.step_total += total;
        }
        exchange.add(&factors, &mut together.sum).map_err(TrainError::Exchange)?;
        if self.network.statistics().is_empty() {
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
