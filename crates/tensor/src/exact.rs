//! Numbers as they are saved: JSON has no NaN, and not every reader of JSON rounds correctly.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Scalar;

/// A number that keeps its bits when it is saved: a string in text formats, and an `f64` in binary ones.
///
/// Every number reads back as it was written, infinities included; a NaN reads back as a NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact<T>(pub T);

impl<T: Scalar> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = self.0.to_f64();
        if serializer.is_human_readable() {
            // The shortest digits that read back to the same number.
            serializer.collect_str(&format_args!("{number:e}"))
        } else {
            serializer.serialize_f64(number)
        }
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return f64::deserialize(deserializer).map(|number| Self(T::of(number)));
        }
        let text = Cow::<str>::deserialize(deserializer)?;
        match text.parse::<f64>() {
            Ok(number) => Ok(Self(T::of(number))),
            Err(_) => Err(D::Error::custom(format!("`{text}` is not a number"))),
        }
    }
}

/// For a field of numbers: `#[serde(with = "downhill_tensor::exact::vec")]`.
pub mod vec {
    use super::{Deserialize, Deserializer, Exact, Scalar, Serializer};

    /// Writes each number as an [`Exact`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Scalar, S: Serializer>(numbers: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().map(|&number| Exact(number)))
    }

    /// Reads numbers that [`serialize`] wrote.
    ///
    /// # Errors
    /// Returns an error if something is not a number.
    pub fn deserialize<'de, T: Scalar, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        let numbers = Vec::<Exact<T>>::deserialize(deserializer)?;
        Ok(numbers.into_iter().map(|Exact(number)| number).collect())
    }
}
