//! Searches for the length of a step along a direction of descent.

use super::*;
use crate::settings::positive;

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
    /// φ(α); not a number if the objective or its gradient is not finite there.
    pub value: f64,
    /// φ'(α).
    pub slope: f64,
}

impl Trial {
    /// Returns whether the objective is finite here. If it is not, the step was too long.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// The end of a search along a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Search {
    /// This step meets the conditions.
    Found(Trial),
    /// No step met them; this is the lowest that was tried, the start included.
    Failed(Trial),
}

/// A search for a step along a direction of descent.
pub trait LineSearch: Debug {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
    fn check(&self) -> Result<(), SettingError>;

    /// Chooses a step. `start` is φ at 0, with a negative slope; `first` is the step to try first.
    ///
    /// # Errors
    /// Returns whatever `phi` fails with.
    fn search(
        &self,
        phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
        start: Trial,
        first: f64,
    ) -> Result<Search, Reason>;
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<S: LineSearch + ?Sized> LineSearch for $pointer {
            fn check(&self) -> Result<(), SettingError> {
                (**self).check()
            }

            fn search(
                &self,
                phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
                start: Trial,
                first: f64,
            ) -> Result<Search, Reason> {
                (**self).search(phi, start, first)
            }
        }
    };
}

forward!(&S);
forward!(&mut S);
forward!(Box<S>);

/// Checks 0 < c₁ < c₂ < 1.
fn check_wolfe(c1: f64, c2: f64) -> Result<(), SettingError> {
    require(c1 > 0.0 && c1 < 1.0, "c1", c1, "greater than 0 and less than 1")?;
    require(c2 > c1 && c2 < 1.0, "c2", c2, "greater than c1 and less than 1")
}

/// Returns the lower of two trials; a trial that is not finite is never lower.
pub(super) fn lower(a: Trial, b: Trial) -> Trial {
    if b.is_finite() && b.value < a.value { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;

    /// A number that a search should not be given: not finite, huge, subnormal, 0 or any other.
    fn odd(uniform: &mut impl FnMut() -> f64) -> f64 {
        let sign = if uniform() < 0.5 { -1.0 } else { 1.0 };
        match (uniform() * 10.0) as u32 {
            0 => f64::NAN,
            1 => sign * f64::INFINITY,
            2 => sign * 1e308 * uniform(),
            3 => sign * 5e-324,
            4 => sign * 1e-310 * uniform(),
            5 => 0.0,
            6 => sign,
            _ => sign * 10_f64.powf(60.0 * uniform() - 30.0),
        }
    }

    #[test]
    fn every_search_ends_within_its_trials_whatever_the_function_says() {
        let searches: [(Box<dyn LineSearch>, u32); 4] = [
            (Box::new(MoreThuente::new()), 40),
            (Box::new(HagerZhang::new()), 50),
            (Box::new(Armijo::new()), 40),
            (Box::new(FixedStep::new(1.0)), 1),
        ];
        for key in 0..20_000 {
            for (search, most) in &searches {
                let mut stream = Seed(3).stream(key);
                let mut uniform = || stream.uniform();
                // Some functions are odd throughout, some from a step on, and some are a bowl of odd size.
                let (kind, edge, size) = (uniform(), odd(&mut uniform).abs(), odd(&mut uniform).abs());
                let (value, slope) = (odd(&mut uniform), -odd(&mut uniform).abs());
                let first = odd(&mut uniform).abs();
                let mut calls = 0;
                let mut phi = |step: f64| {
                    calls += 1;
                    let is_odd = kind < 0.4 || (kind < 0.7 && step > edge);
                    Ok(if is_odd {
                        Trial { step, value: odd(&mut uniform), slope: odd(&mut uniform) }
                    } else {
                        let curved = slope / size * step;
                        Trial { step, value: value + slope * step - 0.5 * curved * step, slope: slope - curved }
                    })
                };
                let start = Trial { step: 0.0, value, slope };
                let found = search.search(&mut phi, start, first);
                assert!(found.is_ok() && calls <= *most, "{key}, {search:?}: {calls} calls, {found:?}");
            }
        }
    }
}
