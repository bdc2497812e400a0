use crate::{MinMaxScaler, Scaler, StandardScaler};

/// Any scaler of this crate, for files and for settings that choose one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(tag = "type"))]
#[non_exhaustive]
pub enum AnyScaler {
    /// See [`StandardScaler`].
    Standard(StandardScaler),
    /// See [`MinMaxScaler`].
    MinMax(MinMaxScaler),
}

impl Scaler for AnyScaler {
    fn features(&self) -> usize {
        match self {
            Self::Standard(scaler) => scaler.features(),
            Self::MinMax(scaler) => scaler.features(),
        }
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        match self {
            Self::Standard(scaler) => scaler.scale(feature, x),
            Self::MinMax(scaler) => scaler.scale(feature, x),
        }
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        match self {
            Self::Standard(scaler) => scaler.unscale(feature, x),
            Self::MinMax(scaler) => scaler.unscale(feature, x),
        }
    }
}

impl From<StandardScaler> for AnyScaler {
    fn from(scaler: StandardScaler) -> Self {
        Self::Standard(scaler)
    }
}

impl From<MinMaxScaler> for AnyScaler {
    fn from(scaler: MinMaxScaler) -> Self {
        Self::MinMax(scaler)
    }
}
