use downhill_tensor::Scalar;
use downhill_tensor::reduce::{map_sum, sum, zip_sum};
use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::scaler::check_rows;
use crate::{DataError, ExampleNumber, Scaler, StandardScaler};

/// A family of monotonic functions ψ(x), one for each power λ, that straighten skewed distributions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PowerTransform {
    /// For numbers of either sign (Yeo & Johnson 2000): ψ(x) = ((x + 1)^λ − 1) / λ for x ≥ 0, and
    /// ψ(x) = −((1 − x)^(2 − λ) − 1) / (2 − λ) below. λ = 1 changes nothing.
    #[default]
    YeoJohnson,
    /// For numbers above 0 (Box & Cox 1964): ψ(x) = (x^λ − 1) / λ, which is ln x for λ = 0.
    BoxCox,
}

/// A scaler that makes skewed features as nearly normal as a power can, with the mean 0 and the standard deviation 1:
/// x′ = (ψ(x) − μ) / σ, with ψ of a [`PowerTransform`].
///
/// The power λ of each feature has the largest likelihood if ψ(x) is normal.
/// The likelihood is concave in λ, so that its slope has one zero, which is what is searched for;
/// scikit-learn's `PowerTransformer` searches for the largest value, which rounding leaves uncertain by 1e-8 or more.
/// λ is kept where ψ neither overflows nor loses more than half of its digits, and is 1 for a constant feature.
///
/// What lies beyond all values of ψ is taken back to the end of the range that it came from, such as 0 or infinity;
/// scikit-learn gives NaN.
///
/// ```
/// use downhill_data::{PowerScaler, Scaler};
/// use ndarray::array;
///
/// let mut rows = array![[1.0_f64], [2.0], [4.0], [8.0], [16.0]];
/// let scaler = PowerScaler::fit_box_cox(rows.view())?;
/// assert!(scaler.powers().all(|power| power.abs() < 1e-12)); // a logarithm
/// scaler.transform(rows.view_mut())?;
/// assert!((rows[[4, 0]] + rows[[0, 0]]).abs() < 1e-12 && rows[[2, 0]].abs() < 1e-12);
/// scaler.inverse(rows.view_mut())?;
/// assert!((rows[[4, 0]] - 16.0).abs() < 1e-12);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct PowerScaler {
    transform: PowerTransform,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    powers: Vec<f64>,
    /// The change of units after the transform.
    standard: StandardScaler,
}

impl PowerScaler {
    /// Learns the power of each column for [`PowerTransform::YeoJohnson`].
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are no rows, a number is not finite, or one is beyond ±1e130.
    pub fn fit<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        Self::fit_transform(PowerTransform::YeoJohnson, rows)
    }

    /// Learns the power of each column for [`PowerTransform::BoxCox`].
    ///
    /// A later number that is not above 0 becomes NaN or infinite.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are no rows, or a number is not finite or not above 0.
    pub fn fit_box_cox<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        let low = rows.indexed_iter().find(|(_, x)| **x <= T::ZERO);
        if let Some(((example, place), x)) = low {
            return Err(DataError::NotPositive {
                example,
                number: ExampleNumber::Feature { place },
                value: x.to_f64(),
            });
        }
        Self::fit_transform(PowerTransform::BoxCox, rows)
    }

    fn fit_transform<T: Scalar>(transform: PowerTransform, rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        check_rows(rows)?;
        let columns = rows.columns().into_iter().enumerate();
        let powers = columns.map(|(feature, column)| {
            Logs::of(transform, column).map(|logs| logs.likeliest_power()).ok_or(DataError::FeatureRange { feature })
        });
        let powers = powers.collect::<Result<Vec<f64>, _>>()?;
        let changed = Array2::from_shape_fn(rows.dim(), |(example, feature)| {
            let x = rows.get((example, feature)).map_or(f64::NAN, |x| x.to_f64());
            transform.apply(powers.get(feature).copied().unwrap_or(1.0), x)
        });
        Ok(Self { transform, powers, standard: StandardScaler::fit(changed.view())? })
    }

    /// Creates a scaler of known powers, and of the means and standard deviations after the transform.
    ///
    /// # Errors
    /// Returns an error if there are not as many means and scales as powers, a number is not finite, or a scale is not
    /// positive.
    pub fn from_parts(
        transform: PowerTransform,
        powers: &[f64],
        means: &[f64],
        scales: &[f64],
    ) -> Result<Self, DataError> {
        if means.len() != powers.len() {
            return Err(DataError::FeatureCount { expected: powers.len(), got: means.len() });
        }
        let standard = StandardScaler::from_parts(means, scales)?;
        match powers.iter().zip(means).enumerate().find(|(_, (power, _))| !power.is_finite()) {
            Some((feature, (&first, &second))) => {
                let rule = "a power and a mean are finite";
                Err(DataError::ScalerParts { feature, first, second, rule })
            }
            None => Ok(Self { transform, powers: powers.to_vec(), standard }),
        }
    }

    /// The family of functions that the powers belong to.
    #[must_use]
    pub fn power_transform(&self) -> PowerTransform {
        self.transform
    }

    /// The power λ of each feature.
    pub fn powers(&self) -> impl ExactSizeIterator<Item = f64> {
        self.powers.iter().copied()
    }

    /// The mean of each feature after the transform.
    pub fn means(&self) -> impl ExactSizeIterator<Item = f64> {
        self.standard.means()
    }

    /// The divisor of each feature after the transform: its standard deviation, 1 if it is constant.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = f64> {
        self.standard.scales()
    }
}

