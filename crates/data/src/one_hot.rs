use std::collections::BTreeSet;

use downhill_tensor::Scalar;
use ndarray::Array2;

use crate::DataError;
use crate::targets::check_labels;

/// Encodes labels as rows that are 1 at a label and 0 elsewhere: (labels, classes).
///
/// ```
/// use downhill_data::one_hot;
/// use ndarray::array;
/// assert_eq!(one_hot::<f64>(&[2, 0], 3)?, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
///
/// # Errors
/// Returns an error if a label is not smaller than the number of classes, or the rows do not fit in memory.
pub fn one_hot<T: Scalar>(labels: &[u32], classes: usize) -> Result<Array2<T>, DataError> {
    check_labels(labels, classes)?;
    // Labels may come from a file, so their number of classes is not to be trusted.
    let too_large = || DataError::OneHotSize { labels: labels.len(), classes };
    let length = labels.len().checked_mul(classes).ok_or_else(too_large)?;
    let mut rows = Vec::new();
    rows.try_reserve_exact(length).map_err(|_| too_large())?;
    rows.resize(length, T::ZERO);
    for (row, &label) in rows.chunks_exact_mut(classes.max(1)).zip(labels) {
        if let Some(x) = row.get_mut(label as usize) {
            *x = T::ONE;
        }
    }
    Array2::from_shape_vec((labels.len(), classes), rows).map_err(|_| too_large())
}

/// An encoding of categories: each value becomes a row that is 1 at its category and 0 elsewhere.
///
/// Categories are learnt in sorted order, as numbers where all of them are numbers and as text otherwise
/// (as scikit-learn's `OneHotEncoder`, which goes by the array's type); an unknown one is an error, not a row of zeros.
///
/// ```
/// use downhill_data::OneHot;
/// let island = OneHot::fit(["Torgersen", "Biscoe", "Dream", "Biscoe"])?;
/// assert_eq!(island.categories(), ["Biscoe", "Dream", "Torgersen"]);
/// assert_eq!(island.encode::<f32>("Dream")?, [0.0, 1.0, 0.0]);
/// assert_eq!(
///     island.encode::<f32>("Mars").unwrap_err().to_string(),
///     "`Mars` is none of the known categories (`Biscoe`, `Dream`, `Torgersen`)"
/// );
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct OneHot {
    categories: Vec<String>,
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for OneHot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let categories = Vec::<String>::deserialize(deserializer)?;
        Self::with_categories(categories).map_err(serde::de::Error::custom)
    }
}

