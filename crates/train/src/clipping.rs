use downhill_optim::{SettingError, clip_norm, clip_value};
use downhill_tensor::Scalar;

/// A limit of the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clipping {
    /// By its norm over all parameters.
    Norm(f64),
    /// Entry by entry.
    Value(f64),
}

impl Clipping {
    pub(crate) fn check(self) -> Result<(), SettingError> {
        let (setting, limit) = match self {
            Self::Norm(limit) => ("the largest norm of the gradient", limit),
            Self::Value(limit) => ("the largest entry of the gradient", limit),
        };
        if limit > 0.0 { Ok(()) } else { Err(SettingError::new(setting, limit, "above 0")) }
    }

    /// Clips the gradient; `false` if its norm is not finite, so that no step may be taken.
    pub(crate) fn clip<T: Scalar>(self, gradient: &mut [T]) -> bool {
        match self {
            Self::Norm(limit) => clip_norm(gradient, limit).is_finite(),
            Self::Value(limit) => {
                clip_value(gradient, limit);
                true
            }
        }
    }
}
