use downhill_tensor::Scalar;
use ndarray::{ArrayView1, ArrayView2};

use crate::scaler::check_rows;
use crate::{DataError, Scaler};

/// A scaler that a few far-off values don't disturb: x′ = (x − median) / (upper quantile − lower quantile).
///
/// The quantiles are those at 1/4 and 3/4, or any two by [`fit_quantiles`](Self::fit_quantiles).
/// Between two values a quantile is interpolated linearly, as NumPy does by default.
/// A feature whose quantiles are equal has the scale 1.
/// scikit-learn's `RobustScaler` gives the scale 1 to every feature with a quantile range below 2e-15 too; here such a
/// range is one like any other.
///
/// ```
/// use downhill_data::{RobustScaler, Scaler};
/// use ndarray::array;
///
/// let mut rows = array![[1.0], [2.0], [3.0], [4.0], [1000.0]];
/// let scaler = RobustScaler::fit(rows.view())?;
/// scaler.transform(rows.view_mut())?;
/// assert_eq!(rows, array![[-1.0], [-0.5], [0.0], [0.5], [498.5]]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RobustScaler {
    features: Vec<Feature>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
struct Feature {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    median: f64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    scale: f64,
}

impl RobustScaler {
    /// Learns the median of each column, and the range between its quantiles at 1/4 and 3/4.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are no rows, a number is not finite, or numbers lie so far apart that a difference
    /// overflows.
    pub fn fit<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        Self::fit_quantiles(0.25, 0.75, rows)
    }

    /// Learns the median of each column, and the range between two of its quantiles, such as 0.05 and 0.95.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns the errors of [`fit`](Self::fit), and one if not 0 ≤ `low` < `high` ≤ 1.
    pub fn fit_quantiles<T: Scalar>(low: f64, high: f64, rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        if !(0.0 <= low && low < high && high <= 1.0) {
            return Err(DataError::Quantiles { low, high });
        }
        check_rows(rows)?;
        let features = rows.columns().into_iter().enumerate();
        let features = features
            .map(|(feature, column)| Feature::fit(low, high, column).ok_or(DataError::FeatureRange { feature }));
        Ok(Self { features: features.collect::<Result<_, _>>()? })
    }

    /// Creates a scaler of known medians and scales.
    ///
    /// # Errors
    /// Returns an error if there are not as many scales as medians, a number is not finite, or a scale is not positive.
    pub fn from_parts(medians: &[f64], scales: &[f64]) -> Result<Self, DataError> {
        if scales.len() != medians.len() {
            return Err(DataError::FeatureCount { expected: medians.len(), got: scales.len() });
        }
        let features: Vec<Feature> =
            medians.iter().zip(scales).map(|(&median, &scale)| Feature { median, scale }).collect();
        let bad = |x: &Feature| !(x.median.is_finite() && x.scale.is_finite() && x.scale > 0.0);
        match features.iter().enumerate().find(|(_, x)| bad(x)) {
            Some((feature, &Feature { median: first, scale: second })) => {
                let rule = "a median and a scale are finite, and the scale is larger than 0";
                Err(DataError::ScalerParts { feature, first, second, rule })
            }
            None => Ok(Self { features }),
        }
    }

    /// The median of each feature.
    pub fn medians(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.median)
    }

    /// The divisor of each feature: the range between its quantiles, 1 if they are equal.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.scale)
    }
}

impl Feature {
    /// `None` if a difference of the column's numbers overflows.
    fn fit<T: Scalar>(low: f64, high: f64, column: ArrayView1<'_, T>) -> Option<Self> {
        let mut sorted: Vec<f64> = column.iter().map(|x| x.to_f64()).collect();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5)?;
        let range = quantile(&sorted, high)? - quantile(&sorted, low)?;
        let ends = [sorted.first()?, sorted.last()?];
        let fits = range.is_finite() && ends.iter().all(|end| (*end - median).is_finite());
        fits.then_some(Self { median, scale: if range > 0.0 { range } else { 1.0 } })
    }
}

/// The quantile at `at` of sorted numbers, interpolated between the two next to it.
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let place = at * sorted.len().checked_sub(1)? as f64;
    let (low, part) = (*sorted.get(place as usize)?, place.fract());
    let high = sorted.get(place as usize + 1).copied().unwrap_or(low);
    // From the nearer end, as NumPy does.
    Some(if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) })
}

impl Scaler for RobustScaler {
    fn features(&self) -> usize {
        self.features.len()
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| (x - feature.median) / feature.scale)
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| x * feature.scale + feature.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn quantiles_lie_between_the_values_next_to_them() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (at, expected) in [(0.0, 1.0), (0.5, 3.0), (1.0, 8.0), (0.25, 1.75), (0.75, 5.0)] {
            assert_eq!(quantile(&sorted, at), Some(expected));
        }
        assert_eq!((quantile(&[3.0], 0.3), quantile(&[], 0.5)), (Some(3.0), None));
    }

    #[test]
    fn one_far_off_value_changes_nothing() {
        let scaler = |far: f64| RobustScaler::fit(array![[1.0], [2.0], [3.0], [4.0], [far]].view()).unwrap();
        assert_eq!(scaler(5.0), scaler(1e300));
        assert_eq!((scaler(1e9).medians().next(), scaler(1e9).scales().next()), (Some(3.0), Some(2.0)));
    }

    #[test]
    fn tiny_ranges_are_not_taken_for_constants() {
        let scaler = RobustScaler::fit(array![[0.0], [1e-20], [2e-20]].view()).unwrap();
        assert!((scaler.scale(0, 2e-20) - 1.0).abs() < 1e-15);
        let constant = RobustScaler::fit(array![[7.0], [7.0], [7.0], [7.0], [9.0]].view()).unwrap();
        assert_eq!((constant.scale(0, 7.0), constant.scale(0, 9.0)), (0.0, 2.0));
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        let rows = array![[1.0], [2.0]];
        for (low, high) in [(0.5, 0.5), (0.7, 0.3), (-0.1, 0.5), (0.2, 1.1), (f64::NAN, 0.5), (25.0, 75.0)] {
            let error = RobustScaler::fit_quantiles(low, high, rows.view()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the quantiles {low} and {high} enclose no part")), "{error}");
        }
        let far = array![[f64::MAX], [f64::MAX], [f64::MIN]];
        assert!(RobustScaler::fit(far.view()).unwrap_err().to_string().contains("overflows"));
    }
}