impl Scaler for PowerScaler {
    fn features(&self) -> usize {
        self.powers.len()
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        let power = self.powers.get(feature).copied().unwrap_or(f64::NAN);
        self.standard.scale(feature, self.transform.apply(power, x))
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        let power = self.powers.get(feature).copied().unwrap_or(f64::NAN);
        self.transform.undo(power, self.standard.unscale(feature, x))
    }
}

impl PowerTransform {
    /// ψ(x).
    fn apply(self, power: f64, x: f64) -> f64 {
        match self {
            Self::BoxCox => raised(power, x.ln()),
            Self::YeoJohnson if x < 0.0 => -raised(2.0 - power, (-x).ln_1p()),
            Self::YeoJohnson => raised(power, x.ln_1p()),
        }
    }

    /// The x with ψ(x) = y.
    fn undo(self, power: f64, y: f64) -> f64 {
        match self {
            Self::BoxCox => lowered(power, y).exp(),
            Self::YeoJohnson if y < 0.0 => -lowered(2.0 - power, -y).exp_m1(),
            Self::YeoJohnson => lowered(power, y).exp_m1(),
        }
    }
}

/// (e^(p u) − 1) / p, which is u for p = 0.
fn raised(p: f64, u: f64) -> f64 {
    if (p * u).abs() < f64::EPSILON { u } else { (p * u).exp_m1() / p }
}

/// The u with [`raised`]`(p, u)` = y, or the end of its range that is next to it.
fn lowered(p: f64, y: f64) -> f64 {
    if (p * y).abs() < f64::EPSILON { y } else { (p * y).clamp(-1.0, f64::INFINITY).ln_1p() / p }
}

/// The derivative of [`raised`] with respect to p: u² h′(p u) with h(t) = (eᵗ − 1) / t.
fn raised_slope(p: f64, u: f64) -> f64 {
    let t = p * u;
    let slope = if t.abs() < 0.5 {
        // Σ (k + 1) tᵏ / (k + 2)!, since the difference below cancels.
        (0..16).rev().fold(0.0, |sum, k| sum * t / f64::from(k + 3) * (f64::from(k + 2) / f64::from(k + 1)) + 1.0) / 2.0
    } else {
        (t.exp() * (t - 1.0) + 1.0) / (t * t)
    };
    u * u * slope
}

/// The largest p u: e³⁰⁰ can still be squared and summed.
const MOST: f64 = 300.0;

/// The largest −p u where all other numbers are smaller yet: e⁻¹⁶ next to 1 leaves half of the digits.
const LEAST: f64 = 16.0;

/// The largest power of either sign, for features that hardly differ from 1.
const CAP: f64 = 1e9;

/// The logarithms that a feature's powers are powers of.
struct Logs {
    transform: PowerTransform,
    /// ln x, or ln (1 + |x|).
    logs: Vec<f64>,
    /// Whether the number is negative, and the power 2 − λ.
    below: Vec<bool>,
    /// The smallest and the largest λ to look at.
    ends: (f64, f64),
}

