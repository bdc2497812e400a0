use std::ops::Range;

use downhill_tensor::{BuildError, Over, Scalar, Seed, Shape, Sweep, elementwise, parallel};

use crate::Extent::PerExample;
use crate::{Backward, Forward, Layer, Mode, Signature, single_input};

/// Drops each number with probability p in training: y = x m, with m = 0 or 1/(1 − p), drawn anew each step.
///
/// dy/dx = m. The numbers that stay are scaled, so that their mean is kept and prediction changes nothing
/// (inverted dropout, as in PyTorch). Random numbers are keyed by (seed, step, layer, example):
/// the same step drops the same numbers, whatever the number of threads.
///
/// # Shapes
/// y has the shape of x.
///
/// # Errors
/// p outside [0, 1] is an error when the network is built. p = 1 gives zeros.
///
/// Source: Srivastava et al. 2014.
/// Derivation: `docs/derivations/layers/dropout.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Creates a layer that drops each number with this probability.
    #[must_use]
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// 1/(1 − p), and 0 where nothing is ever kept.
    pub(crate) fn scale(self) -> f64 {
        if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 }
    }

    /// Overwrites the mask m with 0 where a number is dropped and 1/(1 − p) elsewhere, by the seed's random bits
    /// from place `first` on.
    pub(crate) fn draw<T: Scalar>(self, mask: &mut [T], seed: Seed, first: usize) {
        // A number is dropped where 32 random bits, as a fraction of 2³², lie below p.
        let threshold = (self.probability * 4_294_967_296.0) as u64;
        let draw = Draw { seed, threshold, keep: T::from_f64(self.scale()) };
        parallel(Over(draw, (first..first + mask.len(), mask)), elementwise::GRAIN);
    }

    /// Refuses a probability outside [0, 1], in the name of the layer that drops.
    pub(crate) fn check(self, by: &'static str) -> Result<(), BuildError> {
        if (0.0..=1.0).contains(&self.probability) {
            return Ok(());
        }
        refuse!(by, "the probability must lie in [0, 1], but is {}", self.probability)
    }
}

#[derive(Clone, Copy)]
struct Draw<T> {
    seed: Seed,
    threshold: u64,
    keep: T,
}

impl<T: Scalar> Sweep<(Range<usize>, &mut [T])> for Draw<T> {
    #[inline(always)]
    fn sweep(self, (places, mask): (Range<usize>, &mut [T])) {
        for (place, m) in places.zip(mask) {
            let dropped = u64::from(self.seed.bits_at(place as u64)) < self.threshold;
            *m = if dropped { T::ZERO } else { self.keep };
        }
    }
}

/// m y, and 0 where m is 0 even if y is infinite or not a number.
#[inline(always)]
pub(crate) fn masked<T: Scalar>(m: T, y: T) -> T {
    if m == T::ZERO { T::ZERO } else { m * y }
}

impl Layer for Dropout {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Dropout", inputs)?;
        self.check("Dropout")?;
        Ok(Signature::new("Dropout", x).saves("mask", x, PerExample).in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let mask = pass.saved.vector(0);
        let Mode::Training { .. } = pass.mode else {
            mask.fill(T::ONE);
            return pass.copy_unless_in_place();
        };
        self.draw(mask, pass.random.seed(), 0);
        match pass.x.get(0) {
            Some(x) => elementwise::zip_map(mask, x.slice(), pass.y.slice(), masked),
            // In place, x lies in y.
            None => elementwise::update(mask, pass.y.slice(), masked),
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        // dx = dy m
        pass.copy_unless_in_place();
        if let Some(dx) = pass.dx.get(0) {
            elementwise::update(pass.saved.vector(0), dx.slice(), masked);
        }
    }
}
