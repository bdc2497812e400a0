//! The promises of every scaler.

use downhill_data::{AnyScaler, DataError, MinMaxScaler, PowerScaler, RobustScaler, Scaler, StandardScaler};
use downhill_tensor::Seed;
use ndarray::{Array2, array};

/// Columns of very different sizes, the third of them constant.
fn columns(seed: u64) -> Array2<f64> {
    let mut stream = Seed(seed).stream(0);
    let sizes = [1e-12, 3.0, 0.0, 1e9];
    Array2::from_shape_fn((17, 4), |(_, j)| 10.0 * sizes[j] + sizes[j] * (stream.uniform() - 0.5) - 0.7)
}

fn goes_there_and_back(scaler: &impl Scaler, original: &Array2<f64>) {
    let mut rows = original.clone();
    scaler.transform(rows.view_mut()).unwrap();
    assert!(rows.iter().all(|x| x.is_finite()));
    scaler.inverse(rows.view_mut()).unwrap();
    for (column, expected) in rows.columns().into_iter().zip(original.columns()) {
        let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (x, expected) in column.iter().zip(expected) {
            assert!((x - expected).abs() <= 4.0 * f64::EPSILON * largest, "{x} for {expected}");
        }
    }
}

#[test]
fn what_is_scaled_comes_back_to_a_few_units_in_the_last_place() {
    for seed in 0..20 {
        let rows = columns(seed);
        goes_there_and_back(&StandardScaler::fit(rows.view()).unwrap(), &rows);
        goes_there_and_back(&MinMaxScaler::fit(rows.view()).unwrap(), &rows);
        goes_there_and_back(&MinMaxScaler::fit_to(-0.3, 1.7, rows.view()).unwrap(), &rows);
        goes_there_and_back(&RobustScaler::fit(rows.view()).unwrap(), &rows);
    }
}

#[test]
fn the_ends_of_a_range_are_exact_there_and_back() {
    let mut stream = Seed(5).stream(0);
    for power in -30..30 {
        let mut number = || (stream.uniform() - 0.5) * 10f64.powi(power);
        let (a, b, c, d) = (number(), number(), number(), number());
        let (low, high, min, max) = (a.min(b), a.max(b), c.min(d), c.max(d));
        let scaler = MinMaxScaler::fit_to(low, high, array![[min], [max]].view()).unwrap();
        assert_eq!((scaler.scale(0, min), scaler.scale(0, max)), (low, high));
        assert_eq!((scaler.unscale(0, low), scaler.unscale(0, high)), (min, max));
    }
    // The range itself is rounded here.
    let scaler = MinMaxScaler::fit(array![[-1e16], [1.0]].view()).unwrap();
    assert_eq!(scaler.unscale(0, scaler.scale(0, 1.0)), 1.0);
}

#[test]
fn a_constant_column_has_the_scale_1() {
    let rows = array![[5.5, 1e300], [5.5, 1e300]];
    let (standard, range) = (StandardScaler::fit(rows.view()).unwrap(), MinMaxScaler::fit(rows.view()).unwrap());
    assert!(standard.scales().chain(range.ranges()).all(|scale| scale == 1.0));
    assert_eq!((standard.scale(0, 7.5), standard.unscale(0, 2.0)), (2.0, 7.5));
    assert_eq!((range.scale(0, 7.5), range.unscale(0, 2.0)), (2.0, 7.5));
    // As is a column of a single row.
    assert_eq!(StandardScaler::fit(array![[3.0f32]].view()).unwrap().scales().next(), Some(1.0));
}

#[test]
fn what_is_not_finite_is_refused_when_fitting_and_kept_when_scaling() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let rows = array![[1.0, 2.0], [3.0, odd]];
        for error in [
            StandardScaler::fit(rows.view()).map(|_| ()),
            MinMaxScaler::fit(rows.view()).map(|_| ()),
            RobustScaler::fit(rows.view()).map(|_| ()),
            PowerScaler::fit(rows.view()).map(|_| ()),
        ] {
            assert!(matches!(error, Err(DataError::NonFinite { example: 1, .. })), "{error:?}");
        }
        let scaler = StandardScaler::fit(array![[1.0, 2.0], [3.0, 4.0]].view()).unwrap();
        let mut later = rows.clone();
        scaler.transform(later.view_mut()).unwrap();
        assert_eq!((later[[1, 0]], later[[1, 1]].is_finite()), (1.0, false));
    }
}

#[test]
fn no_rows_and_other_columns_are_errors() {
    let none = Array2::<f32>::zeros((0, 3));
    assert!(matches!(StandardScaler::fit(none.view()), Err(DataError::Empty { .. })));
    assert!(matches!(MinMaxScaler::fit(none.view()), Err(DataError::Empty { .. })));
    let scaler = MinMaxScaler::fit(array![[1.0, 2.0]].view()).unwrap();
    for columns in [0, 1, 3] {
        let mut rows = Array2::<f64>::ones((2, columns));
        for error in [scaler.transform(rows.view_mut()), scaler.inverse(rows.view_mut())] {
            assert!(matches!(error, Err(DataError::FeatureCount { expected: 2, got }) if got == columns), "{error:?}");
        }
        assert!(rows.iter().all(|&x| x == 1.0));
    }
    // No rows to scale are not an error: there is nothing to do.
    scaler.transform(Array2::<f64>::zeros((0, 2)).view_mut()).unwrap();
}

