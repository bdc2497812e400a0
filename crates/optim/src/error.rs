use std::error::Error;
use std::fmt;

/// A setting of an optimizer, a schedule or a method that is not valid.
///
/// Builders never fail; `check` finds settings that are not valid, and whatever runs the optimizer calls it first.
///
/// ```
/// use downhill_optim::{Adam, Optimizer};
/// let error = Adam::<f64>::new(1e-3).betas(0.9, 1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "beta2 is 1, but it must be at least 0 and less than 1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SettingError {
    setting: &'static str,
    value: f64,
    requirement: &'static str,
}

impl SettingError {
    /// Creates an error that says "`setting` is `value`, but it must be `requirement`".
    #[must_use]
    pub fn new(setting: &'static str, value: f64, requirement: &'static str) -> Self {
        Self { setting, value, requirement }
    }

    /// Returns the name of the setting.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Returns the value that was refused.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Returns what the value "must be".
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        self.requirement
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but it must be {}", self.setting, self.value, self.requirement)
    }
}

impl Error for SettingError {}

/// A number in an optimizer's memory that is not finite, usually because the square of a gradient has overflowed.
///
/// Its parameter will not be stepped any more, or becomes not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryError {
    pub(crate) slot: String,
    pub(crate) index: usize,
    pub(crate) value: f64,
}

impl MemoryError {
    /// Returns the name of the slot, such as `adam.v`.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Returns the index of the first such number in the slot.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the number.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, index, value } = self;
        write!(
            f,
            "number {index} of `{slot}` is {value}, so its parameter is not stepped any more: a gradient was not finite, \
             or its square overflowed; clip gradients or divide the loss by a constant, and start anew with `reset`"
        )
    }
}

impl Error for MemoryError {}
