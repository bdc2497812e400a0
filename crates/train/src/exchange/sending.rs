//! What a rank sends during its backward pass.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use downhill_layers::AllGather;
use downhill_losses::Total;
use downhill_network::{BackwardObserver, Network, Workspace};
use downhill_tensor::{BuildError, Scalar};

use super::Exchange;
use crate::StopReason;

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
