use crate::{ChannelScaler, MinMaxScaler, PowerScaler, RobustScaler, Scaler, StandardScaler};

/// Any scaler of this crate, for files and for settings that choose one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(tag = "type"))]
#[non_exhaustive]
pub enum AnyScaler {
    /// See [`StandardScaler`].
    Standard(StandardScaler),
    /// See [`MinMaxScaler`].
    MinMax(MinMaxScaler),
    /// See [`RobustScaler`].
    Robust(RobustScaler),
    /// See [`PowerScaler`].
    Power(PowerScaler),
    /// See [`ChannelScaler`].
    Channels(ChannelScaler),
}

/// Evaluates an expression of whichever scaler it is.
macro_rules! each {
    ($any:expr, $scaler:ident => $value:expr) => {
        match $any {
            AnyScaler::Standard($scaler) => $value,
            AnyScaler::MinMax($scaler) => $value,
            AnyScaler::Robust($scaler) => $value,
            AnyScaler::Power($scaler) => $value,
            AnyScaler::Channels($scaler) => $value,
        }
    };
}

impl Scaler for AnyScaler {
    fn features(&self) -> usize {
        each!(self, scaler => scaler.features())
    }

    fn scale(&self, feature: usize, x: f64) -> f64 {
        each!(self, scaler => scaler.scale(feature, x))
    }

    fn unscale(&self, feature: usize, x: f64) -> f64 {
        each!(self, scaler => scaler.unscale(feature, x))
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

impl From<RobustScaler> for AnyScaler {
    fn from(scaler: RobustScaler) -> Self {
        Self::Robust(scaler)
    }
}

impl From<PowerScaler> for AnyScaler {
    fn from(scaler: PowerScaler) -> Self {
        Self::Power(scaler)
    }
}

impl From<ChannelScaler> for AnyScaler {
    fn from(scaler: ChannelScaler) -> Self {
        Self::Channels(scaler)
    }
}
