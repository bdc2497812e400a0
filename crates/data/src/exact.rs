//! Numbers that every format gives back to the last bit: as text in formats for people, whose readers may round.
//! `serde_json` does unless its feature `float_roundtrip` is on.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_str(&format_args!("{x:?}"))
    } else {
        x.serialize(serializer)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let x = if deserializer.is_human_readable() {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?
    } else {
        f64::deserialize(deserializer)?
    };
    // No scaler is fitted to anything else.
    if f64::is_finite(x) { Ok(x) } else { Err(D::Error::custom(format_args!("{x} is not finite"))) }
}
