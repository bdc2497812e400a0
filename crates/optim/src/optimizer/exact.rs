//! A state as it is saved: JSON has no NaN, and not every reader of JSON rounds correctly.

use downhill_tensor::Scalar;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::OptimizerState;

#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Scalar")]
pub(super) struct Saved<T> {
    slots: Vec<(String, Vec<Exact<T>>)>,
    scalars: Vec<(String, Exact<f64>)>,
    counters: Vec<(String, u64)>,
}

impl<T: Scalar> From<OptimizerState<T>> for Saved<T> {
    fn from(state: OptimizerState<T>) -> Self {
        let vector = |slot: Vec<T>| slot.into_iter().map(Exact).collect();
        Self {
            slots: state.slots.into_iter().map(|(name, slot)| (name, vector(slot))).collect(),
            scalars: state.scalars.into_iter().map(|(name, number)| (name, Exact(number))).collect(),
            counters: state.counters,
        }
    }
}

impl<T: Scalar> From<Saved<T>> for OptimizerState<T> {
    fn from(saved: Saved<T>) -> Self {
        let vector = |slot: Vec<Exact<T>>| slot.into_iter().map(|Exact(number)| number).collect();
        Self {
            slots: saved.slots.into_iter().map(|(name, slot)| (name, vector(slot))).collect(),
            scalars: saved.scalars.into_iter().map(|(name, Exact(number))| (name, number)).collect(),
            counters: saved.counters,
        }
    }
}

/// A number that is a string in text formats, and an `f64` in binary ones.
struct Exact<T>(T);

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
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        match text.parse::<f64>() {
            Ok(number) => Ok(Self(T::of(number))),
            Err(_) => Err(D::Error::custom(format!("`{text}` is not a number"))),
        }
    }
}