impl Logs {
    /// `None` if no power can be told because numbers are too large.
    fn of<T: Scalar>(transform: PowerTransform, column: ArrayView1<'_, T>) -> Option<Self> {
        let column = column.iter().map(|x| x.to_f64());
        let below: Vec<bool> = column.clone().map(|x| transform == PowerTransform::YeoJohnson && x < 0.0).collect();
        let logs: Vec<f64> =
            column.map(|x| if transform == PowerTransform::BoxCox { x.ln() } else { x.abs().ln_1p() }).collect();
        // The range of each side, empty as (∞, −∞).
        let range = |side: bool| {
            let logs = logs.iter().zip(&below).filter(|&(_, below)| *below == side).map(|(log, _)| *log);
            logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), log| (min.min(log), max.max(log)))
        };
        let ((min, max), (min_below, max_below)) = (range(false), range(true));
        let mut ends = (-CAP, CAP);
        if max > 0.0 {
            ends.1 = ends.1.min(MOST / max);
        }
        if min < 0.0 {
            ends.0 = ends.0.max(MOST / min);
        }
        if max_below > 0.0 {
            ends.0 = ends.0.max(2.0 - MOST / max_below);
        }
        // With numbers on both sides, one of the sides always spreads out.
        if min > 0.0 && max_below < 0.0 {
            ends.0 = ends.0.max(-LEAST / min);
        }
        if max < 0.0 && min_below == f64::INFINITY {
            ends.1 = ends.1.min(-LEAST / max);
        }
        if max < 0.0 && min_below > 0.0 && min_below < f64::INFINITY {
            ends.1 = ends.1.min(2.0 + LEAST / min_below);
        }
        (ends.0 < ends.1).then_some(Self { transform, logs, below, ends })
    }

    /// The slope of the log-likelihood, divided by the number of examples: −cov(ψ, dψ/dλ) / var(ψ) + mean(±ln …).
    fn slope(&self, power: f64) -> f64 {
        let both = || self.logs.iter().zip(&self.below);
        let values: Vec<f64> =
            both().map(|(&u, &below)| if below { -raised(2.0 - power, u) } else { raised(power, u) }).collect();
        let slopes: Vec<f64> =
            both().map(|(&u, &below)| raised_slope(if below { 2.0 - power } else { power }, u)).collect();
        let signed: Vec<f64> = both().map(|(&u, &below)| if below { -u } else { u }).collect();
        let count = self.logs.len() as f64;
        let (mean, mean_slope) = (sum(&values) / count, sum(&slopes) / count);
        let covariance = zip_sum(&values, &slopes, |value, slope| (value - mean) * (slope - mean_slope));
        let variance = map_sum(&values, |value| (value - mean).powi(2));
        sum(&signed) / count - covariance / variance
    }

    /// The power at which the slope is 0, or the end that it points to.
    fn likeliest_power(&self) -> f64 {
        if self.logs.iter().zip(&self.below).all(|both| Some(both) == self.logs.first().zip(self.below.first())) {
            return 1.0;
        }
        let (low, high) = self.ends;
        let start = if self.transform == PowerTransform::BoxCox { 0.0f64 } else { 1.0 }.clamp(low, high);
        let at_start = self.slope(start);
        let (mut near, mut near_slope) = (start, at_start);
        let mut step = if at_start > 0.0 { 1.0 } else { -1.0 };
        // The slope falls: the zero lies where it points.
        loop {
            let far = (start + step).clamp(low, high);
            let far_slope = self.slope(far);
            if far_slope * at_start <= 0.0 {
                return self.zero((near, near_slope), (far, far_slope));
            }
            if far == low || far == high || !far_slope.is_finite() {
                return far;
            }
            (near, near_slope) = (far, far_slope);
            step *= 2.0;
        }
    }

    /// The zero between two powers whose slopes have different signs, by false position with Illinois' correction.
    fn zero(&self, mut a: (f64, f64), mut b: (f64, f64)) -> f64 {
        for round in 0..200 {
            if b.1 == 0.0 || (a.0 - b.0).abs() <= 2.0 * f64::EPSILON * b.0.abs().max(0.1) {
                break;
            }
            let (middle, line) = (a.0.midpoint(b.0), b.0 - b.1 * (b.0 - a.0) / (b.1 - a.1));
            let inside = line > a.0.min(b.0) && line < a.0.max(b.0);
            // A step to the middle now and then, for slopes that are no line at all.
            let next = if inside && round % 4 != 3 { line } else { middle };
            let slope = self.slope(next);
            if slope * b.1 <= 0.0 {
                a = b
            } else {
                a.1 /= 2.0
            }
            b = (next, slope);
        }
        b.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;
    use ndarray::array;

    /// The log-likelihood by its definition, over n.
    fn likelihood(transform: PowerTransform, power: f64, column: &[f64]) -> f64 {
        let values: Vec<f64> = column.iter().map(|&x| transform.apply(power, x)).collect();
        let count = column.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let logs = column.iter().map(|&x| match transform {
            PowerTransform::BoxCox => x.ln(),
            PowerTransform::YeoJohnson => x.signum() * x.abs().ln_1p(),
        });
        -0.5 * variance.ln() + (power - 1.0) * logs.sum::<f64>() / count
    }

    fn column(seed: u64, transform: PowerTransform) -> Vec<f64> {
        let mut stream = Seed(seed).stream(0);
        let stretch = 3.0 * stream.uniform();
        let shift = if transform == PowerTransform::BoxCox { 0.0 } else { 2.0 * stream.uniform() };
        (0..60).map(|_| (stretch * stream.uniform()).exp() * (0.1 + stream.uniform()) - shift).collect()
    }

    #[test]
    fn the_slope_is_that_of_the_likelihood() {
        for transform in [PowerTransform::YeoJohnson, PowerTransform::BoxCox] {
            for seed in 0..20 {
                let column = column(seed, transform);
                let logs = Logs::of(transform, ArrayView1::from(&column)).unwrap();
                for power in [-2.0, -1e-9, 0.0, 0.3, 1.0, 2.0, 3.5] {
                    let step = 1e-5;
                    let of = |power| likelihood(transform, power, &column);
                    let expected = (of(power + step) - of(power - step)) / (2.0 * step);
                    let slope = logs.slope(power);
                    assert!((slope - expected).abs() < 1e-6 * (1.0 + slope.abs()), "{power}: {slope}, {expected}");
                }
            }
        }
    }

    #[test]
    fn no_other_power_is_likelier() {
        for transform in [PowerTransform::YeoJohnson, PowerTransform::BoxCox] {
            for seed in 0..50 {
                let column = column(seed, transform);
                let power = Logs::of(transform, ArrayView1::from(&column)).unwrap().likeliest_power();
                let best = likelihood(transform, power, &column);
                for off in [-1.0, -1e-2, -1e-4, 1e-4, 1e-2, 1.0] {
                    assert!(likelihood(transform, power + off, &column) < best, "{power} + {off}");
                }
            }
        }
    }

    #[test]
    fn the_series_meets_the_formula() {
        for u in [1e-3, 1.0, 20.0] {
            for t in [-0.499_999_99, 0.499_999_99] {
                let formula = (f64::exp(t) * (t - 1.0) + 1.0) / (t * t) * u * u;
                assert!((raised_slope(t / u, u) / formula - 1.0).abs() < 1e-14);
            }
        }
        assert_eq!(raised_slope(0.0, 3.0), 4.5);
    }

    #[test]
    fn what_is_transformed_comes_back() {
        for transform in [PowerTransform::YeoJohnson, PowerTransform::BoxCox] {
            for seed in 0..50 {
                let column = column(seed, transform);
                let rows = ArrayView2::from_shape((column.len(), 1), &column).unwrap();
                let scaler = PowerScaler::fit_transform(transform, rows).unwrap();
                let mut scaled = rows.to_owned();
                scaler.transform(scaled.view_mut()).unwrap();
                assert!(scaled.mean().unwrap().abs() < 1e-12 && (scaled.std(0.0) - 1.0).abs() < 1e-12);
                scaler.inverse(scaled.view_mut()).unwrap();
                assert!(scaled.iter().zip(&column).all(|(a, b)| (a - b).abs() < 1e-11 * (1.0 + b.abs())));
            }
        }
    }

    #[test]
    fn powers_stay_where_numbers_remain_distinct() {
        // Years have a power far off, at which only rounding is left.
        let years = Array2::from_shape_fn((40, 1), |(i, _)| 1980.0 + (i as f64).powi(2) / 40.0);
        for scaler in [PowerScaler::fit(years.view()).unwrap(), PowerScaler::fit_box_cox(years.view()).unwrap()] {
            let mut rows = years.clone();
            scaler.transform(rows.view_mut()).unwrap();
            assert!(rows.iter().is_sorted() && rows.std(0.0) > 0.99, "{:?}", scaler.powers().next());
            scaler.inverse(rows.view_mut()).unwrap();
            assert!(rows.iter().zip(&years).all(|(a, b)| (a - b).abs() < 1e-3), "{:?}", scaler.powers().next());
        }
        for size in [1e-300, 1e-30, 1.0, 1e30, 1e120] {
            for sign in [1.0, -1.0] {
                let rows = array![[size * sign], [2.0 * size * sign], [3.0 * size * sign], [40.0 * size * sign]];
                let scaler = PowerScaler::fit(rows.view()).unwrap();
                assert!(scaler.scale(0, 3.0 * size * sign).is_finite(), "{size}");
                if sign > 0.0 {
                    let scaler = PowerScaler::fit_box_cox(rows.view()).unwrap();
                    let power = scaler.powers().next().unwrap();
                    assert!(scaler.scale(0, 3.0 * size).is_finite() && power.is_finite(), "{size}: {power}");
                }
            }
        }
        let both = array![[1e120], [-1e120], [1.0], [3.0]];
        assert!(PowerScaler::fit(both.view()).unwrap().scale(0, 1.0).is_finite());
        let constant = PowerScaler::fit(array![[7.0], [7.0]].view()).unwrap();
        assert_eq!((constant.powers().next(), constant.scale(0, 7.0)), (Some(1.0), 0.0));
        assert!((constant.scale(0, 9.0) - 2.0).abs() < 1e-14);
    }

    #[test]
    fn what_no_number_becomes_is_taken_to_the_end_of_the_range() {
        let scaler = |transform, power| PowerScaler::from_parts(transform, &[power], &[0.0], &[1.0]).unwrap();
        // ψ stays below 2, and above −2.
        assert_eq!(scaler(PowerTransform::BoxCox, -0.5).unscale(0, 2.5), f64::INFINITY);
        assert_eq!(scaler(PowerTransform::BoxCox, 0.5).unscale(0, -2.5), 0.0);
        assert_eq!(scaler(PowerTransform::YeoJohnson, -0.5).unscale(0, 2.5), f64::INFINITY);
        assert_eq!(scaler(PowerTransform::YeoJohnson, 2.5).unscale(0, -2.5), f64::NEG_INFINITY);
        assert!(scaler(PowerTransform::YeoJohnson, 0.5).unscale(0, f64::NAN).is_nan());
        assert!(scaler(PowerTransform::BoxCox, 0.5).scale(0, -1.0).is_nan());
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        let message = |result: Result<PowerScaler, DataError>| result.unwrap_err().to_string();
        assert_eq!(
            message(PowerScaler::fit_box_cox(array![[1.0, 2.0], [3.0, 0.0]].view())),
            "example 1 has 0 as its feature 1, but Box-Cox takes numbers above 0 alone; fit Yeo-Johnson instead"
        );
        assert!(message(PowerScaler::fit(array![[1e300], [-1e300], [1.0]].view())).contains("overflows"));
        assert!(message(PowerScaler::fit(array![[f64::NAN]].view())).starts_with("example 0 has NaN"));
        assert!(message(PowerScaler::fit(Array2::<f32>::zeros((0, 1)).view())).contains("at least one row"));
        let parts = |powers: &[f64], means: &[f64]| {
            message(PowerScaler::from_parts(PowerTransform::BoxCox, powers, means, &[1.0]))
        };
        assert_eq!(parts(&[f64::NAN], &[0.5]), "feature 0 was given NaN and 0.5, but a power and a mean are finite");
        assert!(parts(&[1.0], &[0.0, 1.0]).contains("fitted to 1 features, but was given 2"));
        assert!(PowerScaler::from_parts(PowerTransform::BoxCox, &[1.0], &[0.0], &[0.0]).is_err());
    }
}
