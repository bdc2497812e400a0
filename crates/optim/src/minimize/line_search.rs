//! How far to go along a direction of descent.

use super::*;
use crate::error::positive;

mod armijo;
mod fixed;
mod hager_zhang;
mod more_thuente;

pub use armijo::Armijo;
pub use fixed::FixedStep;
pub use hager_zhang::HagerZhang;
pub use more_thuente::MoreThuente;

/// The objective along a direction: φ(α) = f(x + αd) and φ'(α).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// α.
    pub step: f64,
    /// φ(α); not a number where the objective or its gradient is not finite there.
    pub value: f64,
    /// φ'(α).
    pub slope: f64,
}

impl Trial {
    /// Whether the objective is finite here. Where it is not, the step was too long.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// How a search along a line ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Search {
    /// This step meets the conditions.
    Found(Trial),
    /// No step met them; this is the lowest that was tried, the start included.
    Failed(Trial),
}

/// A way to choose a step along a direction of descent.
pub trait LineSearch: Clone + Debug + Send {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Where one does not.
    fn check(&self) -> Result<(), SettingError>;

    /// Chooses a step. `start` is φ at 0, with a negative slope; `first` is the step to try first.
    ///
    /// # Errors
    /// Whatever `phi` fails with.
    fn search(
        &self,
        phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
        start: Trial,
        first: f64,
    ) -> Result<Search, Reason>;
}

/// 0 < c₁ < c₂ < 1.
fn check_wolfe(c1: f64, c2: f64) -> Result<(), SettingError> {
    require(c1 > 0.0 && c1 < 1.0, "c1", c1, "greater than 0 and less than 1")?;
    require(c2 > c1 && c2 < 1.0, "c2", c2, "greater than c1 and less than 1")
}

/// The lower of two trials; a trial that is not finite is never lower.
fn lower(a: Trial, b: Trial) -> Trial {
    if b.is_finite() && b.value < a.value { b } else { a }
}
