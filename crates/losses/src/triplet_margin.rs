use downhill_tensor::reduce::{lanes, unit_scale};
use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::examples::{ExampleLoss, by_example, part_length};
use crate::hinge::ramp;
use crate::pointwise::{power, sign};
use crate::reduction::reduction_setting;
use crate::{Loss, Reduction, Target, TargetError, Total};

/// A loss that pulls an embedding $`a`$ towards one of its own kind, $`p`$, and away from one of another, $`n`$:
/// $`\ell = \max(0, m + d(a, p) - d(a, n))`$.
///
/// The distance is $`d(u, v) = \lVert u - v + \varepsilon \rVert_q`$, with the norm's power $`q = 2`$ by default, and
/// ```math
/// \frac{\partial d}{\partial u_i} = -\frac{\partial d}{\partial v_i}
/// = \operatorname{sign}(\delta_i) \Big(\frac{|\delta_i|}{d}\Big)^{q-1}, \qquad \delta = u - v + \varepsilon,
/// ```
/// which is 0 if $`d = 0`$. With [`swap`](TripletMargin::swap) the negative's distance is the smaller of
/// $`d(a, n)`$ and $`d(p, n)`$.
///
/// # Shapes
/// The three embeddings lie one after the other along the first axis of an example: of (batch, 3f) the first f numbers
/// are $`a`$, the next $`p`$, the last $`n`$. They are compared with one another, so targets are not read:
/// `Target::Values(&[])` is enough.
///
/// # Errors
/// Returns an error if the first axis can't be divided by three, an example has no numbers, or the margin, the power or ε is outside its range.
///
/// # Source
/// Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks" (2016);
/// like PyTorch's `TripletMarginLoss`, its ε inside the norm included.
/// Derivation: `docs/derivations/losses/triplet-margin.md`.
///
/// ```
/// use downhill_losses::{Loss, Target, TripletMargin};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.0, 3.0, 1.0], 1, [3])?;
/// let value: f64 = TripletMargin::new(1.0).epsilon(0.0).value(y, Target::Values(&[]))?;
/// assert_eq!(value, 1.0 + 3.0 - 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct TripletMargin {
    margin: f64,
    power: f64,
    epsilon: f64,
    swap: bool,
    reduction: Reduction,
}

impl Default for TripletMargin {
    /// Makes the loss with a margin of 1.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl TripletMargin {
    /// Makes the loss by which the negative should be farther than the positive by `margin`, in the Euclidean norm.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self { margin, power: 2.0, epsilon: 1e-6, swap: false, reduction: Reduction::Mean }
    }

    /// Sets the power of the norm, at least 1; 2 unless this is called.
    #[must_use]
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// Sets ε, which is added to every difference; 1e-6 unless this is called.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Takes the negative's distance from the positive if that is the smaller one.
    #[must_use]
    pub fn swap(mut self) -> Self {
        self.swap = true;
        self
    }

    reduction_setting!();

    /// Computes ‖u − v + ε‖.
    #[inline(always)]
    fn distance<T: Scalar>(&self, u: &[T], v: &[T]) -> T {
        let sum = self.powers(u, v, T::ONE);
        // Smaller powers have lost digits to underflow.
        let exact = (sum >= T::MIN_POSITIVE / T::EPSILON) & (sum <= T::MAX);
        if exact { self.root(sum) } else { self.extreme_distance(u, v) }
    }

    /// Computes the distance if powers overflow or vanish, from differences times a power of two.
    #[cold]
    #[inline(never)]
    fn extreme_distance<T: Scalar>(&self, u: &[T], v: &[T]) -> T {
        let epsilon = T::from_f64(self.epsilon);
        let largest = u.iter().zip(v).fold(T::ZERO, |largest, (&u, &v)| largest.max((u - v + epsilon).abs()));
        let unit = unit_scale(largest);
        self.root(self.powers(u, v, unit)) / unit
    }

    /// Computes Σ (unit |u − v + ε|)^q.
    #[inline(always)]
    fn powers<T: Scalar>(&self, u: &[T], v: &[T], unit: T) -> T {
        let (epsilon, q) = (T::from_f64(self.epsilon), T::from_f64(self.power));
        let size = |u: T, v: T| (u - v + epsilon).abs() * unit;
        if self.power == 2.0 {
            lanes::zip_sum(u, v, |u, v| size(u, v) * size(u, v))
        } else if self.power == 1.0 {
            lanes::zip_sum(u, v, size)
        } else {
            lanes::zip_sum(u, v, |u, v| power(size(u, v), q))
        }
    }

    /// Computes the q-th root of a sum of powers.
    #[inline(always)]
    fn root<T: Scalar>(&self, sum: T) -> T {
        if self.power == 2.0 {
            sum.sqrt()
        } else if self.power == 1.0 {
            sum
        } else {
            power(sum, T::ONE / T::from_f64(self.power))
        }
    }

    /// Adds `slope` times the derivative of their distance to the gradients of `u` and `v`.
    #[inline(always)]
    fn add_gradient<T: Scalar>(&self, (u, v): (&[T], &[T]), (du, dv): (&mut [T], &mut [T]), distance: T, slope: T) {
        if distance == T::ZERO {
            return;
        }
        let (epsilon, less) = (T::from_f64(self.epsilon), T::from_f64(self.power - 1.0));
        for ((du, dv), (&u, &v)) in du.iter_mut().zip(dv).zip(u.iter().zip(v)) {
            let delta = u - v + epsilon;
            let along =
                if self.power == 2.0 { delta / distance } else { sign(delta) * power(delta.abs() / distance, less) };
            *du += slope * along;
            *dv -= slope * along;
        }
    }
}

