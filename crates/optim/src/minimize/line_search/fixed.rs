use super::*;

/// A search that takes one step each time, whatever becomes of the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedStep {
    step: f64,
}

impl FixedStep {
    /// Creates the search with this step.
    #[must_use]
    pub fn new(step: f64) -> Self {
        Self { step }
    }
}

impl LineSearch for FixedStep {
    fn check(&self) -> Result<(), SettingError> {
        positive("the step", self.step)
    }

    fn search(
        &self,
        phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
        start: Trial,
        _first: f64,
    ) -> Result<Search, Reason> {
        let trial = phi(self.step)?;
        Ok(if trial.is_finite() { Search::Found(trial) } else { Search::Failed(start) })
    }
}
