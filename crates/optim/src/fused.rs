//! The one loop that changes θ.

use std::ops::Range;

use downhill_tensor::{Buffer, Divisible, Kernel, Scalar, elementwise, parallel};

use crate::{Link, Slots, StepContext};

/// Steps θᵢ ← θᵢ − f(θᵢ, gᵢ, slotsᵢ), where f may change the slots: one pass over memory, vectorised and shared among
/// threads.
#[inline]
pub(crate) fn descend<T: Scalar, S: Slots<T>>(
    theta: &mut [T],
    gradient: &[T],
    slots: S::Views<'_>,
    f: impl Fn(T, T, &mut S) -> T + Copy + Send,
) {
    parallel(Descent::<T, S, _> { theta, gradient, slots, f }, elementwise::GRAIN);
}

/// Returns views of all slots in this range.
#[inline(always)]
pub(crate) fn views<S: Slots<T>, T: Scalar>(slots: &mut [Buffer<T>], range: Range<usize>) -> S::Views<'_> {
    S::views(&mut slots.iter_mut().map(move |slot| &mut slot[range.clone()]))
}

/// Sets the slots before the first step; numbers that they were given by then stay, such as Sophia's Hessian.
pub(crate) fn initialise<L: Link<T>, T: Scalar>(
    link: &L,
    step: &StepContext,
    theta: &[T],
    mut slots: <L::Slots as Slots<T>>::Views<'_>,
) {
    for (index, &theta) in theta.iter().enumerate() {
        <L::Slots>::load(&slots, index).or(link.initial(theta, step)).store(&mut slots, index);
    }
}

struct Descent<'a, 's, T: Scalar, S: Slots<T>, F> {
    theta: &'a mut [T],
    gradient: &'a [T],
    slots: S::Views<'s>,
    f: F,
}

impl<T: Scalar, S: Slots<T>, F: Fn(T, T, &mut S) -> T> Kernel for Descent<'_, '_, T, S, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // Equal lengths that the compiler knows of: no bounds check is left in the loop.
        let len = self.theta.len();
        let (theta, gradient) = (self.theta, &self.gradient[..len]);
        let mut views = S::trim(self.slots, len);
        for index in 0..len {
            let mut slots = S::load(&views, index);
            theta[index] -= (self.f)(theta[index], gradient[index], &mut slots);
            slots.store(&mut views, index);
        }
    }
}

impl<T: Scalar, S: Slots<T>, F: Fn(T, T, &mut S) -> T + Copy + Send> Divisible for Descent<'_, '_, T, S, F> {
    fn elements(&self) -> usize {
        self.theta.len()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let (theta_left, theta_right) = self.theta.split_at_mut(middle);
        let (gradient_left, gradient_right) = self.gradient.split_at(middle);
        let (left, right) = S::split_views(self.slots, middle);
        (
            Self { theta: theta_left, gradient: gradient_left, slots: left, f: self.f },
            Self { theta: theta_right, gradient: gradient_right, slots: right, f: self.f },
        )
    }
}