#[cfg(feature = "serde")]
#[test]
fn scalers_survive_a_file_to_the_last_bit() {
    for seed in 0..200 {
        let rows = columns(seed);
        let standard = StandardScaler::fit(rows.view()).unwrap();
        let json = serde_json::to_string(&standard).unwrap();
        assert_eq!(serde_json::from_str::<StandardScaler>(&json).unwrap(), standard);
        let any = [
            AnyScaler::from(RobustScaler::fit(rows.view()).unwrap()),
            PowerScaler::fit(rows.view()).unwrap().into(),
            PowerScaler::fit_box_cox(rows.mapv(|x| x.abs() + 1e-9).view()).unwrap().into(),
        ];
        for any in any {
            let json = serde_json::to_string(&any).unwrap();
            assert_eq!(serde_json::from_str::<AnyScaler>(&json).unwrap(), any);
        }
        let range = MinMaxScaler::fit_to(-0.1, 0.3, rows.view()).unwrap();
        let json = serde_json::to_string(&range).unwrap();
        assert_eq!(serde_json::from_str::<MinMaxScaler>(&json).unwrap(), range);
        for (good, bad) in [("\"low\":\"-0.1\"", "\"low\":\"NaN\""), ("\"low\":\"-0.1\"", "\"low\":\"x\"")] {
            assert!(json.contains(good), "{json}");
            assert!(serde_json::from_str::<MinMaxScaler>(&json.replace(good, bad)).is_err());
        }
    }
}

#[test]
fn a_scaler_made_of_its_parts_is_the_same() {
    let rows = columns(3);
    let standard = StandardScaler::fit(rows.view()).unwrap();
    let (means, scales): (Vec<f64>, Vec<f64>) = (standard.means().collect(), standard.scales().collect());
    assert_eq!(StandardScaler::from_parts(&means, &scales).unwrap(), standard);
    let range = MinMaxScaler::fit_to(-0.3, 1.7, rows.view()).unwrap();
    let (minima, maxima): (Vec<f64>, Vec<f64>) = (range.minima().collect(), range.maxima().collect());
    let (low, high) = range.ends();
    let robust = RobustScaler::fit(rows.view()).unwrap();
    let (medians, scales): (Vec<f64>, Vec<f64>) = (robust.medians().collect(), robust.scales().collect());
    assert_eq!(RobustScaler::from_parts(&medians, &scales).unwrap(), robust);
    let power = PowerScaler::fit(rows.view()).unwrap();
    let parts: [Vec<f64>; 3] = [power.powers().collect(), power.means().collect(), power.scales().collect()];
    assert_eq!(PowerScaler::from_parts(power.power_transform(), &parts[0], &parts[1], &parts[2]).unwrap(), power);
    assert_eq!(MinMaxScaler::from_parts(low, high, &minima, &maxima).unwrap(), range);
    for (any, scaler) in [
        (AnyScaler::from(standard.clone()), &standard as &dyn Features),
        (range.clone().into(), &range),
        (robust.clone().into(), &robust),
        (power.clone().into(), &power),
    ] {
        assert_eq!(any.unscale(1, 0.3), scaler.unscale_one(1, 0.3));
        assert_eq!(any.scale(1, 2.5), scaler.scale_one(1, 2.5));
    }
}

/// A scaler of any type.
trait Features {
    fn scale_one(&self, feature: usize, x: f64) -> f64;
    fn unscale_one(&self, feature: usize, x: f64) -> f64;
}

impl<S: Scaler> Features for S {
    fn scale_one(&self, feature: usize, x: f64) -> f64 {
        self.scale(feature, x)
    }

    fn unscale_one(&self, feature: usize, x: f64) -> f64 {
        self.unscale(feature, x)
    }
}

#[test]
fn parts_that_scale_nothing_are_refused() {
    let message = |error: DataError| error.to_string();
    let standard = |means: &[f64], scales: &[f64]| message(StandardScaler::from_parts(means, scales).unwrap_err());
    assert!(standard(&[1.0, 2.0], &[1.0]).contains('2'));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(standard(&[0.0, 0.0], &[1.0, bad]).contains("feature 1"), "{}", standard(&[0.0, 0.0], &[1.0, bad]));
    }
    assert!(standard(&[f64::NAN], &[1.0]).contains("feature 0"));
    let robust = |medians: &[f64], scales: &[f64]| message(RobustScaler::from_parts(medians, scales).unwrap_err());
    assert!(robust(&[1.0, 2.0], &[1.0]).contains('2'));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(robust(&[0.0, 0.0], &[1.0, bad]).contains("feature 1"), "{bad}");
    }
    let range = |low, high, minima: &[f64], maxima: &[f64]| {
        message(MinMaxScaler::from_parts(low, high, minima, maxima).unwrap_err())
    };
    assert!(range(0.0, 1.0, &[1.0], &[]).contains('1'));
    assert!(range(0.0, 1.0, &[1.0, 2.0], &[1.0, 1.5]).contains("feature 1"));
    assert!(range(0.0, 1.0, &[f64::MIN], &[f64::MAX]).contains("feature 0"));
    assert!(range(1.0, 1.0, &[0.0], &[1.0]).contains('1'));
}
