//! Whether predictions have anything to do with the targets of their own examples.

use downhill_losses::{Call, Loss, Target};
use downhill_tensor::{Batch, Scalar};

use super::data::STANDARD_ERRORS;

/// The batches that a judgement takes at least.
const ENOUGH: usize = 8;

/// The losses of batches for the targets of their own examples, and for those of their neighbours in the batch.
///
/// What a network has learnt makes the first smaller, if the examples are new to it; if it can learn nothing, both are
/// alike, whatever the loss is.
#[derive(Debug, Default)]
pub(super) struct Labels<T> {
    losses: Vec<(f64, f64)>,
    targets: Vec<T>,
    classes: Vec<u32>,
    weights: Vec<T>,
}

impl<T: Scalar> Labels<T> {
    /// Compares a batch of predictions.
    pub(super) fn compare(&mut self, loss: &impl Loss, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) {
        let shift = |length: usize| length.checked_div(y.examples()).unwrap_or(0);
        let shifted = match target {
            Target::Values(values) => Target::Values(rotated(values, shift(values.len()), &mut self.targets)),
            Target::Classes(classes) => Target::Classes(rotated(classes, shift(classes.len()), &mut self.classes)),
        };
        let shifted_weights = weights.map(|weights| rotated(weights, shift(weights.len()), &mut self.weights));
        let value = |target, weights| {
            let total = Call { y, target, weights, dy: None }.evaluate(loss).ok()?;
            Some(total.value()).filter(|value| !total.is_empty() && value.is_finite())
        };
        if let (Some(own), Some(other)) = (value(target, weights), value(shifted, shifted_weights)) {
            self.losses.push((own, other));
        }
    }

    /// Judges what was compared from this batch on; `None` if it is too little.
    pub(super) fn judge(&self, begin: usize) -> Option<Judged> {
        let losses = self.losses.get(begin..).filter(|losses| losses.len() >= ENOUGH)?;
        let count = losses.len() as f64;
        let mean = |number: fn(&(f64, f64)) -> f64| losses.iter().map(number).sum::<f64>() / count;
        let (loss, shifted_loss) = (mean(|losses| losses.0), mean(|losses| losses.1));
        let gain = shifted_loss - loss;
        let variance = losses.iter().map(|(own, other)| (other - own - gain).powi(2)).sum::<f64>() / (count - 1.0);
        let is_related = gain > STANDARD_ERRORS * (variance / count).sqrt();
        Some(if is_related { Judged::Related } else { Judged::Unrelated { loss, shifted_loss } })
    }

    /// The number of batches that were compared.
    pub(super) fn len(&self) -> usize {
        self.losses.len()
    }

    pub(super) fn clear(&mut self) {
        self.losses.clear();
    }
}

/// The relation between predictions and targets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judged {
    /// Predictions fit the targets of their own examples better.
    Related,
    /// They don't; with the mean losses for the own and for other targets.
    Unrelated { loss: f64, shifted_loss: f64 },
}

/// The numbers, those of each example at the place of the one before.
fn rotated<'b, N: Copy>(numbers: &[N], shift: usize, buffer: &'b mut Vec<N>) -> &'b [N] {
    buffer.clear();
    buffer.extend_from_slice(numbers);
    buffer.rotate_left(shift.min(numbers.len()));
    buffer
}
