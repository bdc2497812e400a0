use downhill_tensor::Scalar;
use downhill_tensor::reduce::unit_scale;
use ndarray::ArrayView2;

use crate::scaler::check_rows;
use crate::{DataError, Scaler};

/// A scaler that gives each feature the mean 0 and the standard deviation 1: x′ = (x − μ) / σ.
///
/// μ and σ are computed in `f64` by Welford's recurrence (1962), which does not cancel;
/// σ divides by the number of examples, not by one less.
/// A constant feature has the scale 1, and so becomes 0, not NaN.
/// Both are as in scikit-learn, whose measure of "constant" is used too: a variance that rounding alone could give.
///
/// ```
/// use downhill_data::{Scaler, StandardScaler};
/// use ndarray::array;
///
/// let mut rows = array![[1.0, 10.0], [3.0, 10.0]];
/// let scaler = StandardScaler::fit(rows.view())?;
/// scaler.transform(rows.view_mut())?;
/// assert_eq!(rows, array![[-1.0, 0.0], [1.0, 0.0]]);
/// scaler.inverse(rows.view_mut())?;
/// assert_eq!(rows, array![[1.0, 10.0], [3.0, 10.0]]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct StandardScaler {
    features: Vec<Feature>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
struct Feature {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    mean: f64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::finite"))]
    scale: f64,
}

impl StandardScaler {
    /// Learns mean and standard deviation of each column.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are no rows, a number is not finite, or numbers are so large that their squares overflow.
    pub fn fit<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, DataError> {
        check_rows(rows)?;
        let columns = rows.columns().into_iter();
        Self::fit_columns(columns.map(|column| column.into_iter().map(|x| x.to_f64())))
    }

    /// Learns mean and standard deviation of columns, which are finite and not empty.
    pub(crate) fn fit_columns<I: Iterator<Item = f64> + Clone>(
        columns: impl Iterator<Item = I>,
    ) -> Result<Self, DataError> {
        let features = columns.enumerate().map(|(feature, column)| Feature::fit(feature, column));
        Ok(Self { features: features.collect::<Result<_, _>>()? })
    }

    /// Creates a scaler of known means and scales, such as those that were learnt elsewhere.
    ///
    /// # Errors
    /// Returns an error if there are not as many scales as means, a number is not finite, or a scale is not positive.
    pub fn from_parts(means: &[f64], scales: &[f64]) -> Result<Self, DataError> {
        if scales.len() != means.len() {
            return Err(DataError::FeatureCount { expected: means.len(), got: scales.len() });
        }
        let features: Vec<Feature> = means.iter().zip(scales).map(|(&mean, &scale)| Feature { mean, scale }).collect();
        let bad = |x: &Feature| !(x.mean.is_finite() && x.scale.is_finite() && x.scale > 0.0);
        match features.iter().enumerate().find(|(_, x)| bad(x)) {
            Some((feature, &Feature { mean: first, scale: second })) => {
                let rule = "a mean and a scale are finite, and the scale is larger than 0";
                Err(DataError::ScalerParts { feature, first, second, rule })
            }
            None => Ok(Self { features }),
        }
    }

    /// The mean of each feature.
    pub fn means(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.mean)
    }

    /// The divisor of each feature: its standard deviation, 1 if it is constant.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.scale)
    }
}

impl Feature {
    fn fit(index: usize, column: impl Iterator<Item = f64> + Clone) -> Result<Self, DataError> {
        // In units of about the largest number, squares neither overflow nor vanish.
        let unit = unit_scale(column.clone().fold(0.0, |largest: f64, x| largest.max(x.abs())));
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for x in column.clone() {
            let x = unit * x;
            let delta = x - mean;
            count += 1.0;
            mean += delta / count;
            squares += delta * (x - mean);
        }
        let variance = squares / count;
        let rounding = count * f64::EPSILON * variance + (count * f64::EPSILON * mean).powi(2);
        let scale = if variance <= rounding { 1.0 } else { variance.sqrt() / unit };
        let mean = mean / unit;
        if column.into_iter().any(|x| !(x - mean).is_finite()) {
            return Err(DataError::FeatureRange { feature: index });
        }
        Ok(Self { mean, scale })
    }
}

impl Scaler for StandardScaler {
    fn features(&self) -> usize {
        self.features.len()
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| (x - feature.mean) / feature.scale)
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        self.features.get(feature).map_or(f64::NAN, |feature| x * feature.scale + feature.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Targets};
    use downhill_tensor::Seed;
    use ndarray::{Array2, Axis, array};

    #[test]
    fn a_far_away_mean_costs_no_accuracy() {
        // The naive Σx² − (Σx)²/n gives a variance of 0 or less here.
        let rows = array![[1e9 + 4.0], [1e9 + 7.0], [1e9 + 13.0], [1e9 + 16.0]];
        let scaler = StandardScaler::fit(rows.view()).unwrap();
        assert_eq!(scaler.means().next(), Some(1e9 + 10.0));
        assert!((scaler.scales().next().unwrap().powi(2) - 22.5).abs() < 1e-9);
    }

