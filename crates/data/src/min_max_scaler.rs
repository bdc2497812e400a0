use downhill_tensor::Scalar;
use ndarray::ArrayView2;

use crate::scaler::check_rows;
use crate::{DataError, Scaler};

/// A scaler that maps each feature's range to [low, high], by default [0, 1]: x′ = low (1 − u) + high u, with
/// u = (x − min) / (max − min).
///
/// The ends are exact, there and back: min becomes low and max becomes high.
/// Values beyond the fitted range land beyond [low, high]; they are not cut off.
/// A constant feature has the range 1, and so becomes `low`, not NaN, as in scikit-learn.
///
/// ```
/// use downhill_data::{MinMaxScaler, Scaler};
/// use ndarray::array;
///
/// let mut rows = array![[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]];
/// let scaler = MinMaxScaler::fit(rows.view())?;
/// scaler.transform(rows.view_mut())?;
/// assert_eq!(rows, array![[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct MinMaxScaler {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    low: f64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    high: f64,
    features: Vec<Feature>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
struct Feature {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    min: f64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    max: f64,
}

impl MinMaxScaler {
    /// Learns the range of each column, and maps it to [0, 1].
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are no rows, a number is not finite, or a range overflows.
    pub fn fit<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        Self::fit_to(0.0, 1.0, rows)
    }

    /// Learns the range of each column, and maps it to [low, high].
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns the errors of [`fit`](Self::fit), and one if `low` is not smaller than `high` or one is not finite.
    pub fn fit_to<T: Scalar>(low: f64, high: f64, rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        if !(low < high && (high - low).is_finite()) {
            return Err(DataError::ScalerRange { low, high });
        }
        check_rows(rows)?;
        let features = rows.columns().into_iter().enumerate();
        let features = features.map(|(j, column)| Feature::fit(j, column)).collect::<Result<_, _>>()?;
        Ok(Self { low, high, features })
    }

    /// Creates a scaler to [low, high] of known smallest and largest values.
    ///
    /// # Errors
    /// Returns an error if there are not as many largest values as smallest, a largest is smaller than its smallest, or
    /// their difference or `high - low` is not finite.
    pub fn from_parts(low: f64, high: f64, minima: &[f64], maxima: &[f64]) -> Result<Self, DataError> {
        if !(low < high && (high - low).is_finite()) {
            return Err(DataError::ScalerRange { low, high });
        }
        if maxima.len() != minima.len() {
            return Err(DataError::FeatureCount { expected: minima.len(), got: maxima.len() });
        }
        let features: Vec<Feature> = minima.iter().zip(maxima).map(|(&min, &max)| Feature { min, max }).collect();
        let bad = |x: &Feature| !(x.min <= x.max && (x.max - x.min).is_finite());
        match features.iter().enumerate().find(|(_, x)| bad(x)) {
            Some((feature, &Feature { min: first, max: second })) => {
                let rule = "a smallest value is not larger than the largest, and their difference is finite";
                Err(DataError::ScalerParts { feature, first, second, rule })
            }
            None => Ok(Self { low, high, features }),
        }
    }

    /// The two ends that each feature's range is mapped to.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The largest value of each feature.
    pub fn maxima(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.max)
    }

    /// The smallest value of each feature.
    pub fn minima(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.min)
    }

    /// The range of each feature, 1 if it is constant.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(Feature::range)
    }
}

impl Feature {
    fn fit<T: Scalar>(index: usize, column: ndarray::ArrayView1<'_, T>) -> Result<Self, DataError> {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in column {
            (min, max) = (min.min(x.to_f64()), max.max(x.to_f64()));
        }
        if !(max - min).is_finite() {
            return Err(DataError::FeatureRange { feature: index });
        }
        Ok(Self { min, max })
    }

    fn range(&self) -> f64 {
        if self.max > self.min { self.max - self.min } else { 1.0 }
    }

    fn scale(&self, low: f64, high: f64, x: f64) -> f64 {
        between(low, high, (x - self.min) / self.range())
    }

    fn unscale(&self, low: f64, high: f64, x: f64) -> f64 {
        let unit = (x - low) / (high - low);
        if self.max > self.min { between(self.min, self.max, unit) } else { self.min + unit }
    }
}

/// Interpolates from `start` at 0 to `end` at 1, both exactly.
fn between(start: f64, end: f64, unit: f64) -> f64 {
    start * (1.0 - unit) + end * unit
}

impl Scaler for MinMaxScaler {
    fn features(&self) -> usize {
        self.features.len()
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| feature.scale(self.low, self.high, x))
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| feature.unscale(self.low, self.high, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;
    use ndarray::{Array2, Axis, array};

    #[test]
    fn random_columns_fill_the_range_and_are_restored() {
        let mut stream = Seed(9).stream(0);
        for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 10.0)] {
            let original = Array2::from_shape_fn((40, 3), |(_, j)| (stream.uniform() - 0.5) * 10f64.powi(4 * j as i32));
            let scaler = MinMaxScaler::fit_to(low, high, original.view()).unwrap();
            let mut rows = original.clone();
            scaler.transform(rows.view_mut()).unwrap();
            for column in rows.axis_iter(Axis(1)) {
                let (min, max) = column.iter().fold((high, low), |(a, b), &x| (f64::min(a, x), f64::max(b, x)));
                assert_eq!((min, max), (low, high));
            }
            scaler.inverse(rows.view_mut()).unwrap();
            assert!(rows.iter().zip(&original).all(|(a, b)| (a - b).abs() <= 1e-11 * b.abs().max(1.0)));
        }
    }

    #[test]
    fn tiny_ranges_are_not_taken_for_constants() {
        let scaler = MinMaxScaler::fit(array![[1e-20], [3e-20]].view()).unwrap();
        assert_eq!(scaler.scale(0, 3e-20), 1.0);
        assert_eq!(MinMaxScaler::fit(array![[5.0f32], [5.0]].view()).unwrap().ranges().next(), Some(1.0));
        assert_eq!(scaler.minima().next(), Some(1e-20));
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        let rows = array![[1.0], [2.0]];
        let message = |result: Result<MinMaxScaler, DataError>| result.unwrap_err().to_string();
        assert_eq!(
            message(MinMaxScaler::fit_to(1.0, 1.0, rows.view())),
            "a range from 1 to 1 can't be mapped to; give the smaller, finite end first"
        );
        assert!(message(MinMaxScaler::fit_to(f64::NAN, 1.0, rows.view())).contains("from NaN to 1"));
        assert!(message(MinMaxScaler::fit(Array2::<f32>::zeros((0, 1)).view())).contains("at least one row"));
        assert!(
            message(MinMaxScaler::fit(array![[f32::NAN]].view())).starts_with("example 0 has NaN as its feature 0;")
        );
        assert!(message(MinMaxScaler::fit(array![[f64::MAX], [f64::MIN]].view())).contains("overflows"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn survives_a_file() {
        let scaler = MinMaxScaler::fit(array![[0.1, 2.0], [0.7, 3.3]].view()).unwrap();
        let json = serde_json::to_string(&scaler).unwrap();
        assert_eq!(serde_json::from_str::<MinMaxScaler>(&json).unwrap(), scaler);
    }
}