impl OneHot {
    /// Learns the categories that occur among `values`.
    ///
    /// # Errors
    /// Returns an error if there are no values.
    pub fn fit<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        let mut distinct = BTreeSet::new();
        for value in values {
            if !distinct.contains(value.as_ref()) {
                distinct.insert(value.as_ref().to_owned());
            }
        }
        let numbers: Option<Vec<f64>> =
            distinct.iter().map(|text| text.parse().ok().filter(|x: &f64| x.is_finite())).collect();
        let categories: Vec<String> = match numbers {
            Some(numbers) => {
                // Equal numbers that are written differently stay in the order of their text.
                let mut both: Vec<(f64, String)> = numbers.into_iter().zip(distinct).collect();
                both.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                both.into_iter().map(|(_, text)| text).collect()
            }
            None => distinct.into_iter().collect(),
        };
        Self::with_categories(categories)
    }

    /// Makes the encoding of these categories in this order.
    ///
    /// # Errors
    /// Returns an error if there are none, or one is listed twice.
    pub fn with_categories<S: Into<String>>(categories: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        let categories: Vec<String> = categories.into_iter().map(Into::into).collect();
        if categories.is_empty() {
            return Err(DataError::Empty { what: "the list of categories", unit: "category" });
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = categories.iter().find(|&name| !seen.insert(name)) {
            return Err(DataError::DuplicateCategory { name: name.clone() });
        }
        Ok(Self { categories })
    }

    /// The categories in the order of their numbers.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// The number of a category, counted from 0.
    ///
    /// # Errors
    /// Returns an error if the category is unknown.
    pub fn index(&self, value: &str) -> Result<usize, DataError> {
        self.position(value).ok_or_else(|| self.unknown(value))
    }

    pub(crate) fn position(&self, value: &str) -> Option<usize> {
        self.categories.iter().position(|category| category == value)
    }

    pub(crate) fn unknown(&self, value: &str) -> DataError {
        DataError::UnknownCategory { value: value.to_owned(), known: self.categories.clone() }
    }

    /// Returns the row of a category.
    ///
    /// # Errors
    /// Returns an error if the category is unknown.
    pub fn encode<T: Scalar>(&self, value: &str) -> Result<Vec<T>, DataError> {
        let index = self.index(value)?;
        Ok((0..self.categories.len()).map(|i| if i == index { T::ONE } else { T::ZERO }).collect())
    }

    /// The category at the largest number of a row, the first among equals; `None` for an empty row.
    #[must_use]
    pub fn decode<T: Scalar>(&self, row: &[T]) -> Option<&str> {
        let mut largest: Option<(&String, T)> = None;
        for (category, &x) in self.categories.iter().zip(row) {
            if largest.is_none_or(|(_, best)| x > best) {
                largest = Some((category, x));
            }
        }
        largest.map(|(category, _)| category.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_as_numbers() {
        let digits = OneHot::fit(["10", "2", "1", "2", "-3"]).unwrap();
        assert_eq!(digits.categories(), ["-3", "1", "2", "10"]);
        let text = OneHot::fit(["10", "2", "one"]).unwrap();
        assert_eq!(text.categories(), ["10", "2", "one"]);
    }

    #[test]
    fn sorting_survives_what_only_looks_like_a_number() {
        let odd = OneHot::fit(["nan", "2", "inf", "10", "NaN"]).unwrap();
        assert_eq!(odd.categories(), ["10", "2", "NaN", "inf", "nan"]);
    }

    #[test]
    fn a_given_order_is_kept() {
        let sizes = OneHot::with_categories(["small", "large"]).unwrap();
        assert_eq!(sizes.index("large").unwrap(), 1);
        assert_eq!(sizes.decode(&[0.2f32, 0.7]), Some("large"));
        assert_eq!(sizes.decode(&[0.5f32, 0.5]), Some("small"));
        assert_eq!(sizes.decode::<f32>(&[]), None);
        assert_eq!(
            OneHot::with_categories(["a", "b", "a"]).unwrap_err().to_string(),
            "the category `a` is listed more than once; name each category once"
        );
        assert_eq!(
            OneHot::fit::<&str>([]).unwrap_err().to_string(),
            "the list of categories is empty, but at least one category is needed"
        );
    }

    #[test]
    fn every_category_survives_a_round_trip() {
        let names: Vec<String> = (0..20).map(|i| format!("category {i}")).collect();
        let encoding = OneHot::fit(&names).unwrap();
        for name in &names {
            assert_eq!(encoding.decode(&encoding.encode::<f64>(name).unwrap()), Some(name.as_str()));
        }
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let error = one_hot::<f32>(&[0, 3], 3).unwrap_err();
        assert_eq!(error.to_string(), "label 1 is 3, but there are 3 classes, counted from 0");
        assert_eq!(one_hot::<f32>(&[], 0).unwrap().dim(), (0, 0));
        let error = one_hot::<f32>(&[0, 1], usize::MAX / 5).unwrap_err().to_string();
        assert!(error.starts_with("2 labels as rows of") && error.contains("do not fit in memory"), "{error}");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serialises_as_its_categories() {
        let encoding = OneHot::fit(["b", "a"]).unwrap();
        let json = serde_json::to_string(&encoding).unwrap();
        assert_eq!(json, r#"["a","b"]"#);
        assert_eq!(serde_json::from_str::<OneHot>(&json).unwrap(), encoding);
    }
}
