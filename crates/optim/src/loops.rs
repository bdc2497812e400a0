//! Loops around an optimizer's step, compiled with this crate as the named optimizers' are.

use downhill_tensor::{Scalar, elementwise, reduce};

use crate::fused::descend;
use crate::precompiled::precompiled;

precompiled! {
    /// Scales: x ← x · a · b.
    fn scale<T>(x: &'a mut [T], factors: [T; 2]) -> () {
        let [a, b] = factors;
        elementwise::map_in_place(x, |x| x * a * b);
    }
}

precompiled! {
    /// Clamps: x ← min(max(x, −limit), limit).
    fn clamp<T>(x: &'a mut [T], limit: T) -> () {
        elementwise::map_in_place(x, |x| x.max(-limit).min(limit));
    }
}

precompiled! {
    /// Returns ‖x‖ by [`reduce::norm`].
    fn norm<T>(x: &'a [T]) -> f64 {
        reduce::norm(x)
    }
}

precompiled! {
    /// Returns Σ |xᵢ|.
    fn magnitudes<T>(x: &'a [T]) -> f64 {
        reduce::map_sum(x, |x| x.abs().to_f64())
    }
}

precompiled! {
    /// Returns Σ xᵢ² by [`reduce::sum_of_squares`].
    fn squares<T>(x: &'a [T]) -> f64 {
        reduce::sum_of_squares(x)
    }
}

precompiled! {
    /// Moves x towards the target: x ← x + share · (target − x).
    fn approach<T>(x: &'a mut [T], target: &'a [T], share: T) -> () {
        elementwise::update(target, x, |target, x| x + share * (target - x));
    }
}

precompiled! {
    /// Does what [`approach`] does, and keeps what rounding loses of x for the next time: after a million steps of a small
    /// share, x would otherwise stand still at a distance from the target.
    fn approach_exactly<T>(x: &'a mut [T], lost: &'a mut [T], target: &'a [T], share: T) -> () {
        descend(x, target, [lost], |x, target, [lost]: &mut [T; 1]| {
            let change = share * (target - x) + *lost;
            *lost = change - ((x + change) - x);
            -change
        });
    }
}

precompiled! {
    /// Adds the gradient of a penalty: g ← g + λ₁ sign(θ) + λ₂ θ.
    fn pull<T>(theta: &'a [T], gradient: &'a mut [T], l1: T, l2: T) -> () {
        elementwise::update(theta, gradient, |theta, gradient| {
            let pull = if theta == T::ZERO { T::ZERO } else { l1.copysign(theta) };
            gradient + (pull + l2 * theta)
        });
    }
}

/// Returns two factors whose product is `numerator`/`denominator`: (quotient, 1) if it is a normal number in `T`, and otherwise
/// twice its root, so that x · a · b is right wherever it is representable.
pub(crate) fn quotient<T: Scalar>(numerator: f64, denominator: f64) -> [T; 2] {
    let quotient = numerator / denominator;
    let normal = T::MIN_POSITIVE.to_f64()..=T::MAX.to_f64();
    if numerator > 0.0 && denominator > 0.0 && !normal.contains(&quotient) {
        [T::from_f64(numerator.sqrt() / denominator.sqrt()); 2]
    } else {
        [T::from_f64(quotient), T::ONE]
    }
}
