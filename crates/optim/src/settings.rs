//! The numbers of a rule by name: one visit serves checks, schedules, saved states and restoring them.
//!
//! ```
//! use downhill_optim::settings::{Settings, decay_rate, not_negative};
//!
//! struct Heavy {
//!     momentum: f64,
//!     epsilon: f64,
//!     largest: f64,
//! }
//!
//! impl Heavy {
//!     // As in `Link::settings` and `Rule::settings`.
//!     fn settings(&mut self, settings: &mut Settings<'_>) {
//!         settings.momentum("the momentum", &mut self.momentum, decay_rate);
//!         settings.setting("epsilon", self.epsilon, not_negative);
//!         settings.memory("heavy.largest", &mut self.largest);
//!     }
//! }
//! ```

use std::fmt::{self, Debug};

use crate::SettingError;

/// A visitor of the numbers of a [`Link`](crate::Link) or a [`Rule`](crate::Rule).
pub struct Settings<'v> {
    visit: &'v mut dyn FnMut(Shown<'_>),
}

/// The things that a visit is shown.
enum Shown<'s> {
    /// Whether a setting is valid.
    Validity(Result<(), SettingError>),
    Momentum(&'s mut f64),
    Memory(&'static str, &'s mut f64),
    Evaluation(&'static str, f64),
}

impl Settings<'_> {
    /// Shows a setting with what it must be: [`positive`], [`not_negative`], [`decay_rate`] or a closure with [`require`].
    pub fn setting(
        &mut self,
        name: &'static str,
        value: f64,
        valid: impl FnOnce(&'static str, f64) -> Result<(), SettingError>,
    ) {
        self.check(valid(name, value));
    }

    /// Shows the momentum (or Adam's β₁) with what it must be: schedules move it, and a saved state holds it.
    pub fn momentum(
        &mut self,
        name: &'static str,
        value: &mut f64,
        valid: impl FnOnce(&'static str, f64) -> Result<(), SettingError>,
    ) {
        self.check(valid(name, *value));
        (self.visit)(Shown::Momentum(value));
    }

    /// Shows a number outside the slots that a later step depends on: a saved state holds it under this name.
    pub fn memory(&mut self, name: &'static str, value: &mut f64) {
        (self.visit)(Shown::Memory(name, value));
    }

    /// Shows that the objective should be evaluated not at θ, but at θ + `share` (s − θ) with the slot s of this name.
    pub fn evaluation(&mut self, slot: &'static str, share: f64) {
        (self.visit)(Shown::Evaluation(slot, share));
    }

    /// Shows the result of a check that concerns several settings, or one that is no number.
    pub fn check(&mut self, validity: Result<(), SettingError>) {
        (self.visit)(Shown::Validity(validity));
    }
}

impl Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

fn visit(show: impl FnOnce(&mut Settings<'_>), mut visit: impl FnMut(Shown<'_>)) {
    show(&mut Settings { visit: &mut visit });
}

/// Returns the first error of the settings that `show` shows.
pub(crate) fn check(show: impl FnOnce(&mut Settings<'_>)) -> Result<(), SettingError> {
    let mut result = Ok(());
    visit(show, |shown| match shown {
        Shown::Validity(validity) if result.is_ok() => result = validity,
        _ => {}
    });
    result
}

/// Returns the first momentum that `show` shows.
pub(crate) fn momentum(show: impl FnOnce(&mut Settings<'_>)) -> Option<f64> {
    let mut first = None;
    for_each_momentum(show, |momentum| first = first.or(Some(*momentum)));
    first
}

pub(crate) fn for_each_momentum(show: impl FnOnce(&mut Settings<'_>), mut each: impl FnMut(&mut f64)) {
    visit(show, |shown| {
        if let Shown::Momentum(momentum) = shown {
            each(momentum);
        }
    });
}

pub(crate) fn for_each_memory(show: impl FnOnce(&mut Settings<'_>), mut each: impl FnMut(&'static str, &mut f64)) {
    visit(show, |shown| {
        if let Shown::Memory(name, number) = shown {
            each(name, number);
        }
    });
}

/// Calls `each` with every slot and share that `show` shows.
pub(crate) fn for_each_evaluation(show: impl FnOnce(&mut Settings<'_>), mut each: impl FnMut(&'static str, f64)) {
    visit(show, |shown| {
        if let Shown::Evaluation(slot, share) = shown {
            each(slot, share);
        }
    });
}

/// Checks that `value` is finite and greater than 0.
///
/// # Errors
/// Returns an error if it is not.
pub fn positive(setting: &'static str, value: f64) -> Result<(), SettingError> {
    require(value.is_finite() && value > 0.0, setting, value, "finite and greater than 0")
}

/// Checks that `value` is finite and not negative.
///
/// # Errors
/// Returns an error if it is not.
pub fn not_negative(setting: &'static str, value: f64) -> Result<(), SettingError> {
    require(value.is_finite() && value >= 0.0, setting, value, "finite and at least 0")
}

/// Checks that `value` may be the decay rate of an average: in [0, 1).
///
/// # Errors
/// Returns an error if it may not.
pub fn decay_rate(setting: &'static str, value: f64) -> Result<(), SettingError> {
    require((0.0..1.0).contains(&value), setting, value, "at least 0 and less than 1")
}

/// Checks that a number of steps, or of other things, is not 0.
pub(crate) fn at_least_one(setting: &'static str, number: u64) -> Result<(), SettingError> {
    require(number > 0, setting, 0.0, "at least 1")
}

/// Checks that a requirement `holds`.
///
/// # Errors
/// Returns an error if it does not: `setting` has this value, but it "must be" what `requirement` says.
pub fn require(holds: bool, setting: &'static str, value: f64, requirement: &'static str) -> Result<(), SettingError> {
    if holds { Ok(()) } else { Err(SettingError::new(setting, value, requirement)) }
}
