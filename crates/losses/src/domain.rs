//! The targets and predictions that a loss takes.

use downhill_tensor::{Kernel, Scalar, vectorized};

use crate::TargetError;
use crate::target::name;

/// The numbers that a loss takes, and the advice for any others.
#[derive(Clone, Copy)]
pub(crate) struct Domain {
    /// `target` or `prediction`.
    pub(crate) what: &'static str,
    pub(crate) takes: &'static str,
    pub(crate) advice: &'static str,
}

impl Domain {
    /// Checks that no number is `bad`. NaN among predictions should not be: it shows in the loss.
    ///
    /// The error counts all numbers as those of example 0; see [`TargetError::located`].
    pub(crate) fn check<L, N: Copy + ToString>(self, x: &[N], bad: impl Fn(N) -> bool) -> Result<(), TargetError> {
        match find(x, bad) {
            None => Ok(()),
            Some(place) => Err(self.error::<L>(place, x[place])),
        }
    }

    pub(crate) fn error<L: ?Sized>(self, place: usize, got: impl ToString) -> TargetError {
        let Self { what, takes, advice } = self;
        TargetError::domain(name::<L>(), takes, what, 0, place, got, advice)
    }
}

/// Finds the first place of a number that is `bad`.
pub(crate) fn find<N: Copy>(x: &[N], bad: impl Fn(N) -> bool) -> Option<usize> {
    if vectorized(Any { x, bad: &bad }) { x.iter().position(|&x| bad(x)) } else { None }
}

/// A loop that tells whether any number is `bad`.
struct Any<'a, N, F> {
    x: &'a [N],
    bad: &'a F,
}

impl<N: Copy, F: Fn(N) -> bool> Kernel for Any<'_, N, F> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // No branch, so that it is vectorised; counting is what compilers vectorise best.
        self.x.iter().map(|&x| u32::from((self.bad)(x))).fold(0, |all, bad| all | bad) != 0
    }
}

/// Checks that all targets are finite.
pub(crate) fn check_finite<L, T: Scalar>(target: &[T]) -> Result<(), TargetError> {
    const FINITE: Domain = Domain {
        what: "target",
        takes: "finite targets",
        advice: "leave out examples whose target is missing, or give them a weight of 0",
    };
    FINITE.check::<L, T>(target, |t| !t.is_finite())
}

/// Checks that all targets are answers: 0 for no, 1 for yes, or between them.
pub(crate) fn check_answers<L, T: Scalar>(target: &[T]) -> Result<(), TargetError> {
    const ANSWERS: Domain = Domain {
        what: "target",
        takes: "targets from 0 to 1",
        advice: "write 0 for no and 1 for yes, and divide what has another scale, such as pixels from 0 to 255",
    };
    ANSWERS.check::<L, T>(target, |t| !((t >= T::ZERO) & (t <= T::ONE)))
}

/// Checks that all targets are −1 or 1.
pub(crate) fn check_signs<L, T: Scalar>(target: &[T], advice: &'static str) -> Result<(), TargetError> {
    let signs = Domain { what: "target", takes: "targets that are -1 or 1", advice };
    signs.check::<L, T>(target, |t| (t != T::ONE) & (t != -T::ONE))
}

/// Advice for targets of two classes that are not −1 and 1.
pub(crate) const SIGNS_OF_CLASSES: &str = "write -1 for no and 1 for yes, or give the classes 0 and 1 as classes";

/// Advice for targets of pairs that are not −1 and 1.
pub(crate) const SIGNS_OF_PAIRS: &str = "write 1 for one kind of pair and -1 for the other";

/// The classes of a loss of two classes.
pub(crate) const TWO_CLASSES: Domain = Domain {
    what: "target",
    takes: "the classes 0 and 1",
    advice: "use SoftmaxCrossEntropy and one output for each class if there are more",
};

/// Checks that no prediction lies outside 0 to 1.
pub(crate) fn check_probabilities<L, T: Scalar>(y: &[T], advice: &'static str) -> Result<(), TargetError> {
    let probabilities = Domain { what: "prediction", takes: "predictions from 0 to 1", advice };
    probabilities.check::<L, T>(y, |y| (y < T::ZERO) | (y > T::ONE))
}

/// The predictions of a loss that takes logarithms of probabilities.
pub(crate) const LOG_PROBABILITIES: Domain = Domain {
    what: "prediction",
    takes: "logarithms of probabilities, which are at most 0",
    advice: "put LogSoftmax before this loss",
};

/// Tells whether a number is too large for the logarithm of a probability; rounding may take that of 1 just above 0.
#[inline(always)]
pub(crate) fn above_log_1<T: Scalar>(y: T) -> bool {
    y > T::from_f64(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_number_is_found_wherever_it_stands() {
        for length in [1, 127, 128, 129, 300] {
            for place in 0..length {
                let mut x = vec![0.5; length];
                x[place] = 255.0;
                x[length - 1] = 255.0;
                assert_eq!(find(&x, |x| x > 1.0), Some(place));
            }
            assert_eq!(find(&vec![0.5; length], |x| x > 1.0), None);
        }
    }
}