    #[test]
    fn a_million_rows_cost_no_accuracy() {
        // One running f32 sum would be per cents off.
        let rows = Array2::from_shape_fn((1_000_000, 1), |(i, _)| 66_743.0 + (i % 2) as f32);
        let scaler = StandardScaler::fit(rows.view()).unwrap();
        assert!((scaler.means().next().unwrap() - 66_743.5).abs() < 1e-9);
        assert!((scaler.scales().next().unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_whose_squares_overflow_or_vanish_are_standardised() {
        for size in [1e-300, 1e-160, 1.0, 1e155, 1e300] {
            let rows = array![[size], [2.0 * size], [3.0 * size], [4.0 * size]];
            let scaler = StandardScaler::fit(rows.view()).unwrap();
            let scaled = rows.map(|&x| scaler.scale(0, x));
            assert!((scaled[[3, 0]] - 1.5 / 1.25_f64.sqrt()).abs() < 1e-12 && scaled.sum().abs() < 1e-12, "{scaled}");
            assert!((scaler.unscale(0, scaled[[3, 0]]) / (4.0 * size) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn random_columns_are_standardised_and_restored() {
        let mut stream = Seed(8).stream(0);
        for _ in 0..50 {
            let (examples, features) = (2 + (stream.uniform() * 60.0) as usize, 1 + (stream.uniform() * 7.0) as usize);
            let original = Array2::from_shape_fn((examples, features), |(_, j)| {
                (10f64).powi(3 * j as i32 - 6) * (stream.uniform() + j as f64)
            });
            let scaler = StandardScaler::fit(original.view()).unwrap();
            let mut rows = original.clone();
            scaler.transform(rows.view_mut()).unwrap();
            assert!(rows.mean_axis(Axis(0)).unwrap().iter().all(|m| m.abs() < 1e-12));
            assert!(rows.var_axis(Axis(0), 0.0).iter().all(|v| (v - 1.0).abs() < 1e-11));
            scaler.inverse(rows.view_mut()).unwrap();
            assert!(rows.iter().zip(&original).all(|(a, b)| (a - b).abs() <= 1e-13 * b.abs().max(1e-6)));
        }
    }

    #[test]
    fn a_constant_feature_becomes_zero() {
        for constant in [0.0, 0.1, -3.3e17, 1e-300] {
            let scaler = StandardScaler::fit(Array2::from_elem((1000, 1), constant).view()).unwrap();
            assert_eq!((scaler.scales().next(), scaler.scale(0, constant)), (Some(1.0), 0.0), "{constant}");
        }
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        let error = StandardScaler::fit(Array2::<f32>::zeros((0, 2)).view()).unwrap_err();
        assert_eq!(error.to_string(), "the matrix to fit a scaler to is empty, but at least one row is needed");
        let error = StandardScaler::fit(array![[0.0, 1.0], [0.0, f32::INFINITY]].view()).unwrap_err();
        assert!(error.to_string().starts_with("example 1 has inf as its feature 1;"), "{error}");
        let error = StandardScaler::fit(array![[f64::MAX], [f64::MAX], [-f64::MAX]].view()).unwrap_err();
        assert!(error.to_string().starts_with("feature 0 has a range that overflows"), "{error}");
    }

    #[test]
    fn another_number_of_features_is_refused() {
        let scaler = StandardScaler::fit(array![[1.0, 2.0], [2.0, 3.0]].view()).unwrap();
        let error = scaler.transform(array![[1.0f32, 2.0, 3.0]].view_mut()).unwrap_err();
        assert_eq!(error.to_string(), "the scaler was fitted to 2 features, but was given 3");
        assert!(scaler.inverse(array![[1.0f32]].view_mut()).is_err());
    }

    #[test]
    fn targets_are_scaled_and_predictions_taken_back() {
        let set = Dataset::from_array(array![[1.0], [2.0]], array![100.0, 300.0]).unwrap();
        let targets = set.target_values().unwrap();
        let scaler = StandardScaler::fit(targets.matrix()).unwrap();
        let scaled = set.clone().scale_targets(&scaler).unwrap();
        assert_eq!(scaled.into_parts().1, Targets::values(vec![-1.0, 1.0], [1]));
        let mut prediction = array![[0.5]];
        scaler.inverse(prediction.view_mut()).unwrap();
        assert_eq!(prediction, array![[250.0]]);

        let classes = Dataset::from_array(array![[1.0], [3.0]], vec![0, 1]).unwrap();
        let error = classes.clone().scale_targets(&scaler).unwrap_err();
        assert_eq!(
            error.to_string(),
            "scaling targets needs numbers as targets, but the data set has one class per example"
        );
        let inputs = StandardScaler::fit(classes.inputs().matrix()).unwrap();
        assert_eq!(classes.scale_inputs(&inputs).unwrap().inputs().slice(), [-1.0, 1.0]);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn survives_a_file() {
        let scaler = StandardScaler::fit(array![[0.1, 2.0], [0.7, 3.3]].view()).unwrap();
        let json = serde_json::to_string(&scaler).unwrap();
        assert_eq!(serde_json::from_str::<StandardScaler>(&json).unwrap(), scaler);
    }
}
