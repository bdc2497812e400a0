use std::fmt::Debug;

use downhill_tensor::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::{DataError, ExampleNumber};

/// An invertible change of units, learnt for each feature.
///
/// Fit it to the training examples alone and apply it to all that the model will see.
/// To write another scaler, implement the three required methods.
pub trait Scaler: Debug {
    /// The number of features that the scaler was fitted to.
    fn features(&self) -> usize;

    /// Scales `x`; `feature` is smaller than [`features`](Self::features).
    fn scale(&self, feature: usize, x: f64) -> f64;

    /// Undoes [`scale`](Self::scale).
    fn unscale(&self, feature: usize, x: f64) -> f64;

    /// Scales rows in place. Numbers that are infinite or NaN stay so.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are more or fewer columns than features.
    fn transform<T: Scalar>(&self, rows: ArrayViewMut2<'_, T>) -> Result<(), DataError> {
        each(self.features(), rows, |feature, x| self.scale(feature, x))
    }

    /// Takes scaled rows back to their own units, in place: for predictions of scaled targets.
    ///
    /// # Shapes
    /// `rows`: (examples, features).
    ///
    /// # Errors
    /// Returns an error if there are more or fewer columns than features.
    fn inverse<T: Scalar>(&self, rows: ArrayViewMut2<'_, T>) -> Result<(), DataError> {
        each(self.features(), rows, |feature, x| self.unscale(feature, x))
    }
}

fn each<T: Scalar>(
    features: usize,
    mut rows: ArrayViewMut2<'_, T>,
    function: impl Fn(usize, f64) -> f64,
) -> Result<(), DataError> {
    if rows.ncols() != features {
        return Err(DataError::FeatureCount { expected: features, got: rows.ncols() });
    }
    for mut row in rows.rows_mut() {
        for (feature, x) in row.iter_mut().enumerate() {
            *x = T::from_f64(function(feature, x.to_f64()));
        }
    }
    Ok(())
}

/// Checks what every scaler asks of the rows that it is fitted to.
pub(crate) fn check_rows<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<(), DataError> {
    if rows.nrows() == 0 {
        return Err(DataError::Empty { what: "the matrix to fit a scaler to", unit: "row" });
    }
    match rows.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((example, feature), x)) => {
            let number = ExampleNumber::Feature { place: feature };
            Err(DataError::NonFinite { example, number, value: x.to_f64() })
        }
        None => Ok(()),
    }
}
