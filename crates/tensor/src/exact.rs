//! Numbers as they are saved: JSON has no NaN, and not every reader of JSON rounds correctly.
//!
//! A field is saved by one of the modules here, as by `#[serde(with = "downhill_tensor::exact::text")]`, whether it is a
//! number, a vector of numbers, one that may be missing, or such things with names: see [`Field`].
//!
//! | module | a finite number in text formats | the others |
//! |---|---|---|
//! | [`text`] | its shortest digits as a string, as `"1e-1"` | a string |
//! | [`number`] | a number, for other programs to read | a string: `"NaN"`, `"inf"` or `"-inf"` |
//! | [`finite`] | its shortest digits as a string, as `"0.1"` | an error when it is read |
//!
//! A string reads back to the same number, whatever reads it. A number reads back to the same bits if the reader rounds
//! correctly, which `serde_json` does with its feature `float_roundtrip`. In binary formats every number is an `f64`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Scalar;

/// A way to save a number.
pub trait Form {
    /// Writes a number.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads a number that [`write`](Form::write) wrote.
    ///
    /// # Errors
    /// Returns an error if it is not a number, or not one of this form.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error>;
}

/// A type that is saved number by number: a [`Scalar`], and a `Vec`, an `Option` or a pair with a name of what is.
pub trait Field<F>: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads what [`write`](Field::write) wrote.
    ///
    /// # Errors
    /// Returns an error if something else is there.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<F: Form, T: Scalar> Field<F> for T {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(self.to_f64(), serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        F::read(deserializer).map(T::from_f64)
    }
}

impl<F, V: Field<F>> Field<F> for Vec<V> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Saved::new))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Vec::<Saved<F, V>>::deserialize(deserializer)?;
        Ok(read.into_iter().map(|saved| saved.value).collect())
    }
}

impl<F, V: Field<F>> Field<F> for Option<V> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Saved::new).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Saved<F, V>>::deserialize(deserializer)?.map(|saved| saved.value))
    }
}

impl<F, V: Field<F>> Field<F> for (String, V) {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0, Saved::new(&self.1)).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(String, Saved<F, V>)>::deserialize(deserializer).map(|(name, saved)| (name, saved.value))
    }
}

/// A value, or a borrowed one, that `serde` writes and reads as a field of this form.
struct Saved<F, V> {
    value: V,
    form: PhantomData<F>,
}

impl<F, V> Saved<F, V> {
    fn new(value: V) -> Self {
        Self { value, form: PhantomData }
    }
}

impl<F, V: Field<F>> Serialize for Saved<F, &V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.write(serializer)
    }
}

impl<'de, F, V: Field<F>> Deserialize<'de> for Saved<F, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        V::read(deserializer).map(Self::new)
    }
}

/// The text of a number in formats for people, and the number itself in others.
fn write_text<S: Serializer>(number: f64, text: fmt::Arguments<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.collect_str(&text) } else { serializer.serialize_f64(number) }
}

/// Reads what [`write_text`] wrote.
fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    if !deserializer.is_human_readable() {
        return f64::deserialize(deserializer);
    }
    parse(&Cow::<str>::deserialize(deserializer)?)
}

fn parse<E: Error>(text: &str) -> Result<f64, E> {
    text.parse().map_err(|_| E::custom(format_args!("`{text}` is not a number")))
}

/// Defines a module for `#[serde(with = ...)]`, and the form that it saves numbers in.
macro_rules! form {
    (
        $(#[$about:meta])*
        $module:ident, $form:ident,
        |$number:ident, $serializer:ident| $write:expr,
        |$deserializer:ident| $read:expr
    ) => {
        $(#[$about])*
        pub mod $module {
            use super::*;

            /// The form of this module.
            #[derive(Clone, Copy, Debug)]
            pub struct $form;

            impl Form for $form {
                fn write<S: Serializer>($number: f64, $serializer: S) -> Result<S::Ok, S::Error> {
                    $write
                }

                fn read<'de, D: Deserializer<'de>>($deserializer: D) -> Result<f64, D::Error> {
                    $read
                }
            }

            /// Writes a field.
            ///
            /// # Errors
            /// Those of the serializer.
            pub fn serialize<V: Field<$form>, S: Serializer>(field: &V, serializer: S) -> Result<S::Ok, S::Error> {
                field.write(serializer)
            }

            /// Reads a field that [`serialize`] wrote.
            ///
            /// # Errors
            /// Returns an error if something else is there.
            pub fn deserialize<'de, V: Field<$form>, D: Deserializer<'de>>(deserializer: D) -> Result<V, D::Error> {
                V::read(deserializer)
            }
        }
    };
}

form! {
    /// Numbers that keep their bits, whatever reads them; a NaN reads back as a NaN.
    text, Text,
    // The shortest digits that read back to the same number.
    |number, serializer| write_text(number, format_args!("{number:e}"), serializer),
    |deserializer| read_text(deserializer)
}

form! {
    /// Numbers of a record that other programs read too.
    number, Number,
    |number, serializer| {
        if number.is_finite() { serializer.serialize_f64(number) } else { write_text(number, format_args!("{number}"), serializer) }
    },
    |deserializer| {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(AnyNumber)
        } else {
            f64::deserialize(deserializer)
        }
    }
}

form! {
    /// Numbers that must be finite, and keep their bits.
    finite, Finite,
    |number, serializer| write_text(number, format_args!("{number:?}"), serializer),
    |deserializer| {
        let number = read_text(deserializer)?;
        if number.is_finite() { Ok(number) } else { Err(D::Error::custom(format_args!("{number} is not finite"))) }
    }
}

struct AnyNumber;

impl Visitor<'_> for AnyNumber {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one of the strings `NaN`, `inf` and `-inf`")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        #[serde(with = "text")]
        weight: f32,
        #[serde(with = "text")]
        slots: Vec<(String, Vec<f64>)>,
        #[serde(with = "number")]
        loss: f64,
        #[serde(with = "number", default)]
        validation: Option<f64>,
        #[serde(with = "number")]
        metrics: Vec<(String, f64)>,
        #[serde(with = "finite")]
        low: f64,
    }

    const JSON: &str = r#"{"weight":"2.5e-1","slots":[["v",["NaN","-inf","-0e0"]]],"loss":"inf","validation":null,"metrics":[["f1",0.5]],"low":"0.1"}"#;

    #[test]
    fn fields_of_all_kinds_are_saved_number_by_number() {
        let mut record: Record = serde_json::from_str(JSON).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), JSON);
        assert!(record.slots[0].1[0].is_nan() && record.slots[0].1[2].is_sign_negative());
        record.slots.clear();
        let metrics = vec![("f1".to_owned(), 0.5)];
        let expected =
            Record { weight: 0.25, slots: Vec::new(), loss: f64::INFINITY, validation: None, metrics, low: 0.1 };
        assert_eq!(record, expected);
    }

    #[test]
    fn what_is_no_number_is_an_error_that_shows_it() {
        for (good, bad, expected) in [
            (r#""2.5e-1""#, r#""one""#, "`one` is not a number"),
            (r#""inf""#, r#""much""#, "`much` is not a number"),
            (r#""inf""#, "[]", "expected a number, or one of the strings"),
            (r#""0.1""#, r#""NaN""#, "NaN is not finite"),
        ] {
            let error = serde_json::from_str::<Record>(&JSON.replace(good, bad)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