impl Loss for TripletMargin {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        _target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let Self { margin, power, epsilon, .. } = *self;
        TargetError::check_setting::<Self>("the margin", margin, margin > 0.0, "finite and greater than 0")?;
        TargetError::check_setting::<Self>("the power of the norm", power, power >= 1.0, "finite and at least 1")?;
        TargetError::check_setting::<Self>("epsilon", epsilon, epsilon >= 0.0, "finite and at least 0")?;
        part_length::<Self>(y.shape(), 3, "three embeddings, one after the other along the first axis")?;
        let none = Target::Values(&[]);
        by_example(self, y, (none, 0), dy, self.reduction.of_terms(y.examples(), y.examples()))
    }
}

impl ExampleLoss for TripletMargin {
    #[inline(always)]
    fn example<T: Scalar>(&self, _shape: Shape, y: &[T], _target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let (anchor, others) = y.split_at(y.len() / 3);
        let (positive, negative) = others.split_at(anchor.len());
        let near = self.distance(anchor, positive);
        let mut far = self.distance(anchor, negative);
        let mut swapped = false;
        if self.swap {
            let other = self.distance(positive, negative);
            swapped = other < far;
            far = far.min(other);
        }
        let (term, slope) = ramp(T::from_f64(self.margin) + near - far);
        if let Some(dy) = dy {
            dy.fill(T::ZERO);
            let slope = slope * scale;
            let (da, others) = dy.split_at_mut(anchor.len());
            let (dp, dn) = others.split_at_mut(anchor.len());
            self.add_gradient((anchor, positive), (da, dp), near, slope);
            if swapped {
                self.add_gradient((positive, negative), (dp, dn), far, -slope);
            } else {
                self.add_gradient((anchor, negative), (da, dn), far, -slope);
            }
        }
        term
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(29);
        for (examples, shape) in [(1, [3].into()), (4, [6].into()), (3, [51].into()), (2, Shape::from([3, 4]))] {
            let y = draw.numbers(examples * shape.len(), -1.0, 1.0);
            for power in [1.0, 1.5, 2.0, 3.0] {
                // The margin keeps every term above 0.
                let loss = TripletMargin::new(40.0).power(power);
                check(&loss, (examples, shape), &y, Target::Values(&[]));
                check(&loss.swap().reduction(Reduction::Sum), (examples, shape), &y, Target::Values(&[]));
            }
        }
    }

    #[test]
    fn distances_whose_powers_leave_the_precision_are_right() {
        let plain = Draw::new(32).numbers(12, -1.0, 1.0);
        for unit in [1e-30, 1e-25, 1e10, 1e20, 1e37] {
            let y: Vec<f64> = plain.iter().map(|&y| f64::from((y * unit) as f32)).collect();
            for power in [1.0, 1.5, 2.0, 3.0] {
                // The margin keeps the term above 0.
                let loss = TripletMargin::new(4.0 * unit).power(power).epsilon(0.0);
                let at = (1, Shape::from([12]));
                let (value, dy) = evaluate::<f32>(&loss, at, &y, Target::Values(&[])).unwrap();
                let (exact, exact_dy) = evaluate::<f64>(&loss, at, &y, Target::Values(&[])).unwrap();
                assert!((f64::from(value) - exact).abs() < 1e-5 * unit, "{unit}, {power}: {value} for {exact}");
                for (dy, exact) in dy.iter().zip(exact_dy) {
                    assert!((f64::from(*dy) - exact).abs() < 1e-4, "{unit}, {power}: {dy} for {exact}");
                }
            }
        }
    }

    #[test]
    fn what_is_far_enough_adds_nothing() {
        let loss = TripletMargin::new(1.0).epsilon(0.0);
        let at = |y: [f64; 3]| evaluate::<f64>(&loss, (1, [3].into()), &y, Target::Values(&[])).unwrap();
        assert_eq!(at([0.0, 1.0, 5.0]), (0.0, vec![0.0; 3]));
        // At the kink.
        assert_eq!(at([0.0, 1.0, 2.0]), (0.0, vec![0.0; 3]));
        // A distance of 0 has no direction.
        assert_eq!(at([1.0, 1.0, 1.5]), (0.5, vec![1.0, 0.0, -1.0]));
        assert!(at([f64::NAN, 1.0, 1.5]).0.is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let at = |loss, width: usize| {
            let y = vec![0.0; width];
            error(&loss, (1, [width].into()), &y, Target::Values(&[]))
        };
        assert_eq!(
            at(TripletMargin::default(), 4),
            "TripletMargin takes three embeddings, one after the other along the first axis, \
             but the predictions have the shape 4"
        );
        assert_eq!(
            at(TripletMargin::default(), 0),
            "TripletMargin takes three embeddings, one after the other along the first axis, \
             but the predictions have the shape 0"
        );
        assert_eq!(
            at(TripletMargin::new(-1.0), 3),
            "TripletMargin: the margin is -1, but must be finite and greater than 0"
        );
        assert_eq!(
            at(TripletMargin::default().power(0.5), 3),
            "TripletMargin: the power of the norm is 0.5, but must be finite and at least 1"
        );
        assert_eq!(
            at(TripletMargin::default().epsilon(-1.0), 3),
            "TripletMargin: epsilon is -1, but must be finite and at least 0"
        );
    }
}
