//! Numbers as they are saved: JSON has no NaN, and not every reader of JSON rounds correctly.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Visitor};
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

/// A number of a record that other programs read too: a number if it is finite, and in text formats the string `NaN`,
/// `inf` or `-inf` if it is not.
///
/// It reads back to the same bits if the reader rounds correctly, as `serde_json` does with its feature
/// `float_roundtrip`. An [`Exact`] does not depend on the reader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() || !serializer.is_human_readable() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(NumberVisitor)
        } else {
            f64::deserialize(deserializer).map(Self)
        }
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one of the strings `NaN`, `inf` and `-inf`")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map(Number).map_err(|_| E::custom(format!("`{text}` is not a number")))
    }
}

/// For a field that is an `f64`, saved as a [`Number`]: `#[serde(with = "downhill_tensor::exact::number")]`.
pub mod number {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    /// Writes the number as a [`Number`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Number(*number).serialize(serializer)
    }

    /// Reads a number that [`serialize`] wrote.
    ///
    /// # Errors
    /// Returns an error if it is not a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Number::deserialize(deserializer).map(|Number(number)| number)
    }
}

/// For a field that is an `Option<f64>`, saved as a [`Number`] or as nothing.
pub mod optional {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    /// Writes the number as a [`Number`], if there is one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(Number).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Returns an error if something is there that is not a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let number = Option::<Number>::deserialize(deserializer)?;
        Ok(number.map(|Number(number)| number))
    }
}

/// For a field that is a `Vec<f64>`, each saved as a [`Number`].
pub mod numbers {
    use super::{Deserialize, Deserializer, Number, Serializer};

    /// Writes each number as a [`Number`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().copied().map(Number))
    }

    /// Reads numbers that [`serialize`] wrote.
    ///
    /// # Errors
    /// Returns an error if something is not a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let numbers = Vec::<Number>::deserialize(deserializer)?;
        Ok(numbers.into_iter().map(|Number(number)| number).collect())
    }
}

/// For a field of named numbers, each saved as its name and a [`Number`].
pub mod named {
    use super::{Deserialize, Deserializer, Number, Serializer};

    /// Writes each name with its number as a [`Number`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(numbers: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().map(|(name, number)| (name, Number(*number))))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Returns an error if something is not a name with a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
        let numbers = Vec::<(String, Number)>::deserialize(deserializer)?;
        Ok(numbers.into_iter().map(|(name, Number(number))| (name, number)).collect())
    }
}
