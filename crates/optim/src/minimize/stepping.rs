use super::*;
use crate::Segment;

/// The steps of any [`Optimizer`] as a method: no line search, one evaluation an iteration.
///
/// The optimizer is bound to the objective's segments, or if it has none to x as one vector, a segment of the name `x`:
/// what it was bound to before is forgotten.
/// The run ends with [`Obstacle::Units`] if squares of gradients overflow in the optimizer's memory.
#[derive(Clone, Debug)]
pub struct Stepping<O> {
    optimizer: O,
}

impl<O> Stepping<O> {
    /// Creates the method from an optimizer.
    #[must_use]
    pub fn new(optimizer: O) -> Self {
        Self { optimizer }
    }
}

impl<T: Scalar, O: Optimizer<T>> Method<T> for Stepping<O> {
    fn check(&self) -> Result<(), SettingError> {
        self.optimizer.check()
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        let x = Segment::new("x", 0..len, [len]);
        // A minimisation is a new run, whatever the optimizer has done before.
        self.optimizer.reset();
        self.optimizer.bind(&[x]);
        Ok(())
    }

    fn bind(&mut self, segments: &[Segment]) {
        self.optimizer.bind(segments);
    }

    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        self.optimizer.step(&mut at.x, &at.gradient);
        // Only the squares of such gradients overflow.
        let is_large = evaluator.last_gradient_norm() >= 0.1 * T::MAX.to_f64().sqrt();
        if is_large && self.optimizer.check_memory().is_err() {
            return Err(Reason::LineSearchFailed(Obstacle::Units));
        }
        at.value = evaluator.evaluate(&at.x, &mut at.gradient)?;
        Ok(())
    }
}
