//! Gradients as bf16 with error feedback: what rounding takes from a gradient is added to the next one.

use std::ops::Range;

use downhill_tensor::Scalar;
use half::bf16;

/// The errors of rounding that wait for the next gradient: e in r = bf16(g + e), e ← g + e − r (Seide et al. 2014).
#[derive(Debug, Default)]
pub(crate) struct Feedback<T> {
    errors: Vec<T>,
}

impl<T: Scalar> Feedback<T> {
    /// Rounds `numbers`, which lie at `range` among `len`, and keeps the errors.
    pub(crate) fn round(&mut self, range: Range<usize>, len: usize, numbers: &[T], rounded: &mut [u16]) {
        self.errors.resize(len, T::ZERO);
        for ((error, &x), r) in self.errors[range].iter_mut().zip(numbers).zip(rounded) {
            let x = x + *error;
            let nearest = bf16::from_f32(x.to_f64() as f32);
            *r = nearest.to_bits();
            // What is not finite ends the run, or is no number that a later one could make up for.
            *error = if nearest.is_finite() { x - T::from_f64(nearest.to_f64()) } else { T::ZERO };
        }
    }

    /// Puts back what was rounded but then not used, as far as it is finite.
    pub(crate) fn put_back(&mut self, range: Range<usize>, rounded: &[u16]) {
        let pairs = self.errors[range].iter_mut().zip(rounded.iter().map(|&r| widened::<T>(r)));
        pairs.filter(|(_, r)| r.is_finite()).for_each(|(error, r)| *error += r);
    }
}

/// The number of these bits, which T holds as it is.
pub(crate) fn widened<T: Scalar>(bits: u16) -> T {
    T::from_f64(bf16::from_bits(bits).to_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_takes_comes_with_later_numbers() {
        let mut feedback = Feedback::default();
        let numbers = [1.003_f32, -0.3, 1e-6, 0.0];
        let (mut sums, mut rounded) = ([0.0_f64; 4], [0; 4]);
        for _ in 0..1000 {
            feedback.round(2..6, 8, &numbers, &mut rounded);
            sums.iter_mut().zip(rounded).for_each(|(sum, r)| *sum += widened::<f64>(r));
        }
        for (sum, x) in sums.iter().zip(numbers) {
            // One error is left, of half a unit of the last of 8 bits at most.
            assert!((sum - 1000.0 * f64::from(x)).abs() <= f64::from(x.abs()) / 128.0, "{sum} of {x}");
        }
        // Without feedback, 1.003 is 1 each time.
        assert_eq!(bf16::from_f32(1.003).to_f64(), 1.0);
    }

    #[test]
    fn numbers_that_were_not_used_are_kept() {
        let mut feedback = Feedback::default();
        let mut rounded = [0; 2];
        feedback.round(0..2, 2, &[1.003_f32, 1e-3], &mut rounded);
        feedback.put_back(0..2, &rounded);
        assert_eq!(feedback.errors, [1.003, 1e-3]);
    }

    #[test]
    fn what_is_not_finite_stays_so_and_leaves_no_error() {
        let mut feedback = Feedback::default();
        let mut rounded = [0; 3];
        feedback.round(0..3, 3, &[f32::NAN, f32::INFINITY, f32::MAX], &mut rounded);
        assert!(widened::<f32>(rounded[0]).is_nan() && widened::<f32>(rounded[1]) == f32::INFINITY);
        feedback.put_back(0..3, &rounded);
        assert_eq!(feedback.errors, [0.0; 3]);
    }
}
