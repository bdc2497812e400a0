use std::fmt;

use super::directional::natural_step_from;
use super::watch::fits;
use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::{dot, sum_of_squares};

/// The obstacle that kept a line search from finding a lower point, as far as two more evaluations can tell, or four with
/// a penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The gradient is not that of the value: along the unit vector of steepest descent they have these slopes.
    /// Runs also check for this if the values that they meet do not fit the gradients.
    WrongGradient {
        /// The slope by the gradient.
        stated: f64,
        /// The slope by the difference of the values at two points to both sides.
        measured: f64,
    },
    /// The value has a kink here: it rises to both sides.
    Kink,
    /// The gain that is left is less than the rounding of the value or of the point.
    Rounding,
    /// The numbers of the gradient are so large or so small that their squares overflow or vanish.
    Units,
    /// The gradient is right, and the value smooth, as far as can be seen.
    Unknown,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongGradient { stated, measured } => write!(
                f,
                "the gradient looks wrong: along the steepest descent it gives the slope {stated:.3e}, but the values \
                 of two points give {measured:.3e}, {:.3} times that; check the derivative",
                measured / stated
            ),
            Self::Kink => f.write_str(
                "the value rises to both sides, as at a kink; a penalty with absolute values needs \
                 `ProximalGradient` or `OwlQn`",
            ),
            Self::Rounding => f.write_str("rounding hides what is left to gain"),
            Self::Units => f.write_str(
                "the squares of the gradient's numbers overflow or vanish; multiply the function by a constant that \
                 brings them nearer to 1",
            ),
            Self::Unknown => f.write_str(
                "the gradient agrees with the values nearby; the function may be noisy, or not smooth along the way",
            ),
        }
    }
}

/// The central difference of the value along a direction, compared with the gradient's slope.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) obstacle: Obstacle,
    /// Whether the minimum along the direction is within the rounding of the point.
    pub(super) is_at_rounding: bool,
    /// Whether the slopes are so far apart, and the values to both sides so even, that no noise explains it.
    pub(super) is_beyond_doubt: bool,
}

/// Looks for what keeps f from falling at `at`, where f, without a penalty, has this value, along the direction of
/// steepest descent, against the gradient or with a penalty against the least subgradient of the sum.
/// Slopes that differ by no more than this share of the larger are not beyond doubt. Overwrites both scratch vectors.
pub(super) fn probe<T: Scalar>(
    at: &Iterate<T>,
    value: f64,
    against: &[T],
    factor: f64,
    evaluator: &mut Evaluator<'_, T>,
    [x, gradient]: [&mut [T]; 2],
) -> Probe {
    let of = |obstacle: Obstacle| Probe { obstacle, is_at_rounding: false, is_beyond_doubt: false };
    let epsilon = T::EPSILON.to_f64();
    let (size, length) = (norm_max(&at.x), norm_max(against));
    let (descent, slope) = (sum_of_squares(against), -dot(&at.gradient, against));
    if descent == 0.0 || !(descent.is_finite() && slope.is_finite()) {
        return of(if length > 0.0 { Obstacle::Units } else { Obstacle::Rounding });
    }
    // The distance at which the errors of the difference by rounding and by curvature are about equal.
    let near = epsilon.cbrt();
    let step = near * if size > 0.0 { size / length } else { natural_step_from(&at.x, value, against) };
    let mut at_step = |step: f64| {
        let length = T::from_f64(step);
        elementwise::zip_map(&at.x, against, x, |x, g| x - length * g);
        if x == at.x {
            return None;
        }
        let is_finite = evaluator.evaluate(x, gradient).ok()?.is_finite();
        is_finite.then(|| (evaluator.last_smooth_value(), -dot(gradient, against)))
    };
    let (Some(after), Some(before)) = (at_step(step), at_step(-step)) else { return of(Obstacle::Unknown) };
    let measured = (after.0 - before.0) / (2.0 * step);
    // The curvature times twice the step, which neither overflows nor vanishes as that would.
    let bend = after.1 - before.1;
    // The rounding of the variable that moves most.
    let steepest = at.x.iter().zip(against).max_by(|a, b| a.1.abs().to_f64().total_cmp(&b.1.abs().to_f64()));
    let share = if size > 0.0 { steepest.map_or(0.0, |(x, _)| x.abs().to_f64() / size) } else { 0.0 };
    let is_at_rounding = bend > 0.0 && descent <= 2.0 * bend * near * near * share;
    // The possible error of the difference: the rounding of the values, and the third derivative.
    let size = after.0.abs().max(before.0.abs()).max(value.abs());
    let error = 4.0 * epsilon * size / step + (after.1 - 2.0 * slope + before.1).abs();
    // At a kink the slope jumps, in a smooth bowl it grows evenly.
    let jumps = (after.1 - 2.0 * slope + before.1).abs() >= 0.5 * (after.1 - before.1).abs();
    let is_kink = jumps && (after.0 - value).min(before.0 - value) / step > 0.25 * slope.abs();
    let obstacle = if is_at_rounding {
        Obstacle::Rounding
    } else if is_kink {
        Obstacle::Kink
    } else if error >= 0.5 * slope.abs().max(measured.abs()) {
        Obstacle::Rounding
    } else if (measured - slope).abs() <= 0.05 * slope.abs() + error {
        Obstacle::Unknown
    } else {
        let unit = descent.sqrt();
        Obstacle::WrongGradient { stated: slope / unit, measured: measured / unit }
    };
    let uneven = (after.0 - 2.0 * value + before.0).abs() / (2.0 * step);
    let is_even = uneven <= 0.5 * slope.abs().max(measured.abs());
    let is_wrong = matches!(obstacle, Obstacle::WrongGradient { .. });
    Probe { obstacle, is_at_rounding, is_beyond_doubt: is_wrong && is_even && !fits(measured, slope, factor) }
}
